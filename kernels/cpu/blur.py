"""Convolution in numba: rows of the source, widened, pass through a ring; the results leave row by row.

Rows are `level * 256` in 16 bits, and get their ends repeated, so no sum asks where an edge is. Kernels of positive
weights that sum to 1 are summed in these 16 bits, 128 pixels at a time, in LLVM's vector types (see `lanes.py`); the
error of such a sum is below 0.3 levels, and most often below 0.01. Means of squares have a way of their own (see
`box.py`). Kernels that nobody draws are summed in floating point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gpurender.kernels.cpu import box
from gpurender.kernels.cpu.lanes import BYTE, LONG, WORD, constant, copy, load, pointer, splat, store, vector
from gpurender.kernels.images import MAX_RADIUS
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32
# Vectors whose sums are kept in registers together.
GROUP = 4
STEP = LANES * GROUP
# Rows in the ring, at most: a power of 2, so that no row's place needs a division.
RING = 64
# As many roundings as keep an image of one level at that level, and below 2**16.
MAX_TERMS = 128
TOLERANCE = 1e-5


def convolution(paired: bool, narrow: bool) -> Any:
    """Make an intrinsic that sums `STEP` pixels of `source[index + places[k]] * factors[k] / 2**16` over k.

    If paired, a term but the first is the mean of what is there and what is at `mirrors[k]`. `bias` is where each sum
    starts. The result is stored in 16 bits or, if narrow, without its lower byte.
    """

    @intrinsic
    def convolve(_, out, at, source, index, places, mirrors, factors, terms, bias):
        signature = types.void(out, at, source, index, places, mirrors, factors, terms, bias)
        words, longs = vector(WORD, LANES), vector(LONG, LANES)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            base = pointer(context, builder, args[2], sig.args[2], args[3])
            terms, bias = args[7:]

            def item(array: int, k: Any) -> Any:
                return builder.load(pointer(context, builder, args[array], sig.args[array], k))

            def shifted(address: Any, g: int) -> Any:
                return builder.gep(address, [terms.type(g * LANES)])

            def read(array: int, k: Any, g: int) -> Any:
                return builder.zext(load(builder, shifted(builder.gep(base, [item(array, k)]), g), words), longs)

            def add_terms(k: Any, mirrored: bool) -> None:
                factor = builder.zext(splat(builder, item(6, k), LANES), longs)
                for g in range(GROUP):
                    value = read(4, k, g)
                    if mirrored:
                        value = builder.add(builder.add(value, read(5, k, g)), constant(1, longs))
                        value = builder.zext(builder.trunc(builder.lshr(value, constant(1, longs)), words), longs)
                    term = builder.trunc(builder.lshr(builder.mul(value, factor), constant(16, longs)), words)
                    builder.store(builder.add(builder.load(sums[g]), term), sums[g])

            start = splat(builder, builder.trunc(bias, WORD), LANES)
            sums = [cgutils.alloca_once_value(builder, start) for _ in range(GROUP)]
            add_terms(terms.type(0), mirrored=False)
            one = terms.type(1)
            with cgutils.for_range_slice(builder, one, terms, one, terms.type) as (k, _):
                add_terms(k, mirrored=paired)
            target = pointer(context, builder, args[0], sig.args[0], args[1])
            for g in range(GROUP):
                result = builder.load(sums[g])
                if narrow:
                    result = builder.trunc(builder.lshr(result, constant(8, words)), vector(BYTE, LANES))
                store(builder, result, shifted(target, g))
            return context.get_dummy_value()

        return signature, codegen

    return convolve


across_rows = convolution(paired=True, narrow=False)
along_row = convolution(paired=True, narrow=True)
tapped = convolution(paired=False, narrow=True)


@njit(inline="always")
def quantize(weights, factors):
    """Weights that sum to 1 as 16-bit numbers that sum to 2**16; whether there are such numbers."""
    before, total, fits = np.int64(0), 0.0, len(weights) <= MAX_TERMS
    for k in range(len(weights)):
        total += weights[k]
        after = np.int64(min(max(np.floor(total * 65536 + 0.5), 0.0), 1e6))
        fits &= weights[k] >= 0 and after - before < 65536
        factors[k] = after - before
        before = after
    return fits and abs(total - 1) <= TOLERANCE


@njit(inline="always")
def widen(ring, at, pixels, source, width):
    """A row of pixels as 16 bits each."""
    at, source = np.uint64(at), np.uint64(source)
    for x in range(np.uint64(width)):
        ring[at + x] = np.uint16(pixels[source + x]) << np.uint16(8)


@njit(inline="always")
def repeat_ends(row, at, width, radius):
    """Repeat row[at] to the left, and the last of `width` pixels to the right."""
    at, end = np.uint64(at), np.uint64(at + width)
    for k in range(np.uint64(radius)):
        row[at - k - np.uint64(1)] = row[at]
        row[end + k] = row[end - np.uint64(1)]


@njit(inline="always")
def put_row(out, at, sums, width):
    """Round a row of sums of `level * 256`."""
    at = np.uint64(at)
    for x in range(np.uint64(width)):
        out[at + x] = np.uint8(min(max(np.floor(sums[x] / 256 + 0.5), 0.0), 255.0))


@njit(inline="always")
def add_row(sums, start, source, at, weight, width):
    """Add a row, times a weight, to `width` sums."""
    start, at = np.uint64(start), np.uint64(at)
    for x in range(np.uint64(width)):
        sums[start + x] += weight * source[at + x]


@njit(cache=True, nogil=True, error_model="numpy")
def blur(
    out,
    target_sizes,
    target_starts,
    pixels,
    source_sizes,
    source_starts,
    channels,
    halves,
    offsets,
    weights,
    starts,
):
    """Convolve every image into `out`; see `gpurender.kernels.blur` for the arguments."""
    longest, most = np.int64(0), np.int64(0)
    for k in range(len(source_starts)):
        # Sums are written by whole steps, and read as far to the right as the kernel reaches.
        length = (np.int64(source_sizes[k, 1]) + 2 * MAX_RADIUS + STEP - 1) // STEP * STEP + STEP
        longest = max(longest, length)
        most = max(most, length * min(np.int64(source_sizes[k, 0]), RING))
    ring = np.empty(most, np.uint16)
    line = np.empty(longest, np.uint16)
    edge = np.empty(STEP, np.uint8)
    wide, sums = np.empty(0, np.float64), np.empty(0, np.float64)

    for k in range(len(source_starts)):
        height, width = np.int64(source_sizes[k, 0]), np.int64(source_sizes[k, 1])
        first, last = starts[k], starts[k + 1]
        separable = first == last
        rx, ry = np.int64(0), np.int64(0)
        if separable:
            for i in range(halves.shape[1]):
                if halves[k, i] != 0:
                    rx, ry = i, i
            if rx == 0 and halves[k, 0] == 1:
                size = channels * height * width
                copy(out, target_starts[k], pixels, source_starts[k], size)
                continue
            even = 0 < rx <= box.MAX_RADIUS
            for i in range(rx + 1):
                even &= abs(halves[k, i] * (2 * rx + 1) - 1) < TOLERANCE
            if even:
                for c in range(channels):
                    plane = c * height * width
                    target, source = target_starts[k] + plane, source_starts[k] + plane
                    box.box(out, target, pixels, source, height, width, rx, line, edge)
                continue
            terms = rx + 1
            own = np.empty(terms, np.float64)
            for i in range(terms):
                own[i] = halves[k, i] * (2.0 if i > 0 else 1.0)
        else:
            terms = last - first
            own = np.empty(terms, np.float64)
            for i in range(terms):
                own[i] = weights[first + i]
                rx = max(rx, abs(np.int64(offsets[first + i, 0])))
                ry = max(ry, abs(np.int64(offsets[first + i, 1])))
        factors = np.empty(terms, np.uint16)
        quick = quantize(own, factors)
        if not quick and len(wide) == 0:
            wide, sums = np.empty(longest, np.float64), np.empty(longest, np.float64)
        # A term of factor 0 has no rounding.
        bias = np.int64(0)
        for i in range(terms):
            bias += factors[i] > 0

        # What is summed row by row first needs ends for the sums alone.
        border = 0 if separable else rx
        stride = (width + 2 * border + STEP - 1) // STEP * STEP
        # Rows in the ring, less 1.
        mask = np.int64(1)
        while mask < 2 * ry:
            mask = 2 * mask + 1
        places, mirrors = np.empty(terms, np.int64), np.empty(terms, np.int64)
        right, left = np.empty(terms, np.int64), np.empty(terms, np.int64)
        if separable:
            for i in range(terms):
                right[i], left[i] = rx + i, rx - i
        for c in range(channels):
            source = source_starts[k] + c * height * width
            base = target_starts[k] + c * height * width
            end = base + height * width
            filled = np.int64(0)
            for y in range(height):
                while filled <= min(y + ry, height - 1):
                    slot = (filled & mask) * stride + border
                    widen(ring, slot, pixels, source + filled * width, width)
                    repeat_ends(ring, slot, width, border)
                    filled += 1
                at = base + y * width
                for i in range(terms):
                    if separable:
                        places[i] = (min(y + i, height - 1) & mask) * stride
                        mirrors[i] = (max(y - i, 0) & mask) * stride
                    else:
                        dx, dy = np.int64(offsets[first + i, 0]), np.int64(offsets[first + i, 1])
                        places[i] = (min(max(y + dy, 0), height - 1) & mask) * stride + rx + dx

                if not quick:
                    sums[:width] = 0
                    if separable:
                        wide[rx : rx + width] = 0
                        for i in range(terms):
                            add_row(wide, rx, ring, places[i], own[i] / 2, width)
                            add_row(wide, rx, ring, mirrors[i], own[i] / 2, width)
                        repeat_ends(wide, rx, width, rx)
                        for i in range(terms):
                            add_row(sums, 0, wide, right[i], own[i] / 2, width)
                            add_row(sums, 0, wide, left[i], own[i] / 2, width)
                    else:
                        for i in range(terms):
                            add_row(sums, 0, ring, places[i], own[i], width)
                    put_row(out, at, sums, width)
                    continue

                if separable:
                    for x in range(0, width, STEP):
                        across_rows(line, rx + x, ring, x, places, mirrors, factors, terms, bias // 2)
                    repeat_ends(line, rx, width, rx)
                for x in range(0, width, STEP):
                    # Pixels past the row's end belong to the next row, which is written later; past the
                    # plane, to others.
                    inside = at + x + STEP <= end
                    target, start = (out, at + x) if inside else (edge, 0)
                    if separable:
                        along_row(target, start, line, x, right, left, factors, terms, bias - bias // 2 + 128)
                    else:
                        tapped(target, start, ring, x, places, places, factors, terms, bias // 2 + 128)
                    if not inside:
                        for i in range(min(STEP, width - x)):
                            out[at + x + i] = edge[i]
