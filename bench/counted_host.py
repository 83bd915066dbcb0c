"""Host operations of the GPU path, counted without a GPU: device `meta` stands in, and kernels only count launches.

Nothing can be read from device `meta`, so a call that reads a value of the device raises here.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from gpurender.bench.counted_kernels import OPERATIONS, load
from torch.utils._python_dispatch import TorchDispatchMode

from gpurender import LoMo, Renderer, Typesetter, distort
from gpurender.feed import Collator, profiles

__all__ = ["DEVICE", "Host", "Tally", "every_call", "measure", "stand_in"]

DEVICE = "meta"
EXAMPLES = Path(__file__).parents[1] / "examples"
PASSAGE = 360  # characters


class Host(NamedTuple):
    """Work on the host for one call.

    Attributes:
        name: The call.
        images: Of the batch.
        operations: Dispatched by torch, those of copies included.
        views: Dispatched by torch, without work on memory.
        copies: From the host to the device.
        bytes: Copied.
        launches: Of kernels.
        milliseconds: The least of some calls on this machine's CPU, without a driver's work.
    """

    name: str
    images: int
    operations: int
    views: int
    copies: int
    bytes: int
    launches: int
    milliseconds: float


class Tally(TorchDispatchMode):
    """Count torch's operations, and those that only view memory."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []
        self.views: list[str] = []
        self.copied: list[int] = []
        self.launches: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = [value.alias_info for value in function._schema.returns]
        is_view = bool(returned) and all(alias is not None and not alias.is_write for alias in returned)
        (self.views if is_view else self.operations).append(str(function))
        return function(*args, **(kwargs or {}))

    def clear(self) -> None:
        """Forget everything that was counted."""
        for counted in (self.operations, self.views, self.copied, self.launches):
            counted.clear()


class _Kernel:
    def __init__(self, name: str, tally: Tally) -> None:
        self.name, self.tally = name, tally

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *arguments, **options: self.tally.launches.append(self.name)


@contextmanager
def stand_in() -> Iterator[Tally]:
    """Let device `meta` stand in for a GPU: kernels and copies to the device are counted instead."""
    tally = Tally()

    def copy_to(tensor: Any, device: Any) -> Any:
        tally.copied.append(tensor.numel() * tensor.element_size())
        # As to a GPU: pinned memory, a copy into it, and the tensor on the device.
        torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=DEVICE)

    with ExitStack() as stack:
        for operation in OPERATIONS:
            name = f"{operation}_kernel"
            stack.enter_context(patch.object(load(operation), name, _Kernel(operation, tally)))
        for name, module in list(sys.modules.items()):
            if name.startswith("gpurender.") and "copy_to" in vars(module):
                stack.enter_context(patch.object(module, "copy_to", copy_to))
        # Backend "triton" works on CUDA devices, or where it is interpreted.
        stack.enter_context(patch("gpurender.kernels.backends._interpreted", return_value=True))
        yield tally


def measure(name: str, images: int, tally: Tally, run: Callable[[], Any], rounds: int = 5) -> Host:
    """Count what a call does once it is warm, and time it."""
    run()
    tally.clear()
    with tally:
        run()
    counts = len(tally.operations), len(tally.views), len(tally.copied), sum(tally.copied), len(tally.launches)
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
    return Host(name, images, *counts, 1e3 * best)


def every_call(images: int, tally: Tally) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name the calls of a batch, and what each runs."""
    texts = passages(images)
    layout = Typesetter()(texts)
    renderer = Renderer(device=DEVICE, backend="triton")
    yield "Renderer", lambda: renderer(layout)
    pages = renderer(layout)
    op = distort.presets.lomo()
    params = op.make_params(range(images), layout.sizes)
    yield "transform, presets.lomo()", lambda: op.transform(pages, params, backend="triton")
    profile = profiles.qwen2_5_vl(dtype="bfloat16")
    yield "Profile.patchify", lambda: profile.patchify(pages, backend="triton")
    planned = collate(texts, profile)
    yield "Planned.render", lambda: planned.render(renderer)


def collate(texts: list[str], profile: Any) -> Any:
    """Plan a batch whose texts all become images, one each."""
    specification: Any = importlib.util.spec_from_file_location("tiny", EXAMPLES / "tiny.py")
    tiny = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tiny)
    answer = "The answer is 23."
    records = [
        {"id": str(n), "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]}
        for n, text in enumerate(texts)
    ]
    tokenizer = tiny.tokenizer([texts[0], answer], vocabulary=600)
    return Collator(tokenizer, profile, lomo=LoMo(ratio=1, distort=distort.presets.lomo()), on_error="raise")(records)


def passages(count: int) -> list[str]:
    """Compose passages of the shipped prompts' words."""
    lines = (EXAMPLES / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    contents = (json.loads(line)["messages"][0]["content"] for line in lines)
    words = " ".join(text for text in contents if isinstance(text, str) and text.isascii()).split()
    texts: list[str] = []
    line: list[str] = []
    for n in range(10**9):
        line.append(words[n % len(words)])
        if sum(map(len, line)) + len(line) > PASSAGE:
            texts.append(" ".join(line))
            line = []
            if len(texts) == count:
                break
    return texts
