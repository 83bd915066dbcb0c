"""Running a device plan: one pool, one copy of the plan, one launch for each of its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

import torch
from gpurender.kernels.arrays import copy_to
from gpurender.kernels.plan import PITCH, Launch, Pitched, Plan, Table
from gpurender.kernels.plan.repack import lay_repack
from torch import Tensor

__all__ = ["launch_all", "run", "run_packed"]


def launch_all(
    launches: Sequence[Launch],
    words: Tensor,
    units: int,
    channels: int,
    *,
    source: Tensor | None = None,
    out: Tensor | None = None,
    coverage: Tensor | None = None,
    pictures: Tensor | None = None,
    cut: tuple[int, ...] = (),
) -> None:
    """Launch every table of a plan, on the current stream of the device of `words`.

    Args:
        launches: The launches, in order.
        words: [W] int32: the plan, on the device.
        units: 16 bytes a channel that the pool must hold.
        channels: Of the images.
        source: Packed images that `unpack` reads, flat uint8.
        out: Flat uint8 that `pack` writes, or [R, columns] of patches as integers that `patchify` writes.
        coverage: The atlas that `composite` reads, flat uint8.
        pictures: The pictures that `composite` reads, flat uint8.
        cut: A patch's height and width in px, `merge` and `temporal`, for `patchify`.
    """
    with torch.cuda.device_of(words):
        pool = torch.empty(units * PITCH * channels, dtype=torch.uint8, device=words.device)
        for launch in launches:
            operation = "repack" if launch.operation in ("pack", "unpack") else launch.operation
            start = import_module(f"gpurender.kernels.triton.{operation}").launch
            if launch.operation == "composite":
                start(pool, words, launch, channels, coverage, pictures if pictures is not None else coverage)
            elif launch.operation == "patchify":
                start(out, pool, words, launch, channels, *cut)
            elif operation == "repack":
                start(source if launch.operation == "unpack" else out, pool, words, launch, channels)
            else:
                start(pool, words, launch, channels)


def run(plan: Plan, channels: int, *, out: Tensor, **buffers: Any) -> None:
    """Copy a plan to the device of `out` and launch its tables; buffers as of :func:`launch_all`."""
    if plan.launches:
        words = copy_to(torch.from_numpy(plan.words()), out.device)
        launch_all(plan.launches, words, plan.units, channels, out=out, **buffers)


def run_packed(
    out: Tensor,
    target_sizes: Tensor,
    target_starts: Tensor,
    pixels: Tensor,
    source_sizes: Tensor,
    source_starts: Tensor,
    channels: int,
    lay: Callable[[Pitched, Pitched], Iterable[Table]],
) -> None:
    """Run an operation on packed images: unpack them into a pool, launch `lay(target, source)`, and pack the result."""
    plan = Plan()
    source, target = plan.reserve(source_sizes.numpy()), plan.reserve(target_sizes.numpy())
    plan.add(lay_repack("unpack", source, source_starts.numpy()))
    for table in lay(target, source):
        plan.add(table)
    plan.add(lay_repack("pack", target, target_starts.numpy()))
    run(plan, channels, source=pixels, out=out)
