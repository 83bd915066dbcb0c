"""What others offer to turn LaTeX into something that can be drawn: each a function of a list of formulas or tables.

They get formulas they have not seen before, like us, and are started and warmed up. What they hand over differs:
mathtext gives placed glyphs, KaTeX HTML that a browser has yet to lay out, MathJax an SVG that is yet to be rasterised.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Setter = Callable[[list[str]], int]  # returns how many it set without an error

_MODULES = Path(__file__).parent / "node_modules"
# A line of JSON with formulas in, the number of those that were set out.
_SERVERS = {
    "katex": """
const katex = require('katex');
const set = t => katex.renderToString(t, {displayMode: true, output: 'html', throwOnError: true, strict: 'ignore'});
""",
    "mathjax-full": """
const {mathjax} = require('mathjax-full/js/mathjax.js');
const {TeX} = require('mathjax-full/js/input/tex.js');
const {SVG} = require('mathjax-full/js/output/svg.js');
const {liteAdaptor} = require('mathjax-full/js/adaptors/liteAdaptor.js');
const {RegisterHTMLHandler} = require('mathjax-full/js/handlers/html.js');
const {AllPackages} = require('mathjax-full/js/input/tex/AllPackages.js');
const adaptor = liteAdaptor();
RegisterHTMLHandler(adaptor);
const packages = AllPackages.filter(name => name !== 'noundefined' && name !== 'noerrors');
const input = new TeX({packages, formatError: (_, error) => { throw error; }});
const page = mathjax.document('', {InputJax: input, OutputJax: new SVG({fontCache: 'none'})});
const set = t => adaptor.outerHTML(page.convert(t, {display: true}));
""",
}
_LOOP = """
require('readline').createInterface({input: process.stdin}).on('line', line => {
  let count = 0;
  for (const tex of JSON.parse(line)) { try { set(tex); count += 1; } catch (error) { } }
  console.log(count);
});
"""


@contextmanager
def node(module: str) -> Iterator[Setter]:
    """KaTeX or MathJax in a Node.js process that stays."""
    command = shutil.which("node") or ""
    if not command or not (_MODULES / module).is_dir():
        pytest.skip(f"needs Node.js and {module}: npm install --prefix bench --no-save katex mathjax-full")
    with subprocess.Popen(
        [command, "-e", _SERVERS[module] + _LOOP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_MODULES.parent,
    ) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None
        assert answers is not None

        def run(formulas: list[str]) -> int:
            questions.write(json.dumps(formulas) + "\n")
            questions.flush()
            return int(answers.readline())

        yield run
        questions.close()


@contextmanager
def mathtext() -> Iterator[Setter]:
    """matplotlib's own reader and setter of a part of TeX's maths."""
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")

    def run(formulas: list[str]) -> int:
        count = 0
        for tex in formulas:
            try:
                parser.parse(f"${tex}$", dpi=72)
            except (ValueError, RuntimeError):
                continue
            count += 1
        return count

    yield run


FORMULA_PEERS = {
    "mathtext": mathtext,
    "KaTeX, to HTML": lambda: node("katex"),
    "MathJax, to SVG": lambda: node("mathjax-full"),
}

_DOCUMENT = r"""\documentclass[border=2pt]{standalone}
\usepackage[T1]{fontenc}\usepackage{lmodern,amsmath,amssymb,array,booktabs,multirow,makecell,tabularx}
\usepackage[table]{xcolor}
\begin{document}%s\end{document}
"""


def pdflatex(tables: list[str]) -> int:
    """A document and a PNG file at 300 dpi for each table, as Visual-TableQA makes them: pdflatex and Poppler."""
    for command in ("pdflatex", "pdftoppm"):
        if shutil.which(command) is None:
            pytest.skip(
                f"needs {command}: apt-get install -y --no-install-recommends texlive-latex-extra poppler-utils"
            )
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for table in tables:
            (Path(folder) / "t.tex").write_text(_DOCUMENT % table, encoding="utf-8")
            compile_ = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
            if subprocess.run(compile_, cwd=folder, capture_output=True).returncode == 0:
                subprocess.run(["pdftoppm", "-r", "300", "-png", "t.pdf", "t"], cwd=folder, check=True)
                count += 1
    return count
