"""Paragraphs: what stands where, what is kept, what is reported."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender.typeset import MissingGlyphError, Typesetter

TEXTS = st.text(
    st.one_of(
        st.sampled_from(" \t\n-ab/WAV.,é"),
        # What engines for text have rules for: two ways, marks, joiners, conjuncts, syllables, pictures, controls.
        st.sampled_from("שלםمرحبا\u05b0\u064b(12)$`\u2067\u2069\u202e\u202c\u200d\u200c\u0301\u0323\ufe0f\ufeff\xad"),
        st.sampled_from(
            "क्षिত্রதிกำมិ្ខမြန\u1039\u1100\u1161\u11a8한中。「👩👦🏽🇩🇪😀\u20e3\U000e0067\U000e007f\ud800\ue000\x00"
        ),
        st.characters(min_codepoint=0, max_codepoint=0x10FFFF, exclude_categories=()),
    ),
    max_size=200,
)


@pytest.fixture(scope="module")
def typesetter():
    return Typesetter()


def lines_of(layout, text, page=0):
    """The source of each line, by the words' boxes: lists of words, top to bottom."""
    rows = slice(*layout.word_offsets[page : page + 2])
    lines = {}
    for box, (start, stop) in zip(layout.words[rows], layout.word_ranges[rows].tolist(), strict=True):
        lines.setdefault(float(box[1]), []).append(text[start:stop])
    return list(lines.values())


def starts_of(layout):
    """The x of each word, px from the left of the leftmost one."""
    return (layout.words[:, 0] - layout.words[:, 0].min()).tolist()


def test_wraps_at_spaces(typesetter):
    text = "The quick brown fox jumps over the lazy dog. " * 6
    layout = typesetter(text)
    lines = lines_of(layout, text)
    assert [word for line in lines for word in line] == text.split()
    assert len(lines) > 3
    # Greedy: the first word of a line would not have fitted on the line before.
    width = {word: box[2] - box[0] for line in lines for word, box in zip(text.split(), layout.words, strict=False)}
    ends = {}
    for box in layout.words:
        ends[float(box[1])] = float(box[2] - layout.words[:, 0].min())
    for end, following in zip(list(ends.values())[:-1], lines[1:], strict=True):
        assert end <= 752
        assert end + 6.36 + width[following[0]] > 752


def test_wraps_at_hyphens_but_not_after_a_leading_one():
    text = "well-known aaaa-bbbb -5 --flag"
    narrow = Typesetter(width=100)
    lines = lines_of(narrow(text), text)
    assert lines[0] == ["well-"]
    assert [word for line in lines for word in line] == ["well-", "known", "aaaa-", "bbbb", "-5", "--flag"]


def test_long_words_are_split_not_clipped():
    text = "x" * 300 + "\u0301"
    layout = Typesetter(width=200)(text)
    pieces = [word for line in lines_of(layout, text) for word in line]
    assert "".join(pieces) == text
    assert len(pieces) > 10
    # A letter and its accent stay together.
    assert pieces[-1][-2:] == "x\u0301"
    assert layout.sizes[0, 1] <= 200


def test_a_page_narrower_than_a_letter_still_ends():
    layout = Typesetter(width=18, margin=8)("WWW")
    assert len(layout.words) == 3
    assert layout.sizes[0, 1] > 18


def test_newlines_blank_lines_and_leading_spaces_are_kept(typesetter):
    layout = typesetter("a\n\n\n    b\r\nc\u2028d")
    tops = ((layout.words[:, 1] - layout.words[0, 1]) / 22).tolist()
    assert tops == [0, 3, 4, 5]
    x = starts_of(layout)
    assert x[0] == x[2] == x[3] == 0
    assert x[1] == pytest.approx(4 * typesetter.font.space / 64, abs=0.02)


def test_tabs_go_to_every_eighth_space(typesetter):
    layout = typesetter("|\n\ta\n|\ta\n        \ta\n\t\ta")
    stop = 8 * typesetter.font.space / 64
    assert starts_of(layout) == pytest.approx([0, stop, 0, stop, 2 * stop, 2 * stop], abs=0.02)


def test_code_in_a_monospace_font_stands_in_columns():
    layout = Typesetter(font="monospace")("if x:\n    y = 1\nz   = 2")
    advance = layout.words[0, 2] - layout.words[0, 0]
    columns = [round(x / (advance / 2), 2) for x in starts_of(layout)]
    assert columns == [0, 3, 4, 6, 8, 0, 4, 6]


def test_spaces_at_a_line_end_hang(typesetter):
    words = "aaaa " * 40
    spaced = words.replace(" ", "      ", 1)
    assert typesetter(words + " " * 500).sizes.tolist() == typesetter(words).sizes.tolist()
    assert len(lines_of(typesetter(spaced), spaced)) <= len(lines_of(typesetter(words), words)) + 1


@given(TEXTS)
@settings(max_examples=150)
def test_every_character_is_in_a_word_or_is_white_space(text):
    layout = Typesetter(width=300)([text])
    covered = np.zeros(len(text), int)
    for start, stop in layout.word_ranges.tolist():
        covered[start:stop] += 1
    white = set(" \t\n\v\f\r\x85\u2028\u2029")
    for c, n in zip(text, covered.tolist(), strict=True):
        assert n == (0 if c in white else 1), hex(ord(c))


@given(st.lists(TEXTS, max_size=6))
@settings(max_examples=60)
def test_a_page_does_not_depend_on_its_batch(texts):
    typesetter = Typesetter(width=300)
    batch = typesetter(texts)
    for i, text in enumerate(texts):
        assert batch.select([i]).equals(Typesetter(width=300)([text]))


def test_missing_glyphs_are_reported_once_a_run():
    layout = Typesetter(fallback=())(["fine", "ab 中文字 c\u0378"])
    found = [(d.page, d.start, d.stop, d.kind) for d in layout.diagnostics]
    assert found == [(1, 3, 6, "missing"), (1, 8, 9, "missing")]
    assert layout.diagnostics[0].message == "no font has a glyph for U+4E2D U+6587 U+5B57"
    # Drawn as the font's own box, glyph 0.
    assert (layout.glyph_ids == 0).sum() == 4


@pytest.mark.parametrize("text", ["\x00", "a\x01b", "\x7f", "\ud800", "x\udfffy"])
def test_control_characters_and_lone_surrogates_are_missing_glyphs(typesetter, text):
    kinds = [d.kind for d in typesetter([text]).diagnostics]
    assert kinds == ["missing"]


def test_on_missing_error_names_the_text():
    with pytest.raises(MissingGlyphError, match=r"no font has a glyph for U\+4E2D") as raised:
        Typesetter(on_missing="error", fallback=())(["ok", "中"])
    assert raised.value.page == 1


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\t \u2028", "\u200b"])
def test_a_page_without_ink_is_reported(typesetter, text):
    layout = typesetter([text])
    assert [d.kind for d in layout.diagnostics] == ["blank"]
    assert layout.sizes.tolist() == [[38, 38]]


def test_a_page_over_the_limit_is_left_empty_and_reported():
    typesetter = Typesetter(max_pixels=100_000)
    layout = typesetter(["short", "long " * 1000, "also short"])
    assert [(d.page, d.kind) for d in layout.diagnostics] == [(1, "oversize")]
    assert "more pixels than max_pixels=100000" in layout.diagnostics[0].message
    assert layout.sizes[1].tolist() == [1, 1]
    assert layout.select([0, 2]).equals(typesetter(["short", "also short"]))


@pytest.mark.parametrize("text", ["word " * 200_000, "x" * 100_000, "\n" * 1_000_000, "- " * 300_000])
def test_huge_texts_are_set_or_reported(typesetter, text):
    layout = typesetter(["before", text, "after"])
    assert {d.kind for d in layout.diagnostics} <= {"oversize", "blank"}
    assert layout.select([0, 2]).equals(typesetter(["before", "after"]))


def test_a_word_too_long_for_any_page_is_reported_and_harms_nothing():
    typesetter = Typesetter(size=1000, line_height=1200)
    layout = typesetter(["a", "W" * 20_000, "b"])
    assert [(d.page, d.kind) for d in layout.diagnostics] == [(1, "oversize")]
    assert layout.select([0, 2]).equals(typesetter(["a", "b"]))


def test_a_page_too_tall_for_its_numbers_is_reported_whatever_the_limit():
    layout = Typesetter(line_height=10_000, max_pixels=2**40)("a\n" * 3400)
    assert [d.kind for d in layout.diagnostics] == ["oversize"]
    layout = Typesetter(size=1000, max_pixels=2**40)("x" * 1_000_000)
    assert [d.kind for d in layout.diagnostics] == ["oversize"]


def test_untrimmed_pages_are_full_width_and_whole_lines():
    typesetter = Typesetter(trim=False)
    assert typesetter(["a", "a\nb\n", " "]).sizes.tolist() == [[38, 768], [82, 768], [38, 768]]


def test_a_typesetter_travels_to_another_process():
    typesetter = Typesetter(font="monospace", size=13, width=400, foreground=(10, 20, 30))
    copy = pickle.loads(pickle.dumps(typesetter))
    assert repr(copy) == repr(typesetter)
    assert copy(["some text"]).equals(typesetter(["some text"]))


def test_colours_go_into_the_layout():
    layout = Typesetter(foreground=(1, 2, 3), background=(4, 5, 6))(["a", "b"])
    assert layout.colors.tolist() == [[[1, 2, 3], [4, 5, 6]]] * 2
    assert layout.glyph_colors.tolist() == [[1, 2, 3]] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be from 1 to 1000, not 0"),
        ({"width": 16}, "width must be from 17 to 1048576, not 16"),
        ({"line_height": 0}, "line_height must be"),
        ({"margin": -1}, "margin must be from 0"),
        ({"font": "No Such Font"}, "no font named 'No Such Font'"),
        ({"on_missing": "box"}, "on_missing must be one of report"),
        ({"foreground": (0, 0, 256)}, "foreground must be three integers"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Typesetter(**options)


def test_wrong_types_are_named(typesetter):
    with pytest.raises(TypeError, match="width must be an integer, not float"):
        Typesetter(width=768.0)
    with pytest.raises(TypeError, match=r"texts\[1\] must be a str, not bytes"):
        typesetter(["a", b"b"])
    assert len(typesetter([])) == 0
