"""Compositing in numba: one page after another, each painted while its bytes are in the cache.

A glyph is blended 16 pixels at a time by :func:`blend_rows`, written in LLVM's vector types because its automatic
vectoriser keeps the blend in 64-bit scalars (6 times slower, measured), with the loop over the rows inside, because
numba keeps its counters in memory. The bitmap's rows are padded with zeros, and a coverage of zero leaves a pixel as it
is, so the lanes past the glyph's edge need no mask.
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
def blend_rows(_: Any, out: Any, at: Any, width: Any, coverage: Any, index: Any, stride: Any, rows: Any, s: Any) -> Any:
    """Blend `rows` rows: out[at:at+16] = over(coverage[index:index+16], s, out[at:at+16]), at and index striding on.

    `(v + 128 + ((v + 128) >> 8)) >> 8` is v / 255 to the nearest integer for every product of two bytes, and equals
    `(v + 127) // 255`; all of it fits 16 bits.
    """
    signature = types.void(out, at, width, coverage, index, stride, rows, s)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bytes_ = ir.VectorType(ir.IntType(8), LANES)
        words = ir.VectorType(ir.IntType(16), LANES)

        def pointer(array: Any, array_type: Any, offset: Any) -> Any:
            data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
            return builder.gep(data, [offset])

        def load(address: Any) -> Any:
            value = builder.load(builder.bitcast(address, bytes_.as_pointer()))
            value.align = 1
            return builder.zext(value, words)

        def constant(value: int) -> Any:
            return ir.Constant(words, [value] * LANES)

        lane0 = builder.insert_element(
            ir.Constant(words, ir.Undefined), builder.trunc(args[7], ir.IntType(16)), ir.Constant(ir.IntType(32), 0)
        )
        source = builder.shuffle_vector(lane0, lane0, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))
        first_target = pointer(args[0], sig.args[0], args[1])
        first_mask = pointer(args[3], sig.args[3], args[4])

        before = builder.block
        loop, after = builder.append_basic_block("row"), builder.append_basic_block("rows.end")
        zero = ir.Constant(args[6].type, 0)
        builder.cbranch(builder.icmp_signed(">", args[6], zero), loop, after)
        builder.position_at_end(loop)
        left = builder.phi(args[6].type)
        target, mask = builder.phi(first_target.type), builder.phi(first_mask.type)
        d, a = load(target), load(mask)
        v = builder.add(builder.mul(a, source), builder.mul(builder.sub(constant(255), a), d))
        v = builder.add(v, constant(128))
        v = builder.lshr(builder.add(v, builder.lshr(v, constant(8))), constant(8))
        store = builder.store(builder.trunc(v, bytes_), builder.bitcast(target, bytes_.as_pointer()))
        store.align = 1
        less = builder.sub(left, ir.Constant(left.type, 1))
        for phi, start, step in (
            (left, args[6], less),
            (target, first_target, builder.gep(target, [args[2]])),
            (mask, first_mask, builder.gep(mask, [args[5]])),
        ):
            phi.add_incoming(start, before)
            phi.add_incoming(step, loop)
        builder.cbranch(builder.icmp_signed(">", less, zero), loop, after)
        builder.position_at_end(after)
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
                    for x in range(0, columns, LANES):
                        blend_rows(out, at + x, width, coverage, source + x, stride, rows, color)
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
