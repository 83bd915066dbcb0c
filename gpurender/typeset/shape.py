"""Shaping: a text becomes words, the spaces before them, tabs and line ends; a word is shaped by HarfBuzz once.

A word is what stands between spaces, tabs and line ends, or a part of that which is set in one font, script and
direction, whose letters join to those of the parts beside it; where a font kerns with its space glyph, that kerning is
lost. The cache is a hash table over growable arrays, filled in compiled code: an unseen word costs its own shaping and
nothing else.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit

from gpurender.typeset.breaks import line_breaks
from gpurender.typeset.characters import IGNORABLE, TRANSPARENT, character_kinds, joining_types, letters_and_digits
from gpurender.typeset.fallback import FontStack
from gpurender.typeset.harfbuzz import LEFT_TO_RIGHT, RIGHT_TO_LEFT, new_buffer, shape_run

__all__ = ["NEWLINE", "TAB", "Runs", "Tokens", "WordCache", "nearest_letter", "reserve"]

TAB, NEWLINE = -1, -2  # in place of a word

# Compiled code is kept by the date of the file it stands in: after a change to these numbers delete the *.nbi files, or
# what imports them goes on with the old ones.
# Columns of WordCache.glyphs, which all that is set runs through: glyph id; where it is drawn; what may happen before
# it. In reading order, and in 1/64 px, y upwards. In a word that reads from the right, X is from the right, leftwards.
ID, X, Y, BREAK = range(4)
# Columns of WordCache.details: the pen before a glyph; its control box from left to right, of no width if it has no
# ink; the character of the word that its cluster begins with.
PEN, XMIN, XMAX, FIRST = range(4)
# What may happen before a glyph: nothing, an emergency break (a cluster begins), a line break (UAX #14).
CLUSTER, OPPORTUNITY = 1, 2

# Columns of WordCache.words: run key; first character in the pool, and their number; first glyph and the one after the
# last; advance, and where ink may begin and end from left to right, 1/64 px; the first row with ink and the one after
# the last, px below the baseline; number of the font; flags. All of it in one row: a word's data lies in no near cache
# when the word comes up, so that each place it is read from costs as much as setting a glyph or two.
KEY, CODES, LENGTH, BEGIN, END, ADVANCE, LEFT, RIGHT, TOP, BOTTOM, FONT, FLAGS = range(12)

# Flags of a word: it has missing glyphs; it is too long to be kept, and has no glyphs; line breaks within; no break
# before it, nor after it, even where a space stands (UAX #14, LB13 to LB15); it begins or ends with a dash (LB17).
MISSING, ENDLESS, BREAKABLE, GLUED, GLUES, DASH_FIRST, DASH_LAST = 1, 2, 4, 8, 16, 32, 64
# Flags of a box in place of a word: it is one; it takes a line of its own.
BOX, DISPLAY = 128, 256
_HIGH, _LOW = np.uint64(0xFFFFFFFF00000000), np.uint64(0xFFFFFFFF)
LONGEST = 2**30  # 1/64 px: more than any page that can be rendered holds
_EM_DASH = 0x2014  # the only character of class B2 in plain text

# A run key: what a part of a word is set with. The number of its font (NO_FONT for what has none), its bidi level (7
# bits, the lowest its direction), one bit that tells neighbouring scripts, or boxes, apart, one that says that it
# stands in a text that is not plain, one that says that a box stands in its place, and one that says that its letters
# join to those of the words beside it: then the pool has the nearest letter before and after it, too.
NO_FONT = 0xFFFF
LEVEL = 16  # bits to shift
RTL, LEVELS, OTHER_SCRIPT, COMPLEX, BOXED, CONTEXT = 1 << LEVEL, 127 << LEVEL, 1 << 23, 1 << 24, 1 << 25, 1 << 26
REACH = 5  # characters that HarfBuzz looks beyond a run


class Runs(NamedTuple):
    """What each character of some texts is set with; empty arrays where all texts are plain."""

    keys: np.ndarray  # [K] uint32, run keys
    levels: np.ndarray  # [K] uint8, bidi embedding levels
    bases: np.ndarray  # [K] uint8, the paragraph's
    breaks: np.ndarray  # [K] uint8: 1 if a line may be broken before the character, 2 if no cluster begins with it
    complex: np.ndarray  # [N] bool: which texts the above is said of


class Tokens(NamedTuple):
    """The words, tabs and line ends of N texts, T in all."""

    words: np.ndarray  # [T] int32: word of the cache, `TAB` or `NEWLINE`
    begins: np.ndarray  # [T] int32: first character, in its text
    spaces: np.ndarray  # [T] int32: spaces before it
    starts: np.ndarray  # [N + 1] int64: each text's first token


@njit(inline="always")
def _is_newline(code):
    # UAX #14's mandatory breaks: LF, VT, FF, CR, NEL, line and paragraph separator.
    return 10 <= code <= 13 or code == 0x85 or code == 0x2028 or code == 0x2029


@njit(cache=True, nogil=True)
def _rehash(table, hashes, count):
    table[:] = 0
    mask = np.uint64(len(table) - 1)
    for word in range(count):
        slot = hashes[word] & mask
        while table[slot]:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = (hashes[word] & _HIGH) | np.uint64(word + 1)


@njit(cache=True, nogil=True)
def nearest_letter(codes, i, step, stop, types):
    """Return the code point from `i` on, `stop` left out, that letters join to or not; 0 for the edge of a word.

    Args:
        codes: [K] uint32.
        i: Where to begin.
        step: 1 to look ahead, -1 to look back; then `stop` is the last place.
        stop: Where the text ends.
        types: [0x110000] uint8, joining types.
    """
    for _ in range(REACH):
        if (step > 0 and i >= stop) or (step < 0 and i < stop) or codes[i] <= 32:
            break
        if types[codes[i]] != TRANSPARENT:
            return np.uint32(codes[i])
        i += step
    return np.uint32(0)


@njit(cache=True, nogil=True)
def _tokenize(
    codes, text_starts, keys, types, table, hashes, pool, used, entries, count, words, begins, spaces, starts
):
    """Split N texts into tokens and look their words up; unseen words are entered, unshaped, and counted.

    An entry of the table is a word's number, from 1, below the upper half of its hash; 0 for none. Indexes are unsigned
    throughout: numba makes negative ones wrap around, which takes longer than the rest.
    """
    one = np.uint64(1)
    mask = np.uint64(len(table) - 1)
    keyed = len(keys) > 0
    t, used = np.uint64(0), np.uint64(used)
    for n in range(len(text_starts) - 1):
        origin, stop = np.uint64(text_starts[n]), np.uint64(text_starts[n + 1])
        starts[n] = t
        i = origin
        gap = 0
        while i < stop:
            code = codes[i]
            if code == 32:
                gap += 1
                i += one
                continue
            begin = i
            i += one
            if code == 9 or _is_newline(code):
                if code == 13 and i < stop and codes[i] == 10:
                    i += one
                words[t] = TAB if code == 9 else NEWLINE
            else:
                key = keys[begin] if keyed else np.uint32(0)
                h = (np.uint64(14695981039346656037) ^ np.uint64(key)) * np.uint64(0x9E3779B97F4A7C15)
                h = (h ^ np.uint64(code)) * np.uint64(0x9E3779B97F4A7C15)
                h ^= h >> np.uint64(29)
                while i < stop:
                    code = codes[i]
                    # One comparison for nearly all that a word is made of.
                    if code <= 32:
                        if code == 32 or code == 9 or 10 <= code <= 13:
                            break
                    elif code == 0x85 or code == 0x2028 or code == 0x2029:
                        break
                    if keyed and keys[i] != key:
                        break
                    h = (h ^ np.uint64(code)) * np.uint64(0x9E3779B97F4A7C15)
                    h ^= h >> np.uint64(29)
                    i += one
                size = i - begin
                context, before, after = np.uint64(0), np.uint32(0), np.uint32(0)
                if keyed and key & np.uint32(CONTEXT):
                    context = one
                    before = nearest_letter(codes, np.int64(begin) - 1, -1, np.int64(origin), types)
                    after = nearest_letter(codes, np.int64(i), 1, np.int64(stop), types)
                    h = (h ^ np.uint64(before)) * np.uint64(0x9E3779B97F4A7C15)
                    h = (h ^ np.uint64(after)) * np.uint64(0x9E3779B97F4A7C15)
                    h ^= h >> np.uint64(29)
                slot = h & mask
                while True:
                    entry = table[slot]
                    if entry == 0:
                        word = np.uint64(count)
                        count += 1
                        table[slot] = (h & _HIGH) | (word + one)
                        hashes[word] = h
                        if context:
                            pool[used], pool[used + size + one] = before, after
                            used += one
                        for k in range(size):
                            pool[used + k] = codes[begin + k]
                        entries[word, KEY], entries[word, CODES], entries[word, LENGTH] = key, used, size
                        used += size + context
                        break
                    if (entry ^ h) & _HIGH == 0:
                        word = (entry & _LOW) - one
                        if np.uint64(entries[word, LENGTH]) == size and np.uint32(entries[word, KEY]) == key:
                            first = np.uint64(entries[word, CODES])
                            k = np.uint64(0)
                            while k < size and pool[first + k] == codes[begin + k]:
                                k += one
                            if k == size and (
                                not context or (pool[first - one] == before and pool[first + size] == after)
                            ):
                                break
                    slot = (slot + one) & mask
                words[t] = word
            begins[t] = begin - origin
            spaces[t] = gap
            gap = 0
            t += one
    starts[len(text_starts) - 1] = t
    return np.int64(t), count, np.int64(used)


@njit(cache=True, nogil=True)
def _shape_words(
    buffer, fonts, glyph_counts, notdefs, language, kinds, codes, first, count, entries, glyphs, details, used
):
    """Shape words [first, count) one by one, while there is room; returns the first not shaped and the rows in use."""
    length = np.zeros(1, np.uint32)
    room = len(glyphs)
    for word in range(first, count):
        begin = np.int64(entries[word, CODES])
        stop = begin + entries[word, LENGTH]
        key = np.uint32(entries[word, KEY])
        font, leftwards = key & np.uint32(NO_FONT), (key & np.uint32(RTL)) != 0
        flags, pen, number = 0, np.int64(0), np.int64(0)
        if key & np.uint32(BOXED):
            # A box takes its place.
            entries[word, FONT] = 0
        elif font == NO_FONT:
            if used + stop - begin > room:
                return word, used
            # The missing-glyph box of the font that was asked for.
            flags = MISSING
            entries[word, FONT] = 0
            number = stop - begin
            for k in range(number):
                glyphs[used + k, ID] = 0
                glyphs[used + k, X] = pen + notdefs[0] if leftwards else pen
                glyphs[used + k, Y] = 0
                details[used + k, PEN] = pen
                details[used + k, FIRST] = k
                glyphs[used + k, BREAK] = CLUSTER
                pen += notdefs[0]
                if pen >= LONGEST:
                    break
        else:
            direction = RIGHT_TO_LEFT if leftwards else LEFT_TO_RIGHT
            context = np.int64((key & np.uint32(CONTEXT)) != 0)
            infos, places = shape_run(buffer, fonts[font], codes, begin, stop, direction, language, length, context)
            number = np.int64(length[0])
            if used + number > room:
                return word, used
            entries[word, FONT] = font
            previous, shaped = np.int64(-1), number
            number = np.int64(0)
            for n in range(shaped):
                source = shaped - 1 - n if leftwards else n
                advance = np.int64(places[source, 0])
                cluster = np.int64(infos[source, 2])
                glyph = np.int64(infos[source, 0])
                # A damaged font may name glyphs that it does not have.
                glyph = glyph if glyph < glyph_counts[font] else 0
                if glyph == 0 and kinds[codes[begin + cluster]] == IGNORABLE:
                    # HarfBuzz hides most of these by itself, but not Hangul fillers and controls of shorthand.
                    continue
                k = number
                number += 1
                glyphs[used + k, ID] = glyph
                x = pen + advance - places[source, 2] if leftwards else pen + places[source, 2]
                glyphs[used + k, X] = max(-LONGEST, min(LONGEST, x))
                glyphs[used + k, Y] = places[source, 3]
                details[used + k, PEN] = pen
                details[used + k, FIRST] = cluster
                glyphs[used + k, BREAK] = CLUSTER if cluster != previous else 0
                previous = cluster
                if glyph == 0:
                    flags |= MISSING
                pen += advance
                if pen >= LONGEST:
                    break
        if pen >= LONGEST:
            flags, pen, number = ENDLESS, np.int64(0), np.int64(0)
        entries[word, FLAGS] = flags
        entries[word, ADVANCE] = pen
        entries[word, BEGIN] = used
        used += number
        entries[word, END] = used
    return count, used


@njit(cache=True, nogil=True)
def _measure(first, count, entries, glyphs, details, boxes):
    """Where words have ink, from the control boxes [G, 4] of the glyphs of words [first, count)."""
    origin = entries[first, BEGIN]
    for word in range(first, count):
        left, right, top, bottom = LONGEST, -LONGEST, LONGEST, -LONGEST
        leftwards = (np.uint32(entries[word, KEY]) & np.uint32(RTL)) != 0
        for g in range(entries[word, BEGIN], entries[word, END]):
            xmin, ymin, xmax, ymax = boxes[g - origin]
            if xmin >= xmax or ymin >= ymax:
                details[g, XMIN] = details[g, XMAX] = 0
                continue
            details[g, XMIN], details[g, XMAX] = xmin, xmax
            x = entries[word, ADVANCE] - glyphs[g, X] if leftwards else glyphs[g, X]
            left, right = min(left, x + xmin), max(right, x + xmax)
            # The row of the baseline as the renderer rounds it, a whole pixel.
            row = (32 - glyphs[g, Y]) >> 6
            top, bottom = min(top, row - ((ymax + 63) >> 6)), max(bottom, row - (ymin >> 6))
        entries[word, LEFT], entries[word, RIGHT] = left, right
        entries[word, TOP], entries[word, BOTTOM] = top, bottom


@njit(cache=True, nogil=True)
def _find_breakable(first, count, entries, pool, letters):
    """The plain words of [first, count) that hold more than letters and digits, [W] int64."""
    found = np.empty(count - first, np.int64)
    size = 0
    for word in range(first, count):
        # ICU has seen the texts of the others as a whole.
        if entries[word, KEY] == 0:
            start = entries[word, CODES]
            for i in range(start, start + entries[word, LENGTH]):
                if not letters[pool[i]]:
                    found[size] = word
                    size += 1
                    break
    return found[:size]


@njit(cache=True, nogil=True)
def _flag(words, breaks, lengths, offsets, entries, glyphs, details):
    """Enter the line breaks within words, as [B] character indexes at offsets [W + 1]."""
    for w in range(len(words)):
        word = words[w]
        k = offsets[w]
        for g in range(entries[word, BEGIN], entries[word, END]):
            if glyphs[g, BREAK] == CLUSTER:
                while k < offsets[w + 1] and breaks[k] < details[g, FIRST]:
                    k += 1
                if k < offsets[w + 1] and breaks[k] == details[g, FIRST] and 0 < breaks[k] < lengths[w]:
                    glyphs[g, BREAK] = OPPORTUNITY
                    entries[word, FLAGS] |= BREAKABLE


def reserve(array: np.ndarray, size: int) -> np.ndarray:
    """The array with room for `size` rows, doubled if it must grow."""
    if len(array) >= size:
        return array
    grown = np.empty((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


class WordCache:
    """The shaped words of one font stack. Not for use by two threads at once.

    It starts over, empty, when a call begins with more than `max_words` words or `16 * max_words` glyphs in it, so it
    holds at most that and one call's words: 78 MB with 131,072 words of 3 to 11 letters.

    Attributes:
        glyphs: [.., 4] int32, a word's in reading order; columns `ID` to `BREAK`.
        details: [.., 4] int32, more of the same glyphs; columns `PEN` to `FIRST`.
        words: [words, 12] int32; columns `KEY` to `FLAGS`.
        has_missing: Whether any word has missing glyphs.
        tallest, deepest: The first and last row of ink, from the baseline down, of words in the stack's first font.
    """

    def __init__(self, stack: FontStack, max_words: int, language: int) -> None:
        self.stack = stack
        self.max_words = max_words
        self._language = language
        self._buffer = new_buffer()
        self.clear()

    def clear(self) -> None:
        """Forget every word."""
        self._table = np.zeros(1024, np.uint64)
        self._hashes = np.empty(0, np.uint64)
        self._pool = np.empty(0, np.uint32)
        self._pooled = 0
        self._count = self._shaped = 0
        self._used = 0  # rows of glyphs
        self.words = np.empty((0, FLAGS + 1), np.int32)
        self.glyphs = np.empty((0, BREAK + 1), np.int32)
        self.details = np.empty((0, FIRST + 1), np.int32)
        self.has_missing = False
        self.tallest = self.deepest = 0
        self._boxes, self._ranges = np.empty((0, 4), np.float32), np.empty((0, 2), np.int32)
        self._scratch = [np.empty(0, np.int32) for _ in range(3)]

    def tokenize(self, codes: np.ndarray, text_starts: np.ndarray, keys: np.ndarray) -> Tokens:
        """Split texts into tokens, shaping what has not been seen.

        Args:
            codes: [K] uint32, the texts' code points, one text after another.
            text_starts: [N + 1] int64, each text's first code point.
            keys: [K] uint32, each character's run key; or none, where all are 0.

        Returns:
            The tokens, valid until the next call.
        """
        try:
            return self._tokenize(codes, text_starts, keys)
        except BaseException:
            # An interruption, or a font that fails: the table may name words that were never shaped.
            self.clear()
            raise

    def _tokenize(self, codes: np.ndarray, text_starts: np.ndarray, keys: np.ndarray) -> Tokens:
        if self._count > self.max_words or self._used > 16 * self.max_words:
            self.clear()
        # Room for the worst case, every character a word of its own, so that the loop need not grow anything.
        most = len(codes) if len(keys) else len(codes) // 2 + len(text_starts)
        room = self._count + most
        self._hashes = reserve(self._hashes, room)
        self.words = reserve(self.words, room)
        self._pool = reserve(self._pool, self._pooled + (3 * len(codes) if len(keys) else len(codes)))
        if len(self._table) < 2 * room:
            self._table = np.empty(1 << (2 * room - 1).bit_length(), np.uint64)
            _rehash(self._table, self._hashes, self._count)
        self._scratch = [reserve(array, len(codes)) for array in self._scratch]
        starts = np.empty(len(text_starts), np.int64)
        cache = (self._table, self._hashes, self._pool, self._pooled, self.words, self._count)
        total, self._count, self._pooled = _tokenize(
            codes, text_starts, keys, joining_types(), *cache, *self._scratch, starts
        )
        if self._count > self._shaped:
            self._shape_new()
        words, begins, spaces = (array[:total] for array in self._scratch)
        return Tokens(words, begins, spaces, starts)

    def _shape_new(self) -> None:
        """Shape the words entered but not yet shaped."""
        first, count = self._shaped, self._count
        used = start = self._used
        fonts = self.stack.fonts
        notdefs = np.array([font.shaper.advance(0) for font in fonts[:1]], np.int64)
        need = int(self.words[first:count, LENGTH].sum())
        word = first
        while True:
            self.glyphs, self.details = reserve(self.glyphs, used + need), reserve(self.details, used + need)
            source = (
                self._buffer,
                self.stack.pointers,
                self.stack.glyph_counts,
                notdefs,
                self._language,
                character_kinds(),
                self._pool,
            )
            target = (self.words, self.glyphs, self.details)
            word, used = _shape_words(*source, word, count, *target, used)
            if word == count:
                break
            # More glyphs than characters.
            need = 2 * (need + len(self.glyphs) - used)

        new = slice(first, count)
        rows = self.glyphs[start:used]
        boxes = np.empty((used - start, 4), np.int32)
        owners = np.repeat(self.words[new, FONT], self.words[new, END] - self.words[new, BEGIN])
        for number in np.unique(owners).tolist():
            boxes[owners == number] = fonts[number].ink(rows[owners == number, ID])
        _measure(first, count, self.words, self.glyphs, self.details, boxes)
        self._break_new(first, count)
        rows = self.words[new][self.words[new, FONT] == 0]
        if len(rows):
            self.tallest = min(self.tallest, int(rows[:, TOP].min()))
            self.deepest = max(self.deepest, int(rows[:, BOTTOM].max()))
        self.has_missing = self.has_missing or bool((self.words[new, FLAGS] & MISSING).any())
        self._shaped, self._used = count, used

    def _break_new(self, first: int, count: int) -> None:
        """Find where ICU breaks plain words, and whether it breaks between them and their neighbours."""
        words = _find_breakable(first, count, self.words, self._pool, letters_and_digits())
        if not len(words):
            return
        texts = []
        for start, length in self.words[words, CODES : LENGTH + 1].tolist():
            codes = self._pool[start : start + length]
            texts.append(codes.tobytes().decode("utf-32-le", "surrogatepass"))
        # Each between two words, on a line of its own: what stands on other lines does not matter.
        found = line_breaks("".join(f"a {text} a\n" for text in texts))
        lengths = np.array([len(text) for text in texts], np.int64)
        begins = np.concatenate([[0], np.cumsum(lengths + 5)])[:-1] + 2
        offsets = np.searchsorted(found, begins, "right")
        ends = np.searchsorted(found, begins + lengths)
        flags = np.where(found[offsets - 1] == begins, 0, GLUED)
        flags |= np.where(found[np.minimum(ends, len(found) - 1)] == begins + lengths + 1, 0, GLUES)
        flags |= np.array([DASH_FIRST * (ord(text[0]) == _EM_DASH) for text in texts])
        flags |= np.array([DASH_LAST * (ord(text[-1]) == _EM_DASH) for text in texts])
        self.words[words, FLAGS] |= flags.astype(np.int32)
        inner = [found[a:b] - begin for a, b, begin in zip(offsets, ends, begins, strict=True)]
        bounds = np.concatenate([[0], np.cumsum(ends - offsets)])
        target = (self.words, self.glyphs, self.details)
        _flag(words, np.concatenate(inner), lengths, bounds, *target)

    def place_boxes(self, tokens: Tokens, places: np.ndarray, rows: np.ndarray) -> int:
        """Let boxes take the place of tokens, until the next call; returns the word number of the first.

        Args:
            tokens: Of the last call.
            places: [B] int64, tokens.
            rows: [B, 12] int32, as in `words`, of the boxes.
        """
        first = self._count
        self.words = reserve(self.words, first + len(rows))
        self.words[first : first + len(rows)] = rows
        tokens.words[places] = np.arange(first, first + len(rows))
        return first

    def room(self, pieces: int) -> tuple[np.ndarray, np.ndarray]:
        """Room for the boxes [.., 4] and ranges [.., 2] of so many pieces of words, the same in each call."""
        self._boxes, self._ranges = reserve(self._boxes, pieces), reserve(self._ranges, pieces)
        return self._boxes, self._ranges

    def missing(self, word: int) -> list[tuple[int, int]]:
        """The character ranges of a word that its missing glyphs stand for."""
        _, _, length, begin, end = self.words[word, : END + 1].tolist()
        rows = slice(begin, end)
        firsts = self.details[rows, FIRST]
        ends = dict(pairwise([*sorted(set(firsts.tolist())), length]))
        lost = sorted(set(firsts[self.glyphs[rows, ID] == 0].tolist()))
        return [(first, ends[first]) for first in lost]
