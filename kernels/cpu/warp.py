"""Resampling in numba, row by row.

Without its wave a map is linear along a row, so a row's pixels that see the source are one interval; others are
paper. Within, 64 pixels at a time are sampled (see `bilinear.py`) in 32-bit floating point, relative to where the
first of them looks, which is computed in 64 bits: so coordinates are right in an image of any size. Maps that bend or
shrink more than anybody draws are sampled pixel by pixel in 64 bits.
"""

from __future__ import annotations

import numpy as np
from gpurender.kernels.cpu.bilinear import STEP, make_cells, sample_straight, sample_waved
from numba import njit

# What 32 bits can follow: steps from pixel to pixel (px), the wave's reach (px), turns a pixel and turns of the
# second wave that the first one adds. Where a row starts (px) in 64 bits; and what the cells' memory should be (cells,
# and cells in a row).
SLOPE, REACH, TURNS, BEND = 64, 64, 1, 4
FAR = 1e12
CELLS, ROW = 2**28, 2**18


@njit(inline="always")
def ink(pixels, plane, height, width, x, y, paper):
    """What a pixel of the source, or of the paper around it, differs from paper."""
    return np.float64(pixels[plane + y * width + x]) - paper if 0 <= x < width and 0 <= y < height else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def warp_plainly(out, target, rows, columns, pixels, source, height, width, channels, terms, paper):
    """Any map, pixel by pixel."""
    a, b, c, d, e, f, ax, kx, px, ay, ky, py, a2, b2, c2, d2, e2, f2 = terms
    tau = 2 * np.pi
    for i in range(rows):
        for j in range(columns):
            x, y = a * j + b * i + c, d * j + e * i + f
            y -= ay * np.sin(tau * (ky * x + py))
            x -= ax * np.sin(tau * (kx * y + px))
            u, v = a2 * x + b2 * y + c2, d2 * x + e2 * y + f2
            # What is not a number is outside too.
            near = u > -1 and u < width and v > -1 and v < height
            u, v = (u, v) if near else (-1.0, -1.0)
            left, top = np.int64(np.floor(u)), np.int64(np.floor(v))
            u, v = u - left, v - top
            for channel in range(channels):
                ground = np.float64(paper[channel])
                plane = source + channel * height * width
                upper = ink(pixels, plane, height, width, left, top, ground) * (1 - u)
                upper += ink(pixels, plane, height, width, left + 1, top, ground) * u
                lower = ink(pixels, plane, height, width, left, top + 1, ground) * (1 - u)
                lower += ink(pixels, plane, height, width, left + 1, top + 1, ground) * u
                level = ground + upper * (1 - v) + lower * v
                out[target + (channel * rows + i) * columns + j] = np.uint8(np.floor(level + 0.5))


@njit(inline="always")
def clip(first, last, slope, offset, low, high):
    """Of the pixels [first, last), an interval with all where low < slope x + offset < high."""
    if slope == 0:
        return (first, last) if low < offset < high else (first, first)
    start, stop = (low - offset) / slope, (high - offset) / slope
    start, stop = min(start, stop), max(start, stop)
    first = np.int64(min(max(np.floor(start), np.float64(first)), np.float64(last)))
    return first, np.int64(min(max(np.ceil(stop) + 1, np.float64(first)), np.float64(last)))


@njit(inline="always")
def turn(turns):
    """Turns less the whole ones."""
    return np.float32(turns - np.floor(turns))


@njit(cache=True, nogil=True, error_model="numpy")
def warp(
    out,
    target_sizes,
    target_starts,
    pixels,
    source_sizes,
    source_starts,
    channels,
    maps,
    paper,
):
    """Resample every image into `out`; see `gpurender.kernels.warp` for the arguments."""
    most, widest = np.int64(0), np.int64(0)
    for k in range(len(source_starts)):
        height, width = np.int64(source_sizes[k, 0]), np.int64(source_sizes[k, 1])
        size = channels * (height + 2) * (width + 3)
        if size <= CELLS and width < ROW:
            most, widest = max(most, size), max(widest, width)
    cells, paper_row = np.empty(most, np.uint16), np.empty(widest, np.uint8)
    edge = np.empty(channels * STEP, np.uint8)

    for k in range(len(target_starts)):
        rows, columns = np.int64(target_sizes[k, 0]), np.int64(target_sizes[k, 1])
        height, width = np.int64(source_sizes[k, 0]), np.int64(source_sizes[k, 1])
        target, source, plane = target_starts[k], source_starts[k], rows * columns
        a, b, c, d, e, f, ax, kx, px, ay, ky, py, a2, b2, c2, d2, e2, f2 = maps[k]

        # Without the waves, pixel (x, y) shows (ux x + uy y + u0, vx x + vy y + v0), and y and x have these sines:
        #     s1 = sin 2 pi (tx x + ty y + t0)
        #     s2 = sin 2 pi (rx x + ry y + r0 + bend s1)
        # u then gets u1 s1 + u2 s2, and v likewise.
        ux, uy, u0 = a2 * a + b2 * d, a2 * b + b2 * e, a2 * c + b2 * f + c2
        vx, vy, v0 = d2 * a + e2 * d, d2 * b + e2 * e, d2 * c + e2 * f + f2
        tx, ty, t0 = ky * a, ky * b, ky * c + py
        rx, ry, r0, bend = kx * d, kx * e, kx * f + px, -kx * ay
        u1, v1, u2, v2 = -b2 * ay, -e2 * ay, -a2 * ax, -d2 * ax
        waved = ax != 0 or ay != 0
        u_reach, v_reach = abs(u1) + abs(u2), abs(v1) + abs(v2)

        extent, stride = (height + 2) * (width + 3), width + 3
        quick = channels * extent <= CELLS and width < ROW and abs(ux) <= SLOPE and abs(vx) <= SLOPE
        quick &= abs(u0) + abs(uy) * rows <= FAR and abs(v0) + abs(vy) * rows <= FAR
        if waved:
            quick &= u_reach <= REACH and v_reach <= REACH
            quick &= abs(tx) <= TURNS and abs(rx) <= TURNS and abs(bend) <= BEND
        if not quick:
            warp_plainly(out, target, rows, columns, pixels, source, height, width, channels, maps[k], paper[k])
            continue
        for channel in range(channels):
            plane_at = source + channel * height * width
            make_cells(cells, channel * extent, pixels, plane_at, height, width, paper[k, channel], paper_row)

        step = (np.float32(ux), np.float32(vx))
        for y in range(rows):
            u_row, v_row = uy * y + u0, vy * y + v0
            t_row, r_row = ty * y + t0, ry * y + r0
            first, last = clip(np.int64(0), columns, ux, u_row, -1 - u_reach, width + u_reach)
            first, last = clip(first, last, vx, v_row, -1 - v_reach, height + v_reach)
            at = target + y * columns
            for x in range(first, last, STEP):
                u, v = ux * x + u_row, vx * x + v_row
                left, top = np.floor(u), np.floor(v)
                point = (np.float32(u - left), np.float32(v - top))
                bounds = (
                    np.float32(-1 - left),
                    np.float32(width - left),
                    np.float32(-1 - top),
                    np.float32(height - top),
                )
                index = (np.int64(top) + 1) * stride + np.int64(left) + 1
                # Pixels past the row's end belong to the next one, which is written later; past the plane, to others.
                inside = y * columns + x + STEP <= plane
                sheet, start, between = (out, at + x, plane) if inside else (edge, 0, STEP)
                if waved:
                    wave = (
                        turn(tx * x + t_row),
                        np.float32(tx),
                        turn(rx * x + r_row),
                        np.float32(rx),
                        np.float32(bend),
                        np.float32(u1),
                        np.float32(v1),
                        np.float32(u2),
                        np.float32(v2),
                    )
                    sample_waved(
                        sheet, start, between, cells, index, stride, extent, channels, point, step, bounds, wave
                    )
                else:
                    sample_straight(
                        sheet, start, between, cells, index, stride, extent, channels, point, step, bounds, point
                    )
                if not inside:
                    for channel in range(channels):
                        for i in range(min(STEP, columns - x)):
                            out[at + channel * plane + x + i] = edge[channel * STEP + i]
            for channel in range(channels):
                out[at + channel * plane : at + channel * plane + first] = paper[k, channel]
                out[at + channel * plane + last : at + channel * plane + columns] = paper[k, channel]
