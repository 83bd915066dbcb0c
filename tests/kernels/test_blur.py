"""Convolution: backends against the reference; what must be exact; what arguments are refused."""

import numpy as np
import pytest
from gpurender.kernels import Blurs
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender import kernels

BACKENDS = ["cpu"]
SIZES = [(1, 1), (1, 40), (50, 1), (63, 123), (30, 300), (7, 128)]
RADIUS = 24
IDENTITY = [1.0]
BOX = [0.2] * 3


def gaussian(sigma):
    half = np.exp(-(np.arange(min(int(np.ceil(3 * sigma)), RADIUS) + 1) ** 2) / (2 * sigma**2))
    return half / (2 * half.sum() - half[0])


def blurs(halves, taps=()):
    """Half-kernels of any length, and for each image its taps `(dx, dy, weight)`."""
    table = np.zeros((len(halves), max(map(len, halves))), np.float32)
    for row, half in zip(table, halves, strict=True):
        row[: len(half)] = half
    taps = [*taps] or [()] * len(halves)
    flat = np.array([tap for own in taps for tap in own], np.float64).reshape(-1, 3)
    starts = np.cumsum([0, *map(len, taps)]).astype(np.int64)
    return Blurs(table, flat[:, :2].astype(np.int32), flat[:, 2].astype(np.float32), starts)


def line(count, reach, rng):
    """Taps of random weights on a slanting line."""
    weights = rng.random(count)
    return [
        (round(x), round(0.4 * x), w)
        for x, w in zip(np.linspace(-reach, reach, count), weights / weights.sum(), strict=True)
    ]


def blur_one(run, ragged, image, parameters, backend):
    return run(kernels.blur, ragged.empty([image.shape]), ragged([image[None]]), parameters, backend)[0][0]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("backend", BACKENDS)
def test_agrees_with_the_reference(ragged, compare, backend, channels):
    source, target = ragged.noise(SIZES, channels), ragged.empty(SIZES, channels)
    rng = np.random.default_rng(channels)
    sigmas = [0.3, 1.5, 2.2, 1.5, 8, 3]
    compare(kernels.blur, target, source, blurs([gaussian(sigma) for sigma in sigmas]), backend)
    boxes = [[1 / (2 * radius + 1)] * (radius + 1) for radius in (1, 2, 3, 2, 24, 5)]
    compare(kernels.blur, target, source, blurs(boxes), backend)
    taps = [line(count, reach, rng) for count, reach in ((1, 0), (9, 4), (5, 2), (18, 9), (49, 24), (3, 1))]
    compare(kernels.blur, target, source, blurs([IDENTITY] * 6, taps), backend)
    mixed = blurs([BOX, IDENTITY, gaussian(1), BOX, IDENTITY, BOX], [(), taps[1], (), taps[3], (), taps[5]])
    compare(kernels.blur, target, source, mixed, backend)


@pytest.mark.parametrize(
    "half", [[0.5], [0], [2.0], [3.0, -1.0], [1.2, -0.05, -0.05], [0.0, 0.5], [0.3, 0.1, 0.0, 0.2, 0.05, 0.0]]
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_weights(ragged, compare, backend, half):
    source, target = ragged.noise([(20, 150), (1, 2)]), ragged.empty([(20, 150), (1, 2)])
    compare(kernels.blur, target, source, blurs([half, half]), backend)
    taps = [(0, 0, half[0]), *((3 * k, -2 * k, w) for k, w in enumerate(half[1:], 1))]
    compare(kernels.blur, target, source, blurs([IDENTITY] * 2, [taps, taps]), backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_taps_than_16_bits_can_sum(ragged, compare, backend):
    disc = [(x, y, 1) for x in range(-9, 10) for y in range(-9, 10) if x * x + y * y <= 81]
    disc = [(x, y, 1 / len(disc)) for x, y, _ in disc]
    compare(kernels.blur, ragged.empty([(40, 90)]), ragged.noise([(40, 90)]), blurs([IDENTITY], [disc]), backend)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 140))
@pytest.mark.parametrize("backend", BACKENDS)
def test_identity_is_exact(ragged, run, backend, height, width):
    image = ragged.noise([(height, width)]).arrays[0][0]
    for parameters in (blurs([IDENTITY]), blurs([[1.0, 0, 0]]), blurs([[0.5]], [[(0, 0, 1)]])):
        assert (blur_one(run, ragged, image, parameters, backend) == image).all()


@settings(max_examples=30)
@given(st.integers(0, 255), st.floats(0.2, 8), st.integers(1, 49), st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_constant_image_stays_constant(ragged, run, backend, level, sigma, count, seed):
    image = np.full((21, 70), level, np.uint8)
    taps = line(count, 24, np.random.default_rng(seed))
    for parameters in (blurs([gaussian(sigma)]), blurs([BOX]), blurs([IDENTITY], [taps])):
        assert (blur_one(run, ragged, image, parameters, backend) == level).all()


@settings(max_examples=20)
@given(st.integers(-24, 24), st.integers(-24, 24))
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_tap_is_a_shift(ragged, run, backend, dx, dy):
    image = ragged.noise([(30, 150)]).arrays[0][0]
    out = blur_one(run, ragged, image, blurs([IDENTITY], [[(dx, dy, 1)]]), backend)
    padded = np.pad(image, 24, mode="edge")
    assert (out == padded[24 + dy : 54 + dy, 24 + dx : 174 + dx]).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_image_does_not_depend_on_the_others(ragged, run, backend):
    sizes = [(20, 300), (63, 123), (200, 20)]
    source, target = ragged.noise(sizes, gap=0), ragged.empty(sizes, gap=0)
    halves, taps = [gaussian(1.5), gaussian(8), IDENTITY], [(), (), line(9, 4, np.random.default_rng(0))]
    together = run(kernels.blur, target, source, blurs(halves, taps), backend)
    for k, array in enumerate(source.arrays):
        own = blurs(halves[k : k + 1], taps[k : k + 1])
        assert (blur_one(run, ragged, array[0], own, backend) == together[k][0]).all()


def test_refuses_wrong_arguments(ragged):
    source = ragged.noise([(4, 5), (6, 7)])
    good = blurs([BOX, BOX], [[(1, 0, 0.5), (0, 0, 0.5)], ()])

    def call(error, match, target=source.images, **changes):
        blurs = good._replace(**changes)
        with pytest.raises(error, match=match):
            kernels.blur(source.pixels.copy(), target, source.pixels, source.images, blurs, backend="cpu")

    call(ValueError, "the same sizes", target=source.images._replace(sizes=source.images.sizes - 1))
    call(TypeError, r"Blurs\.halves must be an array of float32", halves=good.halves.astype(np.float64))
    call(ValueError, r"Blurs\.halves must have shape \[2, 3\]", halves=good.halves[:1])
    call(ValueError, r"Blurs\.halves must have 1 to 25 columns", halves=np.zeros((2, 26), np.float32))
    call(ValueError, r"Blurs\.halves must have 1 to 25 columns", halves=np.zeros((2, 0), np.float32))
    call(ValueError, r"Blurs\.offsets must have shape \[2, 2\]", offsets=good.offsets[:1])
    call(ValueError, r"Blurs\.offsets must lie in \[-24, 24\]", offsets=good.offsets + np.int32(25))
    call(ValueError, r"Blurs\.offsets must lie in \[-24, 24\]", offsets=good.offsets + np.int32(-(2**31)))
    call(ValueError, r"Blurs\.starts must have shape \[3\]", starts=good.starts[:2])
    call(ValueError, r"Blurs\.starts must rise from 0 to 2", starts=good.starts - 1)
    call(ValueError, r"Blurs\.starts must rise from 0 to 2", starts=np.array([0, 3, 2]))
    call(ValueError, "must be finite", halves=good.halves * np.float32(np.inf))
    call(ValueError, "must be finite", weights=good.weights * np.float32(np.nan))
