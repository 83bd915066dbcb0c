r"""What an engine is given: a formula or table without its delimiters, on one line, checked against the limits.

Prompts are not TeX files: `%` and `#` in maths are signs; HTML entities are the characters that they name; environments
that number or break pages become those that can stand within a formula. In a table `%` after a digit is a sign,
elsewhere it begins a comment. Definitions are taken out, and macros expanded, before anything is checked.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from gpurender.typeset.dollars import ENTITY
from gpurender.typeset.latex.cells import split_cells, without
from gpurender.typeset.latex.limits import DENIED, ENVIRONMENTS, LONGEST
from gpurender.typeset.latex.macros import Macro, MacroError, collect, expand
from gpurender.typeset.latex.physical import write_quantities
from gpurender.typeset.latex.tables import quote_verbatim, rewrite_table
from gpurender.typeset.maths import ENVIRONMENTS as MATHS_AND_TABLES
from gpurender.typeset.maths import TABLES, Formula, Kind, find_formulas

__all__ = ["RefusedError", "Source", "Style", "prepare"]

Style = Literal["inline", "display", "table", "document"]


class Source(NamedTuple):
    """What an engine sets."""

    tex: str  # one line, braces and environments closed; a document as it is
    style: Style
    width: int = 0  # px: where lines may be broken; 0 for no breaks. A table's `\textwidth` whatever it is


class RefusedError(ValueError):
    """A source may not be set; `kind` is as in `Failure`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# Environments that stand within a formula, for those that are one.
_WITHIN = {
    "align": "aligned",
    "alignat": "alignedat",
    "eqnarray": "gpreqnarray",
    "flalign": "aligned",
    "gather": "gathered",
    "multline": "gathered",
    "split": "aligned",
}
# Environments that say no more than "a formula".
_PLAIN = {"displaymath", "equation", "math", "subequations"}

_ENVIRONMENT = re.compile(r"\\(begin|end) ?\{([A-Za-z]+)(\*?)\}")
_SIGN = re.compile(r"(\\.)|[%#]", re.DOTALL)
_COMMENT = re.compile(r"(\\.|[0-9][ ]?%)|%[^\n]*(?:\n[ \t]*|$)", re.DOTALL)
# Accents over a letter in another alphabet, as they were written before amsmath.
_ACCENT = re.compile(
    r"(\\(?:acute|bar|breve|check|ddot|dot|grave|hat|overline|tilde|underline|vec|widehat|widetilde)) *"
    r"(\\math(?:bb|bf|cal|frak|it|rm|scr|sf|tt) *(?:\{[^{}]*\}|[A-Za-z]))"
)
_DOLLARS = re.compile(r"\$(?:[^$\\]|\\.)+\$", re.DOTALL)
_MATHS = MATHS_AND_TABLES - TABLES - {"table"}
# What definitions set up for all of an item, and the form of its value.
_LENGTHS = "tabcolsep arraycolsep arrayrulewidth extrarowheight heavyrulewidth lightrulewidth cmidrulewidth".split()  # noqa: SIM905
_LENGTH = re.compile(r"\s*-?[0-9]*\.?[0-9]+\s*(?:pt|em|ex|cm|mm|in|bp|pc|sp)\s*")
_SETTINGS = {name: (rf"\setlength{{{{\{name}}}}}{{{{{{}}}}}}", _LENGTH) for name in _LENGTHS}
_SETTINGS["arraystretch"] = (r"\setarraystretch{{{}}}", re.compile(r"\s*[0-9]*\.?[0-9]+\s*"))
# Words that are rewritten or define, or are parts of one: they are looked for once.
_RARE = re.compile(
    r"\\(?=[Ddhlnoprsuv])(?:verb|lstinline|url|nolinkurl|path|href|pu|or|(?:re)?new|provide|Declare|def|let|setlength)"
)
# A primitive of TeX, but KaTeX's and Wikipedia's sign.
_OR = re.compile(r"\\or(?![A-Za-z])")
_LISTS = {"itemize", "enumerate", "tablenotes"}
_LAST = re.compile(r"(?<!\\)(?:\\\\)*\\$")
_BLANK = re.compile(r"\s+")
_WORD = re.compile(r"\\(?:(begin|end) *\{([^{}]*)\}|([A-Za-z]+))|(\\[^A-Za-z]|&)|([{}])|([\x00-\x1f\x7f\ud800-\udfff])")


def prepare(text: str, kind: Kind, macros: Mapping[str, Macro] = MappingProxyType({})) -> Source:
    """A formula as a scanner found it, delimiters and all, as engines take it.

    Args:
        text: From the first character of the delimiter, or of the environment or command, to the last.
        kind: As the scanner says.
        macros: Those that hold here; the text's definitions, as far as it has any, come on top.

    Raises:
        RefusedError: It may not be set.
    """
    if len(text) > LONGEST:
        raise RefusedError("limit", f"longer than {LONGEST} characters")
    if kind == "document":
        return Source(text, "document")
    if kind == "bare":
        # A file of TeX's own, where % begins a comment; delimiters are no part of the formula.
        text = _strip_comments(text).strip()
        (start, stop, found), *more = find_formulas(text) or [Formula(0, 0, "other")]
        if found == "other" and _DOLLARS.fullmatch(text):
            # Somebody says that it is a formula, however it would read in a text.
            return prepare(text, "inline", macros)
        if found in ("inline", "display", "environment"):
            if more or (start, stop) != (0, len(text)):
                raise RefusedError("error", "there is text around its formulas: set it as a text")
            return prepare(text, found, macros)
    style: Style = "inline" if kind in ("inline", "command") else "display"
    if kind in ("inline", "display"):
        size = 2 if text.startswith(("$$", "\\")) else 1
        text = text[size:-size]
    is_rare = _RARE.search(text) is not None
    if is_rare:
        text = quote_verbatim(text)
    if kind == "environment" and not ((begin := _ENVIRONMENT.match(text)) and begin[2] in _MATHS):
        style, text = "table", _strip_comments(text)
    if "&" in text and ";" in text:
        text = ENTITY.sub(_character, ENTITY.sub(_character, text))
    try:
        if macros or is_rare:
            text, macros = _define(text, macros)
            text = _OR.sub(r"\\lor", write_quantities(text))
        if style == "table":
            text = rewrite_table(text, macros)
    except MacroError as error:
        raise RefusedError("limit", str(error)) from error
    if "%" in text or "#" in text:
        text = _SIGN.sub(lambda m: m[1] or "\\" + m[0], text)
    if style != "table":
        text = _ACCENT.sub(r"\1{\2}", text)
        if "\\begin" in text:
            text = _ENVIRONMENT.sub(_within, text)
    text = _BLANK.sub(" ", text).strip(" ")
    if _LAST.search(text):
        # A space that has a backslash before it is no blank.
        text += " "
    if style == "table":
        return Source(_check_table(text), style)
    has_lines, has_columns = check(text)
    if has_lines or has_columns:
        name = "aligned" if has_columns else "gathered"
        text = rf"\begin{{{name}}}{text}\end{{{name}}}"
    return Source(text, style)


def _character(entity: re.Match[str]) -> str:
    character = html.unescape(entity[0])
    # In a source a dollar would be a delimiter, and TeX's space that is no place for a line's end is a tilde.
    return {"$": r"\$", "\xa0": "~"}.get(character, character)


def _define(text: str, macros: Mapping[str, Macro]) -> tuple[str, Mapping[str, Macro]]:
    """Take the definitions out of a text, and expand it by them and those that were there before."""
    parts: list[str] = []
    at = 0
    for definition in collect(text):
        if definition.start >= at:
            parts.append(text[at : definition.start])
        at = definition.stop
        macros = {**macros, definition.name: definition.macro}
    if not macros:
        return text, macros
    text = expand("".join(parts) + text[at:], macros)
    for name, (setting, form) in _SETTINGS.items():
        if name in macros and form.fullmatch(macros[name].body):
            text = setting.format(macros[name].body.strip()) + text
    return text, macros


def _check_table(text: str) -> str:
    """Check a table; a cell that would be refused by itself becomes its source."""
    try:
        check(text)
    except RefusedError:
        bad = {k for k, (start, stop, _) in enumerate(split_cells(text)) if _is_refused(text[start:stop])}
        text = without(text, bad)
        check(text)
    return text


def _is_refused(text: str) -> bool:
    try:
        check(text)
    except RefusedError:
        return True
    return False


def _strip_comments(text: str) -> str:
    return _COMMENT.sub(lambda m: m[1] or "\n", text) if "%" in text else text


def _within(found: re.Match[str]) -> str:
    word, name, star = found.groups()
    if name in _PLAIN:
        return "{" if word == "begin" else "}"
    return f"\\{word}{{{_WITHIN.get(name, name + star)}}}"


def check(text: str) -> tuple[bool, bool]:
    r"""Refuse a source that has a denied word, or whose braces or environments do not close.

    Returns:
        Whether it has a line end, `\\`, and whether it has an `&`, outside of braces and environments.

    Raises:
        RefusedError: With the reason.
    """
    if "^^" in text:
        # It stands for any character, in names too.
        raise RefusedError("denied", "^^ is not allowed in a formula")
    open_: list[str] = []
    has_lines = has_columns = False
    for found in _WORD.finditer(text):
        word, name, command, symbol, brace, control = found.groups()
        if symbol:
            has_lines |= symbol == "\\\\" and not open_
            has_columns |= symbol == "&" and not open_
        elif command:
            if is_denied(command) or (command == "item" and not _LISTS & set(open_)):
                raise RefusedError("denied", f"\\{command} is not allowed in a formula")
            has_lines |= command == "cr" and not open_
            if command in ("begin", "end"):
                raise RefusedError("denied", f"\\{command} without the name of an environment")
        elif word:
            if name.removesuffix("*") not in ENVIRONMENTS:
                raise RefusedError("denied", f"the environment {name!r} is not allowed in a formula")
            if word == "begin":
                open_.append(name)
            elif not open_ or open_.pop() != name:
                raise RefusedError("error", f"\\end{{{name}}} closes nothing")
        elif brace == "{":
            open_.append("{")
        elif brace:
            if not open_ or open_.pop() != "{":
                raise RefusedError("error", "a closing brace that opens nowhere")
        elif control:
            raise RefusedError("denied", f"the control character U+{ord(control):04X} is not allowed in a formula")
    if open_:
        what = "an opening brace" if open_[-1] == "{" else open_[-1]
        raise RefusedError("error", f"{what} is never closed")
    return has_lines, has_columns


@lru_cache(maxsize=4096)
def is_denied(command: str) -> bool:
    """Whether a control word, without its backslash, is refused."""
    return DENIED.fullmatch(command) is not None
