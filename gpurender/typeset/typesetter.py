"""The typesetter: texts become a Layout, and what could not be set as asked is named."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from gpurender.typeset.context import Context
from gpurender.typeset.emoji import with_pictures
from gpurender.typeset.fallback import FontStack
from gpurender.typeset.fonts import Font, Outlines, find_font
from gpurender.typeset.harfbuzz import language_pointer
from gpurender.typeset.insets import NOTHING, STAND_IN, Inset, Insets, collect, with_more_pictures
from gpurender.typeset.latex.box import Failure
from gpurender.typeset.latex.macros import Macro, to_macros
from gpurender.typeset.latex.macros import collect as find_definitions
from gpurender.typeset.latex.setting import ENGINES, EngineName, LatexSetter
from gpurender.typeset.layout import Diagnostic, Layout, with_own_fonts
from gpurender.typeset.line_shaper import LineShaper
from gpurender.typeset.maths import DOLLARS, Dollars, Formula, may_hold_formulas, scan
from gpurender.typeset.paragraph import OVERSIZE, Color, PageStyle, set_pages
from gpurender.typeset.runs import Analyzer, to_codes
from gpurender.typeset.shape import FLAGS, MISSING, NO_FONT, Tokens, WordCache

__all__ = ["MissingGlyphError", "Typesetter"]

OnMissing = Literal["report", "skip-record", "error"]
Display = Literal["center", "left"]
Macros = tuple[tuple[str, Macro], ...]
# Latin Modern beside DejaVu Sans, which is large for its size: 26 px beside 20 px, as in the LoMo paper.
MATH_SCALE = 1.3
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


class MissingGlyphError(ValueError):
    """A character has no glyph in the font, and `on_missing="error"`; `page` is the index of its text."""

    def __init__(self, message: str, page: int = 0) -> None:
        # By its message alone, too: so a DataLoader raises it again.
        super().__init__(message, page)
        self.page = page

    def __str__(self) -> str:
        return str(self.args[0])


class Typesetter:
    """Sets texts as pages of placed glyphs: ordered by bidi (UAX #9), shaped by HarfBuzz, broken where UAX #14 allows.

    Everything else is as typed: newlines, blank lines, tabs (to every eighth space) and leading spaces are kept. Spaces
    at the end of a line hang. What is wider than the page is split between grapheme clusters. Each paragraph takes its
    direction from its first strong character; one that reads from the right is set at the right. Formulas, URLs and
    code keep their order in right-to-left text. Where a line or the one above has glyphs of another font than `font`,
    a third of an em of clear paper stands between their ink, whatever `line_height` is; lines of box drawing
    (U+2500 to U+259F) keep one distance. A page that is trimmed keeps the indentation that all its lines share.

    Formulas and tables in LaTeX (see `typeset.maths`) are set by a LaTeX engine and stand in their lines as boxes on
    the baseline; displays and tables take lines of their own. What the engine cannot set is set as its source in
    monospace, and reported.

    Args:
        font: A family, a file (of a collection a face: `"a.ttc#2"`), or `"sans"`, `"serif"`, `"monospace"`; see
            `find_font` and `gpurender fonts`.
        size: px per em.
        line_height: px from baseline to baseline. By default 1.1 times `size`, as in the LoMo paper, or the font's
            ascent and descent where these make more than 1.2 em; then lines also move down where their ink would meet.
        width: px, margins included, at which lines wrap.
        margin: px around the text; ink that hangs over the text's edge takes from it, and is never cut off.
        trim: Shrink each page to its ink plus `margin`; otherwise pages are `width` wide and whole lines high.
        fallback: Fonts, named as `font` is, for characters that it lacks, tried in order; `()` for none; None for
            whatever is installed (see `FontStack`).
        language: A BCP 47 tag for shaping (`"sr"`, `"ur"`) and the forms of Han characters, by its script and region
            (`"ja"`, `"zh-Hans-HK"`, `"yue"`); by default these follow the other characters of the text.
        on_missing: A character no font has is drawn as the font's missing-glyph box and reported (`"report"`); so it is
            by `"skip-record"`, which tells LoMo to leave the record as text; or it raises (`"error"`).
        foreground, background: RGB.
        latex: `"pdftex"` (fast; needs TeX; tables), `"ziamath"` (formulas), `"auto"` for the first of them that works,
            or `"off"`: LaTeX is set as it is typed.
        math_size: px per em of formulas and tables; by default 1.3 times `size`.
        macros: Macros for formulas, as in KaTeX: `{"\\RR": "\\mathbb{R}", "\\norm": "\\|#1\\|"}`. Definitions in a text
            (`\\newcommand`, `\\def`, `\\DeclareMathOperator`) hold for its formulas behind them.
        dollars: Which single dollars delimit formulas: `"auto"`, `"strict"` (Pandoc's rule) or `"off"`; see
            `typeset.maths`.
        display: Where displayed formulas and tables stand: `"center"` or `"left"`.
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
        line_height: int | None = None,
        width: int = 768,
        margin: int = 8,
        trim: bool = True,
        fallback: Sequence[str] | None = None,
        language: str = "",
        on_missing: OnMissing = "report",
        foreground: Color = (0, 0, 0),
        background: Color = (255, 255, 255),
        latex: EngineName = "auto",
        math_size: float | None = None,
        macros: Mapping[str, str] | None = None,
        dollars: Dollars = "auto",
        display: Display = "center",
        max_pixels: int = 2**24,
        cache_words: int = 2**17,
    ) -> None:
        _check_range("size", size, 1, 1000)
        if line_height is not None:
            _check_range("line_height", line_height, 1, 10_000, whole=True)
        _check_range("margin", margin, 0, 10_000, whole=True)
        _check_range("width", width, 2 * margin + 1, 2**20, whole=True)
        _check_range("max_pixels", max_pixels, 1, 2**40, whole=True)
        _check_range("cache_words", cache_words, 1, 2**24, whole=True)
        if math_size is not None:
            _check_range("math_size", math_size, 1, 1000)
        for name, value, choices in (
            ("on_missing", on_missing, ("report", "skip-record", "error")),
            ("latex", latex, ENGINES),
            ("dollars", dollars, DOLLARS),
            ("display", display, ("center", "left")),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        for name, color in (("foreground", foreground), ("background", background)):
            if len(color) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):
                raise ValueError(f"{name} must be three integers from 0 to 255, not {color!r}")
        if isinstance(fallback, str):
            raise TypeError(f"fallback must be a sequence of names, not the str {fallback!r}")
        if not isinstance(language, str):
            raise TypeError(f"language must be a str, not {type(language).__name__}")
        if language and not _LANGUAGE.fullmatch(language):
            raise ValueError(f"language must be a BCP 47 tag such as 'ja' or 'zh-Hant', not {language!r}")
        self._arguments: dict[str, Any] = {
            "font": font,
            "size": size,
            "line_height": line_height,
            "width": width,
            "margin": margin,
            "trim": bool(trim),
            "max_pixels": max_pixels,
            "foreground": foreground,
            "background": background,
            "display": display,
            "fallback": fallback if fallback is None else tuple(fallback),
            "language": language,
            "on_missing": on_missing,
            "latex": latex,
            "math_size": math_size,
            "macros": None if macros is None else dict(macros),
            "dollars": dollars,
            "cache_words": cache_words,
        }
        self.on_missing = on_missing
        self.dollars: Dollars = dollars
        self._macros: Macros = tuple(to_macros(macros or {}).items())
        self.stack = FontStack(find_font(font), size, None if fallback is None else [find_font(f) for f in fallback])
        if self.font.is_color:
            raise ValueError(f"font {font!r} is of pictures, not letters; it may be one of fallback")
        self._style = PageStyle(
            _line_height(self.font) if line_height is None else line_height,
            line_height is None,
            width,
            margin,
            bool(trim),
            max_pixels,
            foreground,
            background,
            display,
        )
        self._analyzer = Analyzer(self.stack, language)
        self._cache = WordCache(self.stack, cache_words, language_pointer(language))
        shaper = LineShaper(self._analyzer, self._cache)
        self._latex = LatexSetter(
            latex, MATH_SCALE * size if math_size is None else math_size, width - 2 * margin, shaper
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process has the settings and fills a cache of its own.
        return _rebuild, (self._arguments,)

    def __repr__(self) -> str:
        return f"Typesetter({', '.join(f'{name}={value!r}' for name, value in self._arguments.items())})"

    @property
    def font(self) -> Font:
        """The font that was asked for."""
        return self.stack.fonts[0]

    def __call__(self, texts: str | Sequence[str], *, contexts: Sequence[Context | None] | None = None) -> Layout:
        """Set each text as a page.

        Args:
            texts: N strings, or one. Any code points, lone surrogates too.
            contexts: For each text that is a part of a longer one, that and where the part begins: then formulas, code,
                the direction of paragraphs and the forms of Han characters are those of the longer text.

        Returns:
            A Layout of N pages. Its diagnostics name what could not be set as asked: `"missing"` glyphs, LaTeX set as
            its source (`"formula"`), with an error (`"partial"`) or as a `"picture"`, text that looks like LaTeX
            (`"latex-as-text"`), pages without ink (`"blank"`) or over `max_pixels` (`"oversize"`).

        Raises:
            TypeError: An item is not a string.
            ValueError: `contexts` has another length than `texts`, or a text is not where its context says.
            MissingGlyphError: A character has no glyph, and `on_missing="error"`.
            EngineError: There is LaTeX, and the engine that was asked for does not work on this machine.
        """
        if isinstance(texts, str):
            texts = [texts]
        _check_texts("texts", texts)
        if contexts is None:
            contexts = ()
        elif len(contexts) != len(texts):
            raise ValueError(f"contexts has {len(contexts)} items for {len(texts)} texts")
        for n, context in enumerate(contexts):
            if context is not None and not context.text.startswith(texts[n], context.start):
                raise ValueError(f"texts[{n}] does not stand at character {context.start} of its context")
        if self._latex.choice == "off":
            return self._set(texts, [], contexts)
        formulas, left = self._scan(texts, contexts)
        layout = self._set(texts, formulas, contexts)
        if left:
            layout.diagnostics = tuple(sorted([*layout.diagnostics, *left]))
        return layout

    def set_tex(self, sources: str | Sequence[str]) -> Layout:
        r"""Set LaTeX that is a page by itself: a formula, with or without delimiters, a table, or a whole document.

        Args:
            sources: N strings, or one. What has a `\documentclass` is a document: its first page is set, cropped, by
                a TeX of its own; this needs the engine pdfTeX.

        Returns:
            A Layout of N pages. Its diagnostics are those of texts.

        Raises:
            ValueError: `latex="off"`.
            TypeError, MissingGlyphError, EngineError: As for texts.
        """
        if self._latex.choice == "off":
            raise ValueError('set_tex needs a LaTeX engine, and latex is "off"')
        if isinstance(sources, str):
            sources = [sources]
        _check_texts("sources", sources)
        whole = [(n, _whole(source), self._macros) for n, source in enumerate(sources) if source.strip()]
        return self._set(sources, whole)

    @property
    def max_pixels(self) -> int:
        """The most pixels that a page may have."""
        return self._style.max_pixels

    @property
    def latex(self) -> str:
        """The LaTeX engine in use, `"auto"` resolved by trying; or `"off"`.

        Raises:
            EngineError: The engine that was asked for does not work on this machine.
        """
        return "off" if self._latex.choice == "off" else self._latex.engine.name

    def _set(
        self,
        texts: Sequence[str],
        formulas: list[tuple[int, Formula, Macros]],
        contexts: Sequence[Context | None] = (),
    ) -> Layout:
        starts = np.array([0, *itertools.accumulate(map(len, texts))], np.int64)
        codes = to_codes("".join(texts))
        insets, notices = NOTHING, list[Diagnostic]()
        if formulas:
            insets, notices = self._inset(texts, starts, formulas)
            codes = codes.copy()
            for start, stop in zip(insets.starts.tolist(), insets.stops.tolist(), strict=True):
                codes[start:stop] = STAND_IN
        runs = self._analyzer(texts, codes, starts, insets, contexts)
        tokens = self._cache.tokenize(codes, starts, runs.keys)
        outlines = self._latex.fonts
        fonts: list[Outlines] = [*self.stack.fonts, *outlines]
        layout, notes, places = set_pages(tokens, runs, starts, codes, self._cache, self._style, insets, outlines)
        if len(layout.fonts) > 1:
            layout = with_own_fonts(with_pictures(layout, fonts))
        elif not len(layout.glyph_ids):
            layout.fonts = ()
        layout = with_more_pictures(layout, places, insets.boxes)
        layout.diagnostics = tuple(sorted([*notices, *self._diagnose(texts, tokens, notes)]))
        return layout

    def _inset(
        self, texts: Sequence[str], starts: np.ndarray, formulas: list[tuple[int, Formula, Macros]]
    ) -> tuple[Insets, list[Diagnostic]]:
        """The boxes of formulas, and notices of those that have none, or are pictures."""
        found, sources, notices = [], [], []
        boxes = self._latex([(texts[page][f.start : f.stop], f.kind, macros) for page, f, macros in formulas])
        for (page, (start, stop, kind), _), box in zip(formulas, boxes, strict=True):
            origin = int(starts[page])
            if isinstance(box, Failure):
                sources.append((page, origin + start, origin + stop))
                notices.append(Diagnostic(page, start, stop, "formula", f"set as source: {box.message}"))
                continue
            is_display = kind not in ("inline", "command")
            found.append(Inset(page, origin + start, origin + stop, box, is_display))
            if box.note:
                notices.append(Diagnostic(page, start, stop, "partial", box.note))
            if box.pictures:
                message = "set as a picture: it draws beyond glyphs and rules"
                notices.append(Diagnostic(page, start, stop, "picture", message))
        return collect(found, sources), notices

    def _scan(
        self, texts: Sequence[str], contexts: Sequence[Context | None]
    ) -> tuple[list[tuple[int, Formula, Macros]], list[Diagnostic]]:
        """Return the formulas of texts, each with the number of its text and its macros, and LaTeX that stays text."""
        formulas, left = [], []
        for page, text in enumerate(texts):
            if "$" not in text and "\\" not in text:
                continue
            context = contexts[page] if contexts else None
            whole, first = (text, 0) if context is None else context
            if not may_hold_formulas(whole, self.dollars):
                continue
            scanned = scan(whole, self.dollars)
            last = first + len(text)
            definitions = find_definitions(whole)
            macros, names, k = self._macros, dict(self._macros if definitions else ()), 0
            for formula in scanned.formulas:
                start, stop, kind = formula
                if kind == "other" or start < first or stop > last:
                    continue
                while k < len(definitions) and definitions[k].start < start:
                    names[definitions[k].name] = definitions[k].macro
                    macros, k = tuple(names.items()), k + 1
                formulas.append((page, Formula(start - first, stop - first, kind) if first else formula, macros))
            if scanned.left:
                defined = {definition.start for definition in definitions}
                left += [
                    Diagnostic(page, a - first, b - first, "latex-as-text", f"looks like LaTeX: {whole[a:b][:60]}")
                    for a, b in scanned.left
                    if first <= a and b <= last and a not in defined
                ]
        return formulas, left

    def font_uses(self, text: str) -> list[tuple[Font | None, str]]:
        """Which font sets which characters of a text, each character once, white space left out.

        In the order in which the text needs them; last, with None, the characters that no font has.
        """
        codes = to_codes(text)
        runs = self._analyzer([text], codes, np.array([0, len(text)]))
        numbers = (runs.keys & NO_FONT).tolist() or [0] * len(text)
        found: dict[int, dict[str, None]] = {}
        for character, number in zip(text, numbers, strict=True):
            # Python counts four controls as space.
            if not character.isspace() or "\x1c" <= character <= "\x1f":
                found.setdefault(number, {})[character] = None
        lost = found.pop(NO_FONT, None)
        uses: list[tuple[Font | None, str]] = [(self.stack.fonts[i], "".join(found[i])) for i in found]
        return [*uses, (None, "".join(lost))] if lost else uses

    def font_names(self, layout: Layout, pages: range) -> list[str]:
        """The names of the fonts that some successive pages of one of its layouts are set in; of emoji too."""
        names = {font.key: font.name for font in [*self.stack.fonts, *self._latex.fonts]}
        glyphs = slice(int(layout.glyph_offsets[pages.start]), int(layout.glyph_offsets[pages.stop]))
        if len(layout.fonts) == 1:
            used = [0] if glyphs.start < glyphs.stop else []
        else:
            used = np.unique(layout.glyph_fonts[glyphs]).tolist()
        found = [names[layout.fonts[i]] for i in used]
        pictures = int(layout.picture_offsets[pages.stop] - layout.picture_offsets[pages.start])
        # Of the others each is one of LaTeX, and told.
        if pictures and pictures > sum(d.kind == "picture" and d.page in pages for d in layout.diagnostics):
            found.append(self.stack.fonts[self.stack.emoji].name)
        return list(dict.fromkeys(found))

    def _diagnose(self, texts: Sequence[str], tokens: Tokens, notes: np.ndarray) -> list[Diagnostic]:
        found = []
        for page in np.flatnonzero(notes).tolist():
            kind, message = "blank", "the page has no ink"
            if notes[page] == OVERSIZE:
                kind, message = "oversize", f"the page would have more pixels than max_pixels={self._style.max_pixels}"
            found.append(Diagnostic(page, 0, len(texts[page]), kind, message))
        if not self._cache.has_missing:
            return found
        flagged = np.flatnonzero((tokens.words >= 0) & (self._cache.words[tokens.words, FLAGS] & MISSING != 0))
        pages = np.searchsorted(tokens.starts, flagged, "right") - 1
        spans = [
            (page, begin + a, begin + b)
            for t, page in zip(flagged.tolist(), pages.tolist(), strict=True)
            for begin in [int(tokens.begins[t])]
            for a, b in self._cache.missing(int(tokens.words[t]))
        ]
        for page, group in itertools.groupby(sorted(spans), key=lambda span: span[0]):
            for start, stop in _merge((a, b) for _, a, b in group):
                found.append(Diagnostic(page, start, stop, "missing", self._explain(page, texts[page][start:stop])))
        return found

    def _explain(self, page: int, text: str) -> str:
        codes = list(dict.fromkeys(f"U+{ord(c):04X}" for c in text))
        named = " ".join(codes[:8]) + (f" and {len(codes) - 8} more" if len(codes) > 8 else "")
        message = f"no font has a glyph for {named}"
        if self.on_missing == "error":
            raise MissingGlyphError(message, page)
        return message


def _line_height(font: Font) -> int:
    """Return the distance of baselines in px that goes with a font at its size."""
    natural = (font.ascent + font.descent) / 64
    return max(1, math.ceil(natural) if natural > 1.2 * font.key.size else round(1.1 * font.key.size))


def _whole(source: str) -> Formula:
    """All of a source that is LaTeX and nothing else, as one formula."""
    if "\\documentclass" in source:
        return Formula(0, len(source), "document")
    return Formula(len(source) - len(source.lstrip()), len(source.rstrip()), "bare")


def _check_texts(name: str, texts: Sequence[str]) -> None:
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{i}] must be a str, not {type(text).__name__}")


def _rebuild(arguments: dict[str, Any]) -> Typesetter:
    return Typesetter(**arguments)


def _merge(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
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
