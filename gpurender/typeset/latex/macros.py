r"""Definitions in prompts: collected as text and expanded as text, so that an engine never defines anything.

`\newcommand`, `\renewcommand`, `\providecommand`, `\DeclareRobustCommand`, `\def` with plain parameters, `\let`,
`\DeclareMathOperator`, `\DeclarePairedDelimiter`, `\DeclareSIUnit` and `\newcolumntype` are read. A macro is expanded
where its name stands, with up to nine arguments, one of them optional, as TeX does: the result is read again.
`EXPANSIONS` and `LONGEST` bound it, so a recursion ends in a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gpurender.typeset.latex.limits import EXPANSIONS, LONGEST

__all__ = ["Definition", "Macro", "MacroError", "collect", "expand", "group_end", "read_argument", "to_macros"]


class Macro(NamedTuple):
    """A definition's meaning."""

    arity: int  # arguments, 0 to 9
    default: str | None  # of the first argument, which is optional then
    body: str
    is_final: bool = False  # the body is TeX's word, not to be expanded again


class Definition(NamedTuple):
    r"""A definition in a text: its character range, and what it says.

    The name has no backslash. `"abs*"` is the starred form of `\abs`, and `"column X"` the column type `X`.
    """

    start: int
    stop: int
    name: str
    macro: Macro


class MacroError(ValueError):
    """Macros expand to too much."""


_COMMANDS = "(?:new|renew|provide)command|DeclareRobustCommand"
_DEFINES = re.compile(
    rf"\\(?:(?P<command>{_COMMANDS})|(?P<operator>DeclareMathOperator)|(?P<pair>DeclarePairedDelimiter)"
    r"|(?P<unit>DeclareSIUnit)|(?P<column>newcolumntype)|(?P<let>let)|(?P<def>def)|(?P<length>setlength)"
    r"(?=\s*\{?\s*\\(?:tabcolsep|arraycolsep|arrayrulewidth|extrarowheight|(?:heavy|light|cmid)rulewidth)\b))"
    r"(?![A-Za-z])(?P<star>\*?)"
)
# One of these is in all of that.
_HINTS = ("command", "\\def", "\\let", "\\Declare", "columntype", "\\setlength")
_NAME = re.compile(r"\s*(?:\{\s*(?:\\([A-Za-z]+|[^A-Za-z\s]))\s*\}|\\([A-Za-z]+|[^A-Za-z\s]))")
_COLUMN = re.compile(r"\s*\{?([A-Za-z])\}?")
_COUNT = re.compile(r"\s*\[\s*([0-9])\s*\]")
_DEFAULT = re.compile(r"\s*\[((?:[^\[\]{}]|\{[^{}]*\})*)\]")
_PARAMETERS = re.compile(r"(?:#[1-9])*(?=\s*\{)")
_MEANING = re.compile(r"\s*=?\s*(\\(?:[A-Za-z]+|[^A-Za-z\s])|[^\\\s{}#$&%])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BLANKS = re.compile(r"\s*")
_WORD = re.compile(r"\\(?:([A-Za-z]+)[ \t\n]*|.)", re.DOTALL)
_ENDS_IN_WORD = re.compile(r"\\[A-Za-z]+$")
_PARAMETER = re.compile(r"#([1-9#])")


def to_macros(macros: Mapping[str, str]) -> dict[str, Macro]:
    r"""Return macros as KaTeX's option of that name has them: a name, with or without its backslash, to its expansion.

    `#1` to `#9` in an expansion are arguments.

    Raises:
        ValueError: A name is no control word or symbol, or the braces of an expansion do not close.
    """
    result = {}
    for name, body in macros.items():
        plain = name.removeprefix("\\")
        if not re.fullmatch(r"[A-Za-z]+|[^A-Za-z\s\\{}$&#^_%~]", plain):
            raise ValueError(f"macros must have names such as '\\\\R', got {name!r}")
        if group_end("{" + body + "}", 0) != len(body) + 2:
            raise ValueError(f"the braces of the macro {name!r} do not close: {body!r}")
        result[plain] = Macro(max((int(n) for n in re.findall(r"#([1-9])", body)), default=0), None, body)
    return result


def collect(text: str) -> list[Definition]:
    """Return the definitions of a text, from left to right; what is no complete one is none."""
    if not any(word in text for word in _HINTS):
        return []
    found: list[Definition] = []
    known: dict[str, Macro] = {}
    at = 0
    while match := _DEFINES.search(text, at):
        at = match.end()
        for name, macro, stop in _read(text, match, known):
            found.append(Definition(match.start(), stop, name, macro))
            known[name] = macro
            at = stop
    return found


def _read(text: str, match: re.Match[str], known: Mapping[str, Macro]) -> Iterator[tuple[str, Macro, int]]:
    """Read one definition: its names and meanings, and where it ends; nothing if it is none."""
    kind = next(kind for kind, word in match.groupdict().items() if word and kind != "star")
    named = (_COLUMN if kind == "column" else _NAME).match(text, match.end())
    if named is None:
        return
    name, at = named[1] or named[named.lastindex or 1], named.end()
    if kind == "let":
        if meaning := _MEANING.match(text, at):
            word = meaning[1].removeprefix("\\")
            yield name, known.get(word, Macro(0, None, meaning[1], is_final=True)), meaning.end()
        return
    count, default = 0, None
    if kind == "def":
        parameters = _PARAMETERS.match(text, at)
        if parameters is None or parameters[0][1::2] != "123456789"[: len(parameters[0]) // 2]:
            return
        count, at = len(parameters[0]) // 2, parameters.end()
    elif kind in ("command", "column"):
        if number := _COUNT.match(text, at):
            count, at = int(number[1]), number.end()
            if optional := _DEFAULT.match(text, at):
                default, at = optional[1], optional.end()
    elif kind == "unit" and (options := _DEFAULT.match(text, at)):
        at = options.end()
    first = _group(text, at)
    if first is None:
        return
    body, at = first
    if kind == "pair":
        second = _group(text, at)
        if second is None:
            return
        right, at = second
        yield name + "*", Macro(1, None, rf"\left{body} #1\right{right} "), at
        yield name, Macro(2, "", rf"\mathopen{{#1{body}}}#2\mathclose{{#1{right}}}"), at
    elif kind == "operator":
        yield name, Macro(0, None, rf"\operatorname{match['star']}{{{body}}}"), at
    elif kind == "unit":
        yield name, Macro(0, None, rf"\text{{{body}}}"), at
    else:
        yield (f"column {name}" if kind == "column" else name), Macro(count, default, body), at


def _group(text: str, at: int) -> tuple[str, int] | None:
    """Return what the next braces hold, and where they end; a single token has none."""
    start = _BLANKS.match(text, at).end()  # type: ignore[union-attr]
    if not text.startswith("{", start):
        word = _WORD.match(text, start)
        return (word[0].rstrip(), start + len(word[0].rstrip())) if word else None
    stop = group_end(text, start)
    return (text[start + 1 : stop - 1], stop) if stop else None


def group_end(text: str, start: int) -> int:
    """Return where the group that begins here ends, 0 if it does not."""
    depth = 0
    for found in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if not depth and found[0] == "}":
            return found.end()
    return 0


def read_argument(text: str, at: int) -> tuple[str, int] | None:
    """Return what TeX takes as an argument from here, without its braces, and where it ends; None at the end."""
    start = _BLANKS.match(text, at).end()  # type: ignore[union-attr]
    if start == len(text) or text[start] == "}":
        return None
    return _group(text, start) if text[start] in "{\\" else (text[start], start + 1)


def expand(tex: str, macros: Mapping[str, Macro]) -> str:
    """Expand the macros in a source.

    Raises:
        MacroError: It takes more than `EXPANSIONS`, or grows beyond `LONGEST`.
    """
    if not macros:
        return tex
    at = count = 0
    while found := _WORD.search(tex, at):
        name = found[1] or found[0][1:]
        stop = found.end()
        if tex.startswith("*", stop) and name + "*" in macros:
            name, stop = name + "*", stop + 1
        macro = macros.get(name)
        called = macro and _call(tex, stop, macro)
        if not (macro and called):
            at = found.end()
            continue
        body, stop = called
        count += 1
        if count > EXPANSIONS:
            raise MacroError(f"\\{name} expands more than {EXPANSIONS} times")
        if _ENDS_IN_WORD.search(body) and tex[stop : stop + 1].isalpha():
            body += " "
        tex = tex[: found.start()] + body + tex[stop:]
        if len(tex) > LONGEST:
            raise MacroError(f"macros expand to more than {LONGEST} characters")
        at = found.start() + (len(body) if macro.is_final else 0)
    return tex


def _call(tex: str, at: int, macro: Macro) -> tuple[str, int] | None:
    """Return a macro's body with the arguments that follow put in, and where they end; None if there are too few."""
    arguments: list[str] = []
    if macro.default is not None:
        optional = _DEFAULT.match(tex, at)
        arguments.append(optional[1] if optional else macro.default)
        at = optional.end() if optional else at
    while len(arguments) < macro.arity:
        argument = read_argument(tex, at)
        if argument is None:
            return None
        arguments.append(argument[0])
        at = argument[1]

    def put(found: re.Match[str]) -> str:
        if found[1] == "#" or int(found[1]) > len(arguments):
            return "#" if found[1] == "#" else ""
        argument = arguments[int(found[1]) - 1]
        # No word, of the body or of the argument, may grow by a letter behind it.
        before = " " if _ENDS_IN_WORD.search(macro.body, 0, found.start()) and argument[:1].isalpha() else ""
        return before + argument + (" " if _ENDS_IN_WORD.search(argument) else "")

    return (_PARAMETER.sub(put, macro.body) if macro.arity else macro.body), at
