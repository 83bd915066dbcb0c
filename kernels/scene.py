"""A scene of glyphs, rules and pictures on pages, and `composite`, which paints it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from gpurender.kernels import check
from gpurender.kernels.arrays import describe, device_of, has_dtype, look, look_all, to_tensor
from gpurender.kernels.backends import Backend, implementation

if TYPE_CHECKING:
    from gpurender.kernels.arrays import Array

__all__ = ["Bitmaps", "Canvas", "Glyphs", "Pictures", "Rules", "composite"]


class Canvas(NamedTuple):
    """N pages in one flat buffer, each `[C, height, width]`, row-major."""

    sizes: Array  # [N, 2] int32: height, width in px
    starts: Array  # [N + 1] int64: each page's first byte
    backgrounds: Array  # [N, C] uint8


class Glyphs(NamedTuple):
    """G glyph bitmaps, page by page, in draw order."""

    xy: Array  # [G, 2] int32: the bitmap's left and top in px of its page; may lie outside
    slots: Array  # [G] int32: rows of Bitmaps.slots
    colors: Array  # [G, C] uint8
    starts: Array  # [N + 1] int64: each page's first glyph


class Bitmaps(NamedTuple):
    """The atlas: S bitmaps of 8-bit coverage in one buffer.

    A bitmap begins at a multiple of 16 bytes. Its rows are `stride` bytes apart, a multiple of 16, and zero from
    `columns` on: backends read whole strides.
    """

    coverage: Array  # [B] uint8
    slots: Array  # [S, 4] int64: first byte, rows, columns, stride


class Rules(NamedTuple):
    """R filled rectangles.

    A pixel is covered by `(255 * cover_x * cover_y + 2048) >> 12`, where cover_x and cover_y (0 to 64) are how much of
    its width and height lies within the rectangle, in 1/64 px.
    """

    boxes: Array  # [R, 4] int32: left, top, right, bottom in 1/64 px
    colors: Array  # [R, C] uint8
    starts: Array  # [N + 1] int64: each page's first rule


class Pictures(NamedTuple):
    """P pictures with an alpha channel, planar `[C + 1, height, width]`, alpha last."""

    boxes: Array  # [P, 4] int32: left, top, width, height in px
    pixels: Array  # [Q] uint8
    at: Array  # [P] int64: each picture's first byte in pixels
    starts: Array  # [N + 1] int64: each page's first picture


_I32, _I64, _U8 = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.uint8)
_DTYPES: dict[type, tuple[np.dtype[Any], ...]] = {
    Canvas: (_I32, _I64, _U8),
    Glyphs: (_I32, _I32, _U8, _I64),
    Bitmaps: (_U8, _I64),
    Rules: (_I32, _U8, _I64),
    Pictures: (_I32, _U8, _I64, _I64),
}
_FAULTS = {
    check.NEGATIVE_SIZES: "Canvas.sizes must not be negative",
    check.CANVAS_STARTS: "Canvas.starts must be the running sum of the pages' bytes, from 0",
    check.GLYPH_STARTS: "Glyphs.starts must rise from 0 to {glyphs}",
    check.RULE_STARTS: "Rules.starts must rise from 0 to {rules}",
    check.PICTURE_STARTS: "Pictures.starts must rise from 0 to {pictures}",
    check.SLOTS: "Glyphs.slots must lie in [0, {bitmaps})",
    check.BITMAPS: "Bitmaps.slots must hold, inside coverage: first byte, a multiple of 16, rows, columns, and a "
    "stride of at least as many, a multiple of 16",
    check.PICTURES: "Pictures must lie inside pixels",
}


def composite(
    out: Array,
    canvas: Canvas,
    glyphs: Glyphs,
    bitmaps: Bitmaps,
    rules: Rules,
    pictures: Pictures,
    *,
    backend: Backend = "auto",
) -> Array:
    """Paint pages: background, rules, glyphs, pictures, in that order, by Porter-Duff "over" on opaque paper.

    Each paint is rounded as `(a * s + (255 - a) * d + 127) // 255`; all backends agree bit for bit. C is 1 or 3.

    Args:
        out: [at least canvas.starts[-1]] uint8, contiguous. Written in place; its device is the one that works.
        canvas: The pages; plan, on the CPU.
        glyphs: Plan, on the CPU.
        bitmaps: The atlas: `coverage` on out's device, `slots` on the CPU.
        rules: Plan, on the CPU.
        pictures: `pixels` on out's device, the rest on the CPU.
        backend: See `gpurender.kernels`.

    Returns:
        `out`.

    Raises:
        TypeError: A wrong dtype or kind of array.
        ValueError: A wrong shape, or numbers that point outside the arrays.
    """
    run, takes_tensors = implementation("composite", backend, device_of(out))
    arrays = (look(out), *_check(out, canvas, glyphs, bitmaps, rules, pictures))
    run(*(map(to_tensor, arrays) if takes_tensors else arrays))
    return out


def _check(out: Array, *groups: Any) -> list[Any]:
    """The groups' arrays as `arrays.look` has them; raise for what would make a backend read or write out of bounds."""
    arrays = [array for group in groups for array in look_all(group, _DTYPES[type(group)])]
    if not has_dtype(out, _U8) or out.ndim != 1:
        raise TypeError(f"out must be a flat uint8 array, not {describe(out)}")
    for name, array in (("Bitmaps.coverage", groups[2].coverage), ("Pictures.pixels", groups[4].pixels)):
        if len(array) and device_of(array) != device_of(out):
            raise ValueError(f"{name} must lie on out's device, {device_of(out)}, not on {device_of(array)}")
    if isinstance(out, np.ndarray) and not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be contiguous and writeable")
    sizes, canvas_starts, backgrounds, _, glyph_slots, _, glyph_starts, coverage, slots, *rest = arrays
    rule_boxes, _, rule_starts, picture_boxes, pixels, picture_at, picture_starts = rest
    if backgrounds.ndim != 2 or backgrounds.shape[1] not in (1, 3):
        raise ValueError(f"Canvas.backgrounds must be [N, 1] or [N, 3], not {list(backgrounds.shape)}")
    pages, channels = backgrounds.shape
    glyphs, bitmaps, rules, pictures = len(glyph_slots), len(slots), len(rule_boxes), len(picture_at)
    shapes = [
        *((pages, 2), (pages + 1,), (pages, channels)),
        *((glyphs, 2), (glyphs,), (glyphs, channels), (pages + 1,)),
        *((len(coverage),), (bitmaps, 4)),
        *((rules, 4), (rules, channels), (pages + 1,)),
        *((pictures, 4), (len(pixels),), (pictures,), (pages + 1,)),
    ]
    if [array.shape for array in arrays] != shapes:
        names = (f"{type(group).__name__}.{name}" for group in groups for name in group._fields)
        for name, array, shape in zip(names, arrays, shapes, strict=True):
            if array.shape != shape:
                raise ValueError(f"{name} must have shape {list(shape)}, not {list(array.shape)}")
    fault = check.find_fault(
        sizes, channels, canvas_starts,
        glyph_slots, glyph_starts, slots, len(coverage),
        rules, rule_starts,
        picture_boxes, picture_at, picture_starts, len(pixels),
    )  # fmt: skip
    if fault:
        raise ValueError(_FAULTS[fault].format(glyphs=glyphs, bitmaps=bitmaps, rules=rules, pictures=pictures))
    if len(out) < canvas_starts[-1]:
        raise ValueError(f"out has {len(out)} bytes; the pages need {canvas_starts[-1]}")
    return arrays
