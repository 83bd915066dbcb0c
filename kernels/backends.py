"""The backends: their names, which one `"auto"` means, and where each keeps an operation."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Literal

__all__ = ["BACKENDS", "Backend", "choose_backend", "default_device", "implementation"]

Backend = Literal["auto", "reference", "cpu", "triton"]
BACKENDS = ("auto", "reference", "cpu", "triton")


def choose_backend(backend: str, device: str) -> str:
    """The backend that `backend` means on a device (`"cpu"`, `"cuda"`, `"cuda:1"`).

    Raises:
        ValueError: No such backend, or it cannot work on that device.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    on_cuda = device.startswith("cuda")
    if backend == "auto":
        return "triton" if on_cuda else "cpu" if device == "cpu" else "reference"
    if backend == "cpu" and device != "cpu":
        raise ValueError(f"backend 'cpu' works on device 'cpu', not on {device!r}; use 'auto' or 'triton'")
    if backend == "triton" and not on_cuda and not _interpreted():
        raise ValueError(
            f"backend 'triton' needs a CUDA device, not {device!r} (TRITON_INTERPRET=1 runs it slowly on a CPU)"
        )
    return backend


def default_device(backend: str) -> str:
    """Where a backend works when nobody names a device: `"cuda"` for triton, unless it is interpreted, else `"cpu"`."""
    return "cuda" if backend == "triton" and not _interpreted() else "cpu"


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def implementation(operation: str, backend: str, device: str) -> tuple[Callable[..., None], bool]:
    """A backend's function for an operation, and whether it takes torch tensors (else numpy arrays)."""
    chosen = choose_backend(backend, device)
    module = import_module(f"gpurender.kernels.{chosen}.{operation}")
    return getattr(module, operation), chosen != "cpu"
