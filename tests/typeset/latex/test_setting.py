"""Which engine sets LaTeX, what it is asked, and what is refused before it is asked."""

import numpy as np
import pytest

from gpurender import Typesetter
from gpurender.typeset.latex import pdftex, setting, ziamath
from gpurender.typeset.latex.box import NO_CELLS, Box, EngineError, Failure
from gpurender.typeset.latex.sandbox import INSTALL
from gpurender.typeset.latex.setting import LatexSetter

NOTHING = np.empty((0, 9), np.int32), np.empty((0, 5), np.int32)


def box(width=64, ink=(0, -1, 1, 0)):
    return Box(width, 64, 0, *NOTHING, ink, NO_CELLS)


class Recorder:
    """Gives the same box for all, and keeps what it was asked."""

    def __init__(self, made=None):
        self.made = made or box()
        self.asked = []
        self.fonts = []
        self.name = "recorder"

    def __call__(self, sources):
        self.asked.append([source.tex for source in sources])
        return [self.made for _ in sources]

    def start(self):
        pass

    def close(self):
        pass


@pytest.fixture
def engine():
    return Recorder()


@pytest.fixture
def setter(engine):
    made = LatexSetter("auto", 26.0, 700)
    made._engine = engine
    return made


def test_each_formula_is_asked_for_once(setter, engine):
    both = setter([("$x$", "inline", ()), ("$y$", "inline", ()), ("$x$", "inline", ())])
    assert both[0] is both[2]
    # The same source in another style is another formula.
    setter([("$y$", "inline", ()), ("$$x$$", "display", ())])
    assert engine.asked == [["x", "y"], ["x"]]


def test_the_cache_starts_over_when_full(setter, engine, monkeypatch):
    monkeypatch.setattr(setting, "BOXES", 3)
    for n in range(10):
        setter([(f"${n}$", "inline", ())])
        assert len(setter._boxes) <= 4
    setter([("$0$", "inline", ())])
    assert engine.asked[-1] == ["0"]


def test_what_is_refused_is_never_asked_for(setter, engine):
    (failure,) = setter([(r"$\input{x}$", "inline", ())])
    assert failure.kind == "denied"
    assert "\\input" in failure.message
    assert engine.asked == []


def test_a_box_without_ink_is_an_empty_width():
    setter = LatexSetter("auto", 26.0, 700)
    setter._engine = Recorder(box(ink=(5, 0, 5, 0)))
    (blank,) = setter([("$x$", "inline", ())])
    assert blank.width == 64


def test_a_box_without_ink_and_width_is_a_failure():
    setter = LatexSetter("auto", 26.0, 700)
    setter._engine = Recorder(box(ink=(5, 0, 5, 0))._replace(width=0))
    (failure,) = setter([("$x$", "inline", ())])
    assert isinstance(failure, Failure)
    assert "visible" in failure.message


def no_tex(*_):
    raise EngineError("pdftex is not installed: apt-get install it")


def test_auto_takes_ziamath_where_tex_does_not_work(monkeypatch):
    monkeypatch.setattr(pdftex.PdfTeX, "start", no_tex)
    setter = LatexSetter("auto", 26.0, 700)
    with pytest.warns(setting.LatexWarning, match="set by ziamath.* since pdftex is not installed: apt-get") as told:
        assert isinstance(setter.engine, ziamath.Ziamath)
    assert setter.engine.name == "ziamath"
    assert len(told) == 1


def test_a_named_engine_never_falls_back(monkeypatch):
    monkeypatch.setattr(pdftex.PdfTeX, "start", no_tex)
    with pytest.raises(EngineError, match="apt-get"):
        _ = LatexSetter("pdftex", 26.0, 700).engine
    assert LatexSetter("ziamath", 26.0, 700).engine.name == "ziamath"
    with pytest.raises(EngineError, match="apt-get"):
        Typesetter(latex="pdftex")("$x$")
    # Where there is no LaTeX, none is needed.
    assert len(Typesetter(latex="pdftex")("x")) == 1


def test_a_table_without_tex_is_its_source_and_says_what_to_install(monkeypatch):
    monkeypatch.setattr(pdftex.PdfTeX, "start", no_tex)
    with pytest.warns(setting.LatexWarning):
        (found,) = Typesetter()("\\begin{tabular}{c} a \\end{tabular}").diagnostics
    assert found.kind == "formula"
    assert "apt-get install" in found.message


@pytest.mark.parametrize("options", [{"latex": "tex"}, {"display": "right"}, {"math_size": 0}])
def test_wrong_options_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Typesetter(**options)


def test_text_without_latex_starts_no_engine(monkeypatch):
    monkeypatch.setattr(pdftex.PdfTeX, "start", no_tex)
    typesetter = Typesetter(latex="pdftex")
    assert typesetter.font_names(typesetter(["hello"]), range(1)) == ["DejaVu Sans"]


def test_set_tex_wants_one_thing():
    (found,) = Typesetter(latex="ziamath").set_tex("see $x$ and $y$").diagnostics
    assert "set it as a text" in found.message


@pytest.mark.parametrize(
    "source",
    [
        "\\begin{align*} a &= b \\tag{1} \\\\ c &= d \\end{align*}",
        "\\begin{gather} a \\tag*{*} \\end{gather}",
        "\\begin{align} a \\\\ \\intertext{and} b \\end{align}",
        "$$ a \\cr b $$",
        "\\begin{table}[ht]\\centering\\caption{A table}\\label{t}\\begin{tabular}{c} x \\end{tabular}\\end{table}",
        "\\begin{table*}\\begin{tabular}{c} x \\end{tabular}\\caption[short]{A table}\\end{table*}",
        "\\begin{tabular}{p{3cm}}\\begin{itemize}\\item x\\end{itemize}\\end{tabular}",
    ],
)
def test_what_prompts_have(source):
    typesetter = Typesetter(latex="auto")
    if typesetter.latex != "pdftex":
        pytest.skip(f"needs pdftex: {INSTALL}")
    layout = typesetter(source)
    assert layout.diagnostics == ()
    assert layout.count_formulas(0) == 1


@pytest.mark.parametrize(
    "word", ["and", "item", "list", "center", "endtabular", "arrayrulecolor{red}", "gprmissing{x}"]
)
def test_a_word_in_a_formula_changes_no_table(word):
    table = "\\begin{tabular}{|c|c|}\\hline a & b \\\\ \\hline\\hline \\end{tabular}"
    typesetter = Typesetter(latex="auto")
    if typesetter.latex != "pdftex":
        pytest.skip(f"needs pdftex: {INSTALL}")
    alone = typesetter(table)
    assert alone.diagnostics == ()
    assert Typesetter(latex="pdftex")([f"$\\{word} x$", table]).select([1]).equals(alone)


def test_set_tex_needs_an_engine():
    with pytest.raises(ValueError, match="off"):
        Typesetter(latex="off").set_tex("x")
    with pytest.raises(TypeError, match=r"sources\[1\]"):
        Typesetter().set_tex(["x", 5])
