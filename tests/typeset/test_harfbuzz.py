"""HarfBuzz by its C functions: what uharfbuzz's own objects say."""

from pathlib import Path

import numpy as np
import pytest
import uharfbuzz
from fontTools.ttLib import TTFont

from gpurender.typeset.fonts import find_font
from gpurender.typeset.harfbuzz import (
    COMMON,
    INHERITED,
    LEFT_TO_RIGHT,
    RIGHT_TO_LEFT,
    UNKNOWN,
    HarfBuzzFont,
    compose,
    coverage,
    language_pointer,
    new_buffer,
    nominal_glyph,
    script_of,
    shape_run,
)


@pytest.fixture(scope="module")
def data():
    return Path(find_font("DejaVu Sans").file).read_bytes()


def test_coverage_is_the_fonts_cmap(data):
    cmap = TTFont(find_font("DejaVu Sans").file).getBestCmap()
    found = coverage(data, 0)
    assert found.dtype == np.uint32
    assert found.tolist() == sorted(cmap)
    assert len(coverage(b"junk", 0)) == len(coverage(b"", 0)) == 0


def test_nominal_glyphs(data):
    font = HarfBuzzFont(data, 0, 1280)
    theirs = uharfbuzz.Font(uharfbuzz.Face(data))
    for code in (0x41, 0x3A9, 0x5D0, 0x0301, 0x4E2D, 0x10FFFF, 0xD800):
        assert nominal_glyph(font.pointer, code) == font.glyph(code) == (theirs.get_nominal_glyph(code) or 0)


def test_compositions_and_scripts():
    assert compose(ord("e"), 0x301) == ord("é")
    assert compose(0x1100, 0x1161) == 0xAC00
    assert compose(ord("x"), 0x301) == 0
    names = {"a": "Latn", "я": "Cyrl", "א": "Hebr", "ب": "Arab", "क": "Deva", "中": "Hani", "か": "Hira", "한": "Hang"}
    for c, name in names.items():
        assert int(script_of(ord(c))).to_bytes(4, "big").decode() == name
    assert [int(script_of(code)) for code in (0x20, 0x301, 0x378)] == [COMMON, INHERITED, UNKNOWN]


@pytest.mark.parametrize("text", ["AVATAR", "office", "e\u0301x\u0332", "שָׁלוֹם", "مَرْحَبًا", "لا", "(א)", "\u200d\u0301"])
def test_a_run_is_shaped_as_uharfbuzz_shapes_it(data, text):
    font = HarfBuzzFont(data, 0, 1280)
    codes = np.array([ord(c) for c in "ab" + text + "cd"], np.uint32)
    direction = RIGHT_TO_LEFT if any("\u0590" < c < "\u0700" for c in text) else LEFT_TO_RIGHT
    length = np.zeros(1, np.uint32)
    infos, places = shape_run(new_buffer(), font.pointer, codes, 2, 2 + len(text), direction, 0, length)
    theirs = uharfbuzz.Font(uharfbuzz.Face(data))
    theirs.scale = (1280, 1280)
    buffer = uharfbuzz.Buffer()
    buffer.add_codepoints([ord(c) for c in text])
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if direction == RIGHT_TO_LEFT else "ltr"
    uharfbuzz.shape(theirs, buffer)
    assert infos[:, 0].tolist() == [info.codepoint for info in buffer.glyph_infos]
    assert infos[:, 2].tolist() == [info.cluster for info in buffer.glyph_infos]
    # uharfbuzz has offsets first.
    expected = [place.position for place in buffer.glyph_positions]
    assert places[:, [2, 3, 0, 1]].tolist() == [list(place) for place in expected]


def test_languages():
    assert language_pointer("") == 0
    assert language_pointer("sr") == language_pointer("SR") != language_pointer("ru")


def test_a_language_chooses_its_own_letters(noto):
    from gpurender.typeset import Typesetter

    # Serbian's italic-like be, where the font has it.
    shapes = {tag: Typesetter(font="Noto Sans", language=tag)(["б"]).glyph_ids.tolist() for tag in ("sr", "ru")}
    assert shapes["sr"] != shapes["ru"]
