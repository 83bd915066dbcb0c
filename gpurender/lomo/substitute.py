"""Substitution: records in, interleaved records and the pages they show out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from gpurender._version import __version__
from gpurender.distort import Op, Params, transform
from gpurender.kernels import random
from gpurender.lomo.localize import POSITIONS, Position, Segment, halve, localize
from gpurender.lomo.records import Record, RecordError, check_record, holds_media, message_text
from gpurender.raster import Pages, Renderer
from gpurender.typeset import Context, Diagnostic, Layout, MissingGlyphError, Typesetter
from gpurender.typeset.maths import Dollars

__all__ = ["PROVENANCE", "Interleaved", "LoMo", "Outcome"]

Turn = Literal["first", "last", "longest", "all"]
TURNS: tuple[str, ...] = get_args(Turn)

PROVENANCE = "gpurender"  # the field of an output record that says what was done

# Kinds of diagnostics of pages that cannot be right.
UNFIT = frozenset({"blank", "oversize"})

# Why a record is left as text without anything being wrong with it.
HARMLESS = frozenset({"not-drawn", "holds-media"})


class Outcome(NamedTuple):
    """What became of a record."""

    status: Literal["rewritten", "kept", "failed"]
    kind: str = ""  # of the reason: "not-drawn", "holds-media", "blank", "missing", "oversize", "unusable"
    reason: str = ""
    cuts: int = 0  # of spans whose page was too large for one image

    @property
    def is_problem(self) -> bool:
        """Whether the record was left as text, or out, because something about it could not be handled."""
        return self.status != "rewritten" and self.kind not in HARMLESS


@dataclass(eq=False)
class Interleaved:
    """A batch of records in which spans of text became images: their layout and distortion; no pixels yet.

    Attributes:
        records: One for each record that came in, in order. In a rewritten turn `content` is a list of parts,
            `{"type": "text", "text": ..}` and `{"type": "image", "image": k}`, where k is a page of `layout`. All but
            failed ones carry what was done in the field `"gpurender"`.
        outcomes: One for each record.
        layout: K pages, numbered as the image parts say.
        params: What is to be done to each page, and the sizes that come of it; None for nothing.
    """

    records: list[Any]
    outcomes: list[Outcome]
    layout: Layout
    params: Params | None = None

    def render(self, renderer: Renderer, pages: Sequence[int] | None = None) -> Pages:
        """Paint the layout, and distort it on the device and by the backend of the renderer.

        Args:
            renderer: Its channels are those of the images.
            pages: Of the layout, in any order; all by default.
        """
        layout, params = self.layout, self.params
        if pages is not None:
            layout, params = layout.select(list(pages)), None if params is None else params.select(pages)
        painted = renderer(layout)
        return painted if params is None else transform(painted, params, backend=renderer.backend)

    def with_images(self, images: Sequence[Any], *, renderer: str = "") -> list[Any]:
        """The records with `images[k]` (a PIL image, a tensor, a path) in place of page number k in the image parts.

        Args:
            images: One for each page of `layout`.
            renderer: What made them, for the provenance: `Renderer.backend`.
        """
        if len(images) != len(self.layout):
            raise ValueError(f"images has {len(images)} items; the layout has {len(self.layout)} pages")

        def fill(message: Record) -> Record:
            parts = [
                part | {"image": images[part["image"]]} if part["type"] == "image" else part
                for part in message["content"]
            ]
            return message | {"content": parts}

        done = []
        for record, outcome in zip(self.records, self.outcomes, strict=True):
            if outcome.status == "rewritten":
                rewritten = {span["message"] for span in record[PROVENANCE]["spans"]}
                messages = [fill(m) if i in rewritten else m for i, m in enumerate(record["messages"])]
                record = record | {"messages": messages, PROVENANCE: record[PROVENANCE] | {"renderer": renderer}}
            done.append(record)
        return done


class LoMo:
    """Local Modality Substitution: replaces a part of a user's prompt by its picture; the answer stays.

    Which records are rewritten depends on (seed, epoch, record id) alone, so neither batch size, nor order, nor the
    number of workers changes anything. System and assistant turns are never rewritten; records that hold images, video
    or audio pass through. A record whose pages cannot be right (no ink, over the pixel limit, or missing glyphs with
    `on_missing="skip-record"`) is left as text and says why. A formula that the typesetter's engine cannot set is set
    as its source; its record says so.

    Args:
        ratio: The share of records to rewrite, 0 to 1.
        position: `"prefix"`, `"middle"`, `"suffix"`, `"multi-span"` or `"full"`; see :func:`localize`.
        seed: Any integer.
        turn: Which user turn is rewritten: `"first"`, `"last"`, `"longest"` or `"all"`.
        distort: What is done to the images, such as `distort.presets.lomo()`; nothing by default. What an image gets
            depends on (seed, epoch, record id, number of the image in the record).
        typesetter: What sets the pages; a `Typesetter()` by default.

    Raises:
        ValueError: An argument out of its range.
    """

    def __init__(
        self,
        *,
        ratio: float = 0.5,
        position: Position = "middle",
        seed: int = 0,
        turn: Turn = "first",
        distort: Op | None = None,
        typesetter: Typesetter | None = None,
    ) -> None:
        if not 0 <= ratio <= 1:
            raise ValueError(f"ratio must be from 0 to 1, not {ratio!r}")
        if position not in POSITIONS:
            raise ValueError(f"position must be one of {', '.join(POSITIONS)}, not {position!r}")
        if distort is not None and not isinstance(distort, Op):
            raise TypeError(f"distort must be an operation of gpurender.distort, or None, not {distort!r}")
        if turn not in TURNS:
            raise ValueError(f"turn must be one of {', '.join(TURNS)}, not {turn!r}")
        self.ratio = ratio
        self.position: Position = position
        self.seed = seed
        self.turn = turn
        self.distort = distort
        self.typesetter = typesetter if typesetter is not None else Typesetter()

    def __call__(
        self,
        records: Sequence[Any],
        *,
        epoch: int = 0,
        ids: Sequence[str] | None = None,
        fits: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Interleaved:
        """Rewrite the records that are drawn.

        Args:
            records: Dicts with `messages`, and mostly an `id`. They are not changed.
            epoch: The pass over the data; another pass draws other records.
            ids: For the records that have no `id` of their own; by default their index in `records`, which makes their
                draw depend on the batch: give the source and position instead.
            fits: Tells which sizes [K, 2] (height, width in px, after the distortion) a model takes: [K] bool. A span
                whose page does not fit is cut in two near its middle, and its halves again if need be; what cannot be
                cut (one formula) leaves its record as text. By default a page over the typesetter's `max_pixels` does.

        Returns:
            As many records, with the layout of their images.

        Raises:
            ValueError: `ids` has another length than `records`.
            MissingGlyphError: The typesetter has `on_missing="error"` and a character has no glyph.
        """
        names = [str(i) for i in range(len(records))] if ids is None else ids
        if len(names) != len(records):
            raise ValueError(f"ids has {len(names)} items for {len(records)} records")
        plans = [self._plan(record, epoch, name) for record, name in zip(records, names, strict=True)]
        layout, params, tight = self._set(plans, epoch, fits)
        while tight:
            for i, span in tight:
                plans[i] = plans[i].cut(span, self.typesetter.dollars)
            layout, params, tight = self._set(plans, epoch, fits)

        notices: dict[int, list[Diagnostic]] = {}
        for diagnostic in layout.diagnostics:
            notices.setdefault(diagnostic.page, []).append(diagnostic)

        done, page = [], 0
        for record, plan in zip(records, plans, strict=True):
            out, page = self._write(record, plan, epoch, layout, params, notices, page)
            done.append(out)
        return Interleaved(done, [plan.outcome for plan in plans], layout, params)

    def is_drawn(self, record_id: str, epoch: int = 0) -> bool:
        """Whether the draw takes a record: a function of (seed, epoch, record id) and the ratio alone."""
        return bool(random.uniform(random.key(self.seed, epoch, record_id, 0, "rewrite"), 0) < self.ratio)

    def _set(
        self, plans: list[_Plan], epoch: int, fits: Callable[[np.ndarray], np.ndarray] | None
    ) -> tuple[Layout, Params | None, list[tuple[int, Segment]]]:
        """The spans' pages, what is done to them, and the spans whose pages are too large, each with its record.

        In `plans`, records whose pages cannot be right become text.
        """
        spans = [(i, s) for i, plan in enumerate(plans) for ss in plan.turns.values() for s in ss if s.is_span]
        try:
            layout = self.typesetter([span.text for _, span in spans], contexts=_contexts(plans))
        except MissingGlyphError as error:
            raise MissingGlyphError(f"record {plans[spans[error.page][0]].id}: {error}", error.page) from None

        problems: dict[int, Diagnostic] = {}
        tight: set[int] = set()
        for diagnostic in layout.diagnostics:
            if diagnostic.kind == "oversize" and fits is not None:
                tight.add(diagnostic.page)
            elif diagnostic.kind in UNFIT or (
                diagnostic.kind == "missing" and self.typesetter.on_missing == "skip-record"
            ):
                problems.setdefault(spans[diagnostic.page][0], diagnostic)
        for i, problem in problems.items():
            plans[i] = plans[i].kept(problem.kind, problem.message)
        if problems:
            pages = [page for page, (owner, _) in enumerate(spans) if owner not in problems]
            layout = layout.select(pages)
            tight = {new for new, page in enumerate(pages) if page in tight}
            spans = [spans[page] for page in pages]

        params = None
        if self.distort is not None:
            keys = [(plans[owner].id, k) for owner, group in groupby(i for i, _ in spans) for k, _ in enumerate(group)]
            params = self.distort.make_params(
                keys, layout.sizes, seed=self.seed, epoch=epoch, max_pixels=self.typesetter.max_pixels
            )
        if fits is not None:
            sizes = layout.sizes if params is None else params.sizes_after()
            tight.update(np.flatnonzero(~fits(sizes)).tolist())
        return layout, params, [spans[page] for page in sorted(tight)]

    def _plan(self, record: Any, epoch: int, default_id: str) -> _Plan:
        try:
            check_record(record)
        except RecordError as error:
            return _Plan(default_id, Outcome("failed", "unusable", str(error)), {})
        own_id = record.get("id")
        plan = _Plan(default_id if own_id is None else str(own_id), Outcome("rewritten"), {})
        if holds_media(record):
            return plan.kept("holds-media", "the record holds images, video or audio already")
        users = [i for i, message in enumerate(record["messages"]) if message["role"] == "user"]
        if not users:
            return _Plan(plan.id, Outcome("failed", "unusable", "no message has the role 'user'"), {})
        if not self.is_drawn(plan.id, epoch):
            return plan.kept("not-drawn", "not drawn")
        texts = {i: message_text(record["messages"][i]) for i in users}
        if self.turn == "all":
            chosen = users
        elif self.turn == "longest":
            chosen = [max(users, key=lambda i: len(texts[i]))]
        else:
            chosen = [users[0 if self.turn == "first" else -1]]
        turns = {i: localize(texts[i], position=self.position, dollars=self.typesetter.dollars) for i in chosen}
        turns = {i: segments for i, segments in turns.items() if any(s.is_span for s in segments)}
        if not turns:
            return plan.kept("blank", "the prompt is blank")
        return plan._replace(turns=turns)

    def _write(
        self,
        record: Any,
        plan: _Plan,
        epoch: int,
        layout: Layout,
        params: Params | None,
        notices: dict[int, list[Diagnostic]],
        page: int,
    ) -> tuple[Any, int]:
        """The output record, and the number of the next page."""
        if plan.outcome.status == "failed":
            return record, page
        messages = list(record["messages"])
        spans = []
        first = page
        for i, segments in plan.turns.items():
            parts: list[dict[str, Any]] = []
            for segment in segments:
                if not segment.is_span:
                    parts.append({"type": "text", "text": segment.text})
                    continue
                parts.append({"type": "image", "image": page})
                place = {"message": i, "start": segment.start, "stop": segment.stop}
                told = _told(segment, notices.get(page, ())) | {"formulas": layout.count_formulas(page)}
                spans.append(place | _looks(layout, params, page) | told)
                page += 1
            messages[i] = messages[i] | {"content": parts}
        provenance = {
            "version": __version__,
            "record": plan.id,
            "seed": self.seed,
            "epoch": epoch,
            "position": self.position,
            "rewritten": bool(spans),
            "reason": plan.outcome.reason,
            "fonts": self.typesetter.font_names(layout, range(first, page)),
            "latex": self.typesetter.latex if any(s["formulas"] or s["formulas_as_source"] for s in spans) else "",
            "renderer": "",
            "spans": spans,
        }
        if PROVENANCE in record:
            # Of an earlier run.
            provenance["before"] = record[PROVENANCE]
        return record | {"messages": messages, PROVENANCE: provenance}, page


def _contexts(plans: Iterable[_Plan]) -> list[Context | None]:
    """Return the prompt that each span is a part of; None for one that is all of it."""
    contexts: list[Context | None] = []
    for plan in plans:
        for segments in plan.turns.values():
            text = "".join(segment.text for segment in segments) if len(segments) > 1 else ""
            contexts += [Context(text, s.start) if text else None for s in segments if s.is_span]
    return contexts


def _looks(layout: Layout, params: Params | None, page: int) -> dict[str, Any]:
    """What a span's provenance says of its image: the size in px, and how it was distorted, in JSON."""
    if params is None:
        (height, width), done, left = layout.sizes[page].tolist(), "[]", ""
    else:
        (height, width), done = params.sizes_after()[page].tolist(), params.to_json(page)
        left = params.left_clean.get(page, "")
    return {"height": height, "width": width, "distortion": done, "left_clean": left}


def _told(segment: Segment, notices: Iterable[Diagnostic]) -> dict[str, Any]:
    """What a span's provenance says of what could not be set as asked.

    In strings and numbers, not lists: a list that is empty in the first records has no type for those that come later.
    """
    missing: dict[str, None] = {}
    unset, pictures, partial, left = [], 0, 0, 0
    for notice in notices:
        if notice.kind == "missing":
            missing |= dict.fromkeys(f"U+{ord(c):04X}" for c in segment.text[notice.start : notice.stop])
        elif notice.kind == "formula":
            unset.append(f"{segment.start + notice.start}-{segment.start + notice.stop}: {notice.message}")
        elif notice.kind == "partial":
            partial += 1
            unset.append(f"{segment.start + notice.start}-{segment.start + notice.stop}: {notice.message}")
        elif notice.kind == "picture":
            pictures += 1
        elif notice.kind == "latex-as-text":
            left += 1
    return {
        "missing": " ".join(missing),
        "formulas_as_source": len(unset) - partial,
        "formulas_in_part": partial,
        "formulas_as_pictures": pictures,
        "latex_left_as_text": left,
        "formula_errors": "\n".join(unset),
    }


class _Plan(NamedTuple):
    """What is to become of a record: its id, its outcome, and the segments of the turns to rewrite."""

    id: str
    outcome: Outcome
    turns: dict[int, list[Segment]]

    def kept(self, kind: str, reason: str) -> _Plan:
        return _Plan(self.id, Outcome("kept", kind, reason), {})

    def cut(self, span: Segment, dollars: Dollars) -> _Plan:
        """Return the plan with one of its spans in two; kept as text if that cannot be cut."""
        halves = halve(span, dollars=dollars)
        if not halves:
            return self.kept("oversize", "the page of a span that cannot be cut is too large for an image")
        turns = {
            i: [part for s in segments for part in (halves if s is span else [s])] for i, segments in self.turns.items()
        }
        return _Plan(self.id, self.outcome._replace(cuts=self.outcome.cuts + 1), turns)
