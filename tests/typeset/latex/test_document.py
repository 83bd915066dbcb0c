"""Pictures of what draws beyond glyphs and rules: documents, rotation, diagonals."""

import shutil
import subprocess

import numpy as np
import pytest

from gpurender import Renderer, Typesetter
from gpurender.typeset.latex import document, limits
from gpurender.typeset.latex.box import Failure
from gpurender.typeset.latex.sandbox import INSTALL
from gpurender.typeset.latex.source import Source
from gpurender.typeset.layout import CELL

pytestmark = pytest.mark.skipif(shutil.which("pdftex") is None, reason=f"needs pdftex: {INSTALL}")
DOCUMENT = r"\documentclass{article}\usepackage{xcolor}\begin{document}%s\end{document}"


HEAD = r"\documentclass{article}\usepackage{%s}\begin{document}"
END = r"\end{document}"
TABLE = r"\begin{tabular}{lr}Item&N\\ \hline One&1\\ Two&2\end{tabular}"
TABLE_CELLS = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def make(tex, style="document", size=26.0):
    return document.set_as_picture(Source(tex, style), size)


def test_a_document_is_its_ink():
    box = make(DOCUMENT % r"\noindent\textcolor{red}{\rule{50pt}{20pt}}")
    (picture,) = box.pictures
    height, width = picture.pixels.shape[:2]
    # 2.6 px to the point.
    assert (width, height) == (pytest.approx(130, abs=2), pytest.approx(52, abs=2))
    assert picture.pixels[5, 5].tolist() == [255, 0, 0, 255]
    assert box.ink == (0, -height, width, 0)
    assert (box.width, box.height, box.depth) == (64 * width, 64 * height, 0)


def test_an_item_keeps_its_baseline_and_width():
    box = make(r"x\rule[-5pt]{30pt}{10pt}", "inline")
    (picture,) = box.pictures
    left, top, right, bottom = box.ink
    assert box.depth == pytest.approx(5 * 2.6 * 64, abs=2)
    assert bottom == pytest.approx(5 * 2.6, abs=1.5)
    assert box.width == pytest.approx(64 * right, abs=64 * 1.5)
    assert (picture.left, picture.top) == (left, top)
    # Half of it is ink, and paper is clear.
    assert picture.pixels[..., 3].max() == 255
    assert (picture.pixels[..., 3] == 0).any()


@pytest.mark.parametrize(
    ("tex", "named"),
    [
        (DOCUMENT % r"\undefinedword", "Undefined control sequence"),
        (DOCUMENT % "", "page"),
        (DOCUMENT % r"\phantom{x}\thispagestyle{empty}", "visible"),
        (r"\documentclass{nosuchclass}\begin{document}x\end{document}", "nosuchclass"),
        (r"\documentclass{article} no body", ""),
    ],
)
def test_what_cannot_be_compiled_says_why(tex, named):
    failure = make(tex)
    assert isinstance(failure, Failure)
    assert named in failure.message


def test_disk_and_talk_have_an_end(monkeypatch):
    monkeypatch.setattr(limits, "FOLDER_SIZE", 2**22)
    for attack in (
        r"\def\x{\message{xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}\x}\x",
        r"\newwrite\f\immediate\openout\f=a.txt \def\x{\immediate\write\f{xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}\x}\x",
    ):
        failure = make(DOCUMENT % attack)
        assert failure.kind == "limit"
        assert "writes more" in failure.message


def test_a_pdf_that_takes_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(limits, "DOCUMENT_SECONDS", 2.0)
    one = r"\rlap{\pdfrefxform\pdflastxform}"
    double = rf"\setbox0\hbox to5pt{{{one}{one}\hss}}\immediate\pdfxform0 "
    failure = make(DOCUMENT % rf"\setbox0\hbox{{x}}\immediate\pdfxform0 {double * 40}\noindent{one}.")
    assert failure.kind == "limit"


def test_area_has_an_end():
    failure = make(r"\rotatebox{45}{\rule{4000pt}{4000pt}}", "inline")
    assert (failure.kind, str(limits.AREA) in failure.message) == ("limit", True)


def test_time_has_an_end(monkeypatch):
    monkeypatch.setattr(limits, "DOCUMENT_SECONDS", 1.0)
    failure = make(DOCUMENT % r"\loop\iftrue\repeat")
    assert failure.kind == "limit"


def test_memory_has_an_end():
    failure = make(DOCUMENT % r"\def\a{xxxxxxxxxx\a\a}\edef\b{\a}")
    assert isinstance(failure, Failure)


def test_size_has_an_end():
    failure = make(r"\rule{16000pt}{1pt}", "inline")
    assert failure.kind == "limit"


def test_no_room_for_its_files_costs_the_picture_alone(monkeypatch):
    monkeypatch.setattr(document.tempfile, "tempdir", "/nowhere")
    failure = make(DOCUMENT % "x")
    assert failure.message.startswith("it cannot be compiled")


def test_no_folder_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(document.tempfile, "tempdir", None)
    make(DOCUMENT % "x")
    assert list(tmp_path.iterdir()) == []


def test_pages_show_the_picture():
    layout = Typesetter(latex="pdftex").set_tex([DOCUMENT % r"\rule{20pt}{20pt}", "x"])
    assert [d.kind for d in layout.diagnostics] == ["picture"]
    page = Renderer()(layout).to_numpy()[0][0]
    assert (page == 0).sum() > 45 * 45
    # The margin is around it.
    assert (page[:8] == 255).all()
    assert (page[:, :8] == 255).all()
    rows = np.flatnonzero((page < 255).any(1))
    assert rows[0] == 8


@pytest.mark.parametrize("tex", [r"\rotatebox{30}{rotated}", r"\resizebox{40pt}{!}{stretched}"])
def test_what_glyphs_and_rules_cannot_show_becomes_a_picture(tex):
    layout = Typesetter(latex="pdftex")(f"a $\\text{{{tex}}}$ b")
    assert [d.kind for d in layout.diagnostics] == ["picture"]
    assert len(layout.pictures) == 1


def ink(box):
    """Rows and columns of a document's ink, in px."""
    return box.pictures[0].pixels.shape[:2]


@pytest.fixture
def need_files():
    """Skips where a style file is not installed."""

    def need(*names):
        for name in names:
            found = subprocess.run(["kpsewhich", f"{name}.sty"], capture_output=True, text=True)
            if not found.stdout.strip():
                pytest.skip(f"needs {name}.sty: {INSTALL}")

    return need


# Of each the least height and width in px at 26 px, its packages, and its body.
DOCUMENTS = {
    "document-tikz": ("tikz", r"\begin{tikzpicture}\draw (0,0)--(1,1);\end{tikzpicture}", (70, 70)),
    "document-tcolorbox": ("tcolorbox", r"\begin{tcolorbox}Hi\end{tcolorbox}", (55, 880)),
    "document-pifont": ("pifont", r"\ding{51}", (15, 15)),
    "document-textcomp": ("textcomp", r"5\,\textdegree C, \texteuro 3", (15, 90)),
    "pgfplots": (
        "pgfplots",
        r"\begin{tikzpicture}\begin{axis}[ybar]\addplot coordinates {(1,2) (2,3)};\end{axis}\end{tikzpicture}",
        (300, 400),
    ),
    "shading": ("tikz", r"\begin{tikzpicture}\shade[ball color=red](0,0)circle(1);\end{tikzpicture}", (145, 145)),
    "fading": (
        "tikz",
        r"\usetikzlibrary{fadings}\begin{tikzpicture}\fill[blue,path fading=east](0,0)rectangle(2,1);\end{tikzpicture}",
        (70, 100),
    ),
    "transparency": (
        "tikz",
        r"\begin{tikzpicture}[opacity=.5,transparency group]\fill(0,0)rectangle(1,1);\end{tikzpicture}",
        (70, 70),
    ),
    "tikz-cd": ("tikz-cd", r"\begin{tikzcd}A\arrow[r]&B\end{tikzcd}", (20, 80)),
    "forest": ("forest", r"\begin{forest}[S[A][B]]\end{forest}", (60, 50)),
    "listings": ("listings", "\\begin{lstlisting}[frame=single]\nx = 1\n\\end{lstlisting}", (25, 880)),
    "algorithm2e": ("algorithm2e", r"\begin{algorithm}\KwIn{n}\For{$i$}{x}\caption{A}\end{algorithm}", (60, 100)),
    "mhchem": ("mhchem", r"\ce{2H2 + O2 -> 2H2O}", (20, 200)),
    "multicol": ("multicol", r"\begin{multicols}{2}a\par b\par c\par d\end{multicols}", (30, 400)),
}


@pytest.mark.parametrize(("package", "body", "size"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_document_of_packages_is_a_page(need_files, package, body, size):
    need_files(package)
    box = make(HEAD % package + body + END)
    assert box.note == ""
    height, width = ink(box)
    assert height >= size[0]
    assert width >= size[1]
    assert height <= 3 * size[0] + 30


@pytest.mark.parametrize(
    ("preamble", "body", "width"),
    [
        pytest.param(r"\usepackage[T1]{fontenc}", "Hello", (55, 62), id="document-t1"),
        pytest.param("", r"\begin{itemize}\item One\end{itemize}", (55, 85), id="document-itemize"),
        pytest.param("", "Hello", (52, 62), id="plain"),
    ],
)
def test_text_is_as_wide_as_it_is(preamble, body, width):
    box = make(rf"\documentclass{{article}}{preamble}\begin{{document}}{body}\end{{document}}")
    assert box.note == ""
    assert width[0] <= ink(box)[1] <= width[1]
    assert 17 <= ink(box)[0] <= 21


@pytest.mark.parametrize(
    "head",
    [
        r"\documentclass{article}\title{T}\begin{document}\maketitle ",
        r"\documentclass{book}\begin{document}\chapter{One}",
        r"\documentclass{minimal}\begin{document}",
        r"\documentclass[border=3pt]{standalone}\begin{document}",
        r"\documentclass[twocolumn]{article}\begin{document}",
        r"\documentclass{report}\pagestyle{headings}\begin{document}\chapter{One}",
    ],
)
def test_no_class_prints_page_numbers(head):
    box = make(head + "Text" + END)
    assert box.note == ""
    # A page number stands at the foot of the page, more than 1400 px below its head.
    assert ink(box)[0] < 1000


@pytest.mark.parametrize(
    ("tex", "named"),
    [
        pytest.param(
            r"\documentclass{article}\usepackage{xcolor,colortbl}\usepackage[dvipsnames]{xcolor}\begin{document}A\end{document}",
            "Option clash for package xcolor",
            id="document-option-clash",
        ),
        (DOCUMENT % r"A\undefinedword", r"Undefined control sequence \undefinedword"),
        (DOCUMENT % r"a_1", "Missing $ inserted"),
        (DOCUMENT % r"\begin{tabular}{l}a&b\end{tabular}", "Extra alignment tab"),
        (DOCUMENT % r"\begin{nosuch}A\end{nosuch}", "Environment nosuch undefined"),
        (HEAD % "graphicx" + r"A \includegraphics[width=1cm]{nosuch.png}" + END, "`nosuch.png' not found"),
        (DOCUMENT % r"A \textcolor{nosuch}{B}", "Undefined color `nosuch'"),
        (DOCUMENT % r"\begin{table}[Z]A\end{table}", "Unknown float option `Z'"),
    ],
)
def test_an_error_that_tex_survives_costs_no_page(tex, named):
    box = make(tex)
    assert named in box.note
    assert ink(box)[1] > 10


def test_errors_cost_no_cells():
    box = make(DOCUMENT % (r"\undefinedword " + TABLE))
    assert [tuple(cell[:2]) for cell in box.cells.tolist()] == TABLE_CELLS


@pytest.mark.parametrize(
    ("name", "package"),
    [("nosuchpackage", ""), ("pst-nosuch", "apt-get install texlive-pstricks")],
)
def test_a_package_that_is_missing_is_named(name, package):
    failure = make(HEAD % name + "x" + END)
    assert failure.message == f"LaTeX Error: File `{name}.sty' not found. {package}".strip()


def test_a_package_of_another_tex_says_so(need_files):
    need_files("fontspec")
    failure = make(HEAD % "fontspec" + "x" + END)
    assert "requires either XeTeX or LuaTeX" in failure.message


@pytest.mark.parametrize(
    ("body", "reruns"),
    [
        (r"x\label{a}", 2),
        (r"\section{A}\label{a}See \ref{a}", 2),
        (r"\tableofcontents\section{A}", 2),
        ("Hello", 1),
    ],
)
def test_tex_runs_again_where_it_asks_for_it(monkeypatch, body, reruns):
    runs = []
    run_tex = document._run_tex
    monkeypatch.setattr(document, "_run_tex", lambda *arguments: runs.append(1) or run_tex(*arguments))
    box = make(DOCUMENT % body)
    assert box.note == ""
    assert len(runs) == reruns


def test_references_are_resolved():
    # As wide as a digit, not as two question marks in bold.
    unresolved = make(DOCUMENT % r"\noindent\textbf{??}")
    box = make(DOCUMENT % r"\refstepcounter{section}\label{a}\noindent\ref{a}")
    assert ink(box)[1] < ink(unresolved)[1] / 2


@pytest.mark.parametrize("placement", ["", "[p]", "[t]", "[b]", "[h]", "[!htbp]"])
def test_floats_come_on_the_first_page(placement):
    box = make(DOCUMENT % rf"Text.\begin{{table}}{placement}{TABLE}\caption{{C}}\end{{table}}")
    assert [tuple(cell[:2]) for cell in box.cells.tolist()] == TABLE_CELLS


# Of each its packages, its body, and its cells.
TABLES = {
    "tabular": ("array", TABLE, TABLE_CELLS),
    "kernel": ("xcolor", TABLE, TABLE_CELLS),
    "rules": ("xcolor", r"\begin{tabular}{|l|r|}\hline a & b \\ \hline\end{tabular}", [(0, 0), (0, 1)]),
    "span": (
        "xcolor",
        r"\begin{tabular}{lll}\multicolumn{2}{c}{a}&b\\c&\multicolumn{2}{c}{d}\\e&f&g\end{tabular}",
        [(0, 0), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)],
    ),
    "span-array": (
        "array",
        r"\begin{tabular}{lll}\multicolumn{2}{c}{a}&b\\c&\multicolumn{2}{c}{d}\\e&f&g\end{tabular}",
        [(0, 0), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)],
    ),
    "two": ("xcolor", TABLE + r"\par\begin{tabular}{l}x\\y\end{tabular}", [*TABLE_CELLS, (3, 0), (4, 0)]),
    "within": (
        "xcolor",
        r"\begin{tabular}{ll}a&\begin{tabular}{l}b\\c\end{tabular}\\d&e\end{tabular}",
        [(0, 0), (0, 1), (1, 0), (1, 1)],
    ),
    "within-array": (
        "array",
        r"\begin{tabular}{ll}a&\begin{tabular}{l}b\\c\end{tabular}\\d&e\end{tabular}",
        [(0, 0), (0, 1), (1, 0), (1, 1)],
    ),
    "paragraphs": (
        "xcolor",
        r"\begin{tabular}{p{3cm}l}a\par b&c\\&d\\e&\end{tabular} after",
        [(0, 0), (0, 1), (1, 1), (2, 0)],
    ),
    "maths": ("xcolor", r"$\begin{array}{cc}1&2\\3&4\end{array}$", [(0, 0), (0, 1), (1, 0), (1, 1)]),
    "longtable": (
        "longtable",
        r"\begin{longtable}{ll}\caption{C}\\a&b\\\endfirsthead x&y\\\endhead c&d\\e&f\end{longtable}",
        [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)],
    ),
    "tabularx": (
        "tabularx",
        r"\begin{tabularx}{8cm}{lX}a&b\\c&some text that has to be broken over lines of the cell\end{tabularx}",
        [(0, 0), (0, 1), (1, 0), (1, 1)],
    ),
    "siunitx": (
        "siunitx",
        r"\begin{tabular}{lS}{A}&{B}\\c&1.5\\d&20\end{tabular}",
        [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)],
    ),
    "colortbl": (
        "colortbl",
        r"\begin{tabular}{ll}\rowcolor{red}a&b\\c&\cellcolor{blue}d\end{tabular}",
        TABLE_CELLS[:4],
    ),
    "arydshln": ("arydshln", r"\begin{tabular}{l:l}a&b\\ \hdashline c&d\end{tabular}", TABLE_CELLS[:4]),
    "supertabular": (
        "supertabular",
        r"\tablehead{A&B\\}\begin{supertabular}{ll}a&b\\c&d\\\end{supertabular}",
        TABLE_CELLS,
    ),
    "tabularray": (
        "tabularray",
        r"\begin{tblr}{lX}a&b\\c&d\end{tblr}" + TABLE,
        [*TABLE_CELLS, (3, 0), (3, 1), (4, 0), (4, 1)],
    ),
    "nicematrix": ("nicematrix", r"\begin{NiceTabular}{ll}[hvlines]a&b\\c&d\end{NiceTabular}", TABLE_CELLS[:4]),
    "resizebox": ("graphicx", rf"\resizebox{{\textwidth}}{{!}}{{{TABLE}}}", TABLE_CELLS),
    "rotated": ("rotating", rf"\begin{{sidewaystable}}{TABLE}\end{{sidewaystable}}", TABLE_CELLS),
    "landscape": ("pdflscape", rf"\begin{{landscape}}{TABLE}\end{{landscape}}", TABLE_CELLS),
    "title": ("xcolor", r"\title{T}\author{A\and B}\maketitle x", []),
}


@pytest.mark.parametrize(("package", "body", "cells"), TABLES.values(), ids=TABLES.keys())
def test_cells_of_documents_have_boxes(need_files, package, body, cells):
    need_files(package)
    box = make(HEAD % package + body + END)
    assert box.note == ""
    assert [tuple(cell[:2]) for cell in box.cells.tolist()] == cells
    height, width = ink(box)
    alpha = box.pictures[0].pixels[..., 3]
    for _, _, left, top, right, bottom in (box.cells / 64).tolist():
        assert -3 <= left < right <= width + 3
        assert -height - 3 <= top < bottom <= 3
        # There is ink in each.
        rows = slice(max(0, round(top) + height), round(bottom) + height)
        assert alpha[rows, max(0, round(left)) : round(right)].any()


def test_a_cell_is_where_its_ink_is():
    rule = r"\rule{20pt}{10pt}"
    box = make(DOCUMENT % rf"\noindent\begin{{tabular}}{{@{{}}l@{{}}}}{rule}\\[20pt]{rule}\end{{tabular}}")
    height, width = ink(box)
    assert width == pytest.approx(52, abs=2)
    first, second = (box.cells[:, 2:] / 64).tolist()
    assert first == pytest.approx([0, -height, 52, 26 - height], abs=2)
    assert second == pytest.approx([0, -26, 52, 0], abs=2)


def test_cells_reach_the_words_of_a_page():
    layout = Typesetter(latex="pdftex").set_tex(DOCUMENT % TABLE)
    cells = layout.word_cells[layout.word_kinds == CELL]
    assert [tuple(cell) for cell in cells.tolist()] == TABLE_CELLS
