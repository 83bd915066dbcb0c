"""PNG files, written by ISA-L's deflate: a tenth of the time that zlib takes by default, for a tenth more bytes."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from isal import isal_zlib

__all__ = ["encode_png"]


def encode_png(page: np.ndarray) -> bytes:
    """Encode one image as a PNG file (ISO/IEC 15948): 8 bits a sample, gray or RGB, no interlace, filter "none".

    Args:
        page: [C, height, width] uint8; C is 1 or 3.
    """
    channels, height, width = page.shape
    # A filter byte of 0 before each row.
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = page.transpose(1, 2, 0).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    data = isal_zlib.compress(rows, level=2)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
