"""Paths through a kernel whose instructions are counted, and their bounds; see `gpurender.bench.counted`."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Path"]


class Path(NamedTuple):
    """One way through a kernel's main loop.

    To count it the kernel is compiled with its run-time branches fixed: `if NAME:` becomes `if tl.constexpr(value):`
    for every name in `branches`, so a kernel that is counted branches on names alone.

    Attributes:
        name: The path.
        channels: The channels of the images.
        variant: The table's variant.
        branches: Which way each named branch goes.
        pixels: How many pixels, of all channels, one iteration of the loop makes.
        bound: The most instructions a pixel that it may take, sm_90.
        loop: Which loop is counted: -1 for the outermost, 0 for the innermost.
    """

    name: str
    channels: int
    variant: int
    branches: dict[str, bool]
    pixels: int
    bound: float
    loop: int = -1
