"""The plan of `repack`: pitched images, and where each stands in a packed buffer."""

from __future__ import annotations

import numpy as np
from gpurender.kernels.plan import HEADER, Pitched, Table, lay_rows

__all__ = ["TILE_HEIGHT", "TILE_WIDTH", "lay_repack"]

TILE_HEIGHT, TILE_WIDTH = 16, 256


def lay_repack(operation: str, images: Pitched, starts: np.ndarray) -> Table:
    """Lay out copies between pitched images and packed ones.

    Args:
        operation: `"pack"` or `"unpack"`.
        images: The pitched images, K of them.
        starts: [K] int64, the first byte of each packed image.
    """
    words, rows, _, programs = lay_rows(images, images, TILE_HEIGHT, TILE_WIDTH, HEADER + 2)
    rows[:, HEADER:] = starts.view(np.int32).reshape(-1, 2)
    return Table(operation, words, programs)
