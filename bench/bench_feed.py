"""From records to a model's batch: planning, what crosses from a worker, the feed beside the usual path, and a GPU.

Where a name says records or images, these are counted as the table's pages. Prompts are GSM8K's, or the shipped
examples; where planning is measured, with other digits in every round, so that numbers and formulas are new. The
tokenizer is a byte-level BPE as the Qwen family's, with a smaller vocabulary (`examples/tiny.py`).
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from gpurender.bench.bench_text import measure
from gpurender.bench.conftest import DATA, ROOT
from gpurender.bench.feed_inputs import BATCH, Record, as_records, batches, lomo, make_loader, mixed, on
from gpurender.bench.feed_peers import UsualCollator, image_processor
from gpurender.bench.texts import FORMULAS
from gpurender.bench.worker import Paint

from gpurender.feed import Collator, profiles

SPAN = 400  # characters


@pytest.fixture(scope="session")
def tiny() -> Any:
    """The examples' module of that name."""
    pytest.importorskip("transformers", reason="needs transformers: pip install transformers")
    sys.path.insert(0, str(ROOT / "examples"))
    return import_module("tiny")


@pytest.fixture(scope="session")
def tokenizer(tiny: Any, questions: list[str]) -> Any:
    return tiny.tokenizer(questions)


@pytest.fixture(scope="session")
def formulas(questions: list[str]) -> list[str]:
    """Prompts with formulas: college_math's where they are at hand, else word problems with formulas put in."""
    path = DATA / "college_math.jsonl"
    if path.is_file():
        found = [json.loads(line)["messages"][0]["content"] for line in path.read_bytes().splitlines()]
        return [text for text in found if "$" in text]
    return [f"{text} Compare it with ${FORMULAS[n % len(FORMULAS)]}$." for n, text in enumerate(questions)]


@pytest.mark.parametrize("share", [0, 0.4])
@pytest.mark.benchmark(group="feed: planning, one core")
def bench_feed_plan(benchmark: Any, tokenizer: Any, questions: list[str], formulas: list[str], share: float) -> None:
    """Spans, layout, distortion, sizes and token ids; every record has an image."""
    count = 64 if benchmark.disabled else 512
    collator = Collator(tokenizer, profiles.qwen2_5_vl(), lomo=lomo())
    rounds = iter([batches(mixed(questions, formulas, count, share, turn), 32) for turn in range(8)])
    assert len(collator(next(rounds)[0])) == 32

    def run() -> None:
        for batch in next(rounds):
            collator(batch)

    name = f"records planned, {share:.0%} with formulas" if share else "records planned, prose"
    measure(benchmark, run, name, count, rounds=5)


def sizes_of(batch: Any) -> tuple[int, int]:
    """Bytes that cross from a worker with a batch, in shared memory and in the pickle; and those of tokens in them."""
    from multiprocessing.reduction import ForkingPickler

    import torch

    pickled = len(ForkingPickler.dumps(batch))
    tensors = batch if isinstance(batch, dict) else vars(batch)
    shared = sum(t.numel() * t.element_size() for t in tensors.values() if isinstance(t, torch.Tensor))
    if isinstance(batch, dict):
        tokens = sum(t.numel() * t.element_size() for name, t in batch.items() if t.shape[0] == len(batch["labels"]))
    else:
        tokens = batch._view("tokens").nbytes
    return pickled + shared, tokens


@pytest.mark.parametrize("usual", [False, True])
@pytest.mark.benchmark(group=f"feed: bytes from worker to trainer, spans of {SPAN} characters")
def bench_feed_bytes(benchmark: Any, tokenizer: Any, passages: list[str], usual: bool) -> None:
    """The time is that of pickling a batch whose tensors go to shared memory; the bytes are in the name."""
    from multiprocessing.reduction import ForkingPickler

    words = " ".join(passages[:256])
    spans = [words[i : i + SPAN].strip() for i in range(0, 64 * SPAN, SPAN)]
    make: Any = Collator(tokenizer, profiles.qwen2_5_vl(), lomo=lomo(position="full"))
    if usual:
        make = UsualCollator(tokenizer, image_processor(), lomo(position="full"))
    made = [make(batch) for batch in batches(as_records(spans, 64), BATCH)]
    whole, tokens = (sum(numbers) / len(spans) for numbers in zip(*map(sizes_of, made), strict=True))
    name = f"{'the usual path' if usual else 'gpurender'}: {whole:,.0f} bytes a record, {tokens:,.0f} of them tokens"
    print(name)
    # A tensor that went to shared memory once does not go again.
    fresh = iter([make(as_records(spans, BATCH)) for _ in range(7)])
    measure(benchmark, lambda: ForkingPickler.dumps(next(fresh)), name, BATCH, peer=usual, rounds=5)


@pytest.mark.parametrize("usual", [False, True])
@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def bench_feed_cpu(
    benchmark: Any,
    tiny: Any,
    tokenizer: Any,
    questions: list[str],
    all_cores: set[int],
    workers: int,
    stepped: bool,
    usual: bool,
) -> None:
    """Half of the records have an image, as in training; without a model, and with a tiny one, forward and backward."""
    torch = pytest.importorskip("torch")
    if workers and len(all_cores) < 2:
        pytest.skip("needs two cores")
    benchmark.group = f"feed: CPU, {workers} workers, {'a tiny model' if stepped else 'no model'}"
    records = as_records(questions, 32 if benchmark.disabled or stepped else 128)
    peer = UsualCollator(tokenizer, image_processor(), lomo(0.5))
    ours = Collator(tokenizer, profiles.qwen2_5_vl(), lomo=lomo(0.5))
    images, *tokens = compare(ours, peer, records)
    model = tiny.model(tokenizer).train()

    def step(batch: Any) -> None:
        if stepped:
            model(**batch).loss.backward()
            model.zero_grad()

    with on(all_cores if workers else {min(all_cores)}):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        feed = make_loader(peer if usual else ours, records, workers)

        def run() -> None:
            for batch in feed:
                step(batch)

        name = f"{'the usual path' if usual else 'gpurender'}, images of {tokens[usual] / images:.0f} tokens"
        begin, waited = time.perf_counter(), feed.waited
        measure(benchmark, run, name, images, peer=usual, rounds=2 if stepped else 4)
        share = (feed.waited - waited) / (time.perf_counter() - begin)
        # The first rounds, which start workers, are in it.
        benchmark.extra_info["name"] += f", {share:.0%} of the time waiting" * stepped
        torch.set_num_threads(threads)


def compare(ours: Collator, peer: UsualCollator, records: list[Record]) -> tuple[int, int, int]:
    """The same work: as many images, and the same answers.

    Returns:
        The number of images, and of their tokens on our path and on the other: a canvas of ours is rounded up to whole
        tokens and never scaled, the processor's scales to the nearest.
    """
    found, tokens = [], []
    for collator in (ours, peer):
        images, answers = 0, []
        tokens.append(0)
        for batch in make_loader(collator, records, 0):
            images += len(batch.get("image_grid_thw", ()))
            tokens[-1] += int((batch["mm_token_type_ids"] == 1).sum())
            answers.append(batch["labels"][batch["labels"] >= 0].tolist())
        found.append((images, answers))
    assert found[0] == found[1], "the two paths do not learn from the same"
    return found[0][0], tokens[0], tokens[1]


def _cuda() -> Any:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    return torch


@pytest.fixture(scope="session")
def three_billion(tokenizer: Any) -> Any:
    """Qwen2.5-VL of 3 B random weights in bfloat16, on the GPU."""
    torch = _cuda()
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    token = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": 151936,
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config={"hidden_size": 1280, "out_hidden_size": 2048},
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        try:
            return Qwen2_5_VLForConditionalGeneration(config).train()
        finally:
            torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("batch", [8, 32])
@pytest.mark.benchmark(group="feed: GPU, steps of a 3 B model, images")
def bench_feed_gpu_step(
    benchmark: Any, three_billion: Any, tokenizer: Any, questions: list[str], all_cores: set[int], batch: int
) -> None:
    """What the feed adds to a step, forward and backward: beside the same batches, kept on the device."""
    torch = _cuda()
    steps = 4 if benchmark.disabled else 16
    collator = Collator(tokenizer, profiles.qwen2_5_vl(dtype="bfloat16"), lomo=lomo(0.5))
    with on(all_cores):
        workers = max(1, min(8, len(all_cores) - 1))
        feed = make_loader(collator, as_records(questions, batch * steps), workers, batch, "cuda")
        kept = list(feed)
        images = sum(len(inputs.get("image_grid_thw", ())) for inputs in kept)

        def train(source: Any) -> float:
            """ms on the device, from before the first batch is asked for until the last step is done."""
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for inputs in source:
                three_billion(**inputs).loss.backward()
                three_billion.zero_grad()
            end.record()
            torch.cuda.synchronize()
            return float(begin.elapsed_time(end)) / steps

        train(kept)
        turns = [(train(kept), train(feed)) for _ in range(1 if benchmark.disabled else 5)]
        alone, fed = (min(times) for times in zip(*turns, strict=True))
        name = f"gpurender, batches of {batch}: {fed - alone:+.2f} ms a step of {alone:.1f} ms"
        measure(benchmark, partial(train, feed), name, images, rounds=3)


@pytest.mark.parametrize("share", [0, 0.4])
@pytest.mark.benchmark(group="feed: text to distorted pixels, all cores")
def bench_feed_million(
    benchmark: Any, tokenizer: Any, questions: list[str], formulas: list[str], all_cores: set[int], share: float
) -> None:
    """GSM8K's prompts, once through; on a GPU 100,000, to tokens and patches too; else 20,000, painted by workers."""
    torch = pytest.importorskip("torch")
    on_gpu = torch.cuda.is_available()
    count = 100_000 if on_gpu else 20_000
    if benchmark.disabled:
        count //= 100
    records = mixed(questions, formulas, count, share)
    collator: Any = Paint(lomo())
    if on_gpu:
        collator = Collator(tokenizer, profiles.qwen2_5_vl(dtype="bfloat16"), lomo=lomo())
    with on(all_cores):
        # Compiled before workers are forked; their start, their fonts and their TeX are in what is measured.
        device = "cuda" if on_gpu else "cpu"
        for _ in make_loader(collator, records[:128], 0, 64, device):
            pass
        loader = make_loader(collator, records, len(all_cores), 64, device)

        def run() -> None:
            images = 0
            for batch in loader:
                images += batch if isinstance(batch, int) else len(batch["image_grid_thw"])
            if on_gpu:
                torch.cuda.synchronize()
            assert images >= count

        kind = f"{share:.0%} with formulas" if share else "prose"
        name = f"prompts, {kind}, {len(all_cores)} cores" + ", patches on the GPU" * on_gpu
        benchmark.extra_info.update(name=name, pages=count)
        benchmark.pedantic(run, rounds=1, iterations=1)
        if not benchmark.disabled:
            minutes = 1e6 * benchmark.stats.stats.min / count / 60
            benchmark.extra_info["name"] += f": a million in {minutes:.1f} minutes"
