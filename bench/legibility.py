"""What an OCR engine still reads of distorted pages: `python -m gpurender.bench.legibility --out FILE`.

Word problems are set as LoMo sets them, distorted, rotation and waves undone by what was recorded, and read by
Tesseract at their own resolution: `tesseract list stdout --psm 6 --dpi 100`. People and models read further than it
does. Rates are edit distances by the lengths of the texts, over all pages; a page counts as wrong throughout at most.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gpurender.bench.conftest import environment, word_problems
from tqdm import tqdm

from gpurender import Pages, Renderer, Typesetter, distort
from gpurender.distort import Params
from gpurender.raster import encode_png

__all__ = ["branches", "errors", "read", "undo"]

BATCH = 10  # pages that one process of Tesseract reads; starting it costs as much as reading one
# Line breaks are the page's; quotes and dashes have several code points that look alike.
SAME = str.maketrans("’‘“”—", "''\"\"-")
WORST = 20  # pages of --worst
UNSAID = ("axis", "colors", "expand")  # arguments that are no range


class Case(NamedTuple):
    """An operation to be judged."""

    name: str
    op: distort.Op
    undone: bool = True  # rotation and waves, before Tesseract reads


def curves() -> Iterator[Case]:
    """Every operation at fixed strengths, what is not named being drawn."""
    yield Case("clean", distort.Clean())
    for degrees, undone in ((2, True), (5, True), (10, True), (20, True), (45, True), (2, False), (5, False)):
        turns = distort.OneOf([distort.Rotate((d, d)) for d in (-degrees, degrees)])
        yield _case(f"rotate by {degrees} or -{degrees} degrees", turns, undone)
    waves = [(amplitude, 300) for amplitude in (1, 2, 3, 4, 6, 8)] + [(3, length) for length in (100, 150, 200, 400)]
    for undone in (True, False):
        for amplitude, length in waves:
            op = distort.Wave(amplitude, length, axis="both")
            yield _case(f"wave of {amplitude} px over {length} px, both axes", op, undone)
    for sigma in (0.5, 1, 1.25, 1.5, 2, 2.5):
        yield Case(f"Gaussian blur, sigma {sigma:g} px", distort.GaussianBlur(sigma))
    for size in (3, 5, 7):
        yield Case(f"box blur, {size} px", distort.BoxBlur(size))
    for size in (3, 5, 7, 9):
        yield Case(f"motion blur, {size} px, any angle", distort.MotionBlur(size))
    for darkness in (0.2, 0.4, 0.6, 0.8, 0.9):
        yield Case(f"edge shadow over 0.6 of the page, darkness {darkness:g}", distort.EdgeShadow(darkness, 0.6))
    for opacity in (0.2, 0.4, 0.6, 0.8):
        yield Case(f"4 stains of 20 to 60 px, opacity {opacity:g}", distort.Stain(4, (20, 60), opacity))


def choices(preset: distort.Op) -> Iterator[Case]:
    """Each operation that a preset chooses from; waves also as they are."""
    for op in branches(preset):
        ranges = (f"{k.replace('_', ' ')} {v[0]:g} to {v[1]:g}" for k, v in vars(op).items() if k not in UNSAID)
        name = ", ".join([type(op).__name__, *ranges])
        yield _case(name, op, True)
        if isinstance(op, distort.Wave):
            yield _case(name, op, False)


def _case(name: str, op: distort.Op, undone: bool) -> Case:
    return Case(name if undone else f"{name}, not undone", op, undone)


def branches(op: distort.Op) -> list[distort.Op]:
    """The operations that a preset chooses from."""
    return [leaf for branch in op.ops for leaf in branches(branch)] if isinstance(op, distort.OneOf) else [op]


def undo(pages: Pages, params: Params) -> list[np.ndarray]:
    """Distorted white pages, [C, height, width] each, with every pixel back where `params` took it from, bilinearly."""
    found = []
    for n, (height, width) in enumerate(params.sizes.tolist()):
        y, x = np.mgrid[:height, :width] + 0.5
        points = params.map_points(np.stack([x.ravel(), y.ravel()], 1), n)
        # What torch calls a grid reaches from -1 to 1.
        grid = torch.from_numpy(2 * points / params.out_sizes[n].flip(0).numpy() - 1).view(1, height, width, 2)
        ink = 255 - pages[n][None].cpu().double()
        seen = torch.nn.functional.grid_sample(ink, grid, padding_mode="zeros", align_corners=False)[0]
        found.append((255 - seen).round().to(torch.uint8).numpy())
    return found


def read(pages: Sequence[np.ndarray]) -> list[str]:
    """What Tesseract makes of pages [C, height, width]."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{n}.png" for n in range(len(pages))]
        for file, page in zip(files, pages, strict=True):
            file.write_bytes(encode_png(page))
        listed = Path(folder) / "files.txt"
        listed.write_text("".join(f"{file}\n" for file in files))
        command = ["tesseract", str(listed), "stdout", "-l", "eng", "--psm", "6", "--dpi", "100"]
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    # A form feed stands between pages.
    texts = told.split("\f")
    if len(texts) != len(pages):
        raise RuntimeError(f"Tesseract read {len(texts)} of {len(pages)} pages")
    return texts


def errors(texts: Sequence[str], pages: Sequence[np.ndarray]) -> np.ndarray:
    """Wrong characters of each page, and how many it has: [N, 2] int64."""
    pairs = [[" ".join(s.translate(SAME).split()) for s in pair] for pair in zip(texts, read(pages), strict=True)]
    return np.array([[min(len(text), _edit_distance(text, seen)), len(text)] for text, seen in pairs])


def _edit_distance(a: str, b: str) -> int:
    """Levenshtein's, row by row."""
    codes = np.frombuffer(b.encode("utf-32-le"), np.uint32)
    columns = np.arange(len(codes) + 1)
    row = columns
    for i, x in enumerate(a, 1):
        # Deletions and substitutions; then insertions: a running minimum along the row.
        new = np.concatenate([[i], np.minimum(row[1:] + 1, row[:-1] + (codes != ord(x)))])
        row = np.minimum.accumulate(new - columns) + columns
    return int(row[-1])


def judge(case: Case, texts: list[str], clean: Pages, pool: ThreadPoolExecutor) -> tuple[np.ndarray, Pages]:
    """As of :func:`errors`; and the pages as they were distorted."""
    params = case.op.make_params(range(len(clean)), clean.sizes, seed=0)
    pages = case.op.transform(clean, params)
    straight = undo(pages, params) if case.undone else pages.to_numpy()
    starts = range(0, len(texts), BATCH)
    found = pool.map(errors, [texts[i : i + BATCH] for i in starts], [straight[i : i + BATCH] for i in starts])
    return np.concatenate(list(found)), pages


def row(case: Case, found: np.ndarray) -> str:
    """Of a Markdown table."""
    wrong, lengths = found.T
    return f"| {case.name} | {wrong.sum() / lengths.sum():.2%} | {(wrong > lengths / 10).mean():.1%} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge the curves and the presets, and print, or write, the tables."""
    parser = argparse.ArgumentParser(prog="python -m gpurender.bench.legibility", description=__doc__)
    parser.add_argument("--pages", type=int, default=200, metavar="N", help="word problems (default: 200)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown there too")
    parser.add_argument("--presets", nargs="*", choices=distort.presets.PRESETS, default=list(distort.presets.PRESETS))
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes of Tesseract (default: 2)")
    parser.add_argument("--worst", type=Path, metavar="DIR", help="write lomo's 20 worst pages there")
    given = parser.parse_args(arguments)

    texts = word_problems()[: given.pages]
    if not texts:
        parser.error("no prompts: set GPURENDER_DATA to a folder with gsm8k.jsonl")
    clean = Renderer()(Typesetter()(texts))
    groups = {"Operations": list(curves())}
    for name in given.presets:
        groups[f"presets.{name}()"] = list(choices(distort.presets.PRESETS[name]()))
    told = ", ".join(f"{name} {value}" for name, value in environment().items())
    lines = [f"Tesseract on {len(texts)} word problems, once with each operation.", "", told]
    worst: list[tuple[float, str, np.ndarray]] = []
    total = len(texts) * sum(map(len, groups.values()))
    with ThreadPoolExecutor(given.workers) as pool, tqdm(total=total, unit="page", smoothing=0) as bar:
        for title, cases in groups.items():
            lines += ["", f"## {title}", "", "| operation | error rate | pages above 10 % |", "| --- | ---: | ---: |"]
            for case in cases:
                bar.set_description(case.name[:30])
                found, pages = judge(case, texts, clean, pool)
                lines.append(row(case, found))
                bar.update(len(found))
                if given.worst and title == "presets.lomo()":
                    rates = (found[:, 0] / found[:, 1]).tolist()
                    own = zip(rates, pages.to_numpy(), strict=True)
                    worst += [(rate, f"{case.name}-{n}", page) for n, (rate, page) in enumerate(own)]
                    worst = sorted(worst, key=lambda item: -item[0])[:WORST]
    if given.worst:
        given.worst.mkdir(parents=True, exist_ok=True)
        for rate, name, page in worst:
            (given.worst / f"{100 * rate:05.1f}-{name}.png").write_bytes(encode_png(page))
    markdown = "\n".join(lines) + "\n"
    print(markdown)
    if given.out:
        given.out.write_text(markdown, encoding="utf-8")


if __name__ == "__main__":
    main()
