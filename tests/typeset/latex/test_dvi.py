"""DVI made by hand, so that no TeX is needed."""

import numpy as np

from gpurender.typeset.latex import dvi
from gpurender.typeset.latex.box import COLOR, FOREGROUND, ID, XMAX, YMAX, X, Y

PT = 65536
PREAMBLE = bytes([247, 2]) + bytes(12) + bytes([3]) + b"abc"


def four(*numbers):
    return b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)


def page(body, *counts):
    return bytes([139]) + four(*[*counts, *[0] * 10][:10], -1) + body + bytes([140])


def read(data, *, scale=64 / PT, table=4, known=True):
    """Pages, glyphs, rules, specials, unknown fonts and the rest, with one font: code c is glyph c + 1, 5 pt wide."""
    rows = np.full(300, -1, np.int32)
    if known:
        rows[7] = 0
    metrics = np.zeros((1, 3, 256), np.int32)
    metrics[0, 0], metrics[0, 1], metrics[0, 2] = 5 * PT, 4 * PT, PT
    ids = np.arange(1, 257, dtype=np.int32)[None].copy()
    ids[0, 9] = -1
    out = (
        np.zeros((9, 14), np.int64),
        np.zeros((99, 9), np.int32),
        np.zeros((99, 5), np.int32),
        np.zeros((9, 5), np.int64),
    )
    unknown = np.zeros(9, np.int64)
    padded = np.frombuffer(data + bytes(64), np.uint8)
    found = dvi.read_pages(padded, len(data), rows, metrics, ids, np.zeros(1, np.int32), scale, table, *out, unknown)
    return [*(array[:count] for array, count in zip((*out, unknown), found, strict=False)), found[-1]]


def line(left, baseline, wide, tall, **options):
    """A rule of 1/64 px sizes at (left, baseline), as it is placed."""
    body = bytes([146]) + four(left) + bytes([160]) + four(baseline) + bytes([137]) + four(tall, wide)
    return read(page(body), scale=1.0, **options)[2][0].tolist()


def test_glyphs_advance_and_stand_from_the_baseline():
    body = bytes([160]) + four(10 * PT) + bytes([178, 65, 66, 146]) + four(PT // 2) + bytes([67])
    pages, glyphs, *_ = read(PREAMBLE + page(body, 3, 20 * PT, 10 * PT, 2 * PT))
    assert pages[0, :4].tolist() == [3, 20 * PT, 10 * PT, 2 * PT]
    assert glyphs[:, [ID, X, Y]].tolist() == [[66, 0, 0], [67, 320, 0], [68, 672, 0]]
    assert glyphs[0, [XMAX, YMAX, COLOR]].tolist() == [320, 256, FOREGROUND]


def test_push_pop_and_the_four_movers():
    moves = bytes([141, 178, 148, 5, 147, 153, 6, 152, 162, 1, 161, 167, 2, 166, 65, 142, 66, 133, 67, 68])
    _, glyphs, *_ = read(page(moves), scale=1.0)
    assert glyphs[:, [X, Y]].tolist() == [[22, 6], [0, 0], [5 * PT, 0], [5 * PT, 0]]


def test_a_page_that_has_not_come_yet_is_left():
    whole = page(bytes([178, 65]))
    for cut in range(len(whole)):
        pages, glyphs, *_, rest = read(PREAMBLE + whole + whole[:cut])
        assert (len(pages), len(glyphs), rest) == (1, 1, len(PREAMBLE) + len(whole))


def test_fonts_that_are_not_known_are_reported_and_missing_glyphs_noted():
    definition = bytes([243, 7]) + four(0, 10 * PT, 10 * PT) + bytes([0, 4]) + b"font"
    data = page(definition + bytes([178, 65]))
    *_, unknown, _ = read(data, known=False)
    assert unknown.tolist() == [45]
    assert len(read(data)[4]) == 0
    assert read(page(bytes([178, 9])))[0][0, dvi.TROUBLE] == dvi.NO_GLYPH


def test_specials_say_what_came_before_them():
    body = bytes([178, 65, 239, 3]) + b"abc" + bytes([66])
    specials = read(page(body))[3]
    assert specials[0].tolist() == [0, 1, 0, 45 + 4, 3]


def test_boxes_deeper_than_any_page_are_trouble():
    pages, *_ = read(page(bytes([141] * 2000 + [142] * 2000)))
    assert pages[0, dvi.TROUBLE] == dvi.TOO_DEEP


def test_horizontal_lines_stand_on_a_row_and_are_whole_pixels_thick():
    assert line(10, 100, 500, 66) == [10, 64, 510, 128, FOREGROUND]
    assert line(10, 95, 500, 20) == [10, 0, 510, 64, FOREGROUND]
    assert line(10, 100, 500, 133)[1:4] == [0, 510, 128]


def test_vertical_lines_begin_at_a_pixel_and_cover_each_row_they_touch():
    assert line(90, 700, 66, 500) == [64, 192, 128, 704, FOREGROUND]


def test_in_a_table_ends_are_whole_pixels_too():
    style = bytes([146]) + four(40) + bytes([160]) + four(95) + bytes([137]) + four(66, 530)
    assert read(page(style, 0, 0, 0, 0, 1), scale=1.0)[2][0].tolist() == [64, 0, 576, 64, FOREGROUND]
    assert read(page(style), scale=1.0)[2][0].tolist() == [40, 0, 570, 64, FOREGROUND]


def test_areas_side_by_side_meet():
    left, right = line(10, 1000, 333, 401), line(343, 1000, 333, 401)
    assert left[2] == right[0]
    assert (left[1] % 64, left[3] % 64) == (0, 0)


def test_rules_without_a_side_are_none():
    body = bytes([137]) + four(0, 100) + bytes([132]) + four(100, -1)
    assert len(read(page(body))[2]) == 0
