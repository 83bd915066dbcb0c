"""DVI, TeX's own output: pages of glyphs and filled rectangles, read in compiled code into flat arrays.

Each page is a box that was shipped out: its counts say which, and how large it is, in scaled points (sp, 1/65536 pt).
Positions become 1/64 px from the box's origin, its left end on its baseline, y downwards.

A rule is a line if its smaller side is under `LINE` px, else an area. So that lines come out crisp and even:

- A line is as thick as whole pixels allow, at least one.
- A horizontal line stands on the row that a glyph at its lower edge would stand on: a renderer rounds baselines to
  whole pixels, and TeX hangs a radical sign from the lower edge of its bar. So a bar joins its sign in any row.
- A vertical line begins at the whole pixel from the origin that is nearest to its left edge, and covers every row that
  it touches, so that the pieces of a table's line meet each other and the lines across. A box with such lines is crisp
  if its origin is put on a whole pixel horizontally too.
- An area's edges are rounded each by itself, so that cells side by side leave no gap and do not overlap. In a formula
  its left and right edges, and the ends of horizontal lines, are exact; in a table they are whole pixels, as the
  vertical lines that they meet are.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gpurender.typeset.latex.box import COLOR, FONT, FOREGROUND, ID, XMAX, XMIN, YMAX, YMIN, X, Y

__all__ = ["COUNTS", "read_pages"]

LINE = 3 * 64
_DEEPEST = 1024  # boxes within boxes
# Columns of pages: ten counts, the first glyph, the first rule, the first special, what cannot be placed.
COUNTS = 10
GLYPHS, RULES, SPECIALS, TROUBLE = range(COUNTS, COUNTS + 4)
# Columns of specials: the page; glyphs and rules before it; where its text is, and how long; its place, 1/64 px.
PAGE, GLYPH, RULE, AT, LENGTH, LEFT, BASE = range(7)
# Troubles: of a font, this and its row; boxes too deep.
NO_GLYPH, TOO_DEEP = 1, -1


@njit(cache=True, inline="always")
def _unsigned(data, at, size):
    value = 0
    for k in range(size):
        value = value << 8 | np.int64(data[at + k])
    return value


@njit(cache=True, inline="always")
def _signed(data, at, size):
    value = _unsigned(data, at, size)
    return value - (1 << 8 * size) if value >> 8 * size - 1 else value


@njit(cache=True, nogil=True)
def read_pages(
    data, stop, rows, metrics, ids, numbers, scale, table, out_pages, out_glyphs, out_rules, out_specials, unknown
):
    """Whole pages of `data[:stop]`.

    Args:
        data: [> stop] uint8, with room for one more operand behind `stop`.
        stop: Where it ends.
        rows: [F] int32, by TeX's number of a font: its row of the following, or -1 if it is not known.
        metrics: [R, 3, 256] int32, width, height and depth of its characters in sp.
        ids: [R, 256] int32, their glyphs, or -1.
        numbers: [R] int32, the engine's number of the font.
        scale: 1/64 px in a scaled point.
        table: Which count of a page is 1 if it is a table.
        out_pages, out_glyphs, out_rules, out_specials: Filled; the columns are above, and those of `Box`.
        unknown: Filled with where fonts are defined that are not known; what is drawn in them is left out.

    Returns:
        The numbers of pages, glyphs, rules, specials, unknown fonts; where the first page begins that is not whole.
    """
    stack = np.empty((_DEEPEST, 6), np.int64)
    pages = glyphs = rules = specials = fonts = 0
    at = 0
    begun = 0
    while at < stop:
        op = data[at]
        if op == 247:
            # The preamble: its last byte is the length of a comment.
            if at + 15 > stop:
                break
            at += 15 + data[at + 14]
            begun = at
            continue
        if op == 138:
            at += 1
            begun = at
            continue
        if op != 139:
            # The postamble, and nothing of interest after it.
            break
        if at + 45 > stop:
            break
        for k in range(COUNTS):
            out_pages[pages, k] = _signed(data, at + 1 + 4 * k, 4)
        out_pages[pages, GLYPHS] = page_glyphs = glyphs
        out_pages[pages, RULES] = page_rules = rules
        out_pages[pages, SPECIALS] = page_specials = specials
        baseline = out_pages[pages, 2]
        snaps = out_pages[pages, table] == 1
        trouble = 0
        depth = 0
        row = -1
        h = v = w = x = y = z = np.int64(0)
        at += 45
        ended = False
        while at < stop:
            op = np.int64(data[at])
            at += 1
            if op < 137:
                # A character, or a rule.
                code = op
                size = 0
                if 128 <= op < 132 or 133 <= op < 137:
                    size = (op - 128 if op < 132 else op - 133) + 1
                    code = _unsigned(data, at, size)
                    at += size
                elif op == 132:
                    code = -1
                if code < 0:
                    tall, wide = _signed(data, at, 4), _signed(data, at + 4, 4)
                    at += 8
                    if tall > 0 and wide > 0:
                        left, right = h * scale, (h + wide) * scale
                        bottom = (v - baseline) * scale
                        top = bottom - tall * scale
                        _place(out_rules[rules], left, top, right, bottom, snaps)
                        rules += 1
                    h += wide
                elif row >= 0 and code < 256:
                    glyph = ids[row, code]
                    if glyph < 0:
                        trouble = NO_GLYPH + row
                    else:
                        out = out_glyphs[glyphs]
                        out[FONT], out[ID], out[COLOR] = numbers[row], glyph, FOREGROUND
                        out[X] = round(h * scale)
                        out[Y] = round((v - baseline) * scale)
                        # Until a box has ink, what TeX knows of the glyph: advance, height and depth.
                        out[XMIN], out[XMAX] = 0, round(metrics[row, 0, code] * scale)
                        out[YMIN], out[YMAX] = (
                            round(-metrics[row, 2, code] * scale),
                            round(metrics[row, 1, code] * scale),
                        )
                        glyphs += 1
                    if op < 133:
                        h += metrics[row, 0, code]
            elif op == 137:
                wide = _signed(data, at + 4, 4)
                tall = _signed(data, at, 4)
                at += 8
                if tall > 0 and wide > 0:
                    bottom = (v - baseline) * scale
                    _place(out_rules[rules], h * scale, bottom - tall * scale, (h + wide) * scale, bottom, snaps)
                    rules += 1
            elif op == 138:
                pass
            elif op == 140:
                ended = True
                break
            elif op == 141:
                if depth < _DEEPEST:
                    out = stack[depth]
                    out[0], out[1], out[2], out[3], out[4], out[5] = h, v, w, x, y, z
                else:
                    trouble = TOO_DEEP
                depth += 1
            elif op == 142:
                depth -= 1
                if 0 <= depth < _DEEPEST:
                    out = stack[depth]
                    h, v, w, x, y, z = out[0], out[1], out[2], out[3], out[4], out[5]
            elif op < 147:
                h += _signed(data, at, op - 142)
                at += op - 142
            elif op < 152:
                if op > 147:
                    w = _signed(data, at, op - 147)
                    at += op - 147
                h += w
            elif op < 157:
                if op > 152:
                    x = _signed(data, at, op - 152)
                    at += op - 152
                h += x
            elif op < 161:
                v += _signed(data, at, op - 156)
                at += op - 156
            elif op < 166:
                if op > 161:
                    y = _signed(data, at, op - 161)
                    at += op - 161
                v += y
            elif op < 171:
                if op > 166:
                    z = _signed(data, at, op - 166)
                    at += op - 166
                v += z
            elif op < 239:
                font = op - 171
                if op >= 235:
                    font = _unsigned(data, at, op - 234)
                    at += op - 234
                row = rows[font] if font < len(rows) else -1
            elif op < 243:
                length = _unsigned(data, at, op - 238)
                at += op - 238
                if at + length <= stop:
                    out = out_specials[specials]
                    out[PAGE], out[GLYPH], out[RULE], out[AT], out[LENGTH] = pages, glyphs, rules, at, length
                    out[LEFT], out[BASE] = round(h * scale), round((v - baseline) * scale)
                    specials += 1
                at += length
            elif op < 247:
                font = _unsigned(data, at, op - 242)
                if (font >= len(rows) or rows[font] < 0) and fonts < len(unknown):
                    unknown[fonts] = at - 1
                    fonts += 1
                at += op - 242
                at += 14 + np.int64(data[at + 12]) + np.int64(data[at + 13]) if at + 14 <= stop else 14
            else:
                # Of no use in what pdfTeX writes.
                trouble = TOO_DEEP
        if not ended:
            glyphs, rules, specials = page_glyphs, page_rules, page_specials
            break
        out_pages[pages, TROUBLE] = trouble
        pages += 1
        begun = at
    return pages, glyphs, rules, specials, fonts, begun


@njit(cache=True)
def _place(out, left, top, right, bottom, snaps):
    out[4] = FOREGROUND
    wide, tall = right - left, bottom - top
    if min(wide, tall) >= LINE:
        out[1], out[3] = (round(top) + 32) >> 6 << 6, (round(bottom) + 32) >> 6 << 6
    elif tall <= wide:
        out[3] = (round(bottom) + 32) >> 6 << 6
        out[1] = out[3] - max(1, round(tall / 64)) * 64
    else:
        out[0] = (round(left) + 32) >> 6 << 6
        out[2] = out[0] + max(1, round(wide / 64)) * 64
        out[1], out[3] = round(top) >> 6 << 6, (round(bottom) + 63) >> 6 << 6
        return
    if snaps:
        out[0] = (round(left) + 32) >> 6 << 6
        out[2] = max((round(right) + 32) >> 6 << 6, out[0] + 64)
    else:
        out[0], out[2] = round(left), round(right)
