"""Shaping: word by word from the cache must be what HarfBuzz gives for the whole line."""

import numpy as np
import pytest
import uharfbuzz

from gpurender.typeset import Typesetter, shape
from gpurender.typeset.fallback import FontStack
from gpurender.typeset.fonts import find_font
from gpurender.typeset.shape import NEWLINE, TAB, WordCache

LINES = [
    "AVATAR To. Vo, LT Te fi ffl office waffle -- VAT P. T- (AV) 11.7%",
    "naïve café Straße Łódź Źdźbło œuvre ¿Qué? “quotes” 3×4≤12 → ∞",
    "Ποια είναι η ρίζα; В корзине 18 яблок. e\u0301a\u0308o\u0302 x\u0332y",
    "a  b   c    d",
]


def whole_line(font, text):
    """HarfBuzz's glyph ids and places (1/64 px) for a line, spaces left out; by uharfbuzz's own objects."""
    shaper = uharfbuzz.Font(uharfbuzz.Face(uharfbuzz.Blob.from_file_path(font.key.file), font.key.face_index))
    shaper.scale = (round(font.key.size * 64),) * 2
    buffer = uharfbuzz.Buffer()
    buffer.add_codepoints([ord(c) for c in text])
    buffer.guess_segment_properties()
    uharfbuzz.shape(shaper, buffer)
    pen, glyphs = 0, []
    for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        dx, dy, advance, _ = position.position
        if text[info.cluster] != " ":
            glyphs.append((info.codepoint, pen + dx, -dy))
        pen += advance
    return glyphs


def placed(layout, page=0):
    rows = slice(*layout.glyph_offsets[page : page + 2])
    ids, xy = layout.glyph_ids[rows].tolist(), layout.glyph_xy[rows].tolist()
    return [(glyph, x, y) for glyph, (x, y) in zip(ids, xy, strict=True)]


def check_lines(lines, **options):
    typesetter = Typesetter(width=2**20, margin=0, **options)
    layout = typesetter(lines)
    baseline = None
    for page, line in enumerate(lines):
        expected, got = whole_line(typesetter.font, line), placed(layout, page)
        assert [g[0] for g in got] == [g[0] for g in expected], line
        # The page may have moved everything by whole pixels, for ink left of the pen.
        shift = got[0][1] - expected[0][1]
        assert shift % 64 == 0
        assert [x - shift for _, x, _ in got] == [x for _, x, _ in expected], line
        baseline = got[0][2] - expected[0][2]
        assert [y - baseline for _, _, y in got] == [y for _, _, y in expected], line


@pytest.mark.parametrize("font", ["DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif Bold"])
@pytest.mark.parametrize("size", [11.5, 20])
def test_equals_harfbuzz_for_whole_lines(font, size):
    check_lines(LINES, font=font, size=size)


def test_equals_harfbuzz_on_real_prompts(prompts):
    lines = [line.strip(" ") for text in prompts("gsm8k")[:300] for line in text.splitlines()]
    check_lines([line for line in lines if line and "\t" not in line])


def tokens_of(cache, *texts):
    starts = np.cumsum([0, *map(len, texts)])
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    return cache.tokenize(codes, starts, np.empty(0, np.uint32))


def test_tokens():
    cache = WordCache(FontStack(find_font("sans"), 20, ()), 100, 0)
    tokens = tokens_of(cache, "ab  c\td\r\n\n", "", "\u2028e ab ")
    a, c, d, e = range(4)
    assert tokens.words.tolist() == [a, c, TAB, d, NEWLINE, NEWLINE, NEWLINE, e, a]
    assert tokens.begins.tolist() == [0, 4, 5, 6, 7, 9, 0, 1, 3]
    assert tokens.spaces.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 1]
    assert tokens.starts.tolist() == [0, 6, 6, 9]


def shaped_words(typesetter):
    return typesetter._cache._count


def test_a_word_is_shaped_once():
    typesetter = Typesetter()
    typesetter(["one two one", "two three"])
    assert shaped_words(typesetter) == 3
    typesetter(["three one four", "four"])
    assert shaped_words(typesetter) == 4


def test_the_cache_has_a_cap_and_changes_nothing():
    small, large = Typesetter(cache_words=4), Typesetter()
    for batch in range(20):
        texts = [f"word{batch} alpha{batch} beta and gamma{i}" for i in range(5)]
        assert small(texts).equals(large(texts))
        assert small._cache._count <= 4 + 12
    assert large._cache._count == 2 * 20 + 7


def test_an_interruption_after_words_were_entered_leaves_the_cache_right(monkeypatch):
    typesetter = Typesetter()
    real = shape._tokenize

    def interrupted(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(shape, "_tokenize", interrupted)
    with pytest.raises(KeyboardInterrupt):
        typesetter(["apple banana"])
    monkeypatch.undo()
    assert typesetter(["apple banana"]).equals(Typesetter()(["apple banana"]))


def test_an_interrupted_call_leaves_the_cache_right(monkeypatch):
    typesetter = Typesetter()

    def interrupted(self, first, count):
        raise KeyboardInterrupt

    monkeypatch.setattr(WordCache, "_break_new", interrupted)
    with pytest.raises(KeyboardInterrupt):
        typesetter(["one two three four"])
    monkeypatch.undo()
    assert typesetter(["four three two one"]).equals(Typesetter()(["four three two one"]))
