"""warp, blur and shade in Triton against the reference, on ragged batches of few tiles."""

import numpy as np
import pytest
import torch

from gpurender import kernels

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [(63, 123), (1, 1), (1, 70), (40, 130), (33, 2)]
POISON = 171


def lay(sizes, channels, gap=7, first=3):
    """Images at odd places of a buffer, with bytes of nobody's around them, and the buffer's size."""
    sizes = np.array(sizes, np.int32)
    lengths = sizes.astype(np.int64).prod(1) * channels
    starts = first + np.concatenate([[0], np.cumsum(lengths + gap)])
    return kernels.Images(sizes, starts[:-1], channels), int(starts[-1])


def split(buffer, images):
    """The images of a buffer, after a look at the bytes around them."""
    views, untouched = [], np.ones(len(buffer), bool)
    for (height, width), start in zip(images.sizes, images.starts, strict=True):
        stop = start + images.channels * height * width
        views.append(buffer[start:stop].reshape(images.channels, height, width))
        untouched[start:stop] = False
    assert (buffer[untouched] == POISON).all()
    return views


def run(operation, backend, target, pixels, source, parameters, *, places=(3, 7)):
    target, size = lay(target, source.channels, places[1], places[0])
    out = torch.full((size + 64,), POISON, dtype=torch.uint8, device=DEVICE)
    getattr(kernels, operation)(out, target, pixels.to(DEVICE), source, parameters, backend=backend)
    return split(out.cpu().numpy(), target)


def make(sizes, channels, seed=0):
    source, size = lay(sizes, channels, 4, 2)
    return source, torch.from_numpy(np.random.default_rng(seed).integers(0, 256, size + 9, dtype=np.uint8))


def compare(operation, target, pixels, source, parameters, share=0.99):
    expected = run(operation, "reference", target, pixels, source, parameters)
    got = run(operation, "triton", target, pixels, source, parameters)
    differences = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in zip(expected, got, strict=True)])
    assert differences.max() <= 1
    assert (differences == 0).mean() >= share
    return got


IDENTITY, CALM = [1, 0, 0, 0, 1, 0], [0] * 6


def rows(maps):
    return np.array([np.concatenate(parts) for parts in maps], np.float64)


def turn(degrees, center, target):
    """The affine map that turns by an angle; `target` shows what is at `center`."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return [c, -s, center[0] - c * target[0] + s * target[1], s, c, center[1] - s * target[0] - c * target[1]]


@pytest.mark.parametrize("channels", [1, 3])
def test_warp_equals_reference(channels):
    source, pixels = make([*SIZES, (90, 300), (90, 300)], channels)
    maps = [
        (turn(7, (60, 30), (70, 40)), CALM, IDENTITY),
        (turn(45, (0, 0), (1, 1)), CALM, IDENTITY),
        (IDENTITY, [0.4, 0.3, 0.1, 1.5, 0.02, 0.6], IDENTITY),
        (turn(-3, (65, 20), (60, 20)), [2, 1 / 60, 0.3, 1.5, 1 / 80, 0.1], turn(1, (65, 20), (65, 20))),
        ([0.03, 0, -1, 0, 0.9, 1.3], CALM, IDENTITY),
        # Tiles that see nothing but the inside of the source.
        (turn(5, (150, 45), (64, 16)), CALM, IDENTITY),
        (turn(5, (150, 45), (64, 16)), [3, 1 / 50, 0.3, 2, 1 / 70, 0.1], turn(-2, (150, 45), (150, 45))),
    ]
    paper = np.random.default_rng(1).integers(0, 256, (len(maps), channels), dtype=np.uint8)
    target = [(75, 140), (3, 3), (4, 70), (40, 130), (37, 130), (32, 128), (32, 128)]
    compare("warp", target, pixels, source, kernels.Warps(rows(maps), paper), share=0.999)


@pytest.mark.parametrize("channels", [1, 3])
def test_identity_and_right_angles_are_exact(channels):
    height, width = 35, 131
    source, pixels = make([(height, width)] * 4, channels)
    maps = [
        (IDENTITY, CALM, IDENTITY),
        ([0, -1, width - 1, 1, 0, 0], CALM, IDENTITY),
        (turn(180, (width - 1, height - 1), (0, 0)), CALM, IDENTITY),
        (turn(-90, (0, height - 1), (0, 0)), CALM, IDENTITY),
    ]
    target = [(height, width), (width, height), (height, width), (width, height)]
    warps = kernels.Warps(rows(maps), np.full((4, channels), 9, np.uint8))
    got = run("warp", "triton", target, pixels, source, warps)
    for turns, image in enumerate(got):
        start = source.starts[turns]
        original = pixels[start : start + channels * height * width].numpy().reshape(channels, height, width)
        np.testing.assert_array_equal(image, np.rot90(original, turns, (1, 2)), f"{turns} right angles")


def test_warp_far_out():
    """Maps of enormous numbers show paper, and what is far from (0, 0) is as exact as what is near."""
    source, pixels = make([(40, 60)] * 5 + [(3, 4090)] * 2, 1)
    maps = [
        ([1, 0, 1e9, 0, 1, -1e9], CALM, IDENTITY),
        ([1, 0, 0, 0, 1, 1e300], CALM, IDENTITY),
        ([1e9, 0, -3.05e10, 0, 1e9, -2e9], CALM, IDENTITY),
        ([1, 0, 1e9, 0, 1, 0], CALM, [1, 0, -1e9, 0, 1, 0]),
        ([1, 0, 0, 0, 1, 0], [1e9, 1e9, 0, 1e9, 1e9, 0], IDENTITY),
        (turn(0.02, (4000, 1), (3998.3, 1)), CALM, IDENTITY),
        (turn(0.02, (4000, 1), (3998.3, 1)), [1, 1 / 300, 0, 0.5, 1 / 200, 0], IDENTITY),
    ]
    warps = kernels.Warps(rows(maps), np.full((len(maps), 1), 77, np.uint8))
    target = [(20, 130)] * 4 + [(1, 60)] + [(2, 4096)] * 2
    # With waves that no float holds, only that nothing is read or written elsewhere.
    expected = run("warp", "reference", target, pixels, source, warps)
    got = run("warp", "triton", target, pixels, source, warps)
    assert (got[0] == 77).all()
    assert (got[1] == 77).all()
    assert (got[2] == 77).all()
    for k in (3, 5, 6):
        difference = np.abs(expected[k].astype(int) - got[k])
        assert difference.max() <= 1, k
        assert (difference == 0).mean() >= 0.999, k


def gaussian(sigma, radius, columns):
    half = np.exp(-(np.arange(columns) ** 2) / (2 * sigma**2)) * (np.arange(columns) <= radius)
    return half / (half[0] + 2 * half[1:].sum())


def blurs(columns, rows, taps=()):
    """Blurs with a half for each image, and, last, an image with taps if there are any."""
    halves = np.zeros((len(rows), columns), np.float32)
    for half, row in zip(halves, rows, strict=True):
        half[: len(row)] = row
    starts = np.zeros(len(rows) + 1, np.int64)
    starts[-1] = len(taps)
    taps = np.array(taps, float).reshape(-1, 3)
    return kernels.Blurs(halves, taps[:, :2].astype(np.int32), taps[:, 2].astype(np.float32), starts)


@pytest.mark.parametrize(("radius", "channels"), [(6, 1), (6, 3), (16, 1), (24, 3)])
def test_blur_equals_reference(radius, channels):
    rows = [gaussian(radius / 3, radius, radius + 1), [0.2, 0.2, 0.2], [1], [1.5, -0.25], gaussian(1, 3, 4), [0]]
    taps = [(-3, 2, 0.25), (0, 0, 0.25), (24, -24, 0.5), (0, 0, 0.25), (1, 0, -0.25)]
    sizes = [*SIZES, (20, 150)]
    source, pixels = make(sizes, channels)
    got = compare("blur", sizes, pixels, source, blurs(25, rows, taps))
    start = source.starts[2]
    np.testing.assert_array_equal(got[2].ravel(), pixels.numpy()[start : start + got[2].size])


def test_blur_keeps_what_is_constant():
    rows = [gaussian(sigma, 8, 9) for sigma in (0.5, 1, 1.5, 2, 2.7)] + [[0.2] * 3, [1 / 7] * 4, [0]]
    levels = [255, 254, 129, 77, 1, 255, 200, 255]
    sizes = [(5, 150)] * len(rows)
    source, size = lay(sizes, 1)
    pixels = torch.from_numpy(np.full(size, 13, np.uint8))
    for (height, width), start, level in zip(sizes, source.starts, levels, strict=True):
        pixels[start : start + height * width] = level
    got = run("blur", "triton", sizes, pixels, source, blurs(9, rows, [(x, x, 1 / 7) for x in range(-3, 4)]))
    for image, level in zip(got, levels, strict=True):
        assert (image == level).all(), level


def shades(channels, images):
    ramps = np.zeros((images, 4))
    ramps[0], ramps[2], ramps[4] = (0.01, 0.02, -0.3, 0.5), (0.1, 0, 0, -0.5), (0, 0, 1, 0.9)
    blots = [(20, 10, 9, 0.5), (60, 40, 30, 0.3), (115, 5, 60, 1), (30, 0, 1e-9, 1), (120, 30, 40, 0.6), (1e9, 0, 9, 1)]
    starts = np.array([0, 3, 3, 4, 6, *[6] * (images - 4)], np.int64)
    noise = np.array([(2**32 - 3 - k, 2**32 - 1 - k) for k in range(images)], np.int64)
    colors = np.random.default_rng(5).integers(0, 256, (len(blots), channels), dtype=np.uint8)
    return kernels.Shades(ramps, noise, np.array(blots, float), colors, starts)


@pytest.mark.parametrize("channels", [1, 3])
def test_shade_equals_reference(channels):
    source, pixels = make(SIZES, channels)
    compare("shade", SIZES, pixels, source, shades(channels, len(SIZES)), share=0.999)


@pytest.mark.parametrize("first", range(4))
def test_clean_images_are_copied(first):
    """From and to every place in a word; also images shorter than a word, and longer than one program copies."""
    sizes = [(1, 1), (1, 2), (1, 3), (1, 5), (3, 7), (130, 131)]
    source, pixels = make(sizes, 1)
    clean = shades(1, 6)._replace(ramps=np.zeros((6, 4)), starts=np.zeros(7, np.int64))
    clean = clean._replace(blots=clean.blots[:0], colors=clean.colors[:0])
    got = run("shade", "triton", sizes, pixels, source, clean, places=(first, 6))
    for image, start in zip(got, source.starts, strict=True):
        np.testing.assert_array_equal(image.ravel(), pixels.numpy()[start : start + image.size])


def calls(channels):
    """One call of each operation: its name, target sizes, pixels, source and parameters."""
    source, pixels = make(SIZES, channels)
    maps = rows([(turn(5, (30, 20), (30, 20)), [1, 0.01, 0, 1, 0.02, 0], IDENTITY)] * len(SIZES))
    yield "warp", SIZES, pixels, source, kernels.Warps(maps, np.full((len(SIZES), channels), 255, np.uint8))
    yield "blur", SIZES, pixels, source, blurs(7, [gaussian(1.5, 6, 7)] * len(SIZES), [(0, 0, 0.5), (1, 1, 0.5)])
    yield "shade", SIZES, pixels, source, shades(channels, len(SIZES))


def test_no_images():
    for operation, _, _, _, parameters in calls(1):
        fields = {name: array[:0] for name, array in parameters._asdict().items()}
        fields |= {"starts": np.zeros(1, np.int64)} if "starts" in fields else {}
        empty = kernels.Images(np.zeros((0, 2), np.int32), np.zeros(0, np.int64), 1)
        nothing = torch.zeros(0, dtype=torch.uint8, device=DEVICE)
        getattr(kernels, operation)(nothing, empty, nothing, empty, type(parameters)(**fields), backend="triton")


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
@pytest.mark.parametrize("channels", [1, 3])
def test_device_is_never_waited_for(channels):
    for operation, sizes, pixels, source, parameters in calls(channels):
        target, size = lay(sizes, channels)
        out, pixels = torch.zeros(size, dtype=torch.uint8, device=DEVICE), pixels.to(DEVICE)
        torch.cuda.set_sync_debug_mode("error")
        try:
            getattr(kernels, operation)(out, target, pixels, source, parameters, backend="triton")
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_a_blurred_image_does_not_depend_on_the_others():
    """Radii of all three of the kernel's steps in one call, and each alone."""
    rng = np.random.default_rng(0)
    sizes = np.array([[20, 30]] * 4, np.int32)
    pixels = torch.from_numpy(rng.integers(0, 256, 4 * 600, dtype=np.uint8)).to(DEVICE)
    halves = np.zeros((4, 25), np.float32)
    for k, radius in enumerate((3, 9, 20, 8)):
        halves[k, : radius + 1] = 1 / (2 * radius + 1)
    none = (np.empty((0, 2), np.int32), np.empty(0, np.float32))

    def blurred(k):
        images = kernels.Images(sizes[k], 600 * np.arange(4)[k], 1)
        out = torch.zeros_like(pixels)
        parameters = kernels.Blurs(halves[k], *none, np.zeros(len(sizes[k]) + 1, np.int64))
        kernels.blur(out, images, pixels, images, parameters, backend="triton")
        return out.view(4, 600)

    together = blurred(slice(None))
    for k in range(4):
        assert torch.equal(blurred(slice(k, k + 1))[k], together[k])


def test_the_default_device_is_not_asked():
    """Plans lie on the CPU, whatever `torch.set_default_device` says."""
    images = kernels.Images(np.array([[20, 30]], np.int32), np.array([3]), 1)
    pixels = torch.arange(606).to(torch.uint8).to(DEVICE)
    halves = np.array([[0.5, 0.25]], np.float32)
    blurs = kernels.Blurs(halves, np.empty((0, 2), np.int32), np.empty(0, np.float32), np.zeros(2, np.int64))
    shades = kernels.Shades(
        np.array([[0, 0.1, 0, 0.5]]),
        np.zeros((1, 2), np.int64),
        np.empty((0, 4)),
        np.empty((0, 1), np.uint8),
        blurs.starts,
    )
    results = []
    for device in (None, "meta"):
        outs = [torch.zeros_like(pixels) for _ in range(2)]
        with torch.device(device) if device else torch.no_grad():
            kernels.blur(outs[0], images, pixels, images, blurs, backend="triton")
            kernels.shade(outs[1], images, pixels, images, shades, backend="triton")
        results.append(outs)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
