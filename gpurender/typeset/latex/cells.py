r"""The grid of a LaTeX table as text: where its rows and cells are, and a cell's source shown in place of the cell.

A cell ends at an `&` or a row's end that no brace and no environment holds; dollars do not protect it. What stands
before the text of a row's first cell, lines and colours, is no part of the cell.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from gpurender.typeset.latex.macros import group_end

__all__ = ["RULE", "Cell", "Grid", "find_grids", "quote", "split_cells", "without"]


class Cell(NamedTuple):
    """A cell's character range, and the columns that it spans."""

    start: int
    stop: int
    span: int = 1


class Grid(NamedTuple):
    """A `tabular` of whatever kind in a text; the places are character indexes into that."""

    start: int  # of its \begin
    stop: int  # behind its \end
    name: str
    columns: tuple[int, int]  # what describes them, without the braces
    body: tuple[int, int]
    rows: list[list[Cell]]


# Environments of rows and cells, with what they take before the columns.
_ARGUMENTS = {"tabular": 0, "tabular*": 1, "tabularx": 1, "tabularx*": 1, "tabulary": 1}
_BEGIN = re.compile(r"\\begin ?\{(tabular[xy]?\*?)\}")
_OPTION = re.compile(r"\s*\[[^\]]*\]")
_BLANKS = re.compile(r"\s*")
RULE = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|cmidrule|cline|hdashline|cdashline|hhline|specialrule)(?![A-Za-z])"
)
# What may stand before a row's first cell.
_LEAD = re.compile(
    r"(?:\s|\\(?:hline|(?:top|mid|bottom)rule|cmidrule|morecmidrules|cline|[hc]dashline|hhline|specialrule|addlinespace|rowcolors?"
    r"|arrayrulecolor|noalign)(?![A-Za-z])(?:\[[^\]]*\]|\([^()]*\)|\{[^{}]*\})*)*"
)
_TOKEN = re.compile(
    r"\\(begin|end) ?\{[A-Za-z]+\*?\}|(\\\\|\\(?:tabularnewline|cr)(?![A-Za-z]))|\\[A-Za-z]+|\\.|[{}&]", re.DOTALL
)
_AFTER_ROW = re.compile(r"\*?(?:\s*\[[^\]]*\])?")
_SPAN = re.compile(r"\s*\\multicolumn\s*\{\s*(\d+)\s*\}")


def find_grids(text: str) -> Iterator[Grid]:
    """Yield the grids of a text that stand in no other, from left to right; one that never ends is none."""
    at = 0
    while begin := _BEGIN.search(text, at):
        at = begin.end()
        stop = _environment_end(text, begin.start())
        spec = at
        if option := _OPTION.match(text, spec):
            spec = option.end()
        ends = 0
        for n in range(_ARGUMENTS[begin[1]] + 1):
            if n and (option := _OPTION.match(text, spec)):
                spec = option.end()
            spec = _BLANKS.match(text, spec).end()  # type: ignore[union-attr]
            ends = group_end(text, spec) if text.startswith("{", spec) else 0
            if not ends:
                break
            spec, columns = ends, (spec + 1, ends - 1)
        if not (stop and ends):
            continue
        last = text.rindex("\\end", begin.end(), stop)
        yield Grid(begin.start(), stop, begin[1], columns, (ends, last), _split_rows(text, ends, last))
        at = stop


def _environment_end(text: str, start: int) -> int:
    depth = 0
    for found in _TOKEN.finditer(text, start):
        depth += {"begin": 1, "end": -1}.get(found[1] or "", 0)
        if found[1] and not depth:
            return found.end()
    return 0


def _split_rows(text: str, start: int, stop: int) -> list[list[Cell]]:
    """Return the cells of each row; a row's end that is missing before a line is understood."""
    rows: list[list[Cell]] = []
    row: list[Cell] = []
    depth = 0
    begin = _LEAD.match(text, start, stop).end()  # type: ignore[union-attr]
    for found in _TOKEN.finditer(text, start, stop):
        if found[1] or found[0] in "{}":
            depth += 1 if found[1] == "begin" or found[0] == "{" else -1
        elif depth or found.start() < begin:
            continue
        elif found[0] == "&":
            row.append(_cell(text, begin, found.start()))
            begin = found.end()
        elif found[2] or (RULE.match(found[0]) and (row or text[begin : found.start()].strip())):
            row.append(_cell(text, begin, found.start()))
            rows.append(row)
            row = []
            begin = _AFTER_ROW.match(text, found.end()).end() if found[2] else found.start()  # type: ignore[union-attr]
            begin = _LEAD.match(text, begin, stop).end()  # type: ignore[union-attr]
    if row or text[begin:stop].strip():
        rows.append([*row, _cell(text, begin, stop)])
    return rows


def _cell(text: str, start: int, stop: int) -> Cell:
    spanning = _SPAN.match(text, start, stop)
    return Cell(start, stop, int(spanning[1]) if spanning else 1)


def split_cells(tex: str) -> list[Cell]:
    r"""Return the cells of a table's grids, from left to right; of a `\multicolumn`, only what it sets."""
    return [_content(tex, cell) for grid in find_grids(tex) for row in grid.rows for cell in row]


def _content(tex: str, cell: Cell) -> Cell:
    spanning = _SPAN.match(tex, cell.start, cell.stop)
    if spanning is None:
        return cell
    at = tex.find("{", spanning.end())
    at = tex.find("{", group_end(tex, at)) if at >= 0 else at
    stop = group_end(tex, at) if at >= 0 else 0
    return Cell(at + 1, stop - 1, cell.span) if stop else cell


def without(tex: str, bad: Collection[int], shown: bool = True) -> str:
    """Return a table with some of its cells as their source, upright and verbatim.

    Args:
        tex: The table.
        bad: Of `split_cells(tex)`, the indexes of those cells.
        shown: Whether their source is shown; else they are empty.
    """
    parts: list[str] = []
    at = 0
    for k, (start, stop, _) in enumerate(split_cells(tex)):
        if k in bad:
            parts += (tex[at:start], quote(tex[start:stop].strip()) if shown else "")
            at = stop
    return "".join(parts) + tex[at:]


_QUOTED = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    " ": r"\ ",
} | {sign: "\\" + sign for sign in "{}$&#%_"}
_QUOTED |= {sign: sign + "{}" for sign in "-<>,!?"}


def quote(text: str) -> str:
    r"""Return a text as TeX that shows each of its characters, in `\texttt`."""
    return r"\texttt{" + "".join(_QUOTED.get(c, c) for c in text) + "}"
