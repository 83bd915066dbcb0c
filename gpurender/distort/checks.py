"""What users give, checked, in the one form that the rest of the package has: pairs, arrays, whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    Array = np.ndarray | Tensor

__all__ = ["Range", "check_sizes", "number", "odd_range", "on_cpu", "range_of", "switch", "whole"]

Range = float | Sequence[float]


def number(name: str, value: Any) -> float:
    """A number: Python's, numpy's, or a tensor without dimensions; finite."""
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} must be a number, not {value!r}")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} must be a number, not {value!r}") from None
    if not math.isfinite(found):
        raise ValueError(f"{name} must be finite, not {value!r}")
    return found


def whole(name: str, value: Any) -> int:
    """An integer: Python's, numpy's, or a tensor without dimensions."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None


def switch(name: str, value: Any) -> bool:
    """True or False, and nothing that merely counts as one of them."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def range_of(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, symmetric: bool = False
) -> tuple[float, float]:
    """A number or a pair as a pair, within bounds; if symmetric, the number d is (-d, d)."""
    if isinstance(value, (list, tuple)) or getattr(value, "shape", ()) == (2,):
        if len(value) != 2:
            raise TypeError(f"{name} must be a number or (min, max), not {value!r}")
        first, last = (number(name, v) for v in value)
    else:
        last = number(name, value)
        first = -last if symmetric else last
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


def on_cpu(name: str, array: Any, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array, tensor or list as contiguous numpy of its own, checked; None in `shape` is any length."""
    kind: np.dtype[Any] = np.dtype(dtype)
    if isinstance(array, (list, tuple)):
        try:
            array = np.array(array) if len(array) else np.empty([n or 0 for n in shape], kind)
        except ValueError:
            raise ValueError(f"{name} must have rows of one length") from None
    elif hasattr(array, "device") and not isinstance(array, np.ndarray):
        if array.device.type != "cpu":
            raise ValueError(f"{name} must lie on the CPU, not on {array.device}")
        array = array.detach().numpy()
    if not isinstance(array, np.ndarray) or array.dtype.kind not in ("iu" if kind.kind == "i" else "iuf"):
        told = f"{array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be an array of {kind}, not {told}")
    if array.ndim != len(shape) or any(n not in (None, have) for n, have in zip(shape, array.shape, strict=True)):
        told = ", ".join("N" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} must have shape [{told}], not {list(array.shape)}")
    if kind.kind == "i" and array.size:
        limit = 2 ** (8 * kind.itemsize - 1)
        if not -limit <= int(array.min()) <= int(array.max()) < limit:
            raise ValueError(f"{name} must lie in [{-limit}, {limit})")
    own: np.ndarray = np.array(array, kind, order="C")
    return own


def check_sizes(sizes: Any) -> np.ndarray:
    """Sizes [N, 2] as int32; raise for what no image has."""
    found = on_cpu("sizes", sizes, np.int32, (None, 2))
    if (found < 1).any():
        n = int(np.flatnonzero((found < 1).any(1))[0])
        raise ValueError(f"sizes must be at least 1 x 1; image {n} has {found[n, 0]} x {found[n, 1]}")
    return found
