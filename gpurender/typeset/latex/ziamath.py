"""Boxes from ziamath's node trees: formulas where only pip is.

They are in Latin Modern Math where it is installed. A formula with a character that it lacks is in the STIX Two Math
that ziamath carries, from end to end, so that sizes and strokes fit.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

import numpy as np
from PIL import ImageColor

from gpurender.typeset.fonts import FontFace, Outlines, find_font
from gpurender.typeset.latex.box import FOREGROUND, Box, EngineError, Failure, UnsettableError, make_boxes
from gpurender.typeset.latex.limits import LARGEST, LONGEST
from gpurender.typeset.latex.mathml import TooLargeError, to_mathml
from gpurender.typeset.latex.nodes import load_library, open_font
from gpurender.typeset.latex.sandbox import INSTALL
from gpurender.typeset.latex.source import RefusedError, Source, check
from gpurender.typeset.layout import FontKey

__all__ = ["Ziamath"]

# xcolor's, where they differ from those of CSS.
_COLORS = {"brown": 0xBF8040, "darkgray": 0x404040, "gray": 0x808080, "green": 0x00FF00, "lightgray": 0xBFBFBF}
_COLORS |= {"lime": 0xBFFF00, "olive": 0x808000, "orange": 0xFF8000, "pink": 0xFFBFBF, "purple": 0xBF0040}
_COLORS |= {"teal": 0x008080, "violet": 0x800080, "magenta": 0xFF00FF, "cyan": 0x00FFFF}


class _NoGlyphError(UnsettableError):
    """Name a character that the font lacks."""


class _Root:
    """Stand for the parent of a formula's first node."""

    mtag = "math"

    def __init__(self, font: Any, size: float, style: Any) -> None:
        self.font, self.size, self.style = font, size, style
        self.parent = self


class _Drawing:
    """Collect a formula's glyphs and rules from its tree. Lengths in px, y downwards."""

    def __init__(self, engine: Ziamath, library: Any, file: str) -> None:
        self.engine, self.library, self.file = engine, library, file
        self.glyphs: list[tuple[int, int, int, int, int, int, int, int, int]] = []
        self.rules: list[tuple[int, int, int, int, int]] = []
        self.top, self.bottom = 0.0, 0.0

    def node(self, node: Any, x: float, y: float, parent: Any, hidden: bool, counts: bool) -> None:
        """Draw a node of the tree and what is below it.

        Args:
            node: A node, or a glyph or line of one.
            x: Where it is.
            y: Where it is.
            parent: The node that it is in.
            hidden: It takes room, but is not drawn.
            counts: Its height and depth are the formula's.
        """
        kinds = self.library.drawable
        if isinstance(node, kinds.Glyph):
            self._extend(y - node.bbox.ymax, y - node.bbox.ymin, counts)
            if node.glyph.index == 0 and node.char not in " \xa0\u2009":
                raise _NoGlyphError(f"the font has no glyph for {node.char!r} (U+{ord(node.char):04X})")
            if not hidden and node.glyph.index:
                self._glyph(node, x, y, _color(parent.style.mathcolor))
        elif isinstance(node, kinds.HLine):
            if node.lw > 0 and node.length > 0:
                self._extend(y, y + node.lw, counts)
                if parent.mtag in ("msqrt", "mroot"):
                    # The sign that it continues stands on a whole row.
                    sign = parent.nodexy[-3][1] + y - parent.nodexy[-1][1]
                    y += round(sign) - sign
                self._bar(x, y, node.length, node.lw, parent, hidden)
        elif isinstance(node, kinds.Box) and not node.cornerradius:
            half = node.lw / 2
            self._extend(y - node.height - half, y + half, counts)
            for top in (y - node.height - half, y - half):
                self._bar(x - half, top, node.width + node.lw, node.lw, parent, hidden)
            for left in (x - half, x + node.width - half):
                self._post(left, y - node.height, y, node.lw, parent, hidden)
        elif isinstance(node, kinds.Drawable) and not hasattr(node, "nodexy"):
            raise UnsettableError(f"{type(node).__name__.lower()}s, as of \\cancel, need pdfTeX")
        else:
            self._row(node, x, y, parent, hidden, counts)

    def _row(self, node: Any, x: float, y: float, parent: Any, hidden: bool, counts: bool) -> None:
        hidden = hidden or node.mtag == "mphantom"
        background = node.style.mathbackground
        if background not in ("none", None, parent.style.mathbackground) and not hidden:
            color = _color(background)
            box = (x + node.bbox.xmin, y - node.bbox.ymax, x + node.bbox.xmax, y - node.bbox.ymin)
            self.rules.append((*(round(64 * side) for side in box), color))
        if node.mtag in ("mspace", "mpadded") and counts and {"height", "depth"} & set(node.element.keys()):
            self._extend(y - node.bbox.ymax, y - node.bbox.ymin, True)
            counts = False
        for (left, down), child in zip(node.nodexy, node.nodes, strict=True):
            self.node(child, x + left, y + down, node, hidden, counts)

    def _extend(self, top: float, bottom: float, counts: bool) -> None:
        if counts:
            self.top, self.bottom = min(self.top, top), max(self.bottom, bottom)

    def _glyph(self, node: Any, x: float, y: float, color: int) -> None:
        font = self.engine.number(self.file, node.size)
        scale = node.size / node.glyph.font.info.layout.unitsperem
        if not isinstance(node.glyph, self.library.mathtable.AssembledGlyph):
            self.glyphs.append((font, node.glyph.index, round(64 * x), round(64 * y), color, 0, 0, 0, 0))
            return
        for part, offset in zip(node.glyph.glyphs, node.glyph.offsets, strict=True):
            left, base = (x, y - offset * scale) if node.glyph.vert else (x + offset * scale, y)
            self.glyphs.append((font, part.index, round(64 * left), round(64 * base), color, 0, 0, 0, 0))

    def _bar(self, left: float, top: float, length: float, thickness: float, parent: Any, hidden: bool) -> None:
        rows = max(1, round(thickness))
        first = round(top + (thickness - rows) / 2)
        if not hidden:
            color = _color(parent.style.mathcolor)
            self.rules.append((round(64 * left), 64 * first, round(64 * (left + length)), 64 * (first + rows), color))

    def _post(self, left: float, top: float, bottom: float, thickness: float, parent: Any, hidden: bool) -> None:
        columns = max(1, round(thickness))
        first = round(left + (thickness - columns) / 2)
        if not hidden:
            color = _color(parent.style.mathcolor)
            self.rules.append((64 * first, 64 * round(top), 64 * (first + columns), 64 * round(bottom), color))


def _color(name: str) -> int:
    # A sign of colours that was a parameter of macros.
    name = name.replace("\\", "")
    if name == "":
        return FOREGROUND
    if name in _COLORS:
        return _COLORS[name]
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise UnsettableError(f"the colour {name!r} is not known") from None
    return red << 16 | green << 8 | blue


class Ziamath:
    """Set formulas at one size.

    Attributes:
        name: As in `latex="ziamath"`.
        size: px per em.
        fonts: Its fonts at the sizes that formulas have used.
    """

    name = "ziamath"

    def __init__(self, size: float) -> None:
        self.size = float(size)
        self.fonts: list[Outlines] = []
        self._numbers: dict[tuple[str, float], int] = {}
        # By file, the first choice first.
        self._faces: dict[str, FontFace] = {}
        self._math_fonts: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Ziamath], tuple[float]]:
        return type(self), (self.size,)

    def __call__(self, sources: Sequence[Source]) -> list[Box | Failure]:
        """Return a box, or the reason why there is none, for each source.

        Raises:
            EngineError: ziamath is not installed, or its font cannot be read.
        """
        with self._lock:
            self._find_fonts()
            set_ = [self._set(source) for source in sources]
        drawings = [(drawing, width) for drawing, width in set_ if isinstance(drawing, _Drawing)]
        boxes = iter(self._boxes(drawings))
        return [drawing if isinstance(drawing, Failure) else next(boxes) for drawing, _ in set_]

    def close(self) -> None:
        """Give the fonts back; those of the boxes stay."""
        with self._lock:
            self._math_fonts.clear()

    def number(self, file: str, size: float) -> int:
        """Return where among the fonts a file at a size is."""
        # As FreeType takes sizes.
        size = round(64 * size) / 64
        if (file, size) not in self._numbers:
            self.fonts.append(Outlines(FontKey(file, self._faces[file].face_index, size)))
            self._numbers[file, size] = len(self.fonts) - 1
        return self._numbers[file, size]

    def _find_fonts(self) -> None:
        if not self._faces:
            names = ("Latin Modern Math", str(load_library().folder / "fonts" / "STIXTwoMath-Regular.ttf"))
            for name in names:
                with suppress(ValueError):
                    face = find_font(name)
                    self._faces[face.file] = face
        self._open(next(iter(self._faces)))

    def _open(self, file: str) -> Any:
        if file not in self._math_fonts:
            try:
                self._math_fonts[file] = open_font(file, self.size)
            except Exception as error:
                raise EngineError(f"ziamath cannot read {file!r}: {error}") from error
        return self._math_fonts[file]

    def _set(self, source: Source) -> tuple[_Drawing | Failure, int]:
        """Return a formula's glyphs and rules, and its width in 1/64 px."""
        if source.style == "table":
            return Failure("error", f"tables need pdfTeX: {INSTALL}"), 0
        if len(source.tex) > LONGEST:
            return Failure("limit", f"longer than {LONGEST} characters"), 0
        try:
            check(source.tex)
            return self._draw(source)
        except RefusedError as error:
            return Failure(error.kind, str(error)), 0
        except TooLargeError as error:
            return Failure("limit", str(error)), 0
        except UnsettableError as error:
            return Failure("error", str(error)), 0
        except RecursionError:
            return Failure("limit", "too many groups within groups"), 0
        except Exception as error:
            # Whatever latex2mathml and ziamath say of what is no formula; most of them have only a name.
            return Failure("error", f"{type(error).__name__}: {error}".removesuffix(": ")), 0

    def _draw(self, source: Source) -> tuple[_Drawing | Failure, int]:
        *files, last = self._faces
        for file in files:
            with suppress(_NoGlyphError):
                return self._draw_in(file, source)
        return self._draw_in(last, source)

    def _draw_in(self, file: str, source: Source) -> tuple[_Drawing | Failure, int]:
        library, font = load_library(), self._open(file)
        is_display = source.style == "display"
        tree = to_mathml(source.tex, is_display)
        # A text that failed half way leaves it in the wrong language.
        font.language("math", "")
        style = library.styles.MathStyle(displaystyle=is_display, mathcolor="")
        root = _Root(font, self.size, style)
        node = library.row(tree, root)
        drawing = _Drawing(self, library, file)
        drawing.node(node, 0.0, 0.0, root, False, True)
        width = max(0.0, node.xadvance())
        if max(width, drawing.bottom - drawing.top) > LARGEST:
            return Failure("limit", f"larger than {LARGEST} px"), 0
        return drawing, round(64 * width)

    def _boxes(self, drawings: list[tuple[_Drawing, int]]) -> list[Box]:
        metrics = [(width, round(-64 * drawing.top), round(64 * drawing.bottom)) for drawing, width in drawings]
        glyphs = [glyph for drawing, _ in drawings for glyph in drawing.glyphs]
        rules = [rule for drawing, _ in drawings for rule in drawing.rules]
        return make_boxes(
            self.fonts,
            np.array(metrics, np.int64).reshape(-1, 3),
            np.array(glyphs, np.int32).reshape(-1, 9),
            np.array([0, *accumulate(len(drawing.glyphs) for drawing, _ in drawings)], np.int64),
            np.array(rules, np.int32).reshape(-1, 5),
            np.array([0, *accumulate(len(drawing.rules) for drawing, _ in drawings)], np.int64),
        )
