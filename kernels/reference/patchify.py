"""Patches by padding, looking up and permuting: the specification."""

from __future__ import annotations

import torch
from gpurender.kernels.reference.ragged import views
from torch import Tensor


def patchify(
    out: Tensor,
    pixels: Tensor,
    sizes: Tensor,
    starts: Tensor,
    channels: int,
    canvases: Tensor,
    rows: Tensor,
    paper: Tensor,
    levels: Tensor,
    height: int,
    width: int,
    merge: int,
    temporal: int,
) -> None:
    """Write every image's patches; see `gpurender.kernels.patchify` for the arguments."""
    levels, colors = levels.to(out.device), torch.arange(3, device=out.device)[:, None, None]
    for k, image in enumerate(views(pixels, sizes, starts, channels)):
        down, right = canvases[k].tolist()
        canvas = paper[k].to(out.device)[:, None, None].repeat(1, down, right)  # [C, H, W]
        canvas[:, : image.shape[1], : image.shape[2]] = image
        values = levels[colors, canvas.long()]  # [3, H, W]
        # Rows of blocks, blocks, and the patches of a block, each [3, height, width].
        parts = values.view(3, down // (merge * height), merge, height, right // (merge * width), merge, width)
        parts = parts.permute(1, 4, 2, 5, 0, 3, 6).reshape(-1, 3, 1, height, width)
        target = out[rows[k] : rows[k] + len(parts)].view(-1, 3, temporal, height, width)
        target.copy_(parts.expand_as(target))
