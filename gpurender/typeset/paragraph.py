"""Paragraphs: words and spaces become lines, lines become pages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numba import njit

from gpurender.typeset.fonts import Font, find_font
from gpurender.typeset.layout import Diagnostic, Layout
from gpurender.typeset.shape import (
    BREAK,
    CLUSTER,
    FIRST,
    ID,
    MISSING,
    NEWLINE,
    OPPORTUNITY,
    PEN,
    RIGHT_TO_LEFT,
    SPACE,
    TAB,
    XMAX,
    XMIN,
    YMAX,
    YMIN,
    Tokens,
    WordCache,
    X,
    Y,
)  # fmt: skip

__all__ = ["MissingGlyphError", "Typesetter"]

TAB_STOP = 8  # spaces, as in CSS
OnMissing = Literal["report", "skip-record", "error"]
Color = tuple[int, int, int]


class MissingGlyphError(ValueError):
    """A character has no glyph in the font, and `on_missing="error"`; `page` is the index of its text."""

    def __init__(self, message: str, page: int) -> None:
        super().__init__(message, page)
        self.page = page

    def __str__(self) -> str:
        return str(self.args[0])


@njit(cache=True, nogil=True, error_model="numpy")
def _set_pages(
    kinds, begins, lengths, token_words, token_starts,
    glyph_starts, advances, flags, glyphs,
    space, ascent, descent, leading, baseline, limit, width, margin, trim, max_pixels,
    sizes, out_ids, out_xy, glyph_offsets, boxes, ranges, word_offsets, notes,
):  # fmt: skip
    """Fill lines greedily, page by page. Lengths in 1/64 px but `leading`, `baseline`, `width`, `margin` and sizes, px.

    Returns the number of glyphs and of word boxes. `notes` [N] receives 1 for a page without ink, 2 for one over
    `max_pixels`, whose glyphs and words are dropped; its size is the one it would have had.
    """
    g_out = 0
    w_out = 0
    for n in range(len(token_starts) - 1):
        glyph_offsets[n] = g_out
        word_offsets[n] = w_out
        ink_left, ink_top, ink_right, ink_bottom = 1 << 40, 1 << 40, -(1 << 40), -(1 << 40)
        x = np.int64(0)
        line = np.int64(0)
        for t in range(token_starts[n], token_starts[n + 1]):
            kind = kinds[t]
            if kind == NEWLINE:
                line += 1
                x = 0
                continue
            if kind == SPACE:
                x += lengths[t] * space
                continue
            if kind == TAB:
                x = (x // (TAB_STOP * space) + 1) * (TAB_STOP * space)
                continue
            word = token_words[t]
            g, end = glyph_starts[word], glyph_starts[word + 1]
            first = g
            while g < end:
                # The piece [g, stop) that goes on this line.
                stop = end
                advance = advances[word] - glyphs[g, PEN]
                if x + advance > limit:
                    stop = g
                    fits = g
                    k = g + 1
                    while k < end and x + glyphs[k, PEN] - glyphs[g, PEN] <= limit:
                        if glyphs[k, BREAK] == OPPORTUNITY:
                            stop = k
                        if glyphs[k, BREAK] >= CLUSTER:
                            fits = k
                        k += 1
                    if stop == g:
                        if x > 0:
                            line += 1
                            x = 0
                            continue
                        # Wider than the page: split at the last cluster that fits, but set at least one.
                        stop = fits
                        if stop == g:
                            stop = g + 1
                            while stop < end and glyphs[stop, BREAK] < CLUSTER:
                                stop += 1
                    advance = (glyphs[stop, PEN] if stop < end else advances[word]) - glyphs[g, PEN]

                y = line * leading + baseline
                origin = x - glyphs[g, PEN]
                for k in range(g, stop):
                    gx = origin + glyphs[k, X]
                    gy = y * 64 - glyphs[k, Y]
                    out_ids[g_out] = glyphs[k, ID]
                    out_xy[g_out, 0] = gx
                    out_xy[g_out, 1] = gy
                    g_out += 1
                    if glyphs[k, XMAX] > glyphs[k, XMIN] and glyphs[k, YMAX] > glyphs[k, YMIN]:
                        # Where the renderer will draw it: a quarter pixel in x, a whole one in y.
                        px = (gx + 8) >> 4 << 4
                        py = (gy + 32) >> 6
                        ink_left = min(ink_left, (px + glyphs[k, XMIN]) >> 6)
                        ink_right = max(ink_right, (px + glyphs[k, XMAX] + 63) >> 6)
                        ink_top = min(ink_top, py - ((glyphs[k, YMAX] + 63) >> 6))
                        ink_bottom = max(ink_bottom, py - (glyphs[k, YMIN] >> 6))
                boxes[w_out, 0] = x / 64
                boxes[w_out, 1] = y - ascent / 64
                boxes[w_out, 2] = (x + advance) / 64
                boxes[w_out, 3] = y + descent / 64
                ranges[w_out, 0] = begins[t]
                ranges[w_out, 1] = begins[t] + lengths[t]
                if not flags[word] & RIGHT_TO_LEFT:
                    if g > first:
                        ranges[w_out, 0] = begins[t] + glyphs[g, FIRST]
                    if stop < end:
                        ranges[w_out, 1] = begins[t] + glyphs[stop, FIRST]
                w_out += 1
                x += advance
                g = stop
                if g < end:
                    line += 1
                    x = 0

        notes[n] = 0
        left, top, right, bottom = np.int64(0), np.int64(0), np.int64(width - 2 * margin), (line + 1) * leading
        if ink_right < ink_left:
            notes[n] = 1
            if trim:
                right, bottom = np.int64(leading), np.int64(leading)
        elif trim:
            left, top, right, bottom = ink_left, ink_top, ink_right, ink_bottom
        else:
            # Ink is never cut off: a page without margins grows by what hangs out.
            left, top = min(left, ink_left), min(top, ink_top)
            right, bottom = max(right, ink_right), max(bottom, ink_bottom)
        sizes[n, 0] = bottom - top + 2 * margin
        # Ink that hangs over the text's edge takes from the margin before it widens the page.
        sizes[n, 1] = max(right - left, min(right - left + 2 * margin, width))
        if sizes[n, 0] * sizes[n, 1] > max_pixels:
            notes[n] = 2
            g_out = glyph_offsets[n]
            w_out = word_offsets[n]
        shift_x, shift_y = (sizes[n, 1] - (right - left)) // 2 - left, margin - top
        for k in range(glyph_offsets[n], g_out):
            out_xy[k, 0] += shift_x * 64
            out_xy[k, 1] += shift_y * 64
        for k in range(word_offsets[n], w_out):
            boxes[k, 0] += shift_x
            boxes[k, 1] += shift_y
            boxes[k, 2] += shift_x
            boxes[k, 3] += shift_y
    glyph_offsets[len(token_starts) - 1] = g_out
    word_offsets[len(token_starts) - 1] = w_out
    return g_out, w_out


@njit(cache=True, nogil=True)
def _count_glyphs(words, glyph_starts):
    total = 0
    for word in words:
        if word >= 0:
            total += glyph_starts[word + 1] - glyph_starts[word]
    return total


class Typesetter:
    """Sets texts as pages of placed glyphs: shaped by HarfBuzz, broken where UAX #14 allows, everything else as typed.

    Newlines, blank lines, tabs (to every eighth space) and leading spaces are kept. Spaces at the end of a line hang. A
    word wider than the page is split between grapheme clusters. Words are set in storage order: a word in a
    right-to-left script is right within, and reported, since its line may not be.

    Args:
        font: A family, a file, or `"sans"`, `"serif"`, `"monospace"`; see `gpurender fonts`.
        size: px per em.
        line_height: px from baseline to baseline.
        width: px, margins included, at which lines wrap.
        margin: px around the text; ink that hangs over the text's edge takes from it, and is never cut off.
        trim: Shrink each page to its ink plus `margin`; otherwise pages are `width` wide and whole lines high.
        on_missing: A character no font has is drawn as the font's missing-glyph box and reported (`"report"`); so it is
            by `"skip-record"`, which tells LoMo to leave the record as text; or it raises (`"error"`).
        foreground, background: RGB.
        max_pixels: A page of more pixels is left empty and reported: 1 x 1 px, no glyphs.
        cache_words: The cap of the word cache; see `WordCache`.

    Raises:
        ValueError: An argument out of its range, or a font that is not found.
    """

    def __init__(
        self,
        *,
        font: str = "DejaVu Sans",
        size: float = 20,
        line_height: int = 22,
        width: int = 768,
        margin: int = 8,
        trim: bool = True,
        on_missing: OnMissing = "report",
        foreground: Color = (0, 0, 0),
        background: Color = (255, 255, 255),
        max_pixels: int = 2**24,
        cache_words: int = 2**17,
    ) -> None:
        _check_range("size", size, 1, 1000)
        _check_range("line_height", line_height, 1, 10_000, whole=True)
        _check_range("margin", margin, 0, 10_000, whole=True)
        _check_range("width", width, 2 * margin + 1, 2**20, whole=True)
        _check_range("max_pixels", max_pixels, 1, 2**40, whole=True)
        _check_range("cache_words", cache_words, 1, 2**24, whole=True)
        if on_missing not in ("report", "skip-record", "error"):
            raise ValueError(f"on_missing must be 'report', 'skip-record' or 'error', not {on_missing!r}")
        for name, color in (("foreground", foreground), ("background", background)):
            if len(color) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):
                raise ValueError(f"{name} must be three integers from 0 to 255, not {color!r}")
        self._arguments: dict[str, Any] = {
            "font": font,
            "size": size,
            "line_height": line_height,
            "width": width,
            "margin": margin,
            "trim": trim,
            "on_missing": on_missing,
            "foreground": tuple(foreground),
            "background": tuple(background),
            "max_pixels": max_pixels,
            "cache_words": cache_words,
        }
        self.on_missing = on_missing
        self.width = width
        self.font = Font(find_font(font), size)
        self._cache = WordCache(self.font, cache_words)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process has the settings and fills a cache of its own.
        return _rebuild, (self._arguments,)

    def __repr__(self) -> str:
        return f"Typesetter({', '.join(f'{name}={value!r}' for name, value in self._arguments.items())})"

    def __call__(self, texts: str | Sequence[str]) -> Layout:
        """Set each text as a page.

        Args:
            texts: N strings, or one. Any code points, lone surrogates too.

        Returns:
            A Layout of N pages. Its diagnostics name what could not be set: `"missing"` glyphs, right-to-left text
            (`"direction"`), pages without ink (`"blank"`) or over `max_pixels` (`"oversize"`).

        Raises:
            TypeError: An item is not a string.
            MissingGlyphError: A character has no glyph, and `on_missing="error"`.
        """
        if isinstance(texts, str):
            texts = [texts]
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"texts[{i}] must be a str, not {type(text).__name__}")
        starts = np.array([0, *itertools.accumulate(map(len, texts))], np.int64)
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
        tokens = self._cache.tokenize(codes, starts)
        layout, notes = self._set(tokens)
        layout.diagnostics = tuple(sorted(self._diagnose(texts, tokens, layout, notes)))
        layout.sizes[notes == 2] = 1
        return layout

    def _set(self, tokens: Tokens) -> tuple[Layout, np.ndarray]:
        font, cache, arguments = self.font, self._cache, self._arguments
        pages = len(tokens.starts) - 1
        glyphs = _count_glyphs(tokens.words, cache.glyph_starts)
        sizes = np.empty((pages, 2), np.int64)
        ids, xy = np.empty(glyphs, np.uint16), np.empty((glyphs, 2), np.int32)
        # A word may be split before every glyph.
        boxes, ranges = np.empty((glyphs, 4), np.float32), np.empty((glyphs, 2), np.int32)
        glyph_offsets, word_offsets = np.empty(pages + 1, np.int64), np.empty(pages + 1, np.int64)
        notes = np.empty(pages, np.uint8)
        leading, margin, width = arguments["line_height"], arguments["margin"], arguments["width"]
        # Half-leading above and below, as in CSS, on a whole pixel.
        baseline = round((leading - (font.ascent + font.descent) / 64) / 2 + font.ascent / 64)
        used, boxed = _set_pages(
            tokens.kinds, tokens.begins, tokens.lengths, tokens.words, tokens.starts,
            cache.glyph_starts, cache.advances, cache.flags, cache.glyphs,
            max(1, font.space), font.ascent, font.descent, leading, baseline, (width - 2 * margin) * 64,
            width, margin, arguments["trim"], arguments["max_pixels"],
            sizes, ids, xy, glyph_offsets, boxes, ranges, word_offsets, notes,
        )  # fmt: skip
        colors = np.array([arguments["foreground"], arguments["background"]], np.uint8)
        glyph_colors = np.empty((used, 3), np.uint8)
        glyph_colors[:] = colors[0]
        return Layout(
            sizes=sizes.astype(np.int32),
            colors=np.broadcast_to(colors, (pages, 2, 3)).copy(),
            fonts=(font.key,),
            glyph_fonts=np.zeros(used, np.uint16),
            glyph_ids=ids[:used],
            glyph_xy=xy[:used],
            glyph_colors=glyph_colors,
            glyph_offsets=glyph_offsets,
            rule_offsets=np.zeros(pages + 1, np.int64),
            picture_offsets=np.zeros(pages + 1, np.int64),
            words=boxes[:boxed].copy(),
            word_ranges=ranges[:boxed].copy(),
            word_offsets=word_offsets,
        ), notes

    def _diagnose(self, texts: Sequence[str], tokens: Tokens, layout: Layout, notes: np.ndarray) -> list[Diagnostic]:
        found = []
        for page in np.flatnonzero(notes).tolist():
            height, width = layout.sizes[page].tolist()
            kind, message = "blank", "the page has no ink"
            if notes[page] == 2:
                kind = "oversize"
                message = f"a page of {height} x {width} px is over max_pixels={self._arguments['max_pixels']}"
            found.append(Diagnostic(page, 0, len(texts[page]), kind, message))
        if not self._cache.flagged:
            return found
        flags = np.where(tokens.words >= 0, self._cache.flags[tokens.words], 0)
        flagged = np.flatnonzero(flags)
        spans: list[tuple[int, str, int, int]] = []
        for t, page in zip(
            flagged.tolist(), (np.searchsorted(tokens.starts, flagged, "right") - 1).tolist(), strict=True
        ):
            begin = int(tokens.begins[t])
            if flags[t] & MISSING:
                ranges = self._cache.missing[int(tokens.words[t])]
                spans.extend((page, "missing", begin + a, begin + b) for a, b in ranges)
            if flags[t] & RIGHT_TO_LEFT:
                spans.append((page, "direction", begin, begin + int(tokens.lengths[t])))
        for (page, kind), group in itertools.groupby(sorted(spans), key=lambda span: span[:2]):
            for start, stop in _merge((a, b) for _, _, a, b in group):
                found.append(Diagnostic(page, start, stop, kind, self._explain(kind, page, texts[page][start:stop])))
        return found

    def _explain(self, kind: str, page: int, text: str) -> str:
        if kind == "direction":
            return "right-to-left text is set in storage order"
        codes = list(dict.fromkeys(f"U+{ord(c):04X}" for c in text))
        named = " ".join(codes[:8]) + (f" and {len(codes) - 8} more" if len(codes) > 8 else "")
        message = f"{self.font.name} has no glyph for {named}"
        if self.on_missing == "error":
            raise MissingGlyphError(message, page)
        return message


def _rebuild(arguments: dict[str, Any]) -> Typesetter:
    return Typesetter(**arguments)


def _merge(ranges: Any) -> list[tuple[int, int]]:
    """Join ranges that touch; they come sorted."""
    merged: list[tuple[int, int]] = []
    for start, stop in ranges:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _check_range(name: str, value: Any, low: float, high: float, *, whole: bool = False) -> None:
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TypeError(f"{name} must be {'an integer' if whole else 'a number'}, not {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {value}")
