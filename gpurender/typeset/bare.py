r"""Runs of bare LaTeX: maths without delimiters, as in "when x \to 0 and \left(\frac{a}{b}\right)".

A run is seeded by a command that is maths, by a matrix or an array, or, in a text that has commands, by a letter with
a script in braces (`e^{x}`). It reaches to both sides over more of these, numbers, single letters, products (`mx`,
`dx`, `ABC`), operators, and brackets that close. Words, the punctuation of the sentence, three spaces and the end of
the line end it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from gpurender.typeset.commands import (
    ALONE,
    ARRAYS,
    BINARY,
    CAPITALS,
    SPACES,
    TWO_ARGUMENTS,
    WITH_ARGUMENTS,
    WITHIN,
    WORDS,
)
from gpurender.typeset.tokens import Tokens

__all__ = ["FUNCTION_BEFORE", "Runs"]

_OPERATORS = "+-=<>*/,:"

_ORDINALS = frozenset(["st", "nd", "rd", "th"])
_NAMES = "(?:arc)?(?:sin|cos|tan|cot|log|ln|exp|lim|max|min|gcd|lcm|mod|det|deg)"
_FUNCTION = re.compile(rf"{_NAMES}(?= ?[(\\^_])")
FUNCTION_BEFORE = re.compile(rf"(?<![A-Za-z\\]){_NAMES}$")
_DIFFERENTIAL = re.compile(r"d[a-z](?<![aeo])(?![A-Za-z])")
_TWO_LETTERS = re.compile(r" [A-Za-z]{2}(?![A-Za-z])")
_MEETS_OPERATOR = re.compile(r"[\^_\\(]| ?[-+=<>*/]| ?\\([A-Za-z]+)")
_TAG = re.compile(r"</?(?:[abipu]|br|code|div|em|h[1-6]|li|[ou]l|span|strong|su[bp]|t[dhr])\b[^<>]{0,80}>")
_LETTERS = re.compile(r"[A-Za-z]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_BASE = re.compile(r"(?:(?<![A-Za-z\\])[A-Za-z]'{0,2}|(?<![\w.])\d{1,9}|(?<=[\w)\]}])\))[\^_]$|\)\^$")
# What may stand before the seed, in pieces.
_PIECE = re.compile(r"[A-Za-z]+|\d+(?:[.,]\d+)*|\\[{}|,;:! ]| +|.", re.DOTALL)
# A number of a list, as in "(a) \frac{1}{2}".
_LABEL = re.compile(r"\((?:[A-Za-z]|[ivx]+|\d{1,2})\) +(?![-+=<>*/^_]|\\(?:[a-z]*eq|in|to|times|cdot)\b)")
_LOOK_LEFT = 80  # characters
_DEEPEST = 16  # brackets in each other: what is never closed is looked at so often


class _Reach(NamedTuple):
    """How far a run comes, and the place that ends it: what begins up to there ends there too."""

    stop: int
    blocked: int


class Runs:
    """Find runs of bare LaTeX among the tokens of a text."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.text = tokens.text

    def around(self, i: int, at: int) -> tuple[int, int] | None:
        """Return the range of the run that a token seeds; None if it seeds none.

        Args:
            i: The token's index.
            at: Where the last formula ended; the run begins there or later.
        """
        token = self.tokens.all[i]
        start, least = token.start(), self._seed(i, at)
        if least is None:
            return None
        blocked = -1
        for begin in [*self._beginnings(at, start), start]:
            if begin <= blocked or (begin < start and _LABEL.match(self.text, begin)):
                continue
            stop, blocked = self._reach(begin)
            if stop >= least:
                return self._trim(begin, stop)
        return None

    def _seed(self, i: int, at: int) -> int | None:
        """Return where a run ends at least that a token seeds."""
        token = self.tokens.all[i]
        if token[0] == "{":
            if "\\" not in self.text:
                return None
            group = self._script(i)
            return group if _BASE.search(self.text, max(at, token.start() - 12), token.start()) else None
        if token[0] == "\\{":
            # In a regular expression it follows what it repeats.
            before = self.text[token.start() - 1 : token.start()]
            return token.end() if before in ("", " ", "(", "=") or not before.isascii() else None
        if token["command"] == "right":
            return None
        end = self._element(i)
        if end is None and token["command"] in ("text", "mbox"):
            # A name that is set to something, or a unit.
            end = self._element(i, is_within=True)
            is_name = end is not None and self.text[end : end + 2].lstrip()[:1] in ("=", "<", ">", "+")
            is_unit = self.text[max(at, token.start() - 2) : token.start()].rstrip()[-1:].isdigit()
            return end if is_name or is_unit else None
        return end

    def _script(self, i: int) -> int | None:
        """Return the end of a group that may be a script."""
        start = self.tokens.starts[i]
        stop = self.tokens.group_end(start)
        return stop if stop is not None and not set(self.text[start:stop][:_LOOK_LEFT]) & set("\n\"'$;") else None

    def _beginnings(self, at: int, start: int) -> list[int]:
        """Return where a run may begin that comes to a place, from left to right."""
        text = self.text
        lowest = max(at, start - _LOOK_LEFT, text.rfind("\n", max(0, start - _LOOK_LEFT), start) + 1)
        if lowest > at and text[lowest - 1 : lowest + 1].isalnum():
            # A word that is cut.
            lowest = next((k for k in range(lowest, start) if not text[k].isalnum()), start)
        begins = []
        for piece in reversed(list(_PIECE.finditer(text, lowest, start))):
            part, place, end = piece[0], piece.start(), piece.end()
            before = text[place - 1 : place] if place > lowest else ""
            is_near = not text.startswith(" ", end)
            if part[0] == " ":
                if len(part) > 2:
                    break
            elif part.isascii() and part.isalpha():
                if not self._begins_run(part, place, end, before):
                    break
                begins.append(place)
            elif before == "$" and text.startswith(",", end):
                # A price.
                break
            elif part == ">" and (tag := text.rfind("<", lowest, place)) >= 0 and _TAG.match(text, tag):
                break
            elif part[0].isdigit() or part in ("(", "[", "\\{", "="):
                begins.append(place)
            elif part in ("-", "+", "|"):
                is_unary = not (before.isascii() and before.isalnum()) and before not in (")", part)
                if is_near and is_unary:
                    begins.append(place)
            elif part == ":":
                if self._is_colon(place):
                    break
            elif _is_symbol(part):
                begins.append(place)
            elif not (
                part in (")", "]", "\\}", "{", "}", "<", ">", "*", "/", ",", "^", "_", "'", "!") or part[0] == "\\"
            ):
                break
        return begins[::-1]

    def _begins_run(self, word: str, place: int, end: int, before: str) -> bool:
        """Tell whether letters before a run belong to it."""
        meets = self._meets_operator(end)
        if len(word) == 1:
            return before not in ("'", "\u2019") and (meets or word not in "aAI")
        if _FUNCTION.match(self.text, place):
            return True
        follows = self.text[max(0, place - 2) : place].rstrip()[-1:] in tuple("+-=<>*/(")
        return (meets or follows or before.isdigit()) and self._is_product(word, place, end, follows)

    def _meets_operator(self, end: int) -> bool:
        found = _MEETS_OPERATOR.match(self.text, end)
        return found is not None and (found[1] is None or found[1] in BINARY)

    def _is_product(self, word: str, place: int, end: int, follows: bool) -> bool:
        """Tell whether a word of two letters or more is a product of variables, a differential or points."""
        if word.isupper():
            return len(word) <= 6 and word not in CAPITALS
        if word.lower() in WORDS or word in _ORDINALS:
            return False
        before = self.text[place - 1 : place]
        if before.isdigit():
            return len(word) <= 3
        follows |= before in (")", "}")
        return len(word) == 2 and (follows or bool(_DIFFERENTIAL.match(word)) or self._meets_operator(end))

    def _is_colon(self, place: int) -> bool:
        """Tell whether a colon is one of prose, and not of `a : b` or `f: A \\to B`."""
        text = self.text
        if not text.startswith(" ", place + 1) or text.startswith(" ", place - 1):
            return False
        return not (text[place - 1 : place].islower() and not text[max(0, place - 2) : place - 1].isalnum())

    def _reach(self, begin: int) -> _Reach:
        """Return how far a run comes that begins at a place."""
        text, at, stop = self.text, begin, begin
        opened: list[int] = []
        # Whether an operator, which takes what follows, comes before.
        follows = False
        while at < len(text) and len(opened) < _DEEPEST:
            space = at
            while text.startswith(" ", at):
                at += 1
            if at - space > 2 or at == len(text):
                break
            char = text[at]
            opens = closes = False
            end: int | None = None
            if char == "\\":
                k = self.tokens.at(at)
                if k == len(self.tokens.all):
                    break
                token = self.tokens.all[k]
                name = token["command"]
                opens = name == "left" or token[0] == "\\{"
                closes = name == "right" or token[0] == "\\}"
                is_short = token[0] in SPACES or (name is None and opens != closes)
                end = at + 2 if is_short else self._element(k, is_within=True)
                follows = name in BINARY
            elif char == "(" and at > space and _LABEL.match(text, at):
                break
            elif char in "([":
                opens, end = True, at + 1
            elif char in ")]":
                closes, end = True, at + 1
            elif text.startswith("...", at):
                at, follows = at + 3, False
                continue
            elif char in _OPERATORS:
                if (char == ":" and not opened and self._is_colon(at)) or (char == "<" and _TAG.match(text, at)):
                    break
                at, follows = at + 1, char not in ",:"
                continue
            else:
                end = self._atom(at, at > space, bool(opened), follows) if at > begin or char not in "^_{" else None
                follows = False
            if end is None or (closes and not opened):
                break
            if opens:
                opened.append(at)
                at, follows = end, True
                continue
            if closes:
                opened.pop()
            at = self._scripts(end)
            if not opened:
                stop = at
        return _Reach(stop, opened[0] if opened else at)

    def _atom(self, at: int, is_spaced: bool, is_open: bool, follows: bool) -> int | None:
        """Return the end of a letter, a number, a product, a script, a group or a sign; None if there is none."""
        text, char = self.text, self.text[at]
        if letters := _LETTERS.match(text, at):
            word, end = letters[0], letters.end()
            if function := _FUNCTION.match(text, at):
                return function.end()
            if len(word) == 1:
                is_alone = is_spaced and not follows
                is_article = char in "aAI" and text[end : end + 2].strip(" ").isalpha()
                is_label = char.isupper() and text.startswith((". ", ") "), end)
                # As in "e.g.", and in the genitive of a formula.
                is_short = text.startswith(".", end) and text[end + 1 : end + 2].isalpha()
                is_genitive = char == "s" and text[at - 1] in "'\u2019"
                return None if is_short or is_genitive or (is_alone and (is_article or is_label)) else end
            return end if self._is_product(word, at, end, follows) else None
        if number := _NUMBER.match(text, at):
            end = number.end()
            word = letters[0] if (letters := _LETTERS.match(text, end)) else ""
            return end if len(word) < 2 or self._is_product(word, end, end + len(word), True) else None
        if char in "^_":
            end = self._scripts(at)
            return end if end > at else None
        if char == "{":
            return None if is_spaced else self.tokens.group_end(at)
        if char == "|":
            # With spaces on both sides it parts the cells of a table.
            return None if is_spaced and text.startswith(" ", at + 1) and not is_open else at + 1
        return at + 1 if char == "!" or _is_symbol(char) else None

    def _element(self, i: int, is_within: bool = False) -> int | None:
        """Return the end of a command that is maths, with its arguments, or of an array; None if it is none."""
        token = self.tokens.all[i]
        name, at = token["command"], token.end()
        if name is None:
            is_array = i in self.tokens.ends and token["environment"] in ARRAYS
            return self.tokens.all[self.tokens.ends[i]].end() if is_array else None
        if name in ("left", "right"):
            if self.text.startswith("\\", at):
                return self.tokens.all[i + 1].end() if i + 1 < len(self.tokens.all) else None
            return at + 1 if at < len(self.text) else None
        if name in ALONE:
            # A star is one of Markdown's.
            return self._scripts(at - token[0].endswith("*"))
        if is_within and name in WITHIN:
            return self.tokens.group_end(at) if name[0] in "tm" else at
        if name not in WITH_ARGUMENTS:
            return None
        if name in TWO_ARGUMENTS and (two := _TWO_LETTERS.match(self.text, at)) and two[0][1:].lower() not in WORDS:
            return two.end()
        if self.text.startswith(("[", " ["), at):
            close = self.text.find("]", at, at + 100)
            at = close + 1 if close >= 0 else at
        for _ in range(2 if name in TWO_ARGUMENTS else 1):
            stop = self._argument(at)
            if stop is None:
                return None
            at = stop
        return self._scripts(at)

    def _argument(self, at: int) -> int | None:
        """Return the end of what TeX takes as an argument from here: a group, a command, a letter or digit."""
        text = self.text
        is_spaced = text.startswith(" ", at)
        at += is_spaced
        if text.startswith("{", at):
            return self.tokens.group_end(at)
        if text.startswith("\\", at):
            k = self.tokens.at(at)
            name = self.tokens.all[k]["command"] if k < len(self.tokens.all) else None
            return self.tokens.all[k].end() if name in ALONE else None
        single = text[at : at + 1]
        if single.isdigit() or (single.isalpha() and not (is_spaced and text[at + 1 : at + 2].isalpha())):
            return at + 1
        return None

    def _scripts(self, at: int) -> int:
        """Return the end of the scripts and primes that begin here."""
        text = self.text
        while at < len(text) and text[at] in "_^'":
            if text[at] == "'":
                if text.startswith("s", at + 1) and not text[at + 2 : at + 3].isalpha():
                    # The 's of a genitive.
                    break
                at += 1
                continue
            if text[at] == "^" and text[at + 1 : at + 2] in ("+", "-", "*"):
                at += 2
                continue
            stop = self._argument(at + 1)
            if stop is None:
                break
            at = stop
        return at

    def _trim(self, begin: int, stop: int) -> tuple[int, int]:
        """Return a range without the quote that closes around it, or a bar at its end that none closes or opens."""
        if self.text[begin - 1 : begin] == "'" and self.text[stop - 1] == "'":
            stop -= 1
        run = self.text[begin:stop]
        if run.replace("\\|", "").count("|") % 2:
            if run[0] == "|":
                begin += 1
            elif run[-1] == "|" and run[-2:] != "\\|":
                stop = begin + len(run[:-1].rstrip())
        return begin, stop


def _is_symbol(char: str) -> bool:
    """Tell whether a character is a sign of maths, a superscript or a subscript."""
    return not char.isascii() and (unicodedata.category(char) in ("Sm", "No") or char in "\u00b0\u00b7\u2032")
