r"""Where LaTeX is in a text: the one scanner, used by typesetting and by span localisation.

What counts as a formula, read from left to right, each beginning where the last one ended:

- `$$..$$`, `\[..\]`, `\(..\)`, and `$..$`. Dollars have no blank line inside, `$$` but at its very end. As in Pandoc,
  an opening `$` has no space after it, a closing one no space before it and no digit after it; spaces on both sides
  (`$ x $`) are also taken where no word stands between. A `$` inside braces, as in `\mbox{..}` and `\text{..}`, belongs
  to the formula around it.
- Two prices are not a formula: what stands between single dollars without a command, a `^` or a `_{`, and reads as
  prose (two words in a row, or letters that are neither Latin nor Greek), is none (`$5 for the cat and 3$`).
- `\begin{..}..\end{..}` of an environment that sets maths or a table.
- A bare command with its arguments: `\frac{a}{b}`, `\sqrt[3]{x}`, `\alpha_{1}` are maths; others (`\section{a}`, `\n`)
  are kept whole, but are no maths, since a backslash also stands in paths and code.

Nothing inside a fenced code block (three backticks or tildes at a line's start) is a formula. The time is linear in the
text's length.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal, NamedTuple

__all__ = ["Formula", "Kind", "find_formulas"]

# The last two are not found in texts: LaTeX that stands by itself, a formula without delimiters, and a document.
Kind = Literal["inline", "display", "environment", "command", "other", "bare", "document"]


class Formula(NamedTuple):
    """A formula's character range, delimiters included; or, of kind `"other"`, a command's that is no maths."""

    start: int
    stop: int
    kind: Kind


ENVIRONMENTS = frozenset(
    """
    align alignat aligned alignedat array bmatrix Bmatrix cases displaymath dcases eqnarray equation flalign gather
    gathered math matrix multline pmatrix rcases smallmatrix split subequations table tabular tabularx vmatrix Vmatrix
    """.split()  # noqa: SIM905
)

# Bare commands that are maths: with arguments, and without.
_WITH_ARGUMENTS = frozenset(
    """
    bar binom boxed cfrac dbinom ddot dfrac dot frac hat mathbb mathbf mathcal mathfrak mathrm mathsf operatorname
    overline overrightarrow sqrt tbinom tfrac tilde underline vec widehat widetilde
    """.split()  # noqa: SIM905
)
_ALONE = frozenset(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho varrho
    sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    angle approx cap cdot cdots circ cong cup div emptyset equiv exists forall geq geqslant iff iiint iint implies infty
    int ldots leftarrow leftrightarrow Leftrightarrow leq leqslant lim mapsto mp nabla neq notin oint oplus otimes
    parallel partial perp pm prod propto rightarrow Rightarrow sim simeq subset subseteq sum supset supseteq therefore
    times triangle varnothing vdots vee wedge
    """.split()  # noqa: SIM905
)

# One step of the reader: an escaped character, a command, a delimiter, a brace, a blank line, a code fence.
_TOKEN = re.compile(
    r"(?P<fence>^[ \t]*(?:```|~~~))|\\(?:begin|end)[ ]?\{(?P<environment>[A-Za-z]+)\*?\}|\\(?P<command>[A-Za-z]+)\*?"
    r"|\\.|\$\$?|[{}]|\n[ \t]*\n",
    re.DOTALL | re.MULTILINE,
)
_FENCE_END = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*$", re.MULTILINE)
_MATHS = re.compile(r"\\[A-Za-z]|\^|_\{")
# The word is possessive and begins where letters begin, so that a long one is read once.
_PROSE = re.compile(r"(?<![A-Za-z])[A-Za-z]{2,}+\s+[A-Za-z]{2}|[^\W\d_A-Za-z\u0370-\u03ff\U0001d400-\U0001d7ff]{2}")
_VARIABLE = re.compile(r"[A-Z_][A-Z_0-9]+(?![A-Za-z])")
_WORD = re.compile(r"[^\W\d_]{2,}")


class _Token(NamedTuple):
    text: str
    start: int
    stop: int
    command: str | None
    environment: str | None


def find_formulas(text: str) -> list[Formula]:
    """Every formula of a text, from left to right; they do not overlap."""
    return list(_Scanner(text).formulas()) if _may_hold_formulas(text) else []


def _may_hold_formulas(text: str) -> bool:
    """Whether it is worth a closer look: most texts with dollars have prices in them, and prose between those."""
    if "\\" in text:
        return True
    parts = text.split("$")
    if len(parts) < 3:
        return False
    return "^" in text or "{" in text or not all(map(_PROSE.search, parts[1:-1]))


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.starts = [token.start for token in self.tokens]
        self.partner = self._match_braces()
        self.ends = self._match_environments()
        # Where the next of each closing delimiter stands, for \( and \[.
        self.closers = {
            closer: [i for i, token in enumerate(self.tokens) if token.text == closer] for closer in ("\\)", "\\]")
        }

    def _match_braces(self) -> dict[int, int]:
        """Token of each `{` to the token of its `}`; a blank line closes nothing and opens nothing."""
        open_, partner = [], {}
        for i, token in enumerate(self.tokens):
            if token.text == "{":
                open_.append(i)
            elif token.text == "}" and open_:
                partner[open_.pop()] = i
            elif token.text[0] == "\n":
                open_.clear()
        return partner

    def _match_environments(self) -> dict[int, int]:
        """Token of each `\\begin{x}` to the token of the `\\end{x}` that closes it."""
        open_: dict[str, list[int]] = {}
        ends = {}
        for i, token in enumerate(self.tokens):
            if token.environment in ENVIRONMENTS:
                stack = open_.setdefault(token.environment, [])
                if token.text.startswith("\\begin"):
                    stack.append(i)
                elif stack:
                    ends[stack.pop()] = i
        return ends

    def formulas(self) -> Iterator[Formula]:
        i, path = 0, -1
        while i < len(self.tokens):
            found = self._formula(i)
            if found is None:
                i += 1
            else:
                # In a path, such as C:\new\times, what follows a command that is no maths is none.
                if found.kind == "command" and (found.start == path or self.text[found.start - 1 : found.start] == ":"):
                    found = found._replace(kind="other")
                path = found.stop if found.kind == "other" else -1
                yield found
                i = bisect_left(self.starts, found.stop, lo=i + 1)

    def _formula(self, i: int) -> Formula | None:
        token = self.tokens[i]
        if token.text in ("$", "$$"):
            return self._dollars(i)
        if token.text in ("\\(", "\\["):
            closer = self.closers["\\)" if token.text == "\\(" else "\\]"]
            k = bisect_left(closer, i)
            if k < len(closer):
                return Formula(token.start, self.tokens[closer[k]].stop, "inline" if token.text == "\\(" else "display")
        elif i in self.ends:
            return Formula(token.start, self.tokens[self.ends[i]].stop, "environment")
        elif token.command:
            stop = self._arguments(i)
            name = token.command
            is_maths = name in _ALONE or (name in _WITH_ARGUMENTS and self.text[stop - 1] == "}")
            return Formula(token.start, stop, "command" if is_maths else "other")
        return None

    def _dollars(self, i: int) -> Formula | None:
        token = self.tokens[i]
        k = i + 1
        while k < len(self.tokens):
            other = self.tokens[k]
            if other.text == "{":
                # What stands in braces belongs to the formula around it.
                if k not in self.partner:
                    return None
                k = self.partner[k]
            elif other.text == "}":
                return None
            elif other.text[0] == "\n":
                k = self._after_space(k)
                if token.text == "$" or k == len(self.tokens) or self.tokens[k].text != "$$":
                    return None
                continue
            elif other.text[0] == "$":
                break
            k += 1
        else:
            return None
        stop = other.start + len(token.text)
        body = self.text[token.stop : other.start]
        if token.text == "$$":
            return Formula(token.start, stop, "display") if other.text == "$$" and body.strip() else None
        if not body.strip() or self.text[stop : stop + 1].isdigit() or not _is_formula(body):
            return None
        if _VARIABLE.match(body) and _VARIABLE.match(self.text, stop):
            # $HOME/bin:$PATH
            return None
        if other.text == "$$":
            # `$x$$y$`: its second half opens the next one.
            self.tokens[k] = other._replace(text="$", start=stop)
            self.starts[k] = stop
        return Formula(token.start, stop, "inline")

    def _after_space(self, k: int) -> int:
        """The first token from k on that stands behind the white space k begins with."""
        at = self.tokens[k].start
        while self.text[at : at + 1].isspace():
            at += 1
        return bisect_left(self.starts, at, lo=k)

    def _arguments(self, i: int) -> int:
        """The end of a command and what belongs to it: [..] and {..} groups, and scripts set with _ or ^."""
        at = self.tokens[i].stop
        text = self.text
        while at < len(text):
            script = text[at] in "_^"
            next_ = at + 1 if script else at
            if text.startswith("{", next_):
                brace = bisect_left(self.starts, next_)
                if brace not in self.partner:
                    break
                at = self.tokens[self.partner[brace]].stop
            elif text.startswith("[", next_) and not script:
                close = text.find("]", next_, next_ + 100)
                if close < 0 or not text.startswith(("{", "["), close + 1):
                    break
                at = close + 1
            elif script and next_ < len(text) and text[next_].isalnum():
                at = next_ + 1
            else:
                break
        return at


def _tokens(text: str) -> Iterator[_Token]:
    """The steps through a text, code blocks left out."""
    at = 0
    while match := _TOKEN.search(text, at):
        at = match.end()
        if match["fence"] is not None:
            close = _FENCE_END.search(text, at)
            at = close.end() if close else len(text)
            continue
        if match[0][0] == "\n":
            # The second line end may begin the next blank line, or a fence's line.
            at -= 1
        yield _Token(match[0], match.start(), match.end(), match["command"], match["environment"])


def _is_formula(body: str) -> bool:
    """Whether what stands between two single dollars reads as maths and not as prose between two prices."""
    spaced = body[0].isspace(), body[-1].isspace()
    if any(spaced) and not all(spaced):
        return False
    if _MATHS.search(body):
        return True
    return not (_WORD if all(spaced) else _PROSE).search(body)
