"""Scenes: a layout whose glyphs are bitmaps at whole pixels, ready to be painted on any device in any channels."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numba import njit

from gpurender.kernels.plan import pack_colors
from gpurender.raster.atlas import Atlas
from gpurender.typeset.layout import Layout

__all__ = ["Scene", "make_scene"]


class Scene(NamedTuple):
    """The items of N pages as `gpurender.kernels.plan.composite` lays them out, and the names of their bitmaps.

    Colors are words of :func:`gpurender.kernels.plan.pack_colors`, which hold RGB and gray.
    """

    backgrounds: np.ndarray  # [N] int32: colors
    glyphs: np.ndarray  # [G, 4] int32: left and top in px, bitmap, color; those off the page left out
    glyph_starts: np.ndarray  # [N + 1] int64: each page's first glyph
    bitmaps: np.ndarray  # [U, 3] int32: the distinct bitmaps: font in the layout, glyph id, phase in quarter pixels
    extents: np.ndarray  # [U, 4] int32: first byte / 16 in the atlas, rows, columns, stride
    rules: np.ndarray  # [R, 4] int32: as of the layout
    rule_colors: np.ndarray  # [R] int32
    rule_starts: np.ndarray  # [N + 1] int64
    pictures: np.ndarray  # [P, 4] int32: left, top, width, height in px
    pixels: (
        np.ndarray
    )  # [5 Q, padded to words] uint8: planes of gray, red, green, blue and alpha, one picture after another
    planes: np.ndarray  # [P, 3] int64: first bytes of the gray, red and alpha planes in `pixels`
    picture_starts: np.ndarray  # [N + 1] int64


def make_scene(layout: Layout, atlas: Atlas) -> Scene:
    """Place a layout's glyphs on whole pixels, by bitmaps of an atlas that grows as it must.

    Raises:
        FrozenAtlasError: The atlas is frozen and a glyph is missing.
        ValueError: A font file cannot be read any more, or has no such glyph.
    """
    xy, slots = atlas.place(layout)
    extents = atlas.extents()
    glyphs = np.empty((len(slots), 4), np.int32)
    bitmaps, used = np.empty((len(slots), 3), np.int32), np.empty(len(slots), np.int32)
    starts = np.empty(len(layout.sizes) + 1, np.int64)
    count = _collect(
        layout.sizes, layout.glyph_offsets, layout.glyph_fonts, layout.glyph_ids, layout.glyph_xy, layout.glyph_colors,
        xy, slots, extents, glyphs, starts, bitmaps, used,
    )  # fmt: skip
    pixels, planes = _planes(layout)
    return Scene(
        backgrounds=pack_colors(layout.colors[:, 1]),
        glyphs=glyphs[: starts[-1]],
        glyph_starts=starts,
        bitmaps=bitmaps[:count],
        extents=atlas.words(used[:count]),
        rules=layout.rules,
        rule_colors=pack_colors(layout.rule_colors),
        rule_starts=layout.rule_offsets,
        pictures=layout.pictures,
        pixels=pixels,
        planes=planes,
        picture_starts=layout.picture_offsets,
    )


@njit(cache=True, nogil=True)
def _collect(sizes, offsets, fonts, ids, positions, colors, xy, slots, extents, glyphs, starts, bitmaps, used):
    """Write records of the glyphs that reach their page, and name distinct bitmaps; returns how many there are."""
    numbers = np.full(len(extents), -1, np.int32)
    count, glyph = np.int32(0), 0
    starts[0] = 0
    red, green, blue, color = np.uint32(0), np.uint32(0), np.uint32(0), np.int32(0)
    for n in range(len(sizes)):
        height, width = np.int64(sizes[n, 0]), np.int64(sizes[n, 1])
        for g in range(offsets[n], offsets[n + 1]):
            slot = slots[g]
            left, top = np.int64(xy[g, 0]), np.int64(xy[g, 1])
            rows, columns = extents[slot, 1], extents[slot, 2]
            if left >= width or top >= height or left + columns <= 0 or top + rows <= 0 or rows == 0 or columns == 0:
                continue
            if numbers[slot] < 0:
                numbers[slot] = count
                bitmaps[count, 0], bitmaps[count, 1] = fonts[g], ids[g]
                bitmaps[count, 2] = ((positions[g, 0] + 8) >> 4) & 3
                used[count] = slot
                count += np.int32(1)
            if colors[g, 0] != red or colors[g, 1] != green or colors[g, 2] != blue:
                red, green, blue = np.uint32(colors[g, 0]), np.uint32(colors[g, 1]), np.uint32(colors[g, 2])
                gray = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
                color = np.int32(np.uint32(red | green << 8 | blue << 16 | gray << 24))
            glyphs[glyph, 0], glyphs[glyph, 1] = left, top
            glyphs[glyph, 2], glyphs[glyph, 3] = numbers[slot], color
            glyph += 1
        starts[n + 1] = glyph
    return count


def _planes(layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Pictures from interleaved RGBA to planes; `pixels` and `planes` of :class:`Scene`."""
    areas = layout.pictures[:, 2:].astype(np.int64).prod(1)
    starts = np.concatenate([[0], np.cumsum(areas)])
    parts = [np.empty(0, np.uint8)]
    for start, stop in itertools.pairwise(starts.tolist()):
        rgba = layout.picture_pixels[start:stop]
        gray = pack_colors(rgba[:, :3]).view(np.uint32) >> np.uint32(24)
        parts += [gray.astype(np.uint8), rgba.T.ravel()]
    # Kernels read whole words.
    parts.append(np.zeros(-5 * int(starts[-1]) % 4, np.uint8))
    first = 5 * starts[:-1]
    return np.concatenate(parts), np.stack([first, first + areas, first + 4 * areas], 1)
