"""Convolution with Kornia's `filter2d_separable` and `filter2d`: the specification."""

from __future__ import annotations

import torch
from gpurender.kernels.reference.ragged import as_levels, store, views
from kornia.filters import filter2d, filter2d_separable
from torch import Tensor


def blur(
    out: Tensor,
    target_sizes: Tensor,
    target_starts: Tensor,
    pixels: Tensor,
    source_sizes: Tensor,
    source_starts: Tensor,
    channels: int,
    halves: Tensor,
    offsets: Tensor,
    weights: Tensor,
    starts: Tensor,
) -> None:
    """Convolve every image; see `gpurender.kernels.blur` for the arguments."""
    sources = views(pixels, source_sizes, source_starts, channels)
    targets = views(out, target_sizes, target_starts, channels)
    for k, (image, target) in enumerate(zip(sources, targets, strict=True)):
        levels = as_levels(image)[None]  # [1, C, h, w]
        own = slice(int(starts[k]), int(starts[k + 1]))
        if own.start == own.stop:
            line = torch.cat([halves[k, 1:].flip(0), halves[k]]).double().to(out.device)[None]  # [1, 2 R + 1]
            blurred = filter2d_separable(levels, line, line, border_type="replicate")
        else:
            radius = int(offsets[own].abs().max())
            kernel = torch.zeros(2 * radius + 1, 2 * radius + 1, dtype=torch.float64, device=offsets.device)
            dx, dy = (offsets[own].long() + radius).unbind(1)
            kernel.index_put_((dy, dx), weights[own].double(), accumulate=True)
            blurred = filter2d(levels, kernel.to(out.device)[None], border_type="replicate")
        store(target, blurred[0])
