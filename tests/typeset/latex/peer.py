"""What TeX's own tool chain draws of formulas and tables: a page of a DVI file each, by dvipng."""

import shutil
import subprocess

import numpy as np
import pytest
from gpurender.typeset.latex.preamble import PREAMBLE
from PIL import Image

INSTALL = "apt-get install -y --no-install-recommends dvipng"
DPI = 188  # dvipng takes whole numbers
SIZE = DPI / 7.227  # px per 10 pt: 26.01
MARGIN = 4

_BODIES = {"inline": "$%s$", "display": r"$\displaystyle{%s}$", "table": "%s"}


def dvipng(sources, folder, width=752):
    """The ink of each source, [height, width] uint8, 255 for paper."""
    for command in ("pdftex", "dvipng"):
        if shutil.which(command) is None:
            pytest.skip(f"needs {command}: {INSTALL}")
    length = f"{width * 72.27 / DPI:.4f}pt"
    items = [
        rf"\setbox0\hbox{{{_BODIES[source.style] % source.tex}}}"
        r"\csname tex_shipout:D\endcsname\vbox{\kern20pt\hbox{\kern20pt\box0\kern20pt}\kern20pt}"
        for source in sources
    ]
    head = PREAMBLE + rf"\begin{{document}}\hoffset0pt\voffset0pt\hsize{length}\textwidth\hsize\linewidth\hsize"
    (folder / "t.tex").write_text("\n".join([head, *items, r"\end{document}"]), encoding="utf-8")
    command = ["pdftex", "-fmt=latex", "-output-format=dvi", "-interaction=nonstopmode", "t.tex"]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    command = ["dvipng", "-D", str(DPI), "-T", "tight", "-bg", "White", "-q", "-z", "0", "-o", "p%d.png", "t.dvi"]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return [np.asarray(Image.open(folder / f"p{n + 1}.png").convert("L")) for n in range(len(sources))]


def differences(ours, theirs):
    """How far two pictures are apart: ink further than a pixel from the other's, in shares of all; mean difference.

    They are laid over each other where that is least, within two pixels either way: dvipng rounds places to whole
    pixels, so that the first column of ink may be another.
    """
    height, width = (max(ours.shape[i], theirs.shape[i]) + 2 * MARGIN for i in (0, 1))
    here = _padded(255 - ours.astype(int), height, width, MARGIN, MARGIN)
    best = None
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            there = _padded(255 - theirs.astype(int), height, width, MARGIN + dy, MARGIN + dx)
            apart = np.abs(here - there).mean()
            if best is None or apart < best[0]:
                best = apart, there
    there = best[1]
    near_here, near_there = _spread(here), _spread(there)
    strong = 160
    stray = ((here > strong) & (near_there < 64)).sum() + ((there > strong) & (near_here < 64)).sum()
    return stray / max(1, (there > strong).sum()), best[0] / 255


def _padded(ink, height, width, top, left):
    page = np.zeros((height, width), int)
    rows, columns = min(ink.shape[0], height - top), min(ink.shape[1], width - left)
    page[top : top + rows, left : left + columns] = ink[:rows, :columns]
    return page


def _spread(ink):
    """Of each pixel the darkest of the nine around it."""
    padded = np.pad(ink, 1)
    height, width = ink.shape
    return np.max([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)
