"""HarfBuzz by its C functions: what uharfbuzz's own objects say."""

from pathlib import Path

import numpy as np
import pytest
import uharfbuzz
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable

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
    variants,
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
    infos, places = shape_run(new_buffer(), font.pointer, codes, 2, 2 + len(text), direction, 0, length, 0)
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


@pytest.mark.parametrize(
    ("before", "text", "after"),
    [("", "ب", ""), ("ب", "ب", ""), ("", "ب", "ب"), ("ب", "بِب", "ب"), ("د", "ب", "ب"), ("a", "ب", "1")],
)
def test_a_run_joins_to_the_letters_around_it(data, before, text, after):
    font, length = HarfBuzzFont(data, 0, 1280), np.zeros(1, np.uint32)
    codes = np.array([ord(c) for c in f"xy{before or ' '}{text}{after or ' '}z"], np.uint32)
    arguments = codes, 3, 3 + len(text), RIGHT_TO_LEFT, 0, length
    infos, _ = shape_run(new_buffer(), font.pointer, *arguments, 1)
    theirs = uharfbuzz.Font(uharfbuzz.Face(data))
    buffer = uharfbuzz.Buffer()
    buffer.add_codepoints(codes.tolist(), 3, len(text))
    buffer.guess_segment_properties()
    buffer.direction = "rtl"
    uharfbuzz.shape(theirs, buffer)
    assert infos[:, 0].tolist() == [info.codepoint for info in buffer.glyph_infos]
    assert infos[:, 2].tolist() == [info.cluster - 3 for info in buffer.glyph_infos]


def test_variation_sequences_are_those_of_the_fonts_cmap(tmp_path, data):
    font = TTFont(find_font("DejaVu Sans").file)
    table = CmapSubtable.newSubtable(14)
    table.platformID, table.platEncID, table.language, table.cmap = 0, 5, 0, {}
    table.uvsDict = {0xFE00: [(0x61, None), (0x62, "c")], 0xE0101: [(0x63, "d")]}
    font["cmap"].tables.append(table)
    font.save(tmp_path / "made.ttf")
    made = (tmp_path / "made.ttf").read_bytes()
    assert {selector: codes.tolist() for selector, codes in variants(made, 0).items()} == {
        0xFE00: [0x61, 0x62],
        0xE0101: [0x63],
    }
    assert variants(data, 0) == variants(b"junk", 0) == {}
    shaper = HarfBuzzFont(made, 0, 1280)
    pairs = [(0x61, 0xFE00), (0x62, 0xFE00), (0x63, 0xFE00), (0x63, 0xE0101), (0x62, 0xE0101)]
    assert [shaper.has_variant(*pair) for pair in pairs] == [True, True, False, True, False]


def test_languages():
    assert language_pointer("") == 0
    assert language_pointer("sr") == language_pointer("SR") != language_pointer("ru")


def test_a_language_chooses_its_own_letters(noto):
    from gpurender.typeset import Typesetter

    # Serbian's italic-like be, where the font has it.
    shapes = {tag: Typesetter(font="Noto Sans", language=tag)(["б"]).glyph_ids.tolist() for tag in ("sr", "ru")}
    assert shapes["sr"] != shapes["ru"]
