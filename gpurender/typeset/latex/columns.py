r"""The columns of a table: which there are, in the kinds that the engine knows.

A kind that nobody defined becomes the nearest: `L{3cm}` a ragged `p{3cm}`, `Y` of a `tabularx` an `X`, others an `l`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpurender.typeset.latex.limits import LONGEST
from gpurender.typeset.latex.macros import Macro, expand, read_argument

__all__ = ["read_columns"]

_PART = re.compile(r"([@!><*])\s*|([|:\s])|([A-Za-z.])\s*|.", re.DOTALL)
_OPTION = re.compile(r"\[[^\]]*\]")
_ARGUMENTS = {"p": 1, "m": 1, "b": 1, "w": 2, "W": 2, "D": 3}
_NEAREST = {"L": "l", "C": "c", "R": "r", "d": "r", "n": "r", ".": "D{.}{.}{-1}"}
_PARAGRAPHS = {"M": "m", "B": "b"}
_ALIGNED = {"L": r"\raggedright", "C": r"\centering", "R": r"\raggedleft"}
_MOST = 100  # repetitions
_STEPS = 2000  # through one description, with all that it expands to


def read_columns(spec: str, name: str, macros: Mapping[str, Macro]) -> tuple[str, list[str]]:
    """Return the columns in kinds that are known, and the letter of each as it was written.

    Args:
        spec: As it stands between the braces.
        name: Of the environment.
        macros: Among them the column types that are defined, as `"column X"`.
    """
    out: list[str] = []
    kinds: list[str] = []
    for _ in range(_STEPS):
        part = _PART.match(spec)
        if part is None:
            break
        sign, line, kind = part.groups()
        rest = spec[part.end() :]
        if sign == "*":
            (count, columns), rest = _take(rest, 2)
            repetitions = int(count) if re.fullmatch(r"\s*[0-9]{1,3}\s*", count) else 1
            spec = (columns * min(repetitions, _MOST) + rest)[:LONGEST]
            continue
        if sign:
            (argument,), rest = _take(rest, 1)
            out.append(f"{sign}{{{argument}}}")
        elif line:
            out.append(line)
        elif kind and (macro := macros.get(f"column {kind}")):
            spec = expand(rf"\{kind}" + rest, {kind: macro})
            continue
        elif kind:
            kinds.append(kind)
            column, rest = _read_kind(kind, rest, name)
            out.append(column)
        spec = rest
    return "".join(out), kinds


def _take(spec: str, count: int) -> tuple[list[str], str]:
    """Return arguments, empty where there are none, and what follows them."""
    arguments = []
    for _ in range(count):
        argument = read_argument(spec, 0) or ("", 0)
        arguments.append(argument[0])
        spec = spec[argument[1] :]
    return arguments, spec


def _read_kind(kind: str, rest: str, name: str) -> tuple[str, str]:
    """Return one column with its arguments, and what follows it."""
    if kind in "Ss":
        option = _OPTION.match(rest)
        return (kind + option[0], rest[option.end() :]) if option else (kind, rest)
    if kind in _ARGUMENTS:
        arguments, rest = _take(rest, _ARGUMENTS[kind])
        return kind + "".join(f"{{{argument}}}" for argument in arguments), rest
    if kind in "lcr" or (name == "tabulary" and kind in "LCRJ") or (name.startswith("tabularx") and kind == "X"):
        return kind, rest
    if rest.startswith("{"):
        (width,), rest = _take(rest, 1)
        return rf">{{{_ALIGNED.get(kind, '')}\arraybackslash}}{_PARAGRAPHS.get(kind, 'p')}{{{width}}}", rest
    if name.startswith("tabularx") and kind.isupper():
        return rf">{{{_ALIGNED[kind]}\arraybackslash}}X" if kind in _ALIGNED else "X", rest
    return _NEAREST.get(kind, "l"), rest
