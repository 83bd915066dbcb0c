"""Patches: transformers' own, and bit for bit the same from every backend."""

import importlib
import math

import numpy as np
import pytest
import torch
from gpurender.kernels import Images, Patches
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender import kernels

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BACKENDS = ["cpu", "triton"]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
# Bits that no level has: a not-a-number.
POISON = {torch.float32: 0x7FC12345, torch.bfloat16: 0x7FC5, torch.float16: 0x7E05}


def normalised(mean, std):
    """Levels [3, 256] float32 of a processor that takes (x / 255 - mean) / std."""
    mean, std = np.array(mean)[:, None], np.array(std)[:, None]
    return ((np.arange(256) / 255 - mean) / std).astype(np.float32)


def noise_levels(seed=0):
    return np.random.default_rng(seed).normal(0, 3, (3, 256)).astype(np.float32)


def make(sizes, canvases, channels, patch=(14, 14), merge=2, temporal=2, seed=0, levels=None):
    """A ragged batch: pixels among other bytes, its images, its patches with rows of nobody between, rows in all."""
    rng = np.random.default_rng(seed)
    sizes, canvases = np.array(sizes, np.int32).reshape(-1, 2), np.array(canvases, np.int32).reshape(-1, 2)
    lengths = channels * sizes.astype(np.int64).prod(1)
    starts = 5 + np.cumsum(lengths + 7) - lengths - 7
    # The last image ends with the buffer.
    pixels = rng.integers(0, 256, int(starts[-1] + lengths[-1]) if len(sizes) else 0, dtype=np.uint8)
    counts = (canvases // np.array(patch)).prod(1, dtype=np.int64)
    # Not in the order of the images.
    rows = 3 + (np.cumsum((counts + 2)[::-1]) - (counts + 2)[::-1])[::-1]
    paper = rng.integers(0, 256, (len(sizes), channels), dtype=np.uint8)
    levels = noise_levels(seed) if levels is None else levels
    patches = Patches(canvases, rows, paper, levels, patch, merge, temporal)
    return pixels, Images(sizes, starts, channels), patches, int(counts.sum() + 2 * len(counts)) + 4


def bits(tensor):
    return tensor.view(torch.int32 if tensor.element_size() == 4 else torch.int16)


def run(backend, pixels, source, patches, rows, dtype=torch.float32, offset=0):
    """`out`, poisoned before; `offset` elements past where memory is aligned."""
    width = 3 * patches.temporal * math.prod(patches.patch)
    device = DEVICE if backend == "triton" else "cpu"
    flat = torch.empty(rows * width + offset, dtype=dtype, device=device)
    bits(flat).fill_(POISON[dtype])
    out = flat[offset:].view(rows, width)
    returned = kernels.patchify(out, torch.from_numpy(pixels).to(device), source, patches, backend=backend)
    assert returned is out
    assert (bits(flat[:offset]) == POISON[dtype]).all()
    return out.cpu()


def canvases_of(pixels, source, patches):
    """What the images' canvases hold, [3, H, W] uint8 each."""
    for size, start, canvas, paper in zip(source.sizes, source.starts, patches.canvases, patches.paper, strict=True):
        whole = np.empty((source.channels, *canvas), np.uint8)
        whole[:] = paper[:, None, None]
        whole[:, : size[0], : size[1]] = pixels[start:][: source.channels * size.prod()].reshape(-1, *size)
        yield np.broadcast_to(whole, (3, *canvas))


def expected(pixels, source, patches, rows, dtype=torch.float32):
    """`out`, element by element as its docstring says, in numpy."""
    (height, width), m, frames = patches.patch, patches.merge, patches.temporal
    out = torch.empty(rows, 3 * frames * height * width, dtype=dtype)
    bits(out).fill_(POISON[dtype])
    levels = torch.from_numpy(patches.levels).to(dtype)
    for canvas, first in zip(canvases_of(pixels, source, patches), patches.starts, strict=True):
        across = canvas.shape[2] // width
        for i, j in np.ndindex(canvas.shape[1] // height, across):
            row = first + ((i // m) * (across // m) + j // m) * m * m + (i % m) * m + j % m
            for c in range(3):
                plane = canvas[c, i * height : (i + 1) * height, j * width : (j + 1) * width].ravel()
                for t in range(frames):
                    at = (c * frames + t) * height * width
                    out[row, at : at + height * width] = levels[c][torch.from_numpy(plane.astype(int))]
    return out


def check(backend, *batch, dtype=torch.float32, offset=0):
    got = run(backend, *batch, dtype, offset)
    assert torch.equal(bits(got), bits(expected(*batch, dtype)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("patch", "temporal", "smallest", "norm", "canvases"),
    [
        (14, 2, 3136, CLIP, [(56, 56), (84, 140), (112, 28)]),
        (16, 2, 65536, HALF, [(256, 256), (128, 544)]),
        (14, 1, 3136, CLIP, [(56, 84)]),
    ],
)
def test_equals_transformers(patch, temporal, smallest, norm, canvases, channels):
    why = "needs transformers: pip install transformers"
    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl", reason=why)
    image_module = pytest.importorskip("PIL.Image")
    process = module.Qwen2VLImageProcessorPil(
        patch_size=patch, temporal_patch_size=temporal, merge_size=2, image_mean=norm[0], image_std=norm[1],
        min_pixels=smallest, max_pixels=2**24,
    )  # fmt: skip
    # Images as large as their canvases, and some smaller.
    sizes = [(h - 9 * (k % 2), w - 5 * (k % 2)) for k, (h, w) in enumerate(canvases)]
    batch = make(sizes, canvases, channels, (patch, patch), 2, temporal, levels=normalised(*norm))
    pixels, source, patches, _ = batch
    # What a canvas shows, as a file of gray or colors would hold it.
    images = [
        image_module.fromarray(canvas[0] if channels == 1 else np.ascontiguousarray(canvas.transpose(1, 2, 0)))
        for canvas in canvases_of(pixels, source, patches)
    ]
    theirs = [process(image, return_tensors="np") for image in images]
    for canvas, their in zip(canvases, theirs, strict=True):
        assert their["image_grid_thw"].tolist() == [[1, canvas[0] // patch, canvas[1] // patch]]
    for backend in ("reference", "cpu"):
        ours = run(backend, *batch).numpy()
        for start, their in zip(patches.starts, theirs, strict=True):
            values = their["pixel_values"]
            np.testing.assert_allclose(ours[start : start + len(values)], values, rtol=0, atol=1e-6)


# Patch, merge, temporal; sizes; canvases.
BATCHES = {
    "qwen2": ((14, 14), 2, 2, [(20, 30), (28, 28), (1, 1), (29, 83)], [(28, 56), (28, 28), (56, 28), (56, 84)]),
    "qwen3": ((16, 16), 2, 2, [(33, 70), (1, 64)], [(64, 96), (32, 64)]),
    "odd": ((7, 5), 3, 1, [(22, 30), (5, 2)], [(42, 30), (21, 45)]),
    "pixels": ((1, 1), 2, 3, [(6, 4), (1, 3)], [(6, 4), (2, 6)]),
    "broad": ((5, 18), 2, 1, [(9, 37), (10, 35)], [(10, 72), (10, 36)]),
    "strips": ((3, 1), 1, 2, [(6, 4)], [(9, 5)]),
    "no merge": ((14, 14), 1, 1, [(14, 28), (40, 17)], [(14, 28), (42, 42)]),
    "wide": ((2, 1500), 1, 2, [(3, 1501), (1, 2999)], [(4, 3000), (2, 3000)]),
    "tall": ((700, 3), 1, 1, [(701, 4)], [(1400, 6)]),
    "large": ((90, 210), 2, 1, [(170, 400)], [(180, 420)]),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", BATCHES)
def test_every_backend_gives_the_same_bits(name, channels, dtype):
    patch, merge, temporal, sizes, canvases = BATCHES[name]
    batch = make(sizes, canvases, channels, patch, merge, temporal)
    for backend in ("reference", *BACKENDS):
        check(backend, *batch, dtype=dtype)


@pytest.mark.parametrize("offset", [1, 3, 8, 13, 31])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_out_may_begin_anywhere(dtype, offset):
    patch, merge, temporal, sizes, canvases = BATCHES["qwen2"]
    check("cpu", *make(sizes, canvases, 1, patch, merge, temporal), dtype=dtype, offset=offset)
    check("cpu", *make([(2, 3)], [(2, 4)], 3, (1, 1), 1, 1), dtype=dtype, offset=offset)
    check("triton", *make(sizes[:1], canvases[:1], 1, patch, merge, temporal), dtype=dtype, offset=offset)


@pytest.mark.parametrize("size", [(31, 45), (240, 330), (3, 20000)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_dense(backend, channels, size):
    """With patches as large as a canvas, a batch [K, 3, H, W]."""
    # The interpreter is slow.
    size = (size[0], min(size[1], 4000)) if backend == "triton" else size
    height, width = size[0] + 9, size[1] + 2
    sizes = [size, (size[0] - 1, 7), (1, size[1])]
    pixels, source, patches, _ = make(sizes, [(height, width)] * 3, channels, (height, width), 1, 1)
    patches = patches._replace(starts=np.arange(3))
    out = run(backend, pixels, source, patches, 3).view(3, 3, height, width)
    for got, canvas in zip(out.numpy(), canvases_of(pixels, source, patches), strict=True):
        for c in range(3):
            np.testing.assert_array_equal(got[c], patches.levels[c][canvas[c]])


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_patches_beyond_what_is_staged(backend):
    """Frames so many, or pixels, that one patch does not fit where patches are made."""
    check(backend, *make([(9, 20)], [(16, 24)], 3, (8, 8), 1, 350))
    check(backend, *make([(150, 290)], [(152, 300)], 1, (152, 150), 1, 2), dtype=torch.bfloat16)


def test_triton_takes_more_tiles_in_one_program(monkeypatch):
    # The function of the same name hides the module.
    monkeypatch.setattr(importlib.import_module("gpurender.kernels.plan.patchify"), "PROGRAMS", 3)
    for name in ("qwen2", "large", "wide", "tall"):
        patch, merge, temporal, sizes, canvases = BATCHES[name]
        check("triton", *make(sizes, canvases, 1, patch, merge, temporal))


def test_the_default_device_is_not_asked():
    """Plans lie on the CPU, whatever `torch.set_default_device` says."""
    batch = make([(20, 30), (9, 9)], [(28, 56), (28, 28)], 3)
    own = expected(*batch)
    for backend in BACKENDS:
        device = DEVICE if backend == "triton" else "cpu"
        out, pixels = torch.zeros_like(own, device=device), torch.from_numpy(batch[0]).to(device)
        with torch.device("meta"):
            kernels.patchify(out, pixels, *batch[1:3], backend=backend)
        assert torch.equal(out.cpu(), torch.where(own.isnan(), 0, own))


@settings(max_examples=60)
@given(st.data())
def test_the_inverse_permutation_gives_the_canvas(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    (height, width), merge, frames = (draw(1, 9), draw(1, 9)), draw(1, 3), draw(1, 3)
    canvases = [(draw(1, 3) * height * merge, draw(1, 3) * width * merge) for _ in range(draw(1, 3))]
    sizes = [(draw(1, h), draw(1, w)) for h, w in canvases]
    channels = data.draw(st.sampled_from([1, 3]))
    levels = np.arange(768, dtype=np.float32).reshape(3, 256)
    pixels, source, patches, rows = make(sizes, canvases, channels, (height, width), merge, frames, draw(0, 99), levels)
    for backend in ("reference", "cpu"):
        out = run(backend, pixels, source, patches, rows).numpy()
        for canvas, start in zip(canvases_of(pixels, source, patches), patches.starts, strict=True):
            down, right = canvas.shape[1] // height, canvas.shape[2] // width
            own = out[start : start + down * right]
            own = own.reshape(down // merge, right // merge, merge, merge, 3, frames, height, width)
            assert (own == own[:, :, :, :, :, :1]).all()
            back = own[:, :, :, :, :, 0].transpose(4, 0, 2, 5, 1, 3, 6).reshape(canvas.shape)
            np.testing.assert_array_equal(back, canvas + 256 * np.arange(3)[:, None, None])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_numpy_arrays(backend, dtype):
    pixels, source, patches, rows = make([(20, 30)], [(28, 56)], 3)
    out = np.full((rows, 1176), 9, dtype)
    if DEVICE == "cuda" and backend == "triton":
        pytest.skip("numpy's arrays lie on the CPU")
    assert kernels.patchify(out, pixels, source, patches, backend=backend) is out
    torched = expected(pixels, source, patches, rows, torch.from_numpy(out).dtype).numpy()
    own = slice(patches.starts[0], patches.starts[0] + 8)
    np.testing.assert_array_equal(out[own], torched[own])
    out[own] = 9
    assert (out == 9).all()


def test_plans_and_pixels_in_any_layout():
    """Every other byte of a buffer; plans as torch's tensors, transposed, or backwards."""
    pixels, source, patches, rows = make([(20, 30), (9, 9)], [(28, 56), (28, 28)], 1)
    plan = Images(torch.from_numpy(source.sizes), torch.from_numpy(source.starts), 1)
    other = patches._replace(
        canvases=np.ascontiguousarray(patches.canvases[::-1])[::-1],
        starts=torch.from_numpy(patches.starts.copy()),
        levels=np.asfortranarray(patches.levels),
        patch=[14, 14],
    )
    for backend in ("reference", *BACKENDS):
        device = DEVICE if backend == "triton" else "cpu"
        twice = torch.from_numpy(np.repeat(pixels, 2)).to(device)[::2]
        out = torch.zeros(rows, 1176, device=device)
        kernels.patchify(out, twice, plan, other, backend=backend)
        own = expected(pixels, source, patches, rows)
        assert torch.equal(out.cpu(), torch.where(own.isnan(), 0, own))


def test_rounding_to_sixteen_bits():
    """Levels halfway between two numbers go to the even one, in numpy's float16 and in torch's."""
    near = np.array([1, 1 + 2**-9, 1 + 3 * 2**-9, 1 + 2**-12, 1 + 2**-11, 1 + 3 * 2**-11, 2**-25, 3 * 2**-25, -5e-8])
    levels = np.tile(np.resize(near, 256).astype(np.float32), (3, 1))
    pixels, images = np.arange(256, dtype=np.uint8), Images(np.array([[1, 256]], np.int32), np.array([0]), 1)
    patches = Patches(np.array([[1, 256]], np.int32), np.array([0]), np.zeros((1, 1), np.uint8), levels, (1, 256), 1, 1)
    for dtype in DTYPES:
        table = torch.from_numpy(levels).to(dtype).reshape(1, -1)
        for backend in ("reference", *BACKENDS):
            assert torch.equal(bits(run(backend, pixels, images, patches, 1, dtype)), bits(table))
    out = np.empty((1, 768), np.float16)
    kernels.patchify(out, pixels, images, patches, backend="cpu")
    half = torch.from_numpy(levels).half().reshape(1, -1)
    assert torch.equal(bits(torch.from_numpy(out)), bits(half))


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_no_images(backend):
    batch = make([], [], 3)
    assert torch.equal(bits(run(backend, *batch)), bits(expected(*batch)))
