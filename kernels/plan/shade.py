"""The plan of `shade`: tiles, each image's shadow as a ramp, and its blots."""

from __future__ import annotations

import numpy as np
from gpurender.kernels.images import CELL, ROUGHNESS, STEEPNESS
from gpurender.kernels.plan import HEADER, Pitched, Table, lay_rows
from numba import njit

__all__ = ["BLOT", "FIELDS", "TILE_HEIGHT", "TILE_WIDTH", "UNBOUNDED", "lay_shade"]

# A tile covers whole lattice cells of the noise, one cell high.
TILE_HEIGHT, TILE_WIDTH = 2 * CELL, 4 * CELL

# Words of an image's row: the header; a, b, c and depth of the ramp, float64; the noise's key; the first blot's word,
# from the table's first, and the number of blots.
FIELDS = HEADER + 12
# Words of a blot before its channels: the column and row of px nearest to its center; the center from there, float32 as
# all that follows; how far it reaches, in squared px; and its fall a squared px. Then the light that its edge adds, a
# negative share: of gray, and of each channel.
BLOT = 6

# The variant of tables in which a depth or an opacity is not within [0, 1], so that levels must be clamped.
UNBOUNDED = 1

# How far a blot reaches, in radii and in px: a little more than it can be, for the rounding of float32.
_REACH, _MARGIN = (1 + ROUGHNESS) ** 0.5 * 1.0001, 0.01
# Of numbers that float32 holds, and so do their squares and products.
_FAR, _VAST, _STEEP = 1e9, 1e30, 1e12


def lay_shade(
    target: Pitched,
    source: Pitched,
    ramps: np.ndarray,
    noise: np.ndarray,
    blots: np.ndarray,
    colors: np.ndarray,
    starts: np.ndarray,
) -> Table:
    """Lay out shadows and blots over K images; see :class:`gpurender.kernels.Shades`.

    Args:
        target: K images.
        source: K images of the same sizes.
        ramps: [K, 4] float64.
        noise: [K, 2] int64.
        blots: [B, 4] float64.
        colors: [B, 4 or more] int32, by :func:`gpurender.kernels.plan.spread_colors`.
        starts: [K + 1] int64.
    """
    words_of_blot = BLOT + colors.shape[1]
    words, _, first, programs = lay_rows(target, source, TILE_HEIGHT, TILE_WIDTH, FIELDS, len(blots) * words_of_blot)
    first_row = first - FIELDS * len(ramps)
    variant = _fill(words, words.view(np.float32), first_row, first, ramps, noise, blots, colors, starts)
    return Table("shade", words, programs, variant)


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(words, singles, first_row, first, ramps, noise, blots, colors, starts):
    bounded = True
    ramp = np.empty(4)
    for k in range(len(ramps)):
        at = first_row + k * FIELDS + HEADER
        for n in range(4):
            ramp[n] = min(max(ramps[k, n], -_FAR), _FAR)
        words[at : at + 8] = ramp.view(np.int32)
        bounded &= 0 <= ramp[3] <= 1
        words[at + 8], words[at + 9] = np.uint32(noise[k, 0]), np.uint32(noise[k, 1])
        words[at + 10] = first + starts[k] * (BLOT + colors.shape[1])
        words[at + 11] = starts[k + 1] - starts[k]
    for b in range(len(blots)):
        at = first + b * (BLOT + colors.shape[1])
        radius, alpha = blots[b, 2], min(max(blots[b, 3], -_FAR), _FAR)
        bounded &= 0 <= alpha <= 1
        for n in range(2):
            center = min(max(blots[b, n], -_FAR), _FAR)
            nearest = np.int64(np.rint(center))
            words[at + n] = nearest
            singles[at + 2 + n] = center - nearest
        singles[at + 4] = min((radius * _REACH + _MARGIN) ** 2, _VAST)
        singles[at + 5] = min(STEEPNESS / (radius * radius), _STEEP)
        for n in range(colors.shape[1]):
            singles[at + BLOT + n] = alpha * (colors[b, n] / 255 - 1)
    return 0 if bounded else UNBOUNDED
