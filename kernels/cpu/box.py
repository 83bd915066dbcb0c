"""The mean of a square in numba: running sums down the columns, and a sum of neighbours along each row.

The columns' sums, and those of the whole square, are exact in 16 bits up to 15 x 15 px; larger ones are `blur.py`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gpurender.kernels.cpu.lanes import BYTE, LONG, WORD, constant, load, pointer, splat, store, vector
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32
# Vectors that are summed together, so that a loop's own cost is spread.
GROUP = 4
STEP = LANES * GROUP
MAX_RADIUS = 7
# Fractional bits of a mean before it is rounded.
BITS = 7


@intrinsic
def roll(_: Any, sums: Any, at: Any, pixels: Any, enters: Any, leaves: Any) -> Any:
    """sums[at:at+128] += pixels[enters:enters+128] - pixels[leaves:leaves+128]."""
    signature = types.void(sums, at, pixels, enters, leaves)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = pointer(context, builder, args[0], sig.args[0], args[1])

        def row(start: Any) -> Any:
            address = pointer(context, builder, args[2], sig.args[2], start)
            return builder.zext(load(builder, address, vector(BYTE, STEP)), vector(WORD, STEP))

        value = builder.sub(builder.add(load(builder, target, vector(WORD, STEP)), row(args[3])), row(args[4]))
        store(builder, value, target)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def mean(_: Any, out: Any, at: Any, sums: Any, index: Any, size: Any, shift: Any, factor: Any) -> Any:
    """out[at + i] = the sum of sums[index + i:][:size], times 2**shift factor / 2**(16 + BITS), rounded; 128."""
    signature = types.void(out, at, sums, index, size, shift, factor)
    words, longs = vector(WORD, LANES), vector(LONG, LANES)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        size, shift, factor = args[4:]
        base = pointer(context, builder, args[2], sig.args[2], args[3])
        target = pointer(context, builder, args[0], sig.args[0], args[1])
        steps = [size.type(g * LANES) for g in range(GROUP)]
        totals = [cgutils.alloca_once_value(builder, load(builder, builder.gep(base, [step]), words)) for step in steps]
        one = size.type(1)
        with cgutils.for_range_slice(builder, one, size, one, size.type) as (k, _):
            for step, total in zip(steps, totals, strict=True):
                value = load(builder, builder.gep(base, [builder.add(k, step)]), words)
                builder.store(builder.add(builder.load(total), value), total)
        shift = splat(builder, builder.trunc(shift, WORD), LANES)
        scale = builder.zext(splat(builder, builder.trunc(factor, WORD), LANES), longs)
        for step, total in zip(steps, totals, strict=True):
            # LLVM finds the one instruction for the upper half of a product.
            value = builder.mul(builder.zext(builder.shl(builder.load(total), shift), longs), scale)
            value = builder.trunc(builder.lshr(value, constant(16, longs)), words)
            value = builder.lshr(builder.add(value, constant(1 << (BITS - 1), words)), constant(BITS, words))
            store(builder, builder.trunc(value, vector(BYTE, LANES)), builder.gep(target, [step]))
        return context.get_dummy_value()

    return signature, codegen


@njit(inline="always")
def roll_row(sums, at, pixels, enters, leaves, width):
    """Let a row of `width` pixels enter the sums, and another leave them."""
    whole = width // STEP * STEP
    for x in range(0, whole, STEP):
        roll(sums, at + x, pixels, enters + x, leaves + x)
    for x in range(whole, width):
        sums[at + x] += np.uint16(pixels[enters + x]) - np.uint16(pixels[leaves + x])


@njit(cache=True, nogil=True, error_model="numpy")
def box(out, target, pixels, source, height, width, radius, sums, edge):
    """Blur one plane by the mean of a square of 2 radius + 1 px; edges replicate.

    Args:
        out: Where out[target] is the plane's first pixel.
        target: See `out`.
        pixels: Where pixels[source] is the plane's first pixel.
        source: See `pixels`.
        height: px.
        width: px.
        radius: px, 1 to 7.
        sums: [at least width + 2 radius + STEP] uint16, for our use.
        edge: [at least STEP] uint8, for our use.
    """
    size, last = 2 * radius + 1, source + (height - 1) * width
    # 255 size^2 2^shift still fits.
    shift = np.int64(0)
    while 255 * size * size << (shift + 1) < 65536:
        shift += 1
    factor = np.int64(np.floor(65536 * 2.0 ** (BITS - shift) / (size * size) + 0.5))
    end = target + height * width
    for x in range(width):
        # As if the first row's pixels had stood above it all along; the last row to enter for row 0 enters below.
        total = np.int64(pixels[source + x]) * (radius + 2)
        for k in range(1, radius):
            total += pixels[min(source + k * width, last) + x]
        sums[radius + x] = total
    for y in range(height):
        enters = min(source + (y + radius) * width, last)
        leaves = max(source + (y - radius - 1) * width, source)
        roll_row(sums, radius, pixels, enters, leaves, width)
        for k in range(radius):
            sums[k] = sums[radius]
            sums[radius + width + k] = sums[radius + width - 1]
        at = target + y * width
        for x in range(0, width, STEP):
            # Pixels past the row's end belong to the next row, which is written later; past the plane, to others.
            inside = at + x + STEP <= end
            place, start = (out, at + x) if inside else (edge, 0)
            mean(place, start, sums, x, size, shift, factor)
            if not inside:
                for i in range(min(STEP, width - x)):
                    out[at + x + i] = edge[i]
