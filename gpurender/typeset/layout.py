"""Layout: placed glyphs, rules and pictures of a batch of pages; the one type that crosses from text to pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import numpy as np

__all__ = ["CELL", "FORMULA", "TABLE", "TEXT", "Diagnostic", "FontKey", "Layout", "with_own_fonts"]


class FontKey(NamedTuple):
    """What identifies a rasterised font, the same in every process."""

    file: str
    face_index: int  # in its file
    size: float  # px per em


class Diagnostic(NamedTuple):
    """Something that could not be set as asked."""

    page: int
    start: int  # character range in the page's source text
    stop: int
    # "missing": no font has a glyph; "formula": LaTeX set as its source; "picture": LaTeX that draws beyond glyphs and
    # rules, set as a picture; "partial": LaTeX of which a part is set as its source, or an error was recovered from;
    # "latex-as-text": text that looks like LaTeX; "blank": no ink; "oversize": too many pixels.
    kind: str
    message: str


# What a box of Layout.words is of: a word of the text, a formula, a table, a cell of the table before it.
TEXT, FORMULA, TABLE, CELL = range(4)


def _array(dtype: type, *columns: int) -> np.ndarray:
    return field(default_factory=lambda: np.empty((0, *columns), dtype))


@dataclass(eq=False, kw_only=True)
class Layout:
    """N pages as flat arrays with offsets, on the CPU; no Python object per glyph. Picklable.

    Painting order on a page is background, rules, glyphs, pictures, each in array order. Positions are in 1/64 px from
    the page's top left corner, y downwards; a glyph's is its origin on the baseline. A renderer rounds x to the
    nearest quarter pixel and y to the nearest pixel: `(x + 8) >> 4` quarters, `(y + 32) >> 6` pixels.

    How a rule covers a pixel that its edge runs through is stated in `gpurender.kernels.Rules`.
    """

    sizes: np.ndarray = _array(np.int32, 2)  # [N, 2] height, width in px
    colors: np.ndarray = _array(np.uint8, 2, 3)  # [N, 2, 3] each page's foreground and background, RGB
    fonts: tuple[FontKey, ...] = ()  # those in use, in the order of their first glyphs

    glyph_fonts: np.ndarray = _array(np.uint16)  # [G] index into fonts
    glyph_ids: np.ndarray = _array(np.uint16)  # [G]
    glyph_xy: np.ndarray = _array(np.int32, 2)  # [G, 2]
    glyph_colors: np.ndarray = _array(np.uint8, 3)  # [G, 3] RGB
    glyph_offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # [N + 1]

    rules: np.ndarray = _array(np.int32, 4)  # [R, 4] left, top, right, bottom
    rule_colors: np.ndarray = _array(np.uint8, 3)  # [R, 3] RGB
    rule_offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # [N + 1]

    pictures: np.ndarray = _array(np.int32, 4)  # [P, 4] left, top, width, height in px
    picture_pixels: np.ndarray = _array(np.uint8, 4)  # [Q, 4] RGBA, row-major, one picture after another
    picture_offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # [N + 1]

    words: np.ndarray = _array(np.float32, 4)  # [W, 4] left, top, right, bottom in px: advance by ascent to descent
    word_ranges: np.ndarray = _array(np.int32, 2)  # [W, 2] character range in the page's source text
    word_kinds: np.ndarray = _array(np.uint8)  # [W] TEXT, FORMULA, TABLE, or CELL, which has its table's range
    word_cells: np.ndarray = _array(np.int16, 2)  # [W, 2] row and column of a CELL, from 0; else -1
    word_offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # [N + 1]

    diagnostics: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        if len(self.word_kinds) != len(self.words):
            # Words of text, where nothing else is said.
            self.word_kinds = np.zeros(len(self.words), np.uint8)
            self.word_cells = np.full((len(self.words), 2), -1, np.int16)

    def __len__(self) -> int:
        """The number of pages."""
        return len(self.sizes)

    def __repr__(self) -> str:
        return (
            f"Layout({len(self)} pages, {len(self.glyph_ids)} glyphs, {len(self.rules)} rules, "
            f"{len(self.pictures)} pictures, {len(self.words)} words, {len(self.diagnostics)} diagnostics)"
        )

    def count_formulas(self, page: int) -> int:
        """How many formulas and tables of a page are set as such."""
        kinds = self.word_kinds[self.word_offsets[page] : self.word_offsets[page + 1]]
        return int(((kinds == FORMULA) | (kinds == TABLE)).sum())

    def is_colored(self) -> np.ndarray:
        """Return which pages have a colour that is no gray, in ink, paper, rules or pictures: [N] bool."""
        colored: np.ndarray = (self.colors != self.colors[..., :1]).any((1, 2))
        for colors, offsets in ((self.glyph_colors, self.glyph_offsets), (self.rule_colors, self.rule_offsets)):
            found = np.flatnonzero((colors != colors[:, :1]).any(1))
            colored[np.searchsorted(offsets, found, "right") - 1] = True
        areas = np.concatenate([[0], np.cumsum(self.pictures[:, 2:].astype(np.int64).prod(1))])
        pixels = self.picture_pixels
        found = np.flatnonzero((pixels[:, :3] != pixels[:, :1]).any(1) & (pixels[:, 3] > 0))
        colored[np.searchsorted(areas[self.picture_offsets], found, "right") - 1] = True
        return colored

    def select(self, pages: list[int]) -> Layout:
        """A new Layout of the given pages, in the given order, numbered from 0."""
        chosen = np.asarray(pages, np.int64)
        glyphs, glyph_offsets = _rows(self.glyph_offsets, chosen)
        rules, rule_offsets = _rows(self.rule_offsets, chosen)
        pictures, picture_offsets = _rows(self.picture_offsets, chosen)
        words, word_offsets = _rows(self.word_offsets, chosen)
        areas = np.concatenate([[0], np.cumsum(self.pictures[:, 2:].astype(np.int64).prod(1))])
        pixels, _ = _rows(areas, pictures)
        renumbered: dict[int, list[int]] = {}
        for new, old in enumerate(pages):
            renumbered.setdefault(old, []).append(new)
        selected = Layout(
            sizes=self.sizes[chosen],
            colors=self.colors[chosen],
            fonts=self.fonts,
            glyph_fonts=self.glyph_fonts[glyphs],
            glyph_ids=self.glyph_ids[glyphs],
            glyph_xy=self.glyph_xy[glyphs],
            glyph_colors=self.glyph_colors[glyphs],
            glyph_offsets=glyph_offsets,
            rules=self.rules[rules],
            rule_colors=self.rule_colors[rules],
            rule_offsets=rule_offsets,
            pictures=self.pictures[pictures],
            picture_pixels=self.picture_pixels[pixels],
            picture_offsets=picture_offsets,
            words=self.words[words],
            word_ranges=self.word_ranges[words],
            word_kinds=self.word_kinds[words],
            word_cells=self.word_cells[words],
            word_offsets=word_offsets,
            diagnostics=tuple(
                sorted(d._replace(page=new) for d in self.diagnostics for new in renumbered.get(d.page, ()))
            ),
        )
        return with_own_fonts(selected)

    def equals(self, other: Layout) -> bool:
        """Whether the two hold the same pages, array for array."""
        return all(
            np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
            for mine, theirs in ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        )


def _rows(offsets: np.ndarray, pages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that the pages own, in the pages' order, and their new offsets."""
    counts = offsets[pages + 1] - offsets[pages]
    new = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = np.arange(new[-1]) + np.repeat(offsets[pages] - new[:-1], counts)
    return rows, new


def with_own_fonts(layout: Layout) -> Layout:
    """The layout with only the fonts in use, numbered in the order of their first glyphs: the same in any batch."""
    used, first = np.unique(layout.glyph_fonts, return_index=True)
    order = used[np.argsort(first)]
    if order.tolist() == list(range(len(layout.fonts))):
        return layout
    numbers = np.zeros(len(layout.fonts), np.uint16)
    numbers[order] = np.arange(len(order))
    fonts = tuple(layout.fonts[i] for i in order.tolist())
    return replace(layout, fonts=fonts, glyph_fonts=numbers[layout.glyph_fonts])
