"""Counts and predictions of the GPU path, made without a GPU.

    python -m gpurender.bench.counted --out bench/results/counted.md

Kernels are compiled ahead of time as a launch specializes them, disassembled and counted; host operations are counted
with device `meta` in place of a GPU. Rates that follow from these counts are predictions, and no measurements.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gpurender.bench.counted_kernels import (
    BYTES_PER_SECOND,
    CAPABILITIES,
    WARPS_PER_SECOND,
    Built,
    Case,
    Counted,
    every_build,
    every_path,
    run_all,
)

__all__ = ["main"]

# Pixels of a page of 768 x 200 px, and of its canvas by the form of patches.
PAGE = 768 * 200
CANVAS = {"14": 784 * 224, "16": 768 * 224, "dense": 768 * 224}


def table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Format a table in Markdown; names are aligned to the left, numbers to the right."""
    names = list(header)
    cells = [[str(cell) for cell in row] for row in rows]
    numeric = [all(row[n][:1].isdigit() or not row[n] for row in cells) for n in range(len(names))]
    lines = [names, ["---:" if right else "---" for right in numeric], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def paths_table(counted: Iterable[Counted]) -> str:
    """Format instructions, widths and predictions."""
    rows = []
    for path in counted:
        issue, move = path.seconds
        slower = max(issue, move)
        page = next((size for form, size in CANVAS.items() if f", {form}" in path.case.form), PAGE)
        pages = f"{1 / (page * slower) / 1e6:.2f}" if path.case.channels == 1 else ""
        rows.append((
            path.case.operation, path.path, path.case.channels, f"{path.instructions:.1f}", f"{path.bound:.3g}",
            f"{path.bytes:.2f}", f"{path.wide:.0%}", f"{move / slower:.0%}", "issue" if issue > move else "memory",
            pages, f"{path.bytes / slower / 1e9:,.0f}",
        ))  # fmt: skip
    header = (
        "kernel", "path", "channels", "instructions", "bound", "bytes", "by 4 bytes or more",
        "predicted share of the copy rate, at most", "limit", "predicted M pages/s", "predicted GB/s",
    )  # fmt: skip
    return table(header, rows)


def built_table(built: Iterable[Built]) -> str:
    """Format registers, stack and occupancy of each kernel, a column for each capability."""
    cases: dict[Case, list[Built]] = {}
    for each in built:
        cases.setdefault(each.case, []).append(each)
    rows = []
    for case, found in cases.items():
        by = {each.capability: each for each in found}
        row = [case.operation, case.label, case.channels, by[90].warps]
        row += [by[capability].registers if capability in by else "" for capability in CAPABILITIES]
        row += [max(each.stack for each in found), by[90].shared, f"{by[90].occupancy:.0%}"]
        rows.append(row)
    header = ["kernel", "variant", "channels", "warps", *(f"registers, sm_{n}" for n in CAPABILITIES)]
    return table([*header, "stack bytes", "shared bytes", "occupancy, sm_90"], rows)


def host_table() -> str:
    """Count host operations, and format them."""
    from gpurender.bench import counted_host

    rows = []
    with counted_host.stand_in() as tally:
        for images in (8, 64, 256):
            for name, call in counted_host.every_call(images, tally):
                print(f"[host] {name}, {images} images", file=sys.stderr)
                host = counted_host.measure(name, images, tally, call)
                rows.append((*host[:5], f"{host.bytes:,}", host.launches, f"{host.milliseconds:.2f}"))
    header = ("call", "images", "operations", "views", "copies", "bytes", "launches", "ms of this CPU")
    return table(header, rows)


def report(workers: int, kernels: bool, host: bool) -> str:
    """Count everything and return it in Markdown."""
    made = f"{date.today()}, triton {version('triton')}, torch {version('torch')}"
    parts = [
        "# The GPU path, counted without a GPU\n",
        f"By `python -m gpurender.bench.counted`, {made}. Nothing here was measured on a GPU.\n",
    ]
    if kernels:
        tasks = [("count", case, place) for case, place in every_path()]
        tasks += [("build", case, capability) for case, capability in every_build()]
        results = list(run_all(tasks, workers))
        parts += [
            "## Instructions a pixel\n",
            "Of one channel, sm_90, on each path of a kernel's main loop. Bytes are those that device memory must move "
            "for a pixel, read and written; widths are those of the loop's accesses, look-ups included.\n",
            f"Predictions: an H200 issues {WARPS_PER_SECOND / 1e9:.0f} G warp instructions a second, and reads and "
            f"writes {BYTES_PER_SECOND / 1e12} TB; the slower of the two limits a path, and real kernels stay below. "
            "Pages are gray, 768 x 200 px, and their canvases 224 px high.\n",
            paths_table(each for each in results if isinstance(each, Counted)),
            "## Registers and occupancy\n",
            built_table(each for each in results if isinstance(each, Built)),
        ]
    if host:
        parts += [
            "## Host operations of a call\n",
            "Operations and views that torch dispatches, copies to the device and their bytes, and launches. Times are "
            "of the CPU at hand and without a driver's work.\n",
            host_table(),
        ]
    return "\n".join(parts)


def main(arguments: list[str] | None = None) -> None:
    """Count, print, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m gpurender.bench.counted", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="Markdown file to write besides (default: none)")
    parser.add_argument("--only", choices=("kernels", "host"), help="count only these (default: both)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="compiling processes (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if os.environ.get("TRITON_INTERPRET"):
        parser.error("TRITON_INTERPRET is set, and interpreted kernels cannot be compiled: unset it")
    text = report(options.workers, options.only != "host", options.only != "kernels")
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
