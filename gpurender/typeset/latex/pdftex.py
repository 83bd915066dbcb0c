"""The pdfTeX engine: batches of items set by a server, and what is done about the one that harms it.

TeX is a programming language, so an item may hang, end or change its server. Each batch ends in a sentinel formula,
which must look as it did on a fresh server. If anything goes wrong nothing of that batch is used: it is set again on a
new server, less the culprit, which is found by the marks that TeX leaves after each item, or else by halving.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from gpurender.typeset.fonts import Outlines
from gpurender.typeset.latex.assemble import Assembler
from gpurender.typeset.latex.box import Box, EngineError, Failure
from gpurender.typeset.latex.cells import split_cells, without
from gpurender.typeset.latex.limits import ITEMS, LARGEST, LONGEST, SECONDS
from gpurender.typeset.latex.preamble import find_packages
from gpurender.typeset.latex.scripts import Run, Shaper, encode, find_runs
from gpurender.typeset.latex.server import Outcome, Server
from gpurender.typeset.latex.source import Source
from gpurender.typeset.latex.texlog import errors as errors_in

__all__ = ["PdfTeX"]

_BATCH = 256  # items between two sentinels
RUNS = 2**14  # of the text's fonts that are kept shaped
_TABLE_WIDTH = 345.0  # pt, of a table that is given none: LaTeX's own
_LINE_END = re.compile(r"[\r\n\x00]")
# In tables, as their authors see them: a sign of maths in text, a line across where a row has begun.


class PdfTeX:
    """Sets formulas and tables by a persistent pdfTeX in DVI mode. Picklable: a copy starts a server of its own.

    Attributes:
        name: `"pdftex"`.
        size: Of maths, px per em of 10 pt.
        fonts: What glyphs of its boxes are numbered by; it grows.

    A server is of one process: after a fork the child starts another. On Linux it is killed with the thread that
    started it; what is asked of it after that, or was just then, is set on a new one.
    """

    name = "pdftex"

    def __init__(self, size: float, shaper: Shaper | None = None) -> None:
        if not 1 <= size <= 2000:
            raise ValueError(f"size must be 1 to 2000 px, got {size!r}")
        self.size = float(size)
        self._shaper = shaper
        self._runs: dict[str, Run | None] = {}
        self._assembler = Assembler(self.size, shaper)
        self._server: Server | None = None
        self._packages: set[str] = set()
        self._sentinel = b""
        self._items = 0
        self._pid = os.getpid()
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        return PdfTeX, (self.size, self._shaper)

    @property
    def fonts(self) -> list[Outlines]:
        """What glyphs of its boxes are numbered by."""
        return self._assembler.fonts

    def start(self) -> None:
        """Start it, if it does not run.

        Raises:
            EngineError: It does not work on this machine; the message says why, and what would help.
        """
        with self._held():
            self._started()

    def close(self) -> None:
        """End its server; the next call starts a new one."""
        with self._held():
            if self._server is not None:
                self._server.close()
            self._server = None

    def __call__(self, sources: Sequence[Source]) -> list[Box | Failure]:
        """Return a box, or why there is none, for each source; one bad source or cell costs none but itself.

        Raises:
            EngineError: It does not work on this machine.
        """
        results = self._set_all(sources)
        for k, (source, result) in enumerate(zip(sources, results, strict=True)):
            if source.style == "table" and isinstance(result, Failure) and result.kind == "error":
                results[k] = self._quote_cells(source, result)
        return results

    def _set_all(self, sources: Sequence[Source]) -> list[Box | Failure]:
        results: list[Box | Failure] = [Failure("limit", f"longer than {LONGEST} characters")] * len(sources)
        lacking = self._shape(sources)
        for k, message in lacking.items():
            results[k] = Failure("error", message)
        fit = [k for k, source in enumerate(sources) if len(source.tex) <= LONGEST and k not in lacking]
        with self._held():
            for first in range(0, len(fit), _BATCH):
                mine = fit[first : first + _BATCH]
                for k, result in zip(mine, self._set([sources[k] for k in mine]), strict=True):
                    results[k] = result
        return results

    def _quote_cells(self, source: Source, failure: Failure) -> Box | Failure:
        """Set a table again, the cells that cannot be set by themselves as their source."""
        cells = set(range(len(split_cells(source.tex))))
        if not 0 < len(cells) <= _BATCH:
            return failure
        # Each cell alone in the table, and the table without any.
        trials = [source._replace(tex=without(source.tex, cells - {k}, shown=False)) for k in (*cells, -1)]
        *alone, frame = self._set_all(trials)
        bad = {k for k, result in enumerate(alone) if isinstance(result, Failure)}
        if not bad or isinstance(frame, Failure):
            return failure
        (result,) = self._set_all([source._replace(tex=without(source.tex, bad))])
        if isinstance(result, Failure):
            return failure
        return result._replace(note=f"a cell of its table is set as source: {failure.message}")

    def _shape(self, sources: Sequence[Source]) -> dict[int, str]:
        """Shape the runs that TeX's fonts lack; returns why sources cannot be set, by their indexes."""
        found = {k: runs for k, s in enumerate(sources) if (runs := find_runs(s.tex, s.style == "table"))}
        new = [run for run in dict.fromkeys(run for runs in found.values() for run in runs) if run not in self._runs]
        if len(self._runs) > RUNS:
            self._runs = {}
            new = list(dict.fromkeys(run for runs in found.values() for run in runs))
        if new:
            shaped = [None] * len(new) if self._shaper is None else self._shaper.shape(new)
            self._runs.update(zip(new, shaped, strict=True))
        lacking = {k: next((run for run in runs if self._runs[run] is None), "") for k, runs in found.items()}
        return {k: f"no font has all glyphs of {run!r}" for k, run in lacking.items() if run}

    def _held(self) -> threading.RLock:
        if self._pid != os.getpid():
            # A fork: the server is the parent's, and so may be the lock's holder.
            self._pid, self._lock, self._server = os.getpid(), threading.RLock(), None
        return self._lock

    def _started(self, sources: Sequence[Source] = ()) -> Server:
        """The server, with the packages that sources need; it keeps those that others needed."""
        needed = self._packages.union(*(find_packages(source.tex) for source in sources))
        if self._server is None or not self._server.alive or self._items >= ITEMS or needed != self._packages:
            self.close()
            self._packages = needed
            self._server, self._items = Server(needed), 0
            self._assembler.begin()
            try:
                sentinel = self._assembler.read(self._server.first, self._server.number).sentinel
            except OSError as error:
                raise EngineError(f"TeX's fonts cannot be read: {error}") from error
            self._sentinel = self._sentinel or sentinel
        return self._server

    def _set(self, sources: list[Source]) -> list[Box | Failure]:
        """Set a batch; if that fails, find out why with more care."""
        if not sources:
            return []
        outcome, results = self._run(sources, careful=False)
        if results is None and outcome.reason != "open":
            outcome, results = self._run(sources, careful=True)
        if results is not None:
            return results
        k = len(outcome.marks)
        if k < len(sources) and outcome.reason:
            return [*self._set(sources[:k]), self._judge(sources[k], outcome), *self._set(sources[k + 1 :])]
        if len(sources) == 1:
            return [Failure("denied", "it changes how the next formula looks")]
        half = len(sources) // 2
        return self._set(sources[:half]) + self._set(sources[half:])

    def _judge(self, source: Source, outcome: Outcome) -> Box | Failure:
        """What becomes of the item that a server did not get beyond."""
        start = outcome.marks[-1] if outcome.marks else 0
        errors = errors_in(outcome.log[start:])
        if outcome.reason == "slow":
            return Failure("limit", f"takes more than {SECONDS:g} s")
        if outcome.reason == "died" and not errors:
            # Killed from outside, as far as TeX could tell: it gets one more chance, alone.
            outcome, results = self._run([source], careful=True)
            if results is not None:
                return results[0]
            errors = errors_in(outcome.log)
            if outcome.reason == "slow":
                return Failure("limit", f"takes more than {SECONDS:g} s")
        kind = "limit" if any("capacity exceeded" in error for error in errors) else "error"
        return Failure(kind, errors[0] if errors else "it ends TeX" if outcome.reason == "died" else "it never ends")

    def _run(self, sources: list[Source], careful: bool) -> tuple[Outcome, list[Box | Failure] | None]:
        """Set a batch on a server that is ended if it is harmed; then there are no results."""
        server = self._started(sources)
        self._items += len(sources)
        try:
            runs: list[Run] = []
            outcome = server.run([self._call(source, runs) for source in sources], careful)
            if not outcome.reason:
                pages = self._assembler.read(outcome.pages, server.number, runs)
                if pages.sentinel == self._sentinel:
                    return outcome, self._results(sources, outcome, pages.boxes)
        except BaseException:
            # What it was to say is still to come, or half read.
            self.close()
            raise
        self.close()
        return outcome, None

    def _call(self, source: Source, runs: list[Run]) -> tuple[str, str]:
        """The macro that sets a source, and its arguments; its runs are added to the others."""

        def place(text: str) -> str:
            run = self._runs[text]
            assert run is not None
            runs.append(run)
            sizes = (f"{{{_sp(part / 64 * 10 / self.size)}}}" for part in run[:3])
            return f"{{{len(runs) - 1}}}{''.join(sizes)}"

        tex = source.tex if source.tex.isprintable() else _LINE_END.sub(" ", source.tex)
        tex = encode(tex, source.style == "table", place)
        if source.style == "table":
            width = source.width * 10 / self.size if source.width else _TABLE_WIDTH
            return "T", f"{{{_sp(width)}}}{{{tex} }}"
        if source.width:
            return "J" if source.style == "inline" else "E", f"{{{_sp(source.width * 10 / self.size)}}}{{{tex} }}"
        return "I" if source.style == "inline" else "D", f"{{{tex} }}"

    def _results(self, sources: list[Source], outcome: Outcome, boxes: dict[int, Box | str]) -> list[Box | Failure]:
        errors: dict[int, list[str]] = {}
        if "\n! " in outcome.log:
            for k, (start, stop) in enumerate(pairwise([0, *outcome.marks[: len(sources)]])):
                if "\n! " in outcome.log[start:stop]:
                    errors[k] = errors_in(outcome.log[start:stop])
        results: list[Box | Failure] = []
        for k in range(len(sources)):
            box = boxes.get(k)
            said = errors.get(k, ())
            if said:
                kind = "limit" if "Dimension too large." in said or "Huge page" in said[0] else "error"
                results.append(Failure(kind, said[0]))
            elif box is None:
                results.append(Failure("error", "TeX set nothing"))
            elif isinstance(box, str):
                results.append(Failure("picture", box))
            elif _extent(box) > LARGEST:
                results.append(Failure("limit", f"larger than {LARGEST} px"))
            else:
                results.append(box)
        return results


def _extent(box: Box) -> int:
    """Px from end to end, of what is wider or taller: the box and its ink, wherever that is."""
    left, top, right, bottom = box.ink if box.ink[0] < box.ink[2] else (0, 0, 0, 0)
    width = max(box.width, 64 * right) - min(0, 64 * left)
    height = max(box.depth, 64 * bottom) - min(-box.height, 64 * top)
    return max(width, height) // 64


def _sp(points: float) -> int:
    return min(round(points * 65536), 2**30 - 1)
