r"""Where LaTeX is in a text: the one scanner, used by typesetting and by span localisation.

Read from left to right, each formula beginning where the last one ended. What is code (see `typeset.literal`) holds no
formula and ends none. Elsewhere these are formulas:

- `$$..$$`, `\[..\]`, `\(..\)`. A blank line may stand behind the opening `$$` and before the closing one.
- `$..$` without a blank line, by `dollars`:

  - `"strict"`, Pandoc's rule: no space behind the opening dollar nor before the closing one, and no digit behind that.
  - `"auto"` also takes spaces there, as TeX, KaTeX and GitHub do, and leaves out what reads as something else: prose
    between two prices; variables and paths of shells, PHP, Perl, R, jQuery, SCSS and templates; references of
    spreadsheets; regular expressions. The signs are a dollar that begins a word though it should end a formula (or the
    other way round), letters or digits on its wrong side, quotes, brackets that do not close, words of English, and
    operators of programming languages. A command of LaTeX between the dollars outweighs most of these.
  - `"off"`: no dollar is a delimiter.

  A `$` inside braces, as in `\mbox{..}` and `\text{..}`, belongs to the formula around it.
- `\begin{..}..\end{..}` of an environment that sets maths or a table, with what is only there to place or scale it:
  `center`, `adjustbox`, `threeparttable`, `\resizebox`, `\scalebox`.
- A run of bare LaTeX: commands that are maths, with their arguments and the letters, numbers, operators and brackets
  that touch them (`\sin \alpha + \ln x`, `x \to 0`). Prose and the punctuation of the sentence end it. `typeset.bare`
  has the rules.

Other commands (`\section{a}`, `\n`) are kept whole, but are no maths, since a backslash also stands in paths and code.
The time is linear in the text's length.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple, get_args

from gpurender.typeset.bare import FUNCTION_BEFORE, Runs
from gpurender.typeset.dollars import PROSE, is_bracketed, is_display, is_inline, is_strict, looks_like_latex
from gpurender.typeset.literal import find_literals
from gpurender.typeset.tokens import BARRIER, ENVIRONMENTS, TABLES, Mark, Tokens

__all__ = [
    "DOLLARS",
    "ENVIRONMENTS",
    "TABLES",
    "Dollars",
    "Formula",
    "Kind",
    "Scan",
    "find_formulas",
    "may_hold_formulas",
    "scan",
]

# The last two do not come from texts: LaTeX that stands by itself, a formula without delimiters, and a document.
Kind = Literal["inline", "display", "environment", "command", "other", "bare", "document"]
Dollars = Literal["auto", "strict", "off"]
DOLLARS: tuple[str, ...] = get_args(Dollars)


# Commands around a table that place, scale or frame it.
_FRAMES = frozenset("adjustbox centerline fbox framebox makebox mbox resizebox scalebox".split())  # noqa: SIM905
# What is set for a table in front of it.
_SETTING = re.compile(
    r"(?:\s|\\(?:centering|raggedright|raggedleft|noindent|tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE"
    r"|bfseries|sffamily|ttfamily|rmfamily)(?![A-Za-z])"
    r"|\\(?:setlength|renewcommand\*?)\s*(?:\{\s*\\[A-Za-z]+\s*\}|\\[A-Za-z]+)\s*\{[^{}]*\})*"
)


class Formula(NamedTuple):
    """A formula's character range, delimiters included; or, of kind `"other"`, a command's that is no maths."""

    start: int
    stop: int
    kind: Kind


class Scan(NamedTuple):
    """All that the scanner says of a text: character ranges, each in order, none overlapping."""

    formulas: tuple[Formula, ...]
    literals: tuple[tuple[int, int], ...]  # code
    left: tuple[tuple[int, int], ...]  # what looks like LaTeX and stays text


def find_formulas(text: str, dollars: Dollars = "auto") -> list[Formula]:
    """Return every formula of a text, and every other command, from left to right; they do not overlap."""
    return list(scan(text, dollars).formulas) if may_hold_formulas(text, dollars) else []


@lru_cache(maxsize=512)
def scan(text: str, dollars: Dollars = "auto") -> Scan:
    """Return the formulas of a text, its code, and what looks like LaTeX and is neither.

    Args:
        text: Any string.
        dollars: Which single dollars delimit formulas; see above.
    """
    literals = tuple(find_literals(text))
    if not may_hold_formulas(text, dollars):
        return Scan((), literals, ())
    scanner = _Scanner(text, dollars, literals)
    formulas = tuple(scanner.formulas())
    return Scan(formulas, literals, tuple(scanner.left(formulas)))


def may_hold_formulas(text: str, dollars: Dollars) -> bool:
    """Tell whether a text is worth a scan: most texts with dollars have prices in them, and prose between those."""
    if "\\" in text:
        return True
    if "$" not in text or dollars == "off":
        return False
    parts = text.split("$")
    if len(parts) < 3 or dollars == "strict":
        return len(parts) >= 3
    return "^" in text or "{" in text or not all(map(PROSE.search, parts[1:-1]))


class _Scanner:
    def __init__(self, text: str, dollars: Dollars, literals: tuple[tuple[int, int], ...]) -> None:
        self.text = text
        self.dollars = dollars
        self.tokens = Tokens(text, literals)
        self.commands: list[tuple[int, int]] = []
        self.rejected: list[tuple[int, int]] = []

    @cached_property
    def runs(self) -> Runs:
        return Runs(self.tokens)

    @cached_property
    def closers(self) -> dict[str, list[int]]:
        """Indices of the tokens that close each of the delimiters `\\(` and `\\[`."""
        closers: dict[str, list[int]] = {"\\(": [], "\\[": []}
        for i, token in enumerate(self.tokens.all):
            if token[0] in ("\\)", "\\]"):
                closers["\\(" if token[0] == "\\)" else "\\["].append(i)
        return closers

    def formulas(self) -> Iterator[Formula]:
        tokens, starts = self.tokens.all, self.tokens.starts
        i, path, at = 0, -1, 0
        while i < len(tokens):
            found = self._formula(i, at, path)
            if found is None:
                i += 1
                continue
            if found.kind == "other":
                # One letter is an escape, of a string or a regular expression.
                if len(tokens[i]["command"] or "") > 1 and not self._is_path(found.start, path):
                    self.commands.append((found.start, found.stop))
                path = found.stop
            at = found.stop
            yield found
            i = bisect_left(starts, at, lo=i + 1)

    def left(self, formulas: tuple[Formula, ...]) -> Iterator[tuple[int, int]]:
        """Yield what looks like LaTeX and is no formula; call it when the formulas are known."""
        if not (self.commands or self.rejected):
            return
        maths = [(f.start, f.stop) for f in formulas if f.kind != "other"]
        starts = [start for start, _ in maths]
        at = 0
        for start, stop in sorted(self.commands + self.rejected):
            k = bisect_left(starts, stop) - 1
            if start >= at and not (k >= 0 and maths[k][1] > start):
                yield start, stop
                at = stop

    def _is_path(self, start: int, path: int) -> bool:
        """Tell whether a backslash follows a path, a drive's colon or a word, as in `C:\\tau` and `src\\beta`."""
        if start == path:
            return True
        before = self.text[max(0, start - 2) : start]
        if before.isalpha() and FUNCTION_BEFORE.search(self.text, max(0, start - 7), start):
            return False
        return before.endswith(":") or (len(before) == 2 and before.isalpha() and before.isascii())

    def _formula(self, i: int, at: int, path: int) -> Formula | None:
        """Return the formula, or other command, that a token begins.

        Args:
            i: The token's index.
            at: Where the last formula ended, to which a run may reach back.
            path: Where the last command ended that is no maths, and may be part of a path.
        """
        tokens = self.tokens
        token = tokens.all[i]
        if token[0] in ("$", "$$"):
            return None if self.dollars == "off" else self._dollars(i)
        if tokens.has_tables and (table := self._styled_table(i)):
            return table
        if token[0] in ("\\(", "\\["):
            closers = self.closers[token[0]]
            k = bisect_left(closers, i)
            if k < len(closers) and not tokens.is_barred(i, closers[k]):
                end = tokens.all[closers[k]]
                if is_bracketed(self.text[token.end() : end.start()]):
                    return Formula(token.start(), end.end(), "inline" if token[0] == "\\(" else "display")
            return None
        # In a path, such as C:\new\times, what follows a command that is no maths is none.
        run = None if self._is_path(token.start(), path) else self.runs.around(i, at)
        if i in tokens.ends:
            stop = tokens.all[tokens.ends[i]].end()
            if run is not None and run != (token.start(), stop):
                return Formula(*run, "command")
            if token["environment"] in ENVIRONMENTS or tokens.holds_table(i, tokens.ends[i]):
                return Formula(token.start(), stop, "environment")
        elif run is not None:
            return Formula(*run, "command")
        elif token["command"]:
            stop = tokens.command_end(i)
            if token["command"] in _FRAMES and tokens.holds_table(i, tokens.at(stop)):
                return Formula(token.start(), stop, "environment")
            return Formula(token.start(), stop, "other")
        return None

    def _styled_table(self, i: int) -> Formula | None:
        r"""Return a table with the sizes and lengths that are set for it, as in `{\small \begin{tabular}..}`."""
        tokens, token = self.tokens, self.tokens.all[i]
        if token[0] != "{" and token[0][0] != "\\":
            return None
        first = token.end() if token[0] == "{" else token.start()
        setting = _SETTING.match(self.text, first)
        assert setting is not None
        k = tokens.at(setting.end())
        if k == len(tokens.all) or tokens.all[k].start() != setting.end() or setting.end() == token.start():
            return None
        if k in tokens.ends:
            end = tokens.ends[k]
            stop = tokens.all[end].end() if tokens.all[k]["environment"] in TABLES or tokens.holds_table(k, end) else 0
        else:
            stop = tokens.command_end(k) if tokens.all[k]["command"] in _FRAMES else 0
            stop = stop if tokens.holds_table(k, tokens.at(stop)) else 0
        if stop and token[0] == "{":
            close = tokens.all[tokens.partner[i]] if i in tokens.partner else None
            stop = close.end() if close and not self.text[stop : close.start()].strip() else 0
        return Formula(token.start(), stop, "environment") if stop else None

    def _dollars(self, i: int) -> Formula | None:
        tokens, partner = self.tokens.all, self.tokens.partner
        token = tokens[i]
        k = i + 1
        while k < len(tokens):
            other = tokens[k]
            if other[0] == "{":
                # What stands in braces belongs to the formula around it.
                if k not in partner:
                    return None
                k = partner[k]
            elif other[0] in ("}", BARRIER):
                return None
            elif other[0][0] == "\n":
                next_ = self._after_space(k)
                begins = not self.text[token.end() : other.start()].strip()
                ends = next_ < len(tokens) and tokens[next_][0] == "$$" and self._is_blank(k, next_)
                if token[0] == "$" or not (begins or ends):
                    return None
                k = next_
                continue
            elif other[0][0] == "$":
                break
            k += 1
        else:
            return None
        stop = other.start() + len(token[0])
        body = self.text[token.end() : other.start()]
        after = self.text[stop : stop + 1]
        if token[0] == "$$":
            return Formula(token.start(), stop, "display") if other[0] == "$$" and is_display(body, after) else None
        if not body.strip():
            return None
        if self.dollars == "strict":
            is_maths = is_strict(body, after)
        else:
            is_spaced = body[0].isspace() or body[-1].isspace()
            is_maths = is_inline(self.text, token.start(), stop, not is_spaced or self.tokens.is_even[i])
        if not is_maths:
            if looks_like_latex(body):
                self.rejected.append((token.start(), stop))
            return None
        if other[0] == "$$":
            # `$x$$y$`: its second half opens the next one.
            tokens[k] = Mark("$", stop, stop + 1)
            self.tokens.starts[k] = stop
        return Formula(token.start(), stop, "inline")

    def _is_blank(self, k: int, after: int) -> bool:
        return not self.text[self.tokens.all[k].start() : self.tokens.all[after].start()].strip()

    def _after_space(self, k: int) -> int:
        """Return the first token from k on that stands behind the white space that k begins with."""
        at = self.tokens.all[k].start()
        while self.text[at : at + 1].isspace():
            at += 1
        return bisect_left(self.tokens.starts, at, lo=k + 1)
