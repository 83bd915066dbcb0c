"""LaTeX to boxes, and texts with formulas to gray pages, on one core, beside what a user could pick instead.

No formula and no table has been seen before: each round has new numbers in each.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from gpurender.bench.bench_text import measure, render
from gpurender.bench.conftest import DATA
from gpurender.bench.latex_peers import FORMULA_PEERS, pdflatex
from gpurender.bench.texts import FORMULAS, TABLE

from gpurender import Renderer, Typesetter
from gpurender.typeset.latex.box import Box, EngineError
from gpurender.typeset.latex.setting import EngineName, LatexSetter
from gpurender.typeset.maths import Kind

ROUNDS = 7
SIZE, WIDTH = 26.0, 752


@pytest.fixture(scope="session")
def formulas() -> Iterator[str]:
    """Formulas without end, each with a number of its own: of papers and competitions, or else written ones."""
    path = DATA / "formulas.jsonl"
    sources = [json.loads(line)["tex"] for line in path.read_bytes().splitlines()] if path.is_file() else list(FORMULAS)
    return (f"{tex} \\quad {n}" for n, tex in enumerate(itertools.cycle(sources)))


@pytest.fixture(scope="session")
def tables() -> Iterator[str]:
    return (TABLE.replace("12.34", f"{n}") for n in itertools.count())


def take(source: Iterator[str], rounds: int, count: int) -> Iterator[list[str]]:
    return iter([list(itertools.islice(source, count)) for _ in range(rounds)])


def setter(name: EngineName) -> LatexSetter:
    made = LatexSetter(name, SIZE, WIDTH)
    try:
        _ = made.engine
    except EngineError as error:
        pytest.skip(str(error))
    return made


def set_all(made: LatexSetter, sources: list[str], kind: Kind, batch: int) -> int:
    count = 0
    for i in range(0, len(sources), batch):
        boxes = made([(source, kind, ()) for source in sources[i : i + batch]])
        count += sum(isinstance(box, Box) for box in boxes)
    return count


@pytest.mark.parametrize("peer", FORMULA_PEERS)
@pytest.mark.benchmark(group="latex: formulas, none seen before")
def bench_latex_formulas_peer(benchmark: Any, formulas: Iterator[str], peer: str) -> None:
    with FORMULA_PEERS[peer]() as run:
        size = 100
        rounds = take(formulas, ROUNDS + 3, size)
        done = run(next(rounds))
        name = f"{peer} ({done} of {size} without error)"
        measure(benchmark, lambda: run(next(rounds)), name, size, peer=True, rounds=ROUNDS)


@pytest.mark.parametrize(("name", "batch"), [("pdftex", 1), ("pdftex", 64), ("pdftex", 256), ("ziamath", 64)])
@pytest.mark.benchmark(group="latex: formulas, none seen before")
def bench_latex_formulas(benchmark: Any, formulas: Iterator[str], name: EngineName, batch: int) -> None:
    made = setter(name)
    size = 2048 if name == "pdftex" and batch > 1 else 256 if name == "pdftex" else 64
    rounds = (["$$" + tex + "$$" for tex in part] for part in take(formulas, ROUNDS + 3, size))
    done = set_all(made, next(rounds), "display", batch)
    # The share may not be a matter of a broken engine.
    assert done > 0.9 * size
    label = f"gpurender, {name}, batches of {batch} ({100 * done / size:.1f} % without error)"
    measure(benchmark, lambda: set_all(made, next(rounds), "display", batch), label, size, rounds=ROUNDS)


@pytest.mark.benchmark(group="latex: tables, none seen before")
def bench_latex_tables_peer(benchmark: Any, tables: Iterator[str]) -> None:
    rounds = take(tables, 4, 2)
    assert pdflatex(next(rounds)) == 2
    name = "pdflatex + pdftoppm, 300 dpi, a file a table"
    benchmark.extra_info.update(name=name, pages=2, bytes=0, peer=True)
    benchmark.pedantic(lambda: pdflatex(next(rounds)), rounds=3, iterations=1)


@pytest.mark.benchmark(group="latex: tables, none seen before")
def bench_latex_tables(benchmark: Any, tables: Iterator[str]) -> None:
    made = setter("pdftex")
    rounds = take(tables, ROUNDS + 3, 128)
    assert set_all(made, next(rounds), "environment", 64) == 128
    measure(benchmark, lambda: set_all(made, next(rounds), "environment", 64), "gpurender, pdftex", 128, rounds=ROUNDS)


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.benchmark(group="latex: passages with three formulas, to gray pages")
def bench_latex_passages(benchmark: Any, passages: list[str], formulas: Iterator[str], seen: bool) -> None:
    setter("pdftex")
    typesetter, renderer = Typesetter(latex="pdftex"), Renderer()
    short = [tex for tex in itertools.islice(formulas, 4000) if len(tex) < 60]
    fresh = (f"${tex.replace('quad', 'quad ' + str(n))}$" for n, tex in enumerate(itertools.cycle(short)))

    def texts() -> list[str]:
        """Words with a formula before each third."""
        found = []
        for passage in passages[:256]:
            third = len(passage) // 3
            parts = (passage[:third], passage[third : 2 * third], passage[2 * third :])
            found.append(" ".join(f"{next(fresh)} {part.strip()}" for part in parts))
        return found

    first = texts()
    layout = typesetter(first)
    assert sum(layout.count_formulas(page) for page in range(len(layout))) > 0.95 * 3 * len(first)
    rounds = itertools.repeat(first) if seen else iter([texts() for _ in range(ROUNDS + 3)])
    name = f"gpurender, pdftex, formulas {'' if seen else 'not '}seen before"
    measure(benchmark, lambda: render(typesetter, renderer, next(rounds)), name, len(first), rounds=ROUNDS)


@pytest.mark.benchmark(group="latex: memory")
def bench_latex_memory(benchmark: Any, formulas: Iterator[str]) -> None:
    """100,000 formulas: what this process and TeX grow by after the first 30,000."""
    made = setter("pdftex")
    process = psutil.Process(os.getpid())

    def used() -> int:
        return sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))

    sizes = []

    def run() -> None:
        for _ in range(10):
            set_all(made, [f"$${tex}$$" for tex in itertools.islice(formulas, 10_000)], "display", 256)
            sizes.append(used())

    grown = "not measured"
    benchmark.extra_info.update(name=grown, pages=100_000, bytes=0, peer=False)
    benchmark.pedantic(run, rounds=1, iterations=1)
    if sizes:
        grown = f"{(sizes[-1] - sizes[2]) / 2**20:.0f} MB more after 100,000 formulas than after 30,000"
    benchmark.extra_info["name"] = f"gpurender, pdftex, {grown}"
