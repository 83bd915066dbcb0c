r"""Dollars: whether what stands between two of them is a formula.

Prices, variables of shells, PHP, Perl, R, jQuery and SCSS, references of spreadsheets and regular expressions have
dollars too. Each function takes the text between, and here are the signs that speak against a formula.
"""

from __future__ import annotations

import re

__all__ = ["ENTITY", "PROSE", "is_bracketed", "is_display", "is_inline", "is_strict", "looks_like_latex"]

_COMMAND = re.compile(r"\\(?:[A-Za-z]{2,}|[cCgGhHiIjJklLmMoOpPqQRTyY](?![A-Za-z])|[$%&#_{},;:! ])")
_SCRIPT = re.compile(
    r"[A-Za-z0-9)\]}|'\u0370-\u03ff\u2070-\u209c\u2100-\u214f]\s*(?:[\^_]\s*[A-Za-z0-9({\\*+-]|[\u00b2\u00b3\u00b9\u2070-\u209c])"
)
_BRACE = re.compile(r"[{}]")
# The word is possessive and begins where letters begin, so that a long one is read once.
PROSE = re.compile(
    r"(?<![A-Za-z])[A-Za-z]{2,}+\s+[A-Za-z]{2}|[^\W\d_A-Za-z\u00b2\u00b3\u00b9\u0370-\u03ff\u2070-\u209c\u2100-\u214f\U0001d400-\U0001d7ff]{2}"
)
_LOWER_PROSE = re.compile(r"(?<![A-Za-z\\])[a-z]{2,}+\s+[a-z]{3}")
_ENGLISH = re.compile(
    r"\b(?:an?d|are|as|at|be|by|cents?|dollars?|each|for|from|he|if|in|is|it|of|on|or|per|she|so|than|that|the|then|they|to"
    r"|was|we|were|with|you)\b"
)
# A character as HTML writes it.
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_CODE = re.compile(
    r"[\"`#@]|::|&&|<<|>>|<-(?![\d(\\])|==|[-=]>\s*[A-Za-z_]\w+|(?:^|[\s(\[=,{])'|\?>|;\s*$|[a-z]{2}_[a-z]{2}|//"
    r"|\.\*|\(\?|\[\^|\[[a-zA-Z0]-[a-zA-Z9]|^\s*\|\^|\\[dDwWsS][+*?{]"
)
_WORD = re.compile(r"(?!(?:sin|cos|tan|log|ln|max|min|gcd|mod|lim)\b)[^\W\d_A-Z]{2,}+(?![\^_=(])")
_VARIABLE = re.compile(r"[A-Za-wyz]|x\S|\Sx")
_IDENTIFIER = re.compile(r"[A-Za-z_]{2,}")
# A bracket of Markdown, or of a regular expression, that is no delimiter.
_ESCAPED = re.compile(r"\d+|\^.*|\w{2,}(?: \w+)*")
_REGEX = re.compile(r"\.\*|\(\?|\[\^|\\[dDwWsSbB](?![A-Za-z])|\[[a-zA-Z0]-[a-zA-Z9]")
# Two ratings of restaurants, and what stands between.
_BETWEEN = re.compile(r"[\s\-\u2013\u2014/|,.&]*")


def looks_like_latex(body: str) -> bool:
    r"""Tell whether there is a command, or a script set with `^` or `_` or characters for scripts."""
    return bool(_COMMAND.search(body) or _SCRIPT.search(body))


def is_bracketed(body: str) -> bool:
    r"""Tell whether `\(..\)` or `\[..\]` with this inside is a formula, and no escaped bracket."""
    return bool(body.strip()) and bool(_COMMAND.search(body) or not (_REGEX.search(body) or _ESCAPED.fullmatch(body)))


def is_display(body: str, after: str) -> bool:
    """Tell whether `$$..$$` with this inside is a formula; `after` is the character behind it, or empty."""
    if not body.strip():
        return False
    if looks_like_latex(body):
        return True
    if body[0] == ";" or (body[0].isalnum() and after.isalnum()):
        return False
    return not (PROSE.search(body) or _CODE.search(body) or _BETWEEN.fullmatch(body))


def is_strict(body: str, after: str) -> bool:
    """Tell whether `$..$` with this inside is a formula by Pandoc's rule."""
    return not (body[0].isspace() or body[-1].isspace() or after.isdigit())


def is_inline(text: str, start: int, stop: int, is_even: bool) -> bool:
    """Tell whether `$..$` is a formula where dollars also have other uses.

    Args:
        text: The text.
        start: Where the opening dollar stands.
        stop: Where the closing one ends.
        is_even: Whether the paragraph has an even number of dollars; asked where spaces stand beside these.
    """
    body = text[start + 1 : stop - 1]
    if "&" in body:
        # A character of HTML says nothing by the letters that it is written with.
        body = ENTITY.sub("+", body)
    has_command = _COMMAND.search(body)
    if has_command and not _LOWER_PROSE.search(body):
        if body[-1] != " ":
            return True
        # Prices, as in "$5 \times 3 = $15" and "$10, \pi or $x$".
        after = text[stop : stop + 1]
        is_price = after.isdigit() and body.rstrip()[-1] in "=+-*/<>"
        return not (is_price or (body[0].isdigit() and after.isascii() and after.isalpha()))
    bare = _outside_braces(body)
    if has_command:
        return not (_LOWER_PROSE.search(bare) and (_ENGLISH.search(bare) or body[-1].isspace()))
    before, after = text[max(0, start - 1) : start], text[stop : stop + 1]
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
        and (opens or closes or "\n" in body or text.startswith("<<", stop) or not _VARIABLE.search(body))
    ):
        # A price, and what it comes to.
        return False
    first, following = body.lstrip()[0], text[stop : stop + 9].lstrip()[:1]
    if first in ",;" or (opens and first.isdigit() and following.isdigit()):
        # What stands between two prices.
        return False
    if (opens and follows_word) or ((opens or closes) and _WORD.search(body)):
        return False
    if _CODE.search(bare) or PROSE.search(bare) or _ENGLISH.search(bare):
        return False
    is_closed = sum(map(bare.count, "([")) == sum(map(bare.count, ")]"))
    if not is_closed and (follows_word or meets_word or not any(map(body.__contains__, "=+<>"))):
        return False
    has_script = _SCRIPT.search(body) is not None
    if follows_word and (before.isdigit() or not (has_script or "=" in body or len(body) == 1)):
        return False
    words = _IDENTIFIER.match(body)
    ends = body[-1].isalnum() or body[-1] in ")]'!" or (body[-1] == "|" and body.count("|") % 2 == 0)
    if meets_word and not has_script and (words or not ends):
        return False
    if after == "(" and (words or body[0] == "("):
        return False
    if (opens or closes) and not is_even:
        return False
    # One word of small letters is a name.
    return not (body.islower() and body.isalpha() and body.isascii() and len(body) > 4 and len(set(body)) > 1)


def _outside_braces(body: str) -> str:
    """Return a text with each outermost pair of braces, and what is in it, as one space."""
    if "{" not in body:
        return body
    pieces, depth, at = [], 0, 0
    for brace in _BRACE.finditer(body):
        if depth == 0:
            pieces.append(body[at : brace.start()])
        depth = max(0, depth + (1 if brace[0] == "{" else -1))
        at = brace.end()
    pieces.append(body[at:])
    return " ".join(pieces)
