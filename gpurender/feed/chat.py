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
# The line of a header, and those of what follows it in what a template asks for an answer by: `<think>`, mostly.
LINE = re.compile(r"[^\n]*\n")


class ChatTokenizer:
    """Token ids of chats, as the tokenizer's chat template writes them.

    An answer is what follows that by which the template asks for one (`add_generation_prompt`), with the token that
    ends the turn; it is tokenised apart from what stands before it, as a model will write it. Control tokens are the
    special ones of the template, of images, and of beginnings, ends and padding. A text that spells one is written with
    a space behind its first character: it is text, and controls nothing.

    Args:
        tokenizer: Of `transformers`, with a chat template.
        image_token: What the template writes for an image.

    Raises:
        ValueError: The tokenizer has no chat template, or none that shows images by this token and ends answers by a
            control token; or it adds a space to what it begins with, so that texts cannot be tokenised in pieces.
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
        named = (image_token, tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token)
        control = {token: i for token, i in special.items() if token in named or token in str(template)}
        self._tokenizer = tokenizer
        self._is_control = np.zeros(len(tokenizer), bool)
        self._is_control[list(control.values())] = True
        self._control = re.compile("|".join(map(re.escape, sorted(control, key=len, reverse=True))))
        self.image_id = special[image_token]
        self.pad_id = int(next(i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None))
        # Whether the template takes contents as lists of parts alone.
        self._takes_parts = False
        self._probe(image_token)

    def _probe(self, image_token: str) -> None:
        """Try the template on a chat with an image; some take strings, and some lists of parts alone."""
        text = {"type": "text", "text": "\u2603"}
        chat = [{"role": "user", "content": [text]}, {"role": "assistant", "content": [text]}]
        with_image = [{"role": "user", "content": [{"type": "image"}, text]}, chat[1]]
        for self._takes_parts in (False, True):
            try:
                prompt, _ = self.pieces(chat)
                if prompt == self._render([self._written(chat[0])], None):
                    raise RecordError("it does not ask for an answer, by add_generation_prompt")
                pieces = self.pieces(with_image)
                break
            except RecordError as error:
                fault = str(error)
        else:
            raise ValueError(f"the tokenizer's chat template does not take a chat with an image: {fault}")
        ((ids, answers),) = self.encode([pieces])
        if (ids == self.image_id).sum() != 1:
            raise ValueError(f"the tokenizer's chat template does not show an image as {image_token!r}")
        if not self._is_control[ids[answers]].any():
            raise ValueError("the tokenizer's chat template does not end an answer by a special token")
        whole, *parts = self._ids(["a\nb", "a\n", "b"])
        if whole != parts[0] + parts[1]:
            raise ValueError(
                "the tokenizer adds a space to what it begins with, so answers cannot be told from prompts"
            )

    def set_apart(self, value: Any) -> tuple[Any, int]:
        """A text, or the texts in lists and dicts, with no control token spelled any more; and how many were."""
        if isinstance(value, str):
            return self._control.subn(lambda found: f"{found[0][0]} {found[0][1:]}", value)
        if isinstance(value, (list, tuple)):
            items = [self.set_apart(item) for item in value]
            return [item for item, _ in items], sum(count for _, count in items)
        if isinstance(value, dict):
            items = [self.set_apart(item) for item in value.values()]
            return dict(zip(value, (item for item, _ in items), strict=True)), sum(count for _, count in items)
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
        begins = [0]
        for i, message in enumerate(messages):
            if message["role"] != "assistant":
                # What a tool said may be written as JSON.
                parts = [] if message["role"] == "tool" else _parts(message)
                if not all(part["text"].strip() in text for part in parts if part["type"] == "text"):
                    raise RecordError(f"the chat template does not show messages[{i}], of role {message['role']!r}")
                continue
            begin = self._begin(text, messages[:i], tools)
            if begin <= begins[-1]:
                raise RecordError(f"the chat template does not write the answer in messages[{i}] as it asks for it")
            begins.append(begin)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RecordError(f"a text holds a lone surrogate (U+{ord(text[error.start]):04X})") from None
        return [text[start:stop] for start, stop in zip(begins, [*begins[1:], len(text)], strict=True)]

    def _begin(self, text: str, before: list[Record], tools: Any) -> int:
        """Where in a chat's text the answer to the turns before it begins; -1 if the template wrote them otherwise."""
        asked = self._render(before, tools, add_generation_prompt=True)
        if text.startswith(asked):
            return len(asked)
        shown = self._render(before, tools)
        # Earlier answers are written without their thoughts, where the template asks for some to begin.
        if not (text.startswith(shown) and asked.startswith(shown)):
            return -1
        at = len(shown)
        for line in LINE.findall(asked[len(shown) :]):
            if not text.startswith(line, at):
                break
            at += len(line)
        return at if at > len(shown) else -1

    def encode(self, chats: Sequence[list[str]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Token ids [L] int32 of each chat's pieces, one placeholder an image, and whether each is an answer's [L]."""
        encoded = iter(self._ids([piece for pieces in chats for piece in pieces]))
        done = []
        for pieces in chats:
            parts = [np.array(next(encoded), np.int32) for _ in pieces]
            answers = [np.zeros(len(part), bool) for part in parts]
            for part, answer in zip(parts[1:], answers[1:], strict=True):
                ends = np.flatnonzero(self._is_control[part])
                answer[: ends[0] + 1 if len(ends) else len(part)] = True
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


def _parts(message: Record) -> list[Record]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
