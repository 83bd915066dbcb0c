r"""The tokens of a text in which LaTeX is searched: commands, delimiters, braces and blank lines.

A token is a match of a regular expression, or a `Mark` that stands for code, which no formula reaches across. Braces
and environments are matched once, so that everything that is asked of them later is a look-up.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property
from typing import Any

__all__ = ["BARRIER", "ENVIRONMENTS", "TABLES", "Mark", "Tokens"]

TABLES = frozenset(
    """
    longtable longtabu longtblr mpsupertabular NiceTabular supertabular tabu tabular tabularx tabulary talltblr tblr
    xltabular xtabular
    """.split()  # noqa: SIM905
)
# Environments around a table that hold nothing else.
WRAPPERS = frozenset(
    """
    adjustbox center figure flushleft flushright footnotesize landscape large minipage scriptsize sideways
    sidewaystable small threeparttable tiny wraptable
    """.split()  # noqa: SIM905
)
ENVIRONMENTS = TABLES | frozenset(
    """
    align alignat aligned alignedat array bmatrix Bmatrix cases CD darray dcases displaymath drcases eqnarray equation
    flalign gather gathered math matrix multline multlined pmatrix rcases smallmatrix split subequations table vmatrix
    Vmatrix
    """.split()  # noqa: SIM905
)

# One step of the reader: an escaped character, a command, a delimiter, a brace, a blank line.
_TOKEN = re.compile(
    r"\\(?:begin|end)[ ]?\{(?P<environment>[A-Za-z]+)\*?\}|\\(?P<command>[A-Za-z]+)\*?|\\.|\$\$?|[{}]|\n[ \t\r]*(?=\n)",
    re.DOTALL,
)
BARRIER = "\0"  # in place of code


class Mark:
    """Stand for a token that is no match of the regular expression."""

    def __init__(self, text: str, start: int, stop: int) -> None:
        self._text, self._start, self._stop = text, start, stop

    def __getitem__(self, group: int | str) -> Any:
        return self._text if group == 0 else None

    def start(self) -> int:
        """Return where it begins."""
        return self._start

    def end(self) -> int:
        """Return where it ends."""
        return self._stop


class Tokens:
    """The tokens of a text, in order.

    Attributes:
        all: The tokens.
        starts: Where each begins, as an index into the text.
        partner: Index of each `{` to the index of its `}`.
        ends: Index of each `\\begin{x}` to the index of the `\\end{x}` that closes it.
    """

    def __init__(self, text: str, literals: tuple[tuple[int, int], ...]) -> None:
        self.text = text
        self.all = _tokens(text, literals)
        self.starts = [token.start() for token in self.all]
        self.partner = self._match_braces() if "{" in text else {}
        self.ends = self._match_environments() if "\\begin" in text else {}
        self._barriers = [i for i, token in enumerate(self.all) if token[0] == BARRIER] if literals else []

    def at(self, place: int) -> int:
        """Return the index of the first token that begins at a place of the text, or behind it."""
        return bisect_left(self.starts, place)

    def is_barred(self, i: int, k: int) -> bool:
        """Tell whether code stands between two tokens."""
        return bisect_left(self._barriers, i) != bisect_left(self._barriers, k)

    @property
    def has_tables(self) -> bool:
        """Whether there is any table."""
        return bool(self._tables)

    def holds_table(self, i: int, k: int) -> bool:
        """Tell whether a table begins between two tokens."""
        return bisect_left(self._tables, i + 1) != bisect_left(self._tables, k)

    def group_end(self, place: int) -> int | None:
        """Return the end of the group whose `{` stands at a place of the text; None if it is never closed."""
        i = self.at(place)
        return self.all[self.partner[i]].end() if i in self.partner else None

    def command_end(self, i: int) -> int:
        """Return the end of a command and what belongs to it: [..] and {..} groups, and scripts set with _ or ^."""
        at = self.all[i].end()
        text = self.text
        while at < len(text):
            script = text[at] in "_^"
            next_ = at + 1 if script else at
            stop = None
            if text.startswith("{", next_):
                stop = self.group_end(next_)
            elif text.startswith("[", next_) and not script:
                close = text.find("]", next_, next_ + 100)
                if close >= 0 and text.startswith(("{", "["), close + 1):
                    stop = close + 1
            elif script and next_ < len(text) and text[next_].isalnum():
                stop = next_ + 1
            if stop is None:
                break
            at = stop
        return at

    @cached_property
    def is_even(self) -> list[bool]:
        """Tell whether the paragraph of each token has an even number of single dollars."""
        is_even: list[bool] = []
        count = first = 0
        for i, token in enumerate(self.all):
            if token[0][0] == "\n":
                is_even += [count % 2 == 0] * (i + 1 - first)
                count, first = 0, i + 1
            count += token[0] == "$"
        return is_even + [count % 2 == 0] * (len(self.all) - first)

    @cached_property
    def _tables(self) -> list[int]:
        return [i for i, token in enumerate(self.all) if token["environment"] in TABLES]

    def _match_braces(self) -> dict[int, int]:
        # A blank line closes nothing and opens nothing.
        open_, partner = [], {}
        for i, token in enumerate(self.all):
            if token[0] == "{":
                open_.append(i)
            elif token[0] == "}" and open_:
                partner[open_.pop()] = i
            elif token[0][0] == "\n" or token[0] == BARRIER:
                open_.clear()
        return partner

    def _match_environments(self) -> dict[int, int]:
        open_: dict[str, list[int]] = {}
        ends = {}
        for i, token in enumerate(self.all):
            if token[0] == BARRIER:
                open_.clear()
            elif token["environment"] in ENVIRONMENTS or token["environment"] in WRAPPERS:
                stack = open_.setdefault(token["environment"], [])
                if token[0].startswith("\\begin"):
                    stack.append(i)
                elif stack:
                    ends[stack.pop()] = i
        return ends


def _tokens(text: str, literals: tuple[tuple[int, int], ...]) -> list[re.Match[str] | Mark]:
    """Return the steps through a text, with a barrier in place of each piece of code."""
    tokens: list[re.Match[str] | Mark] = []
    at = 0
    for start, stop in (*literals, (len(text), len(text))):
        tokens += _TOKEN.finditer(text, at, start)
        if start < stop:
            tokens.append(Mark(BARRIER, start, stop))
        at = max(at, stop)
    return tokens
