"""Formulas and tables as we paint them, beside what TeX's own tool chain draws; and engine beside engine."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from gpurender.bench.texts import FORMULAS, TABLE
from PIL import Image

from gpurender import Renderer, Typesetter
from gpurender.typeset.latex.box import Box
from gpurender.typeset.latex.preamble import PREAMBLE
from gpurender.typeset.latex.setting import LatexSetter
from gpurender.typeset.latex.source import prepare
from gpurender.typeset.maths import find_formulas

INSTALL = "apt-get install -y --no-install-recommends poppler-utils"
DPI = 188
SIZE = DPI / 7.227  # px per 10 pt: 26.01
MARGIN = 4

_BODIES = {"inline": "$%s$", "display": r"$\displaystyle{%s}$", "table": "%s"}
WIDTH = 752
WRITTEN = (
    *FORMULAS,
    r"\overline{AB} \parallel \overrightarrow{CD}, \quad \widehat{xyz} \ne \vec{v}",
    r"\left\lfloor \frac{\frac{a}{b}}{\frac{c}{d}} \right\rfloor + \binom{n}{k}",
    r"\boxed{\sqrt[3]{\frac{1 + \sqrt{5}}{2}}}",
    r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix} \begin{bmatrix} x \\ y \end{bmatrix}",
    r"\begin{array}{|c|r|} \hline 1 & 200 \\ \hline 30 & 4 \\ \hline \end{array}",
    r"\mathcal{L}(\mathbf{w}) = \mathbb{E}\left[ \| \mathsf{y} - \mathfrak{f} \|^2 \right]",
    r"\textcolor{red}{x} + \underbrace{a + b}_{\text{two terms}}",
    r"\prod_{i \in I} \bigcup_{j=1}^\infty \bigl( A_{ij} \cap B \bigr)",
)


def poppler(sources, folder):
    """What Poppler draws of the PDF that pdfTeX makes of each source, [height, width] uint8, 255 for paper."""
    for command in ("pdftex", "pdftoppm"):
        if shutil.which(command) is None:
            pytest.skip(f"needs {command}: {INSTALL}")
    length = f"{WIDTH * 72.27 / DPI:.4f}pt"
    items = [
        rf"\setbox0\hbox{{{_BODIES[source.style] % source.tex}}}"
        r"\pdfpagewidth=\wd0 \advance\pdfpagewidth 40pt \pdfpageheight=\ht0 \advance\pdfpageheight\dp0"
        r"\advance\pdfpageheight 40pt \csname tex_shipout:D\endcsname\box0"
        for source in sources
    ]
    head = PREAMBLE + r"\begin{document}\hoffset0pt\voffset0pt\pdfhorigin20pt\pdfvorigin20pt"
    head += rf"\hsize{length}\textwidth\hsize\linewidth\hsize"
    folder = Path(tempfile.mkdtemp(dir=folder))
    (folder / "t.tex").write_text("\n".join([head, *items, r"\end{document}"]), encoding="utf-8")
    command = ["pdftex", "-fmt=latex", "-output-format=pdf", "-interaction=nonstopmode", "t.tex"]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    command = ["pdftoppm", "-r", str(DPI), "-gray", "t.pdf", "p"]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    pages = [np.asarray(Image.open(file)) for file in sorted(folder.glob("p-*.pgm"))]
    assert len(pages) == len(sources)
    return pages


def differences(ours, theirs):
    """How far two pictures are apart: ink further than a pixel from the other's, in shares of all; mean difference.

    They are laid over each other where that is least, within two pixels either way: Poppler rounds no places, so that
    the first column of ink may be another.
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


def compare(sources, folder):
    """Of each text of one formula or table that is set: our picture and TeX's, and how far they are apart."""
    found = [find_formulas(source) for source in sources]
    whole = [n for n, source in enumerate(sources) if [f[:2] for f in found[n]] == [(0, len(source))]]
    typesetter = Typesetter(latex="pdftex", math_size=SIZE, margin=0, width=WIDTH)
    if not sources[0].startswith("\\begin{tab"):
        # As wide as it is on both sides.
        typesetter._latex.width = 0
    layout = typesetter([sources[n] for n in whole])
    failed = {d.page for d in layout.diagnostics}
    kept = [page for page in range(len(whole)) if page not in failed]
    prepared = [prepare(sources[whole[page]], found[whole[page]][0].kind) for page in kept]
    pages = [_cropped(page[0]) for page in Renderer()(layout.select(kept)).to_numpy()]
    theirs = [_cropped(page) for page in poppler(prepared, folder)]
    rows = zip(kept, pages, theirs, strict=True)
    return [(whole[page], our, their, *differences(our, their)) for page, our, their in rows]


def _cropped(page):
    rows, columns = (np.flatnonzero((page < 225).any(axis)) for axis in (1, 0))
    return page[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def check(sources, found):
    """No ink is a pixel from where TeX's own is, and the greys differ little, for every one."""
    for n, ours, theirs, stray, mean in found:
        assert np.abs(np.subtract(ours.shape, theirs.shape)).max() <= 2, sources[n]
        assert stray < 0.001, sources[n]
        assert mean < 0.06, sources[n]


def test_what_is_written_here_equals_tex_own_pages(tmp_path):
    for sources in ([f"$${tex}$$" for tex in WRITTEN], [TABLE]):
        found = compare(sources, tmp_path)
        assert len(found) == len(sources)
        check(sources, found)


def test_real_formulas_equal_tex_own_pages(tmp_path, pieces):
    sources = [f"$${tex}$$" for tex in pieces("formulas")]
    found = compare(sources, tmp_path)
    # Five have accents of text in maths, whose characters would be others.
    assert len(found) >= 0.99 * len(sources)
    check(sources, found)
    assert np.mean([row[4] for row in found]) < 0.02


def test_real_tables_equal_tex_own_pages(tmp_path, pieces):
    # One lacks a line end before a rule: LaTeX by itself cannot set it.
    sources = [tex for tex in pieces("tables") if r"\rule{0pt}{30pt}" not in tex]
    found = compare(sources, tmp_path)
    # All but one with a diagonal, which is a picture.
    assert len(found) >= len(sources) - 1
    check(sources, found)


def test_the_comparison_sees_a_shift(tmp_path):
    """Of two pixels, in a part of a formula."""
    ((_, ours, theirs, stray, _),) = compare([r"$$\frac{a + b}{c}$$"], tmp_path)
    assert stray == 0
    rows = len(ours) // 2
    moved = np.concatenate([ours[:rows], np.roll(ours[rows:], 2, axis=1)])
    assert differences(moved, theirs)[0] > 0.001


def test_the_engines_agree_in_width(pieces):
    rows = pieces("formulas")[::10]
    formulas = [(f"$${tex}$$", "display", ()) for tex in rows]
    ours, theirs = (LatexSetter(name, SIZE, 0)(formulas) for name in ("pdftex", "ziamath"))
    ratios = [b.width / a.width for a, b in zip(ours, theirs, strict=True) if isinstance(a, Box) and isinstance(b, Box)]
    assert len(ratios) > 0.95 * len(rows)
    assert np.mean(np.abs(np.array(ratios) - 1) < 0.1) >= 0.95
