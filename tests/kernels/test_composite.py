"""Compositing: the three backends against each other, and the reference against the formula, pixel by pixel."""

import numpy as np
import pytest
import torch

from gpurender import kernels

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def make_scene(seed, *, pages=3, channels=1, glyphs=6, rules=3, pictures=1):
    """A small random scene: items overlap, stick out of the page on all sides, and some are empty."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 70, (pages, 2)).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes.astype(np.int64).prod(1) * channels)])
    backgrounds = rng.integers(0, 256, (pages, channels), dtype=np.uint8)

    slots, chunks, used = [], [], 0
    for _ in range(5):
        rows, columns = rng.integers(0, 20, 2)
        stride = (columns + 15) // 16 * 16
        bitmap = np.zeros((rows, stride), np.uint8)
        bitmap[:, :columns] = rng.choice([0, 255, 128, 77, 1], (rows, columns))
        slots.append((used, rows, columns, stride))
        chunks.append(bitmap.ravel())
        used += bitmap.size
    bitmaps = kernels.Bitmaps(np.concatenate([*chunks, np.zeros(16, np.uint8)]), np.array(slots, np.int64))

    def offsets(per_page):
        return np.arange(pages + 1, dtype=np.int64) * per_page

    total = pages * glyphs
    glyph_group = kernels.Glyphs(
        rng.integers(-12, 70, (total, 2)).astype(np.int32),
        rng.integers(0, len(slots), total).astype(np.int32),
        rng.integers(0, 256, (total, channels), dtype=np.uint8),
        offsets(glyphs),
    )
    corners = rng.integers(-300, 4800, (pages * rules, 2))
    boxes = np.concatenate([corners, corners + rng.integers(0, 2000, corners.shape)], 1).astype(np.int32)
    colors = rng.integers(0, 256, (pages * rules, channels), dtype=np.uint8)
    rule_group = kernels.Rules(boxes, colors, offsets(rules))

    extents = rng.integers(1, 30, (pages * pictures, 2))
    picture_boxes = np.concatenate([rng.integers(-20, 60, extents.shape), extents], 1).astype(np.int32)
    at = np.concatenate([[0], np.cumsum(extents.prod(1) * (channels + 1))]).astype(np.int64)
    pixels = rng.integers(0, 256, at[-1], dtype=np.uint8)
    picture_group = kernels.Pictures(picture_boxes, pixels, at[:-1], offsets(pictures))
    return kernels.Canvas(sizes, starts, backgrounds), glyph_group, bitmaps, rule_group, picture_group


def paint(scene, backend):
    # Poisoned: a byte nobody writes must show. The bytes behind the last page are not the kernel's.
    size = int(scene[0].starts[-1])
    out = torch.full((size + 64,), 171, dtype=torch.uint8)
    if backend != "cpu":
        canvas, glyphs, bitmaps, rules, pictures = scene
        bitmaps = bitmaps._replace(coverage=torch.from_numpy(bitmaps.coverage).to(DEVICE))
        pictures = pictures._replace(pixels=torch.from_numpy(pictures.pixels).to(DEVICE))
        scene = (canvas, glyphs, bitmaps, rules, pictures)
        out = out.to(DEVICE)
    kernels.composite(out, *scene, backend=backend)
    out = out.cpu().numpy()
    assert (out[size:] == 171).all()
    return out[:size]


def naive(scene):
    """The formulas of the docstrings in plain Python integers."""
    canvas, glyphs, bitmaps, rules, pictures = scene
    pages = []
    for n, (height, width) in enumerate(canvas.sizes.tolist()):
        page = np.empty((canvas.backgrounds.shape[1], height, width), np.int64)
        page[:] = canvas.backgrounds[n][:, None, None]

        def over(y, x, a, s, page=page):
            if 0 <= y < page.shape[1] and 0 <= x < page.shape[2]:
                page[:, y, x] = (a * s.astype(np.int64) + (255 - a) * page[:, y, x] + 127) // 255

        for r in range(rules.starts[n], rules.starts[n + 1]):
            left, top, right, bottom = rules.boxes[r].tolist()
            for y in range(height):
                for x in range(width):
                    cover_x = max(0, min(right, 64 * x + 64) - max(left, 64 * x))
                    cover_y = max(0, min(bottom, 64 * y + 64) - max(top, 64 * y))
                    over(y, x, (255 * cover_x * cover_y + 2048) // 4096, rules.colors[r])
        for g in range(glyphs.starts[n], glyphs.starts[n + 1]):
            start, rows, columns, stride = bitmaps.slots[glyphs.slots[g]].tolist()
            for y in range(rows):
                for x in range(columns):
                    a = int(bitmaps.coverage[start + y * stride + x])
                    over(glyphs.xy[g, 1] + y, glyphs.xy[g, 0] + x, a, glyphs.colors[g])
        for p in range(pictures.starts[n], pictures.starts[n + 1]):
            left, top, columns, rows = pictures.boxes[p].tolist()
            count = page.shape[0] + 1
            planes = pictures.pixels[pictures.at[p] :][: count * rows * columns].reshape(count, rows, columns)
            for y in range(rows):
                for x in range(columns):
                    over(top + y, left + x, int(planes[-1, y, x]), planes[:-1, y, x])
        pages.append(page.ravel())
    return np.concatenate(pages).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_reference_is_the_formula(seed, channels):
    scene = make_scene(seed, channels=channels)
    np.testing.assert_array_equal(paint(scene, "reference"), naive(scene))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", range(40))
def test_cpu_equals_reference(seed, channels):
    scene = make_scene(seed, channels=channels, glyphs=20)
    np.testing.assert_array_equal(paint(scene, "cpu"), paint(scene, "reference"))


def make_text(seed, *, channels, ink, paper):
    """Glyphs in rows, as in text: most on bare paper, many over a neighbour's edge, some over all four page edges."""
    rng = np.random.default_rng(seed)
    canvas, _, _, rules, pictures = make_scene(seed, pages=2, channels=channels, rules=0, pictures=0)
    sizes = rng.integers(30, 90, (2, 2)).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes.astype(np.int64).prod(1) * channels)])
    canvas = kernels.Canvas(sizes, starts, np.full((2, channels), paper, np.uint8))
    slots, chunks, used = [], [], 0
    for rows in range(20):
        columns = int(rng.integers(1, 40))
        stride = (columns + 15) // 16 * 16
        bitmap = np.zeros((rows, stride), np.uint8)
        bitmap[:, :columns] = rng.choice([0, 255, 254, 128, 1], (rows, columns))
        slots.append((used, rows, columns, stride))
        # What lies between two bitmaps is nobody's.
        chunks += [bitmap.ravel(), np.full(16, 99, np.uint8)]
        used += bitmap.size + 16
    bitmaps = kernels.Bitmaps(np.concatenate(chunks), np.array(slots, np.int64))
    per_page = 40
    xy = np.stack([np.arange(per_page) % 8 * 12, np.arange(per_page) // 8 * 18], 1) + rng.integers(-9, 2, (per_page, 2))
    glyphs = kernels.Glyphs(
        np.tile(xy, (2, 1)).astype(np.int32),
        rng.integers(0, len(slots), 2 * per_page).astype(np.int32),
        np.full((2 * per_page, channels), ink, np.uint8),
        np.array([0, per_page, 2 * per_page], np.int64),
    )
    return canvas, glyphs, bitmaps, rules, pictures


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (0, 254), (0, 0), (1, 255), (255, 255), (255, 0), (0, 128)])
@pytest.mark.parametrize("seed", range(8))
def test_text_on_cpu_equals_reference(seed, ink, paper, channels):
    """Black ink on bare white paper takes a path of its own, four rows at a time; what is under it must show."""
    scene = make_text(seed, channels=channels, ink=ink, paper=paper)
    np.testing.assert_array_equal(paint(scene, "cpu"), paint(scene, "reference"))


def test_every_coverage_and_pixel_on_cpu_is_the_formula():
    """Black and gray ink, all 65,536 pairs of coverage and what it is painted over."""
    slots = np.array([[16 * a, 1, 1, 16] for a in range(256)], np.int64)
    coverage = np.zeros((256, 16), np.uint8)
    coverage[:, 0] = np.arange(256)
    coverage = coverage.ravel()
    xy = np.stack([np.arange(256), np.zeros(256, int)], 1).astype(np.int32)
    empty = make_scene(0, pages=256, glyphs=0, rules=0, pictures=0)
    sizes = np.tile(np.array([[1, 272]], np.int32), (256, 1))
    canvas = kernels.Canvas(sizes, np.arange(257) * 272, np.arange(256, dtype=np.uint8)[:, None])
    for ink in (0, 1, 77, 255):
        glyphs = kernels.Glyphs(
            np.tile(xy, (256, 1)),
            np.tile(np.arange(256, dtype=np.int32), 256),
            np.full((65536, 1), ink, np.uint8),
            np.arange(257) * 256,
        )
        got = paint((canvas, glyphs, kernels.Bitmaps(coverage, slots), *empty[3:]), "cpu").reshape(256, 272)[:, :256]
        a, d = np.arange(256)[None, :], np.arange(256)[:, None]
        np.testing.assert_array_equal(got, (a * ink + (255 - a) * d + 127) // 255)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_triton_equals_reference(seed, channels):
    scene = make_scene(seed, channels=channels)
    np.testing.assert_array_equal(paint(scene, "triton"), paint(scene, "reference"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (200, 31)])
def test_text_on_triton_equals_reference(ink, paper, channels):
    scene = make_text(ink, ink=ink, paper=paper, channels=channels)
    np.testing.assert_array_equal(paint(scene, "triton"), paint(scene, "reference"))


def test_every_coverage_and_pixel_on_triton_is_the_formula():
    """Black, gray and white ink, one to a channel: every coverage on 18 levels."""
    levels = np.arange(0, 256, 15)
    empty = make_scene(0, pages=18, channels=3, glyphs=0, rules=0, pictures=0)
    sizes = np.full((18, 2), 16, np.int32)
    canvas = kernels.Canvas(sizes, np.arange(19) * 768, np.repeat(levels.astype(np.uint8)[:, None], 3, 1))
    inks = np.array([0, 77, 255], np.uint8)
    glyphs = kernels.Glyphs(
        np.zeros((18, 2), np.int32), np.zeros(18, np.int32), np.tile(inks, (18, 1)), np.arange(19, dtype=np.int64)
    )
    bitmaps = kernels.Bitmaps(np.arange(256, dtype=np.uint8), np.array([[0, 16, 16, 16]], np.int64))
    got = paint((canvas, glyphs, bitmaps, *empty[3:]), "triton").reshape(18, 3, 256)
    a, s, d = np.arange(256), inks.astype(int)[:, None], levels[:, None, None]
    np.testing.assert_array_equal(got, (a * s + (255 - a) * d + 127) // 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_items_at_the_ends_of_int32_are_the_same_everywhere(channels):
    low, high = -(2**31), 2**31 - 1
    xy = [(low, 3), (high, 3), (3, low), (3, high), (high, high), (2, 2)]
    canvas, glyphs, bitmaps, rules, pictures = make_scene(1, pages=1, channels=channels, glyphs=6, rules=4, pictures=3)
    boxes = np.array([(low, 70, high, 170), (70, low, 170, high), (high - 1, low, high, high), (low, low, low + 1, 64)])
    places = np.array([(high, 0), (low, high), (1, 1)], np.int32)
    scene = (
        canvas,
        glyphs._replace(xy=np.array(xy, np.int32)),
        bitmaps,
        rules._replace(boxes=boxes.astype(np.int32)),
        pictures._replace(boxes=np.concatenate([places, pictures.boxes[:, 2:]], 1)),
    )
    expected = paint(scene, "reference")
    for backend in ("cpu", "triton"):
        np.testing.assert_array_equal(paint(scene, backend), expected, backend)


@pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
def test_no_items_and_no_pages(backend):
    scene = make_scene(0, glyphs=0, rules=0, pictures=0)
    canvas = scene[0]
    expected = np.repeat(canvas.backgrounds[:, 0], canvas.sizes.prod(1))
    np.testing.assert_array_equal(paint(scene, backend), expected)
    assert paint(make_scene(0, pages=0), backend).size == 0


def test_draw_order_is_kept_within_a_tile():
    """The last opaque glyph wins, whatever the order of slots, in every backend."""
    scene = list(make_scene(1, pages=1, glyphs=2, rules=1, pictures=0))
    scene[0] = kernels.Canvas(np.array([[20, 20]], np.int32), np.array([0, 400], np.int64), np.array([[255]], np.uint8))
    solid = np.full((4, 16), 0, np.uint8)
    solid[:, :4] = 255
    scene[2] = kernels.Bitmaps(solid.ravel(), np.array([[0, 4, 4, 16]], np.int64))
    for colors in ([10, 200], [200, 10]):
        scene[1] = kernels.Glyphs(
            np.full((2, 2), 5, np.int32),
            np.zeros(2, np.int32),
            np.array(colors, np.uint8)[:, None],
            np.array([0, 2], np.int64),
        )
        for backend in ("reference", "cpu", "triton"):
            assert paint(scene, backend).reshape(20, 20)[6, 6] == colors[1], backend


def test_choose_backend():
    assert kernels.choose_backend("auto", "cpu") == "cpu"
    assert kernels.choose_backend("auto", "cuda:0") == "triton"
    assert kernels.choose_backend("auto", "mps") == "reference"
    assert kernels.choose_backend("reference", "cuda") == "reference"
    with pytest.raises(ValueError, match="backend must be one of auto, reference, cpu, triton, not 'gpu'"):
        kernels.choose_backend("gpu", "cpu")
    with pytest.raises(ValueError, match="'cpu' works on device 'cpu', not on 'cuda'"):
        kernels.choose_backend("cpu", "cuda")


def test_default_device(monkeypatch):
    assert [kernels.default_device(b) for b in ("auto", "cpu", "reference")] == ["cpu"] * 3
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert kernels.default_device("triton") == "cpu"
    monkeypatch.delenv("TRITON_INTERPRET")
    assert kernels.default_device("triton") == "cuda"


def test_triton_without_a_gpu_says_so(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="'triton' needs a CUDA device"):
        kernels.choose_backend("triton", "cpu")


def test_wrong_arguments_are_named():
    canvas, glyphs, bitmaps, rules, pictures = make_scene(0)
    out = np.zeros(int(canvas.starts[-1]), np.uint8)
    with pytest.raises(TypeError, match=r"Glyphs\.xy must be an array of int32, not float64"):
        kernels.composite(out, canvas, glyphs._replace(xy=glyphs.xy.astype(float)), bitmaps, rules, pictures)
    with pytest.raises(TypeError, match=r"Glyphs\.xy must be an array of int32, not list"):
        kernels.composite(out, canvas, glyphs._replace(xy=[1]), bitmaps, rules, pictures)
    with pytest.raises(ValueError, match=r"Glyphs\.slots must lie in \[0, 5\)"):
        kernels.composite(out, canvas, glyphs._replace(slots=glyphs.slots + 5), bitmaps, rules, pictures)
    with pytest.raises(ValueError, match=r"Rules\.starts must rise from 0 to 9"):
        kernels.composite(out, canvas, glyphs, bitmaps, rules._replace(starts=rules.starts + 1), pictures)
    with pytest.raises(ValueError, match="out has 10 bytes; the pages need"):
        kernels.composite(out[:10], canvas, glyphs, bitmaps, rules, pictures)
    with pytest.raises(TypeError, match="out must be a flat uint8 array, not float64"):
        kernels.composite(out.astype(float), canvas, glyphs, bitmaps, rules, pictures)


def scene_with(**changes):
    """A good scene with some arrays replaced: `Glyphs_starts=...`."""
    scene = make_scene(0, pages=1, glyphs=2, rules=1, pictures=1)
    by_name = {type(group).__name__: group for group in scene}
    for key, value in changes.items():
        group, _, field = key.partition("_")
        by_name[group] = by_name[group]._replace(**{field: value})
    return tuple(by_name.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Canvas_sizes": np.array([[3000, 3000]], np.int32)}, "Canvas.starts must be the running sum"),
        ({"Canvas_sizes": np.array([[-4, -4]], np.int32)}, "Canvas.sizes must not be negative"),
        ({"Canvas_backgrounds": np.zeros(1, np.uint8)}, r"Canvas.backgrounds must be \[N, 1\]"),
        ({"Glyphs_starts": np.array([0, 10**9], np.int64)}, "Glyphs.starts must rise from 0 to 2"),
        ({"Bitmaps_slots": np.array([[10**12, 4, 4, 16]] * 5, np.int64)}, "Bitmaps.slots must hold, inside coverage"),
        ({"Bitmaps_slots": np.array([[0, 4, 4, 10**10]] * 5, np.int64)}, "Bitmaps.slots must hold, inside coverage"),
        ({"Bitmaps_slots": np.array([[0, 4, 4, 17]] * 5, np.int64)}, "Bitmaps.slots must hold, inside coverage"),
        ({"Bitmaps_slots": np.array([[0, 4, 20, 16]] * 5, np.int64)}, "Bitmaps.slots must hold, inside coverage"),
        ({"Bitmaps_slots": np.array([[8, 0, 4, 16]] * 5, np.int64)}, "first byte, a multiple of 16, rows, columns"),
        (
            {"Bitmaps_slots": np.array([[2**63 - 1, 4, 4, 16]] * 5, np.int64)},
            "Bitmaps.slots must hold, inside coverage",
        ),
        ({"Glyphs_slots": np.array([0, -1], np.int32)}, r"Glyphs.slots must lie in \[0, 5\)"),
        ({"Glyphs_slots": np.zeros((2, 1), np.int32)}, r"Glyphs.slots must have shape \[2\], not \[2, 1\]"),
        ({"Bitmaps_coverage": np.zeros(999, np.uint8)[::-1]}, "Bitmaps.coverage must not run backwards"),
        ({"Pictures_at": np.array([10**12], np.int64)}, "Pictures must lie inside pixels"),
        ({"Pictures_boxes": np.array([[0, 0, 2**31 - 1, 2**31 - 1]], np.int32)}, "Pictures must lie inside pixels"),
        ({"Pictures_pixels": np.zeros(1, np.uint8)}, "Pictures must lie inside pixels"),
    ],
)
def test_what_points_outside_is_refused(changes, message):
    scene = scene_with(**changes)
    with pytest.raises(ValueError, match=message):
        kernels.composite(np.zeros(10_000, np.uint8), *scene)


def test_out_must_be_ours_to_write():
    scene = scene_with()
    with pytest.raises(ValueError, match="out must be contiguous and writeable"):
        kernels.composite(np.zeros(20_000, np.uint8)[::2], *scene)
    frozen = np.zeros(10_000, np.uint8)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out must be contiguous and writeable"):
        kernels.composite(frozen, *scene)


@pytest.mark.parametrize(
    "box", [(500, 100, 300, 900), (100, 900, 500, 300), (-(2**31), -(2**31), 2**31 - 1, 2**31 - 1), (70, 70, 70, 70)]
)
def test_odd_rules_are_the_same_everywhere(box):
    scene = scene_with(Rules_boxes=np.array([box], np.int32))
    expected = naive(scene)
    for backend in ("reference", "cpu", "triton"):
        np.testing.assert_array_equal(paint(scene, backend), expected, backend)


def test_empty_pictures_are_the_same_everywhere():
    scene = scene_with(Pictures_boxes=np.array([[3, 3, 0, 5]], np.int32))
    expected = naive(scene)
    for backend in ("reference", "cpu", "triton"):
        np.testing.assert_array_equal(paint(scene, backend), expected, backend)
