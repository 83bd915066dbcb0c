import copy
import pickle
import sys
from itertools import pairwise
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from gpurender.typeset.fonts import Outlines
from gpurender.typeset.latex import nodes
from gpurender.typeset.latex import ziamath as module
from gpurender.typeset.latex.box import FOREGROUND, Box, EngineError, Failure
from gpurender.typeset.latex.nodes import load_library
from gpurender.typeset.latex.source import Source
from gpurender.typeset.latex.ziamath import Ziamath

SIZE = 26.0


@pytest.fixture(scope="module")
def engine():
    return Ziamath(SIZE)


def box(engine, tex, style="display"):
    (made,) = engine([Source(tex, style)])
    assert isinstance(made, Box), made
    return made


def failure(engine, tex, style="display"):
    (made,) = engine([Source(tex, style)])
    assert isinstance(made, Failure), tex
    return made


def described(engine, made):
    """A box without the numbers of its fonts, which depend on what was set before."""
    keys = [engine.fonts[number].key for number in made.glyphs[:, 0].tolist()]
    return made.width, made.height, made.depth, made.ink, keys, made.glyphs[:, 1:].tolist(), made.rules.tolist()


def characters(engine, made):
    """The characters whose glyphs a box has, by the font's own table; None for others."""
    found = []
    for number, glyph in made.glyphs[:, :2].tolist():
        table = {index: chr(code) for code, index in engine.fonts[number].face.get_chars()}
        found.append(table.get(glyph))
    return found


def test_glyphs_are_those_of_the_font_and_stand_where_the_tree_has_them(engine):
    made = box(engine, "x+1")
    assert characters(engine, made) == ["𝑥", "+", "1"]
    face = engine.fonts[made.glyphs[0, 0]].face
    face.set_char_size(round(SIZE * 64))
    advance = face.get_advance(int(made.glyphs[0, 1]), 1 << 0) * SIZE * 64 / face.units_per_EM
    # A binary operator has a space of 4/18 em on either side.
    assert made.glyphs[:, 2].tolist() == [0, pytest.approx(advance + 64 * SIZE * 4 / 18, abs=3), made.glyphs[2, 2]]
    assert set(made.glyphs[:, 3].tolist()) == {0}
    assert set(made.glyphs[:, 4].tolist()) == {FOREGROUND}
    assert made.rules.shape == (0, 5)
    assert made.width > made.glyphs[-1, 2]


def test_places_are_those_of_ziamaths_own_drawing(engine, monkeypatch):
    library = load_library()
    placed = []
    glyph = library.drawable.Glyph
    monkeypatch.setattr(glyph, "draw", lambda self, x, y, svg: placed.append((self.glyph.index, x, y)) or (x, y))
    for tex in (
        r"\frac{a}{b_2}+\sqrt{x^2}",
        r"\sum_{i=0}^n\left(\begin{matrix}a&b\\c&d\end{matrix}\right)",
        r"\hat x_i",
    ):
        made = box(engine, tex)
        tree = module.to_mathml(tex, True)
        style = library.styles.MathStyle(displaystyle=True, mathcolor="")
        node = library.row(tree, module._Root(nodes.open_font(engine.fonts[0].key.file, SIZE), SIZE, style))
        placed.clear()
        node.draw(0, 0, Element("svg"))
        expected = sorted((index, round(64 * x), round(64 * y)) for index, x, y in placed)
        assert sorted(map(tuple, made.glyphs[:, 1:4].tolist())) == expected


def test_display_and_inline_differ(engine):
    display, inline = box(engine, r"\sum_{i=1}^n\frac ab"), box(engine, r"\sum_{i=1}^n\frac ab", "inline")
    assert display.height > inline.height
    assert display.width < inline.width


@pytest.mark.parametrize("tex", [r"\frac{a}{b}", r"\sqrt{x}", r"\overline{ab}", r"\underline{ab}", r"{a \over b}"])
@pytest.mark.parametrize("size", [9.5, 26.0, 80.0])
def test_a_bar_covers_whole_rows(tex, size):
    made = box(Ziamath(size), tex)
    ((left, top, right, bottom, color),) = made.rules.tolist()
    assert left < right <= made.width + 64
    assert top % 64 == bottom % 64 == 0
    assert bottom - top == 64 * max(1, round(0.04 * size))
    assert color == FOREGROUND


def test_a_fraction_bar_is_between_its_parts(engine):
    made = box(engine, r"\frac{a}{b}")
    (_, top, _, bottom, _) = made.rules[0]
    above, below = sorted(made.glyphs[:, 3].tolist())
    assert above < top < bottom < below
    assert made.height > -above
    assert made.depth >= below


def test_a_radical_meets_its_bar(engine):
    for tex in (r"\sqrt{x}", r"\sqrt{\frac{x}{y}}", r"\sqrt[3]{\frac{x^2}{y}}"):
        made = box(engine, tex)
        bar = made.rules[np.argmin(made.rules[:, 1])]
        sign = made.glyphs[np.argmax(made.glyphs[:, 8] - made.glyphs[:, 6])]
        top = 64 * ((sign[3] + 32) // 64) - sign[8]
        assert abs(bar[1] - top) <= 32
        assert bar[0] <= sign[2] + sign[7]


def test_large_delimiters_are_assemblies_of_glyphs(engine):
    rows = r"\\".join("x" * 12)
    few, many = (box(engine, rf"\left\{{\begin{{matrix}}{part}\end{{matrix}}\right.") for part in ("x", rows))
    assert len(few.glyphs) == 2
    braces = [c for c in characters(engine, many) if c != "𝑥"]
    assert len(braces) > 4
    parts = many.glyphs[np.array([c != "𝑥" for c in characters(engine, many)])]
    spans = sorted((y - ymax, y - ymin) for y, ymin, ymax in parts[:, [3, 6, 8]].tolist())
    assert all(lower[0] <= upper[1] for upper, lower in pairwise(spans))


def test_boxes_and_colours(engine):
    made = box(engine, r"\boxed{x}")
    assert len(made.rules) == 4
    made = box(engine, r"\textcolor{red}{\frac{x}{y}}+\color{#102030}z")
    assert made.rules[:, 4].tolist() == [0xFF0000]
    assert made.glyphs[:, 4].tolist() == [0xFF0000, 0xFF0000, FOREGROUND, 0x102030]
    assert "'nocolour'" in failure(engine, r"\color{nocolour}x").message


def test_a_phantom_takes_room_and_draws_nothing(engine):
    hidden, shown = box(engine, r"\phantom{\frac{a}{b}}"), box(engine, r"\frac{a}{b}")
    assert len(hidden.glyphs) == len(hidden.rules) == 0
    assert (hidden.width, hidden.height, hidden.depth) == (shown.width, shown.height, shown.depth)
    assert hidden.ink[0] >= hidden.ink[2] or hidden.ink[0] >= hidden.ink[1]


@pytest.mark.parametrize(
    ("tex", "same"),
    [
        (r"{a \over b}", r"\frac{a}{b}"),
        (r"\pmatrix{a&b\cr c&d}x", r"\begin{pmatrix}a&b\\c&d\end{pmatrix}x"),
        (r"{\bf x}y", r"\mathbf{x}y"),
        (r"\mbox{a b}", r"\text{a b}"),
        (r"\mbox{\boldmath$r$}", r"\boldsymbol{r}"),
        (r"x\sp 2\sb i", r"x^2_i"),
        (r"\root 3 \of x", r"\sqrt[3]{x}"),
        (r"a\label{eq:1}\nonumber", "a"),
        (r"a \\ b", r"\begin{gathered}a\\b\end{gathered}"),
        (r"\mathbb R", r"\mathbb{R}"),
        (r"\hspace*{ -.5cm plus 1fil}x", r"\hspace{-0.5cm}x"),
        (r"\hskip .5em x", r"\hspace{0.5em}x"),
        (r"\binom{\frac{a}{b}}{c}^2", r"{\binom{\frac{a}{b}}{c}}^2"),
    ],
)
def test_other_ways_to_say_the_same(engine, tex, same):
    assert described(engine, box(engine, tex)) == described(engine, box(engine, same))


def test_fonts_of_letters(engine):
    assert characters(engine, box(engine, r"\mathbf{xy}\mathbb{R}\mathsf{S}\mathrm{d}x\mathbf 1")) == list("𝐱𝐲ℝ𝖲d𝑥𝟏")
    assert characters(engine, box(engine, r"\phi\partial\epsilon\mathbf\phi")) == list("𝜙𝜕𝜖𝛟")
    text = "".join(c or "?" for c in characters(engine, box(engine, r"\text{50\% of 3 cm, ``so''}")))
    assert text.replace("\xa0", " ").replace("\u2002", " ") == "50% of 3 cm, “so”"


@pytest.mark.parametrize(
    ("tex", "named"),
    [
        (r"x+\foo", r"\foo"),
        (r"\foo{x}", r"\foo"),
        (r"\mathfoo{x}", r"\mathfoo"),
        (r"\text{a \foo}", r"\foo"),
        ("x中", "'中' (U+4E2D)"),
        (r"\text{中}", "'中' (U+4E2D)"),
        (r"\begin{array}{c|c}a&b\end{array}", "'c|c'"),
        (r"\begin{matrix}a\\\hline b\end{matrix}", r"\hline"),
        (r"\begin{itemize}a\end{itemize}", "itemize"),
        (r"\cancel{x}", "cancel"),
        (r"\frac{a}", "argument"),
        (r"a & b", "&"),
        (r"\left( x", ""),
        (r"x^2^3", ""),
        (r"x_", ""),
        (r"\hspace{\textwidth}", "length"),
    ],
)
def test_what_cannot_be_set_is_named(engine, tex, named):
    found = failure(engine, tex)
    assert found.kind == "error"
    assert named in found.message


def test_a_table_names_what_sets_it(engine):
    assert "apt-get install" in failure(engine, r"\begin{tabular}{c}a\end{tabular}", "table").message


@pytest.mark.parametrize(
    "tex",
    [
        "",
        " ",
        "{}",
        r"\text{}",
        "{" * 5000 + "}" * 5000,
        "{" * 50 + "x" + "}" * 50,
        r"\left(" * 50 + "x" + r"\right)" * 50,
        r"\frac{a}{" * 50 + "x" + "}" * 50,
        r"\sqrt{" * 50 + "x" + "}" * 50,
        "x^{" * 50 + "x" + "}" * 50,
        "x" * 20_000,
        "x" * 30_000,
        r"\displaystyle" * 1500,
        r"\rule{1em}{100000000cm}",
        r"\left(\rule{1pt}{16000px}\right)" * 100,
        r"\def\a{\a\a}\a",
        r"\newcommand{\a}{x}\a",
        "\\",
        r"\left",
        r"\begin",
        r"\begin{matrix}",
        r"\end{matrix}",
        "}{",
        "^_^_'''",
        "&&&&",
        "$x$",
        "#1",
        "\0\x01\x7f\ud800",
        "<mi>x</mi>&amp;&#x41;",
        r"\text{<mi>&lt;}",
        r"\unicode{x}",
        r"\unicode{110000}",
        r"\color",
        r"\sqrt[",
        r"\hspace{}",
        r"\style{color:}{x}",
        r"\operatorname{" + " " * 10_000,
        r"\begin{matrix}" + "&" * 5000 + r"\end{matrix}",
        r"\begin{matrix}" + r"\\" * 5000 + r"\end{matrix}",
        r"\overbrace{" + "x" * 1500 + "}",
        r"\Huge\Huge\Huge x",
        (r"\sqrt{" * 55 + "x" + "}" * 55) * 10,
        r"\left(\rule{1pt}{500em}" * 15 + r"\right)" * 15,
    ],
)
def test_junk_is_set_or_refused_and_leaves_no_trace(engine, tex):
    (made,) = engine([Source(tex, "display")])
    assert isinstance(made, Box | Failure)
    sample = r"\text{if }x_1\ge\frac{a}{b'}"
    other = Ziamath(SIZE)
    assert described(engine, box(engine, sample)) == described(other, box(other, sample))


def test_a_batch_is_its_parts(engine):
    sources = [Source(t, "inline") for t in ("x", r"\foo", r"\frac ab", "", r"\sqrt x")]
    together = engine(sources)
    for source, made in zip(sources, together, strict=True):
        (alone,) = engine([source])
        if isinstance(made, Box):
            assert described(engine, made) == described(engine, alone)
        else:
            assert made == alone
    assert engine([]) == []


def test_the_same_from_a_pickled_and_from_a_reopened_engine(engine):
    tex = r"\int_0^1\frac{x^{2^n}}{\sqrt{y}}\,dx"
    expected = described(engine, box(engine, tex))
    other = pickle.loads(pickle.dumps(engine))
    assert other.size == engine.size
    assert described(other, box(other, tex)) == expected
    other.close()
    assert described(other, box(other, tex)) == expected
    made = pickle.loads(pickle.dumps(box(engine, tex)))
    assert described(engine, made) == expected


def test_a_users_own_ziamath_is_untouched_and_without_effect(engine):
    zia = pytest.importorskip("ziamath")
    expected = described(engine, box(engine, r"\frac{x}{2}^{a^{b^c}}"))
    before = copy.deepcopy(zia.config), dict(zia.zmath.loadedfonts), zia.Latex(r"\mathbf{x}\quad y", size=20).svg()
    try:
        zia.config.math.color, zia.config.math.variant, zia.config.minsizefraction = "red", "sans", 0.9
        zia.config.decimal_separator = ","
        assert described(engine, box(engine, r"\frac{x}{2}^{a^{b^c}}")) == expected
        other = Ziamath(SIZE)
        assert described(other, box(other, r"\frac{x}{2}^{a^{b^c}}")) == expected
    finally:
        zia.config.math.color, zia.config.math.variant = before[0].math.color, before[0].math.variant
        zia.config.minsizefraction, zia.config.decimal_separator = before[0].minsizefraction, "."
    assert dict(zia.zmath.loadedfonts) == before[1]
    assert zia.config == before[0]
    assert zia.Latex(r"\mathbf{x}\quad y", size=20).svg() == before[2]


def test_without_latin_modern_the_font_that_ziamath_carries(monkeypatch):
    def find(name):
        if name == "Latin Modern Math":
            raise ValueError(name)
        return real(name)

    real = module.find_font
    monkeypatch.setattr(module, "find_font", find)
    engine = Ziamath(SIZE)
    made = box(engine, r"\sum_{i}\left(\frac{x^2}{\sqrt{y}}\right)\text{ if }\mathbb{R}")
    assert isinstance(engine.fonts[0], Outlines)
    assert {font.key.file.rpartition("/")[2] for font in engine.fonts} == {"STIXTwoMath-Regular.ttf"}
    assert (made.glyphs[:, 1] > 0).all()


def test_without_ziamath_the_error_says_what_installs_it(monkeypatch):
    load_library.cache_clear()
    saved = {name: m for name, m in sys.modules.items() if name.startswith(f"{nodes.__package__}._ziamath")}
    monkeypatch.setattr(nodes, "find_spec", lambda name: None)
    try:
        with pytest.raises(EngineError, match="pip install ziamath"):
            Ziamath(SIZE)([Source("x", "inline")])
    finally:
        load_library.cache_clear()
        for name in saved:
            del sys.modules[name]
