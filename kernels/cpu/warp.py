"""Resampling in numba."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(inline="always")
def ink(pixels, plane, height, width, x, y, paper):
    """What a pixel of the source, or of the paper around it, differs from paper."""
    return np.float64(pixels[plane + y * width + x]) - paper if 0 <= x < width and 0 <= y < height else 0.0


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
    tau = 2 * np.pi
    for k in range(len(target_starts)):
        rows, columns = np.int64(target_sizes[k, 0]), np.int64(target_sizes[k, 1])
        height, width = np.int64(source_sizes[k, 0]), np.int64(source_sizes[k, 1])
        a, b, c, d, e, f, ax, kx, px, ay, ky, py, a2, b2, c2, d2, e2, f2 = maps[k]
        for i in range(rows):
            for j in range(columns):
                x, y = a * j + b * i + c, d * j + e * i + f
                y -= ay * np.sin(tau * (ky * x + py))
                x -= ax * np.sin(tau * (kx * y + px))
                u, v = a2 * x + b2 * y + c2, d2 * x + e2 * y + f2
                # What is not a number is outside too.
                near = u > -1 and u < width and v > -1 and v < height
                u, v = (u, v) if near else (-1.0, -1.0)
                x, y = np.int64(np.floor(u)), np.int64(np.floor(v))
                u, v = u - x, v - y
                for channel in range(channels):
                    ground = np.float64(paper[k, channel])
                    plane = source_starts[k] + channel * height * width
                    top = ink(pixels, plane, height, width, x, y, ground) * (1 - u)
                    top += ink(pixels, plane, height, width, x + 1, y, ground) * u
                    low = ink(pixels, plane, height, width, x, y + 1, ground) * (1 - u)
                    low += ink(pixels, plane, height, width, x + 1, y + 1, ground) * u
                    level = ground + top * (1 - v) + low * v
                    out[target_starts[k] + (channel * rows + i) * columns + j] = np.uint8(np.floor(level + 0.5))
