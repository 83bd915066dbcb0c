"""Which way each character runs, and in which order a line shows them: the Unicode Bidirectional Algorithm (UAX #9).

Rules P2 to L1 give every character an embedding level, before lines are broken; L2 then orders each line. All of it is
linear in the text's length, whatever the text: nesting ends at level 125, and brackets at 63 open ones.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import regex
from numba import njit

__all__ = ["bidi_classes", "needs_bidi", "order_line", "resolve_levels", "visual_order"]

# Bidi_Class. A direction, L or R, is also the parity of the levels that run that way.
L, R, AL, EN, ES, ET, AN, CS, NSM, BN, B, S, WS, ON, LRE, LRO, RLE, RLO, PDF, LRI, RLI, FSI, PDI = range(23)
_NAMES = "L R AL EN ES ET AN CS NSM BN B S WS ON LRE LRO RLE RLO PDF LRI RLI FSI PDI".split()  # noqa: SIM905

# Sets of classes, a bit each.
_INITIATORS = 1 << LRI | 1 << RLI | 1 << FSI
_ISOLATES = _INITIATORS | 1 << PDI
_EMBEDDINGS = 1 << LRE | 1 << LRO | 1 << RLE | 1 << RLO
_NEUTRALS = 1 << B | 1 << S | 1 << WS | 1 << ON | _ISOLATES
_REMOVED = _EMBEDDINGS | 1 << PDF | 1 << BN
_MATTER = 1 << R | 1 << AL | 1 << AN | _EMBEDDINGS | 1 << PDF | _ISOLATES

_MAX_DEPTH, _MAX_OPEN = 125, 63
_UNKNOWN = 2

# The classes of code points that are not assigned, where they are not L: the @missing lines of DerivedBidiClass.txt,
# Unicode 15.0, and then its boundary-neutral ones (default ignorable, or not a character).
_UNASSIGNED = (
    (0x0590, 0x05FF, R), (0x0600, 0x07BF, AL), (0x07C0, 0x085F, R), (0x0860, 0x08FF, AL), (0x20A0, 0x20CF, ET),
    (0xFB1D, 0xFB4F, R), (0xFB50, 0xFDCF, AL), (0xFDF0, 0xFDFF, AL), (0xFE70, 0xFEFF, AL), (0x10800, 0x10CFF, R),
    (0x10D00, 0x10D3F, AL), (0x10D40, 0x10EBF, R), (0x10EC0, 0x10EFF, AL), (0x10F00, 0x10F2F, R),
    (0x10F30, 0x10F6F, AL), (0x10F70, 0x10FFF, R), (0x1E800, 0x1EC6F, R), (0x1EC70, 0x1ECBF, AL), (0x1ECC0, 0x1ECFF, R),
    (0x1ED00, 0x1ED4F, AL), (0x1ED50, 0x1EDFF, R), (0x1EE00, 0x1EEFF, AL), (0x1EF00, 0x1EFFF, R),
    (0x2065, 0x2065, BN), (0xFDD0, 0xFDEF, BN), (0xFFF0, 0xFFF8, BN), (0xE0000, 0xE0FFF, BN),
)  # fmt: skip

# BidiBrackets.txt, Unicode 16.0: the opening brackets; most closing brackets are the next code point.
_OPENING = (
    0x28, 0x5B, 0x7B, 0xF3A, 0xF3C, 0x169B, 0x2045, 0x207D, 0x208D, 0x2308, 0x230A, 0x2329, *range(0x2768, 0x2776, 2),
    0x27C5, *range(0x27E6, 0x27F0, 2), *range(0x2983, 0x298D, 2), 0x298D, 0x298F, *range(0x2991, 0x2999, 2), 0x29D8,
    0x29DA, 0x29FC, *range(0x2E22, 0x2E2A, 2), *range(0x2E55, 0x2E5D, 2), *range(0x3008, 0x3012, 2),
    *range(0x3014, 0x301C, 2), 0xFE59, 0xFE5B, 0xFE5D, 0xFF08, 0xFF3B, 0xFF5B, 0xFF5F, 0xFF62,
)  # fmt: skip
_CLOSING = {0x5B: 0x5D, 0x7B: 0x7D, 0x298D: 0x2990, 0x298F: 0x298E, 0xFF3B: 0xFF3D, 0xFF5B: 0xFF5D}
_SAME = {0x2329: 0x3008, 0x232A: 0x3009}  # canonically equivalent


@cache
def bidi_classes() -> np.ndarray:
    """The Bidi_Class of every code point, [0x110000] uint8, as the constants `L` to `PDI`; read-only.

    Assigned characters are those of `regex`'s Unicode version; other code points have the standard's default classes,
    and lone surrogates are L.
    """
    table = np.full(0x110000, L, np.uint8)
    # Planes 2 to 13, 15 and 16 hold nothing but L, but for the noncharacters.
    for first, stop in ((0, 0xD800), (0xE000, 0x20000), (0xE0000, 0xE1000)):
        text = np.arange(first, stop, dtype="<u4").tobytes().decode("utf-32-le")
        for number in range(R, PDI + 1):
            for match in regex.finditer(rf"\p{{bc={_NAMES[number]}}}+", text):
                table[first + match.start() : first + match.end()] = number
        # regex has its own idea of what is not assigned.
        unassigned = np.zeros(0x110000, bool)
        for match in regex.finditer(r"\p{Cn}+", text):
            unassigned[first + match.start() : first + match.end()] = True
        table[unassigned] = L
        for begin, last, number in _UNASSIGNED:
            span = slice(begin, last + 1)
            table[span][unassigned[span]] = number
    table.reshape(17, 0x10000)[:, 0xFFFE:] = BN
    table.flags.writeable = False
    return table


@cache
def _brackets() -> np.ndarray:
    """[0x10000] uint8: 0, or a number per pair, odd for its opening bracket and one more for its closing bracket."""
    table = np.zeros(0x10000, np.uint8)
    for k, code in enumerate(_OPENING):
        table[code] = 2 * k + 1
        table[_CLOSING.get(code, code + 1)] = 2 * k + 2
    for code, same in _SAME.items():
        table[code] = table[same]
    table.flags.writeable = False
    return table


@njit(cache=True, nogil=True)
def _first_strong(types, begin, stop, parents, firsts):
    """P2, P3: the direction of a paragraph and, in `firsts`, that inside each isolate; `_UNKNOWN` where none is."""
    outer = np.uint8(_UNKNOWN)
    inside = -1
    for i in range(begin, stop):
        t = types[i]
        if t <= AL:
            direction = np.uint8(L if t == L else R)
            if inside < 0:
                if outer == _UNKNOWN:
                    outer = direction
            elif firsts[inside] == _UNKNOWN:
                firsts[inside] = direction
        elif _INITIATORS >> t & 1:
            firsts[i] = _UNKNOWN
            parents[i] = inside
            inside = i
        elif t == PDI and inside >= 0:
            inside = parents[inside]
    return outer


@njit(cache=True, nogil=True)
def _explicit(types, begin, stop, base, firsts, stack, now, levels, nexts, starts):
    """X1 to X10: levels, overridden types (BN for the removed), and the isolating run sequences.

    A sequence is a chain through `nexts`, from one of `starts` to -1. `stack` is [127, 3]: level, override or ON, and
    the isolate's initiator or -1. A paragraph separator is in no sequence: the paragraph's end does what it would.
    """
    top, isolates, isolates_over, embeddings_over = 0, 0, 0, 0
    stack[0, 0], stack[0, 1], stack[0, 2] = base, ON, -1
    count, previous = 0, -1
    for i in range(begin, stop):
        t = types[i]
        now[i] = BN
        if t == B:
            levels[i] = base
            continue
        if t == BN:
            continue
        if t == PDF:
            if isolates_over == 0:
                if embeddings_over > 0:
                    embeddings_over -= 1
                elif top > 0 and stack[top, 2] < 0:
                    top -= 1
            continue
        initiator = _INITIATORS >> t & 1
        opener = -1
        if t == PDI:
            if isolates_over > 0:
                isolates_over -= 1
            elif isolates > 0:
                embeddings_over = 0
                while stack[top, 2] < 0:
                    top -= 1
                opener = stack[top, 2]
                top -= 1
                isolates -= 1
        level, override = stack[top, 0], stack[top, 1]
        if initiator or _EMBEDDINGS >> t & 1:
            odd = t in (RLE, RLO, RLI) or (t == FSI and firsts[i] == R)
            deeper = (level + 1) | 1 if odd else (level + 2) & ~1
            if deeper <= _MAX_DEPTH and isolates_over == 0 and embeddings_over == 0:
                top += 1
                stack[top, 0], stack[top, 1], stack[top, 2] = deeper, ON, -1
                if t == RLO:
                    stack[top, 1] = R
                elif t == LRO:
                    stack[top, 1] = L
                if initiator:
                    isolates += 1
                    stack[top, 2] = i
            elif initiator:
                isolates_over += 1
            elif isolates_over == 0:
                embeddings_over += 1
            if not initiator:
                continue
        levels[i] = level
        now[i] = t if override == ON else override
        nexts[i] = -1
        if opener >= 0:
            nexts[opener] = i
        elif previous >= 0 and levels[previous] == level:
            nexts[previous] = i
        else:
            starts[count] = i
            count += 1
        previous = i
    return count


@njit(cache=True, nogil=True)
def _weak(t, size, sos):
    """W1 to W7, on a sequence's types. ES, CS, ET and NSM are gone after it, AL too."""
    # W1, W2, W3
    strong, previous = sos, sos
    for k in range(size):
        x = t[k]
        if x == NSM:
            x = np.uint8(ON) if _ISOLATES >> previous & 1 else previous
        previous = x
        if x <= AL:
            strong = x
            if x == AL:
                x = np.uint8(R)
        elif x == EN and strong == AL:
            x = np.uint8(AN)
        t[k] = x
    # W4 to W7; `previous` is what W3 left, since W4 is to see neither W5 nor W7.
    strong, previous = sos, np.uint8(ON)
    k = 0
    while k < size:
        x = t[k]
        stop = k + 1
        y = x
        if x <= R:
            strong = x
        elif x in (ES, CS):
            y = np.uint8(ON)
            if stop < size and t[stop] == previous and (previous == EN or (previous == AN and x == CS)):
                y = previous
        elif x == ET:
            while stop < size and t[stop] == ET:
                stop += 1
            y = np.uint8(EN if previous == EN or (stop < size and t[stop] == EN) else ON)
        if y == EN and strong == L:
            y = np.uint8(L)
        for j in range(k, stop):
            t[j] = y
        previous = x
        k = stop


@njit(cache=True, nogil=True)
def _paired(codes, brackets, now, where, t, size, sos, direction, open_at, pairs, inner):
    """N0: the paired brackets of a sequence take the direction of what they hold, or of what stands before them.

    `open_at` is [63, 2] (its bracket and where it stands), `pairs` each opening bracket's closing one and `inner` what
    is between them: the embedding direction, only the other one, or neither.
    """
    depth, found, same, other = 0, False, -1, -1
    for k in range(size):
        x = t[k]
        pairs[k] = -1
        if x <= R or x in (EN, AN):
            if (x != L) == (direction != L):
                same = k
            else:
                other = k
        elif x == ON and depth >= 0:
            code = codes[where[k]]
            number = np.int64(brackets[code]) if code < len(brackets) else 0
            if number & 1:
                if depth == _MAX_OPEN:
                    # BD16: no further pairs in this sequence.
                    depth = -1
                    continue
                open_at[depth, 0], open_at[depth, 1] = number, k
                depth += 1
            elif number > 0:
                d = depth - 1
                while d >= 0 and open_at[d, 0] != number - 1:
                    d -= 1
                if d >= 0:
                    depth = d
                    opener = open_at[d, 1]
                    pairs[opener] = k
                    inner[opener] = direction if same > opener else 1 - direction if other > opener else _UNKNOWN
                    found = True
    if not found:
        return
    strong = sos
    for k in range(size):
        x = t[k]
        if x <= R:
            strong = x
        elif x in (EN, AN):
            strong = np.uint8(R)
        elif pairs[k] >= 0 and inner[k] != _UNKNOWN:
            # What a pair holds is as the weak rules left it when its turn comes: pairs nest, and the outer is first.
            if strong != inner[k]:
                strong = direction
            for at in (np.int64(k), np.int64(pairs[k])):
                t[at] = strong
                at += 1
                while at < size and now[where[at]] == NSM:
                    t[at] = strong
                    at += 1


@njit(cache=True, nogil=True)
def _neutral(t, where, size, sos, eos, level, levels):
    """N1, N2 and then I1, I2: the levels of a sequence's characters."""
    odd = level & 1
    before, k = sos, 0
    while k < size:
        x = t[k]
        stop = k + 1
        if _NEUTRALS >> x & 1:
            while stop < size and _NEUTRALS >> t[stop] & 1:
                stop += 1
            after = eos
            if stop < size:
                after = np.uint8(L if t[stop] == L else R)
            higher = 1 if before == after and before != odd else 0
        else:
            before = np.uint8(L if x == L else R)
            higher = 2 if odd == 0 and x > R else 1 if x != odd else 0
        for j in range(k, stop):
            levels[where[j]] = level + higher
        k = stop


@njit(cache=True, nogil=True)
def _resolve(codes, classes, brackets, forced, levels, bases):
    """P1 to L1 for all paragraphs of a text; where a number stands that is no code point, or -1."""
    total = len(codes)
    types, now, firsts = np.empty(total, np.uint8), np.empty(total, np.uint8), np.empty(total, np.uint8)
    embedded, t, inner = np.empty(total, np.uint8), np.empty(total, np.uint8), np.empty(total, np.uint8)
    # The isolate around an initiator, and then a character's successor in its sequence; a bracket's partner.
    links, pairs = np.empty(total, np.int64), np.empty(total, np.int64)
    starts, where = np.empty(total, np.int64), np.empty(total, np.int64)
    stack, open_at = np.empty((_MAX_DEPTH + 2, 3), np.int64), np.empty((_MAX_OPEN, 2), np.int64)

    stop = 0
    while stop < total:
        begin, seen = np.int64(stop), 0
        while stop < total:
            code = codes[stop]
            if code >= len(classes):
                return stop
            x = classes[code]
            types[stop] = x
            seen |= 1 << x
            stop += 1
            if x == B:
                if code == 13 and stop < total and codes[stop] == 10:
                    types[stop] = B
                    stop += 1
                break
        base = np.uint8(forced)
        if forced < 0 or seen >> FSI & 1:
            first = _first_strong(types, begin, stop, links, firsts)
            if forced < 0:
                base = np.uint8(R if first == R else L)
        bases[begin:stop] = base
        if base == L and not seen & _MATTER:
            levels[begin:stop] = L
            continue

        count = _explicit(types, begin, stop, base, firsts, stack, now, embedded, links, starts)
        for n in range(count):
            size, i = 0, starts[n]
            while i >= 0:
                where[size] = i
                t[size] = now[i]
                size += 1
                i = links[i]
            # X10: the higher of the levels on either side of an edge; after an isolate that nothing ends, of the base.
            level = embedded[starts[n]]
            i = starts[n] - 1
            while i >= begin and now[i] == BN:
                i -= 1
            sos = np.uint8(max(level, embedded[i] if i >= begin else base) & 1)
            i = where[size - 1] + 1
            if _INITIATORS >> types[i - 1] & 1:
                i = stop
            while i < stop and now[i] == BN:
                i += 1
            eos = np.uint8(max(level, embedded[i] if i < stop else base) & 1)

            _weak(t, size, sos)
            if seen >> ON & 1:
                _paired(codes, brackets, now, where, t, size, sos, np.uint8(level & 1), open_at, pairs, inner)
            _neutral(t, where, size, sos, eos, level, levels)

        # L1: separators, and what is blank before them or at the end.
        blank = True
        for i in range(stop - 1, begin - 1, -1):
            x = types[i]
            if x in (B, S):
                blank = True
                levels[i] = base
            elif x == WS or _ISOLATES >> x & 1:
                if blank:
                    levels[i] = base
            elif not _REMOVED >> x & 1:
                blank = False
        level = base
        for i in range(begin, stop):
            if _REMOVED >> types[i] & 1:
                levels[i] = level
            level = levels[i]
    return -1


def resolve_levels(codes: np.ndarray, *, base: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The embedding levels of a text's characters: rules P1 to I2, and L1 but for what depends on line breaks.

    A line that is cut from a paragraph still has L1's last part to come: the white space and isolate controls at its
    end take the paragraph's level. Characters that X9 removes (BN, embeddings, overrides and PDF) take the level of
    the character before them, or at its start the paragraph's.

    Args:
        codes: [K] uint32, code points. Paragraphs end with a character of class B; CR LF is one such end.
        base: Level of every paragraph, 0 or 1. By default each follows its first strong character, and is 0 if it
            has none (P2, P3).

    Returns:
        Levels, [K] uint8, 0 to 126 and odd for right-to-left; and the paragraph level at each character, [K] uint8.

    Raises:
        TypeError: `codes` is not a [K] uint32 array.
        ValueError: `base` is not 0, 1 or None; a number in `codes` is above 0x10FFFF.
    """
    if not isinstance(codes, np.ndarray) or codes.ndim != 1 or codes.dtype != np.uint32:
        what = f"{codes.dtype} {codes.shape}" if isinstance(codes, np.ndarray) else type(codes).__name__
        raise TypeError(f"codes must be a [K] uint32 array, not {what}")
    if base not in (None, 0, 1):
        raise ValueError(f"base must be 0, 1 or None, not {base!r}")
    levels, bases = np.empty(len(codes), np.uint8), np.empty(len(codes), np.uint8)
    bad = _resolve(codes, bidi_classes(), _brackets(), -1 if base is None else int(base), levels, bases)
    if bad >= 0:
        raise ValueError(f"codes[{bad}] is {codes[bad]:#x}, which is not a code point")
    return levels, bases


@njit(cache=True, nogil=True)
def needs_bidi(codes, classes):
    """Whether a text has any character that can make a level other than 0 in a left-to-right paragraph.

    Those are of class R, AL or AN, and the explicit and isolate controls (LRE to PDI). Callable from numba.

    Args:
        codes: [K] uint32, code points; none is above 0x10FFFF.
        classes: `bidi_classes()`.
    """
    for code in codes:  # noqa: SIM110 (numba has no any())
        if _MATTER >> classes[code] & 1:
            return True
    return False


@njit(cache=True, nogil=True)
def order_line(levels, out, count):
    """L2: write the visual order of one line's first `count` characters into `out`. Callable from numba.

    Args:
        levels: [K] uint8, of the line's characters, L1 done.
        out: [K] integers; `out[i]` becomes the index of the character that stands i-th from the left.
        count: Characters of the line, at most K.
    """
    highest, lowest = 0, 255
    for i in range(count):
        out[i] = i
        highest = max(highest, levels[i])
        if levels[i] & 1:
            lowest = min(lowest, levels[i])
    # What is reversed at a level stays within the runs of all lower ones, so runs are where `levels` has them.
    for level in range(highest, lowest - 1, -1):
        stop = 0
        while stop < count:
            begin = stop
            while stop < count and levels[stop] >= level:
                stop += 1
            i, j = begin, stop - 1
            while i < j:
                out[i], out[j] = out[j], out[i]
                i += 1
                j -= 1
            stop += 1


def visual_order(levels: np.ndarray) -> np.ndarray:
    """L2: the indexes of one line's characters in visual order, left to right, [K] int32.

    Args:
        levels: [K] uint8, of the line's characters, L1 done.
    """
    out = np.empty(len(levels), np.int32)
    order_line(levels, out, len(levels))
    return out
