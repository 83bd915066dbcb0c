"""Where a text may be cut: ICU's line, sentence and grapheme boundaries, by its C functions, which icu4py carries.

icu4py itself hands out a Python object a boundary: 100 us for 360 Chinese characters, where ICU takes 15.
"""

from __future__ import annotations

import ctypes
import re

import numpy as np
from icu4py import breakers
from numba import njit, types

from gpurender.typeset.native import external, function

__all__ = ["LIBRARY", "VERSION", "grapheme_breaks", "line_breaks", "sentence_breaks"]

_CHARACTER, _LINE, _SENTENCE = 0, 2, 3  # UBreakIteratorType
_SURROGATE = re.compile("[\ud800-\udfff]")


def _load() -> tuple[ctypes.CDLL, str]:
    """The library that icu4py is linked with, and how its functions' names end: with ICU's version."""
    # A handle of the extension module finds what its libraries export.
    library = ctypes.CDLL(breakers.__file__)
    for version in range(99, 59, -1):
        if hasattr(library, f"ubrk_open_{version}"):
            return library, f"_{version}"
    raise ImportError("icu4py is linked with no ICU whose functions can be found; pip install --force-reinstall icu4py")


LIBRARY, VERSION = _load()
_POINTER = ctypes.c_void_p
_open = function(
    LIBRARY, "ubrk_open" + VERSION, _POINTER, ctypes.c_int, ctypes.c_char_p, _POINTER, ctypes.c_int32, _POINTER
)
_set_text = external(
    LIBRARY, "ubrk_setText", types.void, types.intp, types.intp, types.int32, types.intp, suffix=VERSION
)
_next = external(LIBRARY, "ubrk_next", types.int32, types.intp, suffix=VERSION)
_iterators: dict[int, int] = {}


@njit(cache=True)
def _walk(iterator, units, ends):
    """The ends of a text's pieces, as code points, from its UTF-16 units; returns their number, or -1 if ICU fails."""
    status = np.zeros(1, np.int32)
    _set_text(iterator, units.ctypes.data, len(units), status.ctypes.data)
    if status[0] > 0:
        return -1
    count, at, extra = 0, 0, 0
    while True:
        end = _next(iterator)
        if end < 0:
            return count
        while at < end:
            # The second half of a pair is no code point of its own.
            extra += 0xDC00 <= units[at] < 0xE000
            at += 1
        ends[count] = end - extra
        count += 1


def _ends(kind: int, text: str) -> np.ndarray:
    iterator = _iterators.get(kind)
    if iterator is None:
        status = ctypes.c_int32(0)
        iterator = _iterators[kind] = _open(kind, b"root", None, 0, ctypes.byref(status))
        if status.value > 0:
            raise RuntimeError(f"ICU cannot open its rules for boundaries (error {status.value})")
    try:
        data = text.encode("utf-16-le")
    except UnicodeEncodeError:
        # U+FFFD breaks as a lone surrogate does and keeps every index.
        data = _SURROGATE.sub("\ufffd", text).encode("utf-16-le")
    units = np.frombuffer(data, np.uint16)
    ends = np.empty(len(text), np.int64)
    count = _walk(iterator, units, ends)
    if count < 0:
        raise RuntimeError("ICU cannot find boundaries in a text")
    return ends[:count]


def line_breaks(text: str) -> np.ndarray:
    """The ends of the pieces between which a line may be broken (UAX #14), the text's own end included, [B] int64."""
    return _ends(_LINE, text)


def sentence_breaks(text: str) -> np.ndarray:
    """The ends of the sentences (UAX #29), the text's own end included; it breaks after abbreviations ("Dr. Smith").

    ICU can know English ones (`@ss=standard`), but needs 0.5 ms more a text for them.
    """
    return _ends(_SENTENCE, text)


def grapheme_breaks(text: str) -> np.ndarray:
    """The ends of the grapheme clusters (UAX #29), the text's own end included."""
    return _ends(_CHARACTER, text)
