"""LaTeX to MathML by latex2mathml; what it or ziamath would get wrong or lose is put right, or refused."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

from latex2mathml.converter import Converter
from latex2mathml.symbols_parser import SYMBOLS_FILE, convert_symbol

from gpurender.typeset.latex.box import UnsettableError
from gpurender.typeset.latex.limits import LENGTHS, NESTING, ROW, VISITS
from gpurender.typeset.latex.macros import MacroError
from gpurender.typeset.latex.plain import PERCENT, translate

__all__ = ["ARROW_TAG", "BOX_TAG", "ROW_TAG", "TooLargeError", "to_mathml"]

ROW_TAG = "gprow"  # in place of mrow
BOX_TAG = "gpbox"  # of menclose with a box
ARROW_TAG = "gparrow"  # of an arrow with labels

# How many children an element has, each of them one argument.
_ARITY = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "mover": 2, "munder": 2, "msubsup": 3, "munderover": 3}
_SCRIPTED = frozenset(_ARITY) - {"mfrac", "mroot"}
_LIMITS = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
_BESIDE = {limits: beside for beside, limits in _LIMITS.items()}
_LENGTHS = ("width", "height", "depth", "voffset", "lspace", "minsize", "maxsize", "linethickness")
# Accents, as ziamath knows them.
_ACCENTS = {("^", None): "\u0302", ("~", None): "\u0303", ("~", "false"): "˜", ("→", "true"): "\u20d7"}
_INTEGRALS = frozenset("∫∬∭⨌∮∯∰∱∲∳")
_LIMIT_NAMES = frozenset(("lim", "sup", "inf", "max", "min"))
# Letters that ziamath leaves upright.
_SLANTED = dict(zip("∂ϕϵϑϱϖϰıȷ", "𝜕𝜙𝜖𝜗𝜚𝜛𝜘𝚤𝚥", strict=True))
# Characters that stand for others in mathematics.
_SIGNS = {"*": "∗", "⧵": "∖", "◻": "□", "⬝": "⋅", "·": "⋅"}
# Three dots, and the one that stands three times with spaces between where there is room.
_DOTS = {"…": ".", "⋯": "⋅"}
_BLANKS = re.compile(r"\s+")
# Digits and signs that stand higher or lower by themselves.
_RAISED = re.compile("[\u00b2\u00b3\u00b9\u2070-\u207f]+|[\u2080-\u209c\u1d62-\u1d65\u2c7c]+")
_FAMILY = re.compile(r"\\math([a-z]+)")
_KNOWN_FAMILIES = frozenset(
    """bb bf cal frak it rm scr sf sfit tt normal ring bin choice close inner op open ord punct rel strut llap rlap clap
    dollar section paragraph sterling ellipsis""".split()  # noqa: SIM905
)
# Thin, medium and thick spaces between two atoms (The TeXbook, chapter 18), by the class of the left one and, in the
# order of the names, of the right one.
_GAPS = {
    "ord": "01230001",
    "op": "11030001",
    "bin": "22002002",
    "rel": "33003003",
    "open": "00000000",
    "close": "01230001",
    "punct": "11011111",
    "inner": "11231011",
}
_ORDER = tuple(_GAPS)
_WIDTHS = ("", "thinmathspace", "mediummathspace", "thickmathspace")
# Classes after which, or before which, a binary operator is a sign.
_NO_LEFT = frozenset(("bin", "op", "rel", "open", "punct"))
_NO_RIGHT = frozenset(("rel", "close", "punct"))
# No spaces and scripts beside it, whatever ziamath's dictionary says.
_STILL = {"lspace": "0", "rspace": "0", "movablelimits": "false", "form": "prefix"}


@cache
def _classes() -> dict[str, str]:
    """Return the class, a name in `_GAPS`, of each character that is no ordinary atom."""
    found: dict[str, str] = {}
    for line in Path(SYMBOLS_FILE).read_text(encoding="utf-8").splitlines():
        code, _, _, _, _, category, *_ = [*line.split("^"), *[""] * 6] if line[:1] != "#" else [""] * 6
        name = category.strip().removeprefix("math")
        if name in _GAPS and name != "ord":
            found.setdefault(chr(int(code, 16)), name)
    found |= {":": "rel", "!": "close", "?": "close", "∗": "bin", "⋱": "inner", "⋰": "inner"}
    found.pop("⋮", None)
    return found


class TooLargeError(ValueError):
    """Report that a formula would take more time than it may."""


def to_mathml(tex: str, is_display: bool) -> Element:
    """Return a formula as one row.

    Raises:
        UnsettableError: The engine cannot set it.
        TooLargeError: It would take too long.
        Exception: Whatever latex2mathml says of what is no formula.
    """
    _check_nesting(tex)
    tex = unicodedata.normalize("NFC", _BLANKS.sub(" ", tex))
    if mark := next((c for c in tex if unicodedata.category(c) in ("Mn", "Me", "Cf")), ""):
        raise UnsettableError(f"the mark U+{ord(mark):04X} cannot be set")
    try:
        tex = translate(_RAISED.sub(_script, tex))
    except MacroError as error:
        raise TooLargeError(str(error)) from error
    for family in _FAMILY.findall(tex):
        if family not in _KNOWN_FAMILIES:
            raise UnsettableError(f"\\math{family} is not known")
    if _has_lines(tex):
        tex = rf"\displaylines{{{tex}}}"
    # That it reads single letters in upright type otherwise, and || as two bars with a gap.
    tex = tex.replace(r"\mathrm{", r"\mathrm {").replace("||", "‖")
    math = Converter(display="block" if is_display else "inline").convert_to_element(tex)
    root: Element = math[0]
    _mend(root, is_display, False)
    _check_size(root)
    return root


def _script(found: re.Match[str]) -> str:
    sign = "_" if "<sub>" in unicodedata.decomposition(found[0][0]) else "^"
    return f"{sign}{{{unicodedata.normalize('NFKC', found[0])}}}"


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


def _mend(element: Element, is_display: bool, is_script: bool) -> None:
    """Put the tree right from its leaves up.

    Args:
        element: Of the tree that latex2mathml made.
        is_display: It is in display style.
        is_script: It is in script style or smaller, where most spaces are left out.
    """
    if element.get("class") == "text":
        element.set("displaystyle", "false")
    is_display = {"true": True, "false": False}.get(element.get("displaystyle", ""), is_display)
    is_script = element.get("scriptlevel", str(int(is_script))) != "0"
    children: list[Element] = []
    for at, child in enumerate(element):
        is_style = child.tag == "mstyle"
        _mend(child, *_style_within(element, at, is_display, is_script))
        if is_style and element.tag not in _ARITY:
            # What it applies to stands among its neighbours.
            for grandchild in child:
                grandchild.attrib = {**child.attrib, **grandchild.attrib}
            children += child
        elif not (child.tag == "mtext" and not child.text and not len(child)):
            children.append(child)
    element[:] = _composed(children)
    if element.tag not in _ARITY and element.tag != "mstyle":
        element[:] = _spaced(list(element), is_script)
    if element.tag in ("mi", "mo", "mn", "mtext"):
        _mend_text(element)
        if element.tag != "mtext" and not len(element):
            _mend_atom(element, is_script)
    if element.tag in ("mi", "mo", "mn") and len(element):
        # \mathop round a formula.
        element.attrib.setdefault("class", "limits" if element.tag == "mo" else "ord")
        element.tag = ROW_TAG
    elif element.tag in ("mrow", "mstyle", "mtd"):
        element.tag = ROW_TAG
        if len(element) and element[0].get("form") == "prefix" and element[0].get("fence") == "true":
            element.attrib.setdefault("class", "inner")
        if not len(element):
            # Without anything, ziamath has it reach from far above to far below.
            element.append(Element("mspace", width="0"))
    elif element.tag == "mtable":
        _mend_table(element, is_script)
    elif element.tag in ("msqrt", "menclose"):
        row = Element(ROW_TAG)
        row.extend(element)
        element[:] = [row]
        if element.get("notation") == "box":
            element.tag = BOX_TAG
            row.set("displaystyle", "true")
    elif element.tag == "mover" and element.get("accent") == "true" and element[-1].text == "\u0302":
        element[-1].text = "ˆ"
    elif (
        element.tag in ("mover", "munderover")
        and element[-1].tag == "mpadded"
        and element[-1].get("lspace") == "0.556em"
    ):
        # As latex2mathml has \xrightarrow, with room in its labels.
        element.tag = ARROW_TAG
        for label in element[1:]:
            label.tag, label.attrib = ROW_TAG, {"displaystyle": "false"}
            label[:] = label[:-1]
        element.set("class", "rel")
        element[0] = element[0][0]
    if len(element) != _ARITY.get(element.tag, len(element)):
        raise UnsettableError("a command lacks an argument, or has one that is not a group")
    if element.tag in _SCRIPTED:
        name = element[0].get("class")
        if name == "limits" and is_display:
            element.tag = _LIMITS.get(element.tag, element.tag)
        elif name == "nolimits":
            element.tag = _BESIDE.get(element.tag, element.tag)
    if element.tag in _ARITY and element.tag != "mroot":
        # What stands over, under or beside something is no display.
        for child in element if element.tag == "mfrac" else element[1:]:
            child.attrib.setdefault("displaystyle", "false")


def _style_within(element: Element, at: int, is_display: bool, is_script: bool) -> tuple[bool, bool]:
    """Return whether a child is in display style, and whether it is in script style."""
    if (element.tag in _SCRIPTED or element.tag == "mroot") and at:
        return False, True
    if element.tag == "mfrac":
        return False, is_script or not is_display
    if element.tag == "mtable":
        return element.get("displaystyle") == "true", is_script
    return is_display or element.get("notation") == "box", is_script


def _composed(children: list[Element]) -> list[Element]:
    r"""With each \not and the sign after it as one."""
    kept: list[Element] = []
    for child in children:
        if kept and kept[-1].tag == "mpadded" and len(kept[-1]) == 1 and kept[-1][0].text == "⧸":
            sign = unicodedata.normalize("NFC", f"{child.text}\u0338")
            if len(sign) == 1:
                child.text = sign
                kept[-1] = child
                continue
            # As TeX has it, whatever follows.
            kept[-1][0].text = "/"
            kept[-1].set("lspace", "0.14em")
        kept.append(child)
    return kept


def _spaced(row: list[Element], is_script: bool) -> list[Element]:
    """Return a row with the spaces that TeX has between atoms of different classes."""
    atoms = [child for child in row if child.tag != "mspace" or child.get("class") or child.get("mathbackground")]
    names = [_class_of(atom) for atom in atoms]
    for atom, following in zip(atoms, names[1:], strict=False):
        if atom.get("class") == "dots" and following in ("bin", "rel"):
            for dot in atom.iter():
                dot.text = {".": "⋅", "…": "⋯"}.get(dot.text or "", dot.text)
    for at, name in enumerate(names):
        before = names[at - 1] if at else "open"
        if name == "bin" and before in _NO_LEFT:
            names[at] = "ord"
        elif before == "bin" and name in _NO_RIGHT:
            names[at - 1] = "ord"
    if names and names[-1] == "bin":
        names[-1] = "ord"
    gaps = {id(atom): (left, right) for atom, (left, right) in zip(atoms[1:], pairwise(names), strict=True)}
    spaced: list[Element] = []
    for child in row:
        left, right = gaps.get(id(child), ("open", "ord"))
        gap = int(_GAPS[left][_ORDER.index(right)])
        # In scripts, only the spaces of functions stay.
        if gap and (not is_script or (gap == 1 and "op" in (left, right) and "punct" != left != right != "inner")):
            spaced.append(Element("mspace", width=_WIDTHS[gap]))
        spaced.append(child)
    for at, child in enumerate(row):
        if child.tag == "mfrac" and child.get("linethickness") == "0":
            # The brackets of \choose are as high as it is, not as in a display.
            for fence in (*row[max(0, at - 1) : at], *row[at + 1 : at + 2]):
                if fence.tag == "mo" and fence.get("minsize") and fence.get("maxsize"):
                    del fence.attrib["minsize"], fence.attrib["maxsize"]
                    fence.set("stretchy", "true")
    return spaced


def _class_of(atom: Element) -> str:
    while atom.tag in _SCRIPTED and not atom.get("class"):
        is_stacked = atom.tag in _BESIDE
        atom = atom[0]
        if is_stacked and atom.tag == ROW_TAG and len(atom) == 1 and not atom.get("class"):
            # \overset and \underset look into a group.
            atom = atom[0]
    name = atom.get("class", "ord")
    return {"limits": "op", "nolimits": "op", "dots": "inner"}.get(name, name if name in _GAPS else "ord")


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


def _mend_atom(element: Element, is_script: bool) -> None:
    """Give a character or a name its class; the spaces that ziamath would put round it go."""
    text = element.text or ""
    text = _SIGNS.get(text, text)
    fence = element.get("form") if element.get("fence") == "true" else None
    name = {"prefix": "open", "postfix": "close"}.get(fence or "") or _classes().get(text, "ord")
    if not text and element.tag == "mi":
        # An empty group.
        element.tag = "mspace"
    elif len(text) > 1 and text.replace("\u2009", "").isalpha():
        has_limits = text in _LIMIT_NAMES or element.get("movablelimits") == "true"
        name = "bin" if text == "mod" else "limits" if has_limits and element.tag == "mo" else "op"
        element.tag = "mtext"
    elif text in _SLANTED and "mathvariant" not in element.attrib:
        element.tag, text = "mi", _SLANTED[text]
    elif text == "√":
        # The glyph hangs from the baseline, but for a root.
        element.append(Element("mspace", height="0.65em", depth="0.2em"))
        element.tag, text = "msqrt", ""
    elif text in _DOTS:
        name = "inner"
        if not is_script:
            dot = _DOTS[text]
            for part in (dot, "", dot, "", dot):
                child = Element("mo" if part else "mspace", _STILL if part else {"width": "thinmathspace"})
                child.text = part
                element.append(child)
            element.tag, text = ROW_TAG, ""
    elif element.tag == "mo" or name != "ord":
        element.tag = "mo"
        text = _ACCENTS.get((text, element.get("stretchy")), text)
        if name == "op" and text not in _INTEGRALS:
            name = "limits"
        is_large = name in ("op", "limits") and element.get("largeop") != "false"
        # Delimiters of TeX stretch only after \left.
        element.attrib = {"stretchy": "false", **_STILL, **element.attrib, "largeop": str(is_large).lower()}
    element.text = text
    element.attrib.setdefault("class", name)


def _mend_table(table: Element, is_script: bool) -> None:
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
    if not is_script:
        # Lines as far from one another as TeX's, those of displays a little further.
        table.set("rowspacing", "0.3em" if table.get("displaystyle") == "true" else "0")
        for row in table:
            row[0].insert(0, Element("mspace", height="0.84em", depth="0.36em"))


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
