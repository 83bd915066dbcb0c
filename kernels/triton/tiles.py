"""Tiles of ragged images, and the plan of a call as one transfer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
import triton
import triton.language as tl
from gpurender.kernels.arrays import copy_to
from torch import Tensor


def on_its_device(run: Callable[..., None]) -> Callable[..., None]:
    """Make the device of `out`, the first argument, the current one: Triton launches there, on its current stream."""

    @wraps(run)
    def guarded(out: Tensor, *arguments: Any) -> None:
        with torch.cuda.device_of(out):
            run(out, *arguments)

    return guarded


def count_tiles(sizes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """How many tiles of height x width images have, down and across: [K] int64 each, from sizes [K, 2] int32."""
    size = torch.tensor([height, width], device=sizes.device)
    down, right = ((sizes + size - 1) // size).unbind(1)
    return down, right


def lay_tiles(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The image of each tile [T] and the first tile of each image [K], from the images' numbers of tiles [K] int64."""
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    return torch.repeat_interleave(
        torch.arange(len(counts), device=counts.device), counts, output_size=total
    ), ends - counts


def send(tiles: Tensor, columns: Sequence[Tensor], device: torch.device, items: Sequence[Tensor] = ()) -> Tensor:
    """Copy a plan to the device at once.

    Returns:
        Flat int64, so that a kernel needs one pointer for all: the tiles' images [T]; a row for each image, its
        element or row of every column; and a row for each item likewise. Floating-point numbers go as their bits.
    """
    bits = {torch.float64: torch.int64, torch.float32: torch.int32}

    def table(columns: Sequence[Tensor]) -> Tensor:
        fields = [c.contiguous().view(bits.get(c.dtype, c.dtype)).long() for c in columns]
        return torch.cat([f[:, None] if f.ndim == 1 else f for f in fields], 1).ravel()

    flat = torch.cat([tiles, table(columns), *([table(items)] if items else [])])
    return copy_to(flat, device)


@triton.jit
def double(address):
    """A float64 of a plan."""
    return tl.load(address).to(tl.float64, bitcast=True)


@triton.jit
def single(address):
    """A float32 of a plan."""
    return tl.load(address).to(tl.int32).to(tl.float32, bitcast=True)
