"""Distortion of gray pages, 768 x 256 px, on one core, beside what a user could pick instead; and on a GPU.

Every page has numbers of its own. Ours are drawn before the clock runs, but where a name says otherwise; so are those
of the peers that take numbers, and the others draw while it runs. What follows from the numbers, as matrices, maps and
kernels, is made while it runs, on both sides. GB/s count bytes read and written.
"""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from gpurender.bench.bench_text import measure
from gpurender.bench.distort_peers import KORNIA, PEERS, Batch, Page, Peer, columns, on_ink

from gpurender import Pages, Renderer, Typesetter, distort, kernels
from gpurender.distort import Op, transform

HEIGHT, WIDTH = 256, 768
BATCH = 64
# What is measured, and the same without chance but for a wave's phases and a stain's places: for comparing results.
OPERATIONS: dict[str, tuple[Op, Op]] = {
    "rotate": (distort.Rotate(5), distort.Rotate((4, 4))),
    "gaussian": (distort.GaussianBlur((1.4, 1.6)), distort.GaussianBlur(1.5)),
    "box": (distort.BoxBlur(5), distort.BoxBlur(5)),
    "motion": (distort.MotionBlur(9), distort.MotionBlur(9, 30)),
    "wave": (distort.Wave(3, 300, axis="both"), distort.Wave(3, 300, axis="both")),
    "shadow": (distort.EdgeShadow((0.2, 0.6)), distort.EdgeShadow(0.5)),
    "stain": (distort.Stain(), distort.Stain(4, 40, 0.4)),
}


@pytest.fixture(scope="session")
def scans(passages: list[str]) -> list[Page]:
    """256 pages of text, [256, 768] uint8."""
    found = np.full((256, HEIGHT, WIDTH), 255, np.uint8)
    # Two passages fill a page and more.
    texts = [" ".join(passages[i : i + 2]) for i in range(0, 2 * len(found), 2)]
    for page, painted in zip(found, Renderer()(Typesetter(trim=False)(texts)).to_numpy(), strict=True):
        lines = painted[0, :HEIGHT]
        page[: len(lines)] = lines
    return list(found)


def as_pages(scans: list[Page], channels: int = 1, device: str = "cpu") -> Pages:
    flat = np.stack([page for page in scans for _ in range(channels)]).reshape(-1)
    sizes = np.tile(np.array([[HEIGHT, WIDTH]], np.int32), (len(scans), 1))
    if device == "cpu":
        return Pages(flat, sizes, channels)
    import torch

    return Pages(torch.from_numpy(flat).to(device), sizes, channels)


def moved(params: distort.Params, channels: int = 1) -> int:
    """Bytes read and written, if each pixel is once."""
    before, after = params.program()[3], params.sizes_after()
    return channels * int(sum(sizes.astype(np.int64).prod(1).sum() for sizes in (before, after)))


def check(pages: Pages, params: distort.Params, backend: kernels.Backend) -> None:
    """Right before fast: two pages are the reference's within a level, but for one pixel in a thousand."""
    few, own = Pages(pages.flat[: pages.offsets[2]], pages.sizes[:2], pages.channels), params.select([0, 1])
    for page, expected in zip(
        transform(few, own, backend=backend), transform(few, own, backend="reference"), strict=True
    ):
        off = ((page.int() - expected.int()).abs() > 1).float().mean()
        assert off < 1e-3, f"{off:.2%} of the pixels are not the reference's"


def difference(a: Page, b: Page) -> float:
    """Mean over the pixels in the middle, where canvases may differ by some lines, and so be shifted."""
    height, width = (min(sides) - 4 for sides in zip(a.shape, b.shape, strict=True))

    def middle(page: Page, dy: int = 0, dx: int = 0) -> Page:
        y, x = (page.shape[0] - height) // 2 + dy, (page.shape[1] - width) // 2 + dx
        return page[y : y + height, x : x + width].astype(np.int16)

    shifts = range(-2, 3)
    return min(float(np.abs(middle(a) - middle(b, dy, dx)).mean()) for dy in shifts for dx in shifts)


def compare(name: str, operation: str, scans: list[Page], run: Callable[[Op], Batch], *, alike: bool = True) -> None:
    """A peer does something; and where it does what we do, its pages are as ours, far from what they were."""
    op, pages = OPERATIONS[operation][1], scans[:2]
    params = op.make_params(range(2), [page.shape for page in pages])
    ours = transform(as_pages(pages), params, backend="reference").to_numpy()
    theirs = run(op)(pages, [params.describe(n)[0] for n in range(2)])
    for before, own, their in zip(pages, ours, theirs, strict=True):
        if alike:
            far, near = difference(before, own[0]), difference(their, own[0])
            assert near < far / 2, f"{name} is off by {near:.1f}, the undistorted page by {far:.1f}"
        else:
            assert difference(before, their) > 1, f"{name} leaves pages as they are"


def seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def bench_distort_peer(benchmark: Any, scans: list[Page], peer: Peer) -> None:
    benchmark.group = f"distort: {peer.operation}"
    op = OPERATIONS[peer.operation][0]
    params = op.make_params(range(BATCH), [page.shape for page in scans[:BATCH]])
    steps = [params.describe(n)[0] for n in range(BATCH)]
    run = peer.make(op)
    compare(peer.name, peer.operation, scans, peer.make, alike=peer.alike)
    rates = {n: n / seconds(partial(run, scans[:n], steps[:n])) for n in ((2, 16, 32) if peer.batched else (2,))}
    # The batch that suits it best; or as many pages as take a tenth of a second, two at least: some take seconds.
    count = max(rates, key=lambda n: rates[n]) if peer.batched else int(np.clip(0.1 * rates[2], 2, BATCH))
    name = peer.name + f", batches of {count}" * peer.batched + ", draws counted" * peer.draws
    name += " (not the same)" * (not peer.alike)
    rounds = 9 if rates[2] > 10 else 3
    measure(benchmark, lambda: run(scans[:count], steps[:count]), name, count, peer=True, rounds=rounds)


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("operation", OPERATIONS)
def bench_distort(benchmark: Any, scans: list[Page], operation: str, drawn: bool) -> None:
    benchmark.group = f"distort: {operation}"
    op, pages, keys = OPERATIONS[operation][0], as_pages(scans[:BATCH]), range(BATCH)
    params = op.make_params(keys, pages.sizes)
    check(pages, params, "cpu")

    def draw_and_run() -> None:
        transform(pages, op.make_params(keys, pages.sizes), backend="cpu")

    run = (lambda: transform(pages, params, backend="cpu")) if drawn else draw_and_run
    name = f"gpurender, cpu, batches of {BATCH}" + ", draws counted" * (not drawn)
    measure(benchmark, run, name, BATCH, size=moved(params))


@pytest.mark.parametrize("operation", OPERATIONS)
def bench_distort_reference(benchmark: Any, scans: list[Page], operation: str) -> None:
    benchmark.group = f"distort: {operation}"
    pytest.importorskip("torch").set_num_threads(1)
    pages = as_pages(scans[:2])
    params = OPERATIONS[operation][0].make_params(range(2), pages.sizes)
    measure(benchmark, lambda: transform(pages, params, backend="reference"), "gpurender, reference", 2, rounds=5)


@pytest.mark.benchmark(group="distort: mixed")
def bench_distort_mixed(benchmark: Any, scans: list[Page], monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch in which each image has an operation of its own, against a batch for each operation."""
    pages = as_pages(scans)
    params = distort.presets.lomo().make_params(range(len(pages)), pages.sizes)
    done = [params.describe(n) for n in range(len(pages))]
    kinds = np.array([steps[0]["op"] if steps else "" for steps in done])
    parts = [
        (as_pages([scans[n] for n in own]), params.select(own))
        for own in (np.flatnonzero(kinds == kind) for kind in np.unique(kinds))
    ]
    check(pages, params, "cpu")
    calls = Counter(name for name, _, _ in recorded(monkeypatch, lambda: transform(pages, params, backend="cpu")))

    # By turns, since the machine is not always as fast; and each in its best round.
    rounds = np.array(
        [
            [seconds(partial(transform, *job, backend="cpu")) for job in ((pages, params), *parts)]
            for _ in range(1 if benchmark.disabled else 15)
        ]
    )
    whole, *apart = rounds.min(0)
    told = ", ".join(f"{count} {name}" for name, count in calls.items())
    name = (
        f"gpurender, presets.lomo(), a batch of {len(pages)}: {whole / sum(apart):.2f} x its operations apart; {told}"
    )
    measure(benchmark, lambda: transform(pages, params, backend="cpu"), name, len(pages), size=moved(params))


def recorded(monkeypatch: pytest.MonkeyPatch, run: Callable[[], Any]) -> list[tuple[str, tuple[Any, ...], Any]]:
    """The calls of kernels: name, arguments, options."""
    # The function of the same name hides the module.
    module = importlib.import_module("gpurender.distort.transform")
    calls: list[tuple[str, tuple[Any, ...], Any]] = []

    def recorder(name: str) -> Callable[..., Any]:
        kernel = getattr(kernels, name)

        def record(*arguments: Any, **options: Any) -> Any:
            calls.append((name, arguments, options))
            return kernel(*arguments, **options)

        return record

    with monkeypatch.context() as patch:
        for name in ("warp", "blur", "shade"):
            patch.setattr(module, name, recorder(name))
        run()
    return calls


@pytest.mark.benchmark(group="distort: numbers alone")
def bench_distort_params(benchmark: Any) -> None:
    op, keys, sizes = (
        distort.presets.lomo(),
        [str(n) for n in range(1024)],
        np.full((1024, 2), (HEIGHT, WIDTH), np.int32),
    )
    measure(benchmark, lambda: op.make_params(keys, sizes), "make_params of presets.lomo(), batches of 1024", len(keys))


def _cuda() -> Any:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    return torch


def timed(benchmark: Any, run: Callable[[], Any], name: str, pages: int, size: int, *, peer: bool = False) -> None:
    """Measure on a GPU, and tell the share of the rate at which it copies as many bytes, in the same minute."""
    import torch

    def synchronised(function: Callable[[], Any]) -> None:
        function()
        torch.cuda.synchronize()

    source, target = torch.ones(2, size // 2, dtype=torch.uint8, device="cuda")
    copies = [seconds(lambda: synchronised(lambda: target.copy_(source))) for _ in range(12)]
    measure(benchmark, lambda: synchronised(run), name, pages, size=size, peer=peer)
    if not benchmark.disabled:
        share = min(copies) / benchmark.stats.stats.min
        benchmark.extra_info["name"] = f"{name}, {share:.0%} of the copy rate"


def colors(channels: int) -> str:
    return "RGB" if channels == 3 else "gray"


@pytest.mark.parametrize("pages", [64, 256, 1024])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "box"])
def bench_distort_triton_kernel(
    benchmark: Any, scans: list[Page], monkeypatch: pytest.MonkeyPatch, operation: str, channels: int, pages: int
) -> None:
    """One kernel on arguments that are at hand: checked, copied to the device, launched, synchronised."""
    _cuda()
    benchmark.group = f"distort: GPU, {operation}, {colors(channels)}"
    batch = as_pages((scans * 4)[:pages], channels, "cuda")
    params = OPERATIONS[operation][0].make_params(range(pages), batch.sizes)
    check(batch, params, "triton")
    ((kernel, arguments, options),) = recorded(monkeypatch, lambda: transform(batch, params, backend="triton"))
    name = f"triton {kernel}, batches of {pages}"
    run = partial(getattr(kernels, kernel), *arguments, **options)
    timed(benchmark, run, name, pages, moved(params, channels))


@pytest.mark.parametrize("pages", [64, 256, 1024])
@pytest.mark.parametrize("channels", [1, 3])
def bench_distort_triton_mixed(benchmark: Any, scans: list[Page], channels: int, pages: int) -> None:
    """From numbers on the CPU to pixels on the GPU, an operation of its own for each image."""
    _cuda()
    benchmark.group = f"distort: GPU, mixed, {colors(channels)}"
    batch = as_pages((scans * 4)[:pages], channels, "cuda")
    params = distort.presets.lomo().make_params(range(pages), batch.sizes)
    check(batch, params, "triton")
    name = f"triton, presets.lomo(), batches of {pages}"
    timed(benchmark, lambda: transform(batch, params, backend="triton"), name, pages, moved(params, channels))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("operation", KORNIA)
def bench_distort_gpu_kornia(benchmark: Any, scans: list[Page], operation: str, channels: int, compiled: bool) -> None:
    """uint8 to floating point and back; numbers for each page lie on the device beforehand."""
    torch = _cuda()
    benchmark.group = f"distort: GPU, {operation}, {colors(channels)}"
    op, count = OPERATIONS[operation][0], 256

    def on_device(op: Op) -> Callable[[Any, Any], Any]:
        whole = on_ink(KORNIA[operation], op)
        return torch.compile(whole) if compiled else whole

    def batch(pages: list[Page], steps: list[Any], op: Op) -> list[Page]:
        x = as_pages(pages, 1, "cuda").to_padded()
        return list(on_device(op)(x, columns(steps, "cuda")).cpu().numpy()[:, 0])

    name = f"Kornia{', torch.compile' * compiled}"
    compare(name, operation, scans, lambda op: partial(batch, op=op))
    x = as_pages(scans[:count], channels, "cuda").to_padded()
    params = op.make_params(range(count), [page.shape for page in scans[:count]])
    run, numbers = on_device(op), columns([params.describe(n)[0] for n in range(count)], "cuda")
    timed(benchmark, lambda: run(x, numbers), f"{name}, batches of {count}", count, moved(params, channels), peer=True)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("operation", ["rotate", "gaussian"])
def bench_distort_gpu_torchvision(benchmark: Any, scans: list[Page], operation: str, channels: int) -> None:
    _cuda()
    v2: Any = pytest.importorskip("torchvision.transforms.v2", reason="needs torchvision: pip install torchvision")
    benchmark.group = f"distort: GPU, {operation}, {colors(channels)}"
    bilinear, count = v2.InterpolationMode.BILINEAR, 256

    def run(x: Any) -> Any:
        if operation == "rotate":
            return v2.functional.rotate(x, 4, interpolation=bilinear, expand=True, fill=[255.0] * x.shape[1])
        return v2.functional.gaussian_blur(x, [11, 11], [1.5, 1.5])

    def batch(pages: list[Page], steps: list[Any]) -> list[Page]:
        return list(run(as_pages(pages, 1, "cuda").to_padded()).cpu().numpy()[:, 0])

    compare("torchvision", operation, scans, lambda op: batch)
    x = as_pages(scans[:count], channels, "cuda").to_padded()
    params = OPERATIONS[operation][1].make_params(range(count), [page.shape for page in scans[:count]])
    name = f"torchvision v2, batches of {count}, one set of numbers for all"
    timed(benchmark, lambda: run(x), name, count, moved(params, channels), peer=True)
