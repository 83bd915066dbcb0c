"""Records: lines of JSON, chat messages, and messages in which images stand among the text."""

from __future__ import annotations

import datetime
import itertools
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "RecordError",
    "carry_path",
    "check_record",
    "check_turns",
    "encode_line",
    "holds_media",
    "interleave",
    "message_text",
    "parse_line",
    "to_placeholders",
]

Record = dict[str, Any]
Part = dict[str, Any]

MEDIA_FIELDS = ("image", "images", "video", "videos", "audio", "audios")
_PLACEHOLDER = re.compile(r"<(?=image>|video>|audio>|\|image_pad\|>)")


class RecordError(ValueError):
    """A record that cannot be used; the message says why."""


def parse_line(line: bytes) -> Any:
    """One line's JSON value.

    Raises:
        RecordError: It is not UTF-8 or not JSON.
    """
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}") from None


def encode_line(record: Record) -> bytes:
    """A record as a line of a JSONL file; dates and times, which parquet has and JSON has not, in ISO 8601.

    Raises:
        RecordError: JSON or UTF-8 cannot carry it, so no reader could read the file.
    """
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False, default=_plain).encode("utf-8") + b"\n"
    except UnicodeEncodeError as error:
        code = f"U+{ord(error.object[error.start]):04X}"
        raise RecordError(f"a text or a field holds a lone surrogate ({code}), which UTF-8 cannot carry") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"cannot be written as JSON: {error}") from None


def _plain(value: Any) -> str:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise TypeError(f"a value of type {type(value).__name__}")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def check_record(record: Any) -> None:
    """Raise :class:`RecordError` unless a record is an object with chat `messages`; see :func:`check_turns`."""
    if not isinstance(record, dict):
        raise RecordError(f"a record must be a JSON object, not {type(record).__name__}")
    check_turns(record, "messages", "role", "content")


def check_turns(record: Record, field: str, role: str, content: str) -> None:
    """Raise :class:`RecordError` unless a field of a record holds the turns of a chat.

    They are a non-empty list of objects, each with a string under the key `role`, and under the key `content` a string
    or a list of parts (`{"type": "text", "text": ..}` and others).
    """
    turns = record.get(field)
    if not isinstance(turns, list) or not turns:
        found = "is missing" if field not in record else "is empty" if isinstance(turns, list) else "is not a list"
        raise RecordError(f"{field!r} {found}; fields: {', '.join(map(str, record)) or 'none'}")
    for i, turn in enumerate(turns):
        if not isinstance(turn, dict) or not isinstance(turn.get(role), str):
            raise RecordError(f"{field}[{i}] must be an object with a string {role!r}")
        value = turn.get(content)
        parts = value if isinstance(value, list) else []
        if not isinstance(value, str | list) or not all(map(_is_part, parts)):
            raise RecordError(f"{field}[{i}].{content} must be a string or a list of parts, not {_kind(value)}")


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and (part.get("type") != "text" or isinstance(part.get("text"), str))


def _kind(content: Any) -> str:
    return "a list with something else" if isinstance(content, list) else type(content).__name__


def holds_media(record: Record) -> bool:
    """Whether a checked record has images, videos or audio already, in a field or in a content part."""
    if any(_is_given(record.get(field)) for field in MEDIA_FIELDS):
        return True
    contents = (message["content"] for message in record["messages"])
    return any(part.get("type") != "text" for content in contents if isinstance(content, list) for part in content)


def _is_given(media: Any) -> bool:
    # Not by truth, which an array has none of.
    return len(media) > 0 if hasattr(media, "__len__") else bool(media)


def message_text(message: Record) -> str:
    """The text of a message without media; text parts are joined as chat templates join them, with nothing between."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def interleave(record: Record, carry: Callable[[Any], Any]) -> tuple[list[list[Part]], list[Any]]:
    """The contents of a record's messages as parts, `{"type": "text", ..}` and `{"type": "image", "image": ..}`.

    In a record that came with `image` or `images` of its own, its `<image>` markers are what they say.

    Args:
        record: A checked record.
        carry: Makes of an image, a path or whatever a part holds, what is to stand in its place; it may raise
            :class:`RecordError`.

    Returns:
        The parts of each message, and what `carry` made of the images, in reading order.

    Raises:
        RecordError: It holds media that cannot be carried, or not as many images as `<image>` markers.
    """
    for field in ("video", "videos", "audio", "audios"):
        if _is_given(record.get(field)):
            raise RecordError(f"{field!r} cannot be carried, only images")
    if _is_given(record.get("image")) and _is_given(record.get("images")):
        raise RecordError("'image' and 'images' cannot be told apart")
    own: Any = next((record[field] for field in ("images", "image") if _is_given(record.get(field))), [])
    waiting = deque(own if isinstance(own, (list, tuple)) else [own])
    runs = [list(_runs(message["content"])) for message in record["messages"]]
    count = len(waiting)
    markers = sum(text.count("<image>") for content in runs for text, _ in content)
    if count and markers != count:
        raise RecordError(f"{markers} <image> markers but {count} images")
    contents, paths = [], []
    for content in runs:
        parts: list[Part] = []
        for text, image in content:
            pieces = text.split("<image>") if count else [text]
            shown = [waiting.popleft() for _ in pieces[1:]] + ([] if image is None else [image])
            names = [carry(source) for source in shown]
            paths += names
            for piece, name in itertools.zip_longest(pieces, names):
                parts += [{"type": "text", "text": piece}] if piece else []
                parts += [{"type": "image", "image": name}] if name is not None else []
        contents.append(parts or [{"type": "text", "text": ""}])
    return contents, paths


def to_placeholders(parts: list[Part]) -> tuple[str, int]:
    """A content as a string with `<image>` for each image.

    A literal `<image>`, `<video>`, `<audio>` or `<|image_pad|>` in a text would be counted as media. It is written
    with a space after the `<`, which no trainer takes for a placeholder.

    Returns:
        The string and how many literals were written apart.
    """
    told = [_PLACEHOLDER.subn("< ", part["text"]) if part["type"] == "text" else ("<image>", 0) for part in parts]
    return "".join(text for text, _ in told), sum(count for _, count in told)


def _runs(content: str | list[Record]) -> Iterator[tuple[str, Any]]:
    """A content as texts, each with the image that follows it, or None at the end.

    Adjacent text parts are one text: a placeholder that two of them make together is one.
    """
    text = ""
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        if part.get("type") == "text":
            text += part["text"]
        elif part.get("type") in ("image", "image_url"):
            source = part.get("image", part.get("image_url", part.get("path")))
            source = source["url"] if isinstance(source, dict) and "url" in source else source
            yield text, "" if source is None else source
            text = ""
        else:
            raise RecordError(f"a content part of type {part.get('type')!r} cannot be carried")
    yield text, None


def carry_path(path: Any, folder: Path, out: Path) -> str:
    """An image's path, so that it starts from `out`; RecordError if it is no path.

    Args:
        path: A string as it came, or a `Path` to a file below `out`.
        folder: Where strings start from.
        out: Where paths are to start from.
    """
    if isinstance(path, Path):
        return path.relative_to(out).as_posix()
    if not isinstance(path, str) or not path or path.startswith(("data:", "http:", "https:")):
        shown = repr(path[:30]) if isinstance(path, str) else type(path).__name__
        raise RecordError(f"an image must be a file's path to be carried, not {shown}")
    try:
        file = folder / path
        return os.path.relpath(file, out) if file.is_file() else path
    except (OSError, ValueError) as error:
        raise RecordError(f"an image's path cannot be used: {error}") from None
