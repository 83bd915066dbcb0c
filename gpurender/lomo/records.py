"""Records: chat messages in, and what LLaMA-Factory trains on out."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "RecordError",
    "check_record",
    "encode_line",
    "holds_media",
    "message_text",
    "parse_line",
    "read_lines",
    "to_sharegpt",
]

Record = dict[str, Any]

MEDIA_FIELDS = ("image", "images", "video", "videos", "audio", "audios")
_PLACEHOLDER = re.compile(r"<(?=image>|video>|audio>|\|image_pad\|>)")


class RecordError(ValueError):
    """A record that cannot be used; the message says why."""


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, bytes]]:
    """The lines of a JSONL file that are not blank, with their numbers from 1; a byte order mark is dropped."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield number, text


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
    """A record as a line of a JSONL file.

    Raises:
        RecordError: JSON or UTF-8 cannot carry it, so no reader could read the file.
    """
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError as error:
        code = f"U+{ord(error.object[error.start]):04X}"
        raise RecordError(f"a text or a field holds a lone surrogate ({code}), which UTF-8 cannot carry") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"cannot be written as JSON: {error}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def check_record(record: Any) -> None:
    """Raise :class:`RecordError` unless a record holds chat messages: a non-empty list `messages` of objects with a
    string `role` and a `content` that is a string or a list of parts (`{"type": "text", "text": ..}` and others).
    """
    if not isinstance(record, dict):
        raise RecordError(f"a record must be a JSON object, not {type(record).__name__}")
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        found = "is missing" if "messages" not in record else "is empty" if messages == [] else "is not a list"
        raise RecordError(f"'messages' {found}; fields: {', '.join(map(str, record)) or 'none'}")
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RecordError(f"messages[{i}] must be an object with a string 'role'")
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if not isinstance(content, str | list) or not all(map(_is_part, parts)):
            raise RecordError(f"messages[{i}].content must be a string or a list of parts, not {_kind(content)}")


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and (part.get("type") != "text" or isinstance(part.get("text"), str))


def _kind(content: Any) -> str:
    return "a list with something else" if isinstance(content, list) else type(content).__name__


def holds_media(record: Record) -> bool:
    """Whether a checked record has images, videos or audio already, in a field or in a content part."""
    if any(record.get(field) for field in MEDIA_FIELDS):
        return True
    contents = (message["content"] for message in record["messages"])
    return any(part.get("type") != "text" for content in contents if isinstance(content, list) for part in content)


def message_text(message: Record) -> str:
    """The text of a message without media; text parts are joined as chat templates join them, with nothing between."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def to_sharegpt(record: Record, folder: Path, out: Path) -> tuple[Record, int]:
    """A record in the form that LLaMA-Factory reads: contents are strings with one `<image>` for each path in `images`.

    A literal `<image>`, `<video>`, `<audio>` or `<|image_pad|>` in a text would be counted as media. It is written
    with a space after the `<`, which no trainer takes for a placeholder. In a record that came with `images` of its
    own, its `<image>` markers are what they say.

    Args:
        record: A checked record. Its image parts hold a path: a string as it came, or a `Path` to a file below `out`.
        folder: Where the record's own image paths start from.
        out: Where paths are to start from.

    Returns:
        The record and how many literals were written apart.

    Raises:
        RecordError: It holds media that this form cannot carry, or not as many images as `<image>` markers.
    """
    for field in ("video", "videos", "audio", "audios"):
        if record.get(field):
            raise RecordError(f"{field!r} cannot be carried by the sharegpt-with-images form")
    if record.get("image") and record.get("images"):
        raise RecordError("'image' and 'images' cannot be told apart")
    own = record.get("images") or record.get("image") or []
    waiting = deque(own if isinstance(own, list) else [own])
    markers = bool(waiting)
    paths: list[str] = []
    messages, apart, found = [], 0, 0
    for message in record["messages"]:
        pieces = []
        for text, image in _runs(message["content"]):
            for i, piece in enumerate(text.split("<image>") if markers else [text]):
                if i:
                    found += 1
                    pieces.append("<image>")
                    paths += [_relative(waiting.popleft(), folder, out)] if waiting else []
                told, count = _PLACEHOLDER.subn("< ", piece)
                pieces.append(told)
                apart += count
            if image is not None:
                pieces.append("<image>")
                paths.append(_relative(image, folder, out))
        messages.append(message | {"content": "".join(pieces)})
    if waiting or sum(message["content"].count("<image>") for message in messages) != len(paths):
        raise RecordError(f"{found} <image> markers but {len(own) if isinstance(own, list) else 1} images")
    rest = {key: value for key, value in record.items() if key not in ("messages", "image", "images")}
    return {"messages": messages, "images": paths, **rest}, apart


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
            yield text, source.get("url", "") if isinstance(source, dict) else "" if source is None else source
            text = ""
        else:
            raise RecordError(f"a content part of type {part.get('type')!r} cannot be carried")
    yield text, None


def _relative(path: Any, folder: Path, out: Path) -> str:
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
