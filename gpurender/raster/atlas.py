"""The atlas: every glyph bitmap that pages need, rasterised once by FreeType, on first sight."""

from __future__ import annotations

from typing import Any

import freetype
import numpy as np
from numba import njit

from gpurender.kernels import Bitmaps
from gpurender.raster.mirror import DeviceMirror
from gpurender.typeset.fonts import open_face
from gpurender.typeset.layout import FontKey, Layout
from gpurender.typeset.shape import reserve

__all__ = ["Atlas", "FrozenAtlasError"]

PHASES = 4
ROW = 16  # bytes to which rows are padded, as gpurender.kernels.Bitmaps asks

_ABSENT, _SEEN = -1, -2  # entries of the table that are no slot: not rasterised; to be so in this call


class FrozenAtlasError(LookupError):
    """A glyph is not in an atlas that may no longer grow."""


@njit(cache=True, nogil=True)
def _look_up(xy, fonts, ids, bases, ends, table, bearings, out_xy, out_slots, missing):
    """Each glyph's slot and its bitmap's place, px; returns how many distinct glyphs are missing, named once each.

    Returns -1 - g if glyph g is none of its font's.
    """
    count = 0
    # Unsigned indices: numba would look whether signed ones count from the end.
    for g in range(np.uint64(len(ids))):
        quarter = (xy[g, 0] + 8) >> 4
        font = np.uint64(fonts[g])
        if font >= np.uint64(len(bases)):
            return -1 - np.int64(g)
        entry = bases[font] + (np.int64(ids[g]) << 2) + (quarter & 3)
        if entry >= ends[font]:
            return -1 - np.int64(g)
        slot = table[np.uint64(entry)]
        if slot < 0:
            if slot == _ABSENT:
                table[np.uint64(entry)] = _SEEN
                missing[count] = g
                count += 1
            continue
        out_slots[g] = slot
        out_xy[g, 0] = (quarter >> 2) + bearings[np.uint64(slot), 0]
        out_xy[g, 1] = ((xy[g, 1] + 32) >> 6) - bearings[np.uint64(slot), 1]
    return count


class Atlas:
    """Glyph bitmaps, 8-bit coverage in 4 horizontal quarter-pixel phases, in one growing buffer.

    A dense table a font maps (glyph, phase) to a slot. It holds what FreeType draws without hinting, bit for bit.

    Args:
        device: Where the coverage is wanted: `"cpu"`, `"cuda"`, `"cuda:1"`.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        self.device = device
        self.frozen = False
        self._faces: dict[FontKey, tuple[freetype.Face, int]] = {}
        self._table = np.empty(0, np.int32)
        self._known: tuple[tuple[FontKey, ...], np.ndarray, np.ndarray] = (
            (),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
        )
        self._coverage = np.zeros(1 << 16, np.uint8)
        self._used = 0
        self._slots = np.zeros((256, 4), np.int64)  # first byte, rows, columns, stride
        self._bearings = np.zeros((256, 2), np.int32)  # left, top
        self._count = 0
        self._mirror = DeviceMirror(device)

    def __len__(self) -> int:
        """The number of bitmaps."""
        return self._count

    def freeze(self) -> None:
        """Let a glyph that is not here raise :class:`FrozenAtlasError` from now on."""
        self.frozen = True

    def place(self, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """Find every glyph of a layout, rasterising those not seen before.

        Returns:
            xy: [G, 2] int32, the left and top of each glyph's bitmap in px.
            slots: [G] int32.

        Raises:
            FrozenAtlasError: The atlas is frozen and a glyph is missing.
            ValueError: A font file cannot be read any more, or has no such glyph.
        """
        return self._place(layout.fonts, layout.glyph_xy, layout.glyph_fonts, layout.glyph_ids)

    def _place(
        self, fonts: tuple[FontKey, ...], glyph_xy: np.ndarray, glyph_fonts: np.ndarray, glyph_ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        bases, ends = self._ranges(fonts)
        glyphs = len(glyph_ids)
        xy, slots = np.empty((glyphs, 2), np.int32), np.empty(glyphs, np.int32)
        missing = np.empty(glyphs, np.int64)
        source = (glyph_xy, glyph_fonts, glyph_ids, bases, ends)
        count = -1
        try:
            count = _look_up(*source, self._table, self._bearings, xy, slots, missing)
            if count > 0:
                for g in missing[:count].tolist():
                    phase = ((int(glyph_xy[g, 0]) + 8) >> 4) & 3
                    self._rasterize(fonts[glyph_fonts[g]], int(glyph_ids[g]), phase)
        finally:
            # What an interruption or an error left out is absent again, not "seen".
            if count != 0:
                self._table[self._table < 0] = _ABSENT
        if count < 0:
            number, glyph = int(glyph_fonts[-1 - count]), int(glyph_ids[-1 - count])
            if number >= len(fonts):
                raise ValueError(f"glyph_fonts holds {number}, but the layout has {len(fonts)} fonts")
            key = fonts[number]
            raise ValueError(f"font file {key.file!r} has no glyph {glyph}, only {self._faces[key][0].num_glyphs}")
        if count:
            _look_up(*source, self._table, self._bearings, xy, slots, missing)
        return xy, slots

    def resolve(self, fonts: tuple[FontKey, ...], bitmaps: np.ndarray) -> np.ndarray:
        """Find bitmaps by name, rasterizing those not seen before.

        Args:
            fonts: The fonts that `bitmaps` refers to.
            bitmaps: [U, 3] int32: font, glyph, phase in quarter pixels.

        Returns:
            [U] int32: slots.

        Raises:
            FrozenAtlasError: The atlas is frozen and a glyph is missing.
            ValueError: A font file cannot be read any more, or has no such glyph.
        """
        xy = np.zeros((len(bitmaps), 2), np.int32)
        xy[:, 0] = bitmaps[:, 2] << 4
        return self._place(fonts, xy, bitmaps[:, 0].astype(np.uint16), bitmaps[:, 1].astype(np.uint16))[1]

    def extents(self) -> np.ndarray:
        """First byte, rows, columns and stride of every bitmap, [S, 4] int64; not to be changed."""
        return self._slots[: self._count]

    def words(self, slots: np.ndarray) -> np.ndarray:
        """Bitmaps as a device plan has them, [U, 4] int32: first byte / 16, rows, columns, stride, from slots [U].

        Raises:
            ValueError: The atlas has more than 2**35 bytes.
        """
        words: np.ndarray = self._slots[slots]
        words[:, 0] //= ROW
        if self._used >= 2**31 * ROW:
            raise ValueError(f"the atlas has {self._used:,} bytes, more than 2**35: use another one")
        narrow: np.ndarray = words.astype(np.int32)
        return narrow

    def bitmaps(self) -> Bitmaps:
        """The bitmaps as the kernels take them; the coverage on the atlas' device, brought up to date."""
        return Bitmaps(self.coverage(), self.extents())

    def coverage(self) -> Any:
        """All coverage on the atlas' device, [B] uint8: a numpy array on the CPU, elsewhere a tensor.

        The tensor is ready for the current stream.
        """
        if self.device == "cpu":
            return self._coverage
        return self._mirror.read(self._coverage, self._used)

    def bitmap(self, slot: int) -> np.ndarray:
        """One bitmap, [rows, columns] uint8."""
        start, rows, columns, stride = self._slots[slot].tolist()
        return self._coverage[start : start + rows * stride].reshape(rows, stride)[:, :columns]

    def _ranges(self, fonts: tuple[FontKey, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Where each font's entries in the table begin and end; kept for the next layout with the same fonts."""
        if self._known[0] != fonts:
            bases = np.array([self._base(key) for key in fonts], np.int64)
            counts = np.array([self._faces[key][0].num_glyphs for key in fonts], np.int64)
            self._known = fonts, bases, bases + counts * PHASES
        return self._known[1:]

    def _base(self, key: FontKey) -> int:
        """Where a font's entries begin in the table."""
        if key not in self._faces:
            face = open_face(key)
            base = len(self._table)
            self._table = np.append(self._table, np.full(face.num_glyphs * PHASES, _ABSENT, np.int32))
            self._faces[key] = face, base
        return self._faces[key][1]

    def _rasterize(self, key: FontKey, glyph: int, phase: int) -> None:
        if self.frozen:
            raise FrozenAtlasError(f"glyph {glyph} of {key.file!r} at {key.size} px is not in the frozen atlas")
        face, base = self._faces[key]
        face.set_transform(freetype.Matrix(0x10000, 0, 0, 0x10000), freetype.Vector(16 * phase, 0))
        face.load_glyph(glyph, freetype.FT_LOAD_RENDER | freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP)
        self._table[base + glyph * PHASES + phase] = self._add(face.glyph)

    def _add(self, glyph: Any) -> int:
        """Store a rendered FreeType glyph slot; returns its number."""
        bitmap = glyph.bitmap
        rows, columns = bitmap.rows, bitmap.width
        stride = -(-columns // ROW) * ROW
        self._coverage = reserve(self._coverage, self._used + rows * stride)
        self._slots, self._bearings = reserve(self._slots, self._count + 1), reserve(self._bearings, self._count + 1)
        if rows and columns:
            pixels = np.array(bitmap.buffer, np.uint8).reshape(rows, bitmap.pitch)[:, :columns]
            target = self._coverage[self._used : self._used + rows * stride].reshape(rows, stride)
            target[:] = 0
            target[:, :columns] = pixels
        slot = self._count
        self._slots[slot] = self._used, rows, columns, stride
        self._bearings[slot] = glyph.bitmap_left, glyph.bitmap_top
        self._used += rows * stride
        self._count += 1
        return slot
