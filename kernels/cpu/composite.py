"""Compositing in numba: one page after another, each painted while its bytes are in the cache.

A glyph is blended by :func:`blend_rows`, 4 rows of 16 pixels at a time, written in LLVM's vector types because its
automatic vectoriser keeps the blend in 64-bit scalars (6 times slower, measured). The bitmap's rows are padded with
zeros, and a coverage of zero leaves a pixel as it is, so the lanes past the glyph's edge need no mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gpurender.kernels.cpu.lanes import BYTE, LONG, WORD, call, constant, load, pointer, splat, store, vector
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

LANES = 16
ROWS = 4
# Bytes to which a cache fetches, and how far ahead of the page being painted it is told to, at most.
LINE, AHEAD = 64, 1 << 18

BYTES, WORDS, LONGS = (vector(lane, LANES) for lane in (BYTE, WORD, LONG))


@intrinsic
def blend_rows(_: Any, out: Any, at: Any, width: Any, coverage: Any, index: Any, stride: Any, rows: Any, s: Any) -> Any:
    """Blend 1 to 4 rows: out[at:at+16] = over(coverage[index:index+16], s, out[at:at+16]), at and index striding on.

    Most ink is black and meets white paper: where s is 0 and each pixel has d = 255 or a = 0, the result is d - a.
    Otherwise `(v + 128) * 257 >> 16` is v / 255 to the nearest integer for every product of two bytes, and equals
    `(v + 127) // 255`; LLVM finds the one instruction for `* 257 >> 16`.
    """
    signature = types.void(out, at, width, coverage, index, stride, rows, s)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out, at, width, coverage, index, stride, rows, s = args

        def ink(kind: Any) -> Any:
            return splat(builder, builder.trunc(s, kind.element), LANES)

        def blend(a: Any, d: Any) -> Any:
            a, d = builder.zext(a, WORDS), builder.zext(d, WORDS)
            v = builder.add(builder.mul(a, ink(WORDS)), builder.mul(builder.sub(constant(255, WORDS), a), d))
            v = builder.zext(builder.add(v, constant(128, WORDS)), LONGS)
            return builder.trunc(builder.lshr(builder.mul(v, constant(257, LONGS)), constant(16, LONGS)), BYTES)

        target = pointer(context, builder, out, sig.args[0], at)
        mask = pointer(context, builder, coverage, sig.args[3], index)
        last = builder.sub(rows, rows.type(1))
        lanes, other = [], ink(BYTES)
        for k in range(ROWS):
            # All rows are loaded before one is stored, so it does no harm that the last stands for those after it. They
            # are stored in order, since the lanes past the page's right edge are pixels of the next row.
            row = builder.select(builder.icmp_unsigned("<", rows.type(k), last), rows.type(k), last)
            address = builder.gep(target, [builder.mul(row, width)])
            a, d = load(builder, builder.gep(mask, [builder.mul(row, stride)]), BYTES), load(builder, address, BYTES)
            lanes.append((address, a, d))
            # A sum that saturates is d where d = 255 or a = 0, and nowhere else.
            other = builder.or_(other, builder.xor(call(builder, f"llvm.uadd.sat.v{LANES}i8", BYTES, [a, d]), d))
        other = builder.bitcast(other, ir.IntType(8 * LANES))
        with builder.if_else(builder.icmp_unsigned("==", other, other.type(0))) as (then, otherwise):
            with then:
                for address, a, d in lanes:
                    store(builder, builder.sub(d, a), address)
            with otherwise:
                for address, a, d in lanes:
                    store(builder, blend(a, d), address)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def prefetch(_: Any, out: Any, at: Any) -> Any:
    """Tell the cache that out[at] will be written soon."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = pointer(context, builder, args[0], sig.args[0], args[1])
        kind = ir.FunctionType(ir.VoidType(), [address.type, LONG, LONG, LONG])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        # To write, to keep in all caches, data.
        builder.call(function, [address, LONG(1), LONG(3), LONG(1)])
        return context.get_dummy_value()

    return types.void(out, at), codegen


@njit(inline="always")
def blend_columns(out, at, width, coverage, index, stride, rows, s):
    """Blend columns [0, 16) of a glyph."""
    while rows > ROWS:
        blend_rows(out, at, width, coverage, index, stride, ROWS, s)
        at, index, rows = at + ROWS * width, index + ROWS * stride, rows - ROWS
    if rows > 0:
        blend_rows(out, at, width, coverage, index, stride, rows, s)


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
            # While these pixels are painted, as many of those that follow are fetched, some with every glyph: of 64
            # pages in a buffer a page takes 12 us instead of 16, and 14 instead of 27 if two buffers take turns.
            soon, share = base + plane, plane // max(1, glyph_starts[n + 1] - glyph_starts[n]) + 1
            limit = min(soon + min(plane, AHEAD), starts[-1])

            for r in range(rule_starts[n], rule_starts[n + 1]):
                left, top, right, bottom = rule_boxes[r]
                color = np.int64(rule_colors[r, c])
                for y in range(max(0, top >> 6), min(height, (bottom + 63) >> 6)):
                    cover_y = overlap(top, bottom, y)
                    for x in range(max(0, left >> 6), min(width, (right + 63) >> 6)):
                        a = (255 * cover_y * overlap(left, right, x) + 2048) >> 12
                        at = base + y * width + x
                        out[at] = over(a, color, np.int64(out[at]))

            # Unsigned indices: numba would look whether signed ones count from the end.
            for g in range(np.uint64(glyph_starts[n]), np.uint64(glyph_starts[n + 1])):
                for _ in range(0, min(share, limit - soon), LINE):
                    prefetch(out, soon)
                    soon += LINE
                slot = np.uint64(glyph_slots[g])
                x0, y0 = np.int64(glyph_xy[g, 0]), np.int64(glyph_xy[g, 1])
                rows, columns = slots[slot, 1], slots[slot, 2]
                source, stride = slots[slot, 0], slots[slot, 3]
                color = np.int64(glyph_colors[g, c])
                inside = x0 >= 0 and y0 >= 0 and x0 + columns <= width and y0 + rows <= height
                # The last row's lanes must not reach past the page, into bytes that are not ours.
                if inside and base + (y0 + rows - 1) * width + x0 + stride <= end:
                    at = base + y0 * width + x0
                    if stride == LANES:
                        blend_columns(out, at, width, coverage, source, LANES, rows, color)
                    else:
                        for x in range(0, columns, LANES):
                            blend_columns(out, at + x, width, coverage, source + x, stride, rows, color)
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
