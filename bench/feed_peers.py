"""The usual path from records to a model's batch, as a good user writes it today: all of it in DataLoader workers.

Pillow sets and draws the spans, Albumentations distorts them, transformers' image processor cuts them into patches,
and whole float32 patches travel from the worker to the trainer. LoMo's draw and its spans are ours, so that both paths
see the same text; everything after that is theirs. The distortions are the closest that Albumentations has to
`presets.lomo()`, as often each, but for stains, which it has for colours alone.
"""

from __future__ import annotations

import random
import re
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from gpurender.bench.distort_peers import optional
from gpurender.bench.peers import LEADING, MARGIN, SIZE, WIDTH

from gpurender import LoMo
from gpurender.lomo.localize import localize
from gpurender.typeset.fonts import find_font

PAPER = 255
IMAGE = "<|image_pad|>"
ANSWER = re.compile(r"<\|im_start\|>assistant\n(.*?<\|im_end\|>)", re.S)
IGNORED = -100  # by the loss


class Painter:
    """A text as a gray image [height, width] of its ink, and a margin around: words wrapped at 768 px, lines of 22."""

    def __init__(self) -> None:
        from PIL import ImageFont

        self.font = ImageFont.truetype(find_font("DejaVu Sans").file, SIZE)
        self.width_of = cache(self.font.getlength)

    def lines(self, text: str) -> list[str]:
        found, room = [], WIDTH - 2 * MARGIN
        for paragraph in text.splitlines():
            line: list[str] = []
            used = 0.0
            for word in paragraph.split(" "):
                width = self.width_of(word)
                if line and used + self.width_of(" ") + width > room:
                    found.append(" ".join(line))
                    line, used = [], 0.0
                used += (self.width_of(" ") if line else 0) + width
                line.append(word)
            found.append(" ".join(line))
        return found

    def __call__(self, text: str) -> np.ndarray:
        from PIL import Image, ImageDraw, ImageOps

        lines = self.lines(text)
        image = Image.new("L", (WIDTH, LEADING * len(lines) + 2 * MARGIN), PAPER)
        draw = ImageDraw.Draw(image)
        for n, line in enumerate(lines):
            draw.text((MARGIN, MARGIN + n * LEADING), line, fill=0, font=self.font)
        left, top, right, bottom = ImageOps.invert(image).getbbox() or (0, 0, *image.size)
        # Not `Image.crop`, which pads with black where a margin would leave the image.
        rows = slice(max(top - MARGIN, 0), bottom + MARGIN)
        return np.asarray(image)[rows, max(left - MARGIN, 0) : right + MARGIN]


def albumentations(seed: int) -> Any:
    """One of {nothing, rotate, blur, shadow, wave}, by numbers as those of `presets.lomo()`."""
    optional("cv2").setNumThreads(1)
    a = optional("albumentations")
    rotate = {"fit_output": True, "fill": PAPER, "p": 1}
    shadow = {"shadow_roi": (0, 0, 1, 1), "num_shadows_limit": (1, 1), "shadow_intensity_range": (0.2, 0.6)}
    return a.Compose(
        [
            a.OneOf(
                [
                    a.NoOp(p=1),
                    a.OneOf([a.Affine(rotate=(-5, 5), **rotate), a.Affine(rotate=(-20, 20), **rotate)], p=1),
                    a.OneOf(
                        [a.GaussianBlur(0, (0.5, 1.6), p=1), a.Blur((3, 5), p=1), a.MotionBlur((3, 7), p=1)],
                        p=1,
                    ),
                    a.RandomShadow(**shadow, p=1),
                    a.GridDistortion(num_steps=5, distort_limit=0.05, fill=PAPER, p=1),
                ],
                p=1,
            )
        ],
        seed=seed,
    )


class UsualCollator:
    """A `collate_fn` over records with `messages` and an `id`: the batch with all its pixels, made in the worker.

    Args:
        tokenizer: Of the Qwen-VL family, with its chat template.
        processor: transformers' image processor of the family.
        lomo: Draws records; its `distort` only says whether images are distorted.
    """

    def __init__(self, tokenizer: Any, processor: Any, lomo: LoMo) -> None:
        self.tokenizer, self.processor, self.lomo = tokenizer, processor, lomo

    # Both are of the process: neither crosses to a worker.
    @cached_property
    def painter(self) -> Painter:
        return Painter()

    @cached_property
    def distort(self) -> Any:
        return albumentations(random.Random(torch.initial_seed()).getrandbits(32))

    def __call__(self, records: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        texts, spans = [], []
        for record in records:
            messages, found = self.substitute(record)
            texts.append(self.tokenizer.apply_chat_template(messages, tokenize=False))
            spans += found
        images = [self.painter(span) for span in spans]
        if self.lomo.distort is not None:
            images = [self.distort(image=image)["image"] for image in images]
        batch = {}
        counts = iter(())
        if images:
            # The processor takes colours, as PIL images or arrays.
            rgb = [np.repeat(image[..., None], 3, axis=2) for image in images]
            batch = dict(self.processor(rgb, input_data_format="channels_last", return_tensors="pt"))
            counts = iter((batch["image_grid_thw"].prod(1) // self.processor.merge_size**2).tolist())
        texts = [re.sub(re.escape(IMAGE), lambda _: IMAGE * next(counts), text) for text in texts]
        return self.tokenise(texts) | batch

    def substitute(self, record: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        """A record's messages, with image parts in the first user turn if it is drawn; and the spans' texts."""
        messages = list(record["messages"])
        if not self.lomo.is_drawn(str(record["id"])):
            return messages, []
        first = next(i for i, message in enumerate(messages) if message["role"] == "user")
        segments = localize(messages[first]["content"], position=self.lomo.position)
        parts = [{"type": "image"} if s.is_span else {"type": "text", "text": s.text} for s in segments]
        messages[first] = messages[first] | {"content": parts}
        return messages, [s.text for s in segments if s.is_span]

    def tokenise(self, texts: list[str]) -> dict[str, torch.Tensor]:
        """Padded ids [B, T], and labels that hold the answers alone."""
        encoded = self.tokenizer(
            texts, padding=True, add_special_tokens=False, return_offsets_mapping=True, return_tensors="pt"
        )
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        answers = torch.zeros_like(ids, dtype=torch.bool)
        for row, text in enumerate(texts):
            for answer in ANSWER.finditer(text):
                start, stop = answer.span(1)
                answers[row] |= (offsets[row, :, 0] >= start) & (offsets[row, :, 1] <= stop)
        answers &= encoded["attention_mask"].bool()
        return {
            "input_ids": ids,
            "attention_mask": encoded["attention_mask"],
            "labels": ids.masked_fill(~answers, IGNORED),
            "mm_token_type_ids": (ids == self.tokenizer.convert_tokens_to_ids(IMAGE)).int(),
        }


def image_processor(**options: Any) -> Any:
    """transformers' own of Qwen2.5-VL, for PIL images and arrays; the faster one needs torchvision."""
    module = optional("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl", "pip install transformers")
    return module.Qwen2VLImageProcessorPil(**options)
