"""Records as they come: their names, and the chats that they hold."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from gpurender.feed.chat import ROLES
from gpurender.lomo.records import MEDIA_FIELDS, Record, RecordError, holds_media, message_text
from gpurender.lomo.shapes import Chat, fit
from gpurender.lomo.substitute import PROVENANCE

__all__ = ["record_chat", "record_name"]


def record_name(record: Any) -> str:
    """A record's id, or else one made of its content."""
    own = record.get("id") if isinstance(record, dict) else None
    if own is not None:
        return str(own)
    text = json.dumps(record, sort_keys=True, default=repr).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def record_chat(record: Any) -> Record:
    """A record of any shape as chat messages in the order in which they are said."""
    if not isinstance(record, dict):
        raise RecordError(f"a record must be a dict, not {type(record).__name__}")
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
    if isinstance(record.get("system"), str) and record["system"] and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": record["system"]})
    chat = {name: record[name] for name in ("id", "tools", *MEDIA_FIELDS, PROVENANCE) if name in record}
    chat["messages"] = messages
    if not holds_media(chat) and not any(message_text(m).strip() for m in messages if m["role"] == "user"):
        raise RecordError("no turn of the user's holds text")
    return chat
