"""Shadows and blots in Triton: every path of a tile, the plan, and the rounding of levels."""

import numpy as np
import pytest
import torch
from gpurender.kernels.plan import Plan, spread_colors
from gpurender.kernels.plan.shade import BLOT, FIELDS, UNBOUNDED, lay_shade
from gpurender.kernels.triton.shade import SCALE

from gpurender import kernels

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def make(ramps, blots=(), channels=1, seed=3):
    """Shades of images that have one ramp each, and the blots of the first."""
    rng = np.random.default_rng(seed)
    blots = np.array(blots, np.float64).reshape(-1, 4)
    starts = np.array([0, *[len(blots)] * len(ramps)], np.int64)
    colors = rng.integers(0, 256, (len(blots), channels), dtype=np.uint8)
    noise = rng.integers(0, 2**32, (len(ramps), 2), dtype=np.int64)
    return kernels.Shades(np.array(ramps, np.float64), noise, blots, colors, starts)


def shade(sizes, shades, channels, backend):
    sizes = np.array(sizes, np.int32)
    lengths = sizes.astype(np.int64).prod(1) * channels
    images = kernels.Images(sizes, np.cumsum(lengths) - lengths, channels)
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, lengths.sum(), dtype=np.uint8)).to(DEVICE)
    out = torch.full_like(pixels, 171)
    kernels.shade(out, images, pixels, images, shades, backend=backend)
    return out.cpu().numpy()


def differences(sizes, shades, channels):
    a, b = (shade(sizes, shades, channels, backend).astype(int) for backend in ("reference", "triton"))
    return np.abs(a - b)


SLANTED = (0.01, -0.004, 0.3, 0.5)
RAMPS = {
    # Tiles without shadow, at its edge, and inside it; in both directions.
    "wide": (0.004, 0.006, -0.2, 0.7),
    "from the other corner": (-0.004, -0.005, 1.9, 0.4),
    "down a column alone": (0, 0.006, 0.1, 1),
    "along a row alone": (0.005, 0, 0, 0.6),
    # Rows of the image share numbers with rows below it, where this cubic is enormous.
    "steep": (0, 1, -129.5, 0.5),
    "constant": (0, 0, 0.25, 0.5),
    "halves": (0, 0, 0, 0.5),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", RAMPS)
def test_shadows_equal_the_reference(name, channels):
    difference = differences([(131, 270) if channels == 1 else (70, 140)], make([RAMPS[name]], (), channels), channels)
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.9995


@pytest.mark.parametrize(
    ("channels", "ramp"), [(1, (0, 0, 1, 0.5)), (1, SLANTED), (2, SLANTED), (3, SLANTED), (4, SLANTED)]
)
def test_blots_equal_the_reference(channels, ramp):
    blots = [
        (20, 10, 9, 0.5),
        (130, 66, 30, 0.3),
        (260, 69, 60, 1),
        (30, 0, 1e-9, 1),
        (77, 64, 0.3, 1),
        (1e9, 0, 9, 1),
    ]
    difference = differences([(70, 270)], make([ramp], blots, channels), channels)
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.9995


def test_levels_beyond_light_and_dark_are_clamped():
    """Depths and opacities outside [0, 1]; an image is the same with them in its batch as without."""
    blots = [(20, 10, 9, 3), (60, 40, 30, -2)]
    ramps = [(0.01, 0.02, -0.3, 0.6), (0.01, 0.01, 0, 2), (0.01, 0.01, 0, -1.5)]
    difference = differences([(40, 130)] * 3, make(ramps, blots), 1)
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999
    alone = shade([(40, 130)], make(ramps[:1]), 1, "triton")
    together = shade([(40, 130)] * 3, make(ramps), 1, "triton")
    np.testing.assert_array_equal(alone, together[: len(alone)])


def test_levels_are_rounded_half_up():
    """All levels by all multiples of 1/1024, among them all halves, as the kernel's one multiplication has them."""
    levels = np.arange(256, dtype=np.int32).view(np.float32).astype(np.float64)[:, None]
    light = np.arange(1025) / 1024
    product = (levels * (light * SCALE.value).astype(np.float32) + 1).astype(np.float32)
    expected = np.floor(np.arange(256)[:, None] * light + 0.5)
    np.testing.assert_array_equal(product.view(np.int32) & 255, expected)


def test_a_plan_names_no_channels():
    """Gray images and colored ones of one size have one plan, but for the colors; a table may stand anywhere."""
    shades = make([(0, 0, 0, 0.5), (0, 0, 1, 0)], [(5, 6, 7, 0.5)] * 2, 3)
    plan = Plan()
    sizes = np.array([(65, 129), (3, 5)], np.int32)
    images = plan.reserve(sizes)
    table = lay_shade(images, images, *shades[:3], spread_colors(shades.colors), shades.starts)
    assert (table.operation, table.programs, table.variant) == ("shade", 5, 0)
    assert len(table.words) == 8 + 2 * FIELDS + 2 * (BLOT + 4)
    rows = table.words[:5]
    np.testing.assert_array_equal(rows, [8] * 4 + [8 + FIELDS])
    far = make([(0, 0, 0, 1.5), (0, 0, 1, 0)], (), 3)
    assert lay_shade(images, images, *far[:3], spread_colors(far.colors), far.starts).variant == UNBOUNDED
