"""The benchmarks' usual path gives what a model takes, from the same spans, with the same answers to learn."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from gpurender.bench.feed_peers import UsualCollator, image_processor

from gpurender import LoMo, distort
from gpurender.feed import Collator, PrefetchLoader, profiles

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def tiny():
    for name in ("transformers", "albumentations"):
        pytest.importorskip(name, reason=f"needs {name}: pip install {name}")
    sys.path.insert(0, str(EXAMPLES))
    try:
        return import_module("tiny")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def records():
    lines = (EXAMPLES / "arithmetic.jsonl").read_text(encoding="utf-8").splitlines()[:16]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def tokenizer(tiny, records):
    return tiny.tokenizer(message["content"] for record in records for message in record["messages"])


def test_usual_path_feeds_the_model(tiny, tokenizer, records):
    processor = image_processor()
    collator = UsualCollator(tokenizer, processor, LoMo(ratio=0.5, distort=distort.presets.lomo()))
    batch = collator(records)
    image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    grids = batch["image_grid_thw"]
    assert 0 < len(grids) < len(records)
    assert batch["pixel_values"].shape == (int(grids.prod(1).sum()), 3 * 2 * 14 * 14)
    assert int((batch["input_ids"] == image).sum()) == int(grids.prod(1).sum()) // 4
    assert torch.equal(batch["mm_token_type_ids"].bool(), batch["input_ids"] == image)
    for row, record in zip(batch["labels"], records, strict=True):
        assert tokenizer.decode(row[row >= 0]) == record["messages"][1]["content"] + "<|im_end|>"
    model = tiny.model(tokenizer)
    loss = model(**batch).loss
    loss.backward()
    assert loss.isfinite()
    assert model.model.visual.patch_embed.proj.weight.grad.abs().sum() > 0


def test_usual_path_learns_from_what_the_feed_gives(tokenizer, records):
    def lomo():
        return LoMo(ratio=0.5, distort=distort.presets.lomo())

    theirs = UsualCollator(tokenizer, image_processor(), lomo())(records)
    loader = torch.utils.data.DataLoader(
        records, batch_size=len(records), collate_fn=Collator(tokenizer, profiles.qwen2_5_vl(), lomo=lomo())
    )
    (ours,) = PrefetchLoader(loader, device="cpu")
    assert ours.keys() == theirs.keys()
    image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    for name in ours:
        assert ours[name].dtype.is_floating_point == theirs[name].dtype.is_floating_point
    for a, b, mask_a, mask_b in zip(
        ours["input_ids"], theirs["input_ids"], ours["attention_mask"], theirs["attention_mask"], strict=True
    ):
        # The same but for how many tokens an image is.
        a, b = a[mask_a.bool()], b[mask_b.bool()]
        assert a[a != image].tolist() == b[b != image].tolist()
    assert ours["labels"][ours["labels"] >= 0].tolist() == theirs["labels"][theirs["labels"] >= 0].tolist()
