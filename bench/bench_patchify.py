"""Patches of pages of text, 768 x 200 px, for vision-language models: on one core beside peers, and on a GPU.

Everyone writes the same patches, padding included, ours and torch's into memory that is at hand. What transformers gets
is padded beforehand, so that it has nothing to resize. GB/s count bytes written, on a GPU also those read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from gpurender.bench.bench_distort import _cuda, colors, timed
from gpurender.bench.bench_text import measure

from gpurender import Renderer, Typesetter, kernels

HEIGHT, WIDTH = 200, 768
BATCH = 32
MEAN, STD = np.array((0.48145466, 0.4578275, 0.40821073)), np.array((0.26862954, 0.26130258, 0.27577711))
LEVELS = ((np.arange(256) / 255 - MEAN[:, None]) / STD[:, None]).astype(np.float32)


class Form(NamedTuple):
    """What patches are, and the canvas of a page."""

    patch: tuple[int, int]
    merge: int
    temporal: int
    canvas: tuple[int, int]


FORMS = {
    "patches of 14": Form((14, 14), 2, 2, (224, 784)),
    "patches of 16": Form((16, 16), 2, 2, (224, 768)),
    "dense": Form((224, 768), 1, 1, (224, 768)),
}
DTYPES = ("float32", "bfloat16")


def on_every(bench: Any) -> Any:
    """Run a benchmark on every form, channels and dtype."""
    for name, values in (("dtype", DTYPES), ("channels", (1, 3)), ("form", FORMS)):
        bench = pytest.mark.parametrize(name, values)(bench)
    return bench


@pytest.fixture(scope="session")
def pages(passages: list[str]) -> Any:
    """Pages of text, [32, 200, 768] uint8."""
    found = np.full((BATCH, HEIGHT, WIDTH), 255, np.uint8)
    texts = [" ".join(passages[i : i + 2]) for i in range(0, 2 * BATCH, 2)]
    for page, painted in zip(found, Renderer()(Typesetter(trim=False)(texts)).to_numpy(), strict=True):
        lines = painted[0, :HEIGHT]
        page[: len(lines)] = lines
    return found


class Job(NamedTuple):
    """A batch: what `patchify` takes, after the first of them its memory."""

    out: Any
    pixels: Any
    source: kernels.Images
    patches: kernels.Patches


def make(pages: Any, form: Form, channels: int, dtype: str, device: str = "cpu") -> Job:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    pixels = torch.from_numpy(np.repeat(pages[:, None], channels, 1)).to(device)  # [K, C, h, w]
    count = len(pages)
    sizes = np.tile(np.array([[HEIGHT, WIDTH]], np.int32), (count, 1))
    source = kernels.Images(sizes, np.arange(count) * channels * HEIGHT * WIDTH, channels)
    rows = form.canvas[0] // form.patch[0] * (form.canvas[1] // form.patch[1])
    canvases = np.tile(np.array([form.canvas], np.int32), (count, 1))
    paper = np.full((count, channels), 255, np.uint8)
    patches = kernels.Patches(canvases, np.arange(count) * rows, paper, LEVELS, form.patch, form.merge, form.temporal)
    width = 3 * form.temporal * form.patch[0] * form.patch[1]
    out = torch.zeros(count * rows, width, dtype=getattr(torch, dtype), device=device)
    return Job(out, pixels.flatten(), source, patches)


def check(job: Job, run: Callable[[], Any], within: float) -> None:
    """Right before fast: what is written is the reference's."""
    ours: Any = kernels.patchify(job.out.clone(), *job[1:], backend="reference")
    job.out.zero_()
    run()
    apart = float((job.out.float() - ours.float()).abs().max())
    assert apart <= within, f"off by {apart}"


def written(job: Job) -> int:
    return int(job.out.numel() * job.out.element_size())


def with_torch(out: Any, x: Any, form: Form, scale: Any, shift: Any) -> None:
    """What one writes by hand, from x [K, C, h, w] uint8: pad, normalise, permute."""
    import torch

    (height, width), m, frames, (down, right) = form
    x = torch.nn.functional.pad(x, (0, right - x.shape[3], 0, down - x.shape[2]), value=255)
    x = torch.addcmul(shift, x.expand(-1, 3, -1, -1).to(torch.float32), scale).to(out.dtype)
    x = x.view(len(x), 3, down // (m * height), m, height, right // (m * width), m, width)
    x = x.permute(0, 2, 5, 3, 6, 1, 4, 7)[:, :, :, :, :, :, None]
    target = out.view(*x.shape[:6], frames, height, width)
    target.copy_(x.expand_as(target))


def torch_peer(job: Job, form: Form, *, compiled: bool = False) -> Callable[[], None]:
    import torch

    x = job.pixels.view(-1, job.source.channels, HEIGHT, WIDTH)
    scale, shift = (
        torch.tensor(n, dtype=torch.float32, device=x.device)[:, None, None] for n in (1 / (255 * STD), -MEAN / STD)
    )
    run = partial(torch.compile(with_torch) if compiled else with_torch, job.out, x, form, scale, shift)
    check(job, run, 2e-6 if job.out.dtype == torch.float32 else 0.02)
    return run


@on_every
def bench_patchify(benchmark: Any, pages: Any, form: str, channels: int, dtype: str) -> None:
    benchmark.group = f"{form}: {colors(channels)}, {dtype}"
    job = make(pages, FORMS[form], channels, dtype)
    run = partial(kernels.patchify, *job, backend="cpu")
    check(job, run, 0)
    measure(benchmark, run, f"gpurender, cpu, batches of {BATCH}", BATCH, size=written(job))


@on_every
def bench_patchify_copy(benchmark: Any, pages: Any, form: str, channels: int, dtype: str) -> None:
    """The least that writing can cost: numpy's copy of as many bytes, which goes past the caches."""
    benchmark.group = f"{form}: {colors(channels)}, {dtype}"
    size = written(make(pages[:1], FORMS[form], channels, dtype)) * BATCH
    target, source = np.zeros(size, np.uint8), np.ones(size, np.uint8)
    measure(benchmark, lambda: np.copyto(target, source), "copy of the result", BATCH, size=size, peer=True)


@on_every
def bench_patchify_torch(benchmark: Any, pages: Any, form: str, channels: int, dtype: str) -> None:
    benchmark.group = f"{form}: {colors(channels)}, {dtype}"
    job = make(pages, FORMS[form], channels, dtype)
    name = f"torch (pad, normalise, permute), batches of {BATCH}"
    measure(benchmark, torch_peer(job, FORMS[form]), name, BATCH, size=written(job), peer=True, rounds=3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("form", ["patches of 14", "patches of 16"])
def bench_patchify_transformers(benchmark: Any, pages: Any, form: str, channels: int) -> None:
    why = "needs transformers: pip install transformers"
    module: Any = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl", reason=why)
    from PIL import Image

    benchmark.group = f"{form}: {colors(channels)}, float32"
    job = make(pages, FORMS[form], channels, "float32")
    (height, width), count = FORMS[form].canvas, 8
    process = module.Qwen2VLImageProcessorPil(
        patch_size=job.patches.patch[0], min_pixels=4096, max_pixels=2**24, image_mean=MEAN, image_std=STD
    )
    padded = np.pad(pages, ((0, 0), (0, height - HEIGHT), (0, width - WIDTH)), constant_values=255)
    images = [Image.fromarray(page if channels == 1 else np.stack([page] * 3, 2)) for page in padded[:count]]
    kernels.patchify(*job)
    theirs = process(images, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(job.out[: len(theirs)].numpy(), theirs, rtol=0, atol=1e-6)
    name = f"transformers, Qwen2VLImageProcessorPil, batches of {count}"
    run = partial(process, images, return_tensors="np")
    measure(benchmark, run, name, count, size=written(job) // BATCH * count, peer=True, rounds=5)


@pytest.mark.parametrize("batch", [64, 1024])
@on_every
def bench_patchify_triton(benchmark: Any, pages: Any, form: str, channels: int, dtype: str, batch: int) -> None:
    """From plans on the CPU: checked, copied to the device, launched, synchronised."""
    _cuda()
    benchmark.group = f"GPU, {form}: {colors(channels)}, {dtype}"
    job = make(np.resize(pages, (batch, HEIGHT, WIDTH)), FORMS[form], channels, dtype, "cuda")
    run = partial(kernels.patchify, *job, backend="triton")
    check(job, run, 0)
    size = written(job) + job.pixels.numel()
    timed(benchmark, run, f"triton, batches of {batch}", batch, size)


@pytest.mark.parametrize("compiled", [False, True])
@on_every
def bench_patchify_gpu_torch(benchmark: Any, pages: Any, form: str, channels: int, dtype: str, compiled: bool) -> None:
    _cuda()
    benchmark.group = f"GPU, {form}: {colors(channels)}, {dtype}"
    job = make(np.resize(pages, (64, HEIGHT, WIDTH)), FORMS[form], channels, dtype, "cuda")
    run = torch_peer(job, FORMS[form], compiled=compiled)
    name = f"torch (pad, normalise, permute){', torch.compile' * compiled}, batches of 64"
    timed(benchmark, run, name, 64, written(job) + job.pixels.numel(), peer=True)
