"""The plan of `patchify`: how many patches a program writes, where images, paper and levels stand."""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import numpy as np
from gpurender.kernels import plan as layout
from gpurender.kernels.plan import HEADER, PITCH, Pitched, Table
from numba import njit

__all__ = ["LINES", "PATCHES", "Tile", "lay_patchify", "levels_size", "tile_of"]

# Lanes of a program, each of which writes one unit of neighboring pixels in a tile.
LANES = 256
# Programs that keep any GPU busy. Beyond them each writes more tiles, which saves their start.
PROGRAMS = 1 << 13

# An image's row after the header: the first row of `out` (two words), tiles of a program, and the paper.
OUT, STEPS, PAPER, FIELDS = HEADER, HEADER + 2, HEADER + 4, HEADER + 8

# The table's variants: patches of constant size, several of them in a tile; or lines of one patch.
PATCHES, LINES = 0, 1


class Tile(NamedTuple):
    """The pixels that a program writes at once: some patches, or some lines of one patch.

    Attributes:
        unit: Pixels that a lane owns, neighbors in `out`.
        run: Pixels of a unit that are neighbors in the image.
        rows: Patches, or lines.
        columns: Units of a patch, or lanes along a line.
    """

    unit: int
    run: int
    rows: int
    columns: int


def tile_of(bits: int, height: int, width: int, variant: int) -> Tile:
    """Choose a tile from the bits of a level, the sides of a patch in px and the table's variant."""
    # A lane stores 16 bytes at most. In a patch of 14 columns it takes two pairs, which may lie in different rows.
    unit = gcd(width, 128 // bits)
    if unit == 2 and variant == PATCHES and height % 2 == 0:
        unit = 4
    along = min(1 << (-(-width // unit) - 1).bit_length(), LANES)
    columns = height * width // unit if variant == PATCHES else along
    return Tile(unit, gcd(width, unit), LANES // columns, columns)


def levels_size(bits: int) -> int:
    """Words of the levels with which the table begins: for each byte one in each color, and one unused."""
    return 256 * 4 * bits // 32


def lay_patchify(
    source: Pitched,
    canvases: np.ndarray,
    first_rows: np.ndarray,
    paper: np.ndarray,
    levels: np.ndarray,
    bits: int,
    height: int,
    width: int,
    merge: int,
    temporal: int,
) -> Table:
    """Lay out patches of images; see `gpurender.kernels.Patches`.

    Args:
        source: K images.
        canvases: [K, 2] int32.
        first_rows: [K] int64, each image's first row of `out`.
        paper: [K, 4] int32, from `spread_colors`.
        levels: The bits of [3, 256] levels in out's dtype, as int32 words.
        bits: Of a level, 16 or 32.
        height: Of a patch, px.
        width: Of a patch, px.
        merge: Patches along a block's side.
        temporal: Frames.
    """
    # Sizes of dense canvases vary from batch to batch, and the kernel must not be compiled for each.
    dense = merge == temporal == 1 and bool((canvases == (height, width)).all())
    # Patches are read by 32-bit offsets into a row of blocks.
    wide = merge * height * (int(source.sizes[:, 1].max(initial=0)) + PITCH) >= 2**31
    variant = LINES if dense or wide or not tile_of(bits, height, width, PATCHES).rows else PATCHES
    tile = tile_of(bits, height, width, variant)
    # Columns of tiles in a patch, and tiles in one.
    across = 0 if variant == PATCHES else -(-width // (tile.columns * tile.unit))
    tall = -(-height // tile.rows)
    grid = height, width, merge, tile.rows, across, tall
    steps = -(-_count(canvases, *grid, 1) // PROGRAMS) or 1
    programs = _count(canvases, *grid, steps)
    begin = levels_size(bits)
    first_row = begin + -(-programs // 4) * 4
    words = np.empty(first_row + len(canvases) * FIELDS, np.int32)
    table = words[:begin].view(f"i{bits // 8}").reshape(256, 4)
    table[:, :3] = levels.reshape(-1).view(table.dtype).reshape(3, 256).T
    table[:, 3] = 0
    rows = source.sizes, source.starts, canvases, first_rows, paper
    _lay(words, begin, first_row, *rows, *grid, steps)
    return Table("patchify", words, programs, variant)


@njit(cache=True, nogil=True)
def _programs(columns, width, merge, rows, across, tall, steps):
    """Count the programs of a row of blocks."""
    patches = np.int64(columns) // width * merge
    if across:
        return patches * across * ((tall + steps - 1) // steps)
    return ((patches + rows - 1) // rows + steps - 1) // steps


@njit(cache=True, nogil=True)
def _count(canvases, height, width, merge, rows, across, tall, steps):
    total = 0
    for k in range(len(canvases)):
        each = _programs(canvases[k, 1], width, merge, rows, across, tall, steps)
        total += canvases[k, 0] // (height * merge) * each
    return total


@njit(cache=True, nogil=True)
def _lay(
    words, begin, first_row, sizes, starts, canvases, first_rows, paper, height, width, merge, rows, across, tall, steps
):
    program = 0
    for k in range(len(canvases)):
        at = first_row + k * FIELDS
        each = _programs(canvases[k, 1], width, merge, rows, across, tall, steps)
        words[at : at + FIELDS] = 0
        words[at + layout.FIRST] = program
        words[at + layout.ACROSS] = each
        words[at + layout.ROWS] = canvases[k, 0]
        words[at + layout.COLUMNS] = canvases[k, 1]
        words[at + layout.SOURCE] = starts[k]
        words[at + layout.SOURCE_ROWS] = sizes[k, 0]
        words[at + layout.SOURCE_COLUMNS] = sizes[k, 1]
        words[at + OUT] = np.int32(first_rows[k] & 0xFFFFFFFF)
        words[at + OUT + 1] = np.int32(first_rows[k] >> 32)
        words[at + STEPS] = steps
        for n in range(4):
            words[at + PAPER + n] = paper[k, n]
        for _ in range(canvases[k, 0] // (height * merge) * each):
            words[begin + program] = at
            program += 1
    words[begin + program : first_row] = 0
