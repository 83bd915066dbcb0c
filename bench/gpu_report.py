"""Results of `gpurender.bench.gpu_check`: reported one by one, kept in JSON lines, summarized in Markdown."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Tell", "append", "attempt", "read_results", "summarize", "write_summary"]


class Tell(Protocol):
    """Report a result; `ok=False` marks a failure."""

    def __call__(self, what: str, **values: Any) -> None: ...


@contextmanager
def attempt(tell: Tell, what: str) -> Iterator[None]:
    """Report an exception as the failure of one part of a step, and go on."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        tell(what, ok=False, log=traceback.format_exc()[-1500:])


def append(out: Path, step: str, **values: Any) -> None:
    """Append a result to `results.jsonl`."""
    with open(out / "results.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step} | values) + "\n")


def read_results(out: Path) -> list[dict[str, Any]]:
    """Read `results.jsonl`; a line cut short by a killed process is left out."""
    found = []
    for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def write_summary(out: Path) -> None:
    """Write `results.md` from `results.jsonl`."""
    text = "\n".join(summarize(read_results(out)))
    # Replaced at once: a killed run leaves no half of it.
    part = out / "results.md.part"
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(out / "results.md")


def summarize(results: Iterable[dict[str, Any]]) -> list[str]:
    """Return lines of Markdown: failures, steps left out, kernels from the slowest up, and the other results."""
    results = list(results)
    failed = [r for r in results if r.get("ok") is False]
    skipped = [r for r in results if "skipped" in r]
    timed = sorted((r for r in results if "share" in r and r not in failed), key=lambda r: r["share"])
    others = [r for r in results if r not in failed and r not in skipped and r not in timed]
    lines = ["# gpu_check", "", f"{len(failed)} failed, {len(skipped)} left out, {len(results)} results.", ""]
    if failed:
        lines += ["## Failed", ""]
        lines += [line for result in failed for line in describe(result)] + [""]
    if skipped:
        lines += ["## Left out", "", *(line for r in skipped for line in describe(r)), ""]
    if timed:
        columns = list(dict.fromkeys(key for r in timed for key in r if key not in ("step", "ok")))
        lines += ["## Kernels, the smallest share of the copy rate first", ""]
        lines += ["| " + " | ".join(columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]
        lines += ["| " + " | ".join(str(r.get(key, "")) for key in columns) + " |" for r in timed] + [""]
    if others:
        lines += ["## Other results", "", *(line for r in others for line in describe(r))]
    return lines


def describe(result: dict[str, Any]) -> list[str]:
    """Return a result as an item of a Markdown list, its log as a block of code."""
    values = [f"{key} {value}" for key, value in result.items() if key not in ("step", "what", "log")]
    lines = [f"- {result['step']}: {': '.join([result['what'], ', '.join(values)] if values else [result['what']])}"]
    if result.get("log"):
        lines += ["", "  ```", *(f"  {line}" for line in result["log"].splitlines()), "  ```", ""]
    return lines
