"""Paragraphs: words and spaces become lines, lines become pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from gpurender.typeset.fonts import Outlines
from gpurender.typeset.insets import Insets
from gpurender.typeset.latex.box import COLOR, FOREGROUND
from gpurender.typeset.layout import CELL, Layout
from gpurender.typeset.lines import order_pieces, take_line
from gpurender.typeset.shape import (
    ADVANCE,
    BEGIN,
    BOTTOM,
    BOX,
    DISPLAY,
    END,
    ENDLESS,
    FIRST,
    FLAGS,
    FONT,
    ID,
    KEY,
    LEFT,
    LENGTH,
    LEVELS,
    NEWLINE,
    PEN,
    RIGHT,
    RTL,
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

# Clear paper above a line with glyphs of another font than the named one, in em. With none, Tesseract's error rate
# on Chinese at 20 px with 22 px lines is 6.3 %, with this 2.4 % (12 prompts of MGSM); on Pango's pages it is 2.6 %.
# The same between a formula that is higher or deeper than the text and the next line, lest two fractions read as one.
GAP = 0.35
# The same above or under a line with formulas that are no higher: TeX's \lineskip, 1 pt at 10 pt.
LINE_SKIP = 0.1
# The same around displays.
DISPLAY_SKIP = 0.6
TALLEST = 2**25 - 1  # px: places in 1/64 px are 32-bit numbers
# Notes of a page: it has no ink; it has more pixels than it may, and is left empty.
BLANK, OVERSIZE = 1, 2

Color = tuple[int, int, int]


class PageStyle(NamedTuple):
    """What a page looks like; see `Typesetter`."""

    line_height: int
    keeps_off: bool  # lines move down where their ink would meet that of the line above
    width: int
    margin: int
    trim: bool
    max_pixels: int
    foreground: Color
    background: Color
    display: str  # "center" or "left"


@njit(cache=True, nogil=True)
def _has_bars(codes, start, stop):
    """Tell whether codes[start:stop] hold box drawing or block elements, which meet those of the next line."""
    found = False
    for i in range(start, stop):
        found |= 0x2500 <= codes[i] < 0x25A0
    return found


@njit(cache=True, nogil=True)
def _center(displays, left, right, rightwards, out_xy, out_rules, boxes, places):
    """Move displays to the middle of a page's text, whose ink is in [left, right).

    Text beside a display that is wider begins where that does. Returns where the page's ink is then.
    """
    if right < left:
        left = right = np.int64(0)
    widest = np.int64(0)
    for k in range(len(displays)):
        widest = max(widest, displays[k, 9] - displays[k, 8])
    if widest > right - left and rightwards:
        left = right - widest
    elif widest > right - left:
        right = left + widest
    for k in range(len(displays)):
        dx = left + (right - left - displays[k, 9] + displays[k, 8]) // 2 - displays[k, 8]
        for g in range(displays[k, 0], displays[k, 1]):
            out_xy[g, 0] += dx << 6
        for r in range(displays[k, 2], displays[k, 3]):
            out_rules[r, 0] += dx << 6
            out_rules[r, 2] += dx << 6
        for w in range(displays[k, 4], displays[k, 5]):
            boxes[w, 0] += dx
            boxes[w, 2] += dx
        for b in range(displays[k, 6], displays[k, 7]):
            places[b, 2] += dx
    return left, right


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    codes, words, begins, spaces, starts, text_starts, levels, bases, breaks, is_complex,
    entries, glyphs, details,
    first_box, first_font, box_kinds, extents, box_glyphs, box_glyph_offsets, box_rules, box_rule_offsets,
    box_cells, box_cell_offsets,
    space, least_tab, ascent, descent, leading, least_gap, gap, line_skip, display_skip, em, baseline, limit, width,
    margin, trim, centered, max_pixels,
    foreground, sizes, out_ids, out_fonts, out_xy, out_colors, glyph_offsets, out_rules, out_rule_colors, rule_offsets,
    boxes, ranges, kinds, cells, word_offsets, places, notes,
):  # fmt: skip
    """Set page by page. Lengths in 1/64 px but those of the page and its lines, px.

    Returns the number of glyphs, of word boxes and of LaTeX boxes. `notes` [N] receives `BLANK` for a page without ink,
    `OVERSIZE` for one over `max_pixels`, of which nothing is set.
    """
    tallest = min(max_pixels, TALLEST)
    most = 1
    for n in range(len(starts) - 1):
        most = max(most, starts[n + 1] - starts[n])
    # The pieces of a line: token, first glyph and the one after the last, left and width.
    tokens, firsts, lasts = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    lefts, widths = np.empty(most, np.int64), np.empty(most, np.int64)
    item_levels, order = np.empty(2 * most, np.uint8), np.empty(2 * most, np.int64)
    # The displays of a page, which stand in its middle: their first glyph, rule, word box and LaTeX box, and the ones
    # after the last; where their ink begins and ends from their origin, px.
    displays = np.empty((len(places), 10 if centered and trim else 0), np.int64)
    g_out, w_out = np.uint64(0), np.uint64(0)
    r_out, b_out = 0, 0
    for n in range(len(starts) - 1):
        glyph_offsets[n], word_offsets[n], rule_offsets[n] = g_out, w_out, r_out
        first_place = b_out
        origin, stop = text_starts[n], starts[n + 1]
        text_breaks = breaks if is_complex[n] else breaks[:0]
        ink_left, ink_top, ink_right, ink_bottom = 1 << 40, 1 << 40, -(1 << 40), -(1 << 40)
        t, g, soft = starts[n], np.int64(-1), False
        y = np.int64(baseline)
        above, above_need, first_line = np.int64(0), -1, True
        line_start = origin
        too_wide = False
        shown = 0
        # The indentation that all lines of text share; the base direction of any, and of all of them.
        indent, any_base, all_base = np.int64(1 << 40), 0, 1
        while y <= tallest:
            first_t = t
            end_t, end_g, count = take_line(
                t, g, soft, stop, words, begins, spaces,
                text_breaks, origin, entries, glyphs, details, space, least_tab, limit,
                tokens, firsts, lasts, lefts, widths,
            )  # fmt: skip
            y += 0 if first_line else leading
            rightwards, is_display = True, False
            above_start, line_start = line_start, origin + begins[first_t] if first_t < stop else text_starts[n + 1]
            if is_complex[n] or least_gap >= 0:
                top, bottom, need, need_below = 1 << 40, -(1 << 40), least_gap, least_gap
                for i in range(count):
                    word = words[tokens[i]]
                    top, bottom = min(top, entries[word, TOP]), max(bottom, entries[word, BOTTOM])
            if is_complex[n]:
                # Other scripts and formulas fill more of a line than Latin does: their ink keeps off the line above.
                for i in range(count):
                    word = words[tokens[i]]
                    if entries[word, FLAGS] & DISPLAY:
                        need, need_below, is_display = display_skip, display_skip, True
                    elif entries[word, FLAGS] & BOX:
                        need = max(need, gap if entries[word, TOP] < -(ascent >> 6) - 1 else line_skip)
                        need_below = max(need_below, gap if entries[word, BOTTOM] > (descent >> 6) + 1 else line_skip)
                    elif entries[word, FONT] != 0:
                        need, need_below = max(need, gap), max(need_below, gap)
                    # What stands between two numbers in Arabic script reads leftwards, though they do not.
                    rightwards = rightwards and not entries[word, KEY] & LEVELS
                if count == 0 and above_need > least_gap:
                    # A blank line under such a line is as high as any, and keeps off it as others do.
                    top, bottom = -(ascent >> 6), descent >> 6
            if is_complex[n] or least_gap >= 0:
                need = max(need, above_need)
                if not first_line and need >= 0 and top < bottom and above < 1 << 39 and y < above - top + need:
                    line_stop = origin + begins[end_t] if end_t < stop else text_starts[n + 1]
                    # Lines of one box stand at one distance, so that its bars meet.
                    if not (_has_bars(codes, above_start, line_start) and _has_bars(codes, line_start, line_stop)):
                        y = above - top + need
                above, above_need = y + bottom if top < bottom else 1 << 40, need_below
            first_line = False
            if count and not is_display:
                blank = np.int64(entries[words[tokens[0]], LEFT]) if entries[words[tokens[0]], LEFT] >= em else 0
                indent = min(indent, lefts[0] + blank)
            if count and is_complex[n]:
                base = bases[origin + begins[first_t]]
                any_base, all_base = any_base | (base & 1), all_base & base
                if is_display and centered:
                    lefts[0] = np.int64(0) if trim else max(np.int64(0), (limit - widths[0]) // 2)
                elif base or not rightwards:
                    order_pieces(count, base, origin, begins, levels, tokens, lefts, widths, item_levels, order, limit)

            for i in range(count):
                word, first, last, x = words[tokens[i]], firsts[i], lasts[i], lefts[i]
                begin = begins[tokens[i]]
                if entries[word, FLAGS] & BOX:
                    # Its origin lies on a whole pixel, so that it looks the same everywhere.
                    b, px = word - first_box, (x + 32) >> 6
                    too_wide = too_wide or widths[i] > limit
                    is_shifted = is_display and centered and trim
                    if is_shifted:
                        displays[shown, 0], displays[shown, 2] = g_out, r_out
                        displays[shown, 4], displays[shown, 6] = w_out, b_out
                    for k in range(box_glyph_offsets[b], box_glyph_offsets[b + 1]):
                        out_ids[g_out] = box_glyphs[k, 1]
                        out_fonts[g_out] = first_font + box_glyphs[k, 0]
                        out_xy[g_out, 0] = (px << 6) + box_glyphs[k, 2]
                        out_xy[g_out, 1] = (y << 6) + box_glyphs[k, 3]
                        color = box_glyphs[k, COLOR]
                        if color != FOREGROUND:
                            for c in range(3):
                                out_colors[g_out, c] = (color >> (16 - 8 * c)) & 255
                        g_out += np.uint64(1)
                    for k in range(box_rule_offsets[b], box_rule_offsets[b + 1]):
                        for c in range(4):
                            out_rules[r_out, c] = box_rules[k, c] + ((y if c & 1 else px) << 6)
                        color = box_rules[k, 4]
                        if color != FOREGROUND:
                            for c in range(3):
                                out_rule_colors[r_out, c] = (color >> (16 - 8 * c)) & 255
                        r_out += 1
                    if entries[word, LEFT] < entries[word, RIGHT]:
                        if not is_shifted:
                            ink_left = min(ink_left, px + entries[word, LEFT])
                            ink_right = max(ink_right, px + entries[word, RIGHT])
                        ink_top, ink_bottom = (
                            min(ink_top, y + entries[word, TOP]),
                            max(ink_bottom, y + entries[word, BOTTOM]),
                        )
                    boxes[w_out, 0], boxes[w_out, 1] = px, y - extents[b, 0] / 64
                    # One of several lines is as wide as its last one, to the text after it.
                    boxes[w_out, 2] = max(px + widths[i] / 64, float(px + entries[word, RIGHT]))
                    boxes[w_out, 3] = y + extents[b, 1] / 64
                    ranges[w_out, 0], ranges[w_out, 1] = begin, begin + entries[word, LENGTH]
                    kinds[w_out] = box_kinds[b]
                    w_out += np.uint64(1)
                    for k in range(box_cell_offsets[b], box_cell_offsets[b + 1]):
                        for c in range(4):
                            boxes[w_out, c] = (y if c & 1 else px) + box_cells[k, 2 + c] / 64
                        ranges[w_out, 0], ranges[w_out, 1] = begin, begin + entries[word, LENGTH]
                        kinds[w_out], cells[w_out, 0], cells[w_out, 1] = CELL, box_cells[k, 0], box_cells[k, 1]
                        w_out += np.uint64(1)
                    places[b_out, 0], places[b_out, 1], places[b_out, 2], places[b_out, 3] = b, n, px, y
                    b_out += 1
                    if is_shifted and entries[word, LEFT] < entries[word, RIGHT]:
                        displays[shown, 1], displays[shown, 3] = g_out, r_out
                        displays[shown, 5], displays[shown, 7] = w_out, b_out
                        displays[shown, 8], displays[shown, 9] = entries[word, LEFT], entries[word, RIGHT]
                        shown += 1
                    continue
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
        # Indentation that all lines share is kept; it ends at the text's edge.
        if 0 < indent < 1 << 40 and ink_left <= ink_right and any_base == (all_base & any_base):
            if any_base:
                ink_right = max(ink_right, (limit + 63) >> 6)
            else:
                ink_left = min(ink_left, 0)
        if shown:
            ink_left, ink_right = _center(
                displays[:shown], ink_left, ink_right, any_base, out_xy, out_rules, boxes, places
            )
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
        # Ink that hangs over the text's edge takes from the margin before it widens the page; a box that is wider than
        # the text does not.
        sizes[n, 1] = max(right - left, min(right - left + 2 * margin, width))
        if too_wide:
            sizes[n, 1] = min(right - left + 2 * margin, 1 << 30)
        if y > tallest or np.int64(sizes[n, 0]) * sizes[n, 1] > max_pixels:
            notes[n] = OVERSIZE
            sizes[n, 0] = sizes[n, 1] = 1
            # What was written there is for others again.
            for k in range(np.uint64(glyph_offsets[n]), g_out):
                out_colors[k] = foreground
            out_rule_colors[rule_offsets[n] : r_out] = foreground
            if len(kinds) > 0:
                for k in range(np.uint64(word_offsets[n]), w_out):
                    kinds[k], cells[k, 0], cells[k, 1] = 0, -1, -1
            g_out, w_out = np.uint64(glyph_offsets[n]), np.uint64(word_offsets[n])
            r_out, b_out = rule_offsets[n], first_place
        shift_x, shift_y = (sizes[n, 1] - (right - left)) // 2 - left, margin - top
        for k in range(np.uint64(glyph_offsets[n]), g_out):
            out_xy[k, 0] += shift_x * 64
            out_xy[k, 1] += shift_y * 64
        for k in range(np.uint64(word_offsets[n]), w_out):
            boxes[k, 0] += shift_x
            boxes[k, 1] += shift_y
            boxes[k, 2] += shift_x
            boxes[k, 3] += shift_y
        for k in range(rule_offsets[n], r_out):
            for c in range(4):
                out_rules[k, c] += (shift_y if c & 1 else shift_x) * 64
        for k in range(first_place, b_out):
            places[k, 2] += shift_x
            places[k, 3] += shift_y
    glyph_offsets[len(starts) - 1], word_offsets[len(starts) - 1], rule_offsets[len(starts) - 1] = g_out, w_out, r_out
    return g_out, w_out, b_out


@njit(cache=True, nogil=True)
def _count_glyphs(words, entries):
    total = 0
    for word in words:
        if word >= 0:
            total += entries[word, END] - entries[word, BEGIN]
    return total


def set_pages(
    tokens: Tokens,
    runs: Runs,
    text_starts: np.ndarray,
    codes: np.ndarray,
    cache: WordCache,
    style: PageStyle,
    insets: Insets,
    outlines: Sequence[Outlines],
) -> tuple[Layout, np.ndarray, np.ndarray]:
    """Set tokens as pages.

    Args:
        tokens: Of N texts.
        runs: Of the same texts.
        text_starts: [N + 1] int64, each text's first code point.
        codes: [K] uint32, the texts' code points.
        cache: Where the tokens' words are.
        style: What the pages look like.
        insets: The boxes among them.
        outlines: The boxes' fonts.

    Returns:
        The layout, without diagnostics and pictures, whose fonts are the stack's and then the boxes'; the pages' notes
        [N] uint8: 0, `BLANK` or `OVERSIZE`; and the boxes set, [K, 4] int64: number, page, and origin in px.
    """
    font = cache.stack.fonts[0]
    pages = len(tokens.starts) - 1
    first_box = _place_boxes(tokens, runs, text_starts, cache, insets) if len(insets.boxes) else 0
    words = _count_glyphs(tokens.words, cache.words)
    glyphs = words + len(insets.glyphs)
    # A word may be split before every glyph.
    pieces = words + len(tokens.words) + len(insets.cells)
    sizes = np.empty((pages, 2), np.int32)
    ids, fonts, xy = np.empty(glyphs, np.uint16), np.empty(glyphs, np.uint16), np.empty((glyphs, 2), np.int32)
    colors = _filled(pages, style)
    glyph_colors, rule_colors = (_inked(count, style) for count in (glyphs, len(insets.rules)))
    rules = np.empty((len(insets.rules), 4), np.int32)
    boxes, ranges = cache.room(pieces)
    # No more than their first rows are written where there is no box.
    has_kinds = bool(len(insets.boxes))
    kinds = np.zeros(pieces if has_kinds else 0, np.uint8)
    cells = np.full((pieces if has_kinds else 0, 2), -1, np.int16)
    places = np.empty((len(insets.boxes), 4), np.int64)
    glyph_offsets, word_offsets = np.empty(pages + 1, np.int64), np.empty(pages + 1, np.int64)
    rule_offsets = np.empty(pages + 1, np.int64)
    notes = np.empty(pages, np.uint8)
    # Half-leading above and below, as in CSS, on a whole pixel.
    baseline = round((style.line_height - (font.ascent + font.descent) / 64) / 2 + font.ascent / 64)
    em = font.key.size
    # Where no word is high enough to meet another of the next line, lines need not be looked at.
    may_meet = style.keeps_off and cache.deepest - cache.tallest > style.line_height
    used, boxed, placed = _fill(
        codes, *tokens, text_starts, runs.levels, runs.bases, runs.breaks, runs.complex,
        cache.words, cache.glyphs, cache.details,
        first_box, len(cache.stack.fonts), insets.kinds, insets.extents, insets.glyphs, insets.glyph_offsets,
        insets.rules, insets.rule_offsets, insets.cells, insets.cell_offsets,
        max(1, font.space), font.zero // 2, font.ascent, font.descent, style.line_height, 0 if may_meet else -1,
        round(GAP * em), round(LINE_SKIP * em), round(DISPLAY_SKIP * em), round(64 * em), baseline,
        (style.width - 2 * style.margin) * 64, style.width, style.margin, style.trim, style.display == "center",
        style.max_pixels,
        np.array(style.foreground, np.uint8),
        sizes, ids, fonts, xy, glyph_colors, glyph_offsets, rules, rule_colors, rule_offsets,
        boxes, ranges, kinds, cells, word_offsets, places, notes,
    )  # fmt: skip
    ruled = int(rule_offsets[-1])
    layout = Layout(
        sizes=sizes,
        colors=colors,
        fonts=tuple(font.key for font in (*cache.stack.fonts, *outlines)),
        glyph_fonts=fonts[:used],
        glyph_ids=ids[:used],
        glyph_xy=xy[:used],
        glyph_colors=glyph_colors[:used],
        glyph_offsets=glyph_offsets,
        rules=rules[:ruled],
        rule_colors=rule_colors[:ruled],
        rule_offsets=rule_offsets,
        picture_offsets=np.zeros(pages + 1, np.int64),
        words=boxes[:boxed].copy(),
        word_ranges=ranges[:boxed].copy(),
        word_kinds=kinds[:boxed],
        word_cells=cells[:boxed],
        word_offsets=word_offsets,
    )
    return layout, notes, places[:placed]


def _place_boxes(tokens: Tokens, runs: Runs, text_starts: np.ndarray, cache: WordCache, insets: Insets) -> int:
    """Put the boxes in place of the words that stand for them; returns the word number of the first."""
    pages = np.repeat(np.arange(len(tokens.starts) - 1), np.diff(tokens.starts))
    places = np.searchsorted(text_starts[pages] + tokens.begins, insets.starts)
    insets.rows[:, KEY] = runs.keys[insets.starts]
    return cache.place_boxes(tokens, places, insets.rows)


def _filled(pages: int, style: PageStyle) -> np.ndarray:
    colors = np.empty((pages, 2, 3), np.uint8)
    colors[:] = style.foreground, style.background
    return colors


def _inked(count: int, style: PageStyle) -> np.ndarray:
    """Colours [count, 3] of what is painted in the foreground."""
    colors = np.zeros((count, 3), np.uint8)
    if any(style.foreground):
        colors[:] = style.foreground
    return colors
