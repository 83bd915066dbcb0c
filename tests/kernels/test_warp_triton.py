"""The plan and the kernel of warp: kinds of maps, every path against the reference, bytes that must not matter."""

import numpy as np
import pytest
import torch
from gpurender.kernels.plan import HEADER, PITCH, Pitched, Plan, Table, spread_colors
from gpurender.kernels.plan import warp as plan
from gpurender.kernels.triton import warp

from gpurender import kernels

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
IDENTITY, CALM, WAVE = (1, 0, 0, 0, 1, 0), (0,) * 6, (3, 1 / 200, 0.3, 2.5, 1 / 90, 0.7)


def rotation(degrees, center=(80, 64), target=None):
    """The affine map by which `target` shows `center`, rotated."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = target or center
    return (c, -s, center[0] - c * x + s * y, s, c, center[1] - s * x - c * y)


def lay(target_size, source_size, map_, paper=(255,)):
    """The plan's table of one image, and its reserved images."""
    made = Plan()
    source = made.reserve(np.array([source_size], np.int32))
    target = made.reserve(np.array([target_size], np.int32))
    maps = np.array([np.concatenate(map_)], np.float64)
    table = plan.lay_warp(target, source, maps, spread_colors(np.array([paper], np.uint8)))
    return made, source, target, table


def kind_of(map_):
    table = lay((10, 10), (100, 100), map_)[3]
    assert table.programs == 1
    return table.words[table.words[0] + plan.KIND]


@pytest.mark.parametrize(
    ("map_", "kind"),
    [
        ((IDENTITY, CALM, IDENTITY), plan.PLAIN),
        ((rotation(30), CALM, IDENTITY), plan.PLAIN),
        ((IDENTITY, WAVE, IDENTITY), plan.STEADY_WAVES),
        ((IDENTITY, WAVE, rotation(20)), plan.STEADY_WAVES),
        ((rotation(20), (*WAVE[:3], 0, 0, 0), IDENTITY), plan.STEADY_WAVES),
        ((rotation(20), WAVE, IDENTITY), plan.ANY),
        ((IDENTITY, (3, 1 / 9, 0, 0, 0, 0), IDENTITY), plan.ANY),
        ((IDENTITY, (300, 1 / 9000, 0, 0, 0, 0), IDENTITY), plan.ANY),
        (((1, 101, 0, 0, 1, 0), CALM, IDENTITY), plan.ANY),
    ],
)
def test_kinds_of_maps(map_, kind):
    assert kind_of(map_) == kind


def test_offsets_are_wide_only_where_a_plane_is_large():
    for size, variant in (((2**15, 2**15), 0), ((2**16, 2**15 - 15), 1), ((2**16, 2**15 - 16), 0), ((2**28, 2**5), 1)):
        source, target = (Pitched(np.array([s], np.int32), np.zeros(1, np.int32)) for s in (size, (1, 1)))
        paper = np.zeros((1, 4), np.int32)
        assert plan.lay_warp(target, source, np.zeros((1, 18)), paper).variant == variant


def test_no_images():
    nothing = Pitched(np.zeros((0, 2), np.int32), np.zeros(0, np.int32))
    assert plan.lay_warp(nothing, nothing, np.zeros((0, 18)), np.zeros((0, 4), np.int32)).programs == 0


@pytest.mark.parametrize("wavelength", [32, 100, 300, 1e4, 1e6])
def test_recurrence_follows_the_sine(wavelength):
    """In float32, down all strips of a tile: within 2e-6 of the amplitude."""
    table = lay((64, 32), (64, 32), (IDENTITY, (1, 1 / wavelength, 0, 0, 0, 0), IDENTITY))[3]
    row = table.words[table.words[0] :]
    assert row[plan.KIND] == plan.STEADY_WAVES
    alpha, swing, half = row[plan.STEADY : plan.STEADY + 3].view(np.float32)
    turns = np.linspace(-0.5, 0.5, 1001)
    sine = np.sin(2 * np.pi * turns).astype(np.float32)
    step = (swing * np.sin(2 * np.pi * (turns - half + 0.25))).astype(np.float32)
    for strip in range(plan.TILE_HEIGHT // plan.STRIP):
        np.testing.assert_allclose(sine, np.sin(2 * np.pi * (turns + strip * plan.STRIP / wavelength)), atol=2e-6)
        step = step - alpha * sine
        sine = sine + step


def run(target_size, image, map_, paper, *, garbage=0, variant=None):
    """The kernel on one image `[C, height, width]`, in a pool of garbage; the target, and what is left of the rest."""
    channels, height, width = image.shape
    made, source, target, table = lay(target_size, (height, width), map_, paper)
    made.add(table if variant is None else table._replace(variant=variant))
    pool = np.random.default_rng(garbage).integers(0, 256, made.units * 16 * channels, dtype=np.uint8)

    def view(pool, images):
        (rows, columns), start = images.sizes[0], 16 * channels * images.starts[0]
        pitch = -(-columns // PITCH) * PITCH
        return pool[start : start + channels * rows * pitch].reshape(channels, rows, pitch)[..., :columns]

    view(pool, source)[:] = image
    device = torch.from_numpy(pool.copy()).to(DEVICE)
    warp.launch(device, torch.from_numpy(made.words()).to(DEVICE), made.launches[0], channels)
    after = device.cpu().numpy()
    end = 16 * channels * target.starts[0]
    np.testing.assert_array_equal(after[:end], pool[:end])
    return view(after, target)


def expect(target_size, image, map_, paper):
    channels, height, width = image.shape
    source = kernels.Images(np.array([[height, width]], np.int32), np.zeros(1, np.int64), channels)
    target = kernels.Images(np.array([target_size], np.int32), np.zeros(1, np.int64), channels)
    warps = kernels.Warps(np.array([np.concatenate(map_)], np.float64), np.array([paper], np.uint8))
    out = np.zeros((channels, *target_size), np.uint8)
    kernels.warp(out.ravel(), target, image.ravel(), source, warps, backend="cpu")
    return out


def noise(channels, height, width):
    return np.random.default_rng(height).integers(0, 256, (channels, height, width), dtype=np.uint8)


CASES = {
    "rotation": (rotation(5), CALM, IDENTITY),
    "falling": (rotation(170), CALM, IDENTITY),
    "wave": (IDENTITY, WAVE, IDENTITY),
    "rotation, wave": (IDENTITY, WAVE, rotation(-9)),
    "wave, rotation": (rotation(9), WAVE, IDENTITY),
    "steep": ((1, 101, -60, 0.01, 30, 0), CALM, IDENTITY),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_every_path_agrees(case, channels):
    """Tiles of every sort: around the middle of the source they see only its inside."""
    size = (130, 160) if channels == 1 else (40, 37)
    image, paper = noise(channels, *size), (77, 3, 200)[:channels]
    expected, got = expect(size, image, CASES[case], paper), run(size, image, CASES[case], paper)
    differences = np.abs(expected.astype(int) - got)
    assert differences.max() <= 1
    assert (differences > 0).mean() < 0.0006


@pytest.mark.parametrize("case", ["rotation", "wave", "wave, rotation"])
def test_undefined_bytes_do_not_matter(case):
    """Neither the ends of rows nor the images around; four channels; with offsets of 64 bits, the same."""
    image, paper = noise(4, 40, 37), (1, 2, 3, 4)
    first = run((41, 35), image, CASES[case], paper)
    np.testing.assert_array_equal(first, run((41, 35), image, CASES[case], paper, garbage=1))
    np.testing.assert_array_equal(first, run((41, 35), image, CASES[case], paper, garbage=2, variant=1))


def test_constant_images_stay():
    for level in (0, 1, 127, 128, 254, 255):
        image = np.full((1, 40, 50), level, np.uint8)
        assert (run((20, 33), image, CASES["rotation, wave"], (level,)) == level).all(), level


def test_the_row_of_an_image_holds_two_words_of_64_bits_in_line():
    """Float64 and int64 fields begin at even words."""
    assert HEADER % 2 == plan.AFFINE % 2 == plan.BOUNDS % 2 == plan.STEPS % 2 == plan.TURNS % 2 == 0
    assert isinstance(lay((3, 3), (3, 3), CASES["wave"])[3], Table)
