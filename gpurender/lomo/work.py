"""The work on one batch of a job: records in; lines of the result, images in its folder, and counts out."""

from __future__ import annotations

import itertools
import json
import os
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from gpurender.kernels import Backend, default_device
from gpurender.lomo.folder import Batch, image_name
from gpurender.lomo.records import (
    MEDIA_FIELDS,
    Record,
    RecordError,
    carry_path,
    encode_line,
    interleave,
    parse_line,
    to_placeholders,
)
from gpurender.lomo.shapes import OPTIONAL, Content, Shape
from gpurender.lomo.substitute import PROVENANCE, Interleaved, LoMo, Outcome
from gpurender.raster import Renderer, encode_png

__all__ = ["COLORS", "FORMS", "Color", "Form", "Item", "Work"]

Form = Literal["placeholder", "parts"]
FORMS: tuple[str, ...] = get_args(Form)
Color = Literal["auto", "rgb", "gray"]
COLORS: tuple[str, ...] = get_args(Color)


class Item(NamedTuple):
    """A record of an input file, unchecked, with its number among all that the job reads."""

    ordinal: int
    file: str
    number: int
    data: bytes | Record | RecordError
    size: int  # bytes of the file that were read for it

    def record(self) -> Record:
        """It as a JSON object; :class:`RecordError` if it is none."""
        if isinstance(self.data, RecordError):
            raise self.data
        record = parse_line(self.data) if isinstance(self.data, bytes) else self.data
        if not isinstance(record, dict):
            raise RecordError(f"a record must be a JSON object, not {type(record).__name__}")
        return record


class Work:
    """What a process needs to turn records into files; picklable."""

    def __init__(self, lomo: LoMo, backend: Backend, out: Path, shape: Shape, form: Form, color: Color) -> None:
        self.lomo = lomo
        self.backend: Backend = backend
        self.out = out
        self.shape = shape
        self.form: Form = form
        self.color: Color = color
        # Here, so that a wrong backend is reported before anything is written.
        device = default_device(backend)
        self.gray, self.rgb = (Renderer(device=device, backend=backend, channels=channels) for channels in (1, 3))

    def __reduce__(self) -> tuple[Any, ...]:
        return Work, (self.lomo, self.backend, self.out, self.shape, self.form, self.color)

    def __call__(self, items: list[Item]) -> Batch:
        """Rewrite a batch: its images are written, its lines come back."""
        batch = Batch(items[0].ordinal, size=sum(item.size for item in items))
        batch.counts["read"] = len(items)
        # What can be used: where it is from, the record, and the same as chat messages.
        sources, records, chats = [], [], []
        for item in items:
            record: Record = {}
            try:
                record = item.record()
                messages = self.shape.messages(record)
            except RecordError as error:
                self._fail(batch, item, record, str(error))
                continue
            sources.append(item)
            records.append(record)
            chats.append({name: record[name] for name in ("id", *MEDIA_FIELDS, PROVENANCE) if name in record})
            chats[-1]["messages"] = messages
        # A record without an id gets one from its source and position, the same whatever the batch.
        done = self.lomo(chats, ids=[f"{os.path.basename(item.file)}:{item.number}" for item in sources])
        pages = self._render(done)
        names = [
            self.out / image_name(item.ordinal, k)
            for item, chat, outcome in zip(sources, done.records, done.outcomes, strict=True)
            for k in range(len(chat[PROVENANCE]["spans"]) if outcome.status == "rewritten" else 0)
        ]
        files = iter(zip(names, pages, strict=True))
        owners = [
            (item, span)
            for item, chat, outcome in zip(sources, done.records, done.outcomes, strict=True)
            for span in (chat[PROVENANCE]["spans"] if outcome.status == "rewritten" else ())
        ]
        for notice in done.layout.diagnostics:
            if notice.kind == "latex-as-text":
                item, span = owners[notice.page]
                first, last = span["start"] + notice.start, span["start"] + notice.stop
                at = f"{item.file}:{item.number}, characters {first}-{last}"
                batch.left.append({"at": at, "text": notice.message.partition(": ")[2]})
        filled = done.with_images(names, renderer=self.gray.backend)
        for item, record, chat, outcome in zip(sources, records, filled, done.outcomes, strict=True):
            if outcome.status == "failed":
                self._fail(batch, item, record, outcome.reason)
            else:
                images = list(itertools.islice(files, len(chat[PROVENANCE]["spans"])))
                self._write(batch, item, record, chat, outcome, images)
        return batch

    def _render(self, done: Interleaved) -> list[np.ndarray]:
        """Render the images of a batch, [C, height, width] uint8 each, those that have colour as RGB."""
        is_rgb = done.layout.is_colored() if self.color == "auto" else np.full(len(done.layout), self.color == "rgb")
        images: dict[int, np.ndarray] = {}
        for renderer, chosen in ((self.gray, ~is_rgb), (self.rgb, is_rgb)):
            pages = np.flatnonzero(chosen).tolist()
            if pages:
                rendered = done.render(renderer, pages if len(pages) < len(is_rgb) else None)
                images |= zip(pages, rendered.to_numpy(), strict=True)
        return [images[page] for page in range(len(is_rgb))]

    def _write(
        self,
        batch: Batch,
        item: Item,
        record: Record,
        chat: Record,
        outcome: Outcome,
        images: list[tuple[Path, np.ndarray]],
    ) -> None:
        provenance = chat[PROVENANCE]
        apart = 0
        try:
            carry = partial(carry_path, folder=Path(item.file).parent, out=self.out)
            parts, paths = interleave(chat, carry)
            contents: list[Content] = list(parts)
            if self.form == "placeholder":
                told = [to_placeholders(content) for content in parts]
                contents, apart = [text for text, _ in told], sum(count for _, count in told)
            record = self.shape.fill(record, contents)
            record = {name: value for name, value in record.items() if name not in ("image", "images")}
            record |= {"images": paths} if self.form == "placeholder" else {}
            record[PROVENANCE] = provenance | {"apart": apart}
            text = encode_line(record)
        except RecordError as error:
            self._fail(batch, item, record, str(error))
            return
        for file, page in images:
            file.write_bytes(encode_png(page))
        batch.lines.append(text)
        batch.fields |= OPTIONAL & record.keys()
        batch.counts[outcome.status] += 1
        batch.counts["images"] += len(images)
        batch.counts["in_color"] += sum(len(page) == 3 for _, page in images)
        batch.counts["with_missing"] += sum(bool(span["missing"]) for span in provenance["spans"])
        batch.counts["apart"] += apart
        for span in provenance["spans"]:
            batch.formulas["source"] += span["formulas_as_source"]
            batch.formulas["picture"] += span["formulas_as_pictures"]
            batch.counts["formulas_in_part"] += span["formulas_in_part"]
            batch.counts["latex_left_as_text"] += span["latex_left_as_text"]
            batch.formulas[provenance["latex"]] += span["formulas"] - span["formulas_as_pictures"]
            batch.distortions.update([step["op"] for step in json.loads(span["distortion"])] or ["Clean"])
            batch.counts["left_clean"] += bool(span["left_clean"])
        if outcome.status == "kept":
            batch.kept[outcome.kind] += 1
        if outcome.is_problem:
            self._name(batch, item, record, outcome.status, outcome.reason)

    def _fail(self, batch: Batch, item: Item, record: Record, reason: str) -> None:
        batch.counts["failed"] += 1
        self._name(batch, item, record, "failed", reason)

    def _name(self, batch: Batch, item: Item, record: Record, status: str, reason: str) -> None:
        batch.counts["problems"] += 1
        source, own = f"{item.file}:{item.number}", record.get("id")
        told = f"{os.path.basename(item.file)}:{item.number}" if own is None else str(own)
        batch.problems.append({"source": source, "record": told, "status": status, "reason": reason})
