"""Records as they come: their names, and the chats that they hold."""

from __future__ import annotations

import hashlib
import json
from operator import index
from typing import Any

from gpurender.feed.chat import ROLES
from gpurender.lomo.records import MEDIA_FIELDS, Record, RecordError, holds_media, message_text
from gpurender.lomo.shapes import Chat, fit
from gpurender.lomo.substitute import PROVENANCE

__all__ = ["record_chat", "record_name", "record_tools"]


def record_name(record: Any) -> str:
    """A record's id, if it is a string or an integer, else ""."""
    own: Any = record.get("id") if isinstance(record, dict) else None
    if isinstance(own, (str, bool)):
        return own if isinstance(own, str) else ""
    try:
        return str(index(own))
    except TypeError:
        return ""


def record_tools(record: Record) -> list[Any] | None:
    """A record's tools: a list, or one in JSON as LLaMA-Factory has it; RecordError for other things."""
    tools = record.get("tools")
    try:
        tools = json.loads(tools) if isinstance(tools, str) and tools.strip() else tools
    except ValueError as error:
        raise RecordError(f"'tools' is not JSON: {error}") from None
    if not isinstance(tools, (list, str, type(None))):
        raise RecordError(f"'tools' must be a list, not {type(tools).__name__}")
    return tools or None if isinstance(tools, list) else None


def record_chat(record: Any) -> Record:
    """A record of any shape as chat messages in the order in which they are said, with an `id`.

    Raises:
        RecordError: It is no such record, or holds no question, or no answer.
    """
    if not isinstance(record, dict):
        raise RecordError(f"a record must be a dict, not {type(record).__name__}")
    if isinstance(record.get("messages"), list):
        # A call of tools need not say anything.
        turns = [turn | {"content": ""} if _calls_alone(turn) else turn for turn in record["messages"]]
        record = record | {"messages": turns}
    shape = fit(record)
    messages = shape.messages(record)
    if isinstance(shape, Chat):
        # What else a turn has (`tool_calls`, `name`) is for the template.
        extra = [
            {k: v for k, v in turn.items() if k not in (shape.role, shape.content)} for turn in record[shape.field]
        ]
        messages = [rest | message for rest, message in zip(extra, messages, strict=True)]
    else:
        system = [m for m in messages if m["role"] == "system"]
        messages = system + [m for m in messages if m["role"] != "system"]
    for i, message in enumerate(messages):
        if message["role"] not in (*ROLES, "history"):
            raise RecordError(f"messages[{i}] has the unknown role {message['role']!r}; roles are {', '.join(ROLES)}")
        if message["role"] == "assistant" and any(part.get("type") != "text" for part in _parts(message)):
            raise RecordError(f"messages[{i}], an answer, has an image or other media: only text can be learned")
    if isinstance(record.get("system"), str) and record["system"] and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": record["system"]})
    chat = {name: record[name] for name in ("tools", *MEDIA_FIELDS, PROVENANCE) if name in record}
    chat["messages"] = messages
    if not holds_media(chat) and not any(message_text(m).strip() for m in messages if m["role"] == "user"):
        raise RecordError("no turn of the user's holds text")
    answers = [m for m in messages if m["role"] == "assistant"]
    if not any(message_text(m).strip() or m.get("tool_calls") for m in answers):
        raise RecordError("no turn is the assistant's and holds text, so there is nothing to learn")
    chat["id"] = record_name(record) or _name_of(messages)
    return chat


def _calls_alone(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("content") is None and bool(turn.get("tool_calls"))


def _parts(message: Record) -> list[Record]:
    return message["content"] if isinstance(message["content"], list) else []


def _name_of(messages: list[Record]) -> str:
    """A name made of what is said."""
    parts = [text for m in messages for text in (m["role"], *_texts(m))]
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _texts(message: Record) -> list[str]:
    content = message["content"]
    if isinstance(content, str):
        return [content]
    return [part["text"] if part.get("type") == "text" else str(part.get("type")) for part in content]
