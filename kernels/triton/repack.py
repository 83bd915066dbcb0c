"""Copies between packed images, one pixel after another, and the pitched ones that the kernels work on."""

from __future__ import annotations

import triton
import triton.language as tl
from gpurender.kernels.plan import HEADER as _HEADER
from gpurender.kernels.plan import Launch
from gpurender.kernels.plan.repack import TILE_HEIGHT, TILE_WIDTH
from gpurender.kernels.triton.tiles import locate, target_image, wide
from torch import Tensor

HEADER = tl.constexpr(_HEADER)
NUM_WARPS = 4
STRIP = 4  # rows at a time


@triton.jit(do_not_specialize=["at"])
def repack_kernel(
    packed,
    pool,
    plan,
    at,
    CHANNELS: tl.constexpr,  # noqa: N803
    TO_POOL: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    STRIP: tl.constexpr,  # noqa: N803
):
    """Copy one tile of all channels, STRIP rows at a time."""
    row, y0, x0 = locate(plan, at, HEIGHT, WIDTH)
    rows, columns, pitch, start = target_image(row, CHANNELS)
    packed += wide(row + HEADER)
    index = tl.arange(0, STRIP * WIDTH)
    x = x0 + index % WIDTH
    for channel in tl.static_range(CHANNELS):
        for first in range(y0, tl.minimum(y0 + HEIGHT, rows), STRIP):
            y = first + index // WIDTH
            inside = (y < rows) & (x < columns)
            here = pool + start + (channel * rows.to(tl.int64) + y) * pitch + x
            there = packed + (channel * rows.to(tl.int64) + y) * columns + x
            if TO_POOL:
                tl.store(here, tl.load(there, mask=inside), mask=inside)
            else:
                tl.store(there, tl.load(here, mask=inside), mask=inside)


def settings(channels: int, operation: str) -> tuple[dict[str, int], int]:
    """Return the kernel's constants and its warps."""
    constants = {"CHANNELS": channels, "TO_POOL": operation == "unpack"}
    return constants | {"HEIGHT": TILE_HEIGHT, "WIDTH": TILE_WIDTH, "STRIP": STRIP}, NUM_WARPS


def launch(packed: Tensor, pool: Tensor, plan: Tensor, launch: Launch, channels: int) -> None:
    """Launch a table of :func:`gpurender.kernels.plan.repack.lay_repack`."""
    constants, warps = settings(channels, launch.operation)
    repack_kernel[(launch.programs,)](packed, pool, plan, launch.at, **constants, num_warps=warps)
