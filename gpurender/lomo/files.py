"""Input files: records out of JSONL, a JSON array or parquet, told by their content; plain, gzip or zstandard."""

from __future__ import annotations

import errno
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gpurender.lomo.records import RecordError

__all__ = ["InputError", "RawRecord", "check_file", "read_records"]

LOOK = 1 << 16  # bytes of a file that are looked at to tell what it is
ROWS = 64  # of a parquet file, read at a time

EXPECTED = "JSONL (one object a line), a JSON array of objects, either of them in gzip or zstandard, or parquet"
_BOM = b"\xef\xbb\xbf"
_GZIP = re.compile(rb"\x1f\x8b")
# A frame, or a frame to be skipped, which some writers put first.
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
_PARQUET = re.compile(rb"PAR1")
_OBJECT_LINE = re.compile(rb"^[ \t]*\{", re.MULTILINE)
_BLANK = re.compile(r"[ \t\r\n]*")


class InputError(OSError):
    """An input file cannot be read; the message says why and what was expected."""


class RawRecord(NamedTuple):
    """A record as it lies in a file.

    Attributes:
        number: Of its line, or, in an array or a table, its place, from 1.
        data: Its JSON, which may be broken; or, from parquet, the row, or what is wrong with it.
        position: How many of the file's bytes have been read by then, about.
    """

    number: int
    data: bytes | dict[str, Any] | RecordError
    position: int


def check_file(path: Path) -> None:
    """Raise :class:`InputError` if a file is none of the kinds that are read, or what reads it is not installed."""
    with _opened(path) as (kind, _, _):
        if kind == "parquet":
            with _table(path):
                pass


def read_records(path: Path) -> Iterator[RawRecord]:
    """The records of a file, in order. Blank lines are left out, a byte order mark is dropped.

    JSONL and parquet are read a little at a time; a JSON array is held as text while its records are handed out.

    Raises:
        InputError: The file is none of the kinds that are read, ends too early, or is broken as a whole. A broken line
            or element is handed out like any other.
    """
    with _opened(path) as (kind, raw, stream):
        if kind == "parquet":
            yield from _rows(path)
        elif kind == "json":
            yield from _elements(path, stream)
        else:
            yield from _lines(path, raw, stream)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, io.BufferedReader, io.BufferedReader]]:
    """What kind of file it is, the file, and its content: the same where nothing is compressed."""
    raw: io.BufferedReader = io.BufferedReader(io.FileIO(path), LOOK)
    with raw:
        head = raw.peek(LOOK)
        stream, where = raw, ""
        if _GZIP.match(head):
            stream, where = io.BufferedReader(gzip.GzipFile(fileobj=raw), LOOK), " in gzip"
        elif _ZSTD.match(head):
            stream, where = io.BufferedReader(_Zstandard(raw, path), LOOK), " in zstandard"
        elif _PARQUET.match(head):
            yield "parquet", raw, raw
            return
        with _named(path, "is broken", gzip.BadGzipFile, zlib.error, EOFError):
            head = stream.peek(LOOK)
            yield _kind(path, head, where), raw, stream


def _kind(path: Path, head: bytes, where: str) -> str:
    text = head.removeprefix(_BOM).lstrip(b" \t\r\n")
    if not text:
        raise _error(path, f"is empty{where}, or begins with nothing but blanks")
    if text.startswith(b"["):
        return "json"
    # A file whose first line is broken is JSONL all the same, if a later one begins as an object does.
    if text.startswith(b"{") or (b"\0" not in text and _OBJECT_LINE.search(text)):
        return "jsonl"
    raise _error(path, f"is no file of records{where}: it begins with {text[:12]!r}; expected {EXPECTED}")


def _lines(path: Path, raw: io.BufferedReader, stream: io.BufferedReader) -> Iterator[RawRecord]:
    # A pipe cannot tell where it is.
    tell = raw.tell if raw.seekable() else int
    for number, line in enumerate(stream, 1):
        text = line.removeprefix(_BOM) if number == 1 else line
        if text.strip():
            yield RawRecord(number, text, tell())


def _elements(path: Path, stream: io.BufferedReader) -> Iterator[RawRecord]:
    """The text of each element: read as JSON only where it is used, so that what is wrong in one stays there."""
    size = max(path.stat().st_size, 1)
    try:
        text = stream.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(path, f"is not UTF-8 at byte {error.start}") from None
    # Numbers are not turned into any: a huge one would stop the walk.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)

    def after(at: int) -> int:
        match = _BLANK.match(text, at)
        return match.end() if match else at

    at, number = after(text.index("[") + 1), 0
    try:
        while number or text[at : at + 1] != "]":
            number += 1
            _, stop = decoder.raw_decode(text, at)
            yield RawRecord(number, text[at:stop].encode(), size * stop // len(text))
            at = after(stop)
            if text[at : at + 1] != ",":
                break
            at = after(at + 1)
        if text[at : at + 1] != "]" or after(at + 1) != len(text):
            raise json.JSONDecodeError("Expecting ',' or ']', and nothing after the array", text, at)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _error(path, f"is not a JSON array, element {number}: {error}") from None


def _rows(path: Path) -> Iterator[RawRecord]:
    size, number = path.stat().st_size, 0
    with _table(path) as table:
        for batch in table.iter_batches(batch_size=ROWS):
            for row in _values(batch):
                number += 1
                yield RawRecord(number, row, size * number // table.metadata.num_rows)


def _values(batch: Any) -> list[dict[str, Any] | RecordError]:
    """A batch's rows as Python has them, or what is wrong with one that it cannot have."""
    import pyarrow

    for i, field in enumerate(batch.schema):
        # As pandas writes them; Python's own times have microseconds.
        if pyarrow.types.is_timestamp(field.type) and field.type.unit == "ns":
            times = batch.column(i).cast(pyarrow.timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(i, field.name, times)
    try:
        return list(batch.to_pylist())
    except (pyarrow.ArrowException, OverflowError, ValueError) as error:
        if len(batch) == 1:
            return [RecordError(f"the row cannot be read: {error}")]
        return [row for i in range(len(batch)) for row in _values(batch.slice(i, 1))]


@contextmanager
def _table(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise _error(path, 'is parquet; to read it: pip install "gpurender[data]"') from None
    broken = _named(path, "is broken parquet", pyarrow.ArrowException, OSError, ValueError)
    with broken, pyarrow.parquet.ParquetFile(path) as table:
        yield table


class _Zstandard(io.RawIOBase):
    """The content of a zstandard file; unlike the library's own reader it knows a file that ends too early."""

    def __init__(self, raw: io.BufferedReader, path: Path) -> None:
        try:
            import zstandard
        except ImportError:
            raise _error(path, 'is compressed with zstandard; to read it: pip install "gpurender[data]"') from None
        self._raw, self._path, self._library = raw, path, zstandard
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._fresh = True
        self._read = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        while not self._ready:
            self._read = self._read or self._raw.read(LOOK)
            if not self._read:
                if self._fresh:
                    return 0
                raise _error(self._path, "is broken: Compressed file ended before the end of its frame")
            try:
                self._ready, self._fresh = memoryview(self._frame.decompress(self._read)), False
            except self._library.ZstdError as error:
                raise _error(self._path, f"is broken: {error}") from None
            self._read = b""
            if self._frame.eof:
                self._read = self._frame.unused_data
                self._frame, self._fresh = self._library.ZstdDecompressor().decompressobj(), True
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count


@contextmanager
def _named(path: Path, what: str, *errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except errors as error:
        raise _error(path, f"{what}: {error}") from None


def _error(path: Path, message: str) -> InputError:
    return InputError(errno.EINVAL, f"input {message}", str(path))
