"""Chats as token ids: the tokenizer's own chat template, images as placeholders, answers marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jinja2 import TemplateError

from gpurender.lomo.records import Record, RecordError, message_text

__all__ = ["ChatTokenizer"]

ROLES = ("system", "developer", "user", "assistant", "tool")
# A noncharacter, which no text holds and no template looks for: an answer begins behind it.
MARK = "\ufdd0"


class ChatTokenizer:
    """Token ids of chats, as the tokenizer's chat template writes them.

    An answer is what follows the header of an assistant's turn, with the special token that ends the turn. It is
    tokenised apart from what stands before it, as a model will write it. A text that spells a special token is written
    with a space behind its first character: it is text, and no token that controls the model.

    Args:
        tokenizer: Of `transformers`, with a chat template.
        image_token: What the template writes for an image.

    Raises:
        ValueError: The tokenizer has no chat template, or none that shows images by this token and ends answers by a
            special one; or it adds a space to what it begins with, so that texts cannot be tokenised in pieces.
    """

    def __init__(self, tokenizer: Any, image_token: str) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(f"tokenizer {type(tokenizer).__name__} has no chat_template")
        special = {i: str(token) for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._tokenizer = tokenizer
        self._is_special = np.zeros(len(tokenizer), bool)
        self._is_special[list(special)] = True
        if image_token not in special.values():
            raise ValueError(
                f"the profile shows images as {image_token!r}, which is no special token of this tokenizer: they are "
                "not of one model family"
            )
        self.image_id = next(i for i, token in special.items() if token == image_token)
        self.pad_id = int(next(i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None))
        spelled = sorted(special.values(), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, spelled)))
        # How the template takes contents: as lists of parts alone; and whether it trims them.
        self._takes_parts = self._trims = False
        self._probe(image_token)

    def _probe(self, image_token: str) -> None:
        """Try the template on a chat with an image; some take strings, and some lists of parts alone."""
        text = {"type": "text", "text": " \u2603"}
        chat = [{"role": "user", "content": [text]}, {"role": "assistant", "content": [text]}]
        with_image = [{"role": "user", "content": [{"type": "image"}, text]}, chat[1]]
        fault = "it does not show what is said"
        for self._takes_parts in (False, True):
            try:
                shown = self._render([self._written(message) for message in chat], None)
                if shown.count("\u2603") == 2:
                    self._trims = shown.count(" \u2603") < 2
                    pieces = self.pieces(with_image)
                    break
            except RecordError as error:
                fault = str(error)
        else:
            raise ValueError(f"the tokenizer's chat template does not take a chat with an image: {fault}")
        ((ids, answers),) = self.encode([pieces])
        if (ids == self.image_id).sum() != 1:
            raise ValueError(f"the tokenizer's chat template does not show an image as {image_token!r}")
        if not self._is_special[ids[answers]].any():
            raise ValueError("the tokenizer's chat template does not end an answer by a special token")
        whole, parts = self._ids(["a\nb", "a\n", "b"])[0], self._ids(["a\n", "b"])
        if whole != parts[0] + parts[1]:
            raise ValueError(
                "the tokenizer adds a space to what it begins with, so answers cannot be told from prompts"
            )

    def set_apart(self, text: str) -> tuple[str, int]:
        """A text in which no special token is spelled any more, and how many were."""
        return self._special.subn(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def pieces(self, messages: Sequence[Record], tools: Any = None) -> list[str]:
        """A chat as the template writes it, cut where an answer begins: the prompt, and a piece for each answer.

        Args:
            messages: Dicts with `role` and `content`, a list of parts: `{"type": "text", "text": ..}` and
                `{"type": "image"}`.
            tools: What the template takes as such.

        Raises:
            RecordError: The template refuses the chat, or changes an answer so that its beginning cannot be told.
        """
        messages = [self._written(message) for message in messages]
        marked = [self._marked(message) if message["role"] == "assistant" else message for message in messages]
        answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        pieces = self._render(marked, tools).split(MARK)
        if len(pieces) == len(answers) + 1:
            return pieces
        # The template takes answers to pieces (thoughts); then what it asks for one by tells where it begins.
        text, begins = self._render(messages, tools), [0]
        for i in answers:
            prompt = self._render(messages[:i], tools, add_generation_prompt=True)
            if not text.startswith(prompt) or len(prompt) <= begins[-1]:
                raise RecordError(f"the chat template changes the answer in messages[{i}]")
            begins.append(len(prompt))
        return [text[start:stop] for start, stop in zip(begins, [*begins[1:], len(text)], strict=True)]

    def encode(self, chats: Sequence[list[str]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Token ids [L] int32 of each chat's pieces, one placeholder an image, and whether each is an answer's [L]."""
        encoded = iter(self._ids([piece for pieces in chats for piece in pieces]))
        done = []
        for pieces in chats:
            parts = [np.array(next(encoded), np.int32) for _ in pieces]
            answers = [np.zeros(len(part), bool) for part in parts]
            for part, answer in zip(parts[1:], answers[1:], strict=True):
                ends = np.flatnonzero(self._is_special[part])
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

    def _marked(self, message: Record) -> Record:
        content = message["content"]
        if not isinstance(content, str):
            return message | {"content": [{"type": "text", "text": MARK}, *content]}
        body = content.lstrip() if self._trims else content
        return message | {"content": content[: len(content) - len(body)] + MARK + body}

    def _render(self, messages: Sequence[Record], tools: Any, *, add_generation_prompt: bool = False) -> str:
        try:
            text: str = self._tokenizer.apply_chat_template(
                list(messages), tools=tools, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise RecordError(f"the chat template refuses it: {error}") from None
        return text
