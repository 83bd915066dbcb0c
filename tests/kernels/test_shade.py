"""Shadows and blots: backends against the reference; what must be exact; what arguments are refused."""

import numpy as np
import pytest
from gpurender.kernels import Shades
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender import kernels

BACKENDS = ["cpu"]
SIZES = [(1, 1), (1, 40), (50, 1), (63, 123), (100, 300), (7, 64)]


def shades(ramps, blots=(), colors=(), seed=0):
    """Ramps, and for each image its blots; one color of all channels for each blot."""
    rng = np.random.default_rng(seed)
    blots = [*blots] or [()] * len(ramps)
    flat = np.array([blot for own in blots for blot in own], np.float64).reshape(-1, 4)
    starts = np.cumsum([0, *map(len, blots)]).astype(np.int64)
    colors = np.array(colors, np.uint8).reshape(len(flat), -1) if len(flat) else np.zeros((0, 1), np.uint8)
    return Shades(np.array(ramps, np.float64), rng.integers(0, 2**32, (len(ramps), 2)), flat, colors, starts)


def fit(parameters, channels):
    """The parameters with as many channels; the colors differ from one to the next."""
    colors = parameters.colors[:, :1] + np.arange(channels, dtype=np.uint8) * np.uint8(40)
    return parameters._replace(colors=colors)


def draw(rng, size, count):
    height, width = size
    return [
        (rng.uniform(-20, width + 20), rng.uniform(-20, height + 20), rng.uniform(0.3, 70), rng.uniform(0, 1))
        for _ in range(count)
    ]


def ramp(rng, size):
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(2, 200)
    slope = np.cos(angle) / length, np.sin(angle) / length
    return (*slope, rng.uniform(-1, 1) - slope[0] * size[1] / 2 - slope[1] * size[0] / 2, rng.uniform(0.1, 0.8))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("backend", BACKENDS)
def test_agrees_with_the_reference(ragged, compare, backend, seed, channels):
    rng = np.random.default_rng(seed)
    source, target = ragged.noise(SIZES, channels), ragged.empty(SIZES, channels)
    ramps = [ramp(rng, size) for size in SIZES]
    blots = [draw(rng, size, count) for size, count in zip(SIZES, rng.integers(0, 6, len(SIZES)), strict=True)]
    colors = rng.integers(0, 256, (sum(map(len, blots)), 1))
    stains = [(0, 0, 0, 0)] * len(SIZES)
    compare(kernels.shade, target, source, fit(shades(ramps), channels), backend)
    compare(kernels.shade, target, source, fit(shades(stains, blots, colors, seed), channels), backend)
    compare(kernels.shade, target, source, fit(shades(ramps, blots, colors, seed), channels), backend)


@pytest.mark.parametrize(
    ("shadow", "blot"),
    [
        ((0, 0, 0.3, 0.37), (20, 20, 10, 0.5)),
        ((0, 0, 2, 0.5), (1e9, 20, 10, 0.5)),
        ((0.01, 0, -9, 1.5), (20, -1e9, 1e9, 0.7)),
        ((0, -0.01, 0.2, -0.317), (20.2, 30, 1e-9, 0.5)),
        ((1e9, 1e9, -3e9, 0.37), (20, 30, 1e-12, 0.5)),
        ((-1e-12, 0, 0.41, 0.37), (60, 31, 1e9, -0.5)),
        ((-0.02, 0.01, 0.2, 0.43), (60, 31, 200, 1.9)),
        ((1e5, 0, -1e5 * 60.4, 0.43), (90, 31, 3, 0)),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_parameters(ragged, compare, backend, shadow, blot):
    source, target = ragged.noise([(63, 123)]), ragged.empty([(63, 123)])
    compare(kernels.shade, target, source, shades([shadow], [[blot]], [[90]]), backend)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 140))
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_paint_is_a_copy(ragged, run, backend, height, width):
    source = ragged.noise([(height, width)], 2)
    # No depth; a shadow and a blot far away; a blot that cannot be seen.
    far, unseen = [[(-1e4, 5, 9, 1)]], [[(5, 5, 9, 0)]]
    for parameters in (
        shades([(0.01, 0, 0, 0)]),
        shades([(0, 0, 1, 0.5)], far, [[0, 0]]),
        shades([(0, 0, 0, 0)], unseen, [[0, 0]]),
    ):
        parameters = parameters if len(parameters.colors) else fit(parameters, 2)
        out = run(kernels.shade, ragged.empty([(height, width)], 2), source, parameters, backend)[0]
        assert (out == source.arrays[0]).all()


@settings(max_examples=30)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-50, 50), st.floats(0, 1))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_shadow_only_darkens_and_falls_off(ragged, run, backend, a, b, c, depth):
    page = np.full((1, 40, 90), 255, np.uint8)
    out = run(kernels.shade, ragged.empty([(40, 90)]), ragged([page]), shades([(a, b, c, depth)]), backend)[0][0]
    assert out.min() >= 255 * (1 - depth) - 1
    steps = np.diff(out.astype(int), axis=1)
    assert (steps >= 0).all() or (steps <= 0).all()


@settings(max_examples=30)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("backend", BACKENDS)
def test_blots_take_no_more_light_than_their_color(ragged, run, backend, paper, color, seed):
    rng = np.random.default_rng(seed)
    page = np.full((1, 60, 90), paper, np.uint8)
    parameters = shades([(0, 0, 0, 0)], [draw(rng, (60, 90), 4)], [[color]] * 4, seed)
    out = run(kernels.shade, ragged.empty([(60, 90)]), ragged([page]), parameters, backend)[0]
    assert out.min() >= np.floor(paper * (color / 255) ** 4)
    assert out.max() <= paper


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_image_does_not_depend_on_the_others(ragged, run, backend):
    sizes = [(20, 300), (63, 123), (200, 20)]
    rng = np.random.default_rng(5)
    source, target = ragged.noise(sizes, gap=0), ragged.empty(sizes, gap=0)
    blots = [draw(rng, size, 3) for size in sizes]
    parameters = shades([ramp(rng, size) for size in sizes], blots, [[60]] * 9)
    together = run(kernels.shade, target, source, parameters, backend)
    for k, array in enumerate(source.arrays):
        own = Shades(
            parameters.ramps[k : k + 1],
            parameters.noise[k : k + 1],
            parameters.blots[3 * k : 3 * k + 3],
            parameters.colors[3 * k : 3 * k + 3],
            np.array([0, 3]),
        )
        alone = run(kernels.shade, ragged.empty([sizes[k]]), ragged([array]), own, backend)[0]
        assert (alone == together[k]).all()


def test_refuses_wrong_arguments(ragged):
    source = ragged.noise([(4, 5), (6, 7)])
    good = shades([(0, 0, 0, 0.5)] * 2, [[(1, 2, 3, 0.5)], [(1, 2, 3, 0.5)]], [[1], [2]])

    def call(error, match, target=source.images, **changes):
        shades = good._replace(**changes)
        with pytest.raises(error, match=match):
            kernels.shade(source.pixels.copy(), target, source.pixels, source.images, shades, backend="cpu")

    call(ValueError, "the same sizes", target=source.images._replace(sizes=source.images.sizes - 1))
    call(TypeError, r"Shades\.ramps must be an array of float64", ramps=good.ramps.astype(np.float32))
    call(ValueError, r"Shades\.ramps must have shape \[2, 4\]", ramps=good.ramps[:1])
    call(ValueError, r"Shades\.noise must have shape \[2, 2\]", noise=good.noise[:1])
    call(ValueError, r"Shades\.blots must have shape \[2, 4\]", blots=good.blots[:, :3])
    call(ValueError, r"Shades\.colors must have shape \[2, 1\]", colors=good.colors[:1])
    call(ValueError, r"Shades\.starts must rise from 0 to 2", starts=np.array([0, 2, 1]))
    call(ValueError, "must be finite, and radii positive", ramps=good.ramps * np.nan)
    call(ValueError, "must be finite, and radii positive", blots=good.blots * [1, 1, 0, 1])
