"""Device plans: everything the Triton kernels read besides pixels, laid out by numba in one buffer of 32-bit words.

A plan depends on sizes, parameters and the layout alone, so it is made in a DataLoader's worker and reaches the device
in one copy. It names neither a device nor a number of channels. Each launch has a :class:`Table`: for every program the
row of its image, the images' rows, and the items that rows point to. Tables hold offsets from their first word, so they
may stand anywhere in the buffer.

Between kernels images are *pitched*: they lie in one pool of bytes, every image and every row at a multiple of 16
bytes, so that a lane loads and stores 4 to 16 bytes. What a row has beyond the image's last column is undefined.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = [
    "HEADER",
    "PITCH",
    "Launch",
    "Pitched",
    "Plan",
    "Table",
    "lay_rows",
    "pack_colors",
    "spread_colors",
    "unpack_colors",
]

# Bytes of which a row's length, and an image's first byte, are multiples; the unit of `Pitched.starts`.
PITCH = 16

# Words with which every image's row begins: first program, tiles across, height and width of the target in px, start
# of the target and of the source in 16 bytes a channel, height and width of the source in px.
HEADER = 8
FIRST, ACROSS, ROWS, COLUMNS, TARGET, SOURCE, SOURCE_ROWS, SOURCE_COLUMNS = range(HEADER)


class Pitched(NamedTuple):
    """K images in a pool, each `[C, height, pitch]` with a pitch of the next multiple of 16 bytes.

    An image of C channels begins at byte `16 * C * start`, so one plan serves any number of channels.
    """

    sizes: np.ndarray  # [K, 2] int32: height, width in px
    starts: np.ndarray  # [K] int32: each image's first 16 bytes, a channel


class Table(NamedTuple):
    """The words that one launch of a kernel reads."""

    operation: str
    words: np.ndarray  # [W] int32
    programs: int
    variant: int = 0  # of the kernel's constants, such as the largest radius of a blur


class Launch(NamedTuple):
    """A table in a plan's buffer."""

    operation: str
    at: int  # first word
    programs: int
    variant: int


class Plan:
    """Tables, in the order of their launches, and the room that their images take in the pool.

    Attributes:
        launches: The launches, in order.
        units: 16 bytes a channel that the pool must hold.
    """

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.units = 0
        self._parts: list[np.ndarray] = []
        self._size = 0

    def add(self, table: Table) -> None:
        """Append a table; one without programs is left out."""
        if not table.programs:
            return
        self.launches.append(Launch(table.operation, self._size, table.programs, table.variant))
        self._parts.append(table.words)
        self._size += len(table.words)
        # Tables begin at multiples of 16 bytes.
        if len(table.words) % 4:
            self._parts.append(np.zeros(-len(table.words) % 4, np.int32))
            self._size += -len(table.words) % 4

    def reserve(self, sizes: np.ndarray) -> Pitched:
        """Make room in the pool for images of sizes [K, 2] int32.

        Raises:
            ValueError: The pool would need more than 2**35 bytes a channel.
        """
        starts, self.units = _reserve(sizes, self.units)
        if self.units >= 2**31:
            raise ValueError(
                f"the batch needs {self.units * PITCH:,} bytes a channel, more than 2**35: make it smaller"
            )
        return Pitched(sizes, starts)

    def words(self) -> np.ndarray:
        """All tables as one array, [W] int32, W a multiple of 4."""
        return np.concatenate([np.empty(0, np.int32), *self._parts])


@njit(cache=True, nogil=True)
def _reserve(sizes, units):
    starts = np.empty(len(sizes), np.int32)
    for k in range(len(sizes)):
        starts[k] = units
        units += np.int64(sizes[k, 0]) * ((np.int64(sizes[k, 1]) + (PITCH - 1)) // PITCH)
    return starts, units


@njit(cache=True, nogil=True)
def _count_tiles(sizes, height, width):
    total = 0
    for k in range(len(sizes)):
        total += ((np.int64(sizes[k, 0]) + height - 1) // height) * ((np.int64(sizes[k, 1]) + width - 1) // width)
    return total


@njit(cache=True, nogil=True)
def _lay_rows(sizes, starts, source_sizes, source_starts, height, width, fields, first_row, words):
    program = 0
    for k in range(len(sizes)):
        at = first_row + k * fields
        across = (np.int64(sizes[k, 1]) + width - 1) // width
        count = ((np.int64(sizes[k, 0]) + height - 1) // height) * across
        for header, value in enumerate(
            (
                np.int64(program), across, np.int64(sizes[k, 0]), np.int64(sizes[k, 1]), np.int64(starts[k]),
                np.int64(source_starts[k]), np.int64(source_sizes[k, 0]), np.int64(source_sizes[k, 1]),
            )
        ):  # fmt: skip
            words[at + header] = value
        for tile in range(count):
            words[program + tile] = at
        program += count


def lay_rows(
    target: Pitched, source: Pitched, height: int, width: int, fields: int, items: int = 0
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Lay out a table whose programs own tiles of height x width px of the target images.

    Args:
        target: K images.
        source: K images.
        height: Rows of a tile.
        width: Columns of a tile.
        fields: Words of an image's row, its header included; even, so that two of them may be a float64.
        items: Words that follow the rows, for the caller to fill.

    Returns:
        words: [W] int32, the table; programs' words and headers are filled.
        rows: [K, fields] int32, the images' rows in it.
        first: Where its items begin in `words`.
        programs: How many programs there are.
    """
    programs = int(_count_tiles(target.sizes, height, width))
    first_row = -(-programs // 4) * 4
    first = first_row + len(target.sizes) * fields
    words = np.empty(first + items, np.int32)
    words[programs:first_row] = 0
    _lay_rows(target.sizes, target.starts, source.sizes, source.starts, height, width, fields, first_row, words)
    return words, words[first_row:first].reshape(-1, fields), first, programs


def spread_colors(colors: np.ndarray) -> np.ndarray:
    """Colors as kernels read them, whatever their channels: gray, and then each channel.

    Args:
        colors: [K, C] uint8.

    Returns:
        [K, max(C, 3) + 1] int32. A kernel of one channel reads the first word, one of more the others. The gray of
        three channels is their luma (Rec. 601 in 16-bit fixed point, as in PIL); that of more is undefined.
    """
    colors = colors.astype(np.int32)
    channels = colors.shape[1]
    if channels == 1:
        return np.repeat(colors, 4, 1)
    gray = (colors[:, :3] @ np.array([19595, 38470, 7471][: min(channels, 3)], np.int32) + 0x8000) >> 16
    spread: np.ndarray = np.concatenate(
        [gray[:, None], colors, np.zeros((len(colors), max(3 - channels, 0)), np.int32)], 1
    )
    return spread


def pack_colors(colors: np.ndarray) -> np.ndarray:
    """Colors of 1 or 3 channels as one word each: red, green, blue from the lowest byte up, and gray in the highest.

    Args:
        colors: [K, C] uint8, C 1 or 3.

    Returns:
        [K] int32.
    """
    packed: np.ndarray = _pack_colors(np.ascontiguousarray(colors))
    return packed


@njit(cache=True, nogil=True)
def _pack_colors(colors):
    packed = np.empty(len(colors), np.int32)
    for k in range(len(colors)):
        if colors.shape[1] == 1:
            packed[k] = np.int32(np.uint32(colors[k, 0]) * np.uint32(0x01010101))
        else:
            red, green, blue = np.uint32(colors[k, 0]), np.uint32(colors[k, 1]), np.uint32(colors[k, 2])
            gray = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
            packed[k] = np.int32(np.uint32(red | green << 8 | blue << 16 | gray << 24))
    return packed


def unpack_colors(packed: np.ndarray, channels: int) -> np.ndarray:
    """Return colors [K, channels] uint8 of 1 or 3 channels, from the words [K] of :func:`pack_colors`."""
    parts = packed.astype("<i4", copy=False)[:, None].view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(parts[:, 3:] if channels == 1 else parts[:, :3])
