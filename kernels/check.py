"""The numbers in `composite`'s arguments, looked at in one compiled pass.

numpy would take some forty small calls for it, which last as long as painting five pages of text.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LARGEST = 2**31 - 1  # rows and strides of bitmaps, and their first 16 bytes

SOUND, NEGATIVE_SIZES, CANVAS_STARTS, GLYPH_STARTS, RULE_STARTS, PICTURE_STARTS, SLOTS, BITMAPS, PICTURES = range(9)


@njit(cache=True, nogil=True)
def _rise(starts, items):
    """Whether starts rise from 0 to items."""
    falls = starts[0] != 0 or starts[-1] != items
    for n in range(np.uint64(len(starts) - 1)):
        falls |= starts[n + np.uint64(1)] < starts[n]
    return not falls


@njit(cache=True, nogil=True)
def find_fault(
    sizes,
    channels,
    canvas_starts,
    glyph_slots,
    glyph_starts,
    slots,
    coverage_size,
    rules,
    rule_starts,
    picture_boxes,
    picture_at,
    picture_starts,
    pixels_size,
):
    """What would make a backend read or write out of bounds, the first of it; `SOUND` if nothing would."""
    for n in range(len(sizes)):
        if sizes[n, 0] < 0 or sizes[n, 1] < 0:
            return NEGATIVE_SIZES
    start = np.int64(0)
    wrong = canvas_starts[0] != 0
    for n in range(len(sizes)):
        area = np.int64(sizes[n, 0]) * np.int64(sizes[n, 1])
        start += area * channels
        # The sum has not overflowed.
        wrong |= canvas_starts[n + 1] != start or area > 2**60 or start < 0
    if wrong:
        return CANVAS_STARTS
    if not _rise(glyph_starts, len(glyph_slots)):
        return GLYPH_STARTS
    if not _rise(rule_starts, rules):
        return RULE_STARTS
    if not _rise(picture_starts, len(picture_at)):
        return PICTURE_STARTS
    wrong = False
    for g in range(np.uint64(len(glyph_slots))):
        wrong |= np.uint32(glyph_slots[g]) >= len(slots)
    if wrong:
        return SLOTS
    for i in range(np.uint64(len(slots))):
        first, rows, columns, stride = slots[i, 0], slots[i, 1], slots[i, 2], slots[i, 3]
        wrong |= (first | rows | columns | stride) < 0 or (first | stride) & 15 != 0 or columns > stride
        # In this order nothing overflows.
        wrong |= stride > LARGEST or rows > LARGEST or first >> 4 > LARGEST or first > coverage_size - rows * stride
    if wrong:
        return BITMAPS
    for p in range(len(picture_at)):
        columns, rows = np.int64(picture_boxes[p, 2]), np.int64(picture_boxes[p, 3])
        if columns < 0 or rows < 0 or picture_at[p] < 0 or columns * rows > pixels_size:
            return PICTURES
        if picture_at[p] > pixels_size - (channels + 1) * columns * rows:
            return PICTURES
    return SOUND
