"""The atlas: every glyph bitmap that pages need, rasterised once by FreeType, on first sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import freetype
import numpy as np
from numba import njit

from gpurender.kernels import Bitmaps
from gpurender.kernels.arrays import copy_to
from gpurender.typeset.fonts import open_face
from gpurender.typeset.layout import FontKey, Layout
from gpurender.typeset.shape import reserve

if TYPE_CHECKING:
    from torch import Tensor

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
        self._copy: Tensor | None = None
        self._copied = 0

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
        bases, ends = self._ranges(layout.fonts)
        glyphs = len(layout.glyph_ids)
        xy, slots = np.empty((glyphs, 2), np.int32), np.empty(glyphs, np.int32)
        missing = np.empty(glyphs, np.int64)
        source = (layout.glyph_xy, layout.glyph_fonts, layout.glyph_ids, bases, ends)
        count = -1
        try:
            count = _look_up(*source, self._table, self._bearings, xy, slots, missing)
            if count > 0:
                self._rasterise(layout, bases, missing[:count])
        finally:
            # What an interruption or an error left out is absent again, not "seen".
            if count != 0:
                self._table[self._table < 0] = _ABSENT
        if count < 0:
            number, glyph = int(layout.glyph_fonts[-1 - count]), int(layout.glyph_ids[-1 - count])
            if number >= len(layout.fonts):
                raise ValueError(f"glyph_fonts holds {number}, but the layout has {len(layout.fonts)} fonts")
            key = layout.fonts[number]
            raise ValueError(f"font file {key.file!r} has no glyph {glyph}, only {self._faces[key][0].num_glyphs}")
        if count:
            _look_up(*source, self._table, self._bearings, xy, slots, missing)
        return xy, slots

    def bitmaps(self) -> Bitmaps:
        """The bitmaps as the kernels want them; the coverage on the atlas' device, brought up to date."""
        slots = self._slots[: self._count]
        if self.device == "cpu":
            return Bitmaps(self._coverage, slots)
        return Bitmaps(self._on_device(), slots)

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

    def _rasterise(self, layout: Layout, bases: np.ndarray, glyphs: np.ndarray) -> None:
        for g in glyphs.tolist():
            key = layout.fonts[layout.glyph_fonts[g]]
            face, base = self._faces[key]
            glyph = int(layout.glyph_ids[g])
            phase = int((layout.glyph_xy[g, 0] + 8) >> 4) & 3
            if self.frozen:
                raise FrozenAtlasError(f"glyph {glyph} of {key.file!r} at {key.size} px is not in the frozen atlas")
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

    def _on_device(self) -> Tensor:
        import torch

        if self._copy is None or len(self._copy) < len(self._coverage):
            self._copy, self._copied = torch.zeros(len(self._coverage), dtype=torch.uint8, device=self.device), 0
        if self._copied < self._used:
            new = copy_to(torch.from_numpy(self._coverage[self._copied : self._used]), self.device)
            self._copy[self._copied : self._used] = new
            self._copied = self._used
        return self._copy
