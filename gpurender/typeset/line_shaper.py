"""Shaping of short texts as single lines, for the characters of formulas that TeX's fonts lack."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from gpurender.typeset.fonts import Font, FontFace, Outlines
from gpurender.typeset.insets import NOTHING
from gpurender.typeset.latex.scripts import Run
from gpurender.typeset.paragraph import PageStyle, set_pages
from gpurender.typeset.runs import Analyzer, to_codes
from gpurender.typeset.shape import FLAGS, MISSING, WordCache

__all__ = ["LineShaper"]


class LineShaper:
    """Shapes texts as a page's text is; see `latex.scripts.Shaper`.

    Args:
        analyzer: Of the page's text.
        cache: Of the page's text; its tokens are those of the last call.
    """

    def __init__(self, analyzer: Analyzer, cache: WordCache) -> None:
        self._analyzer = analyzer
        self._cache = cache
        self._fonts = cache.stack
        self.size = float(self._fonts.size)
        # One line that is never broken, with room for any ink above and below.
        self._style = PageStyle(
            math.ceil(8 * self.size), False, 2**20, 0, False, 2**40, (0, 0, 0), (255, 255, 255), "left"
        )

    def shape(self, texts: Sequence[str]) -> list[Run | None]:
        """Shape N texts; None for one that has a character without a glyph."""
        starts = np.array([0, *itertools.accumulate(map(len, texts))], np.int64)
        codes = to_codes("".join(texts))
        runs = self._analyzer(texts, codes, starts)
        tokens = self._cache.tokenize(codes, starts, runs.keys)
        layout, _, _ = set_pages(tokens, runs, starts, codes, self._cache, self._style, NOTHING, [])
        is_missing = (tokens.words >= 0) & (self._cache.words[tokens.words, FLAGS] & MISSING != 0)
        lacking = set((np.searchsorted(tokens.starts, np.flatnonzero(is_missing), "right") - 1).tolist())
        shaped: list[Run | None] = []
        for page in range(len(texts)):
            glyphs = slice(int(layout.glyph_offsets[page]), int(layout.glyph_offsets[page + 1]))
            words = layout.words[layout.word_offsets[page] : layout.word_offsets[page + 1]]
            if page in lacking or not len(words):
                shaped.append(None)
                continue
            left = round(64 * words[:, 0].min())
            baseline = round(64 * words[0, 1]) + self._fonts.fonts[0].ascent
            xy = layout.glyph_xy[glyphs] - [left, baseline]
            rows = np.column_stack([layout.glyph_fonts[glyphs], layout.glyph_ids[glyphs], xy]).astype(np.int32)
            height, depth = 0, 0
            for font, glyph, _, y in rows.tolist():
                _, low, _, high = self._fonts.fonts[font].ink(np.array([glyph]))[0].tolist()
                height, depth = max(height, high - y), max(depth, y - low)
            shaped.append(Run(round(64 * words[:, 2].max()) - left, height, depth, rows))
        return shaped

    def open(self, number: int, size: float) -> Outlines:
        """Return the font of a number in `Run.glyphs`, at a size in px per em."""
        font = self._fonts.fonts[number]
        if font.is_color:
            return Font(FontFace(font.family, "", font.key.file, font.key.face_index), size)
        return Outlines(font.key._replace(size=size))
