"""What the processes of benchmarks with more than one do; in a module that a spawned process can import."""

from __future__ import annotations

import os
from typing import Any

from gpurender import LoMo, Renderer, Typesetter

__all__ = ["Paint", "render_part", "start"]

BATCH = 64
_parts: list[list[str]] = []
_typesetter: Typesetter | None = None
_renderer: Renderer | None = None


def start(parts: list[list[str]], cores: set[int]) -> None:
    """Set a process up: its fonts, and the passages, so that none travel while the clock runs."""
    global _parts, _typesetter, _renderer
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    _parts, _typesetter, _renderer = parts, Typesetter(), Renderer()


def render_part(k: int) -> int:
    """Render a part of the passages; returns the number of bytes painted."""
    assert _typesetter is not None
    assert _renderer is not None
    texts, size = _parts[k], 0
    for i in range(0, len(texts), BATCH):
        size += int(_renderer(_typesetter(texts[i : i + BATCH])).offsets[-1])
    return size


class Paint:
    """A `collate_fn` of a DataLoader: records to distorted pixels, which stay where they are; returns how many images.

    Args:
        lomo: What is rewritten, and how.
    """

    def __init__(self, lomo: LoMo) -> None:
        self.lomo = lomo
        self._renderer: Renderer | None = None

    def __call__(self, records: list[dict[str, Any]]) -> int:
        self._renderer = self._renderer or Renderer()
        return len(self.lomo(records).render(self._renderer))
