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
  between them (`\sin \alpha + \ln x`, `x \to 0`). Prose and the punctuation of the sentence end it.

Other commands (`\section{a}`, `\n`) are kept whole, but are no maths, since a backslash also stands in paths and code.
The time is linear in the text's length.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple, get_args

from gpurender.typeset.literal import find_literals

__all__ = ["DOLLARS", "Dollars", "Formula", "Kind", "Scan", "find_formulas", "may_hold_formulas", "scan"]

# The last two are not found in texts: LaTeX that stands by itself, a formula without delimiters, and a document.
Kind = Literal["inline", "display", "environment", "command", "other", "bare", "document"]
Dollars = Literal["auto", "strict", "off"]
DOLLARS: tuple[str, ...] = get_args(Dollars)


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


TABLES = frozenset(
    "longtable longtblr supertabular tabular tabularx tabulary tblr xltabular".split()  # noqa: SIM905
)
# Environments around a table that hold nothing else.
WRAPPERS = frozenset("adjustbox center flushleft flushright sidewaystable threeparttable wraptable".split())  # noqa: SIM905
ENVIRONMENTS = TABLES | frozenset(
    """
    align alignat aligned alignedat array bmatrix Bmatrix cases CD darray dcases displaymath drcases eqnarray equation
    flalign gather gathered math matrix multline multlined pmatrix rcases smallmatrix split subequations table vmatrix
    Vmatrix
    """.split()  # noqa: SIM905
)

# Bare commands that are maths: with arguments, and without.
_WITH_ARGUMENTS = frozenset(
    """
    acute ang bar bm binom boldsymbol boxed breve ce cfrac check dbinom ddot dfrac dot frac grave hat mathbb mathbf
    mathcal mathfrak mathit mathrm mathsf num operatorname overbrace overline overrightarrow overset pu qty SI si sqrt
    stackrel substack tbinom tfrac tilde underbrace underline underset unit vec widehat widetilde xleftarrow xrightarrow
    """.split()  # noqa: SIM905
)
_TWO = frozenset("binom cfrac dbinom dfrac frac overset qty SI stackrel tbinom tfrac underset".split())  # noqa: SIM905
_BINARY = frozenset(
    """
    approx ast bmod cap cdot circ cong cup div equiv ge geq geqslant gg iff implies in leftarrow leftrightarrow le leq
    leqslant ll Leftarrow Leftrightarrow longrightarrow mapsto mid mp ne neq ni notin odot oplus otimes parallel perp pm
    prec propto rightarrow Rightarrow rightleftharpoons sim simeq subset subseteq succ supset supseteq times to vee
    wedge
    """.split()  # noqa: SIM905
)
_ALONE = _BINARY | frozenset(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho varrho
    sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    aleph angle arccos arcsin arctan because cdots cos cosh cot csc ddots deg det dim dots ell emptyset exists exp
    forall gcd hbar iiint iint Im inf infty int ker langle lceil ldots lfloor lg lim ln log max min nabla oint partial
    prime prod quad qquad rangle rceil Re rfloor sec sin sinh square sum sup tan tanh therefore triangle varnothing
    vdots
    """.split()  # noqa: SIM905
)

# One step of the reader: an escaped character, a command, a delimiter, a brace, a blank line.
_TOKEN = re.compile(
    r"\\(?:begin|end)[ ]?\{(?P<environment>[A-Za-z]+)\*?\}|\\(?P<command>[A-Za-z]+)\*?|\\.|\$\$?|[{}]|\n[ \t]*(?=\n)",
    re.DOTALL,
)
_BARRIER = "\0"  # in place of code
_COMMAND = re.compile(r"\\(?:[A-Za-z]{2,}|[cCgGhHiIjJklLmMoOpPqQRTyY](?![A-Za-z])|[$%&#_{},;:! ])")
_SCRIPT = re.compile(
    r"[A-Za-z0-9)\]}|'\u0370-\u03ff\u2070-\u209c\u2100-\u214f]\s*(?:[\^_]\s*[A-Za-z0-9({\\*+-]|[\u00b2\u00b3\u00b9\u2070-\u209c])"
)
_BRACES = re.compile(r"\{[^{}]*\}")
# The word is possessive and begins where letters begin, so that a long one is read once.
_PROSE = re.compile(
    r"(?<![A-Za-z])[A-Za-z]{2,}+\s+[A-Za-z]{2}|[^\W\d_A-Za-z\u00b2\u00b3\u00b9\u0370-\u03ff\u2070-\u209c\u2100-\u214f\U0001d400-\U0001d7ff]{2}"
)
_LOWER_PROSE = re.compile(r"(?<![A-Za-z\\])[a-z]{2,}+\s+[a-z]{3}")
_ENGLISH = re.compile(
    r"\b(?:an?d|are|as|at|be|by|cents?|dollars?|each|for|from|he|if|in|is|it|of|on|or|per|she|so|than|that|the|then|they|to"
    r"|was|we|were|with|you)\b"
)
_CODE = re.compile(
    r"[\"`#@]|::|&&|<<|>>|<-(?![\d(\\])|==|[-=]>\s*[A-Za-z_]\w+|(?:^|[\s(\[=,{])'|\?>|;\s*$|[a-z]{2}_[a-z]{2}|//"
    r"|\.\*|\(\?|\[\^|\[[a-zA-Z0]-[a-zA-Z9]"
)
_WORD = re.compile(r"(?!(?:sin|cos|tan|log|ln|max|min|gcd|mod|lim)\b)[^\W\d_A-Z]{2,}+(?![\^_=(])")
_VARIABLE = re.compile(r"[A-Za-wyz]|x\S|\Sx")
_IDENTIFIER = re.compile(r"[A-Za-z_]{2,}")
# A bracket of Markdown, or of a regular expression, that is no delimiter.
_ESCAPED = re.compile(r"\d+|\^.*|\w{2,}(?: \w+)*")
_REGEX = re.compile(r"\.\*|\(\?|\[\^|\\[dDwWsSbB](?![A-Za-z])|\[[a-zA-Z0]-[a-zA-Z9]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_LEFT = re.compile(
    r"(?:(?<![\w\\$.^])(?:[A-Za-z]|\d+(?:\.\d+)?)(?:\^\w|_\w)?'{0,2}(?:\([^()\n$\\]{0,20}\))?"
    r"(?: ?[-+=<>*/] ?| ?(?=$)))+$"
)
_LOOK_LEFT = 60  # characters
_DEEPEST = 16  # brackets in each other in a run: what is never closed is looked at so often


class _Mark:
    """A step that is no match of `_TOKEN`, and looks like one."""

    def __init__(self, text: str, start: int, stop: int) -> None:
        self._text, self._start, self._stop = text, start, stop

    def __getitem__(self, group: int | str) -> Any:
        return self._text if group == 0 else None

    def start(self) -> int:
        return self._start

    def end(self) -> int:
        return self._stop


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
    return "^" in text or "{" in text or not all(map(_PROSE.search, parts[1:-1]))


class _Scanner:
    def __init__(self, text: str, dollars: Dollars, literals: tuple[tuple[int, int], ...]) -> None:
        self.text = text
        self.dollars = dollars
        self.tokens = _tokens(text, literals)
        self.starts = [token.start() for token in self.tokens]
        self.barriers = [i for i, token in enumerate(self.tokens) if token[0] == _BARRIER] if literals else []
        self.partner = self._match_braces() if "{" in text else {}
        self.ends = self._match_environments() if "\\begin" in text else {}
        self.commands: list[tuple[int, int]] = []
        self.rejected: list[tuple[int, int]] = []
        # Where the next of each closing delimiter stands, for \( and \[.
        self.closers = {
            closer: [i for i, token in enumerate(self.tokens) if token[0] == closer] if closer in text else []
            for closer in ("\\)", "\\]")
        }

    def _match_braces(self) -> dict[int, int]:
        """Token of each `{` to the token of its `}`; a blank line closes nothing and opens nothing."""
        open_, partner = [], {}
        for i, token in enumerate(self.tokens):
            if token[0] == "{":
                open_.append(i)
            elif token[0] == "}" and open_:
                partner[open_.pop()] = i
            elif token[0][0] == "\n" or token[0] == _BARRIER:
                open_.clear()
        return partner

    def _match_environments(self) -> dict[int, int]:
        """Token of each `\\begin{x}` to the token of the `\\end{x}` that closes it."""
        open_: dict[str, list[int]] = {}
        ends = {}
        for i, token in enumerate(self.tokens):
            if token[0] == _BARRIER:
                open_.clear()
            elif token["environment"] in ENVIRONMENTS or token["environment"] in WRAPPERS:
                stack = open_.setdefault(token["environment"], [])
                if token[0].startswith("\\begin"):
                    stack.append(i)
                elif stack:
                    ends[stack.pop()] = i
        return ends

    @cached_property
    def is_even(self) -> list[bool]:
        """Whether the paragraph of each token has an even number of single dollars."""
        is_even: list[bool] = []
        count = first = 0
        for i, token in enumerate(self.tokens):
            if token[0][0] == "\n":
                is_even += [count % 2 == 0] * (i + 1 - first)
                count, first = 0, i + 1
            count += token[0] == "$"
        return is_even + [count % 2 == 0] * (len(self.tokens) - first)

    def formulas(self) -> Iterator[Formula]:
        i, path, at = 0, -1, 0
        while i < len(self.tokens):
            found = self._formula(i, at)
            if found is None:
                i += 1
                continue
            if found.kind == "command" and (found.start == path or self._is_path(found.start)):
                # In a path, such as C:\new\times, what follows a command that is no maths is none.
                found = Formula(self.tokens[i].start(), self._arguments(i), "other")
            if found.kind == "other":
                # One letter is an escape, of a string or a regular expression.
                is_word = len(self.tokens[i]["command"] or "") > 1
                if is_word and found.start != path and not self._is_path(found.start):
                    self.commands.append((found.start, found.stop))
                path = found.stop
            else:
                path = -1
            at = found.stop
            yield found
            i = bisect_left(self.starts, found.stop, lo=i + 1)

    def left(self, formulas: tuple[Formula, ...]) -> Iterator[tuple[int, int]]:
        """What looks like LaTeX and is no formula; call it when the formulas are known."""
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

    def _is_path(self, start: int) -> bool:
        """Whether a backslash follows a drive's colon or a word, as in `C:\\tau` and `src\\beta`."""
        before = self.text[max(0, start - 2) : start]
        return before.endswith(":") or (len(before) == 2 and before.isalpha() and before.isascii())

    def _formula(self, i: int, at: int) -> Formula | None:
        token = self.tokens[i]
        if token[0] in ("$", "$$"):
            return None if self.dollars == "off" else self._dollars(i)
        if token[0] in ("\\(", "\\["):
            closer = self.closers["\\)" if token[0] == "\\(" else "\\]"]
            k = bisect_left(closer, i)
            if k < len(closer) and not self._is_barred(i, closer[k]):
                end = self.tokens[closer[k]]
                body = self.text[token.end() : end.start()]
                if body.strip() and (_COMMAND.search(body) or not (_REGEX.search(body) or _ESCAPED.fullmatch(body))):
                    return Formula(token.start(), end.end(), "inline" if token[0] == "\\(" else "display")
        elif i in self.ends:
            if token["environment"] in ENVIRONMENTS or self._holds_table(i, self.ends[i]):
                return Formula(token.start(), self.tokens[self.ends[i]].end(), "environment")
        elif token["command"] in ("resizebox", "scalebox"):
            stop = self._arguments(i)
            if self._holds_table(i, bisect_left(self.starts, stop)):
                return Formula(token.start(), stop, "environment")
            return Formula(token.start(), stop, "other")
        elif token["command"]:
            return self._bare(i, at)
        return None

    def _is_barred(self, i: int, k: int) -> bool:
        return bisect_left(self.barriers, i) != bisect_left(self.barriers, k)

    def _holds_table(self, i: int, k: int) -> bool:
        return any(token["environment"] in TABLES for token in self.tokens[i + 1 : k])

    def _dollars(self, i: int) -> Formula | None:
        token = self.tokens[i]
        k = i + 1
        while k < len(self.tokens):
            other = self.tokens[k]
            if other[0] == "{":
                # What stands in braces belongs to the formula around it.
                if k not in self.partner:
                    return None
                k = self.partner[k]
            elif other[0] in ("}", _BARRIER):
                return None
            elif other[0][0] == "\n":
                after = self._after_space(k)
                begins = not self.text[token.end() : other.start()].strip()
                ends = after < len(self.tokens) and self.tokens[after][0] == "$$" and self._is_blank(k, after)
                if token[0] == "$" or not (begins or ends):
                    return None
                k = after
                continue
            elif other[0][0] == "$":
                break
            k += 1
        else:
            return None
        stop = other.start() + len(token[0])
        body = self.text[token.end() : other.start()]
        if token[0] == "$$":
            if other[0] != "$$" or not body.strip():
                return None
            if not _COMMAND.search(body) and not _SCRIPT.search(body):
                follows, meets = body[0].isalnum(), self.text[stop : stop + 1].isalnum()
                if _PROSE.search(body) or _CODE.search(body) or body[0] == ";" or (follows and meets):
                    return None
            return Formula(token.start(), stop, "display")
        if not body.strip():
            return None
        if not (self._is_strict(body, stop) if self.dollars == "strict" else self._is_maths(i, body, stop)):
            if _COMMAND.search(body) or _SCRIPT.search(body):
                self.rejected.append((token.start(), stop))
            return None
        if other[0] == "$$":
            # `$x$$y$`: its second half opens the next one.
            self.tokens[k] = _Mark("$", stop, stop + 1)
            self.starts[k] = stop
        return Formula(token.start(), stop, "inline")

    def _is_strict(self, body: str, stop: int) -> bool:
        return not (body[0].isspace() or body[-1].isspace() or self.text[stop : stop + 1].isdigit())

    def _is_maths(self, i: int, body: str, stop: int) -> bool:
        """Whether what stands between two single dollars is a formula, by the signs that are listed above."""
        has_command = _COMMAND.search(body)
        if has_command and not _LOWER_PROSE.search(body):
            return True
        bare = body
        while "{" in bare and (less := _BRACES.sub(" ", bare)) != bare:
            bare = less
        if has_command:
            return not (_LOWER_PROSE.search(bare) and (_ENGLISH.search(bare) or body[-1].isspace()))
        start = self.tokens[i].start()
        before, after = self.text[start - 1 : start], self.text[stop : stop + 1]
        follows_word = before.isascii() and (before.isalnum() or before in ("_", ")", "]"))
        meets_word = after.isascii() and (after.isalnum() or after in ("_", "{"))
        opens, closes = body[0].isspace(), body[-1].isspace()
        if after.isdigit() or after in ("_", "{") or (follows_word and meets_word):
            return False
        if closes and (meets_word or after in ("(", "[", "-", "'", '"', "/", "$", "@", "#")):
            return False
        if (
            body.rstrip()[-1] in "=+-*/<>"
            and any(map(str.isdigit, body))
            and (opens or closes or not _VARIABLE.search(body))
        ):
            # A price, and what it comes to.
            return False
        if (opens and follows_word) or ((opens or closes) and _WORD.search(body)):
            return False
        if _CODE.search(bare) or _PROSE.search(bare) or _ENGLISH.search(bare):
            return False
        is_closed = sum(map(bare.count, "([")) == sum(map(bare.count, ")]"))
        if not is_closed and (follows_word or meets_word or not any(map(body.__contains__, "=+<>"))):
            return False
        has_script = _SCRIPT.search(body) is not None
        if follows_word and (before.isdigit() or not (has_script or "=" in body or len(body) == 1)):
            return False
        words = _IDENTIFIER.match(body)
        if meets_word and not has_script and (words or not (body[-1].isalnum() or body[-1] in ")]'!|")):
            return False
        if after == "(" and (words or body[0] == "("):
            return False
        if (opens or closes) and not self.is_even[i]:
            return False
        # One word of small letters is a name.
        return not (body.islower() and body.isalpha() and body.isascii() and len(body) > 4 and len(set(body)) > 1)

    def _is_blank(self, k: int, after: int) -> bool:
        return not self.text[self.tokens[k].start() : self.tokens[after].start()].strip()

    def _after_space(self, k: int) -> int:
        """The first token from k on that stands behind the white space k begins with."""
        at = self.tokens[k].start()
        while self.text[at : at + 1].isspace():
            at += 1
        return bisect_left(self.starts, at, lo=k + 1)

    def _bare(self, i: int, at: int) -> Formula:
        """A run of bare LaTeX that begins with a command, or the command if that is no maths."""
        token = self.tokens[i]
        stop = self._element(i)
        if stop is not None:
            stop = self._run_end(stop, token["command"] == "left")
        if stop is None:
            return Formula(token.start(), self._arguments(i), "other")
        start = token.start()
        left = _LEFT.search(self.text, max(at, start - _LOOK_LEFT), start)
        if left and (token["command"] in _BINARY or left[0][-1] != " " or left[0].rstrip()[-1] in "-+=<>*/"):
            start = left.start()
        return Formula(start, stop, "command")

    def _element(self, i: int) -> int | None:
        """The end of a command that is maths, and its arguments; None if it is none."""
        token = self.tokens[i]
        name = token["command"]
        if name in ("left", "right"):
            at = token.end()
            if at < len(self.text) and self.text[at] == "\\":
                return self.tokens[i + 1].end()
            return at + 1 if at < len(self.text) else None
        if name in _ALONE:
            return self._arguments(i)
        if name not in _WITH_ARGUMENTS:
            return None
        at, count = token.end(), 0
        while count < (2 if name in _TWO else 1):
            stop = self._argument(at, count == 0)
            if stop is None:
                return None
            at, count = stop, count + 1
        return self._scripts(at)

    def _argument(self, at: int, first: bool) -> int | None:
        """The end of what TeX takes as an argument from here: a group, a command, a letter or digit."""
        text = self.text
        if first and text.startswith("[", at):
            close = text.find("]", at, at + 100)
            at = close + 1 if close >= 0 else at
        is_near = not text.startswith(" ", at)
        at += not is_near
        if text.startswith("{", at):
            brace = bisect_left(self.starts, at)
            return self.tokens[self.partner[brace]].end() if brace in self.partner else None
        if text.startswith("\\", at):
            k = bisect_left(self.starts, at)
            return self.tokens[k].end() if k < len(self.tokens) and self.tokens[k]["command"] in _ALONE else None
        single = text[at : at + 1]
        if single.isdigit() or (single.isalpha() and not (not is_near and text[at + 1 : at + 2].isalpha())):
            return at + 1
        return None

    def _run_end(self, at: int, is_open: bool) -> int | None:
        r"""Where a run of bare LaTeX ends that has come so far; None if a `\left` it begins with is never closed."""
        text, depth = self.text, int(is_open)
        stop = None if is_open else at
        while at < len(text) and depth < _DEEPEST:
            space = at
            while text[at : at + 1] == " ":
                at += 1
            if at - space > 2 or at == len(text):
                break
            char = text[at]
            if char == "\\":
                k = bisect_left(self.starts, at)
                if k in self.ends and self.tokens[k]["environment"] not in TABLES:
                    end: int | None = self.tokens[self.ends[k]].end()
                elif self.tokens[k][0] in ("\\,", "\\;", "\\:", "\\!", "\\{", "\\}", "\\|", "\\%"):
                    end = at + 2
                else:
                    end = self._element(k) if self.tokens[k]["command"] else None
                if end is None or (self.tokens[k]["command"] == "right" and not depth):
                    break
                depth += {"left": 1, "right": -1}.get(self.tokens[k]["command"] or "", 0)
                at = end
            elif char.isascii() and char.isalpha():
                is_word = text[at + 1 : at + 2].isalpha()
                if is_word or (
                    char in "aAI" and space < at and text[at + 1 : at + 2] == " " and text[at + 2 : at + 4].isalpha()
                ):
                    break
                at = self._scripts(at + 1)
            elif char.isdigit():
                number = _NUMBER.match(text, at)
                if number is None:
                    break
                at = self._scripts(number.end())
            elif char in "([":
                depth += 1
                at += 1
                continue
            elif char in ")]" and depth:
                depth -= 1
                at = self._scripts(at + 1)
            elif char in "^_":
                end = self._scripts(at)
                if end == at:
                    break
                at = end
            elif char == "{" and space == at:
                brace = bisect_left(self.starts, at)
                if brace not in self.partner:
                    break
                at = self.tokens[self.partner[brace]].end()
            elif char in "+-=<>*/|,:" or unicodedata.category(char) == "Sm":
                at += 1
                continue
            elif char not in "'!":
                break
            else:
                at += 1
            if not depth:
                stop = at
        return stop

    def _scripts(self, at: int) -> int:
        """The end of the scripts and primes that begin here."""
        text = self.text
        while at < len(text) and text[at] in "_^'":
            if text[at] == "'":
                at += 1
                continue
            stop = self._argument(at + 1, False)
            if stop is None:
                break
            at = stop
        return at

    def _arguments(self, i: int) -> int:
        """The end of a command and what belongs to it: [..] and {..} groups, and scripts set with _ or ^."""
        at = self.tokens[i].end()
        text = self.text
        while at < len(text):
            script = text[at] in "_^"
            next_ = at + 1 if script else at
            if text.startswith("{", next_):
                brace = bisect_left(self.starts, next_)
                if brace not in self.partner:
                    break
                at = self.tokens[self.partner[brace]].end()
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


def _tokens(text: str, literals: tuple[tuple[int, int], ...]) -> list[re.Match[str] | _Mark]:
    """Return the steps through a text, with a barrier in place of each piece of code."""
    tokens: list[re.Match[str] | _Mark] = []
    at = 0
    for start, stop in (*literals, (len(text), len(text))):
        tokens += _TOKEN.finditer(text, at, start)
        if start < stop:
            tokens.append(_Mark(_BARRIER, start, stop))
        at = max(at, stop)
    return tokens
