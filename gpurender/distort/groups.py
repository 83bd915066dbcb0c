"""Passes of one kernel, as that kernel takes them: blurs as weights, shadows and stains as ramps and blots."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from gpurender.distort.steps import BOX, GAUSSIAN, MOTION, turn
from gpurender.kernels import Blurs, Shades
from gpurender.kernels.cpu.random import uniform

__all__ = ["blurs", "shade_colors", "shades"]

# Elements of a stain's key: its noise takes those below.
FIRST_BLOT = 1 << 48


def blurs(kinds: np.ndarray, values: np.ndarray) -> Blurs:
    """What `kernels.blur` takes, from K steps."""
    radii = np.where(kinds == GAUSSIAN, np.ceil(3 * values[:, 0]), values[:, 0] // 2)
    separable = kinds != MOTION
    halves = np.zeros((len(kinds), 1 + int(radii.max(where=separable, initial=0))), np.float32)
    lines = values[~separable, 0].astype(np.int64)
    offsets, weights = np.empty((int((lines**2).sum()), 2), np.int32), np.empty(int((lines**2).sum()), np.float32)
    starts = np.zeros(len(kinds) + 1, np.int64)
    _fill(kinds, values, halves, offsets, weights, starts)
    return Blurs(halves, offsets[: starts[-1]], weights[: starts[-1]], starts)


@njit(cache=True)
def _fill(kinds, values, halves, offsets, weights, starts):
    """Gaussians, boxes, and Kornia's motion kernel: a row of ones, turned bilinearly, that sums to 1."""
    t = 0
    for k in range(len(kinds)):
        size = values[k, 0]
        if kinds[k] == MOTION:
            first, total = t, 0.0
            c, s = turn(values[k, 1])
            half = int(size) // 2
            for dy in range(-half, half + 1):
                for dx in range(-half, half + 1):
                    u, v = c * dx - s * dy, s * dx + c * dy
                    weight = max(0.0, 1 - abs(v)) * min(max(half + 1 - abs(u), 0.0), 1.0)
                    if weight > 1e-6:
                        offsets[t, 0], offsets[t, 1], weights[t] = dx, dy, weight
                        total += weight
                        t += 1
            weights[first:t] /= total
        else:
            radius = int(size) // 2 if kinds[k] == BOX else math.ceil(3 * size)
            total = 0.0
            for r in range(radius + 1):
                weight = 1.0 if kinds[k] == BOX else math.exp(-0.5 * (r / size) ** 2)
                halves[k, r] = weight
                total += weight if r == 0 else 2 * weight
            halves[k] /= total
        starts[k + 1] = t


def shades(shadows: np.ndarray, stains: np.ndarray, sizes: np.ndarray, channels: int) -> Shades:
    """Return the parameters of `kernels.shade` for K passes.

    Args:
        shadows: [K, 8]: the numbers of `EdgeShadow`; zeros for none.
        stains: [K, 8]: the numbers of `Stain`; zeros for none.
        sizes: [K, 2]: height and width in px.
        channels: Of the images; three are RGB, others have the colors' luma.
    """
    starts = np.concatenate([[0], np.cumsum(stains[:, 0].astype(np.int64))])
    blots, levels = np.empty((int(starts[-1]), 4)), np.empty((int(starts[-1]), 3))
    ramps = np.zeros((len(sizes), 4))
    _shade(shadows, stains, sizes, starts, ramps, blots, levels)
    if channels != 3:
        levels = np.repeat(_luma(levels), channels, 1)
    return Shades(ramps, stains[:, 6:8].astype(np.int64), blots, _round(levels), starts)


def shade_colors(stains: np.ndarray, channels: int) -> np.ndarray:
    """Return the colors of the blots of K stains [K, 8] as a device plan has them, [B, max(channels, 3) + 1] int32.

    Gray comes first; three channels are RGB, others have the colors' luma.
    """
    levels = np.repeat(stains[:, 3:6], stains[:, 0].astype(np.int64), 0)
    gray = _luma(levels)
    others = levels if channels in (1, 3) else np.repeat(gray, max(channels, 3), 1)
    return _round(np.concatenate([gray, others], 1)).astype(np.int32)


def _luma(levels: np.ndarray) -> np.ndarray:
    """Rec. 601 luma as in PIL, [B, 1] from RGB [B, 3]."""
    luma: np.ndarray = levels @ np.array([[0.299], [0.587], [0.114]])
    return luma


def _round(levels: np.ndarray) -> np.ndarray:
    return np.floor(levels + 0.5).astype(np.uint8)


@njit(cache=True)
def _shade(shadows, stains, sizes, starts, ramps, blots, levels):
    for k in range(len(sizes)):
        height, width = sizes[k, 0], sizes[k, 1]
        darkness, extent = shadows[k, 0], shadows[k, 1]
        if darkness > 0:
            c, s = turn(shadows[k, 2])
            # Outwards is (c, -s). The farthest pixel that way is dark; at `extent` of the page's breadth it is light.
            farthest = (abs(c) * (width - 1) + abs(s) * (height - 1)) / 2
            breadth = extent * (abs(c) * width + abs(s) * height)
            ramps[k, 0], ramps[k, 1] = -c / breadth, s / breadth
            ramps[k, 2] = (farthest + c * (width - 1) / 2 - s * (height - 1) / 2) / breadth
            ramps[k, 3] = darkness
        radius, opacity = stains[k, 1], stains[k, 2]
        key_0, key_1 = np.int64(stains[k, 6]), np.int64(stains[k, 7])
        for b in range(starts[k], starts[k + 1]):
            element = FIRST_BLOT + 4 * (b - starts[k])
            blots[b, 0] = uniform(key_0, key_1, element) * width
            blots[b, 1] = uniform(key_0, key_1, element + 1) * height
            blots[b, 2] = radius * (0.5 + uniform(key_0, key_1, element + 2))
            blots[b, 3] = opacity * (0.5 + 0.5 * uniform(key_0, key_1, element + 3))
            levels[b] = stains[k, 3:6]
