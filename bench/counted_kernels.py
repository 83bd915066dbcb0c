"""Kernels compiled ahead of time as a launch specializes them, and their instructions counted; no GPU is needed."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from typing import Any, NamedTuple
from unittest.mock import patch

__all__ = [
    "BYTES_PER_SECOND",
    "CAPABILITIES",
    "OPERATIONS",
    "WARPS_PER_SECOND",
    "Built",
    "Case",
    "Counted",
    "build",
    "every_build",
    "every_case",
    "every_path",
    "load",
    "run",
    "run_all",
]

OPERATIONS = ("composite", "warp", "shade", "blur", "patchify", "repack")
CAPABILITIES = (80, 90, 100)

# An H200: instructions that its 132 SMs can issue to a warp, and bytes that a copy reads and writes.
WARPS_PER_SECOND = 4 * 132 * 1.75e9
BYTES_PER_SECOND = 4.3e12

# Bytes read and written for each byte of an image that is made, the caches being ideal.
BYTES = {"composite": 1.0, "warp": 2.0, "shade": 2.0, "blur": 2.0, "repack": 2.0}


class Case(NamedTuple):
    """A kernel's constants: the table's variant and, of `patchify`, the form of the patches."""

    operation: str
    channels: int
    variant: int = 0
    form: str = ""

    @property
    def label(self) -> str:
        """What a table calls it."""
        if self.operation == "repack":
            return ("unpack", "pack")[self.variant]
        return self.form or str(self.variant)


class Built(NamedTuple):
    """A compiled kernel."""

    case: Case
    capability: int
    registers: int
    stack: int
    shared: int
    warps: int
    occupancy: float


class Counted(NamedTuple):
    """One path of a kernel, sm_90.

    Attributes:
        case: The kernel.
        path: The path's name.
        instructions: A pixel, of one channel.
        bound: The most that there may be.
        widths: Bytes moved in the loop by accesses of each width in bytes.
        bytes: Bytes a pixel that device memory must move.
        stack: Bytes a thread.
    """

    case: Case
    path: str
    instructions: float
    bound: float
    widths: dict[int, int]
    bytes: float
    stack: int

    @property
    def wide(self) -> float:
        """The share of bytes moved by accesses of 4 bytes or more."""
        return sum(n for width, n in self.widths.items() if width >= 4) / max(sum(self.widths.values()), 1)

    @property
    def seconds(self) -> tuple[float, float]:
        """The time of a pixel: to issue its instructions, and to move its bytes."""
        return self.instructions / 32 / WARPS_PER_SECOND, self.bytes / BYTES_PER_SECOND


def load(operation: str) -> Any:
    """Import the module of a kernel."""
    return import_module(f"gpurender.kernels.triton.{operation}")


def every_case() -> list[Case]:
    """List the kernels as they are launched."""
    from gpurender.kernels.plan.blur import REACHES
    from gpurender.kernels.plan.patchify import LINES, PATCHES

    forms = {form: LINES if "dense" in form else PATCHES for form in load("patchify").FORMS}
    variants: dict[str, tuple[int, ...]] = {"composite": (0,), "blur": REACHES}
    cases = []
    for channels in (1, 3):
        for operation in OPERATIONS:
            if operation == "patchify":
                cases += [Case(operation, channels, variant, form) for form, variant in forms.items()]
            else:
                cases += [Case(operation, channels, variant) for variant in variants.get(operation, (0, 1))]
    return cases


def every_build(*, thorough: bool = True) -> list[tuple[Case, int]]:
    """List kernels and capabilities to compile them for.

    Unless thorough, each kernel's last variant, of 3 channels for sm_90 and of one for the others.
    """
    cases = every_case()
    if thorough:
        return [(case, capability) for case in cases for capability in CAPABILITIES]
    last = {(case.operation, case.channels, case.form): case for case in cases}.values()
    return [(case, n) for case in last for n in CAPABILITIES if (case.channels == 3) == (n == 90)]


def every_path() -> list[tuple[Case, int]]:
    """List the paths that are counted: the kernel, and the path's place in its module's `PATHS`; composite has one."""
    paths = [(Case("composite", channels), 0) for channels in (1, 3)]
    for operation in OPERATIONS[1:]:
        for n, path in enumerate(getattr(load(operation), "PATHS", ())):
            form = path.name.partition(": ")[0] if operation == "patchify" else ""
            paths.append((Case(operation, path.channels, path.variant, form), n))
    return paths


class _Recorder:
    """Keep the arguments of a launch."""

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return self.launch

    def launch(self, *arguments: Any, **options: Any) -> None:
        self.arguments, self.options = arguments, options


def compile_case(module: Any, case: Case, capability: int) -> Any:
    """Compile a module's kernel as its `launch` specializes it."""
    import torch
    from gpurender.bench import sass
    from gpurender.kernels.plan import Launch

    def buffer(dtype: Any) -> Any:
        return torch.empty((1, 1), dtype=dtype, device="meta")

    form = module.FORMS[case.form] if case.form else ()
    operation = case.label if case.operation == "repack" else case.operation
    values = {name: buffer(torch.uint8) for name in ("pool", "packed", "coverage", "pictures")}
    values |= {"plan": buffer(torch.int32), "launch": Launch(operation, 0, 1, case.variant), "channels": case.channels}
    if form:
        values |= {"out": buffer(torch.int16 if form[0] == 16 else torch.int32)}
        values |= dict(zip(("height", "width", "merge", "temporal"), form[1:], strict=True))
    name = f"{case.operation}_kernel"
    function, recorder = getattr(module, name), _Recorder()
    with patch.object(module, name, recorder):
        module.launch(*(values[parameter] for parameter in inspect.signature(module.launch).parameters))
    types = {torch.uint8: "*u8", torch.int16: "*i16", torch.int32: "*i32"}
    signature = {
        parameter: types[value.dtype] if isinstance(value, torch.Tensor) else "i32"
        for parameter, value in zip(function.arg_names, recorder.arguments, strict=False)
    }
    constants = {key: value for key, value in recorder.options.items() if key in function.arg_names}
    options = {key: value for key, value in recorder.options.items() if key not in constants}
    warps, stages = options.pop("num_warps"), options.pop("num_stages", None)
    return sass.compile_kernel(function, signature, constants, warps, stages=stages, capability=capability, **options)


def build(case: Case, capability: int) -> Built:
    """Compile a kernel and report what it takes of an SM."""
    from gpurender.bench import sass

    code = compile_case(load(case.operation), case, capability)
    return Built(case, capability, code.registers, code.stack, code.shared, code.warps, sass.occupancy(code))


def count_path(case: Case, place: int) -> Counted:
    """Compile one path of a kernel and count its loop."""
    from gpurender.bench import sass

    module = load(case.operation)
    path = module.PATHS[place]
    code = compile_case(sass.fix_branches(module, path.branches), case, 90)
    counts = sass.count_loop(code, path.loop)
    widths = {int(key[6:]): int(key[6:]) * n for key, n in counts.items() if key.startswith("bytes ")}
    per_pixel = 32 * code.warps / path.pixels
    moved = BYTES.get(case.operation, 0.0)
    if case.operation == "patchify":
        bits, *_, frames = module.FORMS[case.form]
        moved = (case.channels + 3 * frames * bits / 8) / case.channels
    return Counted(case, path.name, counts["all"] * per_pixel, path.bound, widths, moved, code.stack)


def count_composite(channels: int) -> Counted:
    """Count composite, whose work follows from the plan of a batch; see `gpurender.bench.counted_composite`."""
    from gpurender.bench import counted_composite

    counts = counted_composite.count(channels)
    widths = {width: round(1e6 * share) for width, share in counts["bytes by width"].items()}
    return Counted(
        Case("composite", channels),
        "pages of 360 characters",
        counts["instructions a pixel"] / channels,
        counts["bound"] / channels,
        widths,
        BYTES["composite"],
        counts["stack"],
    )


def run(task: tuple[str, Case, int]) -> Built | Counted:
    """Carry out one task: `("build", case, capability)` or `("count", case, place)`."""
    kind, case, number = task
    if kind == "build":
        return build(case, number)
    return count_composite(case.channels) if case.operation == "composite" else count_path(case, number)


def run_all(tasks: Iterable[tuple[str, Case, int]], workers: int) -> Iterator[Built | Counted]:
    """Carry out tasks in worker processes, and return their results in order."""
    tasks = list(tasks)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for n, result in enumerate(pool.map(run, tasks)):
            kind, case, number = tasks[n]
            print(
                f"[{n + 1}/{len(tasks)}] {kind} {case.operation} {case.channels} {case.label} {number}", file=sys.stderr
            )
            yield result
