"""Instructions that `composite` takes for each pixel of pages of text, counted from SASS and a device plan."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from gpurender.bench import sass
from gpurender.kernels.plan import PITCH, Plan, Table
from gpurender.kernels.plan import composite as layout
from gpurender.kernels.triton import composite as kernel

from gpurender import Typesetter
from gpurender.raster.atlas import Atlas
from gpurender.raster.scene import make_scene

__all__ = ["count", "count_steps", "lay_pages", "make_passages"]

PROMPTS = Path(__file__).parents[1] / "examples" / "prompts.jsonl"
PAGES, CHARACTERS = 64, 360
POINTERS = dict.fromkeys(("pool", "coverage", "pictures"), "*u8") | {"plan": "*i32", "at": "i32"}


def make_passages(pages: int = PAGES, characters: int = CHARACTERS) -> list[str]:
    """Make English passages of about so many characters each from the example prompts."""
    lines = [json.loads(line)["messages"][0]["content"] for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    words = " ".join(line for line in lines if isinstance(line, str) and line.isascii()).split()
    passages: list[str] = []
    passage: list[str] = []
    while len(passages) < pages:
        for word in words:
            passage.append(word)
            if sum(map(len, passage)) + len(passage) >= characters:
                passages.append(" ".join(passage))
                passage = []
    return passages[:pages]


def lay_pages(pages: int = PAGES) -> tuple[Table, np.ndarray]:
    """Lay out pages of text; returns the table and the pages' sizes, [N, 2] int32."""
    text = Typesetter()(make_passages(pages))
    scene = make_scene(text, Atlas())
    table, _, _ = layout.lay_composite(
        Plan().reserve(text.sizes), scene.backgrounds, scene.glyphs, scene.glyph_starts, scene.extents,
        scene.rules, scene.rule_colors, scene.rule_starts, scene.pictures, scene.planes, scene.picture_starts,
    )  # fmt: skip
    return table, text.sizes


def count_steps(table: Table) -> list[Any]:
    """Count how often a table makes the kernel's loops run.

    Returns:
        The loops over words to fill, rules, glyphs and pictures, each as a list of how often its body runs, all
        programs together, and the loops inside it.
    """
    bands = table.words[: table.programs * layout.BAND].reshape(-1, layout.BAND).astype(np.int64)
    across = -(-bands[:, layout.PAGE_COLUMNS] // PITCH) * (PITCH // 4)
    fills = -(-(bands[:, layout.BOTTOM] - bands[:, layout.TOP]) * across // kernel.FILL.value)

    def records(begin: int, end: int, size: int) -> np.ndarray:
        at = np.concatenate([np.arange(band[begin], band[end], size) for band in bands])
        return table.words[at[:, None] + np.arange(size)].astype(np.int64)

    rules = records(layout.RULES, layout.PICTURES, layout.RULE)
    pictures = records(layout.PICTURES, layout.END, layout.PICTURE)
    rows = ((rules[:, 3] - 1) >> 7) - (rules[:, 1] >> 7) + 1
    words = -(-(((rules[:, 2] - 1) >> 8) + 1 - (rules[:, 0] >> 8)) // 32)
    strips = -(-(pictures[:, 3] - pictures[:, 2]) // layout.WINDOW_ROWS)
    blocks = -(-(((pictures[:, 1] - 1) >> 2) + 1 - (np.maximum(pictures[:, 0], 0) >> 2)) // layout.WINDOW_WORDS)
    strips_of, windows = _count_windows(table, bands)
    return [
        [int(fills.sum())],
        [len(rules), [int(rows.sum()), [int((rows * words).sum())]]],
        [len(strips_of), [int(strips_of.sum()), [int((strips_of * windows).sum())]]],
        [len(pictures), [int(strips.sum()), [int((strips * blocks).sum())]]],
    ]


def _count_windows(table: Table, bands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count each glyph's strips of windows in each band, [K] int64, and a strip's windows, [K] int64."""
    counts = (bands[:, layout.GLYPHS_END] - bands[:, layout.GLYPHS]) // layout.GLYPH
    band = np.repeat(bands, counts, 0)
    at = np.concatenate([np.arange(row[layout.GLYPHS], row[layout.GLYPHS_END], layout.GLYPH) for row in bands])
    left, top, number = table.words[at[:, None] + np.arange(3)].astype(np.int64).T
    bitmaps = table.words[(band[:, layout.BITMAPS] + layout.BITMAP * number)[:, None] + np.arange(3)].astype(np.int64)
    rows = np.minimum(top + bitmaps[:, 1], band[:, layout.BOTTOM]) - np.maximum(top, band[:, layout.TOP])
    words = ((np.minimum(left + bitmaps[:, 2], band[:, layout.PAGE_COLUMNS]) + 3) >> 2) - (np.maximum(left, 0) >> 2)
    strips = -(-np.maximum(rows, 0) // layout.WINDOW_ROWS)
    return strips, -(-np.maximum(words, 0) // layout.WINDOW_WORDS)


def count(channels: int, pages: int = PAGES, capability: int = 90) -> dict[str, Any]:
    """Count the instructions a pixel of pages of 360 characters, and the bytes by the width of their accesses.

    Every instruction of a loop's body counts, also where a branch would skip it.

    Raises:
        ValueError: The compiled loops are not those of the source.
    """
    table, sizes = lay_pages(pages)
    constants, warps = kernel.settings(channels)
    code = sass.compile_kernel(kernel.composite_kernel, POINTERS, constants, warps, capability=capability)
    # What lies outside all loops runs once in each program.
    times = np.full(len(code.lines), table.programs, np.int64)
    _spread(_nest(sass.find_loops(code)), count_steps(table), times)
    executed: Counter[str] = Counter()
    for line, repeat in zip(code.lines, times.tolist(), strict=True):
        for key, value in sass.count_lines([line]).items():
            executed[key] += value * repeat
    pixels = int(sizes.astype(np.int64).prod(1).sum())
    widths = {int(key[6:]): int(key[6:]) * n for key, n in executed.items() if key.startswith("bytes ")}
    return {
        "channels": channels,
        "instructions a pixel": executed["all"] * 32 / pixels,
        "bound": kernel.BOUND[channels],
        "bytes by width": {width: n / sum(widths.values()) for width, n in sorted(widths.items())},
        "instructions a page": executed["all"] / len(sizes),
        "windows a page": count_steps(table)[2][1][1][0] / len(sizes),
        "glyphs a page": count_steps(table)[2][0] / len(sizes),
        "bands a page": table.programs / len(sizes),
        "registers": code.registers,
        "stack": code.stack,
        "occupancy": sass.occupancy(code),
    }


def _nest(loops: list[tuple[int, int]]) -> list[Any]:
    """Nest loops in order of address: each as the numbers of its first and last instruction and the loops inside it."""
    roots: list[Any] = []
    open_loops: list[Any] = []
    for loop in sorted(loops, key=lambda loop: (loop[0], -loop[1])):
        while open_loops and loop[0] > open_loops[-1][0][1]:
            open_loops.pop()
        node: list[Any] = [loop]
        (open_loops[-1] if open_loops else roots).append(node)
        open_loops.append(node)
    return roots


def _spread(loops: list[Any], steps: list[Any], times: np.ndarray) -> None:
    """Write how often each instruction of nested loops runs, the inner ones' over the outer ones'."""
    if len(loops) != len(steps):
        raise ValueError(f"{len(loops)} loops were compiled from {len(steps)}: adapt count_steps")
    for ((first, last), *inner), (repeat, *inner_steps) in zip(loops, steps, strict=True):
        times[first : last + 1] = repeat
        _spread(inner, inner_steps, times)


if __name__ == "__main__":
    for channels in (1, 3):
        print(json.dumps(count(channels), indent=1))
