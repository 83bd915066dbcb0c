"""The benchmarks' usual path gives what a model takes, from the same spans, with the same answers to learn."""

import json
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
for module in ("transformers", "albumentations"):
    pytest.importorskip(module, reason=f"needs {module}: pip install {module}")

import torch  # noqa: E402
from gpurender.bench.feed_peers import UsualCollator, image_processor  # noqa: E402

from gpurender import LoMo, distort  # noqa: E402
from gpurender.feed import Collator, PrefetchLoader, profiles  # noqa: E402


@pytest.fixture(scope="module")
def tiny():
    sys.path.insert(0, str(EXAMPLES))
    try:
        import tiny
    finally:
        sys.path.remove(str(EXAMPLES))
    return tiny


@pytest.fixture(scope="module")
def records():
    lines = (EXAMPLES / "arithmetic.jsonl").read_text(encoding="utf-8").splitlines()[:16]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def tokenizer(tiny, records):
    return tiny.tokenizer(message["content"] for record in records for message in record["messages"])


def test_tokenizer_reads_what_it_writes(tokenizer):
    for text in ("A baker fills 14 trays.", "naïve 漢字 \U0001f600\n\tx_1 ≤ 3", "<|im_end|> is special"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer.eos_token == "<|im_end|>"


def test_template(tokenizer):
    user = {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}],
    }
    rendered = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\na<|vision_start|><|image_pad|><|vision_end|>b<|im_end|>\n<|im_start|>assistant\n"
    )
    own = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    rendered = tokenizer.apply_chat_template(own, tokenize=False)
    assert rendered == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "qwen3_5"])
def test_models_are_the_same_for_a_seed(tiny, tokenizer, family):
    one, same, other = (tiny.model(tokenizer, family, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


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
