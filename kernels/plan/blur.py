"""The plan of `blur`: every kernel as rows of horizontal weights in half precision, and what removes their bias.

A table has one launch for the images of each reach, so the result of an image does not depend on the others.
"""

from __future__ import annotations

import math

import numpy as np
from gpurender.kernels.plan import HEADER, Pitched, Table, lay_rows
from numba import njit

__all__ = ["FIELDS", "REACHES", "STEP", "TILE_HEIGHT", "TILE_WIDTH", "lay_blur", "span"]

TILE_HEIGHT, TILE_WIDTH = 128, 64
# Rows of an image that a program makes at a time.
STEP = 16
# The variants: how many px a kernel of that variant reaches to either side.
REACHES = (8, 24)

# An image's row after its header: its first line of weights, how many there are (0: a separable kernel, of one line),
# whether results need neither gain nor limits, where the sums of the first and of the last product start, gain, base,
# and the mask 0x00FF00FF.
FIELDS = 8
LINE, LINES, PLAIN, ACROSS_BIAS, BIAS, GAIN, BASE, LOW_BYTES = range(HEADER, HEADER + FIELDS)

# Added before rounding to the nearest even number: halves round up, and what tensor cores truncate is made up for.
NUDGE = 2.0**-11
# Sums of weights of which no result exceeds 255.4.
MOST = 1.0015


def span(reach: int) -> int:
    """Return the words of a line of weights: one for each distance from `-31 - reach` on, with zeros at the ends."""
    return 64 + 2 * reach


@njit(cache=True, nogil=True, inline="always")
def _half(value):
    """Round to float16, within [-1, 1]: the value and its bits."""
    exponent = max(math.frexp(value)[1], -13) if value else -13
    unit = math.ldexp(1.0, exponent - 11)
    digits = math.floor(abs(value) / unit + 0.5)
    bits = np.int64((exponent + 13) << 10) + np.int64(digits)
    return (-digits * unit, bits | 0x8000) if value < 0 else (digits * unit, bits)


@njit(cache=True, nogil=True)
def _measure(halves, offsets, starts, reaches, lines):
    """Find each image's reach, and the rows on which it has taps as bits: 0 for a separable kernel."""
    for k in range(len(reaches)):
        reach, rows = 0, 0
        if starts[k] == starts[k + 1]:
            for r in range(halves.shape[1]):
                if halves[k, r] != 0:
                    reach = r
        for tap in range(starts[k], starts[k + 1]):
            reach = max(reach, abs(offsets[tap, 0]))
            rows |= 1 << (offsets[tap, 1] + 24)
        reaches[k], lines[k] = reach, rows


@njit(cache=True, nogil=True)
def _count_lines(lines):
    total = 0
    for rows in lines:
        count = 0
        while rows:
            rows &= rows - 1
            count += 1
        total += max(count, 1)
    return total


@njit(cache=True, nogil=True)
def _fill(images, halves, offsets, weights, starts, lines, reach, rows, singles, words, first):
    """Fill the images' rows and lines of weights; `singles` are the rows as float32."""
    size = 65 + 2 * reach
    line = np.empty((49, 49), np.float64)
    bits = np.zeros(size + 2, np.uint32)
    for index in range(len(images)):
        k = images[index]
        separable = lines[k] == 0
        low, high = (24, 25) if separable else (49, 0)
        for dy in range(49):
            if lines[k] >> dy & 1:
                low, high = min(low, dy), max(high, dy + 1)
        line[low:high] = 0
        if separable:
            for r in range(min(halves.shape[1], reach + 1)):
                line[24, 24 + r] = line[24, 24 - r] = halves[k, r]
        for tap in range(starts[k], starts[k + 1]):
            line[offsets[tap, 1] + 24, offsets[tap, 0] + 24] += weights[tap]

        # Weights whose absolute values sum to 1 at most are as exact as float16 can be, and nothing overflows.
        absolute, total = 0.0, 0.0
        at_dy, at_dx = low, 24
        for dy in range(low, high):
            for dx in range(24 - reach, 25 + reach):
                absolute += abs(line[dy, dx])
                total += line[dy, dx]
                if abs(line[dy, dx]) > abs(line[at_dy, at_dx]):
                    at_dy, at_dx = dy, dx
        if separable:
            at_dx = 24
        negative = absolute - total > 1e-9
        square = 2 if separable else 1
        plain = not negative and absolute**square <= MOST
        # A power of 2, so weights that float16 holds stay exact.
        scale = 1.0 if plain else math.ldexp(1.0, max(math.frexp(absolute)[1], -99))
        rounded = 0.0
        for dy in range(low, high):
            for dx in range(24 - reach, 25 + reach):
                line[dy, dx] /= scale
                rounded += _half(line[dy, dx])[0]
        # One weight gets what rounding takes from the sum, so a constant stays constant.
        before = _half(line[at_dy, at_dx])[0]
        line[at_dy, at_dx] = before + (total / scale - rounded)
        rounded += _half(line[at_dy, at_dx])[0] - before

        gain = min(scale**square, 2.0**99)
        rows[index, LINE], rows[index, PLAIN] = first, plain
        rows[index, LOW_BYTES] = 0x00FF00FF
        singles[index, GAIN] = gain
        if separable:
            rows[index, LINES] = 0
            singles[index, ACROSS_BIAS] = -1152 * rounded
            base = 128 * (total / scale) ** 2
            singles[index, BIAS] = base + NUDGE if plain else 0.0
            singles[index, BASE] = base * gain + NUDGE
        else:
            singles[index, ACROSS_BIAS] = 0.0
            singles[index, BIAS] = -1024 * rounded + (NUDGE if plain else 0.0)
            singles[index, BASE] = NUDGE
        count = 0
        for dy in range(low, high):
            if not separable and not lines[k] >> dy & 1:
                continue
            for dx in range(-reach, reach + 1):
                bits[dx + reach + 31] = _half(line[dy, dx + 24])[1]
            words[first] = dy - 24
            for n in range(size - 1):
                words[first + 1 + n] = np.int32(np.uint32(bits[n] | bits[n + 2] << np.uint32(16)))
            first += size
            count += 1
        if not separable:
            rows[index, LINES] = count


def lay_blur(
    target: Pitched, source: Pitched, halves: np.ndarray, offsets: np.ndarray, weights: np.ndarray, starts: np.ndarray
) -> list[Table]:
    """Lay out a blur; see `gpurender.kernels.Blurs` for the kernels, one for each of K images.

    Returns:
        A table for each reach that images have, most often one.
    """
    reaches, lines = np.empty(len(starts) - 1, np.int64), np.empty(len(starts) - 1, np.int64)
    _measure(halves, offsets, starts, reaches, lines)
    tables = []
    below = -1
    for reach in REACHES:
        images = np.flatnonzero((reaches > below) & (reaches <= reach))
        below = reach
        if not len(images):
            continue
        to, of = (Pitched(each.sizes[images], each.starts[images]) for each in (target, source))
        items = int(_count_lines(lines[images])) * (span(reach) + 1)
        words, rows, first, programs = lay_rows(to, of, TILE_HEIGHT, TILE_WIDTH, HEADER + FIELDS, items)
        _fill(images, halves, offsets, weights, starts, lines, reach, rows, rows.view(np.float32), words, first)
        tables.append(Table("blur", words, programs, reach))
    return tables
