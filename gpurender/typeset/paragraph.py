"""Paragraphs: words and spaces become lines, lines become pages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from gpurender.typeset.layout import Layout
from gpurender.typeset.shape import (
    BACKWARDS,
    BREAK,
    CLUSTER,
    ENDLESS,
    FIRST,
    ID,
    NEWLINE,
    OPPORTUNITY,
    PEN,
    SPACE,
    TAB,
    XMAX,
    XMIN,
    YMAX,
    YMIN,
    Tokens,
    WordCache,
    X,
    Y,
)

__all__ = ["BLANK", "OVERSIZE", "PageStyle", "set_pages"]

TAB_STOP = 8  # spaces, as in CSS
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


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    kinds, begins, lengths, token_words, token_starts,
    glyph_starts, advances, flags, glyphs,
    space, ascent, descent, leading, baseline, limit, width, margin, trim, max_pixels,
    sizes, out_ids, out_xy, glyph_offsets, boxes, ranges, word_offsets, notes,
):  # fmt: skip
    """Fill lines greedily, page by page. Lengths in 1/64 px but `leading`, `baseline`, `width`, `margin` and sizes, px.

    Returns the number of glyphs and of word boxes. `notes` [N] receives `BLANK` for a page without ink, `OVERSIZE` for
    one over `max_pixels`, whose glyphs and words are dropped.
    """
    g_out = 0
    w_out = 0
    for n in range(len(token_starts) - 1):
        glyph_offsets[n] = g_out
        word_offsets[n] = w_out
        ink_left, ink_top, ink_right, ink_bottom = 1 << 40, 1 << 40, -(1 << 40), -(1 << 40)
        x = np.int64(0)
        line = np.int64(0)
        for t in range(token_starts[n], token_starts[n + 1]):
            kind = kinds[t]
            if kind == NEWLINE:
                line += 1
                x = 0
                continue
            if kind == SPACE:
                x += lengths[t] * space
                continue
            if kind == TAB:
                x = (x // (TAB_STOP * space) + 1) * (TAB_STOP * space)
                continue
            word = token_words[t]
            g, end = glyph_starts[word], glyph_starts[word + 1]
            first = g
            if flags[word] & ENDLESS:
                # No page holds it: as many lines as make any page too large.
                line += max_pixels
            while g < end:
                # The piece [g, stop) that goes on this line.
                stop = end
                advance = advances[word] - glyphs[g, PEN]
                if x + advance > limit:
                    stop = g
                    fits = g
                    k = g + 1
                    while k < end and x + glyphs[k, PEN] - glyphs[g, PEN] <= limit:
                        if glyphs[k, BREAK] == OPPORTUNITY:
                            stop = k
                        if glyphs[k, BREAK] >= CLUSTER:
                            fits = k
                        k += 1
                    if stop == g:
                        if x > 0:
                            line += 1
                            x = 0
                            continue
                        # Wider than the page: split at the last cluster that fits, but set at least one.
                        stop = fits
                        if stop == g:
                            stop = g + 1
                            while stop < end and glyphs[stop, BREAK] < CLUSTER:
                                stop += 1
                    advance = (glyphs[stop, PEN] if stop < end else advances[word]) - glyphs[g, PEN]

                y = line * leading + baseline
                origin = x - glyphs[g, PEN]
                for k in range(g, stop):
                    gx = origin + glyphs[k, X]
                    gy = y * 64 - glyphs[k, Y]
                    out_ids[g_out] = glyphs[k, ID]
                    out_xy[g_out, 0] = gx
                    out_xy[g_out, 1] = gy
                    g_out += 1
                    if glyphs[k, XMAX] > glyphs[k, XMIN] and glyphs[k, YMAX] > glyphs[k, YMIN]:
                        # Where the renderer will draw it: a quarter pixel in x, a whole one in y.
                        px = (gx + 8) >> 4 << 4
                        py = (gy + 32) >> 6
                        ink_left = min(ink_left, (px + glyphs[k, XMIN]) >> 6)
                        ink_right = max(ink_right, (px + glyphs[k, XMAX] + 63) >> 6)
                        ink_top = min(ink_top, py - ((glyphs[k, YMAX] + 63) >> 6))
                        ink_bottom = max(ink_bottom, py - (glyphs[k, YMIN] >> 6))
                boxes[w_out, 0] = x / 64
                boxes[w_out, 1] = y - ascent / 64
                boxes[w_out, 2] = (x + advance) / 64
                boxes[w_out, 3] = y + descent / 64
                ranges[w_out, 0] = begins[t]
                ranges[w_out, 1] = begins[t] + lengths[t]
                if not flags[word] & BACKWARDS:
                    if g > first:
                        ranges[w_out, 0] = begins[t] + glyphs[g, FIRST]
                    if stop < end:
                        ranges[w_out, 1] = begins[t] + glyphs[stop, FIRST]
                w_out += 1
                x += advance
                g = stop
                if g < end:
                    line += 1
                    x = 0

        notes[n] = 0
        left, top, right, bottom = np.int64(0), np.int64(0), np.int64(width - 2 * margin), (line + 1) * leading
        if ink_right < ink_left:
            if line < max_pixels:
                notes[n] = BLANK
            if trim:
                right, bottom = np.int64(leading), np.int64(leading)
        elif trim:
            left, top, right, bottom = ink_left, ink_top, ink_right, ink_bottom
        else:
            # Ink is never cut off: a page without margins grows by what hangs out.
            left, top = min(left, ink_left), min(top, ink_top)
            right, bottom = max(right, ink_right), max(bottom, ink_bottom)
        sizes[n, 0] = bottom - top + 2 * margin
        # Ink that hangs over the text's edge takes from the margin before it widens the page.
        sizes[n, 1] = max(right - left, min(right - left + 2 * margin, width))
        if sizes[n, 0] * sizes[n, 1] > max_pixels or line >= max_pixels:
            notes[n] = OVERSIZE
            g_out = glyph_offsets[n]
            w_out = word_offsets[n]
        shift_x, shift_y = (sizes[n, 1] - (right - left)) // 2 - left, margin - top
        for k in range(glyph_offsets[n], g_out):
            out_xy[k, 0] += shift_x * 64
            out_xy[k, 1] += shift_y * 64
        for k in range(word_offsets[n], w_out):
            boxes[k, 0] += shift_x
            boxes[k, 1] += shift_y
            boxes[k, 2] += shift_x
            boxes[k, 3] += shift_y
    glyph_offsets[len(token_starts) - 1] = g_out
    word_offsets[len(token_starts) - 1] = w_out
    return g_out, w_out


@njit(cache=True, nogil=True)
def _count_glyphs(words, glyph_starts):
    total = 0
    for word in words:
        if word >= 0:
            total += glyph_starts[word + 1] - glyph_starts[word]
    return total


def set_pages(tokens: Tokens, cache: WordCache, style: PageStyle) -> tuple[Layout, np.ndarray]:
    """Set tokens as pages.

    Returns:
        The layout, without diagnostics, and the pages' notes [N] uint8: 0, `BLANK` or `OVERSIZE`.
    """
    font = cache.font
    pages = len(tokens.starts) - 1
    glyphs = _count_glyphs(tokens.words, cache.glyph_starts)
    sizes = np.empty((pages, 2), np.int64)
    ids, xy = np.empty(glyphs, np.uint16), np.empty((glyphs, 2), np.int32)
    # A word may be split before every glyph.
    boxes, ranges = np.empty((glyphs, 4), np.float32), np.empty((glyphs, 2), np.int32)
    glyph_offsets, word_offsets = np.empty(pages + 1, np.int64), np.empty(pages + 1, np.int64)
    notes = np.empty(pages, np.uint8)
    # Half-leading above and below, as in CSS, on a whole pixel.
    baseline = round((style.line_height - (font.ascent + font.descent) / 64) / 2 + font.ascent / 64)
    used, boxed = _fill(
        tokens.kinds, tokens.begins, tokens.lengths, tokens.words, tokens.starts,
        cache.glyph_starts, cache.advances, cache.flags, cache.glyphs,
        max(1, font.space), font.ascent, font.descent, style.line_height, baseline,
        (style.width - 2 * style.margin) * 64, style.width, style.margin, style.trim, style.max_pixels,
        sizes, ids, xy, glyph_offsets, boxes, ranges, word_offsets, notes,
    )  # fmt: skip
    colors = np.array([style.foreground, style.background], np.uint8)
    glyph_colors = np.empty((used, 3), np.uint8)
    glyph_colors[:] = colors[0]
    layout = Layout(
        sizes=sizes.astype(np.int32),
        colors=np.broadcast_to(colors, (pages, 2, 3)).copy(),
        fonts=(font.key,),
        glyph_fonts=np.zeros(used, np.uint16),
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
