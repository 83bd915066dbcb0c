r"""LaTeX and plain TeX as prompts have it, rewritten to what latex2mathml reads.

latex2mathml reads \matrix{..}, \over, \choose, \root, \rm and \cal by itself; it does not balance the braces of \text,
takes what follows \pmatrix{..} into it, draws what it does not know, and loses what it cannot place.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["PERCENT", "UnsettableError", "rewrite"]

PERCENT = "\uf025"  # in a text, where latex2mathml takes the sign itself for a comment


class UnsettableError(ValueError):
    """The engine cannot set it; the message names what."""


# Words that say nothing in a formula of its own.
_DROPPED = frozenset(
    r"""\allowbreak \displaylimits \hfil \hfill \hss \ignorespaces \leavevmode \noindent \nolinebreak \nonumber \notag
    \null \protect \relax \unboldmath \unskip \vfill \/ \- \centering \nobreak \ensuremath""".split()  # noqa: SIM905
) | {"\\"}
# The same, with their argument.
_DROPPED_WITH_ARGUMENT = frozenset({r"\label", r"\vspace", r"\vskip", r"\eqno", r"\leqno", r"\hypertarget"})
_SAME = {
    r"\bra": r"\bra ",
    r"\cfrac": r"\dfrac",
    r"\dag": r"\dagger ",
    r"\ddag": r"\ddagger ",
    r"\em": r"\it ",
    r"\hdots": r"\dots ",
    r"\lbrack": "[",
    r"\mathds": r"\mathbb ",
    r"\mathbbm": r"\mathbb ",
    r"\medspace": r"\:",
    r"\operatornamewithlimits": r"\operatorname*",
    r"\overleftharpoon": r"\overleftarrow ",
    r"\rbrack": "]",
    r"\sb": "_",
    r"\sc": r"\rm ",
    r"\sl": r"\it ",
    r"\slash": "/",
    r"\sp": "^",
    r"\textasciitilde": r"\sim ",
    r"\thinspace": r"\,",
    r"\vline": "|",
}
# Plain TeX's, which latex2mathml lets run on to the end of the group.
_PLAIN_MATRICES = frozenset({r"\matrix", r"\pmatrix", r"\cases", r"\eqalign", r"\eqalignno", r"\displaylines"})
_BINOMIALS = {r"\binom": "", r"\dbinom": "0", r"\tbinom": "1"}
_WITH_BRACES = {r"\pmod": 1, r"\pod": 1, r"\mod": 1, r"\substack": 1}
_ARROWS = {r"\xrightarrow": r"\longrightarrow", r"\xleftarrow": r"\longleftarrow"}
# What is bold up to the end of a group or cell.
_BOLD = {r"\boldmath": r"\boldsymbol", r"\bf": r"\mathbf"}
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
    for name in "array cases matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix split align align*".split()  # noqa: SIM905
}
for _letter, _left, _right in zip("pbBvV", r"( [ \{ | \|".split(), r") ] \} | \|".split(), strict=True):  # noqa: SIM905
    _ENVIRONMENTS[f"{_letter}smallmatrix"] = (
        rf"\left{_left}\begin{{smallmatrix}}",
        rf"\end{{smallmatrix}}\right{_right}",
    )
_WITH_ARGUMENT = frozenset({"alignedat", "array", "subarray"})

_WORD = re.compile(r"\\(?:[A-Za-z]+|.|$)", re.DOTALL)
_NAME = re.compile(r"\s*\{([A-Za-z]+\*?)\}")
_OPTION = re.compile(r"\s*\[[^\]]*\]")
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
_SYMBOLS |= {r"\ldots": "…", r"\dots": "…", r"\S": "§", r"\textdegree": "°", r"\textendash": "–", r"\textemdash": "—"}
_SYMBOLS |= {r"\displaystyle": "", r"\textstyle": "", r"\small": "", r"\scriptsize": "", r"\footnotesize": ""}


class _Argument(NamedTuple):
    text: str  # without its braces
    end: int


def _argument(tex: str, start: int) -> _Argument:
    """What a command takes from here: a group, a control word or a character."""
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
    """A box of text as pieces of text and formulas."""
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
            pieces.append(f"{{{rewrite(content[position:end])}}}")
            position = end + len(ending)
        elif token in _TEXTS:
            close()
            inner, position = _argument(content, position)
            pieces.append(_text(inner, _TEXTS[token]))
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


def _fraction(left: str, right: str, thickness: str, style: str, over: str, under: str) -> str:
    r"""\genfrac, of which latex2mathml reads another form."""
    if thickness and float(_length(thickness, 0).text[:-2]):
        raise UnsettableError(rf"\genfrac with a line of {thickness} needs pdfTeX")
    fraction = rf"{{{over}}}\atop{{{under}}}" if thickness else rf"\frac{{{over}}}{{{under}}}"
    styles = {"0": r"\displaystyle ", "1": r"\textstyle ", "2": r"\scriptstyle ", "3": r"\scriptscriptstyle "}
    return rf"{{{styles.get(style, '')}\left{left or '.'}{{{fraction}}}\right{right or '.'}}}"


def _columns(spec: str) -> str:
    """An array's columns, which latex2mathml reads if they are l, c or r."""
    spec = re.sub(r"[@!>]\s*\{[^{}]*\}|\s", "", spec)
    spec = re.sub(r"\*\{(\d\d?)\}\{([lcr]+)\}", lambda m: m[2] * int(m[1]), spec)
    if not re.fullmatch("[lcr]+", spec):
        raise UnsettableError(f"an array with the columns {spec!r} needs pdfTeX")
    return spec


def rewrite(tex: str) -> str:
    """A formula as latex2mathml reads it.

    Raises:
        UnsettableError: It has something that would be drawn wrongly, or not at all.
    """
    out: list[str] = []
    position = 0
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
            if word == r"\begin":
                option = _OPTION.match(tex, position) if name[1] in _WITH_ARGUMENT else None
                position = option.end() if option else position
                if name[1] in _WITH_ARGUMENT:
                    spec, position = _argument(tex, position)
                    begin += f"{{{_columns(spec)}}}" if name[1] == "array" else ""
            # In braces, so that a script or a fraction has it as one.
            out.append(f"{{{begin}" if word == r"\begin" else f"{end}}}")
        elif word in _PLAIN_MATRICES:
            inner, position = _argument(tex, position)
            out.append(f"{{{word}{{{rewrite(inner)}}}}}")
        elif word in _WITH_BRACES:
            out.append(f"{{{word}")
            for _ in range(_WITH_BRACES[word]):
                inner, position = _argument(tex, position)
                out.append(f"{{{rewrite(inner)}}}")
            out.append("}")
        elif word in _BOLD:
            return "".join(out) + _boldened(tex, position, _BOLD[word])
        elif word in _ARROWS:
            option = re.compile(r"\s*\[([^\[\]]*)\]").match(tex, position)
            over, position = _argument(tex, option.end() if option else position)
            arrow = rf"\overset{{{rewrite(over)}}}{{{_ARROWS[word]}}}"
            out.append(rf"{{\underset{{{rewrite(option[1])}}}{{{arrow}}}}}" if option else f"{{{arrow}}}")
        elif word == r"\operatorname":
            star = tex.startswith("*", position)
            inner, position = _argument(tex, position + star)
            out.append(
                rf"\operatorname{'*' * star}{{{inner}}}"
                if _SIMPLE.fullmatch(inner)
                else rf"\mathop{{\rm {rewrite(inner)}}}"
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
            out.append(rf"\qquad {_text(inner if star else f'({inner})', 'text')}")
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
        else:
            out.append(_SAME.get(word, word))
    out.append(tex[position:])
    return "".join(out)


def _boldened(tex: str, start: int, font: str) -> str:
    """What follows, bold up to the end of its group or cell."""
    depth = 0
    for found in re.compile(r"\\(?:[A-Za-z]+|.)|[{}&]", re.DOTALL).finditer(tex, start):
        depth += {"{": 1, "}": -1, r"\begin": 1, r"\end": -1, r"\left": 1, r"\right": -1}.get(found[0], 0)
        if depth < 0 or (depth == 0 and found[0] in ("&", r"\cr", "\\\\", r"\rm", r"\it", r"\cal")):
            return f"{font}{{{rewrite(tex[start : found.start()])}}}{rewrite(tex[found.start() :])}"
    return f"{font}{{{rewrite(tex[start:])}}}"
