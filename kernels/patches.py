"""`patchify`: ragged images as the normalised patches that a vision model takes, padding included, in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from gpurender.kernels.arrays import describe, device_of, has_dtype, look, to_tensor
from gpurender.kernels.backends import Backend, implementation
from gpurender.kernels.images import MAX_SIDE, Images, check_shape, dtype_of, look_images

if TYPE_CHECKING:
    from gpurender.kernels.arrays import Array

__all__ = ["Patches", "patchify"]

# Patches of an image, and px of a patch: backends count either in 32 bits, and add some.
MAX_COUNT = 2**30

_DTYPES = {
    field: np.dtype(dtype)
    for field, dtype in (("canvases", np.int32), ("starts", np.int64), ("paper", np.uint8), ("levels", np.float32))
}
# What `out` may be, and its bytes.
_SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}


class Patches(NamedTuple):
    """For each of K images, a canvas, and where its patches go; and what patches are.

    An image lies in the top left corner of its canvas, height H = gh patch_h by width W = gw patch_w. Its patch in row
    i and column j of the grid is row

        starts + ((i // m) (gw // m) + j // m) m m + (i % m) m + j % m,   m = merge

    of `out`, and column `((c temporal + t) patch_h + y) patch_w + x` of it is `levels[c][v]`, where v is channel c of
    the patch's pixel (x, y), or its gray, or paper where the image is not. Qwen2-VL's models have patch (14, 14) or
    (16, 16), merge 2 and temporal 2; with patch (H, W), merge 1 and temporal 1, `out` is a batch `[K, 3, H, W]`.
    """

    canvases: Array  # [K, 2] int32: height, width in px, multiples of patch * merge, up to 2**28; at least the image's
    starts: Array  # [K] int64: each image's first row of `out`
    paper: Array  # [K, C] uint8
    levels: Array  # [3, 256] float32: what each byte becomes in each color of the model; as near as out's dtype has it
    patch: tuple[int, int]  # height, width in px
    merge: int  # patches in a row stand in blocks of merge x merge
    temporal: int  # how many times each patch is repeated: the frames of a still


def patchify(out: Array, pixels: Array, source: Images, patches: Patches, *, backend: Backend = "auto") -> Array:
    """Cut images into normalised patches. All backends give the same bits.

    Args:
        out: [R, 3 * temporal * patch_h * patch_w] float32, float16 or, in torch, bfloat16; contiguous. Rows of no image
            are not touched, and no two images may share one. Its device is the one that works.
        pixels: Flat uint8, on out's device.
        source: The images in `pixels`, of 1 channel (gray) or 3; plan, on the CPU.
        patches: Plan, on the CPU.
        backend: See `gpurender.kernels`.

    Returns:
        `out`.

    Raises:
        TypeError: A wrong dtype or kind of array.
        ValueError: A wrong shape, numbers that point outside the arrays, or levels that are not finite in out's dtype.
    """
    _check_buffers(out, pixels)
    _check_plan("source", source, ("sizes", "starts"))
    _check_plan("Patches", patches, tuple(_DTYPES))
    if not isinstance(source.channels, int) or source.channels not in (1, 3):
        raise ValueError(f"source.channels must be 1 or 3, not {source.channels}")
    sizes, starts = look_images("source", source, len(pixels))
    height, width = _check_counts(patches)
    for field, dtype in _DTYPES.items():
        if not has_dtype(getattr(patches, field), dtype):
            raise TypeError(f"Patches.{field} must be an array of {dtype}, not {describe(getattr(patches, field))}")
    canvases, rows, paper, levels = (look(getattr(patches, field)) for field in _DTYPES)
    check_shape("Patches.canvases", canvases, (len(starts), 2))
    check_shape("Patches.starts", rows, (len(starts),))
    check_shape("Patches.paper", paper, (len(starts), source.channels))
    check_shape("Patches.levels", levels, (3, 256))
    wide = canvases.astype(np.int64)
    if (wide < sizes).any() or (wide > MAX_SIDE).any():
        raise ValueError(f"Patches.canvases must be at least the images' sizes, and at most {MAX_SIDE}")
    if (wide % np.array([height * patches.merge, width * patches.merge])).any():
        raise ValueError(f"Patches.canvases must be multiples of patch * merge, {height} x {width} * {patches.merge}")
    counts = (wide // np.array([height, width])).prod(1)
    if (counts > MAX_COUNT).any():
        raise ValueError(f"Patches.canvases must have at most {MAX_COUNT} patches")
    if out.shape[1] != 3 * patches.temporal * height * width:
        raise ValueError(f"out must have {3 * patches.temporal * height * width} columns, not {out.shape[1]}")
    if (rows < 0).any() or (rows > out.shape[0] - counts).any():
        raise ValueError(f"Patches.starts must be such that all patches lie in out's {out.shape[0]} rows")

    run, takes_tensors = implementation("patchify", backend, device_of(out))
    arrays = [_bits(out), pixels, sizes, starts, canvases, rows, paper, _bits(_convert(levels, out))]
    arrays = [to_tensor(array).contiguous() if takes_tensors else look(array) for array in arrays]
    run(*arrays[:4], source.channels, *arrays[4:], height, width, patches.merge, patches.temporal)
    return out


def _check_plan(name: str, plan: Any, fields: tuple[str, ...]) -> None:
    for field in fields:
        array = getattr(plan, field)
        if hasattr(array, "device") and device_of(array) != "cpu":
            raise ValueError(f"{name}.{field} must lie on the CPU, not on {device_of(array)}")


def _check_buffers(out: Array, pixels: Array) -> None:
    for name, buffer, dtypes, ndim in (("out", out, tuple(_SIZES), 2), ("pixels", pixels, ("uint8",), 1)):
        if not hasattr(buffer, "dtype") or dtype_of(buffer) not in dtypes:
            raise TypeError(f"{name} must be an array of {', '.join(dtypes)}, not {describe(buffer)}")
        if buffer.ndim != ndim:
            raise ValueError(f"{name} must have {ndim} dimensions, not {describe(buffer)}")
    if device_of(out) != device_of(pixels):
        raise ValueError(f"pixels must lie on out's device, {device_of(out)}, not on {device_of(pixels)}")
    contiguous = out.flags.c_contiguous and out.flags.writeable if isinstance(out, np.ndarray) else out.is_contiguous()
    if not contiguous:
        raise ValueError("out must be contiguous and writeable")


def _check_counts(patches: Patches) -> tuple[int, int]:
    """The sides of a patch."""
    if not isinstance(patches.patch, (tuple, list)) or len(patches.patch) != 2:
        raise TypeError(f"Patches.patch must be (height, width), not {patches.patch!r}")
    height, width = patches.patch
    for name, count in (("patch", height), ("patch", width), ("merge", patches.merge), ("temporal", patches.temporal)):
        if not isinstance(count, int):
            raise TypeError(f"Patches.{name} must be of int, not {count!r}")
        if not 1 <= count <= MAX_SIDE:
            raise ValueError(f"Patches.{name} must be 1 to {MAX_SIDE}, not {count}")
    if height * width > MAX_COUNT:
        raise ValueError(f"Patches.patch must have at most {MAX_COUNT} px, not {height} x {width}")
    return height, width


def _convert(levels: Any, out: Array) -> Array:
    """Levels in out's dtype, each rounded once, to the nearest and then to even."""
    converted: Array
    if isinstance(out, np.ndarray):
        with np.errstate(over="ignore"):
            converted = levels.astype(out.dtype)
        finite = bool(np.isfinite(converted).all())
    else:
        converted = to_tensor(levels).to(out.dtype)
        finite = bool(converted.isfinite().all())
    if not finite:
        raise ValueError(f"Patches.levels must be finite in out's dtype, {dtype_of(out)}")
    return converted


def _bits(array: Array) -> Array:
    """The same memory as integers: backends move bits, and numba has no bfloat16."""
    size = _SIZES[dtype_of(array)]
    if isinstance(array, np.ndarray):
        return array.view(f"i{size}")
    import torch

    return array.view(torch.int32 if size == 4 else torch.int16)
