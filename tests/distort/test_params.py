"""Params: plain data, and the geometry that points and boxes follow."""

import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender.distort import BoxBlur, Compose, GaussianBlur, OneOf, Params, Rotate, Wave, presets, steps, transform

MOVES = [
    Rotate(8),
    Rotate(180),
    Wave((2, 6), (60, 200), axis="both"),
    Compose([Rotate(20), Wave((2, 5), (80, 200))]),
    Compose([Wave((2, 5), (80, 200), axis="both"), Rotate(20), Rotate((90, 90))]),
    Compose([Wave(3, 100), Rotate(4), Wave(4, 150), Rotate(3, expand=False)]),
    Compose([Rotate(30, expand=False), Wave(3, 90, expand=False)]),
]


def test_plain_tensors_on_the_cpu():
    params = presets.lomo().make_params(range(20), [[50, 100]] * 20)
    for tensor, dtype in (
        (params.kinds, torch.int64),
        (params.values, torch.float64),
        (params.offsets, torch.int64),
        (params.sizes, torch.int32),
        (params.out_sizes, torch.int32),
    ):
        assert tensor.device.type == "cpu"
        assert tensor.dtype == dtype
    again = Params(params.kinds, params.values, params.offsets, params.sizes)
    assert [again.to_json(n) for n in range(20)] == [params.to_json(n) for n in range(20)]
    assert pickle.loads(pickle.dumps(params)).values.equal(params.values)


@pytest.mark.parametrize("op", [presets.mild(), presets.lomo(), presets.harsh(), *MOVES], ids=repr)
def test_json_is_the_program(op, pages):
    params = op.make_params(range(len(pages)), pages.sizes, seed=4)
    texts = [json.dumps(json.loads(params.to_json(n))) for n in range(len(pages))]
    replayed = Params.from_json(texts, pages.sizes)
    assert replayed.values.equal(params.values)
    assert replayed.kinds.equal(params.kinds)
    assert transform(pages, replayed).buffer.equal(transform(pages, params).buffer)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[3]", '[{"op": "Turn"}]', '[{"op": "Rotate", "degrees": 3}]', "{}x", "{}", "null", "[" * 100_000),
        '[{"op": "GaussianBlur", "sigma": "1"}]',
        '[{"op": "GaussianBlur", "sigma": 1, "more": 2}]',
        '[{"op": "GaussianBlur", "sigma": 1' + "0" * 400 + "}]",
    ],
)
def test_what_is_no_program_is_named(text):
    with pytest.raises(ValueError, match=r"texts\[1\] is not the JSON of a program"):
        Params.from_json(["[]", text], [[5, 5]] * 2)


def test_texts_and_sizes_go_together():
    with pytest.raises(ValueError, match="texts has 2 items for 1 sizes"):
        Params.from_json(["[]", "[]"], [[5, 5]])


def test_params_do_not_change():
    """Neither by what they were made of, nor by what they hand out."""
    sizes = np.array([[20, 30]], np.int32)
    params = BoxBlur(5).make_params(["a"], sizes)
    before = params.to_json(0), params.out_sizes.tolist()
    sizes[:] = 7
    params.values[0, 0] = 4
    params.offsets[1] = 10**9
    assert (params.to_json(0), params.out_sizes.tolist()) == before


def test_a_canvas_that_no_image_can_have_is_refused():
    wave = {"op": "Wave", "amplitude_x": 9999, "wavelength_x": 100, "phase_x": 0}
    wave |= {"amplitude_y": 0, "wavelength_y": 100, "phase_y": 0, "expand": True}
    with pytest.raises(ValueError, match=r"image 1: its canvas would have .* px"):
        Params.from_json(["[]", json.dumps([wave])], [[5, 5], [3, 2**28 - 9]])


def test_select_takes_programs_in_order(pages):
    params = presets.harsh().make_params(range(len(pages)), pages.sizes)
    part = params.select([2, 0, 2])
    assert [part.to_json(n) for n in range(3)] == [params.to_json(n) for n in (2, 0, 2)]
    assert part.sizes.tolist() == params.sizes[[2, 0, 2]].tolist()
    masked = params.select(np.array([False, True, False, True]))
    assert [masked.to_json(n) for n in range(2)] == [params.to_json(n) for n in (1, 3)]
    with pytest.raises(ValueError, match=r"images must lie in \[0, 4\)"):
        params.select([-1])
    with pytest.raises(TypeError, match="images must be integers, not float64"):
        params.select([0.5])


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"kinds": np.array([9])}, ValueError, r"kinds must lie in \[0, 7\)"),
        ({"values": np.zeros((1, 3))}, ValueError, r"values must have shape \[1, 8\], not \[1, 3\]"),
        ({"values": np.full((1, 8), np.nan)}, ValueError, "Rotate's degrees must lie in"),
        (
            {"kinds": np.array([2]), "values": np.full((1, 8), 9.0)},
            ValueError,
            r"GaussianBlur's sigma must lie in \[0, 8\]",
        ),
        (
            {"kinds": np.array([3]), "values": np.full((1, 8), 2.5)},
            ValueError,
            r"kernel_size must lie in \[1, 49\] in steps of 2",
        ),
        ({"kinds": np.array([1])}, ValueError, "Wave's wavelength_x must lie in"),
        ({"values": "no"}, TypeError, "values must be an array of float64, not str"),
        ({"offsets": np.array([0, 2])}, ValueError, "offsets must rise from 0 to 1"),
        ({"offsets": np.array([0, 1, 1])}, ValueError, "offsets must have shape"),
        ({"sizes": np.array([[0, 3]], np.int32)}, ValueError, "sizes must be at least 1 x 1"),
        ({"sizes": torch.ones((1, 2), dtype=torch.int32, device="meta")}, ValueError, "sizes must lie on the CPU"),
    ],
)
def test_wrong_arrays_are_named(change, error, told):
    good = {
        "kinds": np.array([0]),
        "values": np.zeros((1, 8)),
        "offsets": np.array([0, 1]),
        "sizes": np.array([[4, 4]], np.int32),
    }
    Params(**good)
    with pytest.raises(error, match=told):
        Params(**(good | change))


def dot(height, width, x, y):
    """A page with a soft black dot around (x, y), which may lie between pixels."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    ink = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)
    return np.round(255 * (1 - ink)).astype(np.uint8)[None]


@pytest.mark.parametrize("op", MOVES, ids=repr)
@given(st.integers(0, 2**32), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
@settings(max_examples=15)
def test_points_go_where_the_ink_goes(make_pages, op, seed, x, y):
    """The middle of a dot's ink is where map_points says, within half a pixel; in truth much nearer."""
    height, width = 90, 140
    x, y = 12 + x * (width - 24), 12 + y * (height - 24)
    page = make_pages([dot(height, width, x, y)])
    params = op.make_params(["p"], page.sizes, seed=seed)
    ink = 255.0 - transform(page, params).to_numpy()[0][0]
    if ink.sum() < 0.9 * (255.0 - page.to_numpy()[0]).sum():
        # Turned out of a canvas that keeps its size.
        assert not all(step.get("expand", True) for step in params.describe(0))
        return
    rows, columns = np.mgrid[: ink.shape[0], : ink.shape[1]] + 0.5
    middle = (columns * ink).sum() / ink.sum(), (rows * ink).sum() / ink.sum()
    np.testing.assert_allclose(params.map_points([[x, y]], 0)[0], middle, atol=0.3)


def test_points_of_several_images(pages):
    op = OneOf([Rotate(8), Wave(3, 100), GaussianBlur(1)])
    params = op.make_params(range(len(pages)), pages.sizes)
    points = np.array([[1.5, 2.5], [10, 20], [30, 5]])
    mapped = params.map_points(points, [2, 0, 2])
    for k, n in enumerate([2, 0, 2]):
        np.testing.assert_array_equal(params.select([n]).map_points(points[k : k + 1], 0)[0], mapped[k])
    assert params.map_points(np.empty((0, 2)), []).shape == (0, 2)
    with pytest.raises(ValueError, match=r"images must lie in \[0, 4\)"):
        params.map_points(points, [0, 1, 4])
    with pytest.raises(ValueError, match=r"points must have shape \[N, 2\]"):
        params.map_points([1, 2], 0)


def test_right_angles_move_corners_onto_corners():
    params = Rotate((90, 90)).make_params(["a"], [[30, 50]])
    np.testing.assert_array_equal(params.map_points([[0, 0], [50, 0], [50, 30]], 0), [[0, 50], [0, 0], [30, 0]])


@pytest.mark.parametrize("op", MOVES, ids=repr)
def test_word_boxes_hold_the_ink_of_their_words(op, layout, pages):
    """After the distortion every word's ink lies in its mapped box, and all ink in some box."""
    params = op.make_params(range(len(pages)), pages.sizes, seed=9)
    done = transform(pages, params).to_numpy()
    for n, after in enumerate(done):
        if not all(step["expand"] for step in params.describe(n)):
            continue
        words = layout.words[layout.word_offsets[n] : layout.word_offsets[n + 1]]
        boxes = params.map_boxes(words, n)
        assert (boxes[:, 0] >= 0).all()
        assert (boxes[:, 2] <= after.shape[2]).all()
        inside = np.zeros(after.shape[1:], bool)
        for left, top, right, bottom in boxes:
            inside[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
        ink = 255.0 - after[0]
        # A box may cut a pixel of interpolated ink, and a glyph's overhang.
        assert ink.sum() > 0
        assert ink[~inside].sum() <= 0.02 * ink.sum()


@pytest.mark.parametrize("op", [*MOVES, Wave(9, (8, 40), axis="both"), Compose([Wave(50, 60), Wave(9, 20)])], ids=repr)
def test_boxes_hold_their_outlines(op):
    """Beside a dense outline, within half a pixel; and the same whatever other boxes are asked for."""
    params = op.make_params(["a"], [[200, 400]], seed=3)
    boxes = np.array([[10, 10, 60, 30], [0, 0, 400, 200], [50, 40, 51, 190], [7, 7, 7, 7]], float)
    found = params.map_boxes(boxes, 0)
    t = np.linspace(0, 1, 5000)
    for (x0, y0, x1, y1), box in zip(boxes, found, strict=True):
        x, y = x0 + (x1 - x0) * t, y0 + (y1 - y0) * t
        sides = [(x, y0 + 0 * t), (x, y1 + 0 * t), (x0 + 0 * t, y), (x1 + 0 * t, y)]
        points = params.map_points(np.concatenate([np.stack(side, 1) for side in sides]), 0)
        np.testing.assert_allclose(box, [*points.min(0), *points.max(0)], atol=0.2)
    for k in range(4):
        np.testing.assert_array_equal(params.map_boxes(boxes[k : k + 1], 0)[0], found[k])
    with pytest.raises(ValueError, match="boxes must be finite"):
        params.map_boxes([[0, 0, np.nan, 1]], 0)


def test_boxes_of_nothing_done_are_themselves():
    boxes = np.array([[1, 2, 30, 9], [0, 0, 5, 5]])
    params = GaussianBlur(1).make_params("ab", [[20, 40]] * 2)
    np.testing.assert_array_equal(params.map_boxes(boxes, [0, 1]), boxes)
    assert params.map_boxes(np.empty((0, 4)), []).shape == (0, 4)


@pytest.mark.parametrize(
    "op",
    [
        Rotate(180),
        Wave((1, 9), (30, 300), axis="both"),
        Compose(
            [Rotate(30), Rotate(9), Wave((1, 9), (40, 300)), Rotate(20), Rotate((90, 90)), Rotate(3, expand=False)]
        ),
    ],
    ids=repr,
)
@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=20)
def test_the_warp_looks_where_points_came_from(op, seed, height, width):
    """map_points and the inverse map of the one pass undo each other, to rounding."""
    params = op.make_params(["a"], [[height, width]], seed=seed)
    _, _, _, _, maps, *_ = steps.plan(*params.program())
    assert len(maps) == 1
    points = np.random.default_rng(seed).random((20, 2)) * [width, height]
    x, y = params.map_points(points, 0).T - 0.5
    a, b, c, d, e, f, ax, kx, px, ay, ky, py, a2, b2, c2, d2, e2, f2 = maps[0]
    x, y = a * x + b * y + c, d * x + e * y + f
    y = y - ay * np.sin(2 * np.pi * (ky * x + py))
    x = x - ax * np.sin(2 * np.pi * (kx * y + px))
    back = np.stack([a2 * x + b2 * y + c2, d2 * x + e2 * y + f2], 1) + 0.5
    np.testing.assert_allclose(back, points, atol=1e-9)
