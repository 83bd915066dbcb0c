"""Paragraphs: words and spaces become lines, lines become pages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from gpurender.typeset.bidi import order_line
from gpurender.typeset.layout import Layout
from gpurender.typeset.shape import (
    ADVANCE,
    BEGIN,
    BOTTOM,
    BREAK,
    BREAKABLE,
    CLUSTER,
    DASH_FIRST,
    DASH_LAST,
    END,
    ENDLESS,
    FIRST,
    FLAGS,
    FONT,
    GLUED,
    GLUES,
    ID,
    KEY,
    LEFT,
    LENGTH,
    NEWLINE,
    OPPORTUNITY,
    PEN,
    RIGHT,
    RTL,
    TAB,
    TOP,
    XMAX,
    XMIN,
    Runs,
    Tokens,
    WordCache,
    X,
    Y,
)

__all__ = ["BLANK", "OVERSIZE", "PageStyle", "set_pages"]

TAB_STOP = 8  # spaces, as in CSS
# Clear paper above a line with glyphs of another font than the asked-for one, in em. With none, Tesseract's error rate
# on Chinese at 20 px with 22 px lines is 6.3 %, with this 2.4 % (12 prompts of MGSM); on Pango's pages it is 2.6 %.
GAP = 0.35
TALLEST = 2**25 - 1  # px: places in 1/64 px are 32-bit numbers
# Notes of a page: it has no ink; it has more pixels than it may, and is left empty.
BLANK, OVERSIZE = 1, 2

Color = tuple[int, int, int]


class PageStyle(NamedTuple):
    """What a page looks like; see `Typesetter`."""

    line_height: int
    width: int
    margin: int
    trim: bool
    max_pixels: int
    foreground: Color
    background: Color


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
def _tab(x, space):
    return (x // (TAB_STOP * space) + 1) * (TAB_STOP * space)


@njit(cache=True, nogil=True)
def _take_line(
    t, g, soft, stop, words, begins, spaces, breaks, origin, entries, glyphs, details, space, limit,
    tokens, firsts, lasts, lefts, widths,
):  # fmt: skip
    """Take a line's pieces, from left to right as if all were read so, from token t, or from its glyph g, on.

    Greedy: it ends at the last place where a break is allowed and what comes before it fits; where there is none, after
    the last cluster that fits, but has at least one. A line end of the text ends the line before its token.

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
            x = _tab(x, space)
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
def _order(count, base, origin, begins, levels, tokens, lefts, widths, item_levels, order, limit):
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


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    words, begins, spaces, starts, text_starts, levels, bases, breaks, is_complex,
    entries, glyphs, details,
    space, ascent, descent, leading, gap, baseline, limit, width, margin, trim, max_pixels,
    sizes, out_ids, out_fonts, out_xy, glyph_offsets, boxes, ranges, word_offsets, notes,
):  # fmt: skip
    """Set page by page. Lengths in 1/64 px but `leading`, `gap`, `baseline`, `width`, `margin` and sizes, px.

    Returns the number of glyphs and of word boxes. `notes` [N] receives `BLANK` for a page without ink, `OVERSIZE` for
    one over `max_pixels`, whose glyphs and words are dropped.
    """
    tallest = min(max_pixels, TALLEST)
    most = 1
    for n in range(len(starts) - 1):
        most = max(most, starts[n + 1] - starts[n])
    # The pieces of a line: token, first glyph and the one after the last, left and width.
    tokens, firsts, lasts = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    lefts, widths = np.empty(most, np.int64), np.empty(most, np.int64)
    item_levels, order = np.empty(2 * most, np.uint8), np.empty(2 * most, np.int64)
    g_out, w_out = np.uint64(0), np.uint64(0)
    for n in range(len(starts) - 1):
        glyph_offsets[n], word_offsets[n] = g_out, w_out
        origin, stop = text_starts[n], starts[n + 1]
        text_breaks = breaks if is_complex[n] else breaks[:0]
        ink_left, ink_top, ink_right, ink_bottom = 1 << 40, 1 << 40, -(1 << 40), -(1 << 40)
        t, g, soft = starts[n], np.int64(-1), False
        y = np.int64(baseline)
        above, above_differs, first_line = np.int64(0), False, True
        while y <= tallest:
            first_t = t
            end_t, end_g, count = _take_line(
                t, g, soft, stop, words, begins, spaces,
                text_breaks, origin, entries, glyphs, details, space, limit,
                tokens, firsts, lasts, lefts, widths,
            )  # fmt: skip
            y += 0 if first_line else leading
            rightwards = True
            if is_complex[n]:
                # Other scripts fill more of a line than Latin does: their ink keeps off the line above.
                top, bottom, differs = 1 << 40, -(1 << 40), False
                for i in range(count):
                    word = words[tokens[i]]
                    top, bottom = min(top, entries[word, TOP]), max(bottom, entries[word, BOTTOM])
                    differs = differs or entries[word, FONT] != 0
                    rightwards = rightwards and not entries[word, KEY] & RTL
                if not first_line and (differs or above_differs) and top < bottom and above < 1 << 39:
                    y = max(y, above - top + gap)
                above, above_differs = y + bottom if top < bottom else 1 << 40, differs
            first_line = False
            if count and is_complex[n]:
                base = bases[origin + begins[first_t]]
                if base or not rightwards:
                    _order(count, base, origin, begins, levels, tokens, lefts, widths, item_levels, order, limit)

            for i in range(count):
                word, first, last, x = words[tokens[i]], firsts[i], lasts[i], lefts[i]
                begin = begins[tokens[i]]
                if entries[word, FLAGS] & ENDLESS:
                    # No page holds it.
                    y = np.int64(1 << 40)
                font = entries[word, FONT]
                # A word that reads from the right is placed from its right edge.
                sign = -1 if entries[word, KEY] & RTL else 1
                pen = np.int64(details[first, PEN]) if first < last else np.int64(0)
                shift = x + widths[i] + pen if sign < 0 else x - pen
                # Unsigned indexes need no check for negative ones, and numba's loops over a range take longer.
                u, stop_u = np.uint64(first), np.uint64(last)
                line_y = y * 64
                while u < stop_u:
                    out_ids[g_out] = glyphs[u, ID]
                    out_fonts[g_out] = font
                    out_xy[g_out, 0] = shift + sign * glyphs[u, X]
                    out_xy[g_out, 1] = line_y - glyphs[u, Y]
                    g_out += np.uint64(1)
                    u += np.uint64(1)
                if entries[word, TOP] < entries[word, BOTTOM]:
                    ink_top, ink_bottom = (
                        min(ink_top, y + entries[word, TOP]),
                        max(ink_bottom, y + entries[word, BOTTOM]),
                    )
                    # Glyph by glyph only where the word may reach furthest out.
                    whole = widths[i] == entries[word, ADVANCE]
                    if (
                        not whole
                        or (x + entries[word, LEFT] - 8) >> 6 < ink_left
                        or (x + entries[word, RIGHT] + 71) >> 6 > ink_right
                    ):
                        for k in range(first, last):
                            if details[k, XMAX] > details[k, XMIN]:
                                # Where the renderer will draw it: at a quarter pixel.
                                px = (shift + sign * glyphs[k, X] + 8) >> 4 << 4
                                ink_left = min(ink_left, (px + details[k, XMIN]) >> 6)
                                ink_right = max(ink_right, (px + details[k, XMAX] + 63) >> 6)
                boxes[w_out, 0] = x / 64
                boxes[w_out, 1] = y - ascent / 64
                boxes[w_out, 2] = (x + widths[i]) / 64
                boxes[w_out, 3] = y + descent / 64
                ranges[w_out, 0] = begin + (details[first, FIRST] if first > entries[word, BEGIN] else 0)
                ranges[w_out, 1] = begin + (
                    details[last, FIRST] if last < entries[word, END] else entries[word, LENGTH]
                )
                w_out += np.uint64(1)
            t, g, soft = end_t, end_g, True
            if end_g < 0:
                if t == stop:
                    break
                if words[t] == NEWLINE:
                    t, soft = t + 1, False

        notes[n] = 0
        left, top, right, bottom = np.int64(0), np.int64(0), np.int64(width - 2 * margin), y - baseline + leading
        if ink_right < ink_left:
            if y <= tallest:
                notes[n] = BLANK
            if trim:
                right, bottom = np.int64(leading), np.int64(leading)
        elif trim:
            left, top, right, bottom = ink_left, ink_top, ink_right, ink_bottom
        else:
            # Ink is never cut off: a page without margins grows by what hangs out.
            left, top = min(left, ink_left), min(top, ink_top)
            right, bottom = max(right, ink_right), max(bottom, ink_bottom)
        sizes[n, 0] = min(bottom - top + 2 * margin, 1 << 30)
        # Ink that hangs over the text's edge takes from the margin before it widens the page.
        sizes[n, 1] = max(right - left, min(right - left + 2 * margin, width))
        if y > tallest or np.int64(sizes[n, 0]) * sizes[n, 1] > max_pixels:
            notes[n] = OVERSIZE
            sizes[n, 0] = sizes[n, 1] = 1
            g_out, w_out = np.uint64(glyph_offsets[n]), np.uint64(word_offsets[n])
        shift_x, shift_y = (sizes[n, 1] - (right - left)) // 2 - left, margin - top
        for k in range(np.uint64(glyph_offsets[n]), g_out):
            out_xy[k, 0] += shift_x * 64
            out_xy[k, 1] += shift_y * 64
        for k in range(np.uint64(word_offsets[n]), w_out):
            boxes[k, 0] += shift_x
            boxes[k, 1] += shift_y
            boxes[k, 2] += shift_x
            boxes[k, 3] += shift_y
    glyph_offsets[len(starts) - 1], word_offsets[len(starts) - 1] = g_out, w_out
    return g_out, w_out


@njit(cache=True, nogil=True)
def _count_glyphs(words, entries):
    total = 0
    for word in words:
        if word >= 0:
            total += entries[word, END] - entries[word, BEGIN]
    return total


def set_pages(
    tokens: Tokens, runs: Runs, text_starts: np.ndarray, cache: WordCache, style: PageStyle
) -> tuple[Layout, np.ndarray]:
    """Set tokens as pages.

    Args:
        tokens: Of N texts.
        runs: Of the same texts.
        text_starts: [N + 1] int64, each text's first code point.
        cache: Where the tokens' words are.
        style: What the pages look like.

    Returns:
        The layout, without diagnostics, whose fonts are the stack's; and the pages' notes [N] uint8: 0, `BLANK` or
        `OVERSIZE`.
    """
    font = cache.stack.fonts[0]
    pages = len(tokens.starts) - 1
    glyphs = _count_glyphs(tokens.words, cache.words)
    # A word may be split before every glyph.
    pieces = glyphs + len(tokens.words)
    sizes = np.empty((pages, 2), np.int32)
    ids, fonts, xy = np.empty(glyphs, np.uint16), np.empty(glyphs, np.uint16), np.empty((glyphs, 2), np.int32)
    boxes, ranges = cache.room(pieces)
    glyph_offsets, word_offsets = np.empty(pages + 1, np.int64), np.empty(pages + 1, np.int64)
    notes = np.empty(pages, np.uint8)
    # Half-leading above and below, as in CSS, on a whole pixel.
    baseline = round((style.line_height - (font.ascent + font.descent) / 64) / 2 + font.ascent / 64)
    used, boxed = _fill(
        *tokens, text_starts, runs.levels, runs.bases, runs.breaks, runs.complex,
        cache.words, cache.glyphs, cache.details,
        max(1, font.space), font.ascent, font.descent, style.line_height, round(GAP * font.key.size), baseline,
        (style.width - 2 * style.margin) * 64, style.width, style.margin, style.trim, style.max_pixels,
        sizes, ids, fonts, xy, glyph_offsets, boxes, ranges, word_offsets, notes,
    )  # fmt: skip
    colors = np.empty((pages, 2, 3), np.uint8)
    colors[:] = style.foreground, style.background
    glyph_colors = np.zeros((used, 3), np.uint8)
    if any(style.foreground):
        glyph_colors[:] = style.foreground
    layout = Layout(
        sizes=sizes,
        colors=colors,
        fonts=tuple(font.key for font in cache.stack.fonts),
        glyph_fonts=fonts[:used],
        glyph_ids=ids[:used],
        glyph_xy=xy[:used],
        glyph_colors=glyph_colors,
        glyph_offsets=glyph_offsets,
        rule_offsets=np.zeros(pages + 1, np.int64),
        picture_offsets=np.zeros(pages + 1, np.int64),
        words=boxes[:boxed].copy(),
        word_ranges=ranges[:boxed].copy(),
        word_offsets=word_offsets,
    )
    return layout, notes
