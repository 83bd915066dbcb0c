"""What the feed's benchmarks run on: records, loaders on both sides that count how long they were waited for, cores."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpurender import LoMo, distort
from gpurender.feed import Collator, PrefetchLoader

Record = dict[str, Any]
BATCH = 8


def as_records(prompts: list[str], count: int, turn: int = 0) -> list[Record]:
    """So many records, repeating the prompts with other digits; `turn` makes them others again."""
    records = []
    for n in range(count):
        prompt, times = prompts[n % len(prompts)], n // len(prompts) + turn
        digits = str.maketrans({str(d): str((d + times) % 10) for d in range(10)})
        text = prompt.translate(digits)
        messages = [{"role": "user", "content": text}, {"role": "assistant", "content": f"The answer is {n}."}]
        records.append({"id": f"{turn}-{n}", "messages": messages})
    return records


def mixed(prose: list[str], maths: list[str], count: int, share: float, turn: int = 0) -> list[Record]:
    """Records of which a share has formulas, spread evenly."""
    rich, plain = (iter(as_records(texts, count, turn)) for texts in (maths, prose))
    chosen = [int((n + 1) * share) > int(n * share) for n in range(count)]
    return [next(rich if is_rich else plain) | {"id": f"{turn}-{n}"} for n, is_rich in enumerate(chosen)]


def lomo(ratio: float = 1, **options: Any) -> LoMo:
    return LoMo(ratio=ratio, distort=distort.presets.lomo(), **options)


def batches(records: list[Record], size: int) -> list[list[Record]]:
    return [records[i : i + size] for i in range(0, len(records), size)]


@contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """Run on these cores, workers included."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Timed:
    """A loader that counts the seconds for which it was waited for."""

    def __init__(self, loader: Any) -> None:
        self.loader, self.waited = loader, 0.0

    def __iter__(self) -> Iterator[Any]:
        iterator = iter(self.loader)
        while True:
            begin = time.perf_counter()
            batch = next(iterator, None)
            self.waited += time.perf_counter() - begin
            if batch is None:
                return
            yield batch


def make_loader(collator: Any, records: list[Record], workers: int, batch: int = BATCH, device: str = "cpu") -> Any:
    from torch.utils.data import DataLoader

    source: Any = records
    loader: Any = DataLoader(
        source,
        batch_size=batch,
        collate_fn=collator,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device != "cpu",
    )
    return PrefetchLoader(loader, device=device, fixed_epoch=0) if isinstance(collator, Collator) else Timed(loader)
