"""The plan of `warp`: affine maps in fixed point, waves, and the origins from which a tile sees one thing alone."""

from __future__ import annotations

import math

import numpy as np
from gpurender.kernels.plan import HEADER, PITCH, Pitched, Table, lay_rows
from numba import njit

__all__ = ["TILE_HEIGHT", "TILE_WIDTH", "lay_warp"]

# Narrow, so that the bytes that a warp gathers at a time lie in few cache lines.
TILE_HEIGHT, TILE_WIDTH = 64, 32
# Rows at a time: every lane owns four neighboring px.
STRIP = 4

# Words of an image's row after its header. Six float64: both affine maps as one, waves left out, u = ur x + ud y + uc
# and v likewise. Eight float64: for u, then for v, the values at a tile's origin between which it sees only the inside
# of the source, and up to which, and from which, it sees only paper.
AFFINE = HEADER
BOUNDS = AFFINE + 12
# Four int64 with 32 fraction bits: ur, ud, vr, vd.
STEPS = BOUNDS + 16
# Six float64: the turns of both sines at (x, y), without the first one's part in the second.
TURNS = STEPS + 8
# Float32: the turns of the first sine from a px to the next and from a row to the next, those of the second one, and by
# how many the first one moves the second; the distances in 2**-32 px by which both sines move u, and v, back.
WAVE = TURNS + 12
# The kind of map; ud and vd with 24 fraction bits.
KIND = WAVE + 9
# The recurrence of a wave: alpha, swing, half a step in turns; a number whose unit in the last place is that of
# displacements (all float32), and how many 2**-32 px this unit has.
STEADY = KIND + 3
PAPER = STEADY + 5

# Kinds of maps: none of the following; waves whose first sine is the same all down a column, so that the second one
# follows from its last two values; all others, among them any that moves far in a row.
PLAIN, STEADY_WAVES, ANY = range(3)

# Limits in px. Beyond them is paper, whatever the image's size, and no sum of them overflows 32 + 32 bits.
FAR, STEEP = 2.0**30, 2.0**21
# The same for a step with 24 fraction bits.
SHALLOW = 100
# How far float32 may move a displacement, and more.
MARGIN = 0.01


def lay_warp(target: Pitched, source: Pitched, maps: np.ndarray, paper: np.ndarray) -> Table:
    """Lay out resampling by inverse maps.

    Args:
        target: K images.
        source: K images.
        maps: [K, 18] float64; see `gpurender.kernels.Warps`.
        paper: [K, N] int32, colors of `spread_colors`.

    Returns:
        The table; its variant is 1 if offsets in a plane of the source need 64 bits.
    """
    fields = (PAPER + paper.shape[1] + 1) // 2 * 2
    words, rows, _, programs = lay_rows(target, source, TILE_HEIGHT, TILE_WIDTH, fields)
    rows[:, PAPER : PAPER + paper.shape[1]] = paper
    wide = _fill(source.sizes, maps, rows.view(np.float64), rows.view(np.int64), rows.view(np.float32), rows)
    return Table("warp", words, programs, wide)


@njit(cache=True, nogil=True)
def _fixed(step):
    return np.int64(np.rint(min(max(step, -STEEP), STEEP) * 2.0**32))


@njit(cache=True, nogil=True)
def _fill(sizes, maps, doubles, integers, singles, words):
    m = np.empty(18)
    wide = 0
    for k in range(len(maps)):
        for i in range(18):
            # Finite, whatever the maps; so are all products of two, in float64 and in float32.
            m[i] = min(max(maps[k, i], -1e12), 1e12)
        a, b, c, d, e, f, ax, kx, px, ay, ky, py, a2, b2, c2, d2, e2, f2 = m
        height, width = float(sizes[k, 0]), float(sizes[k, 1])
        turning = (abs(kx * d) + abs(kx * e) + abs(ky * a) + abs(ky * b)) * TILE_HEIGHT + abs(kx * ay)
        sway = 0.0
        for axis in range(2):
            if axis == 0:
                p, q, r, size = a2, b2, c2, width
            else:
                p, q, r, size = d2, e2, f2, height
            right, down = p * a + q * d, p * b + q * e
            at = AFFINE // 2 + 3 * axis
            doubles[k, at], doubles[k, at + 1], doubles[k, at + 2] = right, down, p * c + q * f + r
            at = STEPS // 2 + 2 * axis
            integers[k, at], integers[k, at + 1] = _fixed(right), _fixed(down)
            # A tile's reach beyond its origin, either way.
            across, along, strays = right * (TILE_WIDTH - 1), down * (TILE_HEIGHT - 1), abs(p * ax) + abs(q * ay)
            before = strays - min(across, 0.0) - min(along, 0.0) + MARGIN
            behind = strays + max(across, 0.0) + max(along, 0.0) + MARGIN
            # Where no part of a coordinate is larger, its error in float32 is far below the margin.
            span = (abs(p * a) + abs(p * b) + abs(q * d) + abs(q * e)) * TILE_HEIGHT + strays
            at = BOUNDS // 2 + 4 * axis
            doubles[k, at] = before if span < 4096 and turning < 4096 else np.inf
            doubles[k, at + 1], doubles[k, at + 2], doubles[k, at + 3] = size - 1 - behind, -1 - behind, size + before
            sway = max(sway, abs(p * ax), abs(q * ay))
        at = TURNS // 2
        doubles[k, at], doubles[k, at + 1], doubles[k, at + 2] = kx * d, kx * e, kx * f + px
        doubles[k, at + 3], doubles[k, at + 4], doubles[k, at + 5] = ky * a, ky * b, ky * c + py
        for i, value in enumerate((ky * a, ky * b, kx * d, kx * e, kx * ay)):
            singles[k, WAVE + i] = value
        for i, value in enumerate((a2 * ax, b2 * ay, d2 * ax, e2 * ay)):
            singles[k, WAVE + 5 + i] = -min(max(value, -STEEP / 2), STEEP / 2) * 2.0**32
        # Where the first sine is the same all down a column, the second one's turns grow by as much at each strip.
        step = kx * e * STRIP
        steady = ky * b * ay == 0 and abs(step) <= 0.125 and turning < 4096 and sway < 256
        ud, vd = doubles[k, AFFINE // 2 + 1], doubles[k, AFFINE // 2 + 4]
        shallow = max(abs(ud), abs(vd)) < SHALLOW
        words[k, KIND] = ANY if not (shallow and steady) else PLAIN if ax == ay == 0 else STEADY_WAVES
        words[k, KIND + 1], words[k, KIND + 2] = np.rint(ud * 2.0**24 * shallow), np.rint(vd * 2.0**24 * shallow)
        singles[k, STEADY] = 4 * math.sin(math.pi * step) ** 2
        singles[k, STEADY + 1] = 2 * math.sin(math.pi * step)
        singles[k, STEADY + 2] = step / 2
        # Displacements, at most `sway`, are the last bits of a float32.
        bits = min(max(math.ceil(math.log2(max(2 * sway, 2.0**-8))), -8), 9)
        singles[k, STEADY + 3] = 1.5 * 2.0 ** (bits + 1 + 32)
        words[k, STEADY + 4] = 1 << (32 - 22 + bits)
        if height * ((width + PITCH - 1) // PITCH * PITCH) >= 2.0**31:
            wide = 1
    return wide
