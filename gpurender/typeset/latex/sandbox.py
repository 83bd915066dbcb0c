"""Starting TeX so that it can do no harm: what it may use and see, and that it ends when its parent does."""

from __future__ import annotations

import os
import sys
from importlib.resources import files

from gpurender.typeset.latex import limits

__all__ = ["INSTALL", "environment", "sandboxed"]

INSTALL = "apt-get install -y --no-install-recommends texlive-latex-recommended texlive-latex-extra lmodern"


def sandboxed(command: list[str]) -> list[str]:
    """A command that runs another with limits on memory and files, and dies with this process, even by SIGKILL."""
    launcher = str(files("gpurender.typeset.latex") / "launch.py")
    numbers = map(str, (os.getpid(), limits.ADDRESS_SPACE, limits.FILE_SIZE))
    return [sys.executable, "-I", "-S", launcher, *numbers, *command]


def environment(**more: str) -> dict[str, str]:
    """What TeX sees of the environment: it may open files of its distribution and its folder, and run nothing."""
    # Where that names a folder, TeX may write into it.
    kept = {name: value for name, value in os.environ.items() if name != "TEXMFOUTPUT"}
    return kept | {
        "openin_any": "p",
        "openout_any": "p",
        "shell_escape": "f",
        # It makes no files of fonts.
        "MKTEXFMT": "0",
        "MKTEXMF": "0",
        "MKTEXPK": "0",
        "MKTEXTFM": "0",
        # Lines of its messages are not broken.
        "max_print_line": "4000",
        "error_line": "254",
        "half_error_line": "200",
        **more,
    }
