"""Arrays given by callers, numpy's or torch's: what they are, and the same as a backend takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Array = np.ndarray | Tensor

__all__ = ["copy_to", "device_of", "look_all", "to_tensor"]


def device_of(array: Array) -> str:
    """Where an array lies: `"cpu"`, `"cuda:0"`."""
    return "cpu" if isinstance(array, np.ndarray) else str(array.device)


def to_tensor(array: Array) -> Tensor:
    """It as a torch tensor that shares its memory, but where torch could not keep it from being written."""
    import torch

    if isinstance(array, np.ndarray):
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    return array


def copy_to(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A CPU's tensor on the device, contiguous, without waiting: by pinned memory of our own, which nobody refills."""
    import torch

    device = torch.device(device)
    if device.type != "cuda":
        return tensor.contiguous().to(device)
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True)
    return pinned.copy_(tensor).to(device, non_blocking=True)


def look_all(group: Any, dtypes: Sequence[np.dtype[Any]]) -> list[Any]:
    """A named tuple's arrays as :func:`look` has them.

    Raises:
        TypeError: One of them has another dtype, or is no array.
        ValueError: One of them runs backwards.
    """
    arrays = []
    for name, array, dtype in zip(group._fields, group, dtypes, strict=True):
        # The common case first: composite has 17 arrays a call.
        if type(array) is np.ndarray and array.dtype == dtype and array.flags.c_contiguous:
            arrays.append(array)
            continue
        if not has_dtype(array, dtype):
            raise TypeError(f"{type(group).__name__}.{name} must be an array of {dtype}, not {describe(array)}")
        if isinstance(array, np.ndarray) and min(array.strides, default=0) < 0:
            raise ValueError(f"{type(group).__name__}.{name} must not run backwards")
        arrays.append(look(array))
    return arrays


def look(array: Array) -> Any:
    """The array contiguous, and numpy's where it lies on the CPU; pixels on a device are not looked into."""
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array)
    array = array.contiguous()
    return array.numpy() if array.device.type == "cpu" else array


def has_dtype(array: Any, dtype: np.dtype[Any]) -> bool:
    if isinstance(array, np.ndarray):
        return bool(array.dtype == dtype)
    return str(getattr(array, "dtype", None)) == f"torch.{dtype.name}"


def describe(array: Any) -> str:
    if hasattr(array, "dtype"):
        return f"{array.dtype} {list(array.shape)}"
    return type(array).__name__
