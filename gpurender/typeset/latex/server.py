"""A pdfTeX process that sets items for as long as it lives: how it is started, fed, read and ended.

It reads TeX from one FIFO, and writes its pages (DVI) and its log to two others. Nothing that TeX writes is flushed of
itself, so each batch ends in a page and a log line longer than the buffers. It runs in a folder of its own that is
deleted as soon as TeX has opened everything, with TeX's own locks on (no file outside it, no programs), with limits on
memory and files, and it ends when the process that started it does.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import shutil
import string
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None  # type: ignore[assignment]

from gpurender.typeset.latex.box import EngineError
from gpurender.typeset.latex.limits import SECONDS
from gpurender.typeset.latex.preamble import read_server
from gpurender.typeset.latex.sandbox import INSTALL, environment, sandboxed, tex_trees

__all__ = ["Outcome", "Server"]

_START_SECONDS = 60.0  # until the first page: the first start after an installation reads much from disk
_ITEM_SECONDS = 0.02  # that an item of a batch has on average, beside what one may take
_CHEMISTRY_SECONDS = 0.2  # that mhchem may take for one formula, beyond that
_PIPE = 2**20  # bytes, where the system allows
_PREFIX = "gpurender-tex-"
_YOUNG = 60.0  # seconds in which a folder without a lock may still be getting one
# Between looks at all pipes while waiting for the log, which is written to once in a hundred items.
_LOOK_MS = 5
_MOST = 2**26  # bytes that a batch may write
_CLOSED = "00."  # the state after an item: no group and no condition is open, and no paragraph

# The formula that ends each batch: every character, fonts, spaces, a fraction, a root, a matrix, text and colour.
_SENTINEL = (
    r"\gprabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    r"0123456789+-*/=<>()[]|,.;:!?'`@~\&\%\#\_\{\}\mathbf{v}\mathrm{r}\mathbb{R}\mathcal{L}\mathfrak{g}\mathit{k}"
    r"\sum_{i=0}^\infty\frac{\alpha_i+\beta^{2}}{\sqrt[3]{1-x}}\left(\int_a^b\hat{y}\right)\begin{matrix}1&2\\3&4"
    r"\end{matrix}\overline{m}\quad\mbox{so \textit{it} is 3\%}\textcolor{red}{z} % the rest is no part of it"
)


class Outcome(NamedTuple):
    """What came of a batch."""

    pages: bytes  # DVI, all pages that came
    log: str
    marks: list[int]  # where in the log each item ends, as far as it came
    # Empty if it came to its end; else "died"; "slow"; "open": an item left a group open; "changed": items changed what
    # the next ones would look like.
    reason: str


class Server:
    """One pdfTeX process.

    Args:
        packages: Of `preamble.LARGE`, those to load.

    Attributes:
        pid: The process that started it: in any other it must not be used.

    Raises:
        EngineError: It cannot be started; the message says why.
    """

    def __init__(self, packages: Collection[str] = ()) -> None:
        if os.name != "posix":
            raise EngineError(f"pdftex needs pipes with names, which {sys.platform} does not have")
        command = shutil.which("pdftex")
        if command is None:
            raise EngineError(f"pdftex is not installed: {INSTALL}")
        _clear_stale_folders()
        self.pid = os.getpid()
        self._nonce = secrets.token_hex(8)
        self._guard = "".join(secrets.choice(string.ascii_letters) for _ in range(10))
        self.number = secrets.randbelow(2**31 - 1)
        self._batches = 0
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            try:
                lock = _lock(folder)
                try:
                    self._open(folder, command, packages)
                    self._start()
                finally:
                    os.close(lock)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            raise EngineError(f"pdftex cannot be started: {error}") from error

    def _open(self, folder: Path, command: str, packages: Collection[str]) -> None:
        text = read_server(packages)
        for name, value in (("GUARD", self._guard), ("NONCE", self._nonce), ("NUMBER", str(self.number))):
            text = text.replace(name, value)
        (folder / "srv.tex").write_text(text)
        for name in ("gpr-in.tex", "srv.dvi", "srv.log"):
            os.mkfifo(folder / name, 0o600)
        pipes: list[int] = []
        try:
            # Open for both, the input blocks nobody when TeX is gone, and does not end when a batch does.
            for name, mode in (("gpr-in.tex", os.O_RDWR), ("srv.dvi", os.O_RDONLY), ("srv.log", os.O_RDONLY)):
                pipes.append(os.open(folder / name, mode | os.O_NONBLOCK | os.O_CLOEXEC))
                # Without privileges a user has a share of such memory: then a pipe stays as it is, only slower.
                with contextlib.suppress(OSError, AttributeError):
                    fcntl.fcntl(pipes[-1], fcntl.F_SETPIPE_SZ, _PIPE)
            self._input, self._dvi, self._log = pipes
            self._process = _launch(folder, command)
        except BaseException:
            for pipe in pipes:
                os.close(pipe)
            raise
        self._terminal = self._process.stdout.fileno()  # type: ignore[union-attr]
        os.set_blocking(self._terminal, False)
        self._end = weakref.finalize(self, _end, self._process, pipes)
        _servers.add(self)

    def _start(self) -> None:
        outcome = self._run([], "", time.monotonic() + _START_SECONDS)
        if not outcome.reason:
            self.first = outcome.pages
            return
        self.close()
        lacking = re.findall(r"gpr-missing (\S+)", outcome.log)
        if lacking:
            raise EngineError(f"pdftex has no {lacking[-1]}: {INSTALL}")
        if outcome.reason == "slow":
            raise EngineError(f"pdftex did not start within {_START_SECONDS:.0f} s")
        said = re.findall(r"^! .*|^.*(?:[Cc]an't|not found|No such file).*", outcome.log, re.MULTILINE)
        why = said[0] if said else outcome.log.strip()[-300:] or f"exit status {self._process.returncode}"
        raise EngineError(f"pdftex does not start ({why}); it needs: {INSTALL}")

    def abandon(self) -> None:
        """Let go of it without ending it."""
        if self._end.detach():
            for pipe in (self._input, self._dvi, self._log):
                os.close(pipe)
            if self._process.stdout:
                self._process.stdout.close()
            # It is not this process's child: nothing is to be waited for.
            self._process.returncode = 0

    @property
    def alive(self) -> bool:
        """Whether it is this process's and still runs."""
        return self.pid == os.getpid() and self._end.alive and self._process.poll() is None

    def run(self, calls: list[tuple[str, str]], careful: bool) -> Outcome:
        r"""Set items.

        Args:
            calls: The letter of a macro of `server.tex` (I of `\gprI`), and its arguments but the first, on one line.
            careful: Whether it is to be known of each item when it ended, at some cost; each then has `limits.SECONDS`.
        """
        guard = ("\\gprslow" if careful else "\\gpr") + self._guard
        own = self._guard
        text = "".join([f"\\gpr{macro}{own}{{{k}}}{rest}\n{guard} {k}.\n" for k, (macro, rest) in enumerate(calls)])
        # Without care an item that hangs is only noticed: whether it is too slow is then found with care.
        seconds = SECONDS if careful else SECONDS / 4 + _ITEM_SECONDS * len(calls)
        seconds += _CHEMISTRY_SECONDS * (text.count(r"\ce{") + text.count(r"\ch{"))
        return self._run(calls, text, time.monotonic() + seconds, careful)

    def _run(self, calls: list[tuple[str, str]], text: str, deadline: float, careful: bool = False) -> Outcome:
        self._batches += 1
        # Python lets half a pair of surrogates into a text; nothing else does.
        text += f"\\gprI{self._guard}{{-2}}{{{_SENTINEL}\n}}\n\\gprend{self._guard} {self._batches}.\n"
        rest = memoryview(text.encode("utf-8", "replace"))
        mark, last = self._nonce.encode(), f"{self._nonce} end{self._batches} ".encode()
        pages, log, said = bytearray(), bytearray(), bytearray()
        poll = select.poll()
        poll.register(self._log, select.POLLIN)
        looked, marked, reason = 0, -1, ""
        while True:
            if rest:
                with contextlib.suppress(BlockingIOError):
                    rest = rest[os.write(self._input, rest) :]
                if rest:
                    poll.register(self._input, select.POLLOUT)
                else:
                    poll.register(self._input, 0)
            events = dict(poll.poll(_LOOK_MS))
            ended = any(what & select.POLLHUP for what in events.values())
            if not events or ended or self._dvi in events:
                # Where its pages fill their pipe before the log says a word, TeX waits: then they are looked at too.
                if _drain(self._dvi, pages):
                    poll.register(self._dvi, select.POLLIN)
                _drain(self._terminal, said)
                ended = ended or self._process.poll() is not None
            _drain(self._log, log)
            if log.find(last, looked) >= 0:
                break
            looked = max(0, len(log) - len(last))
            if ended:
                # Its pipes close a moment before it is gone.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(1.0)
                reason = "died"
                break
            if careful and log.rfind(mark) > marked:
                deadline = time.monotonic() + SECONDS
                marked = log.rfind(mark)
            if time.monotonic() > deadline or len(log) + len(pages) > _MOST:
                reason = "slow"
                break
        _drain(self._dvi, pages)
        _drain(self._terminal, said)
        outcome = self._outcome(len(calls), bytes(pages), log.decode("utf-8", "replace"), reason)
        return outcome._replace(log=outcome.log + said.decode("utf-8", "replace")) if said else outcome

    def _outcome(self, count: int, pages: bytes, log: str, reason: str) -> Outcome:
        names = [*map(str, range(count)), f"end{self._batches}"]
        marks: list[int] = []
        at = 0
        for name in names:
            at = log.find(f"{self._nonce} {name} ", at)
            start = at + len(self._nonce) + len(name) + 2
            # The log of one that was killed may end anywhere.
            if at < 0 or len(log) < start + len(_CLOSED):
                # An item that swallowed the mark behind it, and what else stood there, has harmed its batch.
                reason = reason or "open"
                break
            if not log.startswith(_CLOSED, start):
                return Outcome(pages, log, marks, "open")
            marks.append(at)
        if len(marks) > count:
            # An error after the last item: the sentinel, or what is watched. Before the first it was in the preamble.
            end, before = marks.pop(), marks[-1] if marks else log.find("(./gpr-in")
            reason = "changed" if "\n! " in log[max(0, before) : end] else reason
        return Outcome(pages, log, marks, reason)

    def close(self) -> None:
        """End it."""
        self._end()


_servers: weakref.WeakSet[Server] = weakref.WeakSet()


def _launch(folder: Path, command: str) -> subprocess.Popen[bytes]:
    options = ["-output-format=dvi", "-fmt=latex", "-no-shell-escape", "-interaction=batchmode"]
    return subprocess.Popen(
        sandboxed([command, *options, "srv.tex"], folder, tex_trees()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        # The least that TeX takes: what it holds back is to be pushed out after each batch.
        env=environment(dvi_buf_size="800"),
        # A Ctrl-C at the terminal is for us.
        start_new_session=True,
    )


def _drain(pipe: int, into: bytearray) -> bool:
    """Read what there is, but for one who writes faster than that; whether there was any."""
    before = len(into)
    with contextlib.suppress(BlockingIOError):
        while len(into) - before < _MOST and (got := os.read(pipe, _PIPE)):
            into += got
    return len(into) > before


def _end(process: subprocess.Popen[bytes], pipes: list[int]) -> None:
    for pipe in pipes:
        os.close(pipe)
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def _abandon() -> None:
    """In the child of a fork: the servers are the parent's. Its ends of the pipes would keep them alive without it."""
    for server in list(_servers):
        server.abandon()
    _servers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon)


def _lock(folder: Path) -> int:
    """A lock that says somebody starts here; it is under its name only once it is held."""
    early = folder / "early"
    lock = os.open(early, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    early.rename(folder / "lock")
    return lock


def _clear_stale_folders() -> None:
    """Delete what processes left that were killed while they started TeX."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            try:
                lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                if time.time() - folder.stat().st_mtime > _YOUNG:
                    shutil.rmtree(folder)
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
