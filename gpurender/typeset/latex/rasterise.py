"""A page of a PDF file as raw pixels, with the boxes of its tables' cells, by a separate process.

Run as a script: `rasterise.py PDF OUT FACTOR LARGEST AREA`. OUT begins with width, height and the number of cells, 4
bytes each. Then come cells: row, column, left, top, right and bottom in 1/64 px, 4 bytes each; then RGBA rows, colours
not multiplied by alpha. Where the page would be larger than it may be, there is only its size.
"""

from __future__ import annotations

import ctypes
import math
import struct
import sys
from collections.abc import Iterator
from typing import Any

# The name of the marks around a cell's objects; see `preamble.CELLS`.
_MARK = "gprcell"


def _cells(page: Any, width: int, height: int) -> list[int]:
    """Return the boxes of the cells on a page of so many px, flat; rows that show something are numbered from 0."""
    from pypdfium2 import raw

    boxes: dict[tuple[int, int], list[int]] = {}
    for index in range(raw.FPDFPage_CountObjects(page)):
        item = raw.FPDFPage_GetObject(page, index)
        for row, column in _marks(raw, item):
            box = _bounds(raw, page, item, width, height)
            before = boxes.setdefault((row, column), box)
            boxes[row, column] = [*map(min, before[:2], box[:2]), *map(max, before[2:], box[2:])]
    rows = {row: number for number, row in enumerate(sorted({row for row, _ in boxes}))}
    return [part for (row, column), box in sorted(boxes.items()) for part in (rows[row], column, *box)]


def _marks(raw: Any, item: Any) -> Iterator[tuple[int, int]]:
    """Iterate over the cells, as row and column, that an object of a page is marked to be in."""
    name, size = ctypes.create_string_buffer(64), ctypes.c_ulong()
    for index in range(raw.FPDFPageObj_CountMarks(item)):
        mark = raw.FPDFPageObj_GetMark(item, index)
        raw.FPDFPageObjMark_GetName(mark, ctypes.cast(name, ctypes.POINTER(raw.FPDF_WCHAR)), len(name), size)
        if name.raw[: max(0, size.value - 2)].decode("utf-16-le", "replace") != _MARK:
            continue
        row, column = ctypes.c_int(), ctypes.c_int()
        raw.FPDFPageObjMark_GetParamIntValue(mark, b"R", row)
        raw.FPDFPageObjMark_GetParamIntValue(mark, b"C", column)
        yield row.value, column.value


def _bounds(raw: Any, page: Any, item: Any, width: int, height: int) -> list[int]:
    """Return left, top, right and bottom of an object, in 1/64 px."""
    sides = [ctypes.c_float() for _ in range(4)]
    raw.FPDFPageObj_GetBounds(item, *sides)
    left, bottom, right, top = (side.value for side in sides)
    x, y = ctypes.c_int(), ctypes.c_int()
    corners = []
    for corner in ((left, top), (right, bottom)):
        raw.FPDF_PageToDevice(page, 0, 0, 64 * width, 64 * height, 0, *corner, x, y)
        corners.append((x.value, y.value))
    # A page may be turned.
    return [*map(min, *corners), *map(max, *corners)]


def main() -> None:
    """Rasterise the first page; FACTOR is px per 1/72 in, LARGEST the longest side in px, AREA in px."""
    import pypdfium2

    file, out, factor, largest, area = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:6])
    page = pypdfium2.PdfDocument(file)[0]
    width, height = (math.ceil(side * factor) for side in page.get_size())
    with open(out, "wb") as target:
        if max(width, height) > largest or width * height > area:
            target.write(struct.pack("<3I", width, height, 0))
            return
        bitmap = page.render(
            scale=factor,
            fill_color=(255, 255, 255, 0),
            rev_byteorder=True,
            force_bitmap_format=pypdfium2.raw.FPDFBitmap_BGRA,
        )
        cells = _cells(page, width, height)
        target.write(struct.pack(f"<3I{len(cells)}i", bitmap.stride // 4, bitmap.height, len(cells) // 6, *cells))
        target.write(bitmap.buffer)


if __name__ == "__main__":
    main()
