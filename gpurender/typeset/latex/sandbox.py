"""Starting TeX so that it can do no harm: what it may use and see, and that it ends when its parent does."""

from __future__ import annotations

import os
import sys

from gpurender.typeset.latex import limits

__all__ = ["INSTALL", "environment", "sandboxed"]

INSTALL = "apt-get install -y --no-install-recommends texlive-latex-recommended texlive-latex-extra lmodern"

# Run by a Python that loads nothing else, between fork and exec, where a program with threads may run no code.
_LAUNCHER = """
import ctypes, os, resource, signal, sys
parent, memory, size = map(int, sys.argv[1:4])
for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, size), (resource.RLIMIT_CORE, 0)):
    try:
        resource.setrlimit(limit, (value, value))
    except (OSError, ValueError):
        pass
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
os.execvp(sys.argv[4], sys.argv[4:])
"""


def sandboxed(command: list[str]) -> list[str]:
    """A command that runs another with limits on memory and files, and dies with this process, even by SIGKILL."""
    numbers = map(str, (os.getpid(), limits.ADDRESS_SPACE, limits.FILE_SIZE))
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, *numbers, *command]


def environment(**more: str) -> dict[str, str]:
    """What TeX sees of the environment: it may open files of its distribution and its folder, and run nothing."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {
        "openin_any": "p",
        "openout_any": "p",
        "shell_escape": "f",
        "MKTEXTFM": "0",
        "MKTEXPK": "0",
        "MKTEXMF": "0",
        "LC_ALL": "C.UTF-8",
        # Lines of its messages are not broken.
        "max_print_line": "10000",
        "error_line": "254",
        "half_error_line": "238",
        **more,
    }
