"""Params become pixels: passes are grouped by kernel, so that a batch takes a launch for each kernel that it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpurender.distort import groups, steps
from gpurender.distort.params import Params
from gpurender.distort.passes import lay_passes
from gpurender.distort.steps import BLUR, SHADE, WARP, WIDTH
from gpurender.kernels import Backend, Images, Warps, blur, choose_backend, shade, warp
from gpurender.kernels.arrays import device_of, has_dtype, to_tensor
from gpurender.kernels.images import FLOATING
from gpurender.kernels.plan import Plan, spread_colors
from gpurender.kernels.plan.repack import lay_repack
from gpurender.raster import Pages
from gpurender.raster.pages import page_offsets

if TYPE_CHECKING:
    from torch import Tensor

    Buffer = np.ndarray | Tensor

__all__ = ["transform", "transform_dense"]


def transform(pages: Pages, params: Params, *, backend: Backend = "auto") -> Pages:
    """Carry out what was drawn, where the pages are. No value on a device is read.

    Args:
        pages: Images of the sizes that `params` was made for.
        params: What is to be done to each.
        backend: See `gpurender.kernels`.

    Returns:
        Pages of `params.out_sizes`, on the same device, with paper of the same colours. They own their memory, but for
        a batch to which nothing is done, which is returned as it is.

    Raises:
        ValueError: Another number of pages or other sizes, or the backend cannot work there.
    """
    if not isinstance(pages, Pages):
        raise TypeError(f"pages must be Pages, not {type(pages).__name__}")
    _check_sizes(pages.sizes, params)
    choose_backend(backend, pages.device)
    buffer, sizes = _run(pages.flat, pages.offsets, pages.sizes, pages.channels, pages.paper, params, backend)
    return pages if buffer is pages.flat else Pages(buffer, sizes, pages.channels, paper=pages.paper)


def transform_dense(x: Tensor, make_params: Callable[[np.ndarray], Params]) -> Tensor:
    """Distort a tensor [N, C, H, W] or [C, H, W] on white paper; see `Op.__call__`."""
    import torch

    if not isinstance(x, torch.Tensor):
        raise TypeError(f"x must be Pages or a tensor [N, C, H, W], not {type(x).__name__}")
    if x.ndim not in (3, 4) or x.dtype not in (torch.uint8, *(getattr(torch, name) for name in FLOATING)):
        raise TypeError(f"x must be [N, C, H, W] or [C, H, W], uint8 or floating point, not {x.dtype} {list(x.shape)}")
    batch = x if x.ndim == 4 else x[None]
    count, channels, height, width = batch.shape
    if count == 0:
        return x.clone()
    if not channels * height * width:
        raise ValueError(f"x must not have a side of length 0; its shape is {list(x.shape)}")
    sizes = np.tile(np.array([[height, width]], np.int32), (count, 1))
    paper = np.full((count, channels), 255, np.uint8)
    backend: Backend = "reference" if x.is_floating_point() else "auto"
    flat = batch.reshape(-1)
    buffer: Any
    buffer, after = _run(flat, page_offsets(sizes, channels), sizes, channels, paper, make_params(sizes), backend)
    if buffer is flat:
        return x.clone()
    tallest, widest = after.max(0).tolist()
    if (after == after[0]).all():
        done: Tensor = buffer.view(count, channels, tallest, widest)
    else:
        done = torch.full(
            (count, channels, tallest, widest), 255 if x.dtype == torch.uint8 else 1, dtype=x.dtype, device=x.device
        )
        offsets = page_offsets(after, channels)
        for n, (high, wide) in enumerate(after.tolist()):
            done[n, :, :high, :wide] = buffer[offsets[n] : offsets[n + 1]].view(channels, high, wide)
    return done if x.ndim == 4 else done[0]


def _check_sizes(sizes: np.ndarray, params: Params) -> None:
    if not isinstance(params, Params):
        raise TypeError(f"params must be Params, not {type(params).__name__}")
    if len(params) != len(sizes):
        raise ValueError(f"params are of {len(params)} images, pages has {len(sizes)}")
    made_for = params.program()[3]
    wrong = np.flatnonzero((made_for != sizes).any(1))
    if len(wrong):
        n = int(wrong[0])
        raise ValueError(
            f"params are of images of other sizes: page {n} is {sizes[n, 0]} x {sizes[n, 1]}, "
            f"its program is of {made_for[n, 0]} x {made_for[n, 1]}"
        )


def _run(
    flat: Buffer,
    first: np.ndarray,
    sizes: np.ndarray,
    channels: int,
    paper: np.ndarray,
    params: Params,
    backend: Backend,
) -> tuple[Buffer, np.ndarray]:
    """Distort images that begin at `first` [N + 1] in `flat`; returns a buffer of its kind, unpadded, and their sizes.

    Rounds end together: an image with fewer passes than others begins later. So its first pass reads `flat`, its last
    one writes the result, and only images on their way lie in between; those to which nothing is done are copied in the
    last round.
    """
    offsets, *passes = steps.plan(*params.program())
    if not offsets[-1]:
        return flat, sizes
    if has_dtype(flat, np.dtype(np.uint8)) and choose_backend(backend, device_of(flat)) == "triton":
        return _run_plan(flat, first, sizes, channels, paper, params)
    counts = np.diff(offsets)
    rounds = int(counts.max())
    out, starts, reached = flat, first, sizes
    for r in range(rounds):
        works = (counts >= rounds - r) | (r == rounds - 1)
        # Each image's pass, -1 for a copy.
        own = np.where(counts > 0, offsets[1:] - (rounds - r), -1)
        begins = counts <= rounds - r
        chosen_kernels = np.where(own >= 0, passes[0][own], SHADE)
        before, reached = reached, np.where((works & (own >= 0))[:, None], passes[2][own], reached).astype(np.int32)
        source, source_starts = out, starts
        starts = page_offsets(reached * works[:, None], channels)
        out = _empty(flat, int(starts[-1]))
        for kernel in (WARP, BLUR, SHADE):
            for begun in (False, True):
                images = np.flatnonzero(works & (chosen_kernels == kernel) & (begins != begun))
                if not len(images):
                    continue
                target = Images(reached[images], starts[images], channels)
                pixels, pixel_starts = (source, source_starts) if begun else (flat, first)
                at = Images(before[images], pixel_starts[images], channels)
                _launch(kernel, out, target, pixels, at, own[images], passes, params, paper[images], backend)
    return out, reached


def _run_plan(
    flat: Buffer, first: np.ndarray, sizes: np.ndarray, channels: int, paper: np.ndarray, params: Params
) -> tuple[Buffer, np.ndarray]:
    """Distort images as :func:`_run` does, by one device plan: unpacked into a pool, worked on there, packed again."""
    from gpurender.kernels.triton.run import run

    plan = Plan()
    source = plan.reserve(sizes)
    plan.add(lay_repack("unpack", source, first[:-1]))
    target = lay_passes(plan, params, source, spread_colors(paper), channels=channels)
    starts = page_offsets(target.sizes, channels)
    plan.add(lay_repack("pack", target, starts[:-1]))
    out = _empty(flat, int(starts[-1]))
    run(plan, channels, source=to_tensor(flat), out=to_tensor(out))
    return out, target.sizes


def _launch(
    kernel: int,
    out: Buffer,
    target: Images,
    pixels: Buffer,
    source: Images,
    own: np.ndarray,
    passes: list[np.ndarray],
    params: Params,
    paper: np.ndarray,
    backend: Backend,
) -> None:
    """One kernel for the images whose passes are `own`, -1 for a copy."""
    kinds, values, _, _ = params.program()
    _, _, _, maps, step, stain = passes
    if kernel == WARP:
        warp(out, target, pixels, source, Warps(maps[own], paper), backend=backend)
    elif kernel == BLUR:
        blur(out, target, pixels, source, groups.blurs(kinds[step[own]], values[step[own]]), backend=backend)
    else:
        # A last row of zeros for those without a shadow or a stain.
        rows = np.concatenate([values, np.zeros((1, WIDTH))])
        shadow, stained = (np.where(own >= 0, found[own], -1) for found in (step, stain))
        shades = groups.shades(rows[shadow], rows[stained], np.asarray(target.sizes), target.channels)
        shade(out, target, pixels, source, shades, backend=backend)


def _empty(like: Buffer, size: int) -> Buffer:
    if isinstance(like, np.ndarray):
        return np.empty(size, like.dtype)
    return like.new_empty(size)
