r"""Literal ranges: where a text is code, in which nothing is a formula.

- Fenced code (CommonMark 0.31, section 4.5): from a line of three or more backticks or tildes to the next line of as
  many, or to the end; at any indentation, since prompts nest it in lists.
- Indented code (section 4.4): lines that begin with four spaces or a tab, after a blank line or at the start, but not
  in a list, whose items are indented too, and no displayed formula.
- Code spans (section 6.1): between runs of as many backticks, within a paragraph; not TeX's quotes, ``so''.
- `[asy]..[/asy]` (Asymptote), the HTML elements `code`, `pre`, `kbd`, `samp`, `script` and `style`, and the
  environments `verbatim`, `lstlisting`, `minted` and `asy`.

The first that begins counts; what it holds is not looked at. The time is linear in the text's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["find_literals"]

_TAGS = "code|pre|kbd|samp|script|style"
_ENVIRONMENTS = "verbatim|Verbatim|lstlisting|minted|asy"
_OPENING = re.compile(
    r"^[ \t>]*(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})|\\`|(?P<ticks>`+)"
    rf"|(?P<asy>\[asy\])|<(?P<tag>{_TAGS})\b[^<>\n]*>|\\begin\{{(?P<environment>{_ENVIRONMENTS})\*?\}}",
    re.MULTILINE,
)
# One of these is in all of that.
_MARKS = ("`", "~~~", "[asy]", "</", "\\begin{")
_INDENTED = re.compile(r" {4}| {0,3}\t")
_ITEM = re.compile(r"[ \t>]*(?:[-*+•]|\(?(?:\d{1,9}|[A-Za-z])[.)])[ \t]")
_DISPLAYS = ("$$", "\\[", "\\begin{")
_TICKS = re.compile(r"`+")
_PARAGRAPH_END = re.compile(r"\n[ \t\r]*\n")


def find_literals(text: str) -> list[tuple[int, int]]:
    """Return the character ranges of a text that are code, in order; they do not overlap."""
    if not any(mark in text for mark in _MARKS) and not _may_be_indented(text):
        return []
    return list(_Literals(text).ranges())


def _may_be_indented(text: str) -> bool:
    return "\n    " in text or "\t" in text or text.startswith("    ")


def _indented_blocks(text: str) -> Iterator[tuple[int, int]]:
    if not _may_be_indented(text):
        return
    at, start, stop = 0, -1, 0
    may_begin, in_list = True, False
    for line in text.splitlines(keepends=True):
        is_blank = line.isspace()
        is_indented = _INDENTED.match(line) is not None
        if not is_blank:
            if start >= 0 and not is_indented:
                yield start, stop
                start = -1
            if start < 0 and _ITEM.match(line):
                in_list = True
            elif start < 0 and not line[0].isspace():
                in_list = False
            elif start < 0 and is_indented and may_begin and not in_list and not line.lstrip().startswith(_DISPLAYS):
                start = at
            stop = at + len(line.rstrip("\r\n"))
        may_begin = is_blank
        at += len(line)
    if start >= 0:
        yield start, stop


class _Literals:
    def __init__(self, text: str) -> None:
        self.text = text
        # Where runs of backticks of each length stand, from the last to the first.
        self._ticks: dict[int, list[int]] | None = None
        # Closing strings that are known to come no more.
        self._absent: set[str] = set()

    def ranges(self) -> Iterator[tuple[int, int]]:
        text, at = self.text, 0
        blocks = list(_indented_blocks(text))[::-1]
        found = _OPENING.search(text)
        while found or blocks:
            if found and found.start() < at:
                found = _OPENING.search(text, at)
            elif blocks and blocks[-1][0] < at:
                blocks.pop()
            elif found and not (blocks and blocks[-1][0] <= found.start()):
                stop = self._stop(found)
                at = found.end() if stop is None else stop
                if stop is not None:
                    yield (found.start("fence") if found["fence"] else found.start()), stop
            else:
                yield blocks[-1]
                at = blocks.pop()[1]

    def _stop(self, found: re.Match[str]) -> int | None:
        if found["fence"]:
            return self._fence_end(found["fence"], found.end())
        if found["ticks"]:
            return self._span_end(found["ticks"], found.end())
        if found["asy"]:
            return self._after("[/asy]", found.end())
        if found["tag"]:
            return self._after(f"</{found['tag']}>", found.end())
        if found["environment"]:
            return self._after(f"\\end{{{found['environment']}", found.end())
        return None

    def _after(self, closing: str, start: int) -> int | None:
        if closing in self._absent:
            return None
        stop = self.text.find(closing, start)
        if stop < 0:
            self._absent.add(closing)
            return None
        stop += len(closing)
        # The rest of `\end{verbatim*}`.
        return stop + len(self.text[stop : stop + 2].partition("}")[0]) + 1 if closing[0] == "\\" else stop

    def _fence_end(self, fence: str, start: int) -> int:
        closing = re.compile(rf"^[ \t>]*{fence[0]}{{{len(fence)},}}[ \t\r]*$", re.MULTILINE).search(self.text, start)
        return closing.end() if closing else len(self.text)

    def _span_end(self, ticks: str, start: int) -> int | None:
        if self._ticks is None:
            self._ticks = {}
            for run in _TICKS.finditer(self.text):
                self._ticks.setdefault(len(run[0]), []).append(run.start())
            for places in self._ticks.values():
                places.reverse()
        places = self._ticks.get(len(ticks), [])
        while places and places[-1] < start:
            places.pop()
        if not places:
            return None
        stop = places[-1]
        body = self.text[start:stop]
        if _PARAGRAPH_END.search(body) or (len(ticks) == 2 and "''" in body):
            return None
        return stop + len(ticks)
