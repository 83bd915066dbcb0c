r"""LaTeX and plain TeX as prompts have it, rewritten to what latex2mathml reads.

latex2mathml reads \matrix{..}, \over, \choose, \root, \rm and \cal by itself; it does not balance the braces of \text,
takes what follows \pmatrix{..} into it, draws what it does not know, and loses what it cannot place.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from gpurender.typeset.latex.box import UnsettableError
from gpurender.typeset.latex.macros import expand
from gpurender.typeset.latex.quantities import QUANTITIES, write_quantity, write_reaction
from gpurender.typeset.latex.words import WORDS

__all__ = ["PERCENT", "rewrite", "translate"]

PERCENT = "\uf025"  # in a text, where latex2mathml takes the sign itself for a comment


# Words that say nothing in a formula that stands by itself.
_DROPPED = frozenset(
    r"""\allowbreak \displaylimits \hfil \hfill \hss \ignorespaces \leavevmode \noindent \nolinebreak \nonumber \notag
    \null \protect \relax \unboldmath \unskip \vfill \/ \- \centering \nobreak \ensuremath""".split()  # noqa: SIM905
) | {"\\"}
# The same, with their argument.
_DROPPED_WITH_ARGUMENT = frozenset({r"\label", r"\vspace", r"\vskip", r"\eqno", r"\leqno", r"\hypertarget"})
# Plain TeX's, which latex2mathml lets run on to the end of the group.
_PLAIN_MATRICES = {
    word: (f"{word}{{", "}")
    for word in (r"\matrix", r"\cases", r"\eqalign", r"\eqalignno", r"\displaylines", r"\substack")
}
_PLAIN_MATRICES[r"\pmatrix"] = (r"\left(\matrix{", r"}\right)")
_BINOMIALS = {r"\binom": "", r"\dbinom": "0", r"\tbinom": "1"}
# What takes a mark and is one character with it.
_MARKS = {r"\acute": "\u0301", r"\grave": "\u0300", r"\hat": "\u0302", r"\tilde": "\u0303", r"\bar": "\u0304"}
_MARKS |= {r"\breve": "\u0306", r"\dot": "\u0307", r"\ddot": "\u0308", r"\mathring": "\u030a", r"\check": "\u030c"}
_NO_ACCENTS = {r"\c": "\u0327", r"\H": "\u030b"}
_MARKS |= _NO_ACCENTS
# What is bold up to the end of a group or cell.
_BOLD = {r"\boldmath": r"\boldsymbol", r"\bf": r"\mathbf"}
# What else reaches to the end of a group or cell.
_STYLES = frozenset(
    r"""\displaystyle \textstyle \scriptstyle \scriptscriptstyle \tiny \scriptsize \footnotesize \small \normalsize
    \large \Large \LARGE \huge \Huge""".split()  # noqa: SIM905
)
# Boxes of text, and the word that latex2mathml has for their font.
_UNSETTABLE = frozenset(
    {r"\hline", r"\cline", r"\hdashline", r"\multicolumn", r"\vcenter", r"\colorbox", r"\fcolorbox", r"\verb"}
)
_TEXTS = dict.fromkeys((r"\text", r"\mbox", r"\hbox", r"\textrm", r"\textup", r"\textnormal", r"\textmd"), r"\text")
_TEXTS |= {r"\textsc": r"\text", r"\textsl": r"\textit", r"\textbf": r"\textbf", r"\textit": r"\textit"}
_TEXTS |= {r"\textsf": r"\textsf", r"\texttt": r"\texttt"}
_TEXTS[r"\emph"] = r"\textit"
_FONT_WORDS = {r"\rm": r"\text", r"\bf": r"\textbf", r"\it": r"\textit", r"\em": r"\textit", r"\sf": r"\textsf"}
_FONT_WORDS |= {r"\tt": r"\texttt", r"\sl": r"\textit", r"\sc": r"\text", r"\normalfont": r"\text"}
_LENGTHS = frozenset({r"\hspace", r"\hskip", r"\kern", r"\mkern", r"\mskip", r"\mspace"})
_SHIFTS = frozenset({r"\raise", r"\lower", r"\moveleft", r"\moveright"})
_LENGTH = re.compile(
    r"\s*\{?\s*([+-]?)\s*(\d*)[.,]?(\d*)\s*(pt|mm|cm|ex|em|bp|dd|pc|in|mu|px|cc|sp)"
    r"(?:\s*(?:plus|minus)\s*[\d.]*\s*(?:fil+|[a-z]{2}))*\s*\}?"
)

# Begin and end of what stands for an environment.
_ENVIRONMENTS = {
    "aligned": (r"\begin{align*}", r"\end{align*}"),
    # TeX's \\arraycolsep on both sides.
    "array": (r"\hspace{0.5em}\begin{array}", r"\end{array}\hspace{0.5em}"),
    "alignedat": (r"\begin{align*}", r"\end{align*}"),
    "dcases": (r"\left\{\begin{array}{ll}", r"\end{array}\right."),
    "drcases": (r"\left.\begin{array}{ll}", r"\end{array}\right\}"),
    "gathered": (r"\displaylines{", "}"),
    "gpreqnarray": (r"\begin{array}{rcl}", r"\end{array}"),
    "math": ("", ""),
    "multlined": (r"\displaylines{", "}"),
    "rcases": (r"\left.\begin{array}{ll}", r"\end{array}\right\}"),
    "subarray": (r"\substack{", "}"),
}
_ENVIRONMENTS |= {
    name: (rf"\begin{{{name}}}", rf"\end{{{name}}}")
    for name in "cases matrix smallmatrix split align align*".split()  # noqa: SIM905
}
_ENVIRONMENTS |= {
    letter + name: (rf"\left{left}\begin{{{name}}}", rf"\end{{{name}}}\right{right}")
    for name in ("matrix", "smallmatrix")
    for letter, left, right in zip("pbBvV", r"( [ \{ | \|".split(), r") ] \} | \|".split(), strict=True)  # noqa: SIM905
}
# Environments between delimiters that grow with them.
_DELIMITED = frozenset(name for name, (begin, _) in _ENVIRONMENTS.items() if begin.startswith(r"\left")) | {"cases"}
_WITH_ARGUMENT = frozenset({"alignedat", "array", "subarray"})

_WORD = re.compile(r"\\(?:[A-Za-z]+|.|$)", re.DOTALL)
_NAME = re.compile(r"\s*\{([A-Za-z]+\*?)\}")
_OPTION = re.compile(r"\s*\[[^\]]*\]")
_LAST_WORD = re.compile(r"\\[A-Za-z]+\s*$")
_SIMPLE = re.compile(r"[A-Za-z ]+")
_TEXT = re.compile(r"\$\$?|``|''|\\\(|\\[A-Za-z]+|\\.|[{}`'~]|-+|[^\\${}`'~-]+", re.DOTALL)
# In a text: what a control symbol stands for. Spaces do not break, as latex2mathml takes others out of "3 cm".
_SYMBOLS = {"~": "\xa0", "`": "‘", "``": "“", "''": "”", "'": "’", "-": "‐", "--": "–", "---": "—"}
_SYMBOLS |= (
    {rf"\{sign}": sign for sign in "$&_#"}
    | {r"\%": PERCENT}
    | dict.fromkeys((r"\ ", r"\,", r"\;", r"\:", r"\\"), "\xa0")
)
_SYMBOLS |= {r"\!": "", r"\/": "", r"\-": "", r"\quad": "\xa0\xa0", r"\qquad": "\xa0\xa0\xa0\xa0"}
_SYMBOLS |= {r"\ldots": "…", r"\dots": "…", r"\{": "{", r"\}": "}"}
_SYMBOLS |= {r"\displaystyle": "", r"\textstyle": "", r"\small": "", r"\scriptsize": "", r"\footnotesize": ""}


class _Argument(NamedTuple):
    text: str  # without its braces
    end: int


def _argument(tex: str, start: int) -> _Argument:
    """Return what a command takes from here: a group, a control word or a character."""
    while start < len(tex) and tex[start] == " ":
        start += 1
    if start == len(tex):
        raise UnsettableError("a command at the end lacks its argument")
    if tex[start] == "\\":
        word = _WORD.match(tex, start)
        assert word is not None
        return _Argument(word[0], word.end())
    if tex[start] != "{":
        return _Argument(tex[start], start + 1)
    depth = 0
    for found in re.compile(r"\\.|[{}]", re.DOTALL).finditer(tex, start):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return _Argument(tex[start + 1 : found.start()], found.end())
    raise UnsettableError("an opening brace is never closed")


def _length(tex: str, start: int) -> _Argument:
    found = _LENGTH.match(tex, start)
    if found is None or not (found[2] or found[3]):
        raise UnsettableError(f"no length of the usual form where one is needed: {tex[start : start + 20]!r}")
    sign, whole, part, unit = found.groups()
    return _Argument(f"{'-' * (sign == '-')}{whole or 0}.{part or 0}{unit}", found.end())


def _text(content: str, font: str) -> str:
    """Return a box of text as pieces of text and formulas."""
    pieces: list[str] = []
    letters = ""

    def close() -> None:
        nonlocal letters
        if letters:
            pieces.append(f"{font}{{{letters}}}")
        letters = ""

    position = 0
    while position < len(content):
        found = _TEXT.match(content, position)
        assert found is not None
        token, position = found[0], found.end()
        if token in ("$", "$$", r"\("):
            ending = r"\)" if token == r"\(" else token
            end = content.find(ending, position)
            if end < 0:
                raise UnsettableError(f"{token} in a text is never closed")
            close()
            pieces.append(rf"\class{{text}}{{{rewrite(content[position:end])}}}")
            position = end + len(ending)
        elif token in _TEXTS:
            close()
            inner, position = _argument(content, position)
            pieces.append(_text(inner, _TEXTS[token]))
        elif token in _MARKS:
            inner, position = _argument(content, position)
            letters += _marked(token, inner)
        elif token == r"\textcircled":
            inner, position = _argument(content, position)
            letters += _circled(inner)
        elif token in _FONT_WORDS:
            close()
            font = _FONT_WORDS[token]
            position += content.startswith(" ", position)
        elif token in _LENGTHS:
            close()
            length, position = _length(content, position + content.startswith("*", position))
            pieces.append(rf"\hspace{{{length}}}")
        elif token == r"\boldmath":
            close()
            pieces.append(rf"\boldsymbol{{{_text(content[position:], font)}}}")
            position = len(content)
        elif token == "{":
            inner, position = _argument(content, found.start())
            close()
            pieces.append(_text(inner, font))
        elif token in _SYMBOLS:
            letters += _SYMBOLS[token]
        elif token[0] == "\\":
            raise UnsettableError(f"{token} in a text cannot be set")
        else:
            letters += token.replace(" ", "\xa0").replace("}", "").replace("%", PERCENT)
    close()
    return pieces[0] if len(pieces) == 1 else f"{{{''.join(pieces)}}}"


def _marked(mark: str, letter: str) -> str:
    letter = unicodedata.normalize("NFC", {"ı": "i", "ȷ": "j"}.get(letter, letter) + _MARKS[mark])
    if len(letter) != 1:
        raise UnsettableError(f"{mark} over {letter[:-1]!r} needs pdfTeX")
    return letter


def _circled(inner: str) -> str:
    if inner.isascii() and inner.isdigit() and 0 < int(inner) <= 20:
        return chr(ord("①") + int(inner) - 1)
    if len(inner) == 1 and inner.isascii() and inner.isalpha():
        return chr(ord("Ⓐ") + ord(inner) - ord("A") - 6 * inner.islower())
    raise UnsettableError(rf"\textcircled round {inner!r} needs pdfTeX")


def _fraction(left: str, right: str, thickness: str, style: str, over: str, under: str) -> str:
    r"""\genfrac, of which latex2mathml reads another form."""
    if thickness and float(_length(thickness, 0).text[:-2]):
        raise UnsettableError(rf"\genfrac with a line of {thickness} needs pdfTeX")
    fraction = rf"{{{over}}}\atop{{{under}}}" if thickness else rf"\frac{{{over}}}{{{under}}}"
    styles = {"0": r"\displaystyle ", "1": r"\textstyle ", "2": r"\scriptstyle ", "3": r"\scriptscriptstyle "}
    return rf"{{{styles.get(style, '')}\left{left or '.'}{{{fraction}}}\right{right or '.'}}}"


def _last_cell(tex: str) -> str:
    """Return an empty group where a matrix ends in an empty cell, since latex2mathml leaves out that row."""
    return "{}" if re.search(r"(?<!\\)&\s*$", tex) else ""


def _columns(spec: str) -> str:
    """Return an array's columns, which latex2mathml reads if they are l, c or r."""
    spec = re.sub(r"[@!>]\s*\{[^{}]*\}|\s", "", spec)
    spec = re.sub(r"\*\{(\d\d?)\}\{([lcr]+)\}", lambda m: m[2] * int(m[1]), spec)
    if not re.fullmatch("[lcr]+", spec):
        raise UnsettableError(f"an array with the columns {spec!r} needs pdfTeX")
    return spec


def translate(tex: str) -> str:
    """Return a formula as latex2mathml reads it.

    Raises:
        UnsettableError: It has something that would be drawn wrongly, or not at all.
        MacroError: Its words mean too much.
    """
    return rewrite(expand(tex, WORDS))


def rewrite(tex: str, in_cells: bool = False) -> str:
    """Return a formula, or a part of one, without the words that latex2mathml reads otherwise.

    Args:
        tex: Without the words of `WORDS`.
        in_cells: It is the inside of a matrix, whose cells end what holds to the end of a group.

    Raises:
        UnsettableError: It has something that would be drawn wrongly, or not at all.
    """
    out: list[str] = []
    position = 0
    depth = int(in_cells)
    while found := _WORD.search(tex, position):
        out.append(tex[position : found.start()])
        word, position = found[0], found.end()
        if word in _TEXTS:
            inner, position = _argument(tex, position)
            out.append(_text(inner, _TEXTS[word]))
        elif word in (r"\begin", r"\end"):
            name = _NAME.match(tex, position)
            if name is None or name[1] not in _ENVIRONMENTS:
                raise UnsettableError(f"the environment {name[1] if name else ''!r} is not for formulas")
            position = name.end()
            begin, end = _ENVIRONMENTS[name[1]]
            depth += 1 if word == r"\begin" else -1
            if word == r"\begin":
                option = _OPTION.match(tex, position) if name[1] in _WITH_ARGUMENT else None
                position = option.end() if option else position
                if name[1] in _WITH_ARGUMENT:
                    spec, position = _argument(tex, position)
                    begin += f"{{{_columns(spec)}}}" if name[1] == "array" else ""
            # In braces, so that a script or a fraction has it as one.
            atom = r"\class{inner}" if name[1] in _DELIMITED else ""
            if word == r"\end":
                out.append(_last_cell(tex[: found.start()]))
            out.append(f"{atom}{{{begin}" if word == r"\begin" else f"{end}}}")
        elif word in _PLAIN_MATRICES:
            inner, position = _argument(tex, position)
            begin, end = _PLAIN_MATRICES[word]
            atom = r"\class{inner}" if word in (r"\pmatrix", r"\cases") else ""
            out.append(f"{atom}{{{begin}{rewrite(inner, True)}{_last_cell(inner)}{end}}}")
        elif word in _BOLD:
            return "".join(out) + _scoped(tex, position, f"{_BOLD[word]}{{", depth > 0)
        elif word in _STYLES and depth > 0:
            return "".join(out) + _scoped(tex, position, f"{{{word} ", True)
        elif word == r"\operatorname":
            star = tex.startswith("*", position)
            inner, position = _argument(tex, position + star)
            out.append(
                rf"\operatorname{'*' * star}{{{inner.replace(' ', '')}}}"
                if _SIMPLE.fullmatch(inner)
                else (r"\mathop" if star else r"\class{op}") + rf"{{\rm {rewrite(inner)}}}"
            )
        elif word in _LENGTHS:
            length, position = _length(tex, position + tex.startswith("*", position))
            out.append(rf"\hspace{{{length}}}")
        elif word in _SHIFTS:
            length, position = _length(tex, position)
            out.append(f"{word}{{{length}}}")
        elif word == r"\rule":
            width, position = _length(tex, position)
            height, position = _length(tex, position)
            out.append(rf"\rule{{{width}}}{{{height}}}")
        elif word == r"\tag":
            star = tex.startswith("*", position)
            inner, position = _argument(tex, position + star)
            out.append(r"\qquad " + _text(inner if star else f"({inner})", r"\text"))
        elif word == "\\\\":
            option = _OPTION.match(tex, position + tex.startswith("*", position))
            position = option.end() if option else position
            out.append(word)
        elif word == r"\dots":
            # As high as what follows.
            out.append(r"\class{dots}{\ldots}")
        elif word == r"\nolimits":
            sign = _LAST_WORD.search("".join(out))
            if sign is None:
                raise UnsettableError(r"\nolimits behind no sign needs pdfTeX")
            out = ["".join(out)[: sign.start()], rf"\class{{nolimits}}{sign[0]}"]
        elif word == r"\braket":
            left, position = _argument(tex, position)
            right, position = _argument(tex, position) if tex.startswith("{", position) else _Argument("", position)
            out.append(rf"\langle{{{rewrite(left)}}}{'|' * bool(right)}{{{rewrite(right)}}}\rangle ")
        elif word == r"\ce":
            inner, position = _argument(tex, position)
            out.append(f"{{{rewrite(write_reaction(inner))}}}")
        elif word in QUANTITIES:
            arguments = []
            for _ in QUANTITIES[word]:
                inner, position = _argument(tex, position)
                arguments.append(inner)
            out.append(write_quantity(QUANTITIES[word], arguments))
        elif word == r"\textcircled":
            inner, position = _argument(tex, position)
            out.append(_circled(inner))
        elif word in _NO_ACCENTS:
            inner, position = _argument(tex, position)
            out.append(_marked(word, inner))
        elif word in _DROPPED:
            pass
        elif word in _DROPPED_WITH_ARGUMENT:
            _, position = _argument(tex, position + tex.startswith("*", position))
        elif word in _BINOMIALS:
            over, position = _argument(tex, position)
            under, position = _argument(tex, position)
            out.append(_fraction("(", ")", "0pt", _BINOMIALS[word], rewrite(over), rewrite(under)))
        elif word == r"\genfrac":
            parts = []
            for _ in range(6):
                inner, position = _argument(tex, position)
                parts.append(rewrite(inner).strip())
            out.append(_fraction(*parts))
        elif word in _UNSETTABLE:
            raise UnsettableError(f"{word} needs pdfTeX")
        elif word == "\\ ":
            out.append("~")
        else:
            out.append(word)
    out.append(tex[position:])
    return "".join(out)


def _scoped(tex: str, start: int, begin: str, in_cells: bool) -> str:
    """Return the rest of a formula, with what reaches to the end of its group or cell as a group of its kind."""
    depth = 0
    for found in re.compile(r"\\(?:[A-Za-z]+|.)|[{}&]", re.DOTALL).finditer(tex, start):
        depth += {"{": 1, "}": -1, r"\begin": 1, r"\end": -1, r"\left": 1, r"\right": -1}.get(found[0], 0)
        is_end = found[0] in ("&", r"\cr", "\\\\") or (found[0] in (r"\rm", r"\it", r"\cal") and begin[0] == "\\")
        if depth < 0 or (depth == 0 and is_end):
            return f"{begin}{rewrite(tex[start : found.start()])}}}{rewrite(tex[found.start() :], in_cells)}"
    return f"{begin}{rewrite(tex[start:])}}}"
