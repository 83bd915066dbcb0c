"""Setting LaTeX: which engine, what it was asked before, and what it cannot set."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, get_args

from gpurender.typeset.fonts import Outlines
from gpurender.typeset.latex.box import Box, Engine, EngineError, Failure
from gpurender.typeset.latex.document import set_as_picture
from gpurender.typeset.latex.macros import Macro
from gpurender.typeset.latex.sandbox import INSTALL
from gpurender.typeset.latex.scripts import Shaper
from gpurender.typeset.latex.source import RefusedError, Source, prepare
from gpurender.typeset.maths import Kind

__all__ = ["ENGINES", "EngineName", "LatexSetter", "LatexWarning", "Request"]

EngineName = Literal["auto", "pdftex", "ziamath", "off"]
ENGINES: tuple[str, ...] = get_args(EngineName)

# A formula as it stands in its text, its kind, and macros by their names.
Request = tuple[str, Kind, tuple[tuple[str, Macro], ...]]

# The cache starts over, empty, when a call begins with more than this in it: boxes, and rows of glyphs, rules and
# cells, each some 40 bytes.
BOXES, ROWS = 2**15, 2**20


class LatexWarning(UserWarning):
    """Another engine was taken than the first choice; the message says why, and what to do."""


class LatexSetter:
    """Sets formulas and tables by one engine; what it set once it does not set again.

    Args:
        choice: `"pdftex"` or `"ziamath"`, which never stand in for each other; or `"auto"`, pdfTeX where it works, else
            ziamath, with a warning that says why: tried once, on first use.
        size: px per em of the maths.
        width: px, where lines of formulas that are wider may be broken.
        shaper: Sets the characters of formulas that TeX's fonts lack.
    """

    def __init__(self, choice: EngineName, size: float, width: int, shaper: Shaper | None = None) -> None:
        self.choice = choice
        self.size = size
        self.width = width
        self._shaper = shaper
        self._engine: Engine | None = None
        self._boxes: dict[Request, Box | Failure] = {}
        self._rows = 0

    @property
    def engine(self) -> Engine:
        """The engine in use, started when first asked for.

        Raises:
            EngineError: The one that was named does not work here.
        """
        if self._engine is None:
            self._engine = self._choose()
        return self._engine

    @property
    def fonts(self) -> list[Outlines]:
        """What glyphs of boxes are numbered by; none before the engine is first needed."""
        return self._engine.fonts if self._engine is not None else []

    def _choose(self) -> Engine:
        if self.choice != "ziamath":
            from gpurender.typeset.latex.pdftex import PdfTeX

            pdftex = PdfTeX(self.size, self._shaper)
            try:
                pdftex.start()
            except EngineError as error:
                if self.choice == "pdftex":
                    raise
                message = f"formulas are set by ziamath, slowly and without tables, since {error}"
                warnings.warn(message, LatexWarning, stacklevel=2)
            else:
                return pdftex
        from gpurender.typeset.latex.ziamath import Ziamath

        return Ziamath(self.size)

    def __call__(self, formulas: Sequence[Request]) -> list[Box | Failure]:
        """Return a box for each formula, or why there is none.

        Args:
            formulas: Each as it stands in its text, delimiters and all; its kind; and the macros that it may use.

        Raises:
            EngineError: The engine does not work, or does so no more.
        """
        if len(self._boxes) > BOXES or self._rows > ROWS:
            self._boxes.clear()
            self._rows = 0
        asked = {}
        for request in dict.fromkeys(formulas):
            if request not in self._boxes:
                text, kind, macros = request
                try:
                    asked[request] = prepare(text, kind, dict(macros))._replace(width=self.width)
                except RefusedError as error:
                    self._boxes[request] = Failure(error.kind, str(error))
        if asked:
            for key, box in zip(asked, self._set(list(asked.values())), strict=True):
                self._boxes[key] = box = _checked(box, asked[key].style == "table")
                self._rows += 0 if isinstance(box, Failure) else len(box.glyphs) + len(box.rules) + len(box.cells)
        return [self._boxes[formula] for formula in formulas]

    def _set(self, sources: list[Source]) -> list[Box | Failure]:
        """Set sources by the engine; documents, and what it says draws beyond glyphs and rules, as pictures."""
        has_tex = self.engine.name == "pdftex"
        beyond = set_as_picture if has_tex else _no_tex
        boxes = iter(self.engine([source for source in sources if source.style != "document"]))
        found = []
        for source in sources:
            box = beyond(source, self.size) if source.style == "document" else next(boxes)
            if has_tex and isinstance(box, Failure) and box.kind == "picture":
                box = set_as_picture(source, self.size)
            found.append(box)
        return found


def _no_tex(source: Source, size: float) -> Failure:
    return Failure("error", f"a document needs pdfTeX: {INSTALL}")


def _checked(box: Box | Failure, is_table: bool) -> Box | Failure:
    if isinstance(box, Failure):
        return box
    if box.ink[0] >= box.ink[2] and box.width <= 0:
        return Failure("error", "nothing of it is visible")
    return box._replace(is_table=True) if is_table else box
