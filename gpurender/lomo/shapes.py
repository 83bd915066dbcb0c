"""Shapes: the fields in which a dataset's records hold their text; to chat messages and back.

A shape has three uses: `messages` of a record, whose turns with the role "user" may be rewritten; `fill`, which puts
contents back where those messages came from; `dataset_info`, which tells LLaMA-Factory where things are. The messages
stand in the order in which LLaMA-Factory would count their images, and number i is what a span's `message` means.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from gpurender.lomo.records import Part, Record, RecordError, check_turns

__all__ = ["OPTIONAL", "SHAPES", "Alpaca", "Chat", "Content", "Field", "Shape", "ShapeName", "fit"]

ShapeName = Literal["messages", "conversations", "alpaca"]
Content = str | list[Part]


@dataclass(frozen=True)
class Chat:
    """A list of turns: `messages` of OpenAI and ShareGPT, `conversations` of LLaVA, Qwen and ShareGPT.

    Args:
        field: Where the turns are.
        role: The key of who speaks.
        content: The key of what is said: a string, or a list of parts.
        user, assistant: What the role key says of these.
    """

    field: str = "messages"
    role: str = "role"
    content: str = "content"
    user: str = "user"
    assistant: str = "assistant"

    def messages(self, record: Record) -> list[Record]:
        """The turns of a record; :class:`RecordError` if it has none, or names its roles as no other of the job."""
        check_turns(record, self.field, self.role, self.content)
        roles = {self.user: "user", self.assistant: "assistant"}
        for i, turn in enumerate(record[self.field]):
            # The dataset's description has one name for each role; a turn with another would be dropped by its reader.
            if turn[self.role] in (*USERS, *ASSISTANTS) and turn[self.role] not in roles:
                told = f"{self.user!r} and {self.assistant!r}"
                raise RecordError(f"{self.field}[{i}].{self.role} is {turn[self.role]!r}, where the job has {told}")
        return [
            {"role": roles.get(turn[self.role], turn[self.role]), "content": turn[self.content]}
            for turn in record[self.field]
        ]

    def fill(self, record: Record, contents: list[Content]) -> Record:
        """The record with a content in each turn."""
        turns = zip(record[self.field], contents, strict=True)
        return record | {self.field: [turn | {self.content: content} for turn, content in turns]}

    def dataset_info(self, fields: set[str]) -> Record:
        """LLaMA-Factory's description of a dataset whose records have these fields."""
        columns = {"messages": self.field} | {name: name for name in ("system", "images") if name in fields}
        tags = {
            "role_tag": self.role,
            "content_tag": self.content,
            "user_tag": self.user,
            "assistant_tag": self.assistant,
            "system_tag": "system",
        }
        # What ShareGPT calls the turns of tools.
        tools = {"observation_tag": "observation", "function_tag": "function_call"} if self.role == "from" else {}
        return {"formatting": "sharegpt", "columns": columns, "tags": tags | tools}


@dataclass(frozen=True)
class Alpaca:
    """`instruction`, `input`, `output`, and sometimes `system` and `history`.

    The prompt is what LLaMA-Factory makes of it: `instruction` and `input` with a line break between, without the one
    that is empty. With an image in it, all of it stands in `instruction` and `input` is empty, since the span may reach
    over both. `history` and `system` are never rewritten. The prompt's number is that of its turn: 0, or 2 for each
    pair of the history.
    """

    def messages(self, record: Record) -> list[Record]:
        """The history, the prompt, the answer and the system prompt; :class:`RecordError` for what is no text."""
        if not isinstance(record.get("instruction"), str):
            found = "is missing" if "instruction" not in record else "must be a string"
            raise RecordError(f"'instruction' {found}; fields: {_fields(record)}")
        for field in ("input", "output", "system"):
            if not isinstance(record.get(field) or "", str):
                raise RecordError(f"{field!r} must be a string, not {type(record[field]).__name__}")
        history = record.get("history") or []
        if not isinstance(history, list) or not all(map(_is_pair, history)):
            raise RecordError("'history' must be a list of pairs of strings")
        # A role of its own, so that none of it is rewritten.
        messages = [{"role": "history", "content": text} for pair in history for text in pair]
        prompt = "\n".join(text for text in (record["instruction"], record.get("input")) if text)
        messages.append({"role": "user", "content": prompt})
        messages += [{"role": "assistant", "content": record["output"]}] if record.get("output") else []
        messages += [{"role": "system", "content": record["system"]}] if record.get("system") else []
        return messages

    def fill(self, record: Record, contents: list[Content]) -> Record:
        """The record with its contents; parts stand in `instruction` alone, since a field must have one type."""
        rest = iter(contents)
        done = dict(record)
        if record.get("history"):
            done["history"] = [[_string(next(rest)), _string(next(rest))] for _ in record["history"]]
        prompt = next(rest)
        for field in ("output", "system"):
            if record.get(field):
                done[field] = _string(next(rest))
        if not record.get("input") or _holds_image(prompt):
            return done | {"instruction": prompt} | ({"input": ""} if record.get("input") else {})
        # The line breaks are where they were: those of the instruction, one, those of the input.
        lines = _string(prompt).split("\n")
        count = record["instruction"].count("\n") + 1 if record["instruction"] else 0
        instruction = "\n".join(lines[:count])
        text = instruction if isinstance(prompt, str) else [{"type": "text", "text": instruction}]
        return done | {"instruction": text, "input": "\n".join(lines[count:])}

    def dataset_info(self, fields: set[str]) -> Record:
        """LLaMA-Factory's description of a dataset whose records have these fields."""
        columns = {"prompt": "instruction"}
        named = {"query": "input", "response": "output"} | {name: name for name in ("system", "history", "images")}
        return {"formatting": "alpaca", "columns": columns | {k: v for k, v in named.items() if v in fields}}


@dataclass(frozen=True)
class Field:
    """A plain field, all of which is the prompt, as `text`, `prompt` or `tex`."""

    name: str

    def messages(self, record: Record) -> list[Record]:
        """One user's turn; :class:`RecordError` if the field is no text."""
        if not isinstance(record.get(self.name), str):
            found = "must be a string" if self.name in record else "is missing"
            raise RecordError(f"{self.name!r} {found}; fields: {_fields(record)}")
        return [{"role": "user", "content": record[self.name]}]

    def fill(self, record: Record, contents: list[Content]) -> Record:
        """The record with the content in the field."""
        return record | {self.name: contents[0]}

    def dataset_info(self, fields: set[str]) -> Record:
        """LLaMA-Factory's description of a dataset whose records have these fields."""
        columns = {"prompt": self.name} | ({"images": "images"} if "images" in fields else {})
        return {"formatting": "alpaca", "columns": columns}


Shape = Chat | Alpaca | Field

# The fields that a shape's description names where they are.
OPTIONAL = frozenset({"input", "output", "system", "history", "images"})
SHAPES: dict[str, Shape] = {
    "messages": Chat(),
    "conversations": Chat("conversations", "from", "value", "human", "gpt"),
    "alpaca": Alpaca(),
}
# What a user and an assistant are called, two by two.
USERS, ASSISTANTS = ("user", "human"), ("assistant", "gpt")


def fit(record: Record, shape: ShapeName | None = None, field: str | None = None) -> Shape:
    """The shape of a record.

    Args:
        record: A JSON object.
        shape: The one it must have. By default it is told by the fields: `messages`, `conversations`, `instruction`, in
            this order.
        field: The plain field that it must have; `shape` is not looked at then.

    Raises:
        RecordError: None fits; the message tells the record's fields, and what to do.
    """
    if field is not None:
        found: Shape | None = Field(field)
    elif shape is not None:
        found = SHAPES[shape]
    else:
        keys = {"messages": "messages", "conversations": "conversations", "alpaca": "instruction"}
        found = next((SHAPES[name] for name, key in keys.items() if key in record), None)
    if found is None:
        raise RecordError(
            "no field is 'messages', 'conversations' or 'instruction' (`gpurender lomo --field` rewrites any other); "
            f"fields: {_fields(record)}"
        )
    if isinstance(found, Chat):
        check_turns(record, found.field, found.role, found.content)
        said = [turn[found.role] for turn in record[found.field]]
        first = next((name for name in said if name in (*USERS, *ASSISTANTS)), found.user)
        pair = USERS.index(first) if first in USERS else ASSISTANTS.index(first)
        user = next((name for name in said if name in USERS), USERS[pair])
        assistant = next((name for name in said if name in ASSISTANTS), ASSISTANTS[pair])
        found = replace(found, user=user, assistant=assistant)
    if not any(message["role"] == "user" for message in found.messages(record)):
        raise RecordError("no turn is the user's")
    return found


def _fields(record: Record) -> str:
    return ", ".join(map(str, record)) or "none"


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)


def _holds_image(content: Content) -> bool:
    # A string here has no literal "<image>": they are written apart.
    return "<image>" in content if isinstance(content, str) else any(part["type"] == "image" for part in content)


def _string(content: Content) -> str:
    if isinstance(content, str):
        return content
    if _holds_image(content):
        raise RecordError("an image in 'history', 'output' or 'system' cannot be written as parts")
    return "".join(part["text"] for part in content)
