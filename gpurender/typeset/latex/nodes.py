"""ziamath, loaded for us alone and put right where its formulas would not look like TeX's."""

from __future__ import annotations

import importlib
import sys
import types
from functools import cache, partial
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any

from gpurender.typeset.latex.box import EngineError
from gpurender.typeset.latex.mathml import ARROW_TAG, BOX_TAG, ROW_TAG

__all__ = ["load_library", "open_font"]

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
    """Load ziamath's modules a second time, under another name, so that they can be set up.

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
        for name in (
            "config",
            "drawable",
            "mathfont",
            "mathtable",
            "nodes",
            "nodes.mfrac",
            "nodes.mnode",
            "nodes.mrow",
            "nodes.msubsup",
            "operators",
            "styles",
        )
    }
    # Smallest letters, as in TeX, have half the size.
    modules["config"].config.minsizefraction = 0.5
    # Spaces are between elements, as TeX has them.
    modules["operators"].leftfences.clear()
    modules["nodes.mnode"].Mnode.size_px = _length
    # Of what is only read, a copy at every node is a third of the time.
    modules["styles"].asdict = vars
    modules["styles"].parse_variant = partial(_variant, modules["styles"].MathVariant)
    row = _row_class(modules["nodes.mrow"].Mrow, modules["nodes.mrow"].BBox)
    for name in ("Msub", "Msup", "Msubsup"):
        _script_class(getattr(modules["nodes.msubsup"], name))
    _fraction_class(modules["nodes.mfrac"].Mfrac)
    _box_class(modules["nodes.mnode"].Mnode, modules["drawable"].Box)
    _arrow_class(modules["nodes.mnode"].Mnode)
    return types.SimpleNamespace(
        folder=Path(package.__path__[0]), row=row, **{name.rpartition(".")[2]: m for name, m in modules.items()}
    )


def open_font(file: str, size: float) -> Any:
    """Return a font of ziamath's at a size in px per em, with scripts no lower or higher than TeX's.

    Raises:
        ValueError: The file has no font for mathematics; others as well, if it has no font.
    """
    font = load_library().mathfont.MathFont(file, size)
    units = font.info.layout.unitsperem
    # Computer Modern's sub_drop and sup_drop.
    font.math.consts.subscriptBaselineDropMin = 0.05 * units
    font.math.consts.superscriptBaselineDropMax = 0.386 * units
    # ziamath holds it against subscripts at their full size.
    font.math.consts.subscriptTopMax = units
    return font


def _script_class(base: Any) -> None:
    class Script(base, tag=base.mtag):  # type: ignore[call-arg]
        """Scripts with the font's space after them."""

        bbox: Any

        def _setup(self, **kwargs: Any) -> None:
            super()._setup(**kwargs)
            space = self.font_units_to_points(self.font.math.consts.spaceAfterScript)
            self.bbox = self.bbox._replace(xmax=self.bbox.xmax + space)


def _row_class(mrow: Any, box_type: Any) -> Any:
    class Row(mrow, tag=ROW_TAG):  # type: ignore[call-arg]
        """A row whose delimiters are as high as TeX's.

        What they enclose is set before them, and once; ziamath sets it once more at each level of groups.
        """

        def _setup_single_line(self, line: list[Any], **kwargs: Any) -> None:
            line = [child for child in line if child.tag != "mo" or (child.text or "").strip()]
            fences = {child for child in line if child.tag == "mo" and child.get("stretchy") == "true"}
            nodes = {child: mrow.fromelement(child, parent=self, **kwargs) for child in line if child not in fences}
            boxes = [node.bbox for node in nodes.values()]
            low, high = min((box.ymin for box in boxes), default=0), max((box.ymax for box in boxes), default=0)
            axis = self.units_to_points(self.font.math.consts.axisHeight)
            # TeX's \\delimiterfactor and \\delimitershortfall.
            size = 2 * max(high - axis, axis - low)
            size = max(0.901 * size, size - 0.5 * self.size)
            kwargs |= {"rowymin": axis - size / 2, "rowymax": axis + size / 2}
            nodes |= {child: mrow.fromelement(child, parent=self, **kwargs) for child in fences}
            self.nodes = [nodes[child] for child in line]
            starts = [0.0, *accumulate(node.xadvance() for node in self.nodes)]
            self.nodexy = [(x, 0.0) for x in starts[:-1]]
            boxes = [node.bbox for node in self.nodes]
            self.bbox = box_type(
                min((x + box.xmin for x, box in zip(starts, boxes, strict=False)), default=0.0),
                max((x + box.xmax for x, box in zip(starts, boxes, strict=False)), default=0.0),
                min((box.ymin for box in boxes), default=0.0),
                max((box.ymax for box in boxes), default=0.0),
            )
            self._xadvance = starts[-1]

    # ziamath asks for rows by this name.
    Row.mtag = "mrow"
    return Row


def _fraction_class(mfrac: Any) -> None:
    class Fraction(mfrac, tag="mfrac"):  # type: ignore[call-arg]
        """A fraction with TeX's \\nulldelimiterspace on both sides, so that no sign runs into its bar."""

        nodexy: list[tuple[float, float]]
        bbox: Any

        def leftsibling(self) -> None:
            """Return nothing: spaces between elements are in the row."""

        def _setup(self, **kwargs: Any) -> None:
            super()._setup(**kwargs)
            gap = 0.12 * self.size if self.element.get("linethickness") != "0" else 0.0
            width = max(self.numerator.bbox.xmax, self.denominator.bbox.xmax)
            self.nodexy = [(x + gap, y) for x, y in self.nodexy]
            self.bbox = type(self.bbox)(0, width + 2 * gap, self.bbox.ymin, self.bbox.ymax)


def _box_class(mnode: Any, box: Any) -> None:
    class Boxed(mnode, tag=BOX_TAG):  # type: ignore[call-arg]
        """A box with LaTeX's distance to what is in it; ziamath's all but touches that."""

        def __init__(self, element: Any, parent: Any, **kwargs: Any) -> None:
            super().__init__(element, parent, **kwargs)
            base = mnode.fromelement(element[0], parent=self, **kwargs)
            thickness, gap = 0.04 * self.glyphsize, 0.3 * self.glyphsize
            low, high = base.bbox.ymin - gap, base.bbox.ymax + gap
            width = base.xadvance() + 2 * gap
            self.nodes = [box(width, high - low, thickness, style=self.style), base]
            self.nodexy = [(thickness, -low), (thickness + gap, 0.0)]
            self.bbox = type(base.bbox)(0, width + 2 * thickness, low - thickness, high + thickness)


def _arrow_class(mnode: Any) -> None:
    class Arrow(mnode, tag=ARROW_TAG):  # type: ignore[call-arg]
        """An arrow as long as its labels: children are the arrow, a label under it if there are two, one over it."""

        def __init__(self, element: Any, parent: Any, **kwargs: Any) -> None:
            super().__init__(element, parent, **kwargs)
            arrow, *labels = element
            for label in labels:
                self.increase_child_scriptlevel(label)
            over = [mnode.fromelement(label, parent=self, **{**kwargs, "sup": True}) for label in labels]
            # amsmath's, around labels.
            width = max(node.bbox.xmax for node in over) + 0.54 * self.glyphsize
            base = mnode.fromelement(arrow, parent=self, **{**kwargs, "width": max(width, self.glyphsize)})
            width, gap = base.bbox.xmax, 0.15 * self.glyphsize
            self.nodes, self.nodexy = [base], [(0.0, 0.0)]
            for node, is_over in zip(over[::-1], (True, False), strict=False):
                y = -base.bbox.ymax - gap + node.bbox.ymin if is_over else -base.bbox.ymin + gap + node.bbox.ymax
                self.nodes.append(node)
                self.nodexy.append(((width - node.bbox.xmax) / 2, y))
            boxes = [(node.bbox, y) for node, (_, y) in zip(self.nodes, self.nodexy, strict=True)]
            low, high = min(box.ymin - y for box, y in boxes), max(box.ymax - y for box, y in boxes)
            self.bbox = type(base.bbox)(0, width, low, high)


def _variant(make: Any, variant: str, parent: Any) -> Any:
    """Return a variant; ziamath knows no double-struck, and slants what \\mathbf and \\mathsf have upright."""
    if not variant:
        return make(parent.style, parent.italic, parent.bold, parent.normal)
    style = next((s for s in ("sans", "script", "double", "mono", "fraktur") if s in variant), "serif")
    return make(style, "italic" in variant, "bold" in variant, "italic" not in variant)


def _length(self: Any, size: str, fontsize: float | None = None) -> float:
    """Return a length in px, at 10 pt an em as in TeX; ziamath's em is a third too wide."""
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
