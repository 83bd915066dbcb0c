"""What TeX says is wrong, as people may read it."""

from __future__ import annotations

import re

__all__ = ["errors"]

_ERROR = re.compile(r"^! (.*)\n?(.*)", re.MULTILINE)
_WORDS = re.compile(r"\\(?:[A-Za-z@]+|.)")


def errors(log: str) -> list[str]:
    """The messages of a log, or of a part of it; where a word is not known, with the word."""
    found = []
    for message, context in _ERROR.findall(log):
        told = message.strip()
        if told == "Undefined control sequence.":
            words = _WORDS.findall(context)
            told = f"Undefined control sequence {words[-1]}" if words else told
        elif told.startswith("Forbidden control sequence"):
            told = "something is never closed"
        else:
            # Lines are counted from the server's start.
            told = told.partition(" after line")[0]
        found.append(told)
    return found
