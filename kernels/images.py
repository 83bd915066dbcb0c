"""Operations on ragged images: `warp`, `blur` and `shade`, one set of parameters for each image.

Images lie one after another, or anywhere, in flat buffers, so a call may work on some images of a batch, and none is
padded. Results in uint8, 0 to 255, are rounded to the nearest (`floor(v + 0.5)`); the reference also takes buffers in
floating point, 0 to 1, unrounded and differentiable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from gpurender.kernels.arrays import describe, device_of, has_dtype, look, look_all, to_tensor
from gpurender.kernels.backends import Backend, choose_backend, implementation

if TYPE_CHECKING:
    from gpurender.kernels.arrays import Array

__all__ = ["CELL", "ROUGHNESS", "STEEPNESS", "Blurs", "Images", "Shades", "Warps", "blur", "shade", "warp"]

# Largest half of a separable kernel, without its middle. What a backend's tile must hold beside its own pixels.
MAX_RADIUS = 24

# px; of an image.
MAX_SIDE = 2**28

# The noise that makes blots irregular: px between its lattice points; how much of a blot's squared radius it adds or
# takes; and how fast a blot's edge rises.
CELL = 32
ROUGHNESS = 1.0
STEEPNESS = 4.0


class Images(NamedTuple):
    """K images in one flat buffer, each `[C, height, width]`, row-major."""

    sizes: Array  # [K, 2] int32: height, width in px, 1 to 2**28
    starts: Array  # [K] int64: each image's first element
    channels: int


class Warps(NamedTuple):
    """For each of K images, which point of the source a pixel of the target shows.

    A row of `maps` is an affine map `(a, b, c, d, e, f)`, a wave `(ax, kx, px, ay, ky, py)`, and a second affine map.
    In coordinates of pixel centres, the first pixel's being (0, 0), a target's pixel (x, y) shows what is at (u, v):

        x, y = a x + b y + c, d x + e y + f
        y = y - ay sin 2 pi (ky x + py)
        x = x - ax sin 2 pi (kx y + px)
        u, v = a' x + b' y + c', d' x + e' y + f'

    The wave is two shears, one after the other, so its inverse is as plain, and both keep areas. Amplitudes are px, k
    is waves a px, p is turns. Values are bilinear; around the image everything is paper.
    """

    maps: Array  # [K, 18] float64
    paper: Array  # [K, C] uint8


class Blurs(NamedTuple):
    """For each of K images, a separable symmetric kernel or, if it has taps of its own, those. Edges replicate.

    With taps, `target(x, y)` is the sum of `weight * source(x + dx, y + dy)`.
    """

    halves: Array  # [K, R + 1] float32: the middle, and the weights that follow on either side, in x and y alike
    offsets: Array  # [T, 2] int32: dx, dy in px
    weights: Array  # [T] float32
    starts: Array  # [K + 1] int64: each image's first tap


class Shades(NamedTuple):
    """For each of K images, a shadow and B blots, each of which takes some of the light; with neither, a copy.

    Pixel (x, y) of an image becomes `v (1 - depth s)`, where `s = t t (3 - 2 t)`, `t = 1 - (a x + b y + c)` clamped to
    [0, 1]. Each blot makes it `v (1 - alpha f (1 - color / 255))`, where

        u = STEEPNESS (1 + ROUGHNESS n - ((x - cx)^2 + (y - cy)^2) / r^2)
        f = min(max(u, 0), 1) (0.7 + 0.3 min(max(2 - u, 0), 1))

    is about 1 along the edge of the blot and 0.7 within, as where a fluid has dried. n, from -1 to 1, is gradient noise
    (Perlin, "An Image Synthesizer", SIGGRAPH 1985), one field for an image. Lattice point (i, j), which is pixel
    (CELL i, CELL j), has the gradient `(2 (b >> 16) / 2**16 - 1, 2 (b % 2**16) / 2**16 - 1)`, where b is
    `bits(noise, 2**16 j + i)`. What the four gradients around a pixel say of it, its distance from them being in cells,
    is interpolated by `w w (3 - 2 w)` in x and y.
    """

    ramps: Array  # [K, 4] float64: a, b, c, depth
    noise: Array  # [K, 2] int64: a key of `kernels.random`
    blots: Array  # [B, 4] float64: cx, cy, r in px, alpha
    colors: Array  # [B, C] uint8
    starts: Array  # [K + 1] int64: each image's first blot


_I32, _I64, _U8, _F32, _F64 = (np.dtype(t) for t in (np.int32, np.int64, np.uint8, np.float32, np.float64))
_DTYPES: dict[type, tuple[np.dtype[Any], ...]] = {
    Warps: (_F64, _U8),
    Blurs: (_F32, _I32, _F32, _I64),
    Shades: (_F64, _I64, _F64, _U8, _I64),
}
FLOATING = ("float16", "bfloat16", "float32", "float64")


def warp(
    out: Array, target: Images, pixels: Array, source: Images, warps: Warps, *, backend: Backend = "auto"
) -> Array:
    """Resample images by an inverse map: rotation, waves, and one after the other.

    Args:
        out: Flat, contiguous uint8 (floating-point for the reference). Written where `target` says; its device is the
            one that works. No two targets may overlap, nor a target and any source.
        target: The images in `out`; plan, on the CPU.
        pixels: Flat, of out's dtype, on out's device.
        source: The images in `pixels`; plan, on the CPU.
        warps: Plan, on the CPU.
        backend: See `gpurender.kernels`.

    Returns:
        `out`.

    Raises:
        TypeError: A wrong dtype or kind of array.
        ValueError: A wrong shape, numbers that point outside the arrays, or are not finite.
    """
    maps, paper = look_all(warps, _DTYPES[Warps])
    images = _check(out, target, pixels, source)
    check_shape("Warps.maps", maps, (len(target.starts), 18))
    check_shape("Warps.paper", paper, (len(target.starts), target.channels))
    if not np.isfinite(maps).all():
        raise ValueError("Warps.maps must be finite")
    return _run("warp", backend, out, pixels, images, target.channels, (maps, paper))


def blur(
    out: Array, target: Images, pixels: Array, source: Images, blurs: Blurs, *, backend: Backend = "auto"
) -> Array:
    """Convolve images, each with a kernel of its own. Arguments and errors as of :func:`warp`; sizes stay."""
    halves, offsets, weights, starts = look_all(blurs, _DTYPES[Blurs])
    images = _check(out, target, pixels, source, keep_sizes=True)
    check_shape("Blurs.halves", halves, (len(target.starts), halves.shape[-1]))
    if not 0 < halves.shape[1] <= MAX_RADIUS + 1:
        raise ValueError(f"Blurs.halves must have 1 to {MAX_RADIUS + 1} columns, not {halves.shape[1]}")
    check_shape("Blurs.offsets", offsets, (len(weights), 2))
    _rise("Blurs.starts", starts, len(target.starts), len(weights))
    if not (np.isfinite(halves).all() and np.isfinite(weights).all()):
        raise ValueError("Blurs.halves and Blurs.weights must be finite")
    if len(offsets) and max(-int(offsets.min()), int(offsets.max())) > MAX_RADIUS:
        raise ValueError(f"Blurs.offsets must lie in [-{MAX_RADIUS}, {MAX_RADIUS}]")
    return _run("blur", backend, out, pixels, images, target.channels, (halves, offsets, weights, starts))


def shade(
    out: Array, target: Images, pixels: Array, source: Images, shades: Shades, *, backend: Backend = "auto"
) -> Array:
    """Cast a shadow over images and stain them. Arguments and errors as of :func:`warp`; sizes stay."""
    ramps, noise, blots, colors, starts = look_all(shades, _DTYPES[Shades])
    images = _check(out, target, pixels, source, keep_sizes=True)
    check_shape("Shades.ramps", ramps, (len(target.starts), 4))
    check_shape("Shades.noise", noise, (len(target.starts), 2))
    if (noise >> 32).any():
        raise ValueError("Shades.noise must lie in [0, 2**32)")
    check_shape("Shades.blots", blots, (len(blots), 4))
    check_shape("Shades.colors", colors, (len(blots), target.channels))
    _rise("Shades.starts", starts, len(target.starts), len(blots))
    radii = blots[:, 2]
    if not (np.isfinite(ramps).all() and np.isfinite(blots).all() and ((radii > 0) & (radii < 1e150)).all()):
        raise ValueError("Shades.ramps and Shades.blots must be finite, and radii positive, and less than 1e150")
    return _run("shade", backend, out, pixels, images, target.channels, (ramps, noise, blots, colors, starts))


def _check(out: Array, target: Images, pixels: Array, source: Images, *, keep_sizes: bool = False) -> list[Any]:
    """Sizes and starts of target and source; raise for what would make a backend read or write out of bounds."""
    for name, buffer in (("out", out), ("pixels", pixels)):
        if not hasattr(buffer, "dtype") or dtype_of(buffer) not in ("uint8", *FLOATING) or buffer.ndim != 1:
            raise TypeError(f"{name} must be a flat array of uint8 or floating-point numbers, not {describe(buffer)}")
    if dtype_of(out) != dtype_of(pixels):
        raise TypeError(f"pixels must be of out's dtype, {out.dtype}, not {pixels.dtype}")
    if device_of(out) != device_of(pixels):
        raise ValueError(f"pixels must lie on out's device, {device_of(out)}, not on {device_of(pixels)}")
    contiguous = out.flags.c_contiguous and out.flags.writeable if isinstance(out, np.ndarray) else out.is_contiguous()
    if not contiguous:
        raise ValueError("out must be contiguous and writeable")
    if target.channels != source.channels or not isinstance(target.channels, int) or target.channels < 1:
        raise ValueError(f"target and source must have the same channels, not {target.channels} and {source.channels}")
    arrays = [*look_images("target", target, len(out)), *look_images("source", source, len(pixels))]
    if len(arrays[0]) != len(arrays[2]):
        raise ValueError(f"target has {len(arrays[0])} images, source {len(arrays[2])}")
    if keep_sizes and not np.array_equal(arrays[0], arrays[2]):
        raise ValueError("target and source must have the same sizes")
    return arrays


def look_images(name: str, images: Images, size: int) -> tuple[Any, Any]:
    """Sizes and starts of images in a buffer of a size; raise for any that would lie outside."""
    for field, array, dtype in (("sizes", images.sizes, _I32), ("starts", images.starts, _I64)):
        if not has_dtype(array, dtype):
            raise TypeError(f"{name}.{field} must be an array of {dtype}, not {describe(array)}")
    sizes, starts = look(images.sizes), look(images.starts)
    check_shape(f"{name}.sizes", sizes, (len(starts), 2))
    check_shape(f"{name}.starts", starts, (len(starts),))
    # Backends add tiles and margins to coordinates of 32 bits.
    if (sizes < 1).any() or (sizes > MAX_SIDE).any():
        raise ValueError(f"{name}.sizes must be 1 to {MAX_SIDE}")
    areas = sizes.astype(np.int64).prod(1)
    # In this order nothing overflows.
    if (areas > size // images.channels).any() or (starts < 0).any() or (starts > size - areas * images.channels).any():
        raise ValueError(f"{name}'s images must lie inside its buffer of {size} elements")
    return sizes, starts


def dtype_of(array: Array) -> str:
    """Its dtype's name, the same in numpy and torch."""
    return str(array.dtype).removeprefix("torch.")


def check_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise, naming the array, where its shape is another."""
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, not {list(array.shape)}")


def _rise(name: str, starts: Any, images: int, items: int) -> None:
    check_shape(name, starts, (images + 1,))
    if starts[0] != 0 or starts[-1] != items or (np.diff(starts) < 0).any():
        raise ValueError(f"{name} must rise from 0 to {items}")


def _run(
    operation: str,
    backend: Backend,
    out: Array,
    pixels: Array,
    images: list[Any],
    channels: int,
    parameters: tuple[Any, ...],
) -> Array:
    """Run an operation on `(out, target sizes, starts, pixels, source sizes, starts, channels, *parameters)`."""
    device = device_of(out)
    if not has_dtype(out, _U8) and choose_backend(backend, device) != "reference":
        raise TypeError(f"only backend 'reference' takes {out.dtype}; the others take uint8")
    run, takes_tensors = implementation(operation, backend, device)
    arrays = [out, *images[:2], pixels, *images[2:], *parameters]
    # Pixels stay the tensors that they are, so that gradients find their way.
    arrays = [to_tensor(array).contiguous() if takes_tensors else look(array) for array in arrays]
    run(*arrays[:6], channels, *arrays[6:])
    return out
