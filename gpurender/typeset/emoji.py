"""Colour glyphs as pictures: PNG files that a font carries, scaled by Pillow, or paint, drawn by HarfBuzz."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import uharfbuzz

from gpurender.typeset.layout import Layout

if TYPE_CHECKING:
    from gpurender.typeset.fonts import Font, Outlines

__all__ = ["ColorPainter", "with_pictures"]


class ColorPainter:
    """Draws a font's colour glyphs at one size (CBDT, sbix; COLR version 0 and 1).

    Args:
        data: The font file.
        face_index: In the file.
        size: px per em.
    """

    def __init__(self, data: bytes, face_index: int, size: float) -> None:
        self._font = uharfbuzz.Font(uharfbuzz.Face(uharfbuzz.Blob(data), face_index))
        self._font.scale = (round(size * 64), round(size * 64))

    def draw(self, glyph: int) -> tuple[np.ndarray, int, int]:
        """A glyph's picture, RGBA [height, width, 4] uint8, and its left and top from the origin in px, y upwards."""
        png = self._font.get_glyph_color_png(glyph)
        if png is not None and len(png.data):
            return self._scaled(glyph, png.data)
        return self._painted(glyph)

    def _scaled(self, glyph: int, png: bytes) -> tuple[np.ndarray, int, int]:
        from PIL import Image

        extents = self._font.get_glyph_extents(glyph)
        size = max(1, round(extents.width / 64)), max(1, round(-extents.height / 64))
        # Means are taken of colours multiplied by alpha ("RGBa"), or transparent pixels would tint the edges.
        image = Image.open(io.BytesIO(png)).convert("RGBA").convert("RGBa")
        pixels = np.asarray(image.resize(size, Image.Resampling.BOX).convert("RGBA"))
        return pixels, round(extents.x_bearing / 64), round(extents.y_bearing / 64)

    def _painted(self, glyph: int) -> tuple[np.ndarray, int, int]:
        from PIL import Image

        paint = uharfbuzz.RasterPaint()
        paint.scale_factor = (64, 64)
        extents = self._font.get_glyph_extents(glyph)
        if extents is None or not paint.set_glyph_extents(extents):
            return np.zeros((0, 0, 4), np.uint8), 0, 0
        paint.paint_glyph(self._font, glyph)
        image = paint.render()
        found = image.extents
        rows = np.frombuffer(image.buffer, np.uint8).reshape(found.height, found.stride)
        pixels = rows[:, : 4 * found.width].reshape(found.height, found.width, 4)
        # HarfBuzz has BGRA, multiplied by alpha.
        colors = Image.frombytes("RGBa", (found.width, found.height), pixels[..., [2, 1, 0, 3]].tobytes())
        return np.asarray(colors.convert("RGBA")), found.x_origin, found.y_origin + found.height


def with_pictures(layout: Layout, fonts: Sequence[Outlines]) -> Layout:
    """The layout with pictures in place of the glyphs of colour fonts; `fonts` are those of the layout, in order."""
    is_color = np.array([font.is_color for font in fonts])[layout.glyph_fonts]
    if not is_color.any():
        return layout
    glyphs = np.flatnonzero(is_color)
    boxes = np.empty((len(glyphs), 4), np.int32)
    pixels = []
    for i, g in enumerate(glyphs.tolist()):
        font = cast("Font", fonts[layout.glyph_fonts[g]])
        picture, left, top = font.picture(int(layout.glyph_ids[g]))
        x, y = ((layout.glyph_xy[g] + 32) >> 6).tolist()
        boxes[i] = x + left, y - top, picture.shape[1], picture.shape[0]
        pixels.append(picture.reshape(-1, 4))
    # Of each page, how many of the glyphs before it are pictures.
    before = np.concatenate([[0], np.cumsum(is_color)])[layout.glyph_offsets]
    kept = ~is_color
    return replace(
        layout,
        glyph_fonts=layout.glyph_fonts[kept],
        glyph_ids=layout.glyph_ids[kept],
        glyph_xy=layout.glyph_xy[kept],
        glyph_colors=layout.glyph_colors[kept],
        glyph_offsets=layout.glyph_offsets - before,
        pictures=boxes,
        picture_pixels=np.concatenate(pixels),
        picture_offsets=before.astype(np.int64),
    )
