"""A page of a PDF file as raw pixels, in a process of its own: what is drawn comes from anywhere.

Run as a script: `rasterise.py PDF OUT FACTOR LARGEST AREA`. It writes width and height, 4 bytes each, and RGBA rows,
colours not multiplied by alpha; or only width and height where the page would be larger than it may be.
"""

import math
import struct
import sys


def main() -> None:
    """Rasterise the first page; FACTOR is px per 1/72 in, LARGEST the longest side in px, AREA in px."""
    import pypdfium2

    file, out, factor, largest, area = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:6])
    page = pypdfium2.PdfDocument(file)[0]
    width, height = (math.ceil(side * factor) for side in page.get_size())
    with open(out, "wb") as target:
        target.write(struct.pack("<II", width, height))
        if max(width, height) <= largest and width * height <= area:
            bitmap = page.render(
                scale=factor,
                fill_color=(255, 255, 255, 0),
                rev_byteorder=True,
                force_bitmap_format=pypdfium2.raw.FPDFBitmap_BGRA,
            )
            target.seek(0)
            target.write(struct.pack("<II", bitmap.stride // 4, bitmap.height))
            target.write(bitmap.buffer)


if __name__ == "__main__":
    main()
