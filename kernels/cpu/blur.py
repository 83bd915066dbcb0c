"""Convolution in numba: rows of the source, widened, pass through a ring; the results leave row by row.

A row in the ring is `level * 256` in 16 bits with its ends repeated, so nothing below asks where an edge is. Kernels
of positive weights that sum to 1 are summed in these 16 bits, 64 pixels at a time, in LLVM's vector types (see
`lanes.py`); the error of such a sum is below 0.2 levels, and most often below 0.01. Others, which nobody draws, are
summed in floating point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gpurender.kernels.cpu.lanes import BYTE, LONG, WORD, constant, copy, load, pointer, splat, store, vector
from gpurender.kernels.images import MAX_RADIUS
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32
# Vectors whose sums are kept in registers together.
GROUP = 2
STEP = LANES * GROUP
# As many roundings as keep an image of one level at that level, and below 2**16.
MAX_TERMS = 128
TOLERANCE = 1e-5


def convolution(paired: bool, narrow: bool) -> Any:
    """Make an intrinsic that sums `STEP` pixels of `source[index + places[k]] * factors[k] / 2**16` over k.

    If paired, a term is the mean of what is there and what is at `mirrors[k]`. `bias` is where each sum starts. The
    result is stored in 16 bits or, if narrow, without its lower byte.
    """

    @intrinsic
    def convolve(_, out, at, source, index, places, mirrors, factors, terms, bias):  # type: ignore[no-untyped-def]
        signature = types.void(out, at, source, index, places, mirrors, factors, terms, bias)
        words, longs = vector(WORD, LANES), vector(LONG, LANES)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            out, at, source, index, places, mirrors, factors, terms, bias = args
            base = pointer(context, builder, source, sig.args[2], index)
            start = splat(builder, builder.trunc(bias, WORD), LANES)
            sums = [cgutils.alloca_once_value(builder, start) for _ in range(GROUP)]

            def item(array: int, k: Any) -> Any:
                return builder.load(pointer(context, builder, args[array], sig.args[array], k))

            def high(value: Any) -> Any:
                return builder.trunc(builder.lshr(value, constant(16, longs)), words)

            with cgutils.for_range(builder, terms, intp=terms.type) as loop:
                k = loop.index
                factor = builder.zext(splat(builder, item(6, k), LANES), longs)
                place = builder.gep(base, [item(4, k)])
                mirror = builder.gep(base, [item(5, k)]) if paired else None
                for g in range(GROUP):
                    offset = [terms.type(g * LANES)]
                    value = builder.zext(load(builder, builder.gep(place, offset), words), longs)
                    if paired:
                        other = builder.zext(load(builder, builder.gep(mirror, offset), words), longs)
                        value = builder.add(builder.add(value, other), constant(1, longs))
                        value = builder.trunc(builder.lshr(value, constant(1, longs)), words)
                        value = builder.zext(value, longs)
                    term = high(builder.mul(value, factor))
                    builder.store(builder.add(builder.load(sums[g]), term), sums[g])
            target = pointer(context, builder, out, sig.args[0], at)
            for g in range(GROUP):
                result = builder.load(sums[g])
                if narrow:
                    result = builder.trunc(builder.lshr(result, constant(8, words)), vector(BYTE, LANES))
                store(builder, result, builder.gep(target, [terms.type(g * LANES)]))
            return context.get_dummy_value()

        return signature, codegen

    return convolve


across_rows = convolution(paired=True, narrow=False)
along_row = convolution(paired=True, narrow=True)
tapped = convolution(paired=False, narrow=True)


@njit(inline="always")
def quantize(weights, factors):
    """Weights that sum to 1 as 16-bit numbers that sum to 2**16; whether these serve."""
    total, least = 0.0, 0.0
    for k in range(len(weights)):
        total += weights[k]
        least = min(least, weights[k])
    before, sum_ = np.int64(0), 0.0
    for k in range(len(weights)):
        sum_ += weights[k]
        after = np.int64(np.floor(sum_ * 65536 + 0.5))
        # One of 1 becomes one of 65535 / 65536, which is near enough.
        factors[k] = min(max(after - before, 0), 65535)
        before = after
    return least >= 0 and abs(total - 1) <= TOLERANCE and len(weights) <= MAX_TERMS


@njit(inline="always")
def widen(ring, at, pixels, source, width, radius):
    """A row of pixels as a row of the ring, its ends repeated."""
    at, source = np.uint64(at + radius), np.uint64(source)
    for x in range(np.uint64(width)):
        ring[at + x] = np.uint16(pixels[source + x]) << np.uint16(8)
    first, last = ring[at], ring[at + np.uint64(width - 1)]
    for k in range(np.uint64(radius)):
        ring[at - k - np.uint64(1)] = first
        ring[at + np.uint64(width) + k] = last


@njit(inline="always")
def put_row(out, at, sums, width):
    """Round a row of sums of `level * 256`."""
    at = np.uint64(at)
    for x in range(np.uint64(width)):
        out[at + x] = np.uint8(min(max(np.floor(sums[x] / 256 + 0.5), 0.0), 255.0))


@njit(inline="always")
def add_row(sums, ring, at, weight, width):
    at = np.uint64(at)
    for x in range(np.uint64(width)):
        sums[x] += weight * ring[at + x]


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
    widest = np.int64(0)
    for k in range(len(source_starts)):
        widest = max(widest, np.int64(source_sizes[k, 1]))
    # Each sum is written a whole step, and reads as far to the right as its kernel reaches.
    longest = (widest + 2 * MAX_RADIUS + STEP - 1) // STEP * STEP + STEP
    ring = np.empty((2 * MAX_RADIUS + 1) * longest, np.uint16)
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

        stride = (width + 2 * rx + STEP - 1) // STEP * STEP
        rows = 2 * ry + 1
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
                    widen(ring, filled % rows * stride, pixels, source + filled * width, width, rx)
                    filled += 1
                at = base + y * width
                for i in range(terms):
                    if separable:
                        places[i] = min(y + i, height - 1) % rows * stride
                        mirrors[i] = max(y - i, 0) % rows * stride
                    else:
                        dx, dy = np.int64(offsets[first + i, 0]), np.int64(offsets[first + i, 1])
                        places[i] = min(max(y + dy, 0), height - 1) % rows * stride + rx + dx

                if not quick:
                    sums[:width] = 0
                    if separable:
                        wide[: width + 2 * rx] = 0
                        for i in range(terms):
                            add_row(wide, ring, places[i], own[i] / 2, width + 2 * rx)
                            add_row(wide, ring, mirrors[i], own[i] / 2, width + 2 * rx)
                        for i in range(terms):
                            add_row(sums, wide, right[i], own[i] / 2, width)
                            add_row(sums, wide, left[i], own[i] / 2, width)
                    else:
                        for i in range(terms):
                            add_row(sums, ring, places[i], own[i], width)
                    put_row(out, at, sums, width)
                    continue

                if separable:
                    for x in range(0, width + 2 * rx, STEP):
                        across_rows(line, x, ring, x, places, mirrors, factors, terms, bias // 2)
                for x in range(0, width, STEP):
                    # Pixels past the row's end belong to the next row, which is written later; past the plane, to others.
                    inside = at + x + STEP <= end
                    target, start = (out, at + x) if inside else (edge, 0)
                    if separable:
                        along_row(target, start, line, x, right, left, factors, terms, bias - bias // 2 + 128)
                    else:
                        tapped(target, start, ring, x, places, places, factors, terms, bias // 2 + 128)
                    if not inside:
                        for i in range(min(STEP, width - x)):
                            out[at + x + i] = edge[i]
