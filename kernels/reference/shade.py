"""A shadow and blots from their formulas: the specification."""

from __future__ import annotations

import torch
from gpurender.kernels import random
from gpurender.kernels.images import CELL, ROUGHNESS, STEEPNESS
from gpurender.kernels.reference.ragged import as_levels, store, views
from torch import Tensor


def fade(t: Tensor) -> Tensor:
    """The cubic that leaves 0 and reaches 1 level."""
    faded: Tensor = t * t * (3 - 2 * t)
    return faded


def gradient_noise(key: tuple[int, int], height: int, width: int, device: torch.device) -> Tensor:
    """The noise of `gpurender.kernels.Shades`, [height, width] float64 in [-1, 1]."""
    x, y = (torch.arange(n, device=device) for n in (width, height))
    i, j = x // CELL, (y // CELL)[:, None]
    dx, dy = (x % CELL).double() / CELL, ((y % CELL).double() / CELL)[:, None]

    def slope(right: int, down: int) -> Tensor:
        """What the gradient at one corner of each pixel's cell says of the pixel."""
        drawn: Tensor = random.bits(key, (j + down << 16) + i + right)  # [height, width]
        gx, gy = (drawn >> 16) / 2**15 - 1, (drawn & 0xFFFF) / 2**15 - 1
        return gx * (dx - right) + gy * (dy - down)

    above = slope(0, 0) + fade(dx) * (slope(1, 0) - slope(0, 0))
    below = slope(0, 1) + fade(dx) * (slope(1, 1) - slope(0, 1))
    return above + fade(dy) * (below - above)


def shade(
    out: Tensor,
    target_sizes: Tensor,
    target_starts: Tensor,
    pixels: Tensor,
    source_sizes: Tensor,
    source_starts: Tensor,
    channels: int,
    ramps: Tensor,
    noise: Tensor,
    blots: Tensor,
    colors: Tensor,
    starts: Tensor,
) -> None:
    """Shade every image; see `gpurender.kernels.shade` for the arguments."""
    sources = views(pixels, source_sizes, source_starts, channels)
    targets = views(out, target_sizes, target_starts, channels)
    for k, (image, target) in enumerate(zip(sources, targets, strict=True)):
        levels = as_levels(image)  # [C, h, w]
        x = torch.arange(image.shape[2], device=out.device).double()
        y = torch.arange(image.shape[1], device=out.device).double()[:, None]
        a, b, c, depth = ramps[k].tolist()
        levels = levels * (1 - depth * fade((1 - (a * x + b * y + c)).clamp(0, 1)))
        first, last = starts[k : k + 2].tolist()
        key = int(noise[k, 0]), int(noise[k, 1])
        n = gradient_noise(key, image.shape[1], image.shape[2], out.device) if first < last else 0
        for (cx, cy, r, alpha), color in zip(blots[first:last].tolist(), colors[first:last], strict=True):
            u = STEEPNESS * (1 + ROUGHNESS * n - ((x - cx) ** 2 + (y - cy) ** 2) / r**2)
            f = alpha * u.clamp(0, 1) * (0.7 + 0.3 * (2 - u).clamp(0, 1))  # [h, w]
            levels = levels * (1 - f * (1 - color[:, None, None].to(out.device).double() / 255))
        store(target, levels)
