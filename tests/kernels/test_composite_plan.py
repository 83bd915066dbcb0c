"""The device plan of `composite`, and its Triton kernel at the edges of what a plan can say."""

import numpy as np
import pytest
import torch
from gpurender.kernels.plan import PITCH, Pitched, Plan, Table, pack_colors
from gpurender.kernels.plan import composite as layout

from gpurender import kernels

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NONE = np.zeros((0, 4), np.int32)
INT32 = np.iinfo(np.int32)


def lay(sizes, glyphs=NONE, bitmaps=NONE, rules=NONE, pictures=NONE, planes=None, starts=None, colors=None):
    """Lay out pages whose items all stand on the first one."""
    plan = Plan()
    sizes = np.array(sizes, np.int32).reshape(-1, 2)
    pages = plan.reserve(sizes)
    if starts is not None:
        pages = Pitched(sizes, np.array(starts, np.int32))

    def first_page(items):
        return np.repeat([0, len(items)], [1, len(sizes)]).astype(np.int64)

    glyphs, bitmaps, rules, pictures = (
        np.asarray(a, np.int32).reshape(-1, 4) for a in (glyphs, bitmaps, rules, pictures)
    )
    planes = np.zeros((len(pictures), 3), np.int64) if planes is None else np.array(planes, np.int64)
    backgrounds = np.full(len(sizes), -1, np.int32) if colors is None else colors
    return pages, *layout.lay_composite(
        pages, backgrounds, glyphs, first_page(glyphs), bitmaps, rules, np.zeros(len(rules), np.int32),
        first_page(rules), pictures, planes, first_page(pictures),
    )  # fmt: skip


def bands_of(table):
    return table.words[: table.programs * layout.BAND].reshape(-1, layout.BAND)


def paint(table, units, channels, coverage, pictures=None, before=0, starts=0):
    """Launch a table that stands behind others, in a pool of poisoned bytes."""
    from gpurender.kernels.triton import composite as module

    plan = Plan()
    plan.add(Table("other", np.full(before, 77, np.int32), 1))
    plan.add(table)
    pool = torch.empty((starts + units) * PITCH * channels, dtype=torch.uint8, device=DEVICE)
    pool[starts * PITCH * channels :] = 171
    empty = torch.empty(0, dtype=torch.uint8, device=DEVICE)
    words = torch.from_numpy(plan.words()).to(DEVICE)
    module.launch(pool, words, plan.launches[-1], channels, coverage, empty if pictures is None else pictures)
    return pool[starts * PITCH * channels :].cpu().numpy()


@pytest.mark.parametrize("sizes", [[], [(0, 5)], [(5, 0)], [(1, 1)], [(15, 4), (17, 300), (0, 0), (49, 1), (200, 30)]])
def test_bands_cover_every_row_once(sizes):
    pages, table, first, first_glyph = lay(sizes, glyphs=[(0, 0, 0, 0)] * bool(sizes), bitmaps=[(0, 3, 3, 16)])
    bands = bands_of(table)
    shown = [n for n, (rows, columns) in enumerate(sizes) if rows and columns]
    assert first_glyph == first + 4
    assert len(table.words) == first_glyph + 4 * bool(sizes)
    for n in shown:
        mine = bands[bands[:, layout.PAGE] == pages.starts[n]] if len(shown) > 1 else bands
        tops, bottoms = mine[:, layout.TOP].tolist(), mine[:, layout.BOTTOM].tolist()
        assert [0, *bottoms] == [*tops, sizes[n][0]]
        assert all(bottom - top <= layout.HIGH for top, bottom in zip(tops, bottoms, strict=True))
    assert len(bands) == table.programs


def test_bands_are_cut_between_lines():
    glyphs = [(x, 4 + 24 * line, 0, 0) for line in range(5) for x in range(0, 100, 10)]
    _, table, _, _ = lay([(124, 128)], glyphs, [(0, 14, 9, 16)])
    bands = bands_of(table)
    assert (bands[:, layout.GLYPHS_END] - bands[:, layout.GLYPHS]).sum() == len(glyphs) * layout.GLYPH
    assert len(bands) == 5


def test_items_off_the_page_are_dropped():
    low, high = INT32.min, INT32.max
    glyphs = [(x, y, 0, 0) for x in (low, -4, 30, high) for y in (low, -4, 30, high, 5)] + [
        (5, y, 0, 0) for y in (low, high)
    ]
    rules = [(low, low, 0, 0), (64 * 30, 0, high, high), (0, low, high, 0), (9, 9, 9, high), (high, 0, low, high)]
    pictures = [(low, low, high, high), (30, 30, high, high), (high, 0, 1, 1), (0, 0, 0, 9)]
    _, table, _, first = lay([(30, 30)], glyphs, [(0, 4, 4, 16)], rules, pictures)
    bands = bands_of(table)
    assert np.ptp(bands[:, layout.RULES : layout.END + 1]) == 0
    assert (bands[:, layout.GLYPHS] == bands[:, layout.GLYPHS_END]).all()
    # Other backends read the glyphs as they were given.
    np.testing.assert_array_equal(table.words[first:].reshape(-1, 4), glyphs)


def test_too_large_a_plan_is_refused():
    # Memory that is never touched.
    with pytest.raises(ValueError, match="too many glyphs for a device plan"):
        lay([(30, 30)], bitmaps=np.empty((2**29, 4), np.int32))


def test_glyphs_off_the_page_between_others_are_harmless():
    """A band's stretch holds them where glyphs before and after them show on it."""
    low, high = INT32.min, INT32.max
    off = [(x, y, 0, 0) for x in (low, -4, 30, high) for y in (low, -4, 30, high, 5)]
    _, table, _, _ = lay([(30, 30)], [(1, 1, 0, 0), *off, (9, 2, 0, 0)], [(0, 4, 4, 16)])
    bands = bands_of(table)
    assert (bands[0, layout.GLYPHS_END] - bands[0, layout.GLYPHS]) // layout.GLYPH == len(off) + 2
    coverage = torch.zeros(64, dtype=torch.uint8, device=DEVICE)
    coverage.view(4, 16)[:, :4] = 255
    got = paint(table, 30 * 2, 1, coverage).reshape(30, 32)[:, :30]
    expected = np.full((30, 30), 255)
    expected[1:5, 1:5] = expected[2:6, 9:13] = 0
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_plan_serves_all_channels_and_may_stand_anywhere(channels):
    """The bitmaps' first bytes are filled in later, as the renderer does it."""
    colors = pack_colors(np.array([[250, 240, 230], [10, 200, 90]], np.uint8))
    _, table, first, _ = lay([(20, 21)], [(-2, 3, 0, colors[1])], [(999, 5, 7, 16)], colors=colors[:1])
    table.words[first] = 2
    coverage = torch.zeros(32 + 5 * 16, dtype=torch.uint8)
    coverage[32:].view(5, 16)[:, :7] = 255
    got = paint(table, 20 * 2, channels, coverage.to(DEVICE), before=13).reshape(channels, 20, 32)[:, :, :21]
    paper, ink = ([242], [131]) if channels == 1 else ([250, 240, 230], [10, 200, 90])
    expected = np.broadcast_to(np.array(paper, np.uint8)[:, None, None], got.shape).copy()
    expected[:, 3:8, :5] = np.array(ink, np.uint8)[:, None, None]
    np.testing.assert_array_equal(got, expected)


def test_pages_and_bitmaps_beyond_4_gib():
    """Most of the buffers is never touched, and so takes no memory."""
    start, at = 2**28 + 3, 2**28 + 1
    _, table, _, _ = lay([(3, 9)], [(1, 1, 0, 0)], [(at, 1, 3, 16)], starts=[start])
    coverage = torch.empty(at * 16 + 16, dtype=torch.uint8, device=DEVICE)
    coverage[-16:] = 0
    coverage[-16:-13] = 255
    got = paint(table, 3, 1, coverage, starts=start).reshape(3, 16)[:, :9]
    expected = np.full((3, 9), 255)
    expected[1, 1:4] = 0
    np.testing.assert_array_equal(got, expected)


def test_pictures_in_a_buffer_of_any_size_and_address():
    pixels = np.arange(1, 100, dtype=np.uint8)
    # Gray and alpha planes of 3 x 5 px, at odd places; the last byte of the buffer is the picture's.
    odd = torch.from_numpy(pixels)[1 : 1 + 8 + 30].to(DEVICE)
    assert odd.data_ptr() % PITCH or DEVICE == "cuda"
    _, table, _, _ = lay([(4, 6)], pictures=[(-1, 2, 5, 3)], planes=[(8, 8, 23)])
    got = paint(table, 4, 1, odd[:0], odd).reshape(4, 16)[:, :6]
    expected = np.full((4, 6), 255)
    source = odd.cpu().numpy().astype(int)
    color, alpha = source[8:23].reshape(3, 5)[:2, 1:], source[23:38].reshape(3, 5)[:2, 1:]
    expected[2:, :4] = (alpha * color + (255 - alpha) * 255 + 127) // 255
    np.testing.assert_array_equal(got, expected)


def test_the_blend_is_exact_for_every_coverage_color_and_pixel():
    """All 2**24, as the kernel computes them; with FMAs that round once, and as two operations."""
    byte = np.arange(256)
    single, level = np.float32, np.float32(2**23) + byte.astype(np.float32)
    scale, offset = single(1 / 255), single(-(2**15) / 255)
    biased = single(2**15) + byte.astype(single)
    fused = (biased.astype(np.float64) * float(scale) + float(offset)).astype(single)
    for share, once in ((fused, True), (biased * scale + offset, False)):
        for ink in range(256):
            change = level[ink] - level
            product = share[:, None].astype(np.float64) * change if once else share[:, None] * change
            got = (product + level).astype(single) - single(2**23)
            expected = (byte[:, None] * ink + (255 - byte[:, None]) * byte + 127) // 255
            np.testing.assert_array_equal(got, expected)


def test_scenes_of_many_and_large_glyphs():
    """Glyphs on one spot, in draw order, and one larger than a band, over all edges."""
    rng = np.random.default_rng(3)
    big = rng.integers(0, 256, (90, 80), dtype=np.uint8)
    small = np.zeros((9, 16), np.uint8)
    small[:, :11] = rng.integers(0, 256, (9, 11))
    xy = np.concatenate([[[-7, -9]], np.full((60, 2), 13)]).astype(np.int32)
    colors = rng.integers(0, 256, (61, 3), dtype=np.uint8)
    scene = (
        kernels.Canvas(np.array([[70, 65]], np.int32), np.array([0, 3 * 70 * 65]), np.array([[250, 3, 77]], np.uint8)),
        kernels.Glyphs(xy, (np.arange(61) > 0).astype(np.int32), colors, np.array([0, 61])),
        kernels.Bitmaps(
            torch.from_numpy(np.concatenate([big.ravel(), small.ravel()])).to(DEVICE),
            np.array([[0, 90, 80, 80], [7200, 9, 11, 16]], np.int64),
        ),
        kernels.Rules(NONE, np.zeros((0, 3), np.uint8), np.zeros(2, np.int64)),
        kernels.Pictures(
            NONE, torch.empty(0, dtype=torch.uint8, device=DEVICE), np.zeros(0, np.int64), np.zeros(2, np.int64)
        ),
    )
    results = []
    for backend in ("reference", "triton"):
        out = torch.full((3 * 70 * 65,), 171, dtype=torch.uint8, device=DEVICE)
        results.append(kernels.composite(out, *scene, backend=backend).cpu().numpy())
    np.testing.assert_array_equal(*results)
