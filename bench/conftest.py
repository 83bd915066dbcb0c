"""The benchmarks' input, and the table they end with.

Each benchmark sets `extra_info["pages"]`, and where it moves pixels `extra_info["bytes"]`; the table gives pages/s from
the median round, GB/s, and ratios to the peers of its group. `--results FILE` writes it down with what it ran on.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from gpurender.bench.texts import ARABIC, HINDI, written

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("GPURENDER_DATA", ROOT.parent / "shared" / "data"))
PASSAGE = 360  # characters
LANGUAGES = {"zh": "Chinese", "ja": "Japanese", "th": "Thai", "ru": "Russian", "ar": "Arabic", "hi": "Hindi"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", metavar="FILE", help="write the table of results to a Markdown file")


@pytest.fixture(scope="session", autouse=True)
def all_cores() -> Iterator[set[int]]:
    """The cores there are. Everything is measured on one of them, but for what asks for more."""
    if not hasattr(os, "sched_setaffinity"):
        yield set(range(os.cpu_count() or 1))
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield cores
    os.sched_setaffinity(0, cores)


def word_problems() -> list[str]:
    """English word problems: GSM8K's where they are at hand, else the shipped examples; none where those are not."""
    found = [path for path in (DATA / "gsm8k.jsonl", ROOT / "examples" / "prompts.jsonl") if path.is_file()]
    lines = found[0].read_bytes().splitlines() if found else []
    contents = [json.loads(line)["messages"][0]["content"] for line in lines]
    return [c for c in contents if isinstance(c, str) and c.isascii()]


@pytest.fixture(scope="session")
def questions() -> list[str]:
    """Word problems; skips where there are none."""
    return word_problems() or pytest.skip("no prompts: set GPURENDER_DATA to a folder with gsm8k.jsonl")


@pytest.fixture(scope="session")
def passages(questions: list[str]) -> list[str]:
    """2,048 passages of 360 characters, of whole words."""
    words = " ".join(" ".join(questions).split()).split(" ")
    found: list[str] = []
    line: list[str] = []
    size = 0
    while len(found) < 2048:
        for word in words:
            line.append(word)
            size += len(word) + 1
            if size >= PASSAGE:
                found.append(" ".join(line))
                line, size = [], 0
    return found[:2048]


@pytest.fixture(scope="session")
def languages() -> dict[str, list[str]]:
    """256 passages of 360 characters in each of `LANGUAGES`; word problems of MGSM where they are at hand."""
    found = {"ar": written(ARABIC, 256, PASSAGE), "hi": written(HINDI, 256, PASSAGE)}
    path = DATA / "mgsm.jsonl"
    records = [json.loads(line) for line in path.read_bytes().splitlines()] if path.is_file() else []
    for language in LANGUAGES.keys() - found.keys():
        texts = [r["messages"][0]["content"] for r in records if r["lang"] == language]
        joined = " ".join(" ".join(texts).split())
        found[language] = [joined[i : i + PASSAGE] for i in range(0, len(joined) - PASSAGE, PASSAGE)][:256]
    return found


def environment() -> dict[str, str]:
    """What a result depends on."""
    try:
        cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor()
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    found = {"cpu": cpu.partition(":")[2].strip() or cpu, "python": platform.python_version(), "commit": commit}
    for name in (
        "gpurender",
        "torch",
        "triton",
        "numba",
        "opencv-python-headless",
        "pillow",
        "skia-python",
        "pangocffi",
        "kornia",
        "albumentations",
        "augraphy",
        "scikit-image",
        "torchvision",
        "transformers",
    ):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    try:
        import torch

        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name()
            found["cuda"] = str(torch.version.cuda)
    except ImportError:
        pass
    return found


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    session = getattr(config, "_benchmarksession", None)
    benchmarks = [b for b in getattr(session, "benchmarks", []) if b.extra_info.get("pages") and not b.has_error]
    if not benchmarks:
        return
    lines = ["| group | what | pages/s | us a page | GB/s | ratios |", "| --- | --- | ---: | ---: | ---: | --- |"]
    rates = {b.fullname: b.extra_info["pages"] / b["min"] for b in benchmarks}
    for b in benchmarks:
        peers = [p for p in benchmarks if p.group == b.group and p is not b and p.extra_info.get("peer")]
        ratios = (
            []
            if b.extra_info.get("peer")
            else [f"{rates[b.fullname] / rates[p.fullname]:.2f}x {p.extra_info['name']}" for p in peers]
        )
        size = b.extra_info.get("bytes")
        gigabytes = f"{size / b['median'] / 1e9:.2f}" if size else ""
        rate = rates[b.fullname]
        name = b.extra_info.get("name", b.name)
        lines.append(f"| {b.group} | {name} | {rate:,.0f} | {1e6 / rate:.1f} | {gigabytes} | {', '.join(ratios)} |")
    told = ", ".join(f"{name} {value}" for name, value in environment().items())
    terminalreporter.section("pages a second, from the best round")
    terminalreporter.write_line(told)
    for line in lines:
        terminalreporter.write_line(line)
    file = config.getoption("--results")
    if file:
        Path(file).write_text(f"{told}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
