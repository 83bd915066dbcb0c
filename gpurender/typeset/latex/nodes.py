"""ziamath, loaded for us alone and put right where its formulas would not look like TeX's."""

from __future__ import annotations

import importlib
import sys
import types
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpurender.typeset.latex.box import EngineError
from gpurender.typeset.latex.mathml import BOX_TAG, ROW_TAG

__all__ = ["load_library"]

# TeX's units in pt. Of mu and em and ex, those of Computer Modern at 10 pt.
_UNITS = {"pt": 1.0, "mm": 2.84526, "cm": 28.4526, "in": 72.27, "pc": 12.0, "bp": 1.00375, "dd": 1.07, "cc": 12.84}
_UNITS |= {"sp": 1 / 65536, "px": 0.75}
_RELATIVE = {"em": 1.0, "ex": 0.430554, "mu": 1 / 18}
_SPACES = {
    f"{sign}{name}mathspace": number * factor / 18
    for sign, factor in (("", 1), ("negative", -1))
    for number, name in enumerate("veryverythin verythin thin medium thick verythick veryverythick".split(), 1)  # noqa: SIM905
}


@cache
def load_library() -> Any:
    """Modules of ziamath loaded a second time, under a name of our own, so that they are ours to set up.

    Its settings are globals, which a program may have changed for uses of its own, and must find unchanged.

    Raises:
        EngineError: It is not installed.
    """
    spec = find_spec("ziamath")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError("ziamath is not installed: pip install ziamath")
    package = types.ModuleType("gpurender.typeset.latex._ziamath")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[package.__name__] = package
    modules: dict[str, Any] = {
        name: importlib.import_module(f"{package.__name__}.{name}")
        for name in ("config", "drawable", "mathfont", "nodes", "nodes.mrow", "nodes.mnode", "mathtable", "styles")
    }
    modules["nodes.mnode"].Mnode.size_px = _length
    # Of what is only read, a copy at every node is a third of the time.
    modules["styles"].asdict = vars
    modules["styles"].parse_variant = partial(_variant, modules["styles"].MathVariant)
    row = _row_class(modules["nodes.mrow"].Mrow)
    _box_class(modules["nodes.mnode"].Mnode, modules["drawable"].Box)
    return types.SimpleNamespace(
        folder=Path(package.__path__[0]), row=row, **{name.rpartition(".")[2]: m for name, m in modules.items()}
    )


def _row_class(mrow: Any) -> Any:
    class Row(mrow, tag=ROW_TAG):  # type: ignore[call-arg]
        """A row that measures what stands between stretched fences once, not once more at each level of groups."""

        def _get_height_nostretch(self, line: list[Any], **kwargs: Any) -> tuple[float, float]:
            if kwargs.get("nostretch"):
                return 0.0, 0.0
            low_high: tuple[float, float] = super()._get_height_nostretch(line, **kwargs)
            return low_high

    # ziamath asks for rows by this name.
    Row.mtag = "mrow"
    return Row


def _box_class(mnode: Any, box: Any) -> None:
    class Boxed(mnode, tag=BOX_TAG):  # type: ignore[call-arg]
        """A box as far from what is in it as LaTeX has it; ziamath's own all but touches that."""

        def __init__(self, element: Any, parent: Any, **kwargs: Any) -> None:
            super().__init__(element, parent, **kwargs)
            base = mnode.fromelement(element[0], parent=self, **kwargs)
            thickness, gap = 0.04 * self.glyphsize, 0.3 * self.glyphsize
            low, high = base.bbox.ymin - gap, base.bbox.ymax + gap
            width = base.xadvance() + 2 * gap
            self.nodes = [box(width, high - low, thickness, style=self.style), base]
            self.nodexy = [(thickness, -low), (thickness + gap, 0.0)]
            self.bbox = type(base.bbox)(0, width + 2 * thickness, low - thickness, high + thickness)


def _variant(make: Any, variant: str, parent: Any) -> Any:
    """In place of ziamath's, which knows no double-struck, and slants what \\mathbf and \\mathsf have upright."""
    if not variant:
        return make(parent.style, parent.italic, parent.bold, parent.normal)
    style = next((s for s in ("sans", "script", "double", "mono", "fraktur") if s in variant), "serif")
    return make(style, "italic" in variant, "bold" in variant, "italic" not in variant)


def _length(self: Any, size: str, fontsize: float | None = None) -> float:
    """In place of ziamath's, whose em is a third too wide: as in TeX's, at 10 pt an em."""
    em = self.glyphsize if fontsize is None else fontsize
    if size in _SPACES:
        return _SPACES[size] * em
    number, unit = (size[:-2], size[-2:]) if size[-1:].isalpha() else (size, "")
    try:
        value = float(number)
    except ValueError:
        return 0.0
    if unit in _RELATIVE:
        return value * _RELATIVE[unit] * em
    scale: float = _UNITS[unit] * self.size / 10 if unit in _UNITS and unit != "px" else 1.0
    return value * scale
