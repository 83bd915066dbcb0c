"""Lines: which words, and parts of words, come next in a line, and in which order they stand."""

from __future__ import annotations

import numpy as np
from numba import njit

from gpurender.typeset.bidi import order_line
from gpurender.typeset.shape import (
    ADVANCE,
    BEGIN,
    BREAK,
    BREAKABLE,
    CLUSTER,
    DASH_FIRST,
    DASH_LAST,
    DISPLAY,
    END,
    FIRST,
    FLAGS,
    GLUED,
    GLUES,
    NEWLINE,
    OPPORTUNITY,
    PEN,
    TAB,
)

__all__ = ["order_pieces", "take_line"]

TAB_STOP = 8  # spaces, as in CSS


@njit(inline="always")
def _before(t, words, begins, spaces, breaks, origin, entries):
    """What may happen between token t and the one before: 0 nothing, `CLUSTER` an emergency break, or `OPPORTUNITY`."""
    if len(breaks) > 0:
        kind = breaks[origin + begins[t]]
        return OPPORTUNITY if kind & 1 else 0 if kind & 2 else CLUSTER
    # In plain text, words with spaces between: UAX #14, LB13 to LB17, from what ICU says of each.
    flags, last = entries[words[t], FLAGS], entries[words[t - 1], FLAGS]
    if (flags & GLUED) or (last & GLUES) or ((flags & DASH_FIRST) and (last & DASH_LAST)):
        return CLUSTER
    return OPPORTUNITY


@njit(inline="always")
def _within(g, begin, breaks, origin, glyphs, details):
    """What may happen before glyph g of a word that begins with character `begin`, as above."""
    kind = glyphs[g, BREAK]
    if kind == 0 or len(breaks) == 0:
        return kind
    allowed = breaks[origin + begin + details[g, FIRST]]
    return OPPORTUNITY if allowed & 1 else 0 if allowed & 2 else CLUSTER


@njit(inline="always")
def _tab(x, space, least):
    # CSS Text 3, section 4.2: a stop that is nearer than half the advance of "0" is passed over.
    stop = (x // (TAB_STOP * space) + 1) * (TAB_STOP * space)
    return stop if stop - x >= least else stop + TAB_STOP * space


@njit(cache=True, nogil=True)
def take_line(
    t, g, soft, stop, words, begins, spaces, breaks, origin, entries, glyphs, details, space, least_tab, limit,
    tokens, firsts, lasts, lefts, widths,
):  # fmt: skip
    """Take a line's pieces, from left to right as if all were read so, from token t, or from its glyph g, on.

    Greedy: it ends at the last place where a break is allowed and what comes before it fits; where there is none, after
    the last cluster that fits, but has at least one. A line end of the text ends the line before its token; a display
    is a line.

    Returns:
        Where the next line begins: before a token, or (g >= 0) within it; and the number of pieces.
    """
    x = np.int64(0)
    first = t
    count = 0
    # The best place to end, or else where it must: token, glyph, and the number of the piece there.
    best_t, best_g, best = np.int64(-1), np.int64(-1), 0
    must_t, must_g, must = np.int64(-1), np.int64(-1), 0
    while t < stop:
        word = words[t]
        if word == NEWLINE:
            break
        if word >= 0 and entries[word, FLAGS] & DISPLAY:
            if t == first:
                tokens[0], firsts[0], lasts[0], lefts[0], widths[0] = t, 0, 0, 0, entries[word, ADVANCE]
                t, count = t + 1, 1
            break
        if t > first:
            x += spaces[t] * space
            kind = _before(t, words, begins, spaces, breaks, origin, entries)
            if kind == OPPORTUNITY:
                best_t, best_g, best = t, np.int64(-1), count
            elif kind == CLUSTER:
                must_t, must_g, must = t, np.int64(-1), count
        elif g < 0 and not soft and spaces[t]:
            x += spaces[t] * space
            best_t = t
        if word == TAB:
            x = _tab(x, space, least_tab)
            t += 1
            continue
        k, end = np.int64(entries[word, BEGIN]), np.int64(entries[word, END])
        origin_x = x
        if g >= 0:
            k = g
            origin_x -= details[k, PEN]
            g = np.int64(-1)
        after = origin_x + entries[word, ADVANCE]
        tokens[count], firsts[count], lasts[count], lefts[count], widths[count] = t, k, end, x, after - x
        if after > limit:
            k += 1
            while k < end and origin_x + details[k, PEN] <= limit:
                kind = _within(k, begins[t], breaks, origin, glyphs, details)
                if kind == OPPORTUNITY:
                    best_t, best_g, best = t, k, count
                elif kind == CLUSTER:
                    must_t, must_g, must = t, k, count
                k += 1
            if best_t < 0:
                best_t, best_g, best = must_t, must_g, must
            if best_t < 0:
                # Nothing fits, so the line holds one cluster.
                while k < end and _within(k, begins[t], breaks, origin, glyphs, details) == 0:
                    k += 1
                if k < end:
                    best_t, best_g, best = t, k, count
            if best_t >= 0:
                if best_g >= 0:
                    begin = firsts[best]
                    pen = details[begin, PEN] if begin > entries[words[best_t], BEGIN] else 0
                    lasts[best], widths[best] = best_g, details[best_g, PEN] - pen
                    best += 1
                return best_t, best_g, best
        elif (
            ((entries[word, FLAGS] & BREAKABLE) or len(breaks) > 0)
            and t + 1 < stop
            and words[t + 1] >= 0
            and _before(t + 1, words, begins, spaces, breaks, origin, entries) != OPPORTUNITY
        ):
            # What is glued to this word may take a part of it to the next line.
            for i in range(k + 1, end):
                if _within(i, begins[t], breaks, origin, glyphs, details) == OPPORTUNITY:
                    best_t, best_g, best = t, i, count
        x = after
        count += 1
        t += 1
    return t, np.int64(-1), count


@njit(cache=True, nogil=True)
def order_pieces(count, base, origin, begins, levels, tokens, lefts, widths, item_levels, order, limit):
    """Move a line's pieces, laid out from the left, to where bidi wants them (UAX #9, L2)."""
    total = lefts[count - 1] + widths[count - 1]
    for i in range(count):
        at = origin + begins[tokens[i]]
        # Before each piece a gap, which has the level of the space or tab in it.
        item_levels[2 * i] = levels[at - 1] if at > origin else base
        item_levels[2 * i + 1] = levels[at]
    order_line(item_levels[: 2 * count], order, 2 * count)
    x = limit - total if base & 1 else np.int64(0)
    # A gap's width is lost with the first piece that moves, so the gaps are measured first.
    gaps = np.empty(count, np.int64)
    end = np.int64(0)
    for i in range(count):
        gaps[i] = lefts[i] - end
        end = lefts[i] + widths[i]
    for k in range(2 * count):
        i = order[k] >> 1
        if order[k] & 1:
            lefts[i] = x
            x += widths[i]
        else:
            x += gaps[i]
