"""Text becomes a Layout: fonts, shaping, line breaking. On the CPU, without torch."""

from gpurender.typeset.context import Context
from gpurender.typeset.layout import Diagnostic, FontKey, Layout
from gpurender.typeset.typesetter import MissingGlyphError, Typesetter

__all__ = ["Context", "Diagnostic", "FontKey", "Layout", "MissingGlyphError", "Typesetter"]
