"""Resampling: backends against the reference; what must be exact; what arguments are refused."""

import numpy as np
import pytest
from gpurender.kernels import Images, Warps
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender import kernels

BACKENDS = ["cpu"]
SIZES = [(1, 1), (1, 40), (50, 1), (63, 123), (40, 16), (33, 200)]
WAVE = (3, 1 / 300, 0.3, 2.5, 1 / 90, 0.7)


def affine(a=1.0, b=0.0, c=0.0, d=0.0, e=1.0, f=0.0):
    return (a, b, c, d, e, f)


def rotation(degrees, size, canvas, scale=1.0):
    """The map from a canvas to an image, centre to centre."""
    cos, sin = np.cos(np.radians(degrees)) / scale, np.sin(np.radians(degrees)) / scale
    y, x = ((n - 1) / 2 for n in canvas)
    v, u = ((n - 1) / 2 for n in size)
    return (cos, sin, u - cos * x - sin * y, -sin, cos, v + sin * x - cos * y)


def warps(rows, paper):
    rows = [(*first, *wave, *second) for first, wave, second in rows]
    return Warps(np.array(rows, np.float64), np.array(paper, np.uint8))


def warp_one(run, ragged, image, canvas, first, backend, wave=(0,) * 6, second=None, paper=255):
    """One image `[height, width]` through a map."""
    parameters = warps([(first, wave, second or affine())], [[paper]])
    return run(kernels.warp, ragged.empty([canvas]), ragged([image[None]]), parameters, backend)[0][0]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ["rotation", "wave", "wave first", "both"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_agrees_with_the_reference(ragged, compare, backend, kind, channels):
    canvases = [(1, 1), (9, 61), (70, 3), (120, 150), (17, 300), (64, 128)]
    source, target = ragged.noise(SIZES, channels), ragged.empty(canvases, channels)
    rng = np.random.default_rng(len(kind))
    rows = []
    for size, canvas in zip(SIZES, canvases, strict=True):
        turn = rotation(rng.uniform(-180, 180), size, canvas, rng.uniform(0.5, 2))
        shift = affine(c=rng.uniform(-9, 9), f=rng.uniform(-9, 9))
        rows.append(
            {
                "rotation": (turn, (0,) * 6, affine()),
                "wave": (shift, WAVE, affine()),
                "wave first": (shift, WAVE, turn),
                "both": (turn, WAVE, shift),
            }[kind]
        )
    compare(kernels.warp, target, source, warps(rows, rng.integers(0, 256, (len(SIZES), channels))), backend)


@pytest.mark.parametrize(
    ("first", "wave", "second"),
    [
        (affine(c=1e9, f=-1e9), (0,) * 6, affine()),
        (affine(a=1e9, b=-1e9, c=0.25), (0,) * 6, affine()),
        (affine(a=1e9, e=1e9), (1e9, 1e9, 1e9, 1e9, -1e9, 1e9), affine(1e9, 1e9, 1e9, 1e9, 1e9, 1e9)),
        (affine(c=1e9), (0,) * 6, affine(c=-1e9 + 0.3137)),
        (affine(a=70.3, e=0.01), (0,) * 6, affine(c=0.125)),
        (affine(a=1e-9, e=-0.3137, f=40.1), (0,) * 6, affine()),
        (affine(a=0, e=0, c=3.5, f=7.25), (0,) * 6, affine()),
        (affine(a=1e-300, c=5, b=1e-300), (0,) * 6, affine()),
        (affine(), (100.3, 0.01, 0, 0, 0, 0), affine()),
        (affine(), (0, 0, 0, 3, 2.3, 0.1), affine()),
        (affine(a=40, c=-500), (2, 0.3, 0, 3, 0.02, 0), affine(b=0.5)),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_map(ragged, run, compare, backend, first, wave, second):
    source, target = ragged.noise([(63, 123)]), ragged.empty([(50, 70)])
    parameters = warps([(first, wave, second)], [[200]])
    if max(map(abs, wave)) < 1e6:
        compare(kernels.warp, target, source, parameters, backend)
    else:
        # 64 bits cannot tell where such a map looks; that nothing else is written is still looked at.
        run(kernels.warp, target, source, parameters, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_maps_too_large_for_numbers(ragged, run, backend):
    huge = affine(*[1e300] * 6)
    out = warp_one(run, ragged, np.zeros((9, 9), np.uint8), (20, 30), huge, backend, second=huge, wave=(1e300,) * 6)
    assert (out == 255).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("backend", BACKENDS)
def test_right_angles_are_exact(ragged, run, backend, turns, size):
    image = ragged.noise([size]).arrays[0][0]
    expected = np.rot90(image, turns)
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][turns]
    y, x = ((n - 1) / 2 for n in expected.shape)
    v, u = ((n - 1) / 2 for n in size)
    # rot90 turns counter-clockwise; y points down.
    first = (cos, -sin, u - cos * x + sin * y, sin, cos, v - sin * x - cos * y)
    assert (warp_one(run, ragged, image, expected.shape, first, backend) == expected).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_half_step_is_a_mean(ragged, run, backend):
    image = ragged.noise([(20, 100)]).arrays[0][0]
    out = warp_one(run, ragged, image, (20, 99), affine(c=0.5), backend)
    assert (out == (image[:, 1:].astype(int) + image[:, :-1] + 1) // 2).all()


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 90), st.integers(0, 255), st.integers(-50, 50), st.integers(-50, 50))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_shift_by_whole_pixels_is_exact(ragged, run, backend, height, width, paper, dx, dy):
    image = ragged.noise([(height, width)]).arrays[0][0]
    out = warp_one(run, ragged, image, (height, width), affine(c=dx, f=dy), backend, paper=paper)
    padded = np.pad(image, 50, constant_values=paper)
    assert (out == padded[50 + dy : 50 + dy + height, 50 + dx : 50 + dx + width]).all()


@settings(max_examples=30)
@given(st.integers(0, 255), st.floats(-180, 180), st.floats(0, 5), st.floats(0, 1))
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_of_paper_stays_paper(ragged, run, backend, paper, degrees, amplitude, phase):
    image = np.full((31, 70), paper, np.uint8)
    wave = (amplitude, 0.01, phase, amplitude, 0.02, phase)
    first = rotation(degrees, (31, 70), (90, 90))
    assert (warp_one(run, ragged, image, (90, 90), first, backend, wave, paper=paper) == paper).all()


@settings(max_examples=30)
@given(st.floats(-180, 180), st.floats(0, 3), st.floats(0, 1), st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("backend", BACKENDS)
def test_ink_is_kept(ragged, run, backend, degrees, amplitude, phase, seed):
    """Rotations and shears keep areas, so smooth ink weighs the same afterwards."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:60, :80]
    ink = sum(
        200 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18)
        for cx, cy in zip(rng.uniform(15, 65, 4), rng.uniform(15, 45, 4), strict=True)
    )
    image = (255 - np.minimum(ink, 255)).round().astype(np.uint8)
    wave = (amplitude, 0.01, phase, amplitude, 0.01, 1 - phase)
    out = warp_one(run, ragged, image, (120, 120), rotation(degrees, (60, 80), (120, 120)), backend, wave)
    before, after = (255.0 - image).sum(), (255.0 - out).sum()
    assert after == pytest.approx(before, rel=0.02)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_image_does_not_depend_on_the_others(ragged, run, backend):
    sizes = [(20, 300), (63, 123), (200, 20)]
    source, target = ragged.noise(sizes, gap=0), ragged.empty(sizes, gap=0)
    rows = [(rotation(10 * k, size, size), WAVE, affine()) for k, size in enumerate(sizes)]
    together = run(kernels.warp, target, source, warps(rows, [[255], [0], [9]]), backend)
    for k, size in enumerate(sizes):
        one = warps(rows[k : k + 1], [[[255], [0], [9]][k]])
        alone = run(kernels.warp, ragged.empty([size]), ragged([source.arrays[k]]), one, backend)[0]
        assert (alone == together[k]).all()


def test_refuses_wrong_arguments(ragged):
    source = ragged.noise([(4, 5), (6, 7)], 3)
    good = warps([(affine(), (0,) * 6, affine())] * 2, [[1, 2, 3]] * 2)
    images, pixels = source.images, source.pixels

    def call(error, match, out=None, target=images, pixels=pixels, source=images, warps=good):
        with pytest.raises(error, match=match):
            kernels.warp(pixels.copy() if out is None else out, target, pixels, source, warps, backend="cpu")

    call(TypeError, r"Warps\.maps must be an array of float64", warps=good._replace(maps=good.maps.astype(np.float32)))
    call(ValueError, r"Warps\.maps must have shape \[2, 18\]", warps=good._replace(maps=good.maps[:1]))
    call(ValueError, r"Warps\.paper must have shape \[2, 3\]", warps=good._replace(paper=good.paper[:, :1]))
    call(ValueError, r"Warps\.maps must be finite", warps=good._replace(maps=good.maps * np.nan))
    call(TypeError, "out must be a flat array", out=pixels.reshape(1, -1))
    call(TypeError, "out must be a flat array", out=pixels.astype(np.int32))
    call(TypeError, "pixels must be of out's dtype", out=pixels.astype(np.float32))
    call(ValueError, "out must be contiguous", out=np.zeros(2 * len(pixels), np.uint8)[::2])
    call(ValueError, "same channels", target=Images(images.sizes, images.starts, 1))
    call(TypeError, r"target\.sizes must be an array of int32", target=images._replace(sizes=[[4, 5]] * 2))
    call(TypeError, r"source\.starts must be an array of int64", source=images._replace(starts=images.sizes[:, 0]))
    call(ValueError, r"target\.sizes must have shape", target=images._replace(sizes=images.sizes[:1]))
    call(ValueError, r"target\.sizes must be 1 to 268435456", target=images._replace(sizes=images.sizes * 0))
    call(ValueError, "source's images must lie inside", source=images._replace(starts=images.starts - 1000))
    call(ValueError, "target's images must lie inside", target=images._replace(starts=images.starts + len(pixels)))
    call(ValueError, "target has 1 images", target=Images(images.sizes[:1], images.starts[:1], 3))


def test_only_the_reference_takes_floating_point(ragged):
    source = ragged.noise([(4, 5)])
    pixels = source.pixels.astype(np.float32)
    good = warps([(affine(), (0,) * 6, affine())], [[255]])
    with pytest.raises(TypeError, match="only backend 'reference' takes float32"):
        kernels.warp(pixels.copy(), source.images, pixels, source.images, good, backend="cpu")
