"""Context: the prompt that a page shows a part of, so that the part looks as it would within it."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Context"]

_LINE_END = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


class Context(NamedTuple):
    """A text, and where in it a page's part begins."""

    text: str
    start: int

    def around(self, stop: int) -> tuple[str, str]:
        """Return the rest of the first and of the last paragraph of the part that ends before character `stop`."""
        first = 0
        for found in _LINE_END.finditer(self.text, 0, self.start):
            first = found.end()
        last = _LINE_END.search(self.text, stop)
        # A part that ends in a line end has all of its last paragraph.
        ends = stop > self.start and _LINE_END.match(self.text, stop - 1)
        return self.text[first : self.start], "" if ends else self.text[stop : last.start() if last else len(self.text)]
