"""Text to gray pages at 768 px on one core, beside what a user could pick instead."""

from __future__ import annotations

import itertools
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpurender.bench.conftest import LANGUAGES
from gpurender.bench.peers import ANY_SCRIPT, PEERS
from gpurender.bench.worker import render_part, start
from gpurender.kernels.cpu.composite import composite as paint_pages
from gpurender.kernels.scene import _check

from gpurender import LoMo, Pages, Renderer, Typesetter, distort
from gpurender.lomo.dataset import write_dataset
from gpurender.typeset.fallback import install_command
from gpurender.typeset.insets import NOTHING
from gpurender.typeset.paragraph import set_pages
from gpurender.typeset.shape import Tokens

PAGES = 1024
NO_KEYS = np.empty(0, np.uint32)
BATCH = 64


def measure(
    benchmark: Any, function: Any, name: str, pages: int, *, size: int = 0, peer: bool = False, rounds: int = 9
) -> None:
    benchmark.extra_info.update(name=name, pages=pages, bytes=size, peer=peer)
    benchmark.pedantic(function, rounds=rounds, iterations=1, warmup_rounds=2)


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
    """15 % of the words, drawn at random, ones that were never seen."""
    texts, count, rng = passages[:PAGES], 0, np.random.default_rng(0)

    def unseen() -> list[str]:
        nonlocal count
        batch = []
        for text in texts:
            words = text.split(" ")
            for i in np.flatnonzero(rng.random(len(words)) < 0.15).tolist():
                count += 1
                words[i] = f"{words[i][:3]}{count}"
            batch.append(" ".join(words))
        return batch

    typesetter, renderer = Typesetter(), Renderer()
    render(typesetter, renderer, texts)
    rounds = iter([unseen() for _ in range(11)])
    measure(benchmark, lambda: render(typesetter, renderer, next(rounds)), "gpurender, 15 % of words unseen", PAGES)


@pytest.mark.benchmark(group="text: 360-character passages")
def bench_text_two_processes(benchmark: Any, passages: list[str], all_cores: set[int]) -> None:
    """Two processes on two cores, each with half of the passages; the pages stay where they are."""
    if len(all_cores) < 2:
        pytest.skip("needs two cores")
    parts = [passages[: PAGES // 2], passages[PAGES // 2 : PAGES]]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, initializer=start, initargs=(parts, all_cores)) as pool:

        def run() -> None:
            assert all(list(pool.map(render_part, range(2))))

        for _ in range(4):
            run()
        measure(benchmark, run, "gpurender, 2 processes on 2 cores", PAGES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("peer", ANY_SCRIPT)
def bench_text_language_peer(benchmark: Any, languages: dict[str, list[str]], language: str, peer: str) -> None:
    paint, texts = ANY_SCRIPT[peer](), _passages_of(languages, language)[:64]
    benchmark.group = f"text: {LANGUAGES[language]}"

    def run() -> None:
        for text in texts:
            paint(text, 600)

    measure(benchmark, run, peer, len(texts), peer=True)


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("language", LANGUAGES)
def bench_text_language(benchmark: Any, languages: dict[str, list[str]], language: str, seen: bool) -> None:
    texts = _passages_of(languages, language)
    benchmark.group = f"text: {LANGUAGES[language]}"
    typesetter, renderer = Typesetter(), Renderer()
    missing = [d.message for d in typesetter(texts).diagnostics]
    if missing:
        pytest.skip(f"{missing[0]}: {install_command()}")

    def run() -> None:
        if not seen:
            typesetter._cache.clear()
        render(typesetter, renderer, texts)

    name = "gpurender" if seen else "gpurender, no word seen before"
    measure(benchmark, run, name, len(texts))


def _passages_of(languages: dict[str, list[str]], language: str) -> list[str]:
    if not languages[language]:
        pytest.skip(f"no prompts in {LANGUAGES[language]}: set GPURENDER_DATA to a folder with mgsm.jsonl")
    return languages[language]


@pytest.mark.parametrize("part", ["layout", "plain or not", "words", "lines", "render", "place", "check", "paint"])
@pytest.mark.benchmark(group="text: its parts")
def bench_text_part(benchmark: Any, passages: list[str], part: str) -> None:
    """Where the time of `bench_text[64]` goes; see PROFILE.md."""
    typesetter, renderer = Typesetter(), Renderer()
    batches = [passages[i : i + BATCH] for i in range(0, PAGES, BATCH)]
    sources = [_source(batch) for batch in batches]
    layouts = [typesetter(batch) for batch in batches]
    scenes = [renderer._scene(layout) for layout in layouts]
    runs = [typesetter._analyzer(*source) for source in sources]
    cache, style = typesetter._cache, typesetter._style

    def set_lines(k: int) -> None:
        set_pages(tokens[k], runs[k], sources[k][2], sources[k][1], cache, style, NOTHING, ())

    def paint(k: int) -> None:
        out, *groups = scenes[k]
        paint_pages(out, *(array for group in groups for array in group))

    # Tokens are valid until the next call, so they are copied.
    tokens = [
        Tokens(*(array.copy() for array in cache.tokenize(codes, starts, NO_KEYS))) for _, codes, starts in sources
    ]
    steps: dict[str, tuple[str, Any]] = {
        "layout": ("layout, all of it", lambda k: typesetter(batches[k])),
        "plain or not": ("- telling plain text", lambda k: typesetter._analyzer(*sources[k])),
        "words": ("- looking words up", lambda k: cache.tokenize(sources[k][1], sources[k][2], NO_KEYS)),
        "lines": ("- filling lines", set_lines),
        "render": ("painting, all of it", lambda k: renderer(layouts[k])),
        "place": ("- finding glyphs in the atlas", lambda k: renderer.atlas.place(layouts[k])),
        "check": ("- checking arguments", lambda k: _check(*scenes[k])),
        "paint": ("- compositing", paint),
    }
    name, step = steps[part]

    def run() -> None:
        for k in range(len(batches)):
            # Held while the next is made, as in a loop that uses it.
            kept = step(k)
        del kept

    measure(benchmark, run, name, PAGES, rounds=25)


def _source(texts: list[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    starts = np.array([0, *itertools.accumulate(map(len, texts))], np.int64)
    return texts, np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32), starts


@pytest.mark.benchmark(group="text: its parts")
def bench_text_shaping_alone(benchmark: Any, passages: list[str]) -> None:
    """The passages' words, each shaped for the first time."""
    typesetter, texts = Typesetter(), passages[:PAGES]

    def run() -> None:
        typesetter._cache.clear()
        typesetter(texts)

    measure(benchmark, run, "layout with an empty cache", PAGES)


@pytest.mark.benchmark(group="text: memory")
def bench_text_memory(benchmark: Any, passages: list[str]) -> None:
    """200,000 passages, a word of each never seen: the process stays as large as after the first 50,000."""
    psutil = pytest.importorskip("psutil", reason='needs psutil: pip install -e ".[bench]"')
    process = psutil.Process()
    typesetter, renderer = Typesetter(), Renderer()
    sizes = []

    def run() -> None:
        for k in range(200_000 // BATCH):
            batch = [f"{text} {k * BATCH + i}" for i, text in enumerate(passages[k % 16 * BATCH :][:BATCH])]
            renderer(typesetter(batch))
            sizes.append(process.memory_info().rss)

    benchmark.pedantic(run, rounds=1, iterations=1)
    more = (max(sizes) - max(sizes[: len(sizes) // 4])) / 2**20
    before = process.memory_info().rss
    pages = Renderer()(Typesetter()((passages * 2)[:1024]))
    batch = (process.memory_info().rss - before) / pages.offsets[-1]
    name = f"200,000 passages: {more:.0f} MB more than 50,000; 1,024 at once: {batch:.1f} x their pixels"
    benchmark.extra_info.update(name=name, pages=200_000, bytes=0, peer=False)


DISTORTED = pytest.mark.parametrize("distorted", [False, True])


@DISTORTED
@pytest.mark.benchmark(group="text: LoMo")
def bench_text_spans(benchmark: Any, questions: list[str], distorted: bool) -> None:
    """The spans that LoMo really renders: mostly whole short prompts."""
    records = [{"id": i, "messages": [{"role": "user", "content": q}]} for i, q in enumerate(questions[:PAGES])]
    lomo, renderer = LoMo(ratio=1, distort=distort.presets.lomo() if distorted else None), Renderer()

    def run() -> None:
        for i in range(0, len(records), BATCH):
            lomo(records[i : i + BATCH]).render(renderer)

    name = "records to interleaved records with pages" + ", distorted" * distorted
    measure(benchmark, run, name, len(records))


@DISTORTED
@pytest.mark.benchmark(group="text: LoMo")
def bench_text_dataset(benchmark: Any, questions: list[str], tmp_path: Path, distorted: bool) -> None:
    """`gpurender lomo --ratio 1`: JSONL to JSONL and PNG files."""
    source = tmp_path / "a.jsonl"
    records = [{"id": i, "messages": [{"role": "user", "content": q}]} for i, q in enumerate(questions[:PAGES])]
    source.write_text("\n".join(map(json.dumps, records)))
    lomo = LoMo(ratio=1, distort=distort.presets.lomo() if distorted else None)
    assert write_dataset([source], tmp_path / "out", lomo=lomo).counts["images"] == len(records)

    def run() -> None:
        write_dataset([source], tmp_path / "out", lomo=lomo)

    measure(benchmark, run, "to a dataset folder" + ", distorted" * distorted, len(records))
