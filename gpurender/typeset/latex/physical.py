r"""Physical quantities as `\pu` of KaTeX's and MathJax's mhchem has them: `\pu{1.2e3 kJ mol-1}`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpurender.typeset.latex.macros import group_end

__all__ = ["write_quantities"]

_PU = re.compile(r"\\pu\s*(?=\{)")
_NUMBER = re.compile(
    r"\s*(?P<number>[+-]?\s?\d[\d.,]*(?:\(\d+\))?)(?:[eE](?P<power>[+-]?\d+)|\s*(?:x|\*|\\times)\s*10\^?\{?(?P<ten>[+-]?\d+)\}?)?"
)
_UNIT = re.compile(
    r"\^?\{(?P<braced>[^{}]*)\}|\^(?P<raised>[+-]?\d+)|(?P<power>[+-]?\d+)|(?P<over>\s*/\s*)|(?P<times>\s*(?:\*|\.|\\cdot)\s*)"
    r"|(?P<space>\s+)|\\[A-Za-z]+\s*|."
)


def write_quantities(text: str) -> str:
    r"""Return a source with every `\pu` written as a number and upright units."""
    at = 0
    while found := _PU.search(text, at):
        stop = group_end(text, found.end())
        if not stop:
            break
        quantity = _write(text[found.end() + 1 : stop - 1])
        text = text[: found.start()] + quantity + text[stop:]
        at = found.start() + len(quantity)
    return text


def _write(quantity: str) -> str:
    at = 0
    number = ""
    if found := _NUMBER.match(quantity):
        at = found.end()
        power = found["power"] or found["ten"]
        number = found["number"].replace(" ", "") + (rf"\times10^{{{power}}}" if power else "")
    units = "".join(_write_units(quantity[at:].strip()))
    space = r"\," if number and units else ""
    return rf"\ensuremath{{{number}{space}\mathrm{{{units}}}}}"


def _write_units(units: str) -> Iterator[str]:
    for found in _UNIT.finditer(units):
        if power := found["braced"] or found["raised"] or found["power"]:
            yield f"^{{{power}}}"
        elif found["over"]:
            yield "/"
        elif found["times"]:
            yield r"{\cdot}"
        elif found["space"]:
            yield r"\,"
        else:
            yield found[0]
