"""Runs: what is plain is set as all else is; lines break where ICU says, and never within a grapheme cluster."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender.typeset import Typesetter
from gpurender.typeset.breaks import grapheme_breaks, line_breaks
from gpurender.typeset.characters import character_kinds, may_join

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
    return {width: (Typesetter(width=width, fallback=()), slow(width=width, fallback=())) for width in NARROW}


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
    for fast, other in (pairs[150], (Typesetter(fallback=()), slow(fallback=()))):
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
