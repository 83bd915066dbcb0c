"""LaTeX to MathML by latex2mathml; what it or ziamath would get wrong or lose is put right, or refused."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from latex2mathml.converter import Converter
from latex2mathml.symbols_parser import convert_symbol

from gpurender.typeset.latex.limits import LENGTHS, NESTING, ROW, VISITS
from gpurender.typeset.latex.plain import PERCENT, UnsettableError, rewrite

__all__ = ["BOX_TAG", "ROW_TAG", "TooLargeError", "to_mathml"]

ROW_TAG = "gprow"  # in place of mrow
BOX_TAG = "gpbox"  # of menclose with a box

# How many children an element has, each of them one argument.
_ARITY = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "mover": 2, "munder": 2, "msubsup": 3, "munderover": 3}
_LENGTHS = ("width", "height", "depth", "voffset", "lspace", "minsize", "maxsize", "linethickness")
_SCRIPTS = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
# Accents, as ziamath knows them.
_ACCENTS = {("^", None): "\u0302", ("~", None): "\u0303", ("~", "false"): "˜", ("→", "true"): "\u20d7"}
_UNSTRETCHED = frozenset("↑↓∏∐∑∫∬∭∮∯∰⋀⋁⋂⋃⨀⨁⨂⨄⨅⨆")
# Letters that ziamath leaves upright.
_SLANTED = dict(zip("∂ϕϵϑϱϖϰıȷ", "𝜕𝜙𝜖𝜗𝜚𝜛𝜘𝚤𝚥", strict=True))
_SIGNS = frozenset("+-−±∓")
_CLOSING = frozenset(")]}|‖⟩⌋⌉!.′…")
_FAMILY = re.compile(r"\\math([a-z]+)")
_KNOWN_FAMILIES = frozenset(
    """bb bf cal frak it rm scr sf sfit tt normal ring bin choice close inner op open ord punct rel strut llap rlap clap
    dollar section paragraph sterling ellipsis""".split()  # noqa: SIM905
)


class TooLargeError(ValueError):
    """It would take more time than a formula may."""


def to_mathml(tex: str, is_display: bool) -> Element:
    """A formula as one row.

    Raises:
        UnsettableError: The engine cannot set it.
        TooLargeError: It would take too long.
        Exception: Whatever latex2mathml says of what is no formula.
    """
    _check_nesting(tex)
    tex = rewrite(" ".join(tex.split()))
    for family in _FAMILY.findall(tex):
        if family not in _KNOWN_FAMILIES:
            raise UnsettableError(f"\\math{family} is not known")
    if _has_lines(tex):
        tex = rf"\displaylines{{{tex}}}"
    # That it reads single letters in upright type otherwise, and || as two bars far apart.
    tex = tex.replace(r"\mathrm{", r"\mathrm {").replace("||", "‖")
    math = Converter(display="block" if is_display else "inline").convert_to_element(tex)
    root: Element = math[0]
    _mend(root, is_display)
    _check_size(root)
    return root


def _check_nesting(tex: str) -> None:
    depth = 0
    for found in re.finditer(r"\\(?:left|right|begin|end)(?![A-Za-z])|\\.|[{}]", tex, re.DOTALL):
        depth += {"{": 1, r"\left": 1, r"\begin": 1, "}": -1, r"\right": -1, r"\end": -1}.get(found[0], 0)
        if depth > NESTING:
            raise TooLargeError(f"more than {NESTING} groups within groups")


def _has_lines(tex: str) -> bool:
    depth = 0
    for found in re.finditer(r"\\(?:cr(?![A-Za-z])|.)|[{}]", tex, re.DOTALL):
        if depth == 0 and found[0] in ("\\\\", r"\cr"):
            return True
        depth += {"{": 1, "}": -1}.get(found[0], 0)
    return False


def _mend(element: Element, is_display: bool) -> None:
    """Put the tree right from its leaves up."""
    children: list[Element] = []
    for child in element:
        _mend(child, is_display)
        if child.tag == "mstyle" and (element.tag not in _ARITY or len(child) == 1):
            # ziamath has styles as attributes of what they apply to.
            for grandchild in child:
                grandchild.attrib = {**child.attrib, **grandchild.attrib}
            children += child
        elif child.tag == "mtext" and not child.text and not len(child):
            continue
        else:
            children.append(child)
    element[:] = _composed(children)
    if element.tag not in _ARITY:
        _space(element)
    _mend_text(element)
    if element.text in _SLANTED and "mathvariant" not in element.attrib and element.tag != "mtext":
        element.tag, element.text = "mi", _SLANTED[element.text]
    elif element.text == "∇":
        element.attrib |= {"lspace": "0", "rspace": "0"}
    if element.tag in ("mi", "mo", "mn") and len(element):
        # \mathop, \mathrel and the like round a formula.
        if element.tag == "mo" and "lspace" not in element.attrib:
            element.set("class", "operator")
        for where, at in (("lspace", 0), ("rspace", len(element))):
            if element.get(where):
                element.insert(at, Element("mspace", width=element.attrib.pop(where)))
        element.tag = ROW_TAG
    elif element.tag in ("mrow", "mstyle", "mtd"):
        element.tag = ROW_TAG
        if not len(element):
            # Without anything, ziamath has it reach from far above to far below.
            element.append(Element("mspace", width="0"))
    elif element.tag == "mi" and not element.text:
        element.tag = "mspace"
    elif element.tag == "mtable":
        _mend_table(element)
    elif element.tag == "mo":
        _mend_operator(element)
    elif element.tag in ("msqrt", "menclose"):
        row = Element(ROW_TAG)
        row.extend(element)
        element[:] = [row]
        if element.get("notation") == "box":
            element.tag = BOX_TAG
    elif element.tag == "mover" and element.get("accent") == "true" and element[-1].text == "\u0302":
        element[-1].text = "ˆ"
    if len(element) != _ARITY.get(element.tag, len(element)):
        raise UnsettableError("a command lacks an argument, or has one that is not a group")
    if is_display and element.tag in _SCRIPTS and element[0].get("class") == "operator":
        element.tag = _SCRIPTS[element.tag]
    if element.tag in _ARITY and element.tag != "mroot":
        # What stands over, under or beside something is no display.
        for child in element if element.tag == "mfrac" else element[1:]:
            child.attrib.setdefault("displaystyle", "false")
    if element.tag in ("mover", "munder", "munderover") and element[0].get("class") == "operator":
        element[0].attrib.pop("class")


def _composed(children: list[Element]) -> list[Element]:
    r"""With each \not and the sign after it as one."""
    kept: list[Element] = []
    for child in children:
        if kept and kept[-1].tag == "mpadded" and len(kept[-1]) == 1 and kept[-1][0].text == "⧸":
            sign = unicodedata.normalize("NFC", f"{child.text}\u0338")
            if len(sign) != 1:
                raise UnsettableError(rf"\not before {child.text or 'a group'!r} cannot be set")
            child.text = sign
            child.tag = "mo"
            kept[-1] = child
        else:
            kept.append(child)
    return kept


def _space(row: Element) -> None:
    """Tell signs from operators, and functions from what is beside them."""
    before: Element | None = None
    for child in list(row):
        if child.tag == "mo" and (child.text or "") in _SIGNS and len(row) > 1 and _opens(before):
            child.set("form", "prefix")
        base = child[0] if child.tag in _SCRIPTS or child.tag in ("munder", "munderover") else None
        name = (base if base is not None else child).text or ""
        if len(name) > 1 and name.isalpha() and child.tag != "mtext":
            at = list(row).index(child)
            is_named = base is not None and base.tag in ("mi", "mo")
            if is_named and at + 1 < len(row) and row[at + 1].tag != "mo":
                row.insert(at + 1, Element("mspace", width="thinmathspace"))
            if (is_named or child.tag == "mo") and before is not None and before.tag != "mo":
                row.insert(at, Element("mspace", width="thinmathspace"))
        if child.tag != "mspace":
            before = child
    for at, child in enumerate(row):
        if child.tag == "mfrac" and child.get("linethickness") == "0":
            # The brackets of \choose are as high as it is, not as in a display.
            for fence in (*row[max(0, at - 1) : at], *row[at + 1 : at + 2]):
                if fence.tag == "mo" and fence.get("minsize") and fence.get("maxsize"):
                    del fence.attrib["minsize"], fence.attrib["maxsize"]
                    fence.set("stretchy", "true")


def _opens(before: Element | None) -> bool:
    return before is None or (before.tag == "mo" and not _CLOSING & set(before.text or ")"))


def _mend_text(element: Element) -> None:
    text = element.text or ""
    if text == "&":
        raise UnsettableError("'&' where there is no table")
    if text.startswith("\\") and element.tag in ("mo", "mi"):
        # After \big and its like they are as they were.
        symbol = convert_symbol(text) if element.tag == "mo" else None
        if symbol is None:
            raise UnsettableError(f"{text} is not known")
        text = chr(int(symbol, 16))
    element.text = html.unescape(text).replace(PERCENT, "%")
    if element.tag == "mo" and not element.text.strip() and not len(element) and element.get("fence") != "true":
        raise UnsettableError("an operator without a name")


def _mend_table(table: Element) -> None:
    if any(line != "none" for line in (table.get("rowlines", "none") + " " + table.get("columnlines", "none")).split()):
        raise UnsettableError("lines in an array need pdfTeX")
    # A cell is in text style, unless it is a line of a formula.
    table.attrib.setdefault("displaystyle", "false")
    if table.get("columnspacing") and "2em" in table.attrib["columnspacing"]:
        table.set("columnspacing", table.attrib["columnspacing"].replace("2em", "1em"))
    elif "columnspacing" not in table.attrib:
        table.set("columnspacing", "1em")
    for row in list(table):
        if not len(row):
            table.remove(row)
    if not len(table):
        raise UnsettableError("a table without cells")


def _mend_operator(element: Element) -> None:
    text, stretchy = element.text or "", element.get("stretchy")
    element.text = _ACCENTS.get((text, stretchy), text)
    if text in _UNSTRETCHED:
        # Those of TeX stretch only after \left, or not at all.
        element.attrib.setdefault("stretchy", "false")


def _all(element: Element, depth: int) -> Iterator[tuple[Element, int]]:
    yield element, depth
    for child in element:
        yield from _all(child, depth + 1)


def _check_size(root: Element) -> None:
    """Refuse what would keep ziamath busy for seconds: it stretches a brace by one piece more at a time."""
    visits, lengths = 0, 0.0
    for element, depth in _all(root, 0):
        visits += depth
        if len(element) > ROW or visits > VISITS:
            raise TooLargeError("more elements than a formula may have")
        for name in _LENGTHS:
            value = re.match(r"[+-]?(\d+\.?\d*|\.\d+)(in|cm|pc|em|ex)?", element.get(name, ""))
            lengths += float(value[1]) * (20 if value[2] else 1) if value else 0
    if lengths > LENGTHS:
        raise TooLargeError("lengths that come to more than a formula may have")
