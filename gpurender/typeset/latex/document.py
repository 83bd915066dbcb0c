r"""Pictures of LaTeX that draws beyond glyphs and rules: compiled to PDF by a new TeX, cropped, rasterised by PDFium.

Whole documents go this way, since each brings its packages and definitions, and formulas and tables with TikZ, rotation
or PostScript specials. A picture costs two new processes, some 0.3 s; a document is compiled as often as it asks, at
most `RUNS` times. Errors that TeX recovers from cost a document nothing but a note.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpurender.typeset.latex import limits
from gpurender.typeset.latex.box import Box, Failure, Picture
from gpurender.typeset.latex.preamble import PREAMBLE, document_preamble
from gpurender.typeset.latex.sandbox import confinement, environment, python_trees, sandboxed, tex_trees
from gpurender.typeset.latex.source import Source
from gpurender.typeset.latex.texlog import errors

__all__ = ["set_as_picture"]

# Ink may hang over a box's edges by so much, pt.
BLEED = 6
# TeX runs of one document, the later ones with what the earlier wrote of it.
RUNS = 3
_SIZE = re.compile(r"gpr-size: (-?\d+) (-?\d+) (-?\d+)")
_AGAIN = re.compile(r"[Rr]erun|may have changed|No file item\.(?!aux|bbl)")
# Lines of the .aux file that change no page without a warning.
_IDLE = re.compile(
    rb"\\(?:relax|@writefile|newlabel|gdef ?\\@abspage@last|providecommand|select@language|babel@aux|@setckpt)"
)
# Ends of a run for which another error is the reason.
_ENDS = ("Emergency stop", " ==> Fatal error")

_ITEM = r"""
\message{gpr-body}
\begin{document}
\makeatletter
\setbox\z@\hbox{%%
%s%%
}
\message{gpr-size: \number\wd\z@\space\number\ht\z@\space\number\dp\z@^^J}
\hoffset\z@ \voffset\z@ \pdfhorigin=%dpt \pdfvorigin=\pdfhorigin
\pdfpagewidth=\wd\z@ \advance\pdfpagewidth 2\pdfhorigin
\pdfpageheight=\ht\z@ \advance\pdfpageheight \dp\z@ \advance\pdfpageheight 2\pdfvorigin
\csname tex_shipout:D\endcsname\box\z@
\end{document}
"""


def set_as_picture(source: Source, size: float) -> Box | Failure:
    """Return a box that holds one picture, of a formula, a table or the first page of a document.

    Args:
        source: What to set.
        size: px per 10 pt.

    Returns:
        A document's box has the cells of its tables, rows counted on from one table to the next, and notes the first
        error that TeX recovered from.
    """
    scale = size / 10
    try:
        with tempfile.TemporaryDirectory(prefix="gpurender-tex-") as name:
            folder = Path(name)
            deadline = time.monotonic() + limits.DOCUMENT_SECONDS
            if source.style == "document":
                compiled = _compile_document(folder, source.tex, deadline)
            else:
                compiled = _compile_item(folder, source, scale, deadline)
            if isinstance(compiled, Failure):
                return compiled
            drawn = _rasterise(compiled.folder, scale, deadline)
    except OSError as error:
        # No room for its files, or no TeX any more: that costs this picture, not what is set with it.
        return Failure("error", f"it cannot be compiled: {error}")
    if isinstance(drawn, Failure):
        return drawn
    pixels, cells = drawn
    rows, columns = (np.flatnonzero(pixels[..., 3].any(axis)) for axis in (1, 0))
    if not len(rows):
        return Failure("error", compiled.errors[0] if compiled.errors else "nothing of it is visible")
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    pixels = np.ascontiguousarray(pixels[top:bottom, left:right])
    # The page's corner from the box's origin.
    x, y = -left, -bottom
    if compiled.sizes is None:
        # A document is its ink, on the baseline.
        width, height, depth = (right - left) * 64, (bottom - top) * 64, 0
    else:
        width, height, depth = (round(part / 65536 * scale * 64) for part in compiled.sizes)
        x, y = -round(BLEED * scale), -round(BLEED * scale + height / 64)
    ink = left + x, top + y, right + x, bottom + y
    cells[:, 2:] += 64 * np.array([x, y, x, y], np.int32)
    nothing = np.empty((0, 9), np.int32), np.empty((0, 5), np.int32)
    note = compiled.errors[0] if compiled.errors else ""
    return Box(width, height, depth, *nothing, ink, cells, (Picture(*ink[:2], pixels),), note=note)


class _Compiled(NamedTuple):
    """A PDF that TeX made."""

    folder: Path  # of `item.pdf`
    errors: list[str]  # that TeX recovered from
    sizes: tuple[int, ...] | None = None  # of an item: width, height and depth in sp


def _compile_item(folder: Path, source: Source, scale: float, deadline: float) -> _Compiled | Failure:
    """Compile a formula or a table to a page of its size; errors that are not forgiven fail it."""
    body = {"inline": "$%s$", "display": r"$\displaystyle{%s}$", "table": "%s"}[source.style] % source.tex
    width = source.width / scale if source.width else 345
    tex = PREAMBLE + rf"\textwidth={width:.3f}pt \hsize\textwidth \linewidth\textwidth" + _ITEM % (body, BLEED)
    said = _run_tex(folder, tex, deadline)
    if isinstance(said, Failure):
        return said
    # An error in the preamble is not the item's fault.
    found = errors(said[max(0, said.find("gpr-body")) :])
    sizes = _SIZE.search(said)
    if found or sizes is None or not (folder / "item.pdf").is_file():
        return Failure("error", found[0] if found else "TeX made no page of it")
    return _Compiled(folder, [], tuple(map(int, sizes.groups())))


def _compile_document(folder: Path, tex: str, deadline: float) -> _Compiled | Failure:
    """Compile a document with marks around cells, and without them where they may have caused an error."""
    tries = []
    for with_cells in (True, False):
        inner = folder / f"cells-{with_cells}"
        inner.mkdir()
        preamble = document_preamble(with_cells, confinement() == "landlock")
        tries.append(_compile_until_settled(inner, preamble + tex, deadline))
        if isinstance(tries[0], _Compiled) and not tries[0].errors:
            return tries[0]
    marked, plain = tries
    if isinstance(plain, Failure) or (isinstance(marked, _Compiled) and marked.errors == plain.errors):
        return marked
    return plain


def _compile_until_settled(folder: Path, tex: str, deadline: float) -> _Compiled | Failure:
    """Run TeX until references and measures stay as they are, while there is time."""
    written = b""
    for _ in range(RUNS):
        begun = time.monotonic()
        said = _run_tex(folder, tex, deadline)
        if isinstance(said, Failure):
            return said
        found = errors(said)
        if not _read(folder / "item.pdf").rstrip().endswith(b"%%EOF"):
            # There is none, or TeX ended within it.
            reasons = [error for error in found if not error.startswith(_ENDS)]
            lacking = [error for error in reasons if "not found" in error]
            return Failure("error", [*lacking[-1:], *reasons, *found, "TeX made no page of it"][0])
        before, written = written, _read(folder / "item.aux")
        is_settled = written == before or all(map(_IDLE.match, written.splitlines()))
        now = time.monotonic()
        if (is_settled and not _AGAIN.search(said)) or now + 2 * (now - begun) > deadline:
            break
    return _Compiled(folder, found)


def _run_tex(folder: Path, tex: str, deadline: float) -> str | Failure:
    """Compile to `item.pdf`, if all goes well; return the output of TeX."""
    (folder / "item.tex").write_text(tex, encoding="utf-8", errors="replace")
    command = ["pdftex", "-fmt=latex", "-output-format=pdf", "-no-shell-escape", "-interaction=nonstopmode", "item.tex"]
    failure = _run(folder, command, tex_trees(), deadline)
    return failure or _read(folder / "said").decode("utf-8", "replace")


def _read(file: Path) -> bytes:
    """Return the bytes of a file; none where it is not there, or is no file."""
    return file.read_bytes() if file.is_file() else b""


def _run(folder: Path, command: list[str], readable: Iterable[str], deadline: float) -> Failure | None:
    """Run a command in the folder, within the limits on time, memory and disk; its output goes to the file `said`."""
    with open(folder / "said", "wb") as said:
        process = subprocess.Popen(
            sandboxed(command, folder, readable),
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while True:
            try:
                process.wait(0.05)
                return None
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    return Failure("limit", f"takes more than {limits.DOCUMENT_SECONDS:.0f} s")
                if sum(file.lstat().st_size for file in folder.iterdir()) > limits.FOLDER_SIZE:
                    return Failure("limit", f"writes more than {limits.FOLDER_SIZE >> 20} MiB")
    finally:
        # Whatever ends the wait, Ctrl-C too.
        process.kill()
        process.wait()


def _rasterise(folder: Path, scale: float, deadline: float) -> tuple[np.ndarray, np.ndarray] | Failure:
    """Return the first page and its tables' cells.

    Args:
        folder: It has the file `item.pdf`.
        scale: px per pt.
        deadline: Of `time.monotonic()`.

    Returns:
        RGBA [height, width, 4] uint8, colours not multiplied by alpha; and [C, 6] int32 as in `Box.cells`, in 1/64 px
        from the page's top left corner.
    """
    # PDF counts in units of 1/72 in, TeX in units of 1/72.27 in.
    numbers = map(str, (scale * 72.27 / 72, limits.LARGEST, limits.AREA))
    script = str(files("gpurender.typeset.latex") / "rasterise.py")
    command = [sys.executable, "-I", script, "item.pdf", "pixels", *numbers]
    failure = _run(folder, command, [script, *python_trees()], deadline)
    if failure is not None:
        return failure
    data = _read(folder / "pixels")
    if len(data) < 12:
        return Failure("error", "its PDF cannot be rasterised")
    width, height, count = struct.unpack("<3I", data[:12])
    begin = 12 + 24 * count
    if len(data) < begin + 4 * width * height:
        return Failure("limit", f"larger than {limits.LARGEST} px, or {limits.AREA} px in all")
    cells = np.frombuffer(data, "<i4", 6 * count, 12).astype(np.int32).reshape(count, 6)
    return np.frombuffer(data, np.uint8, 4 * width * height, begin).reshape(height, width, 4), cells
