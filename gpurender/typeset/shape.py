"""Shaping: a text becomes words, spaces, tabs and line ends; a word is shaped by HarfBuzz once, on first sight.

A word is what stands between spaces, tabs and line ends; where a font kerns with its space glyph, that kerning is lost.
The cache is a hash table over growable arrays: an unseen word costs its own shaping and nothing else.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import uharfbuzz
from numba import njit

from gpurender.typeset.breaks import line_breaks
from gpurender.typeset.fonts import Font

__all__ = ["NEWLINE", "SPACE", "TAB", "WORD", "Tokens", "WordCache", "reserve"]

WORD, SPACE, TAB, NEWLINE = 0, 1, 2, 3

# Columns of WordCache.glyphs: glyph id, pen before it, where it is drawn, its control box (xMin, yMin, xMax, yMax), the
# character of the word that its cluster begins with, and what may happen before it.
ID, PEN, X, Y, XMIN, YMIN, XMAX, YMAX, FIRST, BREAK = range(10)

# What may happen before a glyph: nothing, an emergency break (a cluster begins), a line break (UAX #14).
CLUSTER, OPPORTUNITY = 1, 2

# Flags of a word: it has missing glyphs; right-to-left characters; glyphs in reverse order of their characters; it is
# too long to be kept, and has no glyphs.
MISSING, RIGHT_TO_LEFT, BACKWARDS, ENDLESS = 1, 2, 4, 8
LONGEST = 2**30  # 1/64 px: more than any page that can be rendered holds
_BIDI = frozenset({"R", "AL", "RLE", "RLO", "RLI"})


class Tokens(NamedTuple):
    """The words, spaces, tabs and line ends of N texts, T in all."""

    kinds: np.ndarray  # [T] uint8
    begins: np.ndarray  # [T] int32: first character, in its text
    lengths: np.ndarray  # [T] int32: characters
    words: np.ndarray  # [T] int32: word of the cache, for WORD; else -1
    starts: np.ndarray  # [N + 1] int64: each text's first token


@njit(cache=True, nogil=True)
def _find(codes, begin, stop, table, hashes, code_starts, pool):
    """A word's slot in the table and its hash; the slot holds -1 if the word is new."""
    h = np.uint64(14695981039346656037)
    for i in range(begin, stop):
        h = (h ^ np.uint64(codes[i])) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(29)
    mask = np.uint64(len(table) - 1)
    slot = np.int64(h & mask)
    while True:
        word = table[slot]
        if word < 0:
            return slot, h
        if hashes[word] == h and code_starts[word + 1] - code_starts[word] == stop - begin:
            first = code_starts[word]
            same = True
            for i in range(stop - begin):
                if pool[first + i] != codes[begin + i]:
                    same = False
                    break
            if same:
                return slot, h
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)


@njit(cache=True, nogil=True)
def _rehash(table, hashes, count):
    table[:] = -1
    mask = np.uint64(len(table) - 1)
    for word in range(count):
        slot = np.int64(hashes[word] & mask)
        while table[slot] >= 0:
            slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
        table[slot] = word


@njit(cache=True, nogil=True)
def _is_newline(code):
    # UAX #14's mandatory breaks: LF, VT, FF, CR, NEL, line and paragraph separator.
    return 10 <= code <= 13 or code == 0x85 or code == 0x2028 or code == 0x2029


@njit(cache=True, nogil=True)
def _tokenize(codes, text_starts, table, hashes, code_starts, pool, count, kinds, begins, lengths, words, starts):
    """Split N texts into tokens and look their words up; unseen words are entered, unshaped, and counted."""
    t = 0
    for n in range(len(text_starts) - 1):
        origin, stop = text_starts[n], text_starts[n + 1]
        starts[n] = t
        i = origin
        while i < stop:
            begin = i
            code = codes[i]
            i += 1
            words[t] = -1
            if code == 32:
                while i < stop and codes[i] == 32:
                    i += 1
                kinds[t] = SPACE
            elif code == 9:
                kinds[t] = TAB
            elif _is_newline(code):
                if code == 13 and i < stop and codes[i] == 10:
                    i += 1
                kinds[t] = NEWLINE
            else:
                while i < stop and codes[i] != 32 and codes[i] != 9 and not _is_newline(codes[i]):
                    i += 1
                kinds[t] = WORD
                slot, h = _find(codes, begin, i, table, hashes, code_starts, pool)
                word = table[slot]
                if word < 0:
                    word = count
                    count += 1
                    table[slot] = word
                    hashes[word] = h
                    first = code_starts[word]
                    for k in range(i - begin):
                        pool[first + k] = codes[begin + k]
                    code_starts[word + 1] = first + i - begin
                words[t] = word
            begins[t] = begin - origin
            lengths[t] = i - begin
            t += 1
    starts[len(text_starts) - 1] = t
    return t, count


def reserve(array: np.ndarray, size: int) -> np.ndarray:
    """The array with room for `size` rows, doubled if it must grow."""
    if len(array) >= size:
        return array
    grown = np.empty((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


class WordCache:
    """The shaped words of one font. Not for use by two threads at once.

    It starts over, empty, when a call begins with more than `max_words` words or `16 * max_words` glyphs in it, so it
    holds at most that and one call's words: 85 MB with 131,072 words of 3 to 11 letters.

    Attributes:
        glyphs: [.., 10] int32, a word's in visual order; columns `ID` to `BREAK`. Lengths are in 1/64 px relative to
            the word's origin, y upwards. A row a glyph, since the line breaker reads all of it.
        glyph_starts: [words + 1] int64, each word's first glyph.
        advances: [words] int32, 1/64 px.
        flags: [words] uint8, `MISSING`, `RIGHT_TO_LEFT`, `BACKWARDS`, `ENDLESS`.
        flagged: Whether any word has a flag.
        missing: Of each word with missing glyphs, the character ranges they stand for.
    """

    def __init__(self, font: Font, max_words: int) -> None:
        self.font = font
        self.max_words = max_words
        self._buffer = uharfbuzz.Buffer()
        self.clear()

    def clear(self) -> None:
        """Forget every word."""
        self._table = np.full(1024, -1, np.int32)
        self._hashes = np.empty(0, np.uint64)
        self._pool = np.empty(0, np.uint32)
        self._code_starts = np.zeros(1, np.int64)
        self._count = self._shaped = 0
        self.glyph_starts = np.zeros(1, np.int64)
        self.advances = np.empty(0, np.int32)
        self.flags = np.empty(0, np.uint8)
        self.flagged = False
        self.missing: dict[int, list[tuple[int, int]]] = {}
        self.glyphs = np.empty((0, BREAK + 1), np.int32)

    def tokenize(self, codes: np.ndarray, text_starts: np.ndarray) -> Tokens:
        """Split texts into tokens, shaping what has not been seen.

        Args:
            codes: [K] uint32, the texts' code points, one text after another.
            text_starts: [N + 1] int64, each text's first code point.
        """
        try:
            return self._tokenize(codes, text_starts)
        except BaseException:
            # An interruption, or a font that fails: the table may name words that were never shaped.
            self.clear()
            raise

    def _tokenize(self, codes: np.ndarray, text_starts: np.ndarray) -> Tokens:
        if self._count > self.max_words or self.glyph_starts[self._shaped] > 16 * self.max_words:
            self.clear()
        # Room for the worst case, every second character a word of its own, so that the loop need not grow anything.
        room = self._count + len(codes) // 2 + len(text_starts)
        self._hashes = reserve(self._hashes, room)
        self._code_starts = reserve(self._code_starts, room + 1)
        self._pool = reserve(self._pool, int(self._code_starts[self._count]) + len(codes))
        if len(self._table) < 2 * room:
            self._table = np.empty(1 << (2 * room - 1).bit_length(), np.int32)
            _rehash(self._table, self._hashes, self._count)

        size = len(codes)
        kinds, begins, lengths = np.empty(size, np.uint8), np.empty(size, np.int32), np.empty(size, np.int32)
        words, starts = np.empty(size, np.int32), np.empty(len(text_starts), np.int64)
        cache = (self._table, self._hashes, self._code_starts, self._pool, self._count)
        total, self._count = _tokenize(codes, text_starts, *cache, kinds, begins, lengths, words, starts)
        if self._count > self._shaped:
            self._shape_new()
        return Tokens(kinds[:total], begins[:total], lengths[:total], words[:total], starts)

    def _shape_new(self) -> None:
        """Shape the words entered but not yet shaped."""
        rows: list[tuple[int, ...]] = []
        counts, advances, flags = [], [], []
        for word in range(self._shaped, self._count):
            codes = self._pool[self._code_starts[word] : self._code_starts[word + 1]]
            advance, flag = self._shape(word, codes.tolist(), rows)
            counts.append(len(rows))
            advances.append(advance)
            flags.append(flag)
        first, used = self._shaped, int(self.glyph_starts[self._shaped])

        self.glyph_starts = reserve(self.glyph_starts, self._count + 1)
        self.advances = reserve(self.advances, self._count)
        self.flags = reserve(self.flags, self._count)
        self.glyphs = reserve(self.glyphs, used + len(rows))
        self.glyph_starts[first + 1 : self._count + 1] = np.array(counts) + used
        self.advances[first : self._count] = advances
        self.flags[first : self._count] = flags
        self.flagged = self.flagged or any(flags)
        if rows:
            self.glyphs[used : used + len(rows)] = rows
        self._shaped = self._count

    def _shape(self, word: int, codes: list[int], rows: list[tuple[int, ...]]) -> tuple[int, int]:
        """Shape one word, append its glyphs, and return its advance and flags."""
        buffer = self._buffer
        buffer.reset()
        # add_str would turn a lone surrogate into a real glyph.
        buffer.add_codepoints(codes)
        buffer.guess_segment_properties()
        uharfbuzz.shape(self.font.shaper, buffer)
        glyphs = [(info.codepoint, info.cluster) for info in buffer.glyph_infos]
        text = "".join(map(chr, codes))
        # A plain ASCII word has no line break within.
        inner = set() if text.isascii() and text.isalnum() else set(line_breaks(text))
        begin, pen, previous = len(rows), 0, -1
        for (glyph, cluster), (dx, dy, advance, _) in zip(
            glyphs, (p.position for p in buffer.glyph_positions), strict=True
        ):
            kind = 0 if cluster == previous else OPPORTUNITY if cluster in inner else CLUSTER
            rows.append((glyph, pen, pen + dx, dy, *self.font.ink(glyph), cluster, kind))
            pen += advance
            previous = cluster
        flags = BACKWARDS if buffer.direction == "rtl" else 0
        if not text.isascii() and not _BIDI.isdisjoint(map(unicodedata.bidirectional, text)):
            flags |= RIGHT_TO_LEFT
        if pen >= LONGEST:
            del rows[begin:]
            return 0, ENDLESS
        if any(glyph == 0 for glyph, _ in glyphs):
            flags |= MISSING
            ends = dict(pairwise([*sorted({cluster for _, cluster in glyphs}), len(codes)]))
            lost = sorted({cluster for glyph, cluster in glyphs if glyph == 0})
            self.missing[word] = [(cluster, ends[cluster]) for cluster in lost]
        return pen, flags
