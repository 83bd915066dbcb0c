"""The start of every kernel: from a program to its image and its tile, by the words of a device plan."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
import triton
import triton.language as tl
from gpurender.kernels import plan as layout
from torch import Tensor

PITCH = tl.constexpr(layout.PITCH)
FIRST, ACROSS, ROWS, COLUMNS = (tl.constexpr(n) for n in (layout.FIRST, layout.ACROSS, layout.ROWS, layout.COLUMNS))
TARGET, SOURCE = tl.constexpr(layout.TARGET), tl.constexpr(layout.SOURCE)
SOURCE_ROWS, SOURCE_COLUMNS = tl.constexpr(layout.SOURCE_ROWS), tl.constexpr(layout.SOURCE_COLUMNS)


def on_its_device(run: Callable[..., None]) -> Callable[..., None]:
    """Make the device of `out`, the first argument, the current one: Triton launches there, on its current stream."""

    @wraps(run)
    def guarded(out: Tensor, *arguments: Any, **options: Any) -> None:
        with torch.cuda.device_of(out):
            run(out, *arguments, **options)

    return guarded


@triton.jit
def locate(plan, at, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):  # noqa: N803
    """Return the row of this program's image, and the row and column of px at which its tile begins."""
    table = plan + at
    program = tl.program_id(0)
    row = table + tl.load(table + program)
    tile = program - tl.load(row + FIRST)
    across = tl.load(row + ACROSS)
    return row, tile // across * HEIGHT, tile % across * WIDTH


@triton.jit
def pitch_of(columns):
    """Return the bytes of a pitched row."""
    return (columns + (PITCH - 1)) // PITCH * PITCH


@triton.jit
def target_image(row, channels):
    """Return the target's rows, columns, pitch (int32) and first byte (int64) in the pool."""
    rows, columns = tl.load(row + ROWS), tl.load(row + COLUMNS)
    return rows, columns, pitch_of(columns), tl.load(row + TARGET).to(tl.int64) * (PITCH * channels)


@triton.jit
def source_image(row, channels):
    """Return the source's rows, columns, pitch (int32) and first byte (int64) in the pool."""
    rows, columns = tl.load(row + SOURCE_ROWS), tl.load(row + SOURCE_COLUMNS)
    return rows, columns, pitch_of(columns), tl.load(row + SOURCE).to(tl.int64) * (PITCH * channels)


@triton.jit
def wide(address):
    """Load an int64 of a plan; its words begin at an even one."""
    return tl.load(address.to(tl.pointer_type(tl.int64), bitcast=True))


@triton.jit
def double(address):
    """Load a float64 of a plan; its words begin at an even one."""
    return wide(address).to(tl.float64, bitcast=True)


@triton.jit
def single(address):
    """Load a float32 of a plan."""
    return tl.load(address).to(tl.float32, bitcast=True)


@triton.jit
def color(address, channel, CHANNELS: tl.constexpr):  # noqa: N803
    """Load a level, 0 to 255, of a color laid out by `spread_colors`."""
    return tl.load(address + channel + (1 if CHANNELS > 1 else 0))
