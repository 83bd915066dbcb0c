r"""What an engine is given: a formula or table without its delimiters, on one line, checked against the limits.

Prompts are not TeX files: `%` and `#` in maths are signs; environments that number or break pages become those that can
stand within a formula. In a table `%` after a digit is a sign, elsewhere it begins a comment.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from gpurender.typeset.latex.limits import DENIED, ENVIRONMENTS, LONGEST, TABLE_ENVIRONMENTS
from gpurender.typeset.maths import Kind

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
_BLANK = re.compile(r"\s+")
_WORD = re.compile(
    r"\\(?:(begin|end) *\{([^{}]*)\}|([A-Za-z]+)|[^A-Za-z])|([{}])|(\^\^)|([\x00-\x1f\x7f\ud800-\udfff])"
)


def prepare(text: str, kind: Kind) -> Source:
    """A formula as a scanner found it, delimiters and all, as engines take it.

    Args:
        text: From the first character of the delimiter, or of the environment or command, to the last.
        kind: As the scanner says.

    Raises:
        RefusedError: It may not be set.
    """
    if len(text) > LONGEST:
        raise RefusedError("limit", f"longer than {LONGEST} characters")
    if kind == "document":
        return Source(text, "document")
    style: Style = "inline" if kind in ("inline", "command") else "display"
    if kind in ("inline", "display"):
        size = 2 if text.startswith(("$$", "\\")) else 1
        text = text[size:-size]
    elif kind in ("environment", "bare"):
        found = _ENVIRONMENT.match(text)
        if found and found[2] in TABLE_ENVIRONMENTS:
            style = "table"
    if style == "table":
        text = _COMMENT.sub(lambda m: m[1] or "\n", text) if "%" in text else text
    if "%" in text or "#" in text:
        text = _SIGN.sub(lambda m: m[1] or "\\" + m[0], text)
    if style != "table":
        if "\\begin" in text:
            text = _ENVIRONMENT.sub(_within, text)
        elif "&" in text and not re.search(r"\\(?:matrix|pmatrix|cases|eqalign|displaylines|substack)", text):
            text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    text = _BLANK.sub(" ", text).strip(" ")
    check(text)
    return Source(text, style)


def _within(found: re.Match[str]) -> str:
    word, name, star = found.groups()
    if name in _PLAIN:
        return "{" if word == "begin" else "}"
    return f"\\{word}{{{_WITHIN.get(name, name + star)}}}"


def check(text: str) -> None:
    """Refuse a source that has a denied word, or whose braces or environments do not close.

    Raises:
        RefusedError: With the reason.
    """
    open_: list[str] = []
    for found in _WORD.finditer(text):
        word, name, command, brace, hats, control = found.groups()
        if command:
            if is_denied(command):
                raise RefusedError("denied", f"\\{command} is not allowed in a formula")
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
        elif hats:
            raise RefusedError("denied", "^^ is not allowed in a formula")
        elif control:
            raise RefusedError("denied", f"the control character U+{ord(control):04X} is not allowed in a formula")
    if open_:
        raise RefusedError(
            "error", "an opening brace is never closed" if open_[-1] == "{" else f"{open_[-1]} is never closed"
        )


@lru_cache(maxsize=4096)
def is_denied(command: str) -> bool:
    """Whether a control word, without its backslash, is refused."""
    return DENIED.fullmatch(command) is not None
