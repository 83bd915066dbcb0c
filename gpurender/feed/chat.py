"""Chats as token ids: the tokenizer's own chat template, images as placeholders, answers marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jinja2 import TemplateError

from gpurender.lomo.records import Record, RecordError, message_text

__all__ = ["ROLES", "ChatTokenizer"]

ROLES = ("system", "developer", "user", "assistant", "tool")
LINES = re.compile(r"[^\n]*\n|[^\n]+")


class ChatTokenizer:
    """Token ids of chats, as the tokenizer's chat template writes them.

    An answer is what follows that by which the template asks for one (`add_generation_prompt`), with the token that
    ends it; it is tokenised apart from what stands before it, as a model will write it. Control tokens are the special
    ones that the template writes, of images, and of beginnings, ends and padding. A text that spells one is written
    with a space behind its first character: it is text, and controls nothing.

    Args:
        tokenizer: Of `transformers`, with a chat template.
        image_token: What the template writes for an image.

    Raises:
        ValueError: The tokenizer has no chat template, or none that shows images by this token, asks for answers and
            ends them by a special token; or it adds a space to what it begins with, so that texts cannot be tokenised
            in pieces.
    """

    def __init__(self, tokenizer: Any, image_token: str) -> None:
        template = getattr(tokenizer, "chat_template", None)
        if not template:
            raise ValueError(f"tokenizer {type(tokenizer).__name__} has no chat_template")
        special = {str(token): i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        if image_token not in special:
            raise ValueError(
                f"the profile shows images as {image_token!r}, which is no special token of this tokenizer: they are "
                "not of one model family"
            )
        self._tokenizer = tokenizer
        self.image_id = special[image_token]
        self.pad_id = int(next(i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None))
        # Whether the template takes contents as lists of parts alone.
        self._takes_parts = False
        shown = self._probe(image_token, special)
        named = (image_token, tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token)
        control = [t for t in special if t in named or t in str(template) or t in shown]
        self._control = re.compile("|".join(map(re.escape, sorted(control, key=len, reverse=True))))

    def _probe(self, image_token: str, special: dict[str, int]) -> str:
        """Try the template on a chat with an image: how it takes contents, asks for answers, and ends them."""
        text = {"type": "text", "text": "\u2603"}
        chat = [{"role": "user", "content": [{"type": "image"}, text]}, {"role": "assistant", "content": [text]}]
        chat += [{"role": "user", "content": [text]}, chat[1]]
        fault = ""
        for self._takes_parts in (False, True):
            try:
                question, asked = (self._render(chat[:1], None, add_generation_prompt=ask) for ask in (False, True))
                # The header of an answer, and what it is asked to begin with: `<think>`, mostly.
                self._header, *self._asked = LINES.findall(asked.removeprefix(question)) or [""]
                if not self._header or not asked.startswith(question):
                    raise RecordError("it does not ask for an answer, by add_generation_prompt")
                pieces = self.pieces(chat)
                if not all("\u2603" in piece for piece in pieces):
                    raise RecordError("it does not show what is said")
                break
            except RecordError as error:
                fault = fault or str(error)
        else:
            raise ValueError(f"the tokenizer's chat template does not take a chat with an image: {fault}")
        prompt, *answers = self._ids(pieces)
        if prompt.count(self.image_id) != 1:
            raise ValueError(f"the tokenizer's chat template does not show an image as {image_token!r}")
        behind = self._ids([pieces[-1].partition("\u2603")[2]])[0]
        ends = [i for i in behind if i in set(special.values())]
        if not ends or not all(ends[0] in answer for answer in answers):
            raise ValueError("the tokenizer's chat template does not end each answer by a special token")
        self._end_id = ends[0]
        whole, *parts = self._ids(["a\nb", "a\n", "b"])
        if whole != parts[0] + parts[1]:
            raise ValueError(
                "the tokenizer adds a space to what it begins with, so answers cannot be told from prompts"
            )
        return "".join(pieces)

    def set_apart(self, value: Any) -> tuple[Any, int]:
        """A text, or the texts in lists and dicts, with no control token spelled any more; and how many were."""
        if isinstance(value, str):
            return self._control.subn(lambda found: f"{found[0][0]} {found[0][1:]}", value)
        if isinstance(value, (list, tuple)):
            items = [self.set_apart(item) for item in value]
            return [item for item, _ in items], sum(count for _, count in items)
        if isinstance(value, dict):
            pairs = [(self.set_apart(name), self.set_apart(item)) for name, item in value.items()]
            return {name: item for (name, _), (item, _) in pairs}, sum(a + b for (_, a), (_, b) in pairs)
        return value, 0

    def pieces(self, messages: Sequence[Record], tools: Any = None) -> list[str]:
        """A chat as the template writes it, cut where an answer begins: the prompt, and a piece for each answer.

        Args:
            messages: Dicts with `role` and `content`, a list of parts: `{"type": "text", "text": ..}` and
                `{"type": "image"}`; answers without images.
            tools: What the template takes as such.

        Raises:
            RecordError: The template refuses the chat, does not show a turn, or writes an answer so that its beginning
                cannot be told; or a text has a lone surrogate.
        """
        messages = [self._written(message) for message in messages]
        text = self._render(messages, tools)
        for i, message in enumerate(messages):
            if not all(said in text for said in _said(message)):
                raise RecordError(f"the chat template does not show messages[{i}], of role {message['role']!r}")
        if not all(name in text for name in _names(tools)):
            raise RecordError("the chat template does not show the tools")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RecordError(f"a text holds a lone surrogate (U+{ord(text[error.start]):04X})") from None
        # Texts hold no control token, so none holds a header that has one; where it has none, they are counted.
        places = [found.end() for found in re.finditer(re.escape(self._header), text)]
        answers = sum(message["role"] == "assistant" for message in messages)
        if len(places) != answers:
            raise RecordError(f"the chat template shows {len(places)} headers of answers for {answers} of them")
        begins = [0]
        for place in places:
            for line in self._asked:
                # Earlier answers are written without their thoughts, where a template asks for some to begin.
                if not text.startswith(line, place):
                    break
                place += len(line)
            begins.append(place)
        return [text[start:stop] for start, stop in zip(begins, [*begins[1:], len(text)], strict=True)]

    def encode(self, chats: Sequence[list[str]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Token ids [L] int32 of each chat's pieces, one placeholder an image, and whether each is an answer's [L]."""
        encoded = iter(self._ids([piece for pieces in chats for piece in pieces]))
        done = []
        for pieces in chats:
            parts = [np.array(next(encoded), np.int32) for _ in pieces]
            answers = [np.zeros(len(part), bool) for part in parts]
            for part, answer in zip(parts[1:], answers[1:], strict=True):
                ends = np.flatnonzero(part == self._end_id)
                answer[: ends[0] + 1 if len(ends) else None] = True
            done.append((np.concatenate(parts), np.concatenate(answers)))
        return done

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        found: list[list[int]] = self._tokenizer(texts, add_special_tokens=False, return_attention_mask=False)[
            "input_ids"
        ]
        return found

    def _written(self, message: Record) -> Record:
        """A message with its content as the template takes it: a string, where it has no image."""
        if self._takes_parts or any(part["type"] != "text" for part in message["content"]):
            return message
        return message | {"content": message_text(message)}

    def _render(self, messages: Sequence[Record], tools: Any, *, add_generation_prompt: bool = False) -> str:
        try:
            text: str = self._tokenizer.apply_chat_template(
                list(messages), tools=tools, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise RecordError(f"the chat template refuses it: {error}") from None
        return text


def _said(message: Record) -> list[str]:
    """What a turn must show: a question's texts, and the names of tools that are called; a tool may answer in JSON."""
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    told = message["role"] not in ("assistant", "tool")
    said = [part["text"].strip() for part in parts if part["type"] == "text"] if told else []
    return said + _names(message.get("tool_calls"))


def _names(tools: Any) -> list[str]:
    """The names of tools, or of calls of tools, where they are said as usual."""
    functions = [t.get("function", t) for t in tools or [] if isinstance(t, dict)]
    return [f["name"] for f in functions if isinstance(f, dict) and isinstance(f.get("name"), str)]
