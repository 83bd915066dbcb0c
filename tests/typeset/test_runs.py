"""Runs: what is plain is set as all else is; lines break where ICU says, and never within a grapheme cluster."""

import ctypes
import pickle
import time
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender.typeset import Typesetter
from gpurender.typeset.breaks import grapheme_breaks, line_breaks
from gpurender.typeset.characters import character_kinds, may_join
from gpurender.typeset.runs import _verbatim

NARROW = [40, 61, 90, 150, 300]
# What plain texts are made of, and what UAX #14 has rules for: dashes, quotes, brackets, digits, blanks of many widths.
PLAIN = (
    "aeWAVfilé\u0301αβΩςжЩяß019.,;:!?¡¿-'\"()[]{}/\\%$€£#@&*+=<>~_`^|°№×→…·§\u2010\u2012\u2013\u2014\u2015\u2018\u2019"
    "\u201a\u201c\u201d\u201e«»‹›\u2000\u2003\u2009\u2044\u2212\u1680      \n\n\u2028\r"
)


def slow(**options):
    """A typesetter to which no text is plain."""
    typesetter = Typesetter(**options)
    typesetter._analyzer.plain[:] = 64
    return typesetter


@pytest.fixture(scope="module")
def pairs():
    """Of each width, a typesetter and one to which no text is plain."""
    options = {"fallback": (), "latex": "off"}
    return {width: (Typesetter(width=width, **options), slow(width=width, **options)) for width in NARROW}


def first_characters(layout, text, page=0):
    """Of each line, top to bottom, its first character in the text."""
    rows = slice(*layout.word_offsets[page : page + 2])
    firsts = {}
    for top, start in zip(layout.words[rows, 1].tolist(), layout.word_ranges[rows, 0].tolist(), strict=True):
        firsts[top] = min(start, firsts.get(top, len(text)))
    return [firsts[top] for top in sorted(firsts)]


@given(st.lists(st.text(st.sampled_from(PLAIN), max_size=60), max_size=4), st.sampled_from(NARROW))
@settings(max_examples=400)
def test_plain_texts_are_set_as_all_others(pairs, texts, width):
    fast, other = pairs[width]
    assert fast(texts).equals(other(texts))


@pytest.mark.parametrize("name", ["gsm8k", "alpaca_en", "college_math", "human_eval"])
def test_plain_prompts_are_set_as_all_others(prompts, pairs, name):
    texts = prompts(name)[:1000]
    for fast, other in (pairs[150], (Typesetter(fallback=(), latex="off"), slow(fallback=(), latex="off"))):
        assert fast(texts).equals(other(texts))


def test_prompts_in_english_are_plain(prompts):
    # Otherwise the tests above compare a thing with itself.
    typesetter, told = Typesetter(fallback=()), []
    analyzer = typesetter._analyzer
    typesetter._analyzer = lambda *texts: told.append(analyzer(*texts)) or told[-1]
    typesetter(prompts("gsm8k")[:500])
    assert told[0].complex.mean() < 0.1


SOUP = {
    "emoji": "😀👩\u200d👦🇩🇪🇫1\ufe0f\u20e3🏽☺\ufe0fa❤\U000e0067\U000e007f🏴",
    "indic": "कषतर्िीा\u0982লক্ষொதமிழ்తెలుగుമ്യ\u0d4eඥ්\u200d\u200c ",
    "hangul": "ㄱ각가\u1100\u1161\u11a8\u1102\ua960\ud7cb너",
    "marks": "aeʼ\u0301\u0323\u20dd\u034fя\u0483א\u05b0ب\u064bが\u3099\uff76\uff9e",
    "thai": "กำ\u0e33\u0e4bเแโใไ้๊๋ຳພາສາ",
    "numbers": "\u0600\u06dd12\u0661ب\u070f\U000110bdd\u08e2 ",
    "stacked": "ភាសាខ្មែរမြန်မာ\u1039\u17d2ཀྲི\u0f90",
    "right to left": "שָׁלוֹם ab مَرْحَبًا 12",
}


@pytest.mark.parametrize("name", SOUP)
@pytest.mark.parametrize("fallback", [(), None], ids=["alone", "installed"])
def test_grapheme_clusters_are_never_split(name, fallback):
    typesetter = Typesetter(width=24, margin=0, fallback=fallback)

    @given(st.lists(st.text(st.sampled_from(SOUP[name]), max_size=15), max_size=5))
    @settings(max_examples=60)
    def check(texts):
        layout = typesetter(texts)
        for page, text in enumerate(texts):
            # A line may break in a cluster where UAX #14 says so: after a space, before its mark.
            allowed = {0, *grapheme_breaks(text), *line_breaks(text)}
            assert set(first_characters(layout, text, page)) <= allowed

    check()


def test_clusters_that_are_more_than_marks_are_known_by_a_character():
    # Every cluster that ICU knows beyond a base and its marks has a character of `may_join`, or else is not looked for.
    kinds, joins = character_kinds(), may_join()
    for code in [*range(0x20, 0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE0200)]:
        if not joins[code]:
            assert len(grapheme_breaks(chr(code) + "中")) == 2, hex(code)
            if kinds[code] not in (1, 2):
                assert len(grapheme_breaks("a" + chr(code))) == 2, hex(code)


def check_lines(typesetter, texts, limit):
    """Lines begin where ICU allows it, unless what stands there is wider than a line; and end as late as they can."""
    layout = typesetter(texts)
    wide = Typesetter(**{**typesetter._arguments, "width": 2**20, "max_pixels": 2**40})
    checked = 0
    for page, text in enumerate(texts):
        if any(d.page == page and d.kind == "oversize" for d in layout.diagnostics):
            continue
        ends = line_breaks(text)
        starts = [0, *ends[:-1]]
        newlines = set("\n\r\v\f\x85\u2028\u2029")
        firsts = first_characters(layout, text, page)
        fresh = {i for i in starts if i == 0 or text[i - 1] in newlines}
        for first in firsts:
            if first not in starts:
                # The piece that it stands in is wider than a line.
                k = int(np.searchsorted(starts, first)) - 1
                piece = text[starts[k] : ends[k]].rstrip(" ")
                assert width_of(wide, piece) > limit, (text, first)
        # Greedy: what begins a line would not have fitted on the one before.
        for before, first in pairwise(firsts):
            between = text[before:first]
            if first in fresh or any(c in newlines for c in between) or first not in starts:
                continue
            piece = text[before : ends[starts.index(first)]].rstrip(" ").rstrip("".join(newlines)).rstrip(" ")
            lead = before in fresh
            assert width_of(wide, piece if lead else piece.lstrip(" ")) > limit, (text, before, first)
            checked += 1
    return checked


def width_of(wide, text):
    layout = wide([text])
    return float(layout.words[:, 2].max() - layout.words[:, 0].min()) if len(layout.words) else 0.0


@pytest.mark.parametrize("language", range(10))
def test_lines_break_where_icu_says_and_as_late_as_they_can(prompts, language):
    # mgsm has 250 prompts in each of ten languages: Bengali, German, Spanish, French, Japanese, Russian, Swahili, ...
    texts = prompts("mgsm")[language * 250 : language * 250 + 250 : 12]
    typesetter = Typesetter(width=400, margin=0)
    assert check_lines(typesetter, texts, 400 + 1e-3) > 20


MIRRORED = {**dict(zip("()[]<>{}", ")(][><}{", strict=True)), "«": "»", "»": "«"}


@pytest.fixture(scope="module")
def fribidi():
    """`fribidi(text)`: the levels of one paragraph, and its own, by FriBidi."""
    try:
        library = ctypes.CDLL("libfribidi.so.0")
    except OSError:
        pytest.skip("FriBidi is missing: apt-get install -y --no-install-recommends libfribidi0")

    def levels(text):
        codes = np.array([ord(c) for c in text], np.uint32)
        kinds, brackets = np.zeros(len(codes), np.uint32), np.zeros(len(codes), np.uint32)
        out = np.zeros(len(codes), np.int8)
        at = [a.ctypes.data_as(ctypes.c_void_p) for a in (codes, kinds, brackets, out)]
        library.fribidi_get_bidi_types(at[0], len(codes), at[1])
        library.fribidi_get_bracket_types(at[0], len(codes), at[1], at[2])
        way = ctypes.c_uint32(0x40)
        assert library.fribidi_get_par_embedding_levels_ex(at[1], at[2], len(codes), ctypes.byref(way), at[3])
        return out.tolist(), way.value & 1

    return levels


def seen(text, levels):
    """What a line of letters shows, from left to right (L2, L4), blanks left out."""
    order = list(range(len(text)))
    for level in range(max(levels, default=0), 0, -1):
        runs = [list(run) for _, run in groupby(range(len(order)), key=lambda i: levels[order[i]] >= level)]
        for run in runs:
            if levels[order[run[0]]] >= level:
                order[run[0] : run[-1] + 1] = order[run[0] : run[-1] + 1][::-1]
    shown = [MIRRORED.get(text[i], text[i]) if levels[i] % 2 else text[i] for i in order]
    return "".join(c for c in shown if c != " ")


def shown_lines(layout, typesetter, page=0):
    """The characters of each line, by their glyphs, from left to right."""
    characters = {typesetter.font.shaper.glyph(ord(c)): c for c in LETTERS}
    rows = slice(*layout.glyph_offsets[page : page + 2])
    lines = {}
    for glyph, (x, y) in zip(layout.glyph_ids[rows].tolist(), layout.glyph_xy[rows].tolist(), strict=True):
        lines.setdefault(y, []).append((x, characters[glyph]))
    return ["".join(c for _, c in sorted(lines[y])) for y in sorted(lines)]


# Each of one glyph, whatever stands beside it.
LETTERS = "אבגהשABCXداورز0123٠١٢٣()[]<>{}«».,:;+-/!? "


def test_arabic_numbers_in_text_from_the_left_stand_from_the_right():
    (first, *_), (second, *_) = Typesetter()("\u0660 \u0661").words.tolist()
    assert second < first


@given(st.lists(st.text(st.sampled_from(LETTERS), min_size=1, max_size=40), min_size=1, max_size=4), st.data())
@settings(max_examples=400)
def test_lines_are_ordered_as_by_fribidi(fribidi, paragraphs, data):
    width = data.draw(st.sampled_from([60, 100, 200, 2000]))
    typesetter = Typesetter(width=width, margin=0, trim=False, fallback=())
    text = "\n".join(paragraphs)
    layout = typesetter([text])
    levels, bases = [], []
    for paragraph in paragraphs:
        found, base = fribidi(paragraph)
        levels += [*found, base]
        bases += [base] * (len(paragraph) + 1)
    firsts = first_characters(layout, text)
    expected = []
    for start, stop in pairwise([*firsts, len(text)]):
        # A line ends where its words end; what hangs takes no part.
        line = text[start:stop].partition("\n")[0].rstrip(" ")
        expected.append(seen(line, levels[start : start + len(line)]))
    assert shown_lines(layout, typesetter) == expected
    # Lines that read from the right end at the right edge, others begin at the left one, but for spaces typed there.
    rights, lefts = {}, {}
    for box in layout.words.tolist():
        rights[box[1]] = max(rights.get(box[1], -1e9), box[2])
        lefts[box[1]] = min(lefts.get(box[1], 1e9), box[0])
    for top, first in zip(sorted(rights), firsts, strict=True):
        indented = first == 0 or text[first - 1] in "\n "
        page = float(layout.sizes[0, 1])
        if bases[first] and not indented and page == width:
            assert rights[top] == pytest.approx(width, abs=0.02)
        elif not bases[first] and not indented and page == width:
            assert lefts[top] == pytest.approx(0, abs=0.02)


def boxes_of(layout, text):
    """(word, left, top, right) of each piece, in the order of the text."""
    return [
        (text[start:stop], box[0], box[1], box[2])
        for box, (start, stop) in zip(layout.words.tolist(), layout.word_ranges.tolist(), strict=True)
    ]


HEBREW, ARABIC = "שלום עולם", "مرحبا بالعالم"


@pytest.mark.parametrize("around", [HEBREW, ARABIC])
@pytest.mark.parametrize(
    "verbatim",
    [
        "$a + b = 3 - c$",
        "$x_{1}, (y)$",
        r"\( 2 < 3 \)",
        "$$ 1 + 2 $$",
        "`x = f(1, 2) - 3`",
        "``a ` b + 1``",
        "https://example.com/a-b/1-2?q=(3)",
        "www.example.org/1/2",
        "me.you@example.com",
    ],
)
def test_formulas_code_and_urls_keep_their_order_in_right_to_left_text(around, verbatim):
    text = f"{around} {verbatim}, {around}."
    layout = Typesetter(width=4000, latex="off")(text)
    start, stop = text.index(verbatim), text.index(verbatim) + len(verbatim)
    pieces = sorted(
        (box[0], box[2], *span) for box, span in zip(layout.words.tolist(), layout.word_ranges.tolist(), strict=True)
    )
    inside = [i for i, (_, _, a, b) in enumerate(pieces) if start <= a and b <= stop]
    # Side by side, from left to right, the rest on either side; and all of it.
    assert inside == list(range(inside[0], inside[-1] + 1))
    assert "".join(text[pieces[i][2] : pieces[i][3]] for i in inside) == verbatim.replace(" ", "")
    assert inside[0] > 0
    assert inside[-1] < len(pieces) - 1
    assert pieces[-1][2] == 0
    # As it stands alone in text from left to right: nothing within is mirrored.
    alone = Typesetter(width=4000, latex="off")(f"{verbatim}")
    ids = layout.glyph_ids[np.argsort(layout.glyph_xy[:, 0], kind="stable")].tolist()
    wanted = alone.glyph_ids[np.argsort(alone.glyph_xy[:, 0], kind="stable")].tolist()
    assert any(ids[k : k + len(wanted)] == wanted for k in range(len(ids)))


def test_fenced_code_in_right_to_left_text_keeps_its_lines():
    code = "```python\nx = (1, 2)\nprint(x[0] - 1)\n```"
    text = f"{HEBREW}:\n{code}\n{HEBREW}"
    boxes = boxes_of(Typesetter()(text), text)
    lines = {}
    for word, left, top, _ in boxes:
        lines.setdefault(top, []).append((left, word))
    shown = ["".join(word for _, word in sorted(lines[top])) for top in sorted(lines)]
    assert shown[1:5] == [line.replace(" ", "") for line in code.split("\n")]


def test_each_paragraph_has_its_own_direction():
    text = f"{HEBREW}\nabc def\n{ARABIC}\n123\n(abc) {HEBREW}"
    layout = Typesetter(trim=False)(text)
    left, right = [], []
    for top in np.unique(layout.words[:, 1]):
        line = layout.words[layout.words[:, 1] == top]
        left.append(bool(abs(line[:, 0].min() - 8) < 1))
        right.append(bool(abs(line[:, 2].max() - 760) < 1))
    assert left == [False, True, False, True, True]
    assert right == [True, False, True, False, False]


def test_brackets_are_mirrored():
    typesetter = Typesetter()
    layout = typesetter("א(ב)")
    order = layout.glyph_ids[np.argsort(layout.glyph_xy[:, 0])].tolist()
    assert order == [typesetter.font.shaper.glyph(ord(c)) for c in "(ב)א"]


@pytest.mark.parametrize("word", ["שלוםעולם" * 30, "مرحبابالعالم" * 20, "אב12גד" * 30])
def test_a_long_word_that_reads_from_the_right_is_split_from_its_right_end(word):
    typesetter = Typesetter(width=150, margin=0, trim=False)
    layout = typesetter(word)
    boxes = boxes_of(layout, word)
    tops = sorted({top for _, _, top, _ in boxes})
    assert len(tops) > 5
    assert "".join(piece for piece, *_ in boxes) == word
    for top in tops:
        line = [box for box in boxes if box[2] == top]
        assert max(box[3] for box in line) == pytest.approx(150, abs=0.02)
        assert min(box[1] for box in line) >= -0.02
        # The pieces stand side by side.
        edges = sorted((box[1], box[3]) for box in line)
        assert all(a[1] == pytest.approx(b[0], abs=0.02) for a, b in pairwise(edges))
    # Its glyphs are in the boxes.
    assert layout.glyph_xy[:, 0].min() >= -64
    assert layout.glyph_xy[:, 0].max() <= 150 * 64


def test_tabs_and_indents_are_at_the_right_in_right_to_left_text():
    space = Typesetter().font.space / 64
    text = "א\n    ב\n\tג\nא\tב"
    boxes = {(word, top): right for word, _, top, right in boxes_of(Typesetter(trim=False)(text), text)}
    rights = [760 - right for (_, _), right in sorted(boxes.items(), key=lambda item: (item[0][1], -item[1]))]
    assert rights == pytest.approx([0, 4 * space, 8 * space, 0, 8 * space], abs=0.05)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://a.b/c_(d), (https://a.b/c). [http://x/y]", ["https://a.b/c_(d)", "https://a.b/c", "http://x/y"]),
        ("https://a.b/c_(d) www.a.b/. ab://c/d?e={1}!", ["https://a.b/c_(d)", "www.a.b/", "ab://c/d?e={1"]),
        ("ב-me@x.com, a.b+c@d-e.co.uk. @x a@b", ["me@x.com", "a.b+c@d-e.co.uk"]),
        ("`a` ``a`b`` ``` x ` y", ["`a`", "``a`b``"]),
        ("a\n```py\nx\ny\n```\nb ~~~\n", ["```py", "x", "y", "```"]),
        ("$x$ `$y$` \\(z\\)", ["$x$", "`$y$`", "\\(z\\)"]),
    ],
)
def test_what_stands_verbatim(text, found):
    assert [text[start:stop] for start, stop in _verbatim(text)] == found


@pytest.mark.parametrize(
    "unit", ["a.", "a-", "a@", "`", "``a ", "```\n", "$a ", "(", "http://(", "a://", "www.", "[", "\\("]
)
def test_what_stands_verbatim_is_found_in_time_linear_in_the_text(unit):
    began = time.perf_counter()
    Typesetter()(["א " + unit * 30_000])
    # Searched from each place on, such a text takes a minute.
    assert time.perf_counter() - began < 5


def test_a_page_does_not_depend_on_its_batch_nor_on_what_was_set_before():
    texts = [
        "plain",
        f"{HEBREW} abc",
        "",
        "中文 text",
        "Ж plain 12",
        f"a\n{ARABIC}",
        "ไทย",
        "e\u0301",
        "x 😀",
        "한국",
        "か骨",
    ]
    used = Typesetter(width=120)
    batch = used(texts)
    for i in (*range(len(texts)), *reversed(range(len(texts)))):
        fresh = Typesetter(width=120)([texts[i]])
        assert batch.select([i]).equals(fresh)
        assert used([texts[i]]).equals(fresh)
    assert used(texts[::-1]).equals(Typesetter(width=120)(texts[::-1]))
    assert pickle.loads(pickle.dumps(used))(texts).equals(batch)
