"""The sandbox of TeX and of the PDF rasteriser: which files each may use, its limits, its environment.

On Linux with Landlock the kernel confines them: they read TeX's trees (the rasteriser: Python's) and the system's
libraries, write one folder, and reach nothing else. Elsewhere TeX's locks keep it to its trees and its folder, and
documents are refused the primitives that pass by these locks (`\\pdfobj`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from gpurender.typeset.latex import limits
from gpurender.typeset.latex.launch import landlock_version

__all__ = ["INSTALL", "confinement", "environment", "python_trees", "sandboxed", "tex_trees"]

INSTALL = (
    "apt-get install -y --no-install-recommends texlive-latex-recommended texlive-latex-extra lmodern "
    "cm-super texlive-fonts-recommended texlive-plain-generic texlive-science"
)

# Programs, libraries and their loader, and the time zone; Nix and Guix keep theirs in one store.
_SYSTEM = (
    "/bin",
    "/usr/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/nix/store",
    "/gnu/store",
)


@lru_cache(maxsize=1)
def confinement() -> Literal["landlock", "refusals"]:
    r"""Return the means by which this machine keeps TeX from the files of others.

    Returns:
        `"landlock"`: the kernel does; `"refusals"`: TeX's locks do, and `\pdfobj` is refused, which a few drawing
        packages need (shadings and transparency).
    """
    return "landlock" if landlock_version() else "refusals"


def sandboxed(command: list[str], folder: Path | None = None, readable: Iterable[str] = ()) -> list[str]:
    """Return a command that runs another in the sandbox; it dies with this process, even by SIGKILL.

    Args:
        command: The program and its arguments.
        folder: A folder that it may write to; None for none.
        readable: Files and folders that it may read, beside the program and the system's libraries.
    """
    program = shutil.which(command[0]) or command[0]
    allowed = ""
    if confinement() == "landlock":
        libraries = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(program))), "lib")
        allowed = "\n".join([program, libraries, *_SYSTEM, *readable])
    launcher = str(files("gpurender.typeset.latex") / "launch.py")
    numbers = map(str, (os.getpid(), limits.ADDRESS_SPACE, limits.FILE_SIZE))
    return [sys.executable, "-I", "-S", launcher, *numbers, str(folder or ""), allowed, program, *command[1:]]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of TeX: it may open files of its distribution and its folder, and run nothing."""
    # Where that names a folder, TeX may write into it.
    kept = {name: value for name, value in os.environ.items() if name != "TEXMFOUTPUT"}
    return kept | {
        # A user's trees and caches are neither read nor written.
        "HOME": "/nonexistent",
        "TEXMFHOME": "/nonexistent",
        "TEXMFVAR": "/nonexistent",
        "TEXMFCONFIG": "/nonexistent",
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


@lru_cache(maxsize=1)
def tex_trees() -> tuple[str, ...]:
    """Return the folders of TeX's distribution and its configuration files, as kpsewhich names them."""

    def ask(*question: str) -> list[str]:
        try:
            answer = subprocess.run(
                ["kpsewhich", *question], capture_output=True, text=True, env=environment(), timeout=60, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        return answer.stdout.split("\n")

    trees = [tree for line in ask("-expand-path=$TEXMF") for tree in line.split(os.pathsep)]
    # Links from one tree into another lead to the same files.
    found = [os.path.realpath(path) for path in [*trees, *ask("-all", "texmf.cnf")] if os.path.isabs(path)]
    return tuple(path for path in dict.fromkeys(found) if path != "/")


@lru_cache(maxsize=1)
def python_trees() -> tuple[str, ...]:
    """Return the folders of this Python, and that of pypdfium2."""
    found = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.base_exec_prefix)}
    pdfium = find_spec("pypdfium2")
    if pdfium is not None and pdfium.origin is not None:
        found.add(os.path.dirname(os.path.dirname(os.path.realpath(pdfium.origin))))
    return tuple(sorted(found - {"/"}))
