"""Compositing alone, by backend, against the rate at which the same device copies memory, measured in the same run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpurender.bench.bench_text import measure

from gpurender import Renderer, Typesetter, kernels


def scene(passages: list[str], device: str, pages: int, channels: int) -> tuple[Any, ...]:
    """What `kernels.composite` takes, for a batch of passages."""
    return Renderer(device=device, channels=channels)._scene(Typesetter()(passages[:pages]))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.benchmark(group="composite: CPU")
def bench_composite_cpu(benchmark: Any, passages: list[str], channels: int) -> None:
    pages = 64
    out, canvas, *rest = scene(passages, "cpu", pages, channels)
    size = int(canvas.starts[-1])
    name = f"cpu, {channels} channel{'s' * (channels > 1)}, batches of {pages}"
    measure(benchmark, lambda: kernels.composite(out, canvas, *rest, backend="cpu"), name, pages, size=size)


@pytest.mark.benchmark(group="composite: CPU")
def bench_composite_cpu_copy(benchmark: Any, passages: list[str]) -> None:
    """What copying as many bytes as 64 gray pages have takes: the bound."""
    out, canvas, *_ = scene(passages, "cpu", 64, 1)
    size = int(canvas.starts[-1])
    source = np.ones_like(out[:size])
    measure(benchmark, lambda: np.copyto(out[:size], source), "a copy of the same bytes", 64, size=size, peer=True)


@pytest.mark.benchmark(group="composite: CPU")
def bench_composite_reference(benchmark: Any, passages: list[str]) -> None:
    torch = pytest.importorskip("torch")
    out, canvas, *rest = scene(passages, "cpu", 2, 1)
    torch.set_num_threads(1)

    def run() -> None:
        kernels.composite(out, canvas, *rest, backend="reference")

    measure(benchmark, run, "reference, batches of 2", 2, size=int(canvas.starts[-1]))


def _cuda() -> Any:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    return torch


@pytest.mark.parametrize("pages", [64, 256, 1024])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.benchmark(group="composite: GPU")
def bench_composite_triton(benchmark: Any, passages: list[str], channels: int, pages: int) -> None:
    """From a plan on the CPU to pixels on the GPU: binning, sorting and painting, synchronised at the end."""
    torch = _cuda()
    out, canvas, *rest = scene(passages, "cuda", pages, channels)
    # Right before fast: two pages are the reference's, bit for bit.
    few, plan, *items = scene(passages, "cuda", 2, channels)
    reference = torch.empty_like(few)
    kernels.composite(few, plan, *items, backend="triton")
    kernels.composite(reference, plan, *items, backend="reference")
    assert torch.equal(few[: plan.starts[-1]], reference[: plan.starts[-1]])

    def run() -> None:
        kernels.composite(out, canvas, *rest, backend="triton")
        torch.cuda.synchronize()

    name = f"triton, {channels} channel{'s' * (channels > 1)}, batches of {pages}"
    measure(benchmark, run, name, pages, size=int(canvas.starts[-1]))


@pytest.mark.parametrize("pages", [64, 256, 1024])
@pytest.mark.benchmark(group="composite: GPU")
def bench_composite_triton_kernel(benchmark: Any, passages: list[str], pages: int) -> None:
    """The painting kernel alone, its lists made beforehand."""
    torch = _cuda()
    from gpurender.kernels.triton import composite as module

    out, canvas, *rest = scene(passages, "cuda", pages, 1)
    calls: list[Any] = []

    class Recorder:
        def __getitem__(self, grid: Any) -> Any:
            return lambda *arguments, **options: calls.append((grid, arguments, options))

    kernel = module.composite_kernel
    module.composite_kernel = Recorder()
    try:
        kernels.composite(out, canvas, *rest, backend="triton")
    finally:
        module.composite_kernel = kernel
    ((grid, arguments, options),) = calls

    def run() -> None:
        kernel[grid](*arguments, **options)
        torch.cuda.synchronize()

    measure(benchmark, run, f"triton kernel alone, batches of {pages}", pages, size=int(canvas.starts[-1]))


@pytest.mark.parametrize("pages", [64, 256, 1024])
@pytest.mark.benchmark(group="composite: GPU")
def bench_composite_gpu_copy(benchmark: Any, passages: list[str], pages: int) -> None:
    """What writing as many bytes by a device-to-device copy takes; the copy reads as many again."""
    torch = _cuda()
    out, canvas, *_ = scene(passages, "cuda", pages, 1)
    size = int(canvas.starts[-1])
    source = torch.ones_like(out[:size])

    def run() -> None:
        out[:size].copy_(source)
        torch.cuda.synchronize()

    measure(benchmark, run, f"a copy of the bytes of {pages} pages", pages, size=size, peer=True)
