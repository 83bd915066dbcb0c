"""The output folder of `gpurender lomo`; valid whenever it is closed.

It holds `data.jsonl` (records whose image paths are relative to the folder), `images/`, `report.json`, and, where
LLaMA-Factory can read the records, `dataset_info.json`. An image is written before the line that names it, lines are
written whole, and what no line names is removed.
"""

from __future__ import annotations

import errno
import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from gpurender._version import __version__
from gpurender.lomo.shapes import Shape

__all__ = ["Batch", "Folder", "OutputError", "Report", "image_name", "interrupt_held", "no_interrupt"]

NAMED = 100_000  # problems named in the report; all are counted
PLACES = 100  # of LaTeX that stayed text

DATASET = "lomo"
_IMAGE = re.compile(r"(\d{8,})-\d+\.png")


def image_name(ordinal: int, k: int) -> str:
    """The path, in the folder, of image k of the record with that number among all that were read."""
    return f"images/{ordinal:08d}-{k}.png"


class OutputError(OSError):
    """The output folder cannot be used; the message says why and what to do."""


@dataclass
class Batch:
    """What a batch of records became; picklable."""

    first: int  # ordinal of its first record
    lines: list[bytes] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    formulas: Counter[str] = field(default_factory=Counter)  # by the engine that set them; "source", "picture"
    distortions: Counter[str] = field(default_factory=Counter)  # of images, by operation; "Clean" for none
    problems: list[dict[str, str]] = field(default_factory=list)
    left: list[dict[str, str]] = field(default_factory=list)  # LaTeX that stayed text: where, and how it begins
    fields: set[str] = field(default_factory=set)  # of the records written, those that a description may name
    size: int = 0  # bytes read


@dataclass
class Report:
    """What a job did; `report.json` holds it."""

    counts: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    formulas: Counter[str] = field(default_factory=Counter)  # by the engine that set them; "source", "picture"
    distortions: Counter[str] = field(default_factory=Counter)  # of images, by operation; "Clean" for none
    problems: list[dict[str, str]] = field(default_factory=list)
    left: list[dict[str, str]] = field(default_factory=list)  # LaTeX that stayed text: the first places
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
            "formulas_set_by": dict(sorted(self.formulas.items())),
            "formulas_set_in_part": self.counts["formulas_in_part"],
            "latex_left_as_text": self.counts["latex_left_as_text"],
            "latex_left_as_text_first": self.left,
            "images_distorted_by": dict(sorted(self.distortions.items())),
            "images_in_color": self.counts["in_color"],
            "images_left_clean": self.counts["left_clean"],
            "images_with_missing_glyphs": self.counts["with_missing"],
            "placeholders_written_apart": self.counts["apart"],
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.counts["images"] / self.seconds, 1) if self.seconds else 0.0,
            "problems_not_named": self.counts["problems"] - len(self.problems),
            "problems": self.problems,
        }


class Folder:
    """A dataset folder being written.

    Args:
        path: A folder that is new, empty, or holds an earlier result, which is replaced; nothing else is touched.
        inputs: The files that are read, which must not lie in it.
        shape: Of the records, for `dataset_info.json`; None writes none.

    Raises:
        OutputError: The folder cannot be used.
    """

    def __init__(self, path: Path, inputs: list[Path], shape: Shape | None) -> None:
        self.path = path
        self.shape = shape
        self.report = Report()
        self._fields: set[str] = set()
        self._next = 0  # ordinal of the first record that no written batch holds
        self._size = 0
        try:
            self._prepare(inputs)
            self._file: IO[bytes] = (path / "data.jsonl").open("wb", buffering=0)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(error.errno, f"output cannot be written: {error.strerror}", str(path)) from None

    def _prepare(self, inputs: list[Path]) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(errno.ENOTDIR, "output is a file, not a folder", str(self.path))
        for path in inputs:
            if self.path.resolve() in path.resolve().parents:
                message = f"input {path} lies in the output folder, which is replaced"
                raise OutputError(errno.EINVAL, message, str(self.path))
        if self.path.is_dir() and any(self.path.iterdir()):
            self._remove_earlier()
        (self.path / "images").mkdir(parents=True, exist_ok=True)
        # First of all, so that a job that is killed leaves a folder that the next one knows as its own.
        _write_json(self.path / "report.json", self.report.as_dict())

    def _remove_earlier(self) -> None:
        try:
            ours = json.loads((self.path / "report.json").read_bytes()).get("tool") == "gpurender"
        except (OSError, ValueError, AttributeError):
            ours = False
        known = {"data.jsonl", "dataset_info.json", "dataset_info.new", "images", "report.json", "report.new"}
        foreign = [path.name for path in self.path.iterdir() if not ours or path.name not in known]
        images = self._images()
        foreign += [f"images/{path.name}" for path in images if not _IMAGE.fullmatch(path.name)]
        # A link may lead to pictures that are not ours.
        foreign += ["images, a link"] if (self.path / "images").is_symlink() else []
        if foreign:
            message = f"output folder holds something else ({foreign[0]}); name a new folder, or remove it"
            raise OutputError(errno.ENOTEMPTY, message, str(self.path))
        # In this order, so that an interruption leaves nothing that claims to be whole.
        _write_json(self.path / "report.json", self.report.as_dict())
        (self.path / "data.jsonl").unlink(missing_ok=True)
        for path in [*images, self.path / "dataset_info.json"]:
            path.unlink(missing_ok=True)

    def _images(self) -> list[Path]:
        folder = self.path / "images"
        return list(folder.iterdir()) if folder.is_dir() else []

    def add(self, batch: Batch) -> None:
        """Append a batch's lines, its images being written."""
        data = memoryview(b"".join(batch.lines))
        while data:
            data = data[self._file.write(data) :]
        # From here on the batch counts: all of it, or, after an interruption above, nothing.
        with interrupt_held():
            self._size = self._file.tell()
            self._next = batch.first + batch.counts["read"]
            self._fields |= batch.fields
            self.report.counts += batch.counts
            self.report.kept += batch.kept
            self.report.formulas += batch.formulas
            self.report.distortions += batch.distortions
            self.report.left += batch.left[: PLACES - len(self.report.left)]
            self.report.problems += batch.problems[: NAMED - len(self.report.problems)]

    def close(self) -> None:
        """Drop what is half-written, and write what describes the rest."""
        self._file.truncate(self._size)
        self._file.close()
        if not self.report.complete:
            for image in self._images():
                match = _IMAGE.fullmatch(image.name)
                if match and int(match[1]) >= self._next:
                    image.unlink()
        if self.shape:
            info = {"file_name": "data.jsonl"} | self.shape.dataset_info(self._fields)
            _write_json(self.path / "dataset_info.json", {DATASET: info})
        _write_json(self.path / "report.json", self.report.as_dict())


def _write_json(path: Path, value: Any) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, indent=2) + "\n", encoding="ascii")
    new.replace(path)


@contextmanager
def interrupt_held() -> Iterator[None]:
    """Let a Ctrl-C that comes meanwhile wait until the end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Drop every Ctrl-C for a while: nothing interrupts a closing."""
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
