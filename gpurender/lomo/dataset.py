"""The job of `gpurender lomo`: files in, a dataset folder out; in this process or in several, the same bytes."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gpurender.kernels import Backend
from gpurender.lomo.files import InputError, check_file, read_records
from gpurender.lomo.folder import Batch, Folder, Report, interrupt_held, no_interrupt
from gpurender.lomo.records import MEDIA_FIELDS, RecordError
from gpurender.lomo.shapes import SHAPES, Shape, ShapeName, fit
from gpurender.lomo.substitute import PROVENANCE, LoMo
from gpurender.lomo.work import COLORS, FORMS, Color, Form, Item, Work

__all__ = ["StrictError", "write_dataset"]

BATCH = 64  # records
FIRST = 100  # records that are looked at for the job's shape


class StrictError(ValueError):
    """A record could not be used, and the job is strict."""


def write_dataset(
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    lomo: LoMo,
    shape: ShapeName | None = None,
    field: str | None = None,
    form: Form = "placeholder",
    color: Color = "auto",
    backend: Backend = "auto",
    limit: int | None = None,
    workers: int = 1,
    strict: bool = False,
    progress: bool = False,
) -> Report:
    """Rewrite files of records into a dataset folder.

    Args:
        inputs: JSONL, JSON arrays (both also in gzip or zstandard) or parquet, told by their content.
        out: A folder that is new, empty, or holds an earlier result of this job, which is replaced.
        lomo: What rewrites.
        shape: `"messages"`, `"conversations"` or `"alpaca"`. By default the first record that fits one decides for all.
        field: Instead of a shape, a plain field that is the prompt, as `"text"`.
        form: `"placeholder"` writes strings with `<image>` and their paths in `images`; `"parts"` writes lists of
            `{"type": "text", "text": ..}` and `{"type": "image", "image": path}`, in each record alike.
        color: `"rgb"` or `"gray"` for all images; `"auto"` writes RGB where a page has colour (emoji, coloured LaTeX,
            ink or paper that is no gray), and gray elsewhere.
        backend: Of the renderer: `"auto"`, `"cpu"`, `"reference"`, or `"triton"`, which works on the first CUDA device.
        limit: Read at most so many records.
        workers: Processes that rewrite, render and encode; 1 works in this one. The result is the same, byte for byte.
        strict: Raise at the first record that cannot be used, or is left as text because something is wrong with it.
        progress: Show a progress bar on stderr, if that is a terminal.

    Returns:
        The report. An interrupted job (Ctrl-C) returns too, with `complete=False`.

    Raises:
        FileNotFoundError, PermissionError: An input is missing or cannot be read.
        InputError: An input is of no known kind, broken as a whole, or has no record of a shape that fits.
        OutputError: The output folder cannot be used.
        StrictError: See `strict`; what came before it stands in the folder.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must not be negative, not {limit}")
    if shape is not None and shape not in SHAPES:
        raise ValueError(f"shape must be one of {', '.join(SHAPES)}, not {shape!r}")
    if shape is not None and field is not None:
        raise ValueError("shape and field exclude each other")
    if field in (PROVENANCE, *MEDIA_FIELDS):
        raise ValueError(f"field {field!r} is where the result has something else; rename it")
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
    if color not in COLORS:
        raise ValueError(f"color must be one of {', '.join(COLORS)}, not {color!r}")
    paths = [Path(path).absolute() for path in inputs]
    for path in paths:
        if path.is_dir() or not path.exists():
            kind = "is a folder, not a file" if path.is_dir() else "does not exist"
            raise FileNotFoundError(errno.ENOENT, f"input {kind}", str(path))
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, "input cannot be read", str(path))
        if path.is_file():
            check_file(path)
    items = itertools.islice(_items(paths), limit)
    first = list(itertools.islice(items, FIRST))
    found = _find_shape(first, shape, field)
    work = Work(lomo, backend, Path(out).resolve(), found, form, color)
    folder = Folder(Path(out), paths, found if form == "placeholder" else None)
    report = folder.report
    began = time.perf_counter()
    total = sum(path.stat().st_size for path in paths)
    batches = _batches(itertools.chain(first, items))
    bar = tqdm(total=total, unit="B", unit_scale=True, disable=None if progress else True, desc="lomo")
    try:
        with bar, _in_process(work) if workers == 1 else _in_pool(work, workers) as run:
            for batch in run(batches):
                folder.add(batch)
                bar.update(batch.size)
                bar.set_postfix(images=report.counts["images"], refresh=False)
                if strict and batch.problems:
                    problem = batch.problems[0]
                    raise StrictError(f"{problem['source']}: {problem['reason']}")
        report.complete = True
    except KeyboardInterrupt:
        pass
    finally:
        with no_interrupt():
            report.seconds = time.perf_counter() - began
            folder.close()
    return report


def _items(paths: list[Path]) -> Iterator[Item]:
    ordinals = itertools.count()
    for path in paths:
        before = 0
        for number, data, position in read_records(path):
            yield Item(next(ordinals), str(path), number, data, position - before)
            before = position


def _find_shape(items: list[Item], shape: ShapeName | None, field: str | None) -> Shape:
    reasons = []
    for item in items:
        try:
            return fit(item.record(), shape, field)
        except RecordError as error:
            reasons.append(f"record {item.number}: {error}")
    if items:
        message = f"input has no record that can be used among the first {len(items)}; {reasons[0]}"
        raise InputError(errno.EINVAL, message, items[0].file)
    # Nothing to read: any will do.
    return SHAPES[shape or "messages"]


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


@contextmanager
def _in_process(work: Work) -> Iterator[Any]:
    yield lambda batches: map(work, batches)


@contextmanager
def _in_pool(work: Work, workers: int) -> Iterator[Any]:
    # Spawned, since a fork after numba or CUDA has started threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(work,))

    def run(batches: Iterator[list[Item]]) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        try:
            for items in batches:
                with interrupt_held():
                    # It may start a process, which inherits that and is not interrupted before it is set up.
                    waiting.append(pool.submit(_do, items))
                # Bounded, so that neither records nor results pile up.
                if len(waiting) >= 3 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise RuntimeError("a worker process died (out of memory?); try fewer --workers") from None

    try:
        yield run
    finally:
        with no_interrupt():
            pool.shutdown(wait=True, cancel_futures=True)


_worker: Work | None = None


def _start_worker(work: Work) -> None:
    global _worker
    # Ctrl-C is the main process' affair: it lets the running batches end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = work


def _do(items: list[Item]) -> Batch:
    assert _worker is not None
    return _worker(items)
