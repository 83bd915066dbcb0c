"""The collator: records become a planned batch, in a worker; every size is known then, and there is no pixel yet."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gpurender.distort import Params, presets
from gpurender.feed.chat import ChatTokenizer
from gpurender.feed.images import OwnImages
from gpurender.feed.planned import Planned, Problem, plan_pages
from gpurender.feed.positions import rotary_positions
from gpurender.feed.profile import Profile
from gpurender.feed.records import record_chat, record_name, record_tools
from gpurender.lomo import LoMo
from gpurender.lomo.records import Record, RecordError, interleave
from gpurender.lomo.substitute import PROVENANCE, Outcome
from gpurender.raster import Atlas
from gpurender.typeset import Layout, MissingGlyphError

__all__ = ["Collator"]

OnError = Literal["skip", "raise"]

IGNORED = -100  # label of tokens that are no answer
LONGEST = 500  # characters of a reason
# Errors that are not of the record in whose work they show.
OUTSIDE = (MissingGlyphError, ImportError, MemoryError)


@dataclass(eq=False)
class _Row:
    """A record on its way: what a batch holds of it."""

    id: str
    messages: list[Record]  # for the chat template
    counts: Counter[str]
    tools: Any = None
    kept_for: str = ""  # why it stays text, if that is a problem
    pages: list[int] = field(default_factory=list)  # of the layout
    own: tuple[np.ndarray, np.ndarray] | None = None  # pixel_values and image_grid_thw
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))  # [L]
    answers: np.ndarray = field(default_factory=lambda: np.empty(0, bool))  # [L]


class Collator:
    """Plans batches: `DataLoader(records, collate_fn=collator, num_workers=N)`.

    Spans are chosen, set and their distortion is drawn by `lomo`; canvases and image tokens are counted by `profile`;
    text is tokenised by the chat template, answers are marked. What a record becomes depends on (seed, epoch, id) and
    on itself alone: not on its batch, worker, or start method. It touches no GPU, and pickles.

    Records have one of the shapes of `gpurender lomo` (`messages`, `conversations`, Alpaca). One without an `id` is
    known by its content. One that brings images (`images` and `<image>` in the text, or image parts) is not rewritten;
    its images go through the family's own processor. A page that is too large for the model is split, and counted.

    An item of a batch may be a list of records: they share a row, packed (see :meth:`plan`). Batches with such have
    `position_ids` in place of an attention mask.

    Args:
        tokenizer: Of `transformers`, with a chat template.
        profile: What the model takes: `profiles.qwen2_5_vl()` and others.
        lomo: What is rewritten and how, with its typesetter and distortion; by default
            `LoMo(distort=presets.lomo())`.
        max_length: The most tokens that a record may have; by default the tokenizer's `model_max_length`.
        on_error: A record that cannot be used is left out, counted and named (`"skip"`), or it raises (`"raise"`).
        image_folder: Where paths of records' own images start from.
        image_processor: Of `transformers`, for these; by default Qwen2-VL's with the profile's numbers.

    Raises:
        ValueError: An argument out of its range, or a tokenizer and a profile that do not belong together.
    """

    def __init__(
        self,
        tokenizer: Any,
        profile: Profile,
        *,
        lomo: LoMo | None = None,
        max_length: int | None = None,
        on_error: OnError = "skip",
        image_folder: str | Path = ".",
        image_processor: Any = None,
    ) -> None:
        import torch

        if not isinstance(profile, Profile):
            raise TypeError(f"profile must be one of gpurender.feed.profiles, not {type(profile).__name__}")
        if max_length is not None and (type(max_length) is not int or max_length < 1):
            raise ValueError(f"max_length must be a positive integer, not {max_length!r}")
        if on_error not in ("skip", "raise"):
            raise ValueError(f"on_error must be skip or raise, not {on_error!r}")
        if lomo is not None and not isinstance(lomo, LoMo):
            raise TypeError(f"lomo must be a LoMo, not {type(lomo).__name__}")
        self.lomo = lomo if lomo is not None else LoMo(distort=presets.lomo())
        self.profile = profile
        self.max_length = max_length if max_length is not None else int(min(tokenizer.model_max_length, 2**31))
        self.on_error = on_error
        self._chat = ChatTokenizer(tokenizer, profile.image_token)
        if not Path(image_folder).is_dir():
            raise ValueError(f"image_folder must be a folder, not {str(image_folder)!r}")
        self._images = OwnImages(profile, Path(image_folder), image_processor)
        # Tells how large glyphs are. Each process fills its own; faces do not pickle.
        self._atlas = Atlas()
        # Shared, so that workers that live on see a new epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_atlas"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._atlas = Atlas()
        # A worker's shares the epoch with the one that it was started from; any other copy has its own.
        if not self._epoch.is_shared():
            self._epoch = self._epoch.clone().share_memory_()

    def __copy__(self) -> Collator:
        done = object.__new__(type(self))
        done.__setstate__(self.__dict__ | {"_epoch": self._epoch.clone()})
        return done

    @property
    def epoch(self) -> int:
        """The pass over the data; another one draws other records and distortions."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, in this process and in workers that were started from it, for batches not yet begun."""
        self._epoch.fill_(epoch)

    def __call__(self, records: Sequence[Any]) -> Planned:
        """Plan a batch.

        Args:
            records: B dicts, or lists of dicts that share a row.

        Raises:
            RecordError: A record cannot be used, and `on_error="raise"`; it is named.
            MissingGlyphError: The typesetter has `on_missing="error"`, and a character has no glyph.
            TypeError: `records` is one record.
            ValueError: Records are to share a row, and the family's layers would mix them.
        """
        from torch.utils.data import get_worker_info

        if isinstance(records, dict):
            raise TypeError("records must be a sequence of records, not a record: give the DataLoader a batch_size")
        if get_worker_info() is not None:
            # Workers are the parallelism; the tokenizer's threads would warn after a fork, and only get in the way.
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        is_packed = any(isinstance(item, (list, tuple)) for item in records)
        if is_packed and not self.profile.packs:
            raise ValueError("records cannot share a row: this family has layers that see all of it")
        packs = [list(item) if isinstance(item, (list, tuple)) else [item] for item in records]
        rows, layout, params, found = self._plan([record for pack in packs for record in pack])
        rest, kept = iter(rows), []
        for pack in packs:
            kept.append([row for row in itertools.islice(rest, len(pack)) if row is not None])
            if is_packed:
                self._fit(kept[-1], found)
        for row in itertools.chain.from_iterable(kept):
            if row.kept_for:
                found.add(row.id, "kept", row.kept_for)
        return self._pack([pack for pack in kept if pack], is_packed, len(rows), layout, params, found.problems)

    def _fit(self, pack: list[_Row], found: _Found) -> None:
        """Leave out what a row has no room for."""
        used = 0
        for row in list(pack):
            used += len(row.ids)
            with found.named(row.id):
                if used > self.max_length:
                    pack.remove(row)
                    used -= len(row.ids)
                    raise RecordError(f"its row has no room for {len(row.ids)} more of max_length={self.max_length}")

    def plan(self, records: Sequence[Any]) -> list[int]:
        """How many tokens each record will be, as it will stand in a batch of this epoch: 0 for one that is left out.

        Nothing is rendered; packing and bucketing by length can be done with it beforehand.
        """
        rows = self._plan(records)[0]
        return [0 if row is None else len(row.ids) for row in rows]

    def _plan(self, records: Sequence[Any]) -> tuple[list[_Row | None], Layout, Params, _Found]:
        """A row for each record, None for one that is left out; the layout and params of their pages; problems."""
        found = _Found(self.on_error)
        chats: dict[int, Record] = {}
        for n, record in enumerate(records):
            with found.named(f"number {n} of its batch"):
                found.name = record_name(record) or found.name
                chats[n] = record_chat(record)
        done = self.lomo(list(chats.values()), epoch=self.epoch, fits=self.profile.fits)
        params = done.params
        if params is None:
            nothing = np.zeros(len(done.layout) + 1, np.int64)
            params = Params(nothing[:0], np.empty((0, 8)), nothing, done.layout.sizes)
        rows: list[_Row | None] = [None] * len(records)
        for n, record, outcome in zip(chats, done.records, done.outcomes, strict=True):
            with found.named(chats[n]["id"]):
                if outcome.status == "failed":
                    raise RecordError(outcome.reason)
                rows[n] = self._row(record, outcome)
        self._tokenize(rows, self.profile.count_tokens(params.sizes_after()), found)
        return rows, done.layout, params, found

    def _row(self, record: Record, outcome: Outcome) -> _Row:
        counts = Counter({outcome.status: 1, "cuts": outcome.cuts})
        rewritten = outcome.status == "rewritten"
        tools, counts["apart"] = self._chat.set_apart(record_tools(record))
        row = _Row(record["id"], [], counts, tools)
        row.kept_for = outcome.reason if outcome.is_problem else ""
        past = itertools.cycle(("user", "assistant"))
        # A rewritten record's images are numbers of pages.
        contents, images = interleave(record, (lambda page: page) if rewritten else self._images.open)
        for message, parts in zip(record["messages"], contents, strict=True):
            shown = [{"type": "image"} if part["type"] == "image" else part for part in parts]
            role = next(past) if message["role"] == "history" else message["role"]
            turn, apart = self._chat.set_apart(message | {"role": role, "content": shown})
            counts["apart"] += apart
            row.messages.append(turn)
        if rewritten:
            row.pages = images
            for span in record[PROVENANCE]["spans"]:
                counts["missing"] += bool(span["missing"])
                counts["left_clean"] += bool(span["left_clean"])
                counts["formulas_as_source"] += span["formulas_as_source"]
        elif images:
            row.own = self._images.patches(images)
        counts["images"], counts["own_images"] = len(row.pages), len(images) - len(row.pages)
        return row

    def _tokenize(self, rows: list[_Row | None], page_tokens: np.ndarray, found: _Found) -> None:
        """Give rows their token ids; those that cannot be used become None."""
        pieces: dict[int, list[str]] = {}
        for n, row in enumerate(rows):
            if row is not None:
                rows[n] = None
                with found.named(row.id):
                    pieces[n] = self._chat.pieces(row.messages, row.tools)
                    rows[n] = row
        for (n, _), (ids, answers) in zip(pieces.items(), self._chat.encode(list(pieces.values())), strict=True):
            row = rows[n]
            assert row is not None
            rows[n] = None
            with found.named(row.id):
                tokens = page_tokens[row.pages]
                if row.own is not None:
                    tokens = row.own[1].prod(1) // self.profile.merge**2
                places = np.flatnonzero(ids == self._chat.image_id)
                if len(places) != len(tokens):
                    raise RecordError(f"the chat template shows {len(places)} of its {len(tokens)} images")
                repeats = np.ones(len(ids), np.int64)
                repeats[places] = tokens
                row.ids, row.answers = np.repeat(ids, repeats), np.repeat(answers, repeats)
                if len(row.ids) > self.max_length:
                    raise RecordError(f"it has {len(row.ids)} tokens, more than max_length={self.max_length}")
                row.counts["tokens"], row.counts["image_tokens"] = len(row.ids), int(tokens.sum())
                rows[n] = row

    def _pack(
        self,
        packs: list[list[_Row]],
        is_packed: bool,
        read: int,
        layout: Layout,
        params: Params,
        problems: list[Problem],
    ) -> Planned:
        used = [row for pack in packs for row in pack]
        pages = [page for row in used for page in row.pages]
        if len(pages) < len(layout):
            layout, params = layout.select(pages), params.select(pages)
        own_rows = [row.own[0] for row in used if row.own is not None]
        page_grids = self.profile.grids(self.profile.canvases(params.sizes_after()))
        grids, is_page, first = [np.empty((0, 3), np.int64)], [np.empty(0, bool)], 0
        for row in used:
            own = np.empty((0, 3), np.int64) if row.own is None else row.own[1]
            # A record has pages or images of its own, never both.
            grids += [own, page_grids[first : first + len(row.pages)]]
            is_page += [np.zeros(len(own), bool), np.ones(len(row.pages), bool)]
            first += len(row.pages)
        shapes, page_mask = np.concatenate(grids), np.concatenate(is_page)
        rows = shapes.prod(1)
        first_rows = np.cumsum(rows) - rows
        own_places = [np.arange(first_rows[n], first_rows[n] + rows[n]) for n in np.flatnonzero(~page_mask).tolist()]
        planned, launches = plan_pages(layout, params, self._atlas, self.profile, first_rows[page_mask])
        names, tables = self._tokens(packs, page_grids, is_packed)
        arrays: dict[str, np.ndarray] = planned | {
            "tokens": tables,
            "grids": shapes.astype(np.int32),
            "is_page": page_mask,
            "own_rows": np.concatenate(own_rows) if own_rows else np.empty((0, 0), np.float32),
            "own_places": np.concatenate([np.empty(0, np.int64), *own_places]),
        }
        counts = sum((row.counts for row in used), Counter({"read": read, "skipped": read - len(used)}))
        return Planned(arrays, names, launches, layout.fonts, self.profile, +counts, tuple(problems))

    def _tokens(
        self, packs: list[list[_Row]], page_grids: np.ndarray, is_packed: bool
    ) -> tuple[tuple[str, ...], np.ndarray]:
        """The model's inputs that are tables of tokens: their names, and [K, B, L] int32."""
        ids = _padded([np.concatenate([row.ids for row in pack]) for pack in packs], np.int32(self._chat.pad_id))
        answers = _padded([np.concatenate([row.answers for row in pack]) for pack in packs], np.False_)
        tables = {"input_ids": ids, "labels": np.where(answers, ids, IGNORED)}
        if self.profile.axes == 3:
            tables["mm_token_type_ids"] = ids == self._chat.image_id
        if not is_packed:
            lengths = np.array([sum(len(row.ids) for row in pack) for pack in packs], np.int32)
            tables["attention_mask"] = np.arange(ids.shape[1]) < lengths[:, None]
            return tuple(tables), np.stack([*tables.values()]).astype(np.int32)
        positions = self._positions(packs, page_grids)
        positions = positions.reshape(-1, *ids.shape)
        names = (*tables, *["position_ids"] * len(positions))
        return names, np.concatenate([np.stack([*tables.values()]).astype(np.int32), positions])

    def _positions(self, packs: list[list[_Row]], page_grids: np.ndarray) -> np.ndarray:
        """Return each token's place in its record, and in time, height and width: [4, B, L]; [B, L] for one axis.

        Padding gets positions 0, 1, .., as if it were a record.
        """
        length = max((sum(len(row.ids) for row in pack) for pack in packs), default=0)
        found = np.empty((4, len(packs), length), np.int32)
        first = 0
        for n, pack in enumerate(packs):
            at = 0
            for row in pack:
                place = slice(at, at + len(row.ids))
                grids = page_grids[first : first + len(row.pages)] if row.own is None else row.own[1]
                first += len(row.pages)
                found[0, n, place] = np.arange(len(row.ids))
                found[1:, n, place] = rotary_positions(row.ids == self._chat.image_id, grids, self.profile.merge)
                at = place.stop
            found[:, n, at:] = np.arange(length - at)
        return found if self.profile.axes == 3 else found[0]


def _padded(rows: list[np.ndarray], fill: np.generic) -> np.ndarray:
    """Rows of different lengths as one array [B, L], filled up behind their ends."""
    padded = np.full((len(rows), max(map(len, rows), default=0)), fill)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded


class _Found:
    """Problems of a batch's records: raised, or noted and passed over."""

    def __init__(self, on_error: str) -> None:
        self.on_error = on_error
        self.problems: list[Problem] = []
        self.name = ""

    def add(self, name: str, status: str, reason: str) -> None:
        """Note a problem; a reason that repeats what a record holds may be long."""
        self.problems.append(Problem(name, status, reason if len(reason) < LONGEST else reason[:LONGEST] + ".."))

    def named(self, name: str) -> _Found:
        """A context whose errors are of this record."""
        self.name = name
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        if not isinstance(error, Exception) or isinstance(error, OUTSIDE):
            return False
        reason = str(error) if isinstance(error, RecordError) else f"{type(error).__name__}: {error}"
        if self.on_error == "raise":
            raise RecordError(f"record {self.name}: {reason}") from error
        self.add(self.name, "skipped", reason)
        return True
