"""Ranges as users give them, a number or `(min, max)`, as pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["Range", "odd_range", "range_of"]

Range = float | Sequence[float]


def range_of(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, symmetric: bool = False
) -> tuple[float, float]:
    """A number or a pair as a pair, within bounds."""
    pair = [value, value] if isinstance(value, (int, float)) else value
    try:
        first, last = (float(v) for v in pair)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or (min, max), not {value!r}") from None
    if symmetric and isinstance(value, (int, float)):
        first = -last
    if not (math.isfinite(first) and math.isfinite(last)):
        raise ValueError(f"{name} must be finite, not {value!r}")
    if not low <= first <= last <= high:
        bounds = " and ".join([f"at least {low:g}"] * (low > -math.inf) + [f"at most {high:g}"] * (high < math.inf))
        raise ValueError(f"{name} must rise from min to max{', ' * bool(bounds)}{bounds}, not {value!r}")
    return first, last


def odd_range(name: str, value: Any, low: float, high: float) -> tuple[float, float]:
    """The same, with an odd integer in it."""
    first, last = range_of(name, value, low, high)
    if 2 * math.ceil((first - 1) / 2) + 1 > last:
        raise ValueError(f"{name} must hold an odd integer, not {value!r}")
    return first, last
