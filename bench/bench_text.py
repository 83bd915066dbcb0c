"""Text to gray pages at 768 px on one core, beside what a user could pick instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpurender.bench.peers import PEERS

from gpurender import LoMo, Pages, Renderer, Typesetter
from gpurender.lomo.dataset import write_dataset
from gpurender.typeset.shape import WordCache

PAGES = 1024
BATCH = 64


def measure(benchmark: Any, function: Any, name: str, pages: int, *, size: int = 0, peer: bool = False) -> None:
    benchmark.extra_info.update(name=name, pages=pages, bytes=size, peer=peer)
    benchmark.pedantic(function, rounds=9, iterations=1, warmup_rounds=2)


def render(typesetter: Typesetter, renderer: Renderer, texts: list[str], batch: int = BATCH) -> Pages:
    for i in range(0, len(texts), batch):
        pages = renderer(typesetter(texts[i : i + batch]))
    return pages


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.benchmark(group="text: 360-character passages")
def bench_text_peer(benchmark: Any, passages: list[str], peer: str) -> None:
    paint = PEERS[peer]()
    texts = passages[:128]
    ours = Renderer()(Typesetter(trim=False)(texts))
    heights = ours.sizes[:, 0].tolist()
    # The same work: about as much ink, on every page.
    for text, page in zip(texts[:16], ours.to_numpy(), strict=False):
        ink, expected = (255 - paint(text, page.shape[1])).sum(), (255 - page).sum()
        assert 0.8 < ink / expected < 1.25, f"{peer} painted {ink / expected:.2f} of our ink"

    def run() -> None:
        for text, height in zip(texts, heights, strict=True):
            paint(text, height)

    measure(benchmark, run, peer, len(texts), peer=True)


@pytest.mark.parametrize("batch", [1, 16, 64, 256])
@pytest.mark.benchmark(group="text: 360-character passages")
def bench_text(benchmark: Any, passages: list[str], batch: int) -> None:
    texts = passages[:PAGES]
    typesetter, renderer = Typesetter(), Renderer()
    # Right before fast: the first page is the reference's, bit for bit.
    expected = Renderer(backend="reference")(typesetter(texts[:1])).to_numpy()[0]
    np.testing.assert_array_equal(renderer(typesetter(texts[:1])).to_numpy()[0], expected)
    size = sum(int(renderer(typesetter(texts[i : i + 64])).offsets[-1]) for i in range(0, PAGES, 64))
    name = f"gpurender, batches of {batch}"
    measure(benchmark, lambda: render(typesetter, renderer, texts, batch), name, PAGES, size=size)


@pytest.mark.benchmark(group="text: 360-character passages")
def bench_text_unseen(benchmark: Any, passages: list[str]) -> None:
    """Every seventh word (14 %) one that was never seen."""
    texts, count, rounds = passages[:PAGES], 0, []
    for _ in range(11):
        batch = []
        for text in texts:
            words = text.split(" ")
            for i in range(0, len(words), 7):
                count += 1
                words[i] = f"{words[i][:3]}{count}"
            batch.append(" ".join(words))
        rounds.append(batch)
    typesetter, renderer = Typesetter(), Renderer()
    render(typesetter, renderer, texts)
    left = iter(rounds)
    measure(benchmark, lambda: render(typesetter, renderer, next(left)), "gpurender, 14 % of words unseen", PAGES)


@pytest.mark.benchmark(group="text: its parts")
def bench_text_layout_alone(benchmark: Any, passages: list[str]) -> None:
    typesetter, texts = Typesetter(), passages[:PAGES]

    def run() -> None:
        for i in range(0, PAGES, BATCH):
            typesetter(texts[i : i + BATCH])

    measure(benchmark, run, "layout alone", PAGES)


@pytest.mark.benchmark(group="text: its parts")
def bench_text_render_alone(benchmark: Any, passages: list[str]) -> None:
    typesetter, renderer, texts = Typesetter(), Renderer(), passages[:PAGES]
    layouts = [typesetter(texts[i : i + BATCH]) for i in range(0, PAGES, BATCH)]

    def run() -> None:
        for layout in layouts:
            renderer(layout)

    size = sum(int(renderer(layout).offsets[-1]) for layout in layouts)
    measure(benchmark, run, "atlas look-up and compositing alone", PAGES, size=size)


@pytest.mark.benchmark(group="text: its parts")
def bench_text_shaping_alone(benchmark: Any, passages: list[str]) -> None:
    """The passages' words, each shaped for the first time."""
    typesetter, texts = Typesetter(), passages[:PAGES]
    cache: WordCache = typesetter._cache

    def run() -> None:
        cache.clear()
        typesetter(texts)

    measure(benchmark, run, "layout with an empty cache", PAGES)


@pytest.mark.benchmark(group="text: LoMo")
def bench_text_spans(benchmark: Any, questions: list[str]) -> None:
    """The spans that LoMo really renders: mostly whole short prompts."""
    records = [{"id": i, "messages": [{"role": "user", "content": q}]} for i, q in enumerate(questions[:PAGES])]
    lomo, renderer = LoMo(ratio=1), Renderer()

    def run() -> None:
        for i in range(0, len(records), BATCH):
            renderer(lomo(records[i : i + BATCH]).layout)

    measure(benchmark, run, "records to interleaved records with pages", len(records))


@pytest.mark.benchmark(group="text: LoMo")
def bench_text_dataset(benchmark: Any, questions: list[str], tmp_path: Path) -> None:
    """`gpurender lomo --ratio 1`: JSONL to JSONL and PNG files."""
    source = tmp_path / "a.jsonl"
    records = [{"id": i, "messages": [{"role": "user", "content": q}]} for i, q in enumerate(questions[:PAGES])]
    source.write_text("\n".join(map(json.dumps, records)))
    lomo = LoMo(ratio=1)
    assert write_dataset([source], tmp_path / "out", lomo=lomo).counts["images"] == len(records)
    measure(
        benchmark, lambda: write_dataset([source], tmp_path / "out", lomo=lomo), "to a dataset folder", len(records)
    )
