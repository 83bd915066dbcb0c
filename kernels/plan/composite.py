"""The plan of `composite`: pages cut into bands of whole rows, and each band's items in draw order.

A program owns a band. Bands are cut where few items are crossed, as between two lines of text. An item that crosses
bands stands in each of them; rules and pictures are clipped, and their rows count from the band's first. A band's
glyphs are a stretch of the page's records, which the kernel clips: so a glyph takes 16 bytes, and other backends read
the same records.
"""

from __future__ import annotations

import numpy as np
from gpurender.kernels.plan import PITCH, Pitched, Table
from numba import njit

__all__ = ["WINDOW_ROWS", "WINDOW_WORDS", "lay_composite"]

# Rows of a band: lines of text of 10 to 40 px find a cut between them. Low bands keep more of a GPU busy.
LOW, HIGH = 16, 48
# Words and rows of a glyph that the kernel paints at a time, a word being 4 px aligned on the page.
WINDOW_WORDS, WINDOW_ROWS = 4, 16
# Places in a band and in the table are int32.
LARGEST = 2**31 - 1

# A band's row: first 16 bytes a channel of its page, the page's rows and columns, packed background, the band's first
# row on the page and the row behind its last; the words of the table at which its rules and its pictures begin and at
# which the latter end, at which its first glyph begins and its last one ends, and at which all bitmaps begin; 2**23 and
# 2**15 as float32, which the compiler would put into registers again and again if it knew them.
BAND = 14
(
    PAGE, PAGE_ROWS, PAGE_COLUMNS, BACKGROUND, TOP, BOTTOM, RULES, PICTURES, END, GLYPHS, GLYPHS_END, BITMAPS, LEVEL,
    SHARE,
) = range(BAND)  # fmt: skip
LEVEL_BITS, SHARE_BITS = 0x4B000000, 0x47000000
# A rule: left, top, right, bottom in 1/64 px; packed color.
RULE = 6
# A glyph: left and top on the page, in px; number of the bitmap; packed color. A bitmap: first byte / 16, rows,
# columns, stride.
GLYPH, BITMAP = 4, 4
# A picture: left and the column behind its last on the page, in px; first row and the one behind its last; columns of
# the source; and as int64 the bytes at which the first of these rows stands in the gray, the red and the alpha plane,
# and the bytes of a plane.
PICTURE = 14


@njit(cache=True, nogil=True)
def _show(left, top, right, bottom, rows, columns):
    """Return the page's rows that an item shows on: the first, and the one behind the last; 0, 0 off the page."""
    shown = left < right and left < columns and right > 0 and top < bottom and top < rows and bottom > 0
    return (max(top, 0), min(bottom, rows)) if shown else (0, 0)


@njit(cache=True, nogil=True)
def _find_extents(sizes, glyphs, glyph_starts, bitmaps, rules, rule_starts, pictures, picture_starts):
    """Return the page's rows that each item shows on, [K, 2] int32 for rules, glyphs and pictures: first, end."""
    of_rules, of_glyphs = np.empty((len(rules), 2), np.int32), np.empty((len(glyphs), 2), np.int32)
    of_pictures = np.empty((len(pictures), 2), np.int32)
    for n in range(len(sizes)):
        rows, columns = np.int64(sizes[n, 0]), np.int64(sizes[n, 1])
        for r in range(rule_starts[n], rule_starts[n + 1]):
            left, top = np.int64(rules[r, 0]), np.int64(rules[r, 1])
            right, bottom = np.int64(rules[r, 2]), np.int64(rules[r, 3])
            # In whole pixels an empty rule might not be empty.
            if left >= right or top >= bottom:
                right = left = -64
            of_rules[r, 0], of_rules[r, 1] = _show(
                left >> 6, top >> 6, (right + 63) >> 6, (bottom + 63) >> 6, rows, columns
            )
        # Unsigned indices: numba would look whether signed ones count from the end.
        for g in range(np.uint64(glyph_starts[n]), np.uint64(glyph_starts[n + 1])):
            left, top, bitmap = np.int64(glyphs[g, 0]), np.int64(glyphs[g, 1]), np.uint64(glyphs[g, 2])
            right, bottom = left + bitmaps[bitmap, 2], top + bitmaps[bitmap, 1]
            of_glyphs[g, 0], of_glyphs[g, 1] = _show(left, top, right, bottom, rows, columns)
        for p in range(picture_starts[n], picture_starts[n + 1]):
            left, top = np.int64(pictures[p, 0]), np.int64(pictures[p, 1])
            right, bottom = left + pictures[p, 2], top + pictures[p, 3]
            of_pictures[p, 0], of_pictures[p, 1] = _show(left, top, right, bottom, rows, columns)
    return of_rules, of_glyphs, of_pictures


@njit(cache=True, nogil=True)
def _limits(columns):
    """Return the words of a pitched row, and the fewest and the most rows of a band."""
    across = (np.int64(columns) + (PITCH - 1)) // PITCH * (PITCH // 4)
    high = max(min(HIGH, LARGEST // max(across, 1)), 1)
    return across, min(LOW, high), high


@njit(cache=True, nogil=True)
def _cut(sizes, starts, backgrounds, extents, item_starts):
    """Cut pages into bands; return their rows [B, BAND] int32 and, for every row of every page, its band."""
    most, total = 0, 0
    for n in range(len(sizes)):
        low = _limits(sizes[n, 1])[1]
        if sizes[n, 1] > 0:
            most += (sizes[n, 0] + low - 1) // low
            total += sizes[n, 0]
    bands, owners = np.zeros((most, BAND), np.int32), np.empty(total + 1, np.int32)
    count, base = 0, 0
    for n in range(len(sizes)):
        rows = np.int64(sizes[n, 0])
        if rows == 0 or sizes[n, 1] == 0:
            continue
        _, low, high = _limits(sizes[n, 1])
        # How many items a cut above each row would cross.
        crossed = np.zeros(rows + 2, np.int32)
        for kind in range(3):
            extent, start = extents[kind], item_starts[kind]
            for i in range(np.uint64(start[n]), np.uint64(start[n + 1])):
                crossed[extent[i, 0] + 1] += 1
                crossed[max(extent[i, 1], extent[i, 0] + 1)] -= 1
        for y in range(rows):
            crossed[y + 1] += crossed[y]
        y = 0
        while y < rows:
            end = rows
            if y + high < rows:
                end = y + low
                for cut in range(y + low, y + high + 1):
                    if crossed[cut] < crossed[end]:
                        end = cut
            owners[base + y : base + end] = count
            band = bands[count]
            band[PAGE], band[PAGE_ROWS], band[PAGE_COLUMNS] = starts[n], rows, sizes[n, 1]
            band[BACKGROUND], band[TOP], band[BOTTOM] = backgrounds[n], y, end
            band[LEVEL], band[SHARE] = LEVEL_BITS, SHARE_BITS
            count += 1
            y = end
        base += rows
    return bands[:count], owners


@njit(cache=True, nogil=True)
def _assign(sizes, bands, owners, extents, item_starts):
    """Count each band's rules and pictures, [B, 2] int64; write its first glyph and the one behind its last."""
    counts = np.zeros((len(bands), 2), np.int64)
    base = np.int64(0)
    for n in range(len(sizes)):
        for kind in range(3):
            extent, start = extents[kind], item_starts[kind]
            for i in range(np.uint64(start[n]), np.uint64(start[n + 1])):
                first, end = np.int64(extent[i, 0]), np.int64(extent[i, 1])
                if first == end:
                    continue
                for b in range(np.uint64(owners[base + first]), np.uint64(owners[base + end - 1] + 1)):
                    if kind != 1:
                        counts[b, kind // 2] += 1
                    else:
                        if bands[b, GLYPHS_END] == 0:
                            bands[b, GLYPHS] = i
                        bands[b, GLYPHS_END] = i + np.uint64(1)
        base += np.int64(sizes[n, 0]) if sizes[n, 1] else 0
    return counts


@njit(cache=True, nogil=True)
def _write(
    sizes, bands, owners, extents, cursors, rules, rule_colors, rule_starts, pictures, planes, picture_starts, words
):  # fmt: skip
    """Write each band's rules and pictures at its cursors [B, 2]."""
    base = np.int64(0)
    for n in range(len(sizes)):
        columns = np.int64(sizes[n, 1])
        for r in range(rule_starts[n], rule_starts[n + 1]):
            first, end = extents[0][r, 0], extents[0][r, 1]
            for b in range(owners[base + first], owners[base + end - 1] + 1) if first < end else range(0):
                at = cursors[b, 0]
                cursors[b, 0] += RULE
                top, bottom = np.int64(bands[b, TOP]) * 64, np.int64(bands[b, BOTTOM]) * 64
                words[at], words[at + 1] = max(rules[r, 0], 0), max(rules[r, 1], top) - top
                words[at + 2], words[at + 3] = min(rules[r, 2], columns * 64), min(rules[r, 3], bottom) - top
                words[at + 4], words[at + 5] = rule_colors[r], 0
        for p in range(picture_starts[n], picture_starts[n + 1]):
            first, end = extents[1][p, 0], extents[1][p, 1]
            for b in range(owners[base + first], owners[base + end - 1] + 1) if first < end else range(0):
                at = cursors[b, 1]
                cursors[b, 1] += PICTURE
                left, width = np.int64(pictures[p, 0]), np.int64(pictures[p, 2])
                y0, y1 = max(first, bands[b, TOP]), min(end, bands[b, BOTTOM])
                words[at], words[at + 1] = left, min(left + width, columns)
                words[at + 2], words[at + 3] = y0 - bands[b, TOP], y1 - bands[b, TOP]
                words[at + 4], words[at + 5] = width, 0
                wide = words[at + 6 : at + PICTURE].view(np.int64)
                wide[:3] = planes[p] + (np.int64(y0) - pictures[p, 1]) * width
                wide[3] = width * pictures[p, 3]
        base += np.int64(sizes[n, 0]) if columns else 0


@njit(cache=True, nogil=True)
def _lay(
    sizes, starts, backgrounds, glyphs, glyph_starts, bitmaps, rules, rule_colors, rule_starts,
    pictures, planes, picture_starts,
):  # fmt: skip
    """Return the table, its programs and the words at which bitmaps and glyphs stand."""
    extents = _find_extents(sizes, glyphs, glyph_starts, bitmaps, rules, rule_starts, pictures, picture_starts)
    bands, owners = _cut(sizes, starts, backgrounds, extents, (rule_starts, glyph_starts, picture_starts))
    cursors = _assign(sizes, bands, owners, extents, (rule_starts, glyph_starts, picture_starts))
    at = np.int64(len(bands) * BAND)
    for b in range(len(bands)):
        for kind, size in ((0, RULE), (1, PICTURE)):
            count = cursors[b, kind] * size
            # Offsets that wrap around here are seen below: the table is refused.
            bands[b, RULES + kind] = cursors[b, kind] = at
            at += count
        bands[b, END] = at
    # Rows of bitmaps and of glyphs begin at multiples of 16 bytes, as the table does.
    first_bitmap = (at + 3) // 4 * 4
    first_glyph = first_bitmap + bitmaps.size
    size = first_glyph + glyphs.size
    if size > LARGEST:
        raise ValueError("the batch has too many glyphs for a device plan of 2**31 words: make it smaller")
    for b in range(len(bands)):
        bands[b, BITMAPS] = first_bitmap
        bands[b, GLYPHS] = first_glyph + GLYPH * np.int64(bands[b, GLYPHS])
        bands[b, GLYPHS_END] = first_glyph + GLYPH * np.int64(bands[b, GLYPHS_END])
    words = np.empty(size, np.int32)
    words[: bands.size] = bands.ravel()
    words[at:first_bitmap] = 0
    words[first_bitmap:first_glyph] = bitmaps.ravel()
    words[first_glyph:] = glyphs.ravel()
    _write(
        sizes, bands, owners, (extents[0], extents[2]), cursors, rules, rule_colors, rule_starts,
        pictures, planes, picture_starts, words,
    )  # fmt: skip
    return words, len(bands), first_bitmap, first_glyph


def lay_composite(
    pages: Pitched,
    backgrounds: np.ndarray,
    glyphs: np.ndarray,
    glyph_starts: np.ndarray,
    bitmaps: np.ndarray,
    rules: np.ndarray,
    rule_colors: np.ndarray,
    rule_starts: np.ndarray,
    pictures: np.ndarray,
    planes: np.ndarray,
    picture_starts: np.ndarray,
) -> tuple[Table, int, int]:
    """Lay out the painting of N pages. Items may be off their page. Colors are packed: see `pack_colors`.

    Args:
        pages: The pages.
        backgrounds: [N] int32, their colors.
        glyphs: [G, 4] int32: left, top, number of the bitmap, color.
        glyph_starts: [N + 1] int64, each page's first glyph.
        bitmaps: [U, 4] int32: first byte / 16, rows, columns, stride. First bytes may be filled in later.
        rules: [R, 4] int32: left, top, right, bottom in 1/64 px.
        rule_colors: [R] int32.
        rule_starts: [N + 1] int64.
        pictures: [P, 4] int32: left, top, columns, rows.
        planes: [P, 3] int64: first byte of the gray, the red and the alpha plane; green and blue follow red.
        picture_starts: [N + 1] int64.

    Returns:
        table: The table.
        first_bitmap: The word in it at which the bitmaps stand, as given.
        first_glyph: The word in it at which the glyphs stand, as given.

    Raises:
        ValueError: The table would need 2**31 words or more.
    """
    words, programs, first_bitmap, first_glyph = _lay(
        pages.sizes, pages.starts, backgrounds, glyphs, glyph_starts, bitmaps, rules, rule_colors, rule_starts,
        pictures, planes, picture_starts,
    )  # fmt: skip
    return Table("composite", words, programs), first_bitmap, first_glyph
