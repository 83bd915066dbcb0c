"""Box: what LaTeX becomes, placed glyphs and rules around an origin on the baseline; every engine makes the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numba import njit

from gpurender.typeset.fonts import Outlines
from gpurender.typeset.latex.source import Source

__all__ = [
    "FOREGROUND",
    "NO_CELLS",
    "Box",
    "Engine",
    "EngineError",
    "Failure",
    "Picture",
    "UnsettableError",
    "make_boxes",
]

FOREGROUND = -1  # in place of a colour: whatever the page's text has

# Columns of Box.glyphs: an index into the engine's fonts; glyph id; origin; colour 0xRRGGBB or FOREGROUND; control box
# around the origin, y upwards, of no width if the glyph has no ink.
FONT, ID, X, Y, COLOR, XMIN, YMIN, XMAX, YMAX = range(9)
# Columns of Box.rules, with COLOR as above.
LEFT, TOP, RIGHT, BOTTOM = range(4)


class Picture(NamedTuple):
    """What is no glyph and no rule, rasterised."""

    left: int  # px from the origin
    top: int  # px from the origin, y downwards
    pixels: np.ndarray  # [height, width, 4] uint8, RGBA


class Box(NamedTuple):
    """A formula or a table. Lengths in 1/64 px, from an origin at its left end on its baseline, y downwards."""

    width: int
    height: int  # above the baseline
    depth: int  # below it
    glyphs: np.ndarray  # [G, 9] int32
    rules: np.ndarray  # [R, 5] int32: left, top, right, bottom, colour
    # Left, top, right, bottom of its ink in px, if its origin lies on a whole pixel; left >= right where it has none.
    ink: tuple[int, int, int, int]
    cells: np.ndarray  # [C, 6] int32, of a table: row, column, left, top, right, bottom
    pictures: tuple[Picture, ...] = ()
    is_table: bool = False
    note: str = ""  # an error that the engine recovered from, or the reason why a part is set as its source


class Failure(NamedTuple):
    """Why there is no box."""

    # "denied": refused unread; "limit": too long, slow or large; "error": the engine cannot set it; "picture": it draws
    # beyond glyphs and rules.
    kind: str
    message: str


class EngineError(RuntimeError):
    """An engine does not work on this machine; the message says why, and what would help."""


class UnsettableError(ValueError):
    """A formula has something that the engine cannot set; the message names it."""


class Engine(Protocol):
    """What turns LaTeX into boxes, at one size.

    Attributes:
        name: As in `latex="pdftex"`.
    """

    name: str

    @property
    def fonts(self) -> list[Outlines]:
        """What glyphs of its boxes are numbered by; it grows."""

    def __call__(self, sources: Sequence[Source]) -> list[Box | Failure]:
        """A box, or why not, for each source; one bad source costs none but itself.

        Raises:
            EngineError: The engine does not work at all.
        """

    def close(self) -> None:
        """Give back what it holds; the next call starts it anew."""


NO_CELLS = np.empty((0, 6), np.int32)


@njit(cache=True, nogil=True)
def _find_ink(glyphs, glyph_offsets, rules, rule_offsets):
    """Where boxes have ink, [B, 4] int32 px, as the renderer rounds places: to quarter pixels in x, whole ones in y."""
    count = len(glyph_offsets) - 1
    ink = np.empty((count, 4), np.int32)
    for b in range(count):
        left, top, right, bottom = 1 << 30, 1 << 30, -(1 << 30), -(1 << 30)
        for g in range(glyph_offsets[b], glyph_offsets[b + 1]):
            if glyphs[g, XMIN] < glyphs[g, XMAX] and glyphs[g, YMIN] < glyphs[g, YMAX]:
                x = (glyphs[g, X] + 8) >> 4 << 4
                left, right = min(left, (x + glyphs[g, XMIN]) >> 6), max(right, (x + glyphs[g, XMAX] + 63) >> 6)
                row = (glyphs[g, Y] + 32) >> 6
                top = min(top, row - ((glyphs[g, YMAX] + 63) >> 6))
                bottom = max(bottom, row - (glyphs[g, YMIN] >> 6))
        for r in range(rule_offsets[b], rule_offsets[b + 1]):
            left, right = min(left, rules[r, LEFT] >> 6), max(right, (rules[r, RIGHT] + 63) >> 6)
            top, bottom = min(top, rules[r, TOP] >> 6), max(bottom, (rules[r, BOTTOM] + 63) >> 6)
        ink[b, 0], ink[b, 1], ink[b, 2], ink[b, 3] = left, top, right, bottom
    return ink


def make_boxes(
    fonts: Sequence[Outlines],
    metrics: np.ndarray,
    glyphs: np.ndarray,
    glyph_offsets: np.ndarray,
    rules: np.ndarray,
    rule_offsets: np.ndarray,
) -> list[Box]:
    """Boxes from flat arrays.

    Args:
        fonts: The engine's.
        metrics: [B, 3] int, width, height and depth.
        glyphs: [G, 9] int32, filled up to `COLOR`; the control boxes are filled in.
        glyph_offsets: [B + 1] int64, each box's first glyph.
        rules: [R, 5] int32.
        rule_offsets: [B + 1] int64, each box's first rule.
    """
    owners = glyphs[:, FONT]
    for number in np.unique(owners).tolist():
        mine = owners == number
        glyphs[mine, XMIN:] = fonts[number].ink(glyphs[mine, ID])
    ink = _find_ink(glyphs, glyph_offsets, rules, rule_offsets)
    bounds, rule_bounds = glyph_offsets.tolist(), rule_offsets.tolist()
    boxes = []
    for b, ((width, height, depth), where) in enumerate(zip(metrics.tolist(), ink.tolist(), strict=True)):
        mine, its_rules = slice(bounds[b], bounds[b + 1]), slice(rule_bounds[b], rule_bounds[b + 1])
        boxes.append(Box(width, height, depth, glyphs[mine], rules[its_rules], tuple(where), NO_CELLS))
    return boxes
