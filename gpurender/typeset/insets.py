"""Insets: stretches of texts whose place LaTeX boxes take, as the flat arrays that paragraphs are built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gpurender.typeset.latex.box import Box
from gpurender.typeset.layout import FORMULA, TABLE, Layout
from gpurender.typeset.shape import ADVANCE, BOTTOM, BOX, DISPLAY, FLAGS, LEFT, LENGTH, RIGHT, TOP

__all__ = ["NOTHING", "STAND_IN", "Inset", "Insets", "collect", "with_more_pictures"]

# What a box is for the breaking of lines and the order of text: a word of letters.
STAND_IN = ord("x")


class Inset(NamedTuple):
    """A box and where it stands, in code points of all texts."""

    page: int
    start: int
    stop: int
    box: Box
    is_display: bool


class Insets(NamedTuple):
    """B boxes in the order of the texts, and S stretches that are set as source."""

    pages: np.ndarray  # [B] int64
    starts: np.ndarray  # [B] int64, code points of all texts
    stops: np.ndarray  # [B] int64
    rows: np.ndarray  # [B, 12] int32, columns as in WordCache.words
    kinds: np.ndarray  # [B] uint8, as in Layout.word_kinds
    extents: np.ndarray  # [B, 2] int32, height and depth, 1/64 px
    glyphs: np.ndarray  # [.., 9] int32, as in Box
    glyph_offsets: np.ndarray  # [B + 1] int64
    rules: np.ndarray  # [.., 5] int32
    rule_offsets: np.ndarray  # [B + 1] int64
    cells: np.ndarray  # [.., 6] int32
    cell_offsets: np.ndarray  # [B + 1] int64
    boxes: list[Box]
    sources: list[tuple[int, int, int]]  # page, and code points of all texts


def _joined(arrays: list[np.ndarray], columns: int) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum([len(array) for array in arrays], out=offsets[1:])
    return np.concatenate([np.empty((0, columns), np.int32), *arrays]), offsets


def collect(insets: Sequence[Inset], sources: list[tuple[int, int, int]]) -> Insets:
    """Boxes and stretches of source, both in the order of the texts, as flat arrays."""
    boxes = [inset.box for inset in insets]
    places = np.array([inset[:3] for inset in insets], np.int64).reshape(-1, 3)
    rows = np.zeros((len(boxes), FLAGS + 1), np.int32)
    rows[:, LENGTH] = places[:, 2] - places[:, 1]
    rows[:, ADVANCE] = [box.width for box in boxes]
    rows[:, [LEFT, TOP, RIGHT, BOTTOM]] = np.array([box.ink for box in boxes], np.int32).reshape(-1, 4)
    rows[:, FLAGS] = [BOX | DISPLAY * inset.is_display for inset in insets]
    return Insets(
        places[:, 0],
        places[:, 1],
        places[:, 2],
        rows,
        np.array([TABLE if box.is_table else FORMULA for box in boxes], np.uint8),
        np.array([(box.height, box.depth) for box in boxes], np.int32).reshape(-1, 2),
        *_joined([box.glyphs for box in boxes], 9),
        *_joined([box.rules for box in boxes], 5),
        *_joined([box.cells for box in boxes], 6),
        boxes,
        sources,
    )


NOTHING = collect([], [])


def with_more_pictures(layout: Layout, places: np.ndarray, boxes: Sequence[Box]) -> Layout:
    """The layout with the pictures of boxes, painted after its own.

    Args:
        layout: Of N pages.
        places: [K, 4] int64: number of the box, page, and its origin in px.
        boxes: By number.
    """
    found = [(page, x, y, picture) for b, page, x, y in places.tolist() for picture in boxes[b].pictures]
    if not found:
        return layout
    areas = layout.pictures[:, 2:].astype(np.int64).prod(1)
    starts = np.concatenate([[0], np.cumsum(areas)])
    owners = np.repeat(np.arange(len(layout)), np.diff(layout.picture_offsets)).tolist()
    rows = layout.pictures.tolist()
    pixels = [layout.picture_pixels[a:b] for a, b in pairwise(starts.tolist())]
    for page, x, y, picture in found:
        height, width = picture.pixels.shape[:2]
        owners.append(page)
        rows.append([x + picture.left, y + picture.top, width, height])
        pixels.append(picture.pixels.reshape(-1, 4))
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners, minlength=len(layout))
    return replace(
        layout,
        pictures=np.array(rows, np.int32)[order],
        picture_pixels=np.concatenate([pixels[i] for i in order.tolist()]),
        picture_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )
