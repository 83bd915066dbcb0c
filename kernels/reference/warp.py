"""Resampling by an inverse map, with Kornia's `remap`: the specification."""

from __future__ import annotations

from math import tau

import torch
from gpurender.kernels.reference.ragged import as_levels, store, views
from kornia.geometry.transform import remap
from torch import Tensor


def inverse_map(maps: list[float], height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where in the source each pixel of a target looks: u and v, [height, width] float64; see `Warps`."""
    a, b, c, d, e, f, ax, kx, px, ay, ky, py, a2, b2, c2, d2, e2, f2 = maps
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64, device=device),
        torch.arange(width, dtype=torch.float64, device=device),
        indexing="ij",
    )
    x, y = a * x + b * y + c, d * x + e * y + f
    y = y - ay * (tau * (ky * x + py)).sin()
    x = x - ax * (tau * (kx * y + px)).sin()
    return a2 * x + b2 * y + c2, d2 * x + e2 * y + f2


def warp(
    out: Tensor,
    target_sizes: Tensor,
    target_starts: Tensor,
    pixels: Tensor,
    source_sizes: Tensor,
    source_starts: Tensor,
    channels: int,
    maps: Tensor,
    paper: Tensor,
) -> None:
    """Resample every image; see `gpurender.kernels.warp` for the arguments."""
    sources = views(pixels, source_sizes, source_starts, channels)
    targets = views(out, target_sizes, target_starts, channels)
    for image, target, row, color in zip(sources, targets, maps.tolist(), paper, strict=True):
        u, v = inverse_map(row, target.shape[1], target.shape[2], out.device)
        ground = color[:, None, None].to(out.device).double()
        # Zeros around what is different from paper is paper around the image. A frame of one pixel more, since Kornia
        # has no place for the only pixel of a row; what is further out than the frame is paper too.
        ink = torch.nn.functional.pad(as_levels(image) - ground, (1, 1, 1, 1))  # [C, h + 2, w + 2]
        u, v = (u + 1).clamp(-1, ink.shape[2]), (v + 1).clamp(-1, ink.shape[1])
        moved = remap(ink[None], u[None], v[None], mode="bilinear", padding_mode="zeros", align_corners=True)[0]
        store(target, moved + ground)
