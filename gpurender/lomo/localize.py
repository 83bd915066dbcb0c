"""Span localisation: which part of a prompt is to be rendered."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import numpy as np
import regex

from gpurender.typeset.breaks import grapheme_breaks, line_breaks, sentence_breaks
from gpurender.typeset.maths import Dollars, Formula, find_formulas

__all__ = ["POSITIONS", "Position", "Segment", "halve", "localize"]

Position = Literal["prefix", "middle", "suffix", "multi-span", "full"]
POSITIONS: tuple[str, ...] = get_args(Position)

FEW_SENTENCES = 3
BARE = ("command", "other")  # kinds of formulas

# The spans of each position, as fractions of the text's length in characters.
SHARES: dict[str, tuple[tuple[float, float], ...]] = {
    "prefix": ((0, 1 / 3),),
    "middle": ((1 / 3, 2 / 3),),
    "suffix": ((2 / 3, 1),),
    "multi-span": ((2 / 9, 7 / 18), (11 / 18, 7 / 9)),
    "full": ((0, 1),),
}
# Punctuation that ends what stands before it, and that which opens what follows: no cut parts them from that.
_CLOSING = regex.compile(r"(?:[\p{Pe}\p{Pf}\p{Terminal_Punctuation}\u2026\u2025\"'](?![\p{M}\u200d]))+")
_SPACES = regex.compile(r"[ \u00a0\u202f]*")
_OPENING = regex.compile(r"[\p{Ps}\p{Pi}]+")
# A boundary this near to where a cut is wanted, in shares of the text, is preferred to a finer one that is nearer.
NEAR = 1 / 12


class Segment(NamedTuple):
    """A part of a prompt: characters [start, stop), as text or as a span to be rendered."""

    text: str
    start: int
    stop: int
    is_span: bool


def localize(text: str, *, position: Position = "middle", dollars: Dollars = "auto") -> list[Segment]:
    """Cut a prompt into text and the span, or spans, to be rendered.

    A prompt of at most three sentences is one span, whole, as in the LoMo paper; a blank one is one text segment.
    Longer ones are cut where the position wants it, in shares of the length in characters: `"prefix"`, `"middle"`
    and `"suffix"` are a third, `"multi-span"` two separate sixths, `"full"` everything. A cut goes to the nearest block
    boundary (where a formula meets text) within a twelfth of the text's length, else to the nearest sentence boundary
    within it, else between words (UAX #14), else between grapheme clusters; never into a formula, nor between a command
    and its arguments. The twelfth is ours; the paper gives no figure. White space at a span's ends is left to its
    neighbours, but for the indentation of its first line; closing punctuation stays with what it closes.

    Args:
        text: Any string.
        position: One of the five.
        dollars: Which single dollars delimit formulas; as the typesetter has it.

    Returns:
        Segments in order, none empty, whose texts join to `text` exactly; `[]` for an empty one.

    Raises:
        ValueError: No such position.
        TypeError: `text` is not a string.
    """
    if position not in SHARES:
        raise ValueError(f"position must be one of {', '.join(POSITIONS)}, not {position!r}")
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    if not text or text.isspace():
        return [Segment(text, 0, len(text), False)] if text else []
    return list(_segments(text, _spans(text, position, dollars)))


def halve(segment: Segment, *, dollars: Dollars = "auto") -> list[Segment]:
    """Cut a span in two near its middle, where :func:`localize` would; white space between is a text segment.

    Returns:
        Segments whose texts join to the span's; `[]` if it is one formula, one grapheme cluster, or else cannot be cut.
    """
    text, origin = segment.text, segment.start
    place = _Cuts(text, dollars).near(1 / 2)
    if place is None or not 0 < place < len(text):
        return []
    spans = [_strip(text, 0, place), _strip(text, place, len(text))]
    if any(start >= stop for start, stop in spans):
        return []
    return [s._replace(start=origin + s.start, stop=origin + s.stop) for s in _segments(text, spans)]


def _spans(text: str, position: Position, dollars: Dollars) -> list[tuple[int, int]]:
    whole = [(0, len(text))]
    if position == "full":
        return whole
    cuts = _Cuts(text, dollars)
    if cuts.sentences <= FEW_SENTENCES:
        return whole
    spans: list[tuple[int, int]] = []
    for first, last in SHARES[position]:
        start, stop = cuts.at(first), cuts.at(last)
        start, stop = _strip(text, start, stop)
        if start >= stop:
            start, stop = _strip(text, *cuts.block_at((first + last) / 2))
        if start < stop and (not spans or start >= spans[-1][1]):
            spans.append((start, stop))
    return spans or whole


def _segments(text: str, spans: list[tuple[int, int]]) -> Iterator[Segment]:
    at = 0
    for start, stop in spans:
        if at < start:
            yield Segment(text[at:start], at, start, False)
        yield Segment(text[start:stop], start, stop, True)
        at = stop
    if at < len(text):
        yield Segment(text[at:], at, len(text), False)


def _strip(text: str, start: int, stop: int) -> tuple[int, int]:
    """Leave white space at the ends outside, but keep the first line's indentation: code must look like code."""
    body = text[start:stop]
    stop = start + len(body.rstrip())
    ink = start + len(body) - len(body.lstrip())
    line = text.rfind("\n", 0, ink) + 1
    return (line if start <= line and text[line:ink].isspace() else ink), stop


class _Cuts:
    """The places where a text may be cut, the coarse before the fine."""

    def __init__(self, text: str, dollars: Dollars) -> None:
        self.text = text
        self.formulas = find_formulas(text, dollars)
        self.starts = [formula.start for formula in self.formulas]

    @cached_property
    def sentences(self) -> int:
        """How many sentences the text has, a formula being inside one."""
        begin, count = 0, 0
        for stop in [*self._sentences, len(self.text)]:
            count += bool(self.text[begin:stop].strip())
            begin = stop
        return count

    def at(self, share: float) -> int:
        """The best cut near a share of the text's length."""
        if share in (0, 1):
            return int(share) * len(self.text)
        place = self.near(share)
        return round(share * len(self.text)) if place is None else place

    def near(self, share: float) -> int | None:
        """The best cut near a share of the text's length, not 0 nor 1; None if there is none anywhere."""
        wanted = share * len(self.text)
        near = NEAR * len(self.text)
        for kind in ("_blocks", "_sentences", "_lines", "_graphemes"):
            # Asked for by name, so that what is finer than needed is never looked for.
            place = _nearest(getattr(self, kind), wanted)
            if place is not None and abs(place - wanted) <= near:
                return self._beside_punctuation(place)
        # A formula, or a grapheme cluster, spreads over all of it.
        place = _nearest(sorted({*self._edges, *self._graphemes}), wanted)
        return None if place is None else self._beside_punctuation(place)

    def _beside_punctuation(self, place: int) -> int:
        """Move a cut behind the closing punctuation that follows it, or before opening punctuation."""
        text = self.text
        around = text[max(0, place - 1) : place + 1]
        if len(around) < 2 or (around[1].isalnum() and (around[0].isspace() or around[0].isalnum())):
            return place
        ink = _SPACES.match(text, place).end()
        closing = _CLOSING.match(text, ink)
        # Behind a space it closes nothing, but in French, where nothing follows; `.5` and `"a"` begin words.
        if closing and (not text[ink - 1].isspace() or not text[closing.end() : closing.end() + 1].strip()):
            return int(closing.end())
        before = place
        while before and _OPENING.match(text, before - 1):
            before -= 1
        return before

    def block_at(self, share: float) -> tuple[int, int]:
        """The formula, or else the sentence, that is not blank and lies nearest to a place."""
        edges = sorted({0, *self._edges, *self._sentences, len(self.text)})
        wanted = share * len(self.text)
        blocks = [(a, b) for a, b in pairwise(edges) if not self.text[a:b].isspace()]
        return min(blocks, key=lambda block: max(block[0] - wanted, wanted - block[1], 0))

    @cached_property
    def _edges(self) -> list[int]:
        return [edge for formula in self.formulas for edge in (formula.start, formula.stop)]

    @cached_property
    def _blocks(self) -> list[int]:
        # A bare command is kept whole, but is too small a thing to be a block.
        return [edge for f in self.formulas if f.kind not in BARE for edge in (f.start, f.stop)]

    @cached_property
    def _sentences(self) -> list[int]:
        return self._outside(sentence_breaks)

    @cached_property
    def _lines(self) -> list[int]:
        return self._outside(line_breaks)

    @cached_property
    def _graphemes(self) -> list[int]:
        return self._outside(grapheme_breaks)

    def _outside(self, breaks: Callable[[str], np.ndarray]) -> list[int]:
        """The breaks that lie inside the text and in no formula."""
        return [
            place
            for place in breaks(self.text).tolist()
            if 0 < place < len(self.text) and not self._formula_over(place)
        ]

    def _formula_over(self, place: int) -> Formula | None:
        k = bisect_left(self.starts, place) - 1
        return self.formulas[k] if k >= 0 and self.formulas[k].stop > place else None


def _nearest(places: list[int], wanted: float) -> int | None:
    k = bisect_left(places, wanted)
    return min(places[max(0, k - 1) : k + 1], key=lambda place: abs(place - wanted), default=None)
