"""The passes of params in a device plan: which launches they take, and where in the pool each image is worked on."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpurender.distort import groups, steps
from gpurender.distort.params import Params
from gpurender.distort.steps import BLUR, SHADE, WARP, WIDTH
from gpurender.kernels.plan import Pitched, Plan
from gpurender.kernels.plan.blur import lay_blur
from gpurender.kernels.plan.shade import lay_shade
from gpurender.kernels.plan.warp import lay_warp

__all__ = ["lay_passes"]


def lay_passes(plan: Plan, params: Params, images: Pitched, paper: np.ndarray, *, channels: int = 3) -> Pitched:
    """Add the launches that carry out params.

    Rounds end together: an image with fewer passes than others begins later. An image to which nothing is done stays
    where it is.

    Args:
        plan: The plan to add to.
        params: The programs of N images.
        images: The N images in the pool.
        paper: [N, C'] int32: the color around each image, as `gpurender.kernels.plan.spread_colors` has it.
        channels: Of the images; 3 serves 1 as well.

    Returns:
        The distorted images in the pool.
    """
    offsets, *passes = steps.plan(*params.program())
    counts = np.diff(offsets)
    starts = images.starts.copy()
    for left in range(int(counts.max(initial=0)), 0, -1):
        # The pass with which `left` passes of an image remain.
        chosen = offsets[1:] - left
        for kernel in (WARP, BLUR, SHADE):
            k = np.flatnonzero((counts >= left) & (passes[0][chosen] == kernel))
            if not len(k):
                continue
            before, after = (sizes[chosen[k]].astype(np.int32) for sizes in passes[1:3])
            source, target = Pitched(before, starts[k]), plan.reserve(after)
            _add(plan, kernel, target, source, chosen[k], passes, params, paper[k], channels)
            starts[k] = target.starts
    return Pitched(params.sizes_after(), starts)


def _add(
    plan: Plan,
    kernel: int,
    target: Pitched,
    source: Pitched,
    chosen: np.ndarray,
    passes: list[np.ndarray],
    params: Params,
    paper: np.ndarray,
    channels: int,
) -> None:
    kinds, values, _, _ = params.program()
    _, _, _, maps, step, stain = passes
    if kernel == WARP:
        plan.add(lay_warp(target, source, maps[chosen], paper))
    elif kernel == BLUR:
        blurs: Any = groups.blurs(kinds[step[chosen]], values[step[chosen]])
        for table in lay_blur(target, source, *blurs):
            plan.add(table)
    else:
        # A last row of zeros for those without a shadow or a stain.
        rows = np.concatenate([values, np.zeros((1, WIDTH))])
        stains = rows[stain[chosen]]
        shades: Any = groups.shades(rows[step[chosen]], stains, target.sizes, 3)
        colors = groups.shade_colors(stains, channels)
        plan.add(lay_shade(target, source, shades.ramps, shades.noise, shades.blots, colors, shades.starts))
