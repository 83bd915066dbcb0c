"""Blur in Triton and its plan: any weights against the reference, constants, margins of the pool, channels."""

import numpy as np
import pytest
import torch
from gpurender.kernels.plan import PITCH, Plan
from gpurender.kernels.plan.blur import REACHES, _half, lay_blur
from gpurender.kernels.triton import blur as kernel

from gpurender import kernels

NO_TAPS = (np.empty((0, 2), np.int32), np.empty(0, np.float32))
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def gaussian(sigma, radius):
    half = np.exp(-(np.arange(radius + 1) ** 2) / (2 * sigma**2))
    return half / (2 * half.sum() - half[0])


def table(halves):
    rows = np.zeros((len(halves), 25), np.float32)
    for row, half in zip(rows, halves, strict=True):
        row[: len(half)] = half
    return rows


def motion(size, degrees):
    """The taps of `distort.MotionBlur`."""
    from gpurender.distort.groups import blurs
    from gpurender.distort.steps import MOTION

    values = np.zeros((1, 8))
    values[0, :2] = size, degrees
    parameters = blurs(np.array([MOTION]), values)
    return parameters.offsets, parameters.weights


def blurs_of(halves, taps):
    """Blurs of images, each with a half or with taps `(offsets, weights)`."""
    starts = np.cumsum([0, *(len(weights) for _, weights in taps)]).astype(np.int64)
    offsets = np.concatenate([each for each, _ in taps]).astype(np.int32)
    return kernels.Blurs(table(halves), offsets, np.concatenate([w for _, w in taps]).astype(np.float32), starts)


@pytest.mark.parametrize("channels", [1, 4])
def test_any_weights(ragged, compare, channels):
    """Weights of either sign, sums other than 1, taps that repeat; ties round up."""
    rng = np.random.default_rng(channels)
    halves = [
        [0.5, 0.25],
        [3.0, -1.0],
        [1.2, -0.05, -0.05],
        [0.3, 0.1, 0, 0.2, 0.05],
        gaussian(2.6, 8),
        gaussian(8, 24),
    ]
    taps = [NO_TAPS] * len(halves)
    for count, reach in ((5, 2), (20, 4), (30, 24)):
        weights = rng.normal(size=count) / count
        taps.append((rng.integers(-reach, reach + 1, (count, 2)), weights))
    taps += [(np.array([[0, 0], [1, 0]]), np.array([0.5, 0.5])), motion(9, 30), motion(9, 90)]
    halves += [[1.0]] * (len(taps) - len(halves))
    sizes = [
        (17, 70),
        (1, 1),
        (3, 130),
        (19, 65),
        (33, 80),
        (18, 90),
        (20, 66),
        (17, 20),
        (5, 64),
        (9, 9),
        (17, 81),
        (2, 3),
    ]
    source, target = ragged.noise(sizes, channels), ragged.empty(sizes, channels)
    compare(kernels.blur, target, source, blurs_of(halves, taps), "triton")


@pytest.mark.parametrize("half", [gaussian(0.5, 2), gaussian(1.5, 5), gaussian(2.67, 8), [1 / 3] * 2, [1 / 17] * 9])
def test_constants_stay_constant(half):
    levels = torch.tensor([1, 2, 77, 127, 128, 129, 200, 254, 255], dtype=torch.uint8)
    images = kernels.Images(np.full((len(levels), 2), (2, 3), np.int32), 6 * np.arange(len(levels)), 1)
    pixels = levels.repeat_interleave(6).to(DEVICE)
    out = torch.zeros_like(pixels)
    parameters = kernels.Blurs(table([half] * len(levels)), *NO_TAPS, np.zeros(len(levels) + 1, np.int64))
    kernels.blur(out, images, pixels, images, parameters, backend="triton")
    assert torch.equal(out, pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_margins_of_the_pool(channels):
    """What rows have beyond their last column changes nothing, and nothing outside of the targets is written."""
    sizes = np.array([(20, 37), (5, 64), (18, 130)], np.int32)
    halves, starts = table([gaussian(1.5, 5), [0], gaussian(6, 20)]), np.array([0, 0, 9, 9])
    offsets, weights = np.array([[k - 4, k // 3 - 1] for k in range(9)], np.int32), np.full(9, 1 / 9, np.float32)
    results = []
    for seed in range(2):
        plan, rng = Plan(), np.random.default_rng(0)
        source, target = plan.reserve(sizes), plan.reserve(sizes)
        for each in lay_blur(target, source, halves, offsets, weights, starts):
            plan.add(each)
        assert [launch.variant for launch in plan.launches] == list(REACHES)
        pool = np.random.default_rng(seed + 9).integers(0, 256, plan.units * PITCH * channels, dtype=np.uint8)

        def view(start, height, width, pool=pool):
            pitch = -(-width // PITCH) * PITCH
            at = start * PITCH * channels
            return pool[at : at + channels * height * pitch].reshape(channels, height, pitch)[..., :width]

        for size, start in zip(sizes, source.starts, strict=True):
            view(start, *size)[...] = rng.integers(0, 256, (channels, *size))
        device = torch.from_numpy(pool.copy()).to(DEVICE)
        for launch in plan.launches:
            kernel.launch(device, torch.from_numpy(plan.words()).to(DEVICE), launch, channels)
        after = device.cpu().numpy()
        first = int(target.starts[0]) * PITCH * channels
        assert (after[:first] == pool[:first]).all()
        results.append([view(s, *size, after).copy() for size, s in zip(sizes, target.starts, strict=True)])
    for a, b in zip(*results, strict=True):
        assert (a == b).all()


def test_half_precision_of_the_plan():
    """Every float16 of [0, 1] and the values around the middle between it and the next, of either sign."""
    bits = np.arange(0, 0x3C01, dtype=np.uint16)
    values = bits.view(np.float16).astype(np.float64)
    between = (values[:-1] + values[1:]) / 2
    for value, bit in zip(values, bits, strict=True):
        assert _half(value) == (value, bit)
        assert _half(-value)[0] == -value
    for middle, low, high in zip(between, bits[:-1], bits[1:], strict=True):
        assert _half(middle * (1 - 1e-9))[1] == low
        assert _half(middle * (1 + 1e-9))[1] == high
