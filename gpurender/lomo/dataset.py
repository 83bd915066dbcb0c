"""The job of `gpurender lomo`: JSONL files in, a dataset folder out; in this process or in several, the same bytes."""

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
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from gpurender.kernels import Backend, default_device
from gpurender.lomo.folder import Batch, Folder, Report, image_name, no_interrupt
from gpurender.lomo.records import RecordError, encode_line, parse_line, read_lines, to_sharegpt
from gpurender.lomo.substitute import PROVENANCE, LoMo, Outcome
from gpurender.raster import Renderer, encode_png

__all__ = ["StrictError", "write_dataset"]

BATCH = 64  # records


class StrictError(ValueError):
    """A record could not be used, and the job is strict."""


class Line(NamedTuple):
    """A line of an input file, with its number among all the lines of the job."""

    ordinal: int
    file: str
    number: int
    data: bytes


def write_dataset(
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    lomo: LoMo,
    backend: Backend = "auto",
    limit: int | None = None,
    workers: int = 1,
    strict: bool = False,
    progress: bool = False,
) -> Report:
    """Rewrite JSONL files into a dataset folder.

    Args:
        inputs: JSONL files of records with `messages`.
        out: A folder that is new, empty, or holds an earlier result of this job, which is replaced.
        lomo: What rewrites.
        backend: Of the renderer: `"auto"`, `"cpu"`, `"reference"`, or `"triton"`, which works on the first CUDA device.
        limit: Read at most so many records.
        workers: Processes that rewrite, render and encode; 1 works in this one. The result is the same, byte for byte.
        strict: Raise at the first record that cannot be used, or is left as text because something is wrong with it.
        progress: Show a progress bar on stderr, if that is a terminal.

    Returns:
        The report. An interrupted job (Ctrl-C) returns too, with `complete=False`.

    Raises:
        FileNotFoundError, PermissionError: An input is missing or cannot be read.
        OutputError: The output folder cannot be used.
        StrictError: See `strict`; what came before it stands in the folder.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must not be negative, not {limit}")
    paths = [Path(path).absolute() for path in inputs]
    for path in paths:
        if path.is_dir() or not path.exists():
            kind = "is a folder, not a file" if path.is_dir() else "does not exist"
            raise FileNotFoundError(errno.ENOENT, f"input {kind}", str(path))
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, "input cannot be read", str(path))
    work = _Work(lomo, backend, Path(out).resolve())
    folder = Folder(Path(out), paths)
    report = folder.report
    began = time.perf_counter()
    total = sum(path.stat().st_size for path in paths)
    batches = _batches(_lines(paths, limit))
    bar = tqdm(total=total, unit="B", unit_scale=True, disable=None if progress else True, desc="lomo")
    try:
        with bar, _in_process(work) if workers == 1 else _in_pool(work, workers) as run:
            for batch in run(batches):
                folder.add(batch)
                bar.update(batch.size)
                bar.set_postfix(images=report.counts["images"], refresh=False)
                if strict and batch.problems:
                    first = batch.problems[0]
                    raise StrictError(f"{first['source']}: {first['reason']}")
        report.complete = True
    except KeyboardInterrupt:
        pass
    finally:
        with no_interrupt():
            report.seconds = time.perf_counter() - began
            folder.close()
    return report


def _lines(paths: list[Path], limit: int | None) -> Iterator[Line]:
    numbered = ((path, number, data) for path in paths for number, data in read_lines(path))
    for ordinal, (path, number, data) in enumerate(itertools.islice(numbered, limit)):
        yield Line(ordinal, str(path), number, data)


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(itertools.islice(lines, BATCH)):
        yield batch


class _Work:
    """What a process needs to turn lines into files; picklable."""

    def __init__(self, lomo: LoMo, backend: Backend, out: Path) -> None:
        self.lomo = lomo
        self.backend: Backend = backend
        self.out = out
        # Here, so that a wrong backend is told before anything is written.
        self.renderer = Renderer(device=default_device(backend), backend=backend)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Work, (self.lomo, self.backend, self.out)

    def __call__(self, lines: list[Line]) -> Batch:
        batch = Batch(lines[0].ordinal, size=sum(len(line.data) for line in lines))
        batch.counts["read"] = len(lines)
        records, parsed = [], []
        for line in lines:
            try:
                record = parse_line(line.data)
            except RecordError as error:
                self._fail(batch, line, "", str(error))
                continue
            records.append(record)
            parsed.append(line)
        # A record without an id gets one from its source and position, the same whatever the batch.
        done = self.lomo(records, ids=[f"{os.path.basename(line.file)}:{line.number}" for line in parsed])
        pages = iter(self.renderer(done.layout).to_numpy())
        names = [
            self.out / image_name(line.ordinal, k)
            for line, record, outcome in zip(parsed, done.records, done.outcomes, strict=True)
            for k in range(len(record[PROVENANCE]["spans"]) if outcome.status == "rewritten" else 0)
        ]
        files = iter(zip(names, pages, strict=True))
        filled = done.with_images(names, renderer=self.renderer.backend)
        for line, record, outcome in zip(parsed, filled, done.outcomes, strict=True):
            if outcome.status == "failed":
                self._fail(batch, line, str(record.get("id", "")) if isinstance(record, dict) else "", outcome.reason)
            else:
                images = list(itertools.islice(files, len(record[PROVENANCE]["spans"])))
                self._write(batch, line, record, outcome, images)
        return batch

    def _write(
        self, batch: Batch, line: Line, record: dict[str, Any], outcome: Outcome, images: list[tuple[Path, np.ndarray]]
    ) -> None:
        provenance = record[PROVENANCE]
        try:
            record, apart = to_sharegpt(record, Path(line.file).parent, self.out)
            record[PROVENANCE] = provenance | {"apart": apart}
            text = encode_line(record)
        except RecordError as error:
            self._fail(batch, line, provenance["record"], str(error))
            return
        for file, page in images:
            file.write_bytes(encode_png(page))
        batch.lines.append(text)
        batch.counts[outcome.status] += 1
        batch.counts["images"] += len(images)
        batch.counts["with_missing"] += sum(bool(span["missing"]) for span in provenance["spans"])
        batch.counts["apart"] += apart
        if outcome.status == "kept":
            batch.kept[outcome.kind] += 1
        if outcome.is_problem:
            self._name(batch, line, provenance["record"], outcome.status, outcome.reason)

    def _fail(self, batch: Batch, line: Line, record_id: str, reason: str) -> None:
        batch.counts["failed"] += 1
        self._name(batch, line, record_id, "failed", reason)

    def _name(self, batch: Batch, line: Line, record_id: str, status: str, reason: str) -> None:
        source = f"{line.file}:{line.number}"
        batch.counts["problems"] += 1
        batch.problems.append({"source": source, "record": record_id, "status": status, "reason": reason})


@contextmanager
def _in_process(work: _Work) -> Iterator[Any]:
    yield lambda batches: map(work, batches)


@contextmanager
def _in_pool(work: _Work, workers: int) -> Iterator[Any]:
    # Spawned, since a fork after numba or CUDA has started threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(work,))

    def run(batches: Iterator[list[Line]]) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        try:
            for lines in batches:
                waiting.append(pool.submit(_do, lines))
                # Bounded, so that neither lines nor results pile up.
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


_worker: _Work | None = None


def _start_worker(work: _Work) -> None:
    global _worker
    # Ctrl-C is the main process' affair: it lets the running batches end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = work


def _do(lines: list[Line]) -> Batch:
    assert _worker is not None
    return _worker(lines)
