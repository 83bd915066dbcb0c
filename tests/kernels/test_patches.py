"""What arguments `patchify` refuses, whatever the backend."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from gpurender.kernels import Images, Patches

from gpurender import kernels

# Two images of 3 channels, and rows of nobody's before, between and behind their 8 and 4 patches.
ROWS = 20
PIXELS = np.zeros(5 + 3 * (20 * 30 + 9 * 9), np.uint8)
SOURCE = Images(np.array([[20, 30], [9, 9]], np.int32), np.array([5, 1805]), 3)
CANVASES, STARTS = np.array([[28, 56], [28, 28]], np.int32), np.array([9, 3])
PAPER, LEVELS = np.full((2, 3), 255, np.uint8), np.linspace(-2, 2, 768, dtype=np.float32).reshape(3, 256)
PATCHES = Patches(CANVASES, STARTS, PAPER, LEVELS, (14, 14), 2, 2)


def with_level(value):
    levels = LEVELS.copy()
    levels[2, 255] = value
    return levels


def moved(array, index, value):
    array = array.copy()
    array[index] = value
    return array


# What is given instead of what is good, and what the error says.
WRONG_PATCHES = [
    ({"canvases": CANVASES.astype(np.int64)}, TypeError, r"Patches.canvases must be an array of int32, not"),
    ({"canvases": [[28, 56], [28, 28]]}, TypeError, "Patches.canvases .*not list"),
    ({"starts": STARTS.astype(np.int32)}, TypeError, r"Patches.starts must be an array of int64"),
    ({"paper": PAPER.astype(np.int8)}, TypeError, r"Patches.paper must be an array of uint8"),
    ({"levels": LEVELS.astype(np.float64)}, TypeError, r"Patches.levels must be an array of float32"),
    ({"canvases": CANVASES[:1]}, ValueError, r"Patches.canvases must have shape \[2, 2\], not \[1, 2\]"),
    ({"starts": STARTS[:1]}, ValueError, r"Patches.starts must have shape \[2\], not \[1\]"),
    ({"paper": PAPER[:, :1]}, ValueError, r"Patches.paper must have shape \[2, 3\], not \[2, 1\]"),
    ({"levels": LEVELS[:, :255]}, ValueError, r"Patches.levels must have shape \[3, 256\], not \[3, 255\]"),
    ({"levels": LEVELS[:1]}, ValueError, r"Patches.levels must have shape \[3, 256\], not \[1, 256\]"),
    ({"levels": with_level(np.nan)}, ValueError, "Patches.levels must be finite"),
    ({"levels": with_level(-np.inf)}, ValueError, "Patches.levels must be finite"),
    ({"canvases": moved(CANVASES, (1, 0), 42)}, ValueError, r"multiples of patch \* merge, 14 x 14 \* 2"),
    ({"canvases": moved(CANVASES, (1, 1), 14)}, ValueError, "Patches.canvases must be multiples"),
    ({"canvases": moved(CANVASES, (0, 1), 28)}, ValueError, "Patches.canvases must be at least the images"),
    ({"canvases": moved(CANVASES, (0, 0), -28)}, ValueError, "Patches.canvases must be at least the images"),
    ({"canvases": moved(CANVASES, (0, 0), 28 * 2**24)}, ValueError, "and at most 268435456"),
    ({"canvases": moved(CANVASES, (0, 0), 28 * 9586980)}, ValueError, "all patches lie in out's 20 rows"),
    ({"canvases": moved(CANVASES, (0,), 28 * 9586980)}, ValueError, "at most 1073741824 patches"),
    ({"starts": moved(STARTS, 0, -1)}, ValueError, "Patches.starts must be such that all patches lie in"),
    ({"starts": moved(STARTS, 0, 13)}, ValueError, "Patches.starts must be such that all patches lie in"),
    ({"starts": moved(STARTS, 0, 2**63 - 1)}, ValueError, "Patches.starts must be such that all patches"),
    ({"patch": (14, 0)}, ValueError, "Patches.patch must be 1 to 268435456, not 0"),
    ({"patch": (-14, 14)}, ValueError, "Patches.patch must be 1 to 268435456, not -14"),
    ({"patch": (14.0, 14)}, TypeError, "Patches.patch must be of int, not 14.0"),
    ({"patch": 14}, TypeError, r"Patches.patch must be \(height, width\), not 14"),
    ({"patch": (14, 14, 2)}, TypeError, r"Patches.patch must be \(height, width\), not \(14, 14, 2\)"),
    ({"patch": (2**16, 2**15)}, ValueError, "Patches.patch must have at most 1073741824 px, not 65536 x 32768"),
    ({"merge": 0}, ValueError, "Patches.merge must be 1 to 268435456, not 0"),
    ({"merge": 2.0}, TypeError, "Patches.merge must be of int, not 2.0"),
    ({"temporal": 0}, ValueError, "Patches.temporal must be 1 to 268435456, not 0"),
    ({"temporal": 3}, ValueError, "out must have 1764 columns, not 1176"),
    ({"starts": torch.empty(2, dtype=torch.int64, device="meta")}, ValueError, "Patches.starts must lie on the CPU"),
]


def test_wrong_patches_are_refused():
    out = np.zeros((ROWS, 1176), np.float32)
    for change, error, message in WRONG_PATCHES:
        with pytest.raises(error, match=message):
            kernels.patchify(out, PIXELS, SOURCE, PATCHES._replace(**change))
    with pytest.raises(ValueError, match="backend must be one of"):
        kernels.patchify(out, PIXELS, SOURCE, PATCHES, backend="cuda")
    assert not out.any()
    kernels.patchify(out, PIXELS, SOURCE, PATCHES)
    assert out.any(1).sum() == 12


def test_wrong_images_are_refused():
    out = np.zeros((ROWS, 1176), np.float32)
    for change, error, message in [
        ({"channels": 2}, ValueError, "source.channels must be 1 or 3, not 2"),
        ({"channels": 3.0}, ValueError, "source.channels must be 1 or 3, not 3.0"),
        ({"channels": "3"}, ValueError, "source.channels must be 1 or 3, not 3"),
        ({"channels": 1}, ValueError, "Patches.paper must have shape"),
        ({"sizes": SOURCE.sizes.astype(np.int64)}, TypeError, "source.sizes must be an array of int32"),
        ({"sizes": moved(SOURCE.sizes, (0, 0), 0)}, ValueError, "source.sizes must be 1 to"),
        ({"starts": SOURCE.starts + 1}, ValueError, "source's images must lie inside its buffer"),
        ({"starts": SOURCE.starts[:1]}, ValueError, "source.sizes must have shape"),
        (
            {"sizes": torch.empty(2, 2, dtype=torch.int32, device="meta")},
            ValueError,
            "source.sizes must lie on the CPU",
        ),
    ]:
        with pytest.raises(error, match=message):
            kernels.patchify(out, PIXELS, SOURCE._replace(**change), PATCHES)


def test_wrong_buffers_are_refused():
    out = np.zeros((ROWS, 1176), np.float32)
    frozen = out.copy()
    frozen.flags.writeable = False
    for wrong, error, message in [
        (out.astype(np.float64), TypeError, "out must be an array of float32, bfloat16, float16, not float64"),
        (out.astype(">f4"), TypeError, "out must be an array of"),
        (out.tolist(), TypeError, "out must be an array of .* not list"),
        (out.ravel(), ValueError, "out must have 2 dimensions"),
        (out[None], ValueError, "out must have 2 dimensions"),
        (np.zeros((ROWS, 1177), np.float32), ValueError, "out must have 1176 columns, not 1177"),
        (out[:, :-1].copy(), ValueError, "out must have 1176 columns, not 1175"),
        (np.zeros((ROWS, 2352), np.float32)[:, ::2], ValueError, "out must be contiguous and writeable"),
        (torch.zeros(1176, ROWS).t(), ValueError, "out must be contiguous and writeable"),
        (frozen, ValueError, "out must be contiguous and writeable"),
        (torch.zeros(ROWS, 1176, device="meta"), ValueError, "pixels must lie on out's device, meta, not on cpu"),
        (out[:11].copy(), ValueError, "Patches.starts must be such that all patches lie in out's 11 rows"),
    ]:
        with pytest.raises(error, match=message):
            kernels.patchify(wrong, PIXELS, SOURCE, PATCHES)
    for wrong, error, message in [
        (PIXELS.astype(np.int8), TypeError, "pixels must be an array of uint8, not int8"),
        (PIXELS[None], ValueError, "pixels must have 1 dimensions"),
        (PIXELS[:-1], ValueError, "source's images must lie inside its buffer"),
        (torch.from_numpy(PIXELS).to("meta"), ValueError, "pixels must lie on out's device, cpu, not on meta"),
    ]:
        with pytest.raises(error, match=message):
            kernels.patchify(out, wrong, SOURCE, PATCHES)


def test_levels_that_sixteen_bits_do_not_hold():
    large = PATCHES._replace(levels=with_level(65520))
    kernels.patchify(torch.zeros(ROWS, 1176, dtype=torch.bfloat16), torch.from_numpy(PIXELS), SOURCE, large)
    for out in (torch.zeros(ROWS, 1176, dtype=torch.float16), np.zeros((ROWS, 1176), np.float16)):
        given = PIXELS if isinstance(out, np.ndarray) else torch.from_numpy(PIXELS)
        with pytest.raises(ValueError, match=r"Patches.levels must be finite in out's dtype, float16"):
            kernels.patchify(out, given, SOURCE, large)


def test_no_torch_before_it_is_needed():
    """numpy's arrays are worked on without loading torch."""
    code = """if True:
    import sys, numpy as np
    from gpurender import kernels
    images = kernels.Images(np.array([[4, 5]], np.int32), np.array([0]), 1)
    patches = kernels.Patches(np.array([[4, 6]], np.int32), np.array([0]), np.zeros((1, 1), np.uint8),
                              np.zeros((3, 256), np.float32), (2, 3), 2, 2)
    kernels.patchify(np.zeros((4, 36), np.float16), np.zeros(20, np.uint8), images, patches)
    assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="forbids pages by Linux's mprotect")
def test_nothing_is_read_or_written_past_the_buffers():
    """Another process, which dies of it: its buffers lie at either end of a page of memory between forbidden ones."""
    code = """if True:
    import ctypes, mmap, sys, numpy as np
    from gpurender import kernels
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    kept = []

    def enclosed(size, dtype, end):
        count = -(-size * np.dtype(dtype).itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        kept.append(mmap.mmap(-1, count + 2 * mmap.PAGESIZE))
        whole = np.frombuffer(kept[-1], np.uint8)
        for page in (0, mmap.PAGESIZE + count):
            assert protect(whole.ctypes.data + page, mmap.PAGESIZE, 0) == 0
        inner = whole[mmap.PAGESIZE :][:count].view(dtype)
        return inner[len(inner) - size :] if end else inner[:size]

    for channels in (1, 3):
        for height, width, patch in ((28, 56, (14, 14)), (5, 3, (14, 14)), (9, 20, (3, 18)), (3, 900, (3, 900))):
            side = [-(-n // p) * p for n, p in zip((height, width), patch)]
            rows, columns = side[0] * side[1] // (patch[0] * patch[1]), 3 * patch[0] * patch[1]
            images = kernels.Images(np.array([[height, width]], np.int32), np.array([0]), channels)
            paper, levels = np.zeros((1, channels), np.uint8), np.ones((3, 256), np.float32)
            patches = kernels.Patches(np.array([side], np.int32), np.array([0]), paper, levels, patch, 1, 1)
            for end in (False, True):
                pixels = enclosed(channels * height * width, np.uint8, end)
                for dtype in (np.float32, np.float16):
                    out = enclosed(rows * columns, dtype, end).reshape(rows, columns)
                    kernels.patchify(out, pixels, images, patches, backend="cpu")
                    assert (out == 1).all()
    """
    subprocess.run([sys.executable, "-c", code], check=True)
