"""C functions of a shared library, for Python and for compiled code, by their addresses."""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding
from numba import types

__all__ = ["external", "function"]


def function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """A C function, for Python; `result` and `arguments` are ctypes' types."""
    found = getattr(library, name)
    found.restype, found.argtypes = result, arguments
    return found


def external(library: ctypes.CDLL, name: str, result: Any, *arguments: Any, suffix: str = "") -> Any:
    """A C function, for numba; `result` and `arguments` are numba's types, and `suffix` ends the library's own name.

    The name it is linked by is ours alone, since a process may hold several builds of a library.
    """
    address = ctypes.cast(getattr(library, name + suffix), ctypes.c_void_p).value
    llvmlite.binding.add_symbol(f"gpurender_{name}", address)
    return types.ExternalFunction(f"gpurender_{name}", result(*arguments))
