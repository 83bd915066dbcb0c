"""Compositing in numba: one page after another, each painted while its bytes are in the cache.

A glyph's row is blended 16 pixels at a time by :func:`blend16`, written in LLVM's vector types because its automatic
vectoriser keeps the blend in 64-bit scalars (6 times slower, measured). The bitmap's rows are padded with zeros, and a
coverage of zero leaves a pixel as it is, so the lanes past the glyph's edge need no mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16


@intrinsic
def blend16(_: Any, out: Any, at: Any, coverage: Any, index: Any, source: Any) -> Any:
    """`out[at:at+16]` = over(coverage[index:index+16], source, out[at:at+16]), rounded to nearest.

    `(v + 128 + ((v + 128) >> 8)) >> 8` is v / 255 to the nearest integer for every product of two bytes, and equals
    `(v + 127) // 255`; all of it fits 16 bits.
    """
    signature = types.void(out, at, coverage, index, source)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bytes_ = ir.VectorType(ir.IntType(8), LANES)
        words = ir.VectorType(ir.IntType(16), LANES)

        def pointer(array: Any, array_type: Any, offset: Any) -> Any:
            data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [offset]), bytes_.as_pointer())

        def load(address: Any) -> Any:
            value = builder.load(address)
            value.align = 1
            return builder.zext(value, words)

        def constant(value: int) -> Any:
            return ir.Constant(words, [value] * LANES)

        target = pointer(args[0], sig.args[0], args[1])
        d = load(target)
        a = load(pointer(args[2], sig.args[2], args[3]))
        lane0 = builder.insert_element(
            ir.Constant(words, ir.Undefined), builder.trunc(args[4], ir.IntType(16)), ir.Constant(ir.IntType(32), 0)
        )
        s = builder.shuffle_vector(lane0, lane0, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))
        v = builder.add(builder.mul(a, s), builder.mul(builder.sub(constant(255), a), d))
        v = builder.add(v, constant(128))
        v = builder.lshr(builder.add(v, builder.lshr(v, constant(8))), constant(8))
        store = builder.store(builder.trunc(v, bytes_), target)
        store.align = 1
        return context.get_dummy_value()

    return signature, codegen


@njit(inline="always")
def over(a, s, d):
    """Porter-Duff "over" on opaque paper, rounded as DESIGN states it."""
    return (a * s + (255 - a) * d + 127) // 255


@njit(inline="always")
def overlap(low, high, pixel):
    """How much of pixel [64 p, 64 p + 64) the interval [low, high) covers, in 1/64 px."""
    return max(0, min(high, pixel * 64 + 64) - max(low, pixel * 64))


@njit(cache=True, nogil=True, error_model="numpy")
def composite(
    out,
    sizes,
    starts,
    backgrounds,
    glyph_xy,
    glyph_slots,
    glyph_colors,
    glyph_starts,
    coverage,
    slots,
    rule_boxes,
    rule_colors,
    rule_starts,
    picture_boxes,
    picture_pixels,
    picture_at,
    picture_starts,
):
    """Paint every page into `out`; see `gpurender.kernels.composite` for the arguments."""
    channels = backgrounds.shape[1]
    for n in range(sizes.shape[0]):
        height, width = np.int64(sizes[n, 0]), np.int64(sizes[n, 1])
        plane = height * width
        for c in range(channels):
            base = starts[n] + c * plane
            end = starts[n + 1]
            out[base : base + plane] = backgrounds[n, c]

            for r in range(rule_starts[n], rule_starts[n + 1]):
                left, top, right, bottom = rule_boxes[r]
                color = np.int64(rule_colors[r, c])
                for y in range(max(0, top >> 6), min(height, (bottom + 63) >> 6)):
                    cover_y = overlap(top, bottom, y)
                    for x in range(max(0, left >> 6), min(width, (right + 63) >> 6)):
                        a = (255 * cover_y * overlap(left, right, x) + 2048) >> 12
                        at = base + y * width + x
                        out[at] = over(a, color, np.int64(out[at]))

            for g in range(glyph_starts[n], glyph_starts[n + 1]):
                slot = glyph_slots[g]
                x0, y0 = np.int64(glyph_xy[g, 0]), np.int64(glyph_xy[g, 1])
                rows, columns = slots[slot, 1], slots[slot, 2]
                source, stride = slots[slot, 0], slots[slot, 3]
                color = np.int64(glyph_colors[g, c])
                inside = x0 >= 0 and y0 >= 0 and x0 + columns <= width and y0 + rows <= height
                # The last row's lanes must not reach past the page, into bytes that are not ours.
                if inside and base + (y0 + rows - 1) * width + x0 + stride <= end:
                    at = base + y0 * width + x0
                    for _ in range(rows):
                        for x in range(0, columns, LANES):
                            blend16(out, at + x, coverage, source + x, color)
                        at += width
                        source += stride
                else:
                    for y in range(max(0, -y0), min(rows, height - y0)):
                        for x in range(max(0, -x0), min(columns, width - x0)):
                            at = base + (y0 + y) * width + x0 + x
                            out[at] = over(np.int64(coverage[source + y * stride + x]), color, np.int64(out[at]))

            for p in range(picture_starts[n], picture_starts[n + 1]):
                x0, y0 = np.int64(picture_boxes[p, 0]), np.int64(picture_boxes[p, 1])
                columns, rows = np.int64(picture_boxes[p, 2]), np.int64(picture_boxes[p, 3])
                color_at = picture_at[p] + c * rows * columns
                alpha_at = picture_at[p] + channels * rows * columns
                for y in range(max(0, -y0), min(rows, height - y0)):
                    for x in range(max(0, -x0), min(columns, width - x0)):
                        at = base + (y0 + y) * width + x0 + x
                        i = y * columns + x
                        a = np.int64(picture_pixels[alpha_at + i])
                        out[at] = over(a, np.int64(picture_pixels[color_at + i]), np.int64(out[at]))
