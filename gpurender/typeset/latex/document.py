r"""LaTeX that draws beyond glyphs and rules: compiled to PDF by a TeX of its own, cropped, and rasterised by PDFium.

Whole documents go this way, since their packages and definitions are their own, and formulas and tables with TikZ,
rotation or PostScript specials. A picture costs a new process, some 0.3 s, and is thrown away with it.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np

from gpurender.typeset.latex import limits
from gpurender.typeset.latex.box import NO_CELLS, Box, Failure, Picture
from gpurender.typeset.latex.preamble import PREAMBLE
from gpurender.typeset.latex.sandbox import environment, sandboxed
from gpurender.typeset.latex.source import Source
from gpurender.typeset.latex.texlog import errors

__all__ = ["set_as_picture"]

# Ink may hang over a box's edges by so much, pt.
BLEED = 6
_BEGIN = re.compile(r"\\begin\s*\{document\}")
_SIZE = re.compile(r"gpr-size: (-?\d+) (-?\d+) (-?\d+)")

# pdfTeX's way around its own locks, under all of its names: it puts any file into a PDF.
_LOCKED = (
    r"\let\pdfobj\undefined\let\pdfprimitive\undefined"
    r"\expandafter\let\csname tex_pdfobj:D\endcsname\undefined"
    r"\expandafter\let\csname tex_pdfprimitive:D\endcsname\undefined"
)
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
    """A box that holds one picture, of a formula, a table or the first page of a document.

    Args:
        source: What to set.
        size: px per 10 pt.
    """
    scale = size / 10
    is_document = source.style == "document"
    if is_document:
        # Without the number of the page.
        tex = _LOCKED + _BEGIN.sub(lambda m: m[0] + r"\pagestyle{empty}\thispagestyle{empty}", source.tex, count=1)
    else:
        body = {"inline": "$%s$", "display": r"$\displaystyle{%s}$", "table": "%s"}[source.style] % source.tex
        width = source.width / scale if source.width else 345
        tex = PREAMBLE + rf"\textwidth={width:.3f}pt \hsize\textwidth \linewidth\textwidth" + _ITEM % (body, BLEED)
    try:
        with tempfile.TemporaryDirectory(prefix="gpurender-tex-") as folder:
            found = _compile(Path(folder), tex, source.style == "table")
            if isinstance(found, Failure):
                return found
            pixels = _rasterise(Path(folder), scale)
    except OSError as error:
        # No room for its files, or no TeX any more: that costs this picture, not what is set with it.
        return Failure("error", f"it cannot be compiled: {error}")
    if isinstance(pixels, Failure):
        return pixels
    rows, columns = (np.flatnonzero(pixels[..., 3].any(axis)) for axis in (1, 0))
    if not len(rows):
        return Failure("error", "nothing of it is visible")
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    pixels = np.ascontiguousarray(pixels[top:bottom, left:right])
    sizes = _SIZE.search(found)
    if sizes is None:
        # A document is its ink, on the baseline.
        width, height, depth, left, top = (right - left) * 64, (bottom - top) * 64, 0, 0, top - bottom
    else:
        width, height, depth = (round(int(part) / 65536 * scale * 64) for part in sizes.groups())
        left -= round(BLEED * scale)
        top -= round(BLEED * scale + height / 64)
    ink = left, top, left + pixels.shape[1], top + pixels.shape[0]
    nothing = np.empty((0, 9), np.int32), np.empty((0, 5), np.int32)
    return Box(width, height, depth, *nothing, ink, NO_CELLS, (Picture(left, top, pixels),))


def _compile(folder: Path, tex: str, forgiving: bool) -> str | Failure:
    """Compile to `item.pdf`; returns what TeX said. Where it is forgiving, some errors are none."""
    (folder / "item.tex").write_text(tex, encoding="utf-8", errors="replace")
    command = ["pdftex", "-fmt=latex", "-output-format=pdf", "-no-shell-escape", "-interaction=nonstopmode", "item.tex"]
    failure = _run(folder, command)
    if failure is not None:
        return failure
    said = (folder / "said").read_text(encoding="utf-8", errors="replace")
    # Of what is ours before the body, nothing is the item's fault.
    found = errors(said[max(0, said.find("gpr-body")) :])
    found = [error for error in found if not (forgiving and error in limits.FORGIVEN)]
    if found or not (folder / "item.pdf").is_file():
        return Failure("error", found[0] if found else "TeX made no page of it")
    return said


def _run(folder: Path, command: list[str]) -> Failure | None:
    """Run a command in the folder, within the limits on time, memory and disk; what it says goes to the file `said`."""
    deadline = time.monotonic() + limits.DOCUMENT_SECONDS
    with open(folder / "said", "wb") as said:
        process = subprocess.Popen(
            sandboxed(command),
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
                if sum(file.stat().st_size for file in folder.iterdir()) > limits.FOLDER_SIZE:
                    return Failure("limit", f"writes more than {limits.FOLDER_SIZE >> 20} MiB")
    finally:
        # Whatever ends the wait, Ctrl-C too.
        process.kill()
        process.wait()


def _rasterise(folder: Path, scale: float) -> np.ndarray | Failure:
    """The first page as RGBA [height, width, 4] uint8, colours not multiplied by alpha; `scale` is px per pt."""
    # PDF counts in units of 1/72 in, TeX in units of 1/72.27 in.
    numbers = map(str, (scale * 72.27 / 72, limits.LARGEST, limits.AREA))
    script = str(files("gpurender.typeset.latex") / "rasterise.py")
    failure = _run(folder, [sys.executable, "-I", script, "item.pdf", "pixels", *numbers])
    if failure is not None:
        return failure
    data = (folder / "pixels").read_bytes() if (folder / "pixels").is_file() else b""
    if len(data) < 8:
        return Failure("error", "its PDF cannot be rasterised")
    width, height = struct.unpack("<II", data[:8])
    if len(data) < 8 + 4 * width * height:
        return Failure("limit", f"larger than {limits.LARGEST} px, or {limits.AREA} px in all")
    return np.frombuffer(data, np.uint8, 4 * width * height, 8).reshape(height, width, 4)
