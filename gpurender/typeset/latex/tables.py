r"""Tables as prompts and language models write them, in the words of a table that can stand in a box.

- What pages, scales or places a table is left out: `longtable`'s heads and feet, `\resizebox`, `adjustbox`, the kinds
  of floats. Captions stay where they are.
- In a cell a dollar is a delimiter where the text's scanner says so, else money; `_`, `^`, `%` and `#` in text are
  signs or scripts; commands of maths are maths.
- A row that has more cells than there are columns gets columns of the last kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from gpurender.typeset.latex.cells import RULE, Cell, Grid, find_grids, quote
from gpurender.typeset.latex.columns import read_columns
from gpurender.typeset.latex.macros import Macro, group_end, read_argument
from gpurender.typeset.maths import find_formulas

__all__ = ["quote_verbatim", "rewrite_table"]

_VERB = re.compile(
    r"\\(?:verb|lstinline)\*?(?:\[[^\]]*\])?([^A-Za-z\s*{\\])(.*?)\1|\\(?:lstinline|url|nolinkurl|path)\s*(?=\{)"
)
_HREF = re.compile(r"\\href\s*(?=\{)")


def quote_verbatim(text: str) -> str:
    r"""Return a source whose `\verb`, `\lstinline`, `\url` and `\path` are quoted, and `\href` is what it shows."""
    parts: list[str] = []
    at = 0
    while found := _VERB.search(text, at):
        parts.append(text[at : found.start()])
        at = found.end()
        if found[1]:
            parts.append(quote(found[2]))
        elif stop := group_end(text, at):
            parts.append(quote(re.sub(r"\\([%#_&{}~])", r"\1", text[at + 1 : stop - 1])))
            at = stop
    text = "".join(parts) + text[at:]
    while (link := _HREF.search(text)) and (stop := group_end(text, link.end())):
        text = text[: link.start()] + text[stop:].lstrip()
    return text


# ---- What stands around a table.

_SCALING = {"resizebox": 2, "scalebox": 1, "adjustbox": 1, "centerline": 0, "makebox": 0, "mbox": 0}
_SCALED = re.compile(rf"\\({'|'.join(_SCALING)})\*?(?![A-Za-z])(?:\s*\[[^\]]*\])*(?=\s*\{{[^{{}}]*(?:\}}|\\begin))")
_LEFT_OUT = re.compile(
    r"\\(?:begin\s*\{(?:adjustbox|landscape|sideways)\*?\}(?:\s*\{[^{}]*\}|\s*\[[^\]]*\])*|end\s*\{(?:adjustbox|landscape|sideways)\*?\}"
    r"|fontsize\s*\{[^{}]*\}\s*\{[^{}]*\}(?:\s*\\selectfont(?![A-Za-z]))?|captionsetup(?:\[[^\]]*\])?\s*\{[^{}]*\}"
    r"|(?:first|multirow)?(?:newpage|clearpage|pagebreak)(?![A-Za-z])(?:\[\d\])?|(?:LT(?:left|right|pre|post)|tablewidth)=?\S*)"
)
_FLOAT = re.compile(
    r"\\(begin|end)\s*\{(?:figure|sidewaystable|wraptable|longtable\*|margintable|tabularfloat)\*?\}(?:\s*(?:\[[^\]]*\]|\{[^{}]*\}))*"
)
_RENAMED = {"longtblr": "tblr", "talltblr": "tblr", "supertabular": "tabular", "mpsupertabular": "tabular"}
_RENAMED |= {
    "xtabular": "tabular",
    "longtabu": "tabular",
    "tabu": "tabular",
    "xltabular": "tabularx",
    "NiceTabular": "tabular",
}
_RENAME = re.compile(r"(\\(?:begin|end)\s*)\{(" + "|".join(_RENAMED) + r")\*?\}")
_LONG = re.compile(r"\\begin\s*\{longtable\}\s*(?:\[[^\]]*\])?")
_PART = re.compile(r"\\end(firsthead|head|foot|lastfoot)(?![A-Za-z])")
_CAPTION = re.compile(r"\\caption\*?\s*(?:\[[^\]]*\]\s*)?(?=\{)")
_AFTER_CAPTION = re.compile(r"(?:\s|\\label\s*\{[^{}]*\})*(?:\\\\|\\tabularnewline(?![A-Za-z]))?(?:\s*\[[^\]]*\])?")


def rewrite_table(text: str, macros: Mapping[str, Macro]) -> str:
    """Return a table's source in the words that the engine knows.

    Args:
        text: An environment, without comments.
        macros: Among them the column types that are defined, as `"column X"`.
    """
    text = _unscale(_RENAME.sub(lambda m: f"{m[1]}{{{_RENAMED[m[2]]}}}", text))
    text = _FLOAT.sub(r"\\\1{table}", _LEFT_OUT.sub("", text))
    text = _shorten(text)
    return _rewrite_grids(text, macros)


def _unscale(text: str) -> str:
    at = 0
    while found := _SCALED.search(text, at):
        at = stop = found.end()
        for _ in range(_SCALING[found[1]]):
            argument = read_argument(text, stop)
            stop = argument[1] if argument else stop
            if option := re.compile(r"\s*\[[^\]]*\]").match(text, stop):
                stop = option.end()
        if group_end(text, stop):
            at = found.start()
            text = text[:at] + text[stop:]
    return text


def _shorten(text: str) -> str:
    """Set a table of many pages as one of one: its first head, its rows, its last foot."""
    while begin := _LONG.search(text):
        stop = text.find(r"\end{longtable}", begin.end())
        columns = group_end(text, begin.end()) if text.startswith("{", begin.end()) else 0
        if stop < 0 or not columns:
            break
        above, body = _take_caption(text[columns:stop])
        pieces = _PART.split(body)
        parts = dict(zip(pieces[1::2], pieces[:-1:2], strict=True))
        below, foot = _take_caption(parts.get("lastfoot", parts.get("foot", "")))
        rows = pieces[-1]
        if foot.strip() and not rows.rstrip().endswith(("\\\\", "\\tabularnewline")) and rows.strip():
            rows += r"\\ "
        rows = parts.get("firsthead", parts.get("head", "")) + rows + foot
        grid = rf"\begin{{tabular}}{text[begin.end() : columns]}{rows}\end{{tabular}}"
        if above or below:
            grid = rf"\begin{{table}}\centering {above}{grid}{below}\end{{table}}"
        text = text[: begin.start()] + grid + text[stop + len(r"\end{longtable}") :]
    return text


def _take_caption(text: str) -> tuple[str, str]:
    """Cut the caption out of a long table; a second one is for later pages."""
    caption = ""
    while found := _CAPTION.search(text):
        stop = group_end(text, found.end())
        if not stop:
            break
        caption = caption or text[found.start() : stop]
        text = text[: found.start()] + text[_AFTER_CAPTION.match(text, stop).end() :]  # type: ignore[union-attr]
    return caption, text


# ---- Cells.

_SPECIAL = re.compile(r"[$\\_^]")
_DELIMITED = re.compile(r"(?<!\\)(?:\$\$([^$]+)\$\$|\\\((.+?)\\\)|\\\[(.+?)\\\](?!\]))")
# What begins as a price, up to a dollar before a digit or prose.
_PRICE = re.compile(r"\s*[\d.,]+\s*(?:(?:per|to|and|or|for|each|of|in|from)\b.*|[^$]*\$(?=\d))")
_DOLLAR = re.compile(r"\\.|(\$)", re.DOTALL)
_NUMBER = re.compile(r"\s*(?:[<>~=+\-$]|\\(?:textbf|bfseries|color\{\w+\}|pm)\s*)*\{?\s*[\d.]")
# Words that are at home in text; any other may be maths.
_TEXTUAL = re.compile(
    r"\\(?:text[a-z]*|emph|bf|it|rm|sf|tt|sc|bfseries|itshape|ttfamily|sffamily|centering|ragged[a-z]+|multi(?:row|column)\*?"
    r"|makecell|thead|shortstack|(?:cell|row)?color|underline|small|footnotesize|scriptsize|tiny|large|ding|[cx]mark|checkmark"
    r"|hspace|par|newline|item|begin|end|tnote|footnote|cite[a-z]*|ref|label|q?quad|arraybackslash|[hv]fill)(?![A-Za-z])"
    r"|\\[^A-Za-z]"
)
# What `_` and `^` are no signs in, one of the two, and what a script looks like.
_SIGN = re.compile(
    r"\\(?:ensuremath|ce|pu|SI|si|qty|unit|num|ang|math[a-z]+|SIrange|qtyrange|numrange)(?![A-Za-z])(?:\[[^\]]*\])?(?=\{)"
    r"|\\.|([_^])",
    re.DOTALL,
)
_SCRIPT = re.compile(r"\{|\\(?:circ|ast|prime|dagger|top|text[a-z]*\{)|[*+-]?\d+|[*+-]|[a-z](?![A-Za-z0-9])")


def _rewrite_grids(text: str, macros: Mapping[str, Macro]) -> str:
    parts: list[str] = []
    at = 0
    for grid in find_grids(text):
        parts += (_write_captions(text[at : grid.start]), _rewrite_grid(text, grid, macros))
        at = grid.stop
    return "".join(parts) + _write_captions(text[at:])


def _write_captions(text: str) -> str:
    parts: list[str] = []
    at = 0
    for found in _CAPTION.finditer(text):
        stop = group_end(text, found.end())
        if stop:
            parts += (text[at : found.end() + 1], _write_cell(text[found.end() + 1 : stop - 1]))
            at = stop - 1
    return "".join(parts) + text[at:]


def _rewrite_grid(text: str, grid: Grid, macros: Mapping[str, Macro]) -> str:
    columns, kinds = read_columns(text[slice(*grid.columns)], grid.name, macros)
    rows = [_join_cells(text, row, len(kinds)) for row in grid.rows]
    lacking = max((sum(cell.span for cell in row) for row in rows), default=0) - len(kinds)
    if lacking > 0:
        kind = kinds[-1] if kinds and kinds[-1] in "lcrXS" else "l"
        bare = columns.rstrip("|: ")
        columns = bare + kind * min(lacking, 100) + columns[len(bare) :]
        kinds += [kind] * lacking
    out = [text[grid.start : grid.columns[0]], columns, "}"]
    at = grid.body[0]
    for row in rows:
        column = 0
        for start, stop, span in row:
            kind = kinds[column] if column < len(kinds) and span == 1 else ""
            out += (text[at:start], _rewrite_cell(text[start:stop], kind, macros))
            column += span
            at = stop
        if RULE.match(text, at):
            out.append(r"\\ ")
    return "".join([*out, text[at : grid.stop]])


def _join_cells(text: str, row: list[Cell], count: int) -> list[Cell]:
    """Join cells that an `&` between letters divides, as in `R&D`, where a row would have too many otherwise."""
    while sum(cell.span for cell in row) > count:
        is_tight = [
            text[one.stop - 1].isalnum() and text[other.start : other.start + 1].isalnum()
            for one, other in pairwise(row)
        ]
        if all(is_tight) or not any(is_tight):
            break
        k = is_tight.index(True)
        row = [*row[:k], Cell(row[k].start, row[k + 1].stop), *row[k + 2 :]]
    return row


def _rewrite_cell(cell: str, kind: str, macros: Mapping[str, Macro]) -> str:
    if r"\begin" in cell:
        cell = _rewrite_grids(cell, macros)
    elif "&" in cell:
        cell = re.sub(r"\\.|(&)", lambda m: r"\&" if m[1] else m[0], cell)
    text = cell.strip()
    if (
        kind in ("S", "s", "D", ".")
        and text
        and not text.startswith(("{", r"\multicolumn"))
        and not _NUMBER.match(text)
    ):
        # What is no number in a column of numbers.
        return (r" {%s} " if kind in "Ss" else r" \text{%s} ") % _write_cell(text)
    return _write_cell(cell)


def _write_cell(cell: str) -> str:
    """Write a cell's text so that TeX sets it as it is meant, and leave its formulas as they are."""
    if not _SPECIAL.search(cell):
        return cell
    cell = _DELIMITED.sub(lambda m: f"${m[1] or m[2] or m[3]}$", cell)
    at = [found.start() for found in _DOLLAR.finditer(cell) if found[1]]
    maths = [(start, stop + 1) for start, stop in zip(at[::2], at[1::2], strict=False)]
    if len(at) % 2 or any(_PRICE.match(cell, start + 1, stop + 1) for start, stop in maths):
        maths = [(start, stop) for start, stop, kind in find_formulas(cell) if kind == "inline"]
    parts: list[str] = []
    end = 0
    for start, stop in maths:
        parts += (_write_text(cell[end:start]), cell[start:stop])
        end = stop
    return "".join(parts) + _write_text(cell[end:])


def _write_text(text: str) -> str:
    """Write text between formulas: dollars, `_` and `^` as signs or scripts, and commands of maths as maths."""
    if "$" in text:
        text = _DOLLAR.sub(lambda m: r"\$" if m[1] else m[0], text)
    if r"\begin" in text:
        return text
    parts: list[str] = []
    end = 0
    for start, stop, kind in find_formulas(text) if "\\" in _TEXTUAL.sub("", text) else ():
        if kind == "command":
            # A script belongs to it.
            start -= text[start - 1 : start] in ("^", "_")
            parts += (_write_signs(text[end:start]), f"${text[start:stop]}$")
            end = stop
    return "".join(parts) + _write_signs(text[end:])


def _write_signs(text: str) -> str:
    parts: list[str] = []
    at = end = 0
    while found := _SIGN.search(text, at):
        at = found.end()
        if text.startswith("{", at) and not found[1]:
            at = group_end(text, at) or len(text)
        elif sign := found[1]:
            parts.append(text[end : found.start()])
            script = _SCRIPT.match(text, at)
            argument = read_argument(text, at) if script else None
            if script and argument and (sign == "^" or script[0] == "{"):
                body, at = argument if script[0][0] in "{\\" else (script[0], script.end())
                parts.append(rf"\ensuremath{{{sign}{{{body}}}}}")
            else:
                parts.append(r"\_" if sign == "_" else r"\textasciicircum{}")
            end = at
    return "".join(parts) + text[end:]
