"""Steps of `gpurender.bench.gpu_check` beside the kernels: versions, host times, tests, the feed, the sanitizer.

No step sets TRITON_INTERPRET.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from gpurender.bench import gpu_timing
from gpurender.bench.gpu_kernels import DEVICE, OPERATIONS, make_texts
from gpurender.bench.gpu_report import Tell, attempt

from gpurender import Collator, LoMo, Renderer, Typesetter, distort
from gpurender.feed import profiles

__all__ = ["counts", "host", "million", "plans", "sanitize", "tests", "train_step", "versions"]

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "gpurender", "torch", "triton", "numpy", "numba", "llvmlite", "transformers", "pytest", "pytest-xdist",
)  # fmt: skip
GPU_TESTS = ("kernels", "raster", "distort/test_transform.py", "feed/test_prefetch.py", "feed/test_profiles.py")
# Where CUDA's installer puts it, which is not on the PATH of every machine.
SANITIZER = Path("/usr/local/cuda/bin/compute-sanitizer")


def output_of(*command: str | Path) -> str:
    """Return a command's output, or nothing where it cannot run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def versions(tell: Tell) -> None:
    """Report versions, the machine, the commit and copy rates."""
    import torch

    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    commit = output_of("git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12")
    compiler = shutil.which("gcc") or shutil.which("cc") or "missing"
    tell("versions", python=platform.python_version(), commit=commit, compiler=compiler, cores=os.cpu_count(), **found)
    if not torch.cuda.is_available():
        return
    gpu = torch.cuda.get_device_properties(0)
    driver = output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    cuda, units, cache = torch.version.cuda, gpu.multi_processor_count, gpu.L2_cache_size
    tell("GPU", name=gpu.name, driver=driver, cuda=cuda, multiprocessors=units, l2_bytes=cache)
    tell("copy on the device, 2 GiB", GB_s=round(gpu_timing.copy_rate() / 1e9, 1))
    tell("copy from pinned memory", GB_s=round(gpu_timing.upload_rate() / 1e9, 2))


def plans(tell: Tell) -> None:
    """Report the host time of laying out a page and of planning it for the device; needs no GPU.

    It is the first step to call most numba functions, so it pays for their compilation, which numba caches.
    """
    from gpurender.feed.planned import plan_pages
    from gpurender.raster.atlas import Atlas

    profile, count = profiles.qwen2_5_vl(dtype="bfloat16"), 64
    texts, typesetter, atlas = make_texts(count), Typesetter(), Atlas()
    layout = typesetter(texts)
    seconds = gpu_timing.host_seconds(lambda: typesetter(texts), synchronize=False)
    tell("layout on the host", us_a_page=round(1e6 * seconds / count, 2))
    ops: dict[str, distort.Op] = {"clean": distort.Clean(), "presets.lomo()": distort.presets.lomo()}
    ops |= {f"{kernel} {kind}": op for kernel, kinds in OPERATIONS.items() for kind, op in kinds.items()}
    for name, op in ops.items():
        with attempt(tell, f"plan, {name}"):
            params = op.make_params(range(count), layout.sizes)
            rows = profile.grids(profile.canvases(params.sizes_after())).prod(1)
            starts = np.cumsum(rows) - rows
            run = partial(plan_pages, layout, params, atlas, profile, starts)
            seconds = gpu_timing.host_seconds(run, synchronize=False)
            tell(f"plan on the host, {name}", us_a_page=round(1e6 * seconds / count, 2))


class Outcomes:
    """A pytest plugin that reports every failure at once."""

    def __init__(self, tell: Tell) -> None:
        self.tell, self.counts = tell, Counter[str]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1
        if report.failed:
            self.tell(report.nodeid, ok=False, log=report.longreprtext[-600:])


def run_pytest(tell: Tell, what: str, arguments: Sequence[str]) -> None:
    """Run pytest in this process and report failures, each with the end of its traceback, and counts."""
    import pytest

    outcomes = Outcomes(tell)
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "--import-mode=importlib"]
    # An installed package has no pyproject.toml to name benchmarks.
    options += ["-o", "python_functions=test_* bench_*"]
    status = pytest.main([*options, *arguments], plugins=[outcomes])
    numbers = {f"tests_{outcome}": count for outcome, count in outcomes.counts.items()}
    tell(what, status=pytest.ExitCode(status).name, ok=status == pytest.ExitCode.OK, **numbers)
    # pytest ends in order when it is interrupted; the step must end too.
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt


def tests(tell: Tell) -> None:
    """Run the tests that use a GPU where one is."""
    if not (ROOT / "tests").is_dir():
        return tell("tests", skipped="an installed package has no tests: run this from a checkout")
    parallel = ["-n", "auto"] if find_spec("xdist") else []
    # Ahead-of-time compilation needs no GPU.
    chosen = ["-k", "not ahead_of_time", *(str(ROOT / "tests" / name) for name in GPU_TESTS)]
    return run_pytest(tell, "tests", [*parallel, *chosen])


def host(tell: Tell) -> None:
    """Report the times of `Planned.render` on the host and on the device, and the longest kernels."""
    from gpurender.bench.feed_inputs import as_records

    if not (ROOT / "examples").is_dir():
        return tell("Planned.render", skipped="needs examples/tiny.py: run this from a checkout")
    sys.path.insert(0, str(ROOT / "examples"))
    texts = make_texts(64)
    tokenizer = import_module("tiny").tokenizer(texts)
    lomo = LoMo(ratio=1, distort=distort.presets.lomo())
    collator, renderer = Collator(tokenizer, profiles.qwen2_5_vl(dtype="bfloat16"), lomo=lomo), Renderer(device=DEVICE)
    for batch in (8, 32, 64, 256):
        name = f"Planned.render, {batch} records"
        with attempt(tell, name):
            planned = collator(as_records(texts, batch)).pin_memory()
            run = partial(planned.render, renderer)
            host_ms = round(1e3 * gpu_timing.host_seconds(run), 3)
            call_ms = round(1e3 * gpu_timing.device_seconds(run), 3)
            kernels = gpu_timing.profile_kernels(run)
            device_ms = round(sum(us for _, _, us in kernels) / 1e3, 3)
            longest = "; ".join(f"{kernel[:40]} x {count} {us:.0f} us" for kernel, count, us in kernels[:6])
            images = planned.counts["images"]
            tell(name, images=images, host_ms=host_ms, device_ms=device_ms, call_ms=call_ms, longest=longest)
    return None


def million(tell: Tell) -> None:
    """Report the time for a million records, prose first, then with formulas."""
    for share in ("0", "0.4"):
        run_bench(tell, f"bench_feed_million[{share}]")


def train_step(tell: Tell) -> None:
    """Report the time of a training step with the feed and without."""
    run_bench(tell, "bench_feed_gpu_step[8]")


def run_bench(tell: Tell, name: str) -> None:
    """Run one benchmark of `bench_feed.py` and report the rows of its table."""
    with tempfile.TemporaryDirectory() as folder, attempt(tell, name):
        table = Path(folder) / "results.md"
        run_pytest(tell, name, [f"{Path(__file__).with_name('bench_feed.py')}::{name}", "--results", str(table)])
        # Environment, blank line, header and rule come before the rows. Without a row the benchmark failed or skipped.
        lines = table.read_text(encoding="utf-8").splitlines()[4:] if table.is_file() else []
        if not lines:
            tell(f"{name} has no result", ok=False)
        for line in lines:
            _, _, what, rate, *_ = (cell.strip() for cell in line.split("|"))
            tell(what, pages_s=rate)


def sanitize(tell: Tell) -> None:
    """Run every kernel under compute-sanitizer."""
    tool = shutil.which("compute-sanitizer") or (str(SANITIZER) if SANITIZER.is_file() else "")
    if not tool:
        return tell("compute-sanitizer", skipped="it is not installed")
    # PyTorch's caching allocator hides accesses beyond a tensor.
    environment = os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    for check in ("memcheck", "racecheck"):
        with tempfile.TemporaryDirectory() as folder, attempt(tell, check):
            program = [sys.executable, "-m", "gpurender.bench.gpu_check", "--out", folder, "--only", "every_kernel"]
            command = [tool, "--tool", check, "--error-exitcode", "9", *program]
            run = subprocess.run(command, capture_output=True, text=True, env=environment)
            raised = (Path(folder) / "results.jsonl").is_file()
            tell(check, status=run.returncode, ok=run.returncode == 0 and not raised, log=run.stdout[-800:])
    return None


def counts(tell: Tell) -> None:
    """Report instructions a pixel, counted in compiled code; needs no GPU."""
    if not find_spec("gpurender.bench.counted"):
        return tell("counts", skipped="there is no gpurender.bench.counted")
    command = [sys.executable, "-m", "gpurender.bench.counted", "--only", "kernels"]
    run = subprocess.run(command, capture_output=True, text=True)
    return tell("counts", status=run.returncode, ok=run.returncode == 0, log=(run.stdout + run.stderr)[-12000:])
