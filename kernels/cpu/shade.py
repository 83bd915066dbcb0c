"""A shadow and blots in numba, row by row: each row is read once, painted in floating point, and written once."""

from __future__ import annotations

import numpy as np
from gpurender.kernels.cpu.lanes import copy
from gpurender.kernels.cpu.random import bits
from gpurender.kernels.images import CELL, ROUGHNESS, STEEPNESS
from numba import njit

ONE, ZERO, HALF = np.float32(1), np.float32(0), np.float32(0.5)
STEEP, ROUGH = np.float32(STEEPNESS), np.float32(STEEPNESS * ROUGHNESS)
# How far a blot can reach, in its radii.
REACH = (1 + ROUGHNESS) ** 0.5


@njit(inline="always")
def fade(t):
    """The cubic that leaves 0 and reaches 1 level."""
    return t * t * (np.float32(3) - np.float32(2) * t)


@njit(inline="always")
def clamp(v, low, high):
    """The nearest number to v from low to high."""
    return min(max(v, low), high)


@njit(inline="always")
def span(start, stop, size):
    """The pixels in [start, stop], a first and one past the last, of those in [0, size)."""
    first = np.int64(min(max(np.ceil(start), 0.0), np.float64(size)))
    return first, max(first, np.int64(min(max(np.floor(stop) + 1, 0.0), np.float64(size))))


@njit(cache=True, nogil=True, error_model="numpy")
def make_lattice(k0, k1, height, width):
    """The gradient at each lattice point of an image and one further, [height // CELL + 2, width // CELL + 2, 2]."""
    lattice = np.empty((height // CELL + 2, width // CELL + 2, 2), np.float32)
    for j in range(lattice.shape[0]):
        for i in range(lattice.shape[1]):
            drawn = bits(k0, k1, (j << 16) + i)
            lattice[j, i, 0], lattice[j, i, 1] = (drawn >> 16) / 2**15 - 1, (drawn & 0xFFFF) / 2**15 - 1
    return lattice


@njit(inline="always")
def mixed(above, below, dy, weight):
    """Two gradients' say, dy below one and above the other: how it rises with x, and what it is where x is theirs."""
    high, low = dy * above[1], (dy - ONE) * below[1]
    return above[0] + weight * (below[0] - above[0]), high + weight * (low - high)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def noise_row(row, first, last, above, below, dy):
    """Noise at pixels [first, last) of a row that is dy cells below the upper of two rows of the lattice."""
    weight = fade(dy)
    for i in range(np.uint64(first // CELL), np.uint64((last - 1) // CELL + 1)):
        rise, left = mixed(above[i], below[i], dy, weight)
        other_rise, right = mixed(above[i + np.uint64(1)], below[i + np.uint64(1)], dy, weight)
        for x in range(np.uint64(CELL)):
            dx = np.float32(x) * np.float32(1 / CELL)
            near, far = left + rise * dx, right + other_rise * (dx - ONE)
            row[i * np.uint64(CELL) + x] = near + fade(dx) * (far - near)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def blot_row(share, noise, count, start, step, height, alpha):
    """How much of a blot's color `count` pixels take; start, step and height are in its radii."""
    for x in range(np.uint64(count)):
        d = start + step * np.float32(x)
        u = STEEP + ROUGH * noise[x] - STEEP * (d * d + height)
        within = np.float32(0.7) + np.float32(0.3) * clamp(np.float32(2) - u, ZERO, ONE)
        share[x] = alpha * clamp(u, ZERO, ONE) * within


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def stain_row(levels, share, taken):
    """Take a blot's share of light off a row; `taken` is how much its color absorbs."""
    for x in range(np.uint64(len(levels))):
        levels[x] *= ONE - share[x] * taken


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def light_row(light, slope, offset, depth):
    """What a shadow leaves of each pixel of a row."""
    for x in range(np.uint64(len(light))):
        t = np.float32(clamp(1 - (slope * np.float64(x) + offset), 0.0, 1.0))
        light[x] = ONE - depth * fade(t)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def lit(levels, row, light):
    """A row of pixels as levels, in the shadow."""
    for x in range(np.uint64(len(row))):
        levels[x] = np.float32(row[x]) * light[x]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def put_row(row, levels):
    """Levels as pixels."""
    for x in range(np.uint64(len(row))):
        row[x] = np.uint8(np.int32(clamp(levels[x] + HALF, ZERO, np.float32(255))))


@njit(cache=True, nogil=True, error_model="numpy")
def shade(
    out,
    target_sizes,
    target_starts,
    pixels,
    source_sizes,
    source_starts,
    channels,
    ramps,
    noise,
    blots,
    colors,
    starts,
):
    """Shade every image into `out`; see `gpurender.kernels.shade` for the arguments."""
    widest = np.int64(0)
    for k in range(len(source_starts)):
        widest = max(widest, np.int64(source_sizes[k, 1]))
    levels = np.empty((channels, widest), np.float32)
    light, share = np.empty(widest, np.float32), np.empty(widest, np.float32)
    row_noise = np.empty(widest + CELL, np.float32)

    for k in range(len(source_starts)):
        height, width = np.int64(source_sizes[k, 0]), np.int64(source_sizes[k, 1])
        source, target, plane = source_starts[k], target_starts[k], height * width
        a, b, c, depth = ramps[k]
        first, last = starts[k], starts[k + 1]
        if depth == 0 and first == last:
            copy(out, target, pixels, source, channels * plane)
            continue
        if first < last:
            lattice = make_lattice(noise[k, 0], noise[k, 1], height, width)
        for y in range(height):
            # Columns that change: those before the ramp's end, and those of the blots that reach this row.
            left, right = width, np.int64(0)
            if depth != 0:
                # a x + offset < 1
                offset = b * y + c
                if a == 0:
                    left, right = (np.int64(0), width) if offset < 1 else (width, np.int64(0))
                elif a > 0:
                    left, right = span(0.0, (1 - offset) / a, width)
                else:
                    left, right = span((1 - offset) / a, np.float64(width), width)
            shaded = left < right
            low, high = width, np.int64(0)
            for n in range(first, last):
                cx, cy, r = blots[n, 0], blots[n, 1], blots[n, 2]
                if abs(y - cy) <= REACH * r:
                    i, j = span(cx - REACH * r, cx + REACH * r, width)
                    if i < j:
                        low, high = min(low, i), max(high, j)
            left, right = min(left, low), max(right, high)
            if left >= right:
                for channel in range(channels):
                    at = channel * plane + y * width
                    copy(out, target + at, pixels, source + at, width)
                continue
            # The rest of this function sees columns [left, right) of the row alone.
            count = right - left
            if shaded:
                light_row(light[:count], a, b * y + c + a * left, np.float32(depth))
            else:
                light[:count] = ONE
            for channel in range(channels):
                at = source + channel * plane + y * width + left
                lit(levels[channel, :count], pixels[at : at + count], light[:count])
            if low < high:
                j = y // CELL
                noise_row(row_noise, low, high, lattice[j], lattice[j + 1], np.float32(y % CELL / CELL))
            for n in range(first, last):
                cx, cy, r, alpha = blots[n]
                if abs(y - cy) > REACH * r:
                    continue
                i, j = span(cx - REACH * r, cx + REACH * r, width)
                if i >= j:
                    continue
                step, above = min(1 / r, 1e18), (y - cy) / r
                start = np.float32((i - cx) / r)
                blot_row(
                    share, row_noise[i:j], j - i, start, np.float32(step), np.float32(above * above), np.float32(alpha)
                )
                for channel in range(channels):
                    taken = np.float32(1 - colors[n, channel] / 255)
                    stain_row(levels[channel, i - left : j - left], share, taken)
            for channel in range(channels):
                at = channel * plane + y * width
                copy(out, target + at, pixels, source + at, left)
                put_row(out[target + at + left : target + at + right], levels[channel])
                copy(out, target + at + right, pixels, source + at + right, width - right)
