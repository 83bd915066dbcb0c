"""The job of `gpurender lomo`: JSONL files in, a folder that LLaMA-Factory trains on out.

The folder holds `data.jsonl` (`messages` with `<image>`, `images` as paths relative to the folder), `images/`,
`dataset_info.json` and `report.json`. It is valid whenever the job ends, by Ctrl-C too: an image is written before the
line that names it, lines are written whole, and what no line names is removed.
"""

from __future__ import annotations

import errno
import itertools
import json
import multiprocessing
import os
import re
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from gpurender._version import __version__
from gpurender.lomo.records import RecordError, parse_line, read_lines, to_sharegpt
from gpurender.lomo.substitute import PROVENANCE, LoMo, Outcome
from gpurender.raster import Renderer, encode_png

__all__ = ["OutputError", "Report", "StrictError", "write_dataset"]

BATCH = 64  # records: as many pages as stay in the cache
NAMED = 1000  # problems named in the report; all are counted

DATASET = "lomo"
COLUMNS = {"messages": "messages", "images": "images"}
TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
_IMAGE = re.compile(r"(\d{8,})-\d+\.png")


class OutputError(OSError):
    """The output folder cannot be used; the message says why and what to do."""


class StrictError(ValueError):
    """A record could not be used, and the job is strict."""


class Line(NamedTuple):
    """A line of an input file, with its number among all the lines of the job."""

    ordinal: int
    file: str
    number: int
    data: bytes


@dataclass
class Batch:
    """What a batch of lines became; picklable."""

    first: int  # ordinal of its first line
    lines: list[bytes] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    problems: list[dict[str, str]] = field(default_factory=list)
    size: int = 0  # bytes read


@dataclass
class Report:
    """What a job did; `report.json` holds it."""

    counts: Counter[str]
    kept: Counter[str]
    problems: list[dict[str, str]]
    seconds: float = 0.0
    complete: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The contents of `report.json`."""
        counts = {name: self.counts[name] for name in ("read", "rewritten", "kept", "failed", "images")}
        return {
            "tool": "gpurender",
            "version": __version__,
            "complete": self.complete,
            **counts,
            "kept_because": dict(sorted(self.kept.items())),
            "images_with_missing_glyphs": self.counts["with_missing"],
            "placeholders_written_apart": self.counts["apart"],
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.counts["images"] / self.seconds, 1) if self.seconds else 0.0,
            "problems": self.problems,
        }


def write_dataset(
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    lomo: LoMo,
    backend: str = "auto",
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
        FileNotFoundError: An input is missing.
        OutputError: The output folder cannot be used.
        StrictError: See `strict`; what came before it stands in the folder.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must not be negative, not {limit}")
    paths = [Path(path).absolute() for path in inputs]
    for path in paths:
        if not path.is_file():
            kind = "is a folder, not a file" if path.is_dir() else "does not exist"
            raise FileNotFoundError(errno.ENOENT, f"input {kind}", str(path))
        with path.open("rb"):
            pass
    work = _Work(lomo, backend, Path(out).resolve())
    _prepare(Path(out), paths)
    report = Report(Counter(), Counter(), [])
    began = time.perf_counter()
    total = sum(path.stat().st_size for path in paths)
    writer = _Writer(Path(out), report)
    batches = _batches(_lines(paths, limit))
    bar = tqdm(total=total, unit="B", unit_scale=True, disable=None if progress else True, desc="lomo")
    try:
        with bar, _in_process(work) if workers == 1 else _in_pool(work, workers) as run:
            for batch in run(batches):
                writer.add(batch)
                bar.update(batch.size)
                bar.set_postfix(images=report.counts["images"], refresh=False)
                if strict and batch.problems:
                    first = batch.problems[0]
                    raise StrictError(f"{first['source']}: {first['reason']}")
        report.complete = True
    except KeyboardInterrupt:
        pass
    finally:
        with _no_interrupt():
            report.seconds = time.perf_counter() - began
            writer.close()
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

    def __init__(self, lomo: LoMo, backend: str, out: Path) -> None:
        self.lomo = lomo
        self.backend = backend
        self.out = out
        # Here, so that a wrong backend is told before anything is written.
        self.renderer = Renderer(device=self._device, backend=backend)  # type: ignore[arg-type]

    @property
    def _device(self) -> str:
        return "cuda" if self.backend == "triton" and os.environ.get("TRITON_INTERPRET") != "1" else "cpu"

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
                self._fail(batch, line, "", Outcome("failed", "unusable", str(error)))
                continue
            records.append(record)
            parsed.append(line)
        # A record without an id gets one from its source and position, the same whatever the batch.
        done = self.lomo(records, ids=[f"{os.path.basename(line.file)}:{line.number}" for line in parsed])
        pages = self.renderer(done.layout).to_numpy()
        for line, record, outcome in zip(parsed, done.records, done.outcomes, strict=True):
            if outcome.status == "failed":
                self._fail(batch, line, str(record.get("id", "")) if isinstance(record, dict) else "", outcome)
            else:
                self._write(batch, line, record, outcome, pages)
        return batch

    def _write(self, batch: Batch, line: Line, record: dict[str, Any], outcome: Outcome, pages: list[Any]) -> None:
        provenance = record[PROVENANCE]
        rewritten = dict.fromkeys(span["message"] for span in provenance["spans"])
        parts = [part for i in rewritten for part in record["messages"][i]["content"]]
        numbers = [part["image"] for part in parts if part["type"] == "image"]
        names = {number: f"images/{line.ordinal:08d}-{k}.png" for k, number in enumerate(numbers)}
        try:
            record, apart = to_sharegpt(record, names, Path(line.file).parent, self.out)
        except RecordError as error:
            self._fail(batch, line, provenance["record"], Outcome("failed", "unusable", str(error)))
            return
        record[PROVENANCE] = provenance | {"renderer": self.renderer.backend if names else "", "apart": apart}
        for number, name in names.items():
            with open(f"{self.out}/{name}", "wb") as file:
                file.write(encode_png(pages[number]))
        batch.lines.append(_encode(record))
        batch.counts[outcome.status] += 1
        batch.counts["images"] += len(names)
        batch.counts["with_missing"] += sum(bool(span["missing"]) for span in provenance["spans"])
        batch.counts["apart"] += apart
        if outcome.status == "kept":
            batch.kept[outcome.kind] += 1
        if outcome.is_problem:
            batch.problems.append(_problem(line, provenance["record"], outcome))

    def _fail(self, batch: Batch, line: Line, record_id: str, outcome: Outcome) -> None:
        batch.counts["failed"] += 1
        batch.problems.append(_problem(line, record_id, outcome))


def _problem(line: Line, record_id: str, outcome: Outcome) -> dict[str, str]:
    source = f"{line.file}:{line.number}"
    return {"source": source, "record": record_id, "status": outcome.status, "reason": outcome.reason}


def _encode(record: dict[str, Any]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8; JSON's escape carries it.
        return json.dumps(record).encode("ascii") + b"\n"


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
        with _no_interrupt():
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


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Let nothing interrupt the closing; a signal that comes meanwhile is dropped."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:
        # Not the main thread, which no signal reaches anyway.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Writer:
    """Writes the folder's files but for the images, and keeps them valid."""

    def __init__(self, out: Path, report: Report) -> None:
        self.out = out
        self.report = report
        self.next = 0  # ordinal of the first line that no written batch holds
        self.file: IO[bytes] = (out / "data.jsonl").open("wb", buffering=0)
        self.size = 0

    def add(self, batch: Batch) -> None:
        data = memoryview(b"".join(batch.lines))
        while data:
            data = data[self.file.write(data) :]
        # From here on the batch counts: all of it, or, after an interruption above, nothing.
        self.size = self.file.tell()
        self.next = batch.first + batch.counts["read"]
        self.report.counts += batch.counts
        self.report.kept += batch.kept
        self.report.problems += batch.problems[: NAMED - len(self.report.problems)]

    def close(self) -> None:
        self.file.truncate(self.size)
        self.file.close()
        if not self.report.complete:
            for image in (self.out / "images").iterdir():
                match = _IMAGE.fullmatch(image.name)
                if match and int(match[1]) >= self.next:
                    image.unlink()
        info = {DATASET: {"file_name": "data.jsonl", "formatting": "sharegpt", "columns": COLUMNS, "tags": TAGS}}
        _write_json(self.out / "dataset_info.json", info)
        _write_json(self.out / "report.json", self.report.as_dict())


def _write_json(path: Path, value: Any) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, indent=2) + "\n", encoding="ascii")
    new.replace(path)


def _prepare(out: Path, inputs: list[Path]) -> None:
    """Make the folder, or empty it of an earlier result; touch nothing that is not ours."""
    try:
        if out.exists() and not out.is_dir():
            raise OutputError(errno.ENOTDIR, "output is a file, not a folder", str(out))
        for path in inputs:
            if out.resolve() in path.resolve().parents:
                raise OutputError(errno.EINVAL, f"input {path} lies in the output folder, which is replaced", str(out))
        if out.is_dir() and any(out.iterdir()):
            _remove_earlier(out)
        (out / "images").mkdir(parents=True, exist_ok=True)
        # First of all, so that a job that is killed leaves a folder that the next one knows as its own.
        _write_json(out / "report.json", Report(Counter(), Counter(), []).as_dict())
        (out / "data.jsonl").touch()
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(error.errno, f"output cannot be written: {error.strerror}", str(out)) from None


def _remove_earlier(out: Path) -> None:
    try:
        ours = json.loads((out / "report.json").read_bytes()).get("tool") == "gpurender"
    except (OSError, ValueError, AttributeError):
        ours = False
    known = {"data.jsonl", "dataset_info.json", "dataset_info.new", "images", "report.json", "report.new"}
    foreign = [path.name for path in out.iterdir() if not ours or path.name not in known]
    images = list((out / "images").iterdir()) if (out / "images").is_dir() else []
    foreign += [f"images/{path.name}" for path in images if not _IMAGE.fullmatch(path.name)]
    if foreign:
        message = f"output folder holds something else ({foreign[0]}); name a new folder, or remove it"
        raise OutputError(errno.ENOTEMPTY, message, str(out))
    for path in [*images, *(path for path in out.iterdir() if path.is_file() and path.name != "report.json")]:
        path.unlink()
