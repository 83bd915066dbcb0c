"""Kernel steps of `gpurender.bench.gpu_check`: every kernel checked against the reference, and timed.

A kernel is timed alone, launched again with the arguments that a public call passed, on a batch many times as large as
the L2 cache. So these steps depend on no detail of a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from gpurender.bench import gpu_timing
from gpurender.bench.gpu_report import Tell, attempt
from gpurender.bench.texts import written

from gpurender import Pages, Renderer, Typesetter, distort
from gpurender.feed import profiles
from gpurender.typeset.layout import Layout

__all__ = ["OPERATIONS", "blur", "composite", "every_kernel", "make_texts", "patchify", "shade", "warp"]

DEVICE = "cuda"
PAGES = {1: 2048, 3: 1024}  # by channels; 300 MB and 450 MB of pages of about 768 x 190 px
SENTENCES = (
    "A grocer buys {n} crates of apples, and each of the crates holds 12 apples that cost 45 cents.",
    "She sells {n} of them before noon; in the afternoon three schools share what is left in equal parts.",
    "How many apples does each school get, and how many does she keep if a tenth of {n} are bad?",
    "A train leaves at noon with {n} passengers and travels at 80 kilometers per hour to the coast.",
)
# For each kernel of distortions, the operations that take its different paths.
OPERATIONS: dict[str, dict[str, distort.Op]] = {
    "warp": {"rotate": distort.Rotate(5), "wave": distort.Wave(3, 300, axis="both")},
    "blur": {
        "gaussian": distort.GaussianBlur(1.5),
        "gaussian of sigma 4": distort.GaussianBlur(4),
        "box": distort.BoxBlur(5),
        "motion": distort.MotionBlur(9),
    },
    "shade": {"shadow": distort.EdgeShadow((0.2, 0.6)), "stain": distort.Stain()},
}


def make_texts(count: int) -> list[str]:
    """Return texts of about 480 characters, each another."""
    return written(SENTENCES, count, 480)


def layout_of(count: int) -> Layout:
    """Lay out so many pages."""
    return Typesetter()(make_texts(count))


def choose(pages: Pages, chosen: Sequence[int]) -> Pages:
    """Copy some pages to the CPU."""
    images = [pages[n].cpu().numpy() for n in chosen]
    sizes = np.array([image.shape[1:] for image in images], np.int32)
    return Pages(np.concatenate([image.ravel() for image in images]), sizes, pages.channels, paper=pages.paper[chosen])


def some_of(count: int) -> list[int]:
    """Return numbers of pages to check: the first, and the last, whose offsets are the largest."""
    return sorted({0, 1, count - 2, count - 1} & set(range(count)))


def compare(tell: Tell, what: str, ours: Sequence[Any], theirs: Sequence[Any], most: float) -> None:
    """Report the largest difference between tensors and the share that is equal; more than `most` is a failure."""
    largest, equal, total = 0.0, 0, 0
    for one, other in zip(ours, theirs, strict=True):
        difference = (one.cpu().double() - other.cpu().double()).abs()
        # NaN is larger than any bound.
        largest = max(largest, float(difference.nan_to_num(nan=float("inf")).max()))
        equal, total = equal + int((difference == 0).sum()), total + difference.numel()
    tell(f"{what} against the reference", largest=largest, equal=round(equal / total, 6), ok=largest <= most)


def time_kernel(
    tell: Tell, what: str, operation: str, pages: int, size: int, copy: float, call: Callable[[], Any]
) -> None:
    """Report the rates of a kernel alone, and those of a public call with its plan and its copies.

    Args:
        tell: The report.
        what: The name of the result.
        operation: The kernel's.
        pages: The pages of a call.
        size: Bytes of images and patches that the kernel must read and write.
        copy: Bytes a second of a copy on the device.
        call: A public call that launches the kernel.
    """
    module = import_module(f"gpurender.kernels.triton.{operation}")
    alone = gpu_timing.device_seconds(gpu_timing.record_launches(module, f"{operation}_kernel", call))
    whole = gpu_timing.device_seconds(call, rounds=5, calls=2)
    tell(
        what,
        pages=pages,
        Mpages_s=round(pages / alone / 1e6, 3),
        GB_s=round(size / alone / 1e9, 1),
        share=round(size / alone / copy, 4),
        call_Mpages_s=round(pages / whole / 1e6, 3),
    )


def composite(tell: Tell) -> None:
    """Check and time `composite`; equal bit for bit."""
    copy = gpu_timing.copy_rate(2**30)
    for channels, count in PAGES.items():
        name = f"composite, {channels} ch"
        with attempt(tell, name):
            layout = layout_of(count)
            renderer = Renderer(device=DEVICE, backend="triton", channels=channels)
            pages = renderer(layout)
            expected = Renderer(backend="reference", channels=channels)(layout.select(some_of(count)))
            compare(tell, name, [pages[n] for n in some_of(count)], list(expected), 0)
            size = int(pages.offsets[-1])
            time_kernel(tell, name, "composite", count, size, copy, partial(renderer, layout))


def warp(tell: Tell) -> None:
    """Check and time `warp`; within one level."""
    check_distortions(tell, "warp")


def blur(tell: Tell) -> None:
    """Check and time `blur`; within one level."""
    check_distortions(tell, "blur")


def shade(tell: Tell) -> None:
    """Check and time `shade`; within one level."""
    check_distortions(tell, "shade")


def pages_on_device(channels: int) -> Pages:
    """Render a batch on the CPU and copy it, so that one kernel is checked without the others."""
    import torch

    pages = Renderer(channels=channels)(layout_of(PAGES[channels]))
    flat = torch.from_numpy(pages.flat[: pages.offsets[-1]]).to(DEVICE)
    return Pages(flat, pages.sizes, channels, paper=pages.paper)


def check_distortions(tell: Tell, operation: str) -> None:
    """Check and time a kernel of distortions on the operations that use it."""
    copy = gpu_timing.copy_rate(2**30)
    for channels in PAGES:
        pages = pages_on_device(channels)
        chosen = some_of(len(pages))
        for kind, op in OPERATIONS[operation].items():
            name = f"{operation} {kind}, {channels} ch"
            with attempt(tell, name):
                params = op.make_params(range(len(pages)), pages.sizes)
                done = op.transform(pages, params, backend="triton")
                expected = op.transform(choose(pages, chosen), params.select(chosen), backend="reference")
                compare(tell, name, [done[n] for n in chosen], list(expected), 1)
                size = int(pages.offsets[-1] + done.offsets[-1])
                call = partial(op.transform, pages, params, backend="triton")
                time_kernel(tell, name, operation, len(pages), size, copy, call)


def patchify(tell: Tell) -> None:
    """Check and time `patchify`; equal bit for bit."""
    copy = gpu_timing.copy_rate(2**30)
    for channels in PAGES:
        pages = pages_on_device(channels)
        few = choose(pages, [0, 1])
        for side, make in ((14, profiles.qwen2_5_vl), (16, profiles.qwen3_vl)):
            for dtype in ("bfloat16", "float32"):
                name = f"patchify {side} px {dtype}, {channels} ch"
                with attempt(tell, name):
                    profile = make(dtype=dtype)
                    patches = profile.patchify(pages, backend="triton")["pixel_values"]
                    expected = profile.patchify(few, backend="reference")["pixel_values"]
                    compare(tell, name, [patches[: len(expected)]], [expected], 0)
                    size = int(pages.offsets[-1]) + patches.numel() * patches.element_size()
                    call = partial(profile.patchify, pages, backend="triton")
                    time_kernel(tell, name, "patchify", len(pages), size, copy, call)


def every_kernel(tell: Tell) -> None:
    """Run every kernel on a few small pages, for compute-sanitizer."""
    import torch

    for channels in (1, 3):
        pages = Renderer(device=DEVICE, backend="triton", channels=channels)(layout_of(2))
        for op in (op for kinds in OPERATIONS.values() for op in kinds.values()):
            params = op.make_params(range(len(pages)), pages.sizes)
            op.transform(pages, params, backend="triton")
        for make in (profiles.qwen2_5_vl, profiles.qwen3_vl):
            make(dtype="bfloat16").patchify(pages, backend="triton")
    torch.cuda.synchronize()
