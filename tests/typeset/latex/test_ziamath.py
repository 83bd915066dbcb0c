import copy
import pickle
import sys
from itertools import pairwise
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from gpurender.typeset.fonts import Outlines, find_font
from gpurender.typeset.latex import nodes
from gpurender.typeset.latex import ziamath as module
from gpurender.typeset.latex.box import FOREGROUND, Box, EngineError, Failure
from gpurender.typeset.latex.nodes import load_library
from gpurender.typeset.latex.pdftex import PdfTeX
from gpurender.typeset.latex.source import Source, prepare
from gpurender.typeset.latex.ziamath import Ziamath

SIZE = 26.0
EM = 64 * SIZE
WATER = r"2\,\mathrm{H}_2+\mathrm{O}_2\xrightarrow{}2\,\mathrm{H}_2\mathrm{O}"


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
        pytest.param(r"45\degree a\lt b", r"45° a<b", id="word-katex-signs"),
        pytest.param(r"\argmin_x f", r"\operatorname*{arg\,min}_x f", id="word-katex-argmin"),
        pytest.param(r"\ket{\psi}\tg x\in\R", r"|\psi\rangle\operatorname{tg}x\in\mathbb{R}", id="word-katex-names"),
        pytest.param(r"\left\llbracket\frac ab\right\rrbracket", r"\left⟦\frac ab\right⟧", id="word-katex-brackets"),
        pytest.param(r"\SI{5}{\newton}", r"5\,\mathrm{N}", id="word-newton"),
        pytest.param(
            r"\si{\kilogram\metre\per\second\squared}", r"\mathrm{kg}\,\mathrm{m}\,\mathrm{s}^{-2}", id="word-units"
        ),
        pytest.param(r"\ang{30;15;}", r"30^{\circ}15^{\prime}", id="word-units-angle"),
        pytest.param(r"\ce{2H2 + O2 -> 2H2O}", WATER, id="word-ce"),
        (r"\ce{SO4^2-}", r"\mathrm{SO}_4^{2-}"),
        (r"\ce{[Fe(CN)6]^3-}", r"[\mathrm{Fe}(\mathrm{CN})_6]^{3-}"),
        (r"\ce{CuSO4*5H2O}", r"\mathrm{CuSO}_4{\cdot}5\,\mathrm{H}_2\mathrm{O}"),
        (r"\ce{Na+}", r"\mathrm{Na}^{+}"),
        (r"\ce{^{14}_{6}C}", r"{}^{\mathrm{14}}_{\mathrm{6}}\mathrm{C}"),
        (r"\ce{A <=>[x][y] B}", r"\mathrm{A}\xrightleftharpoons[\mathrm{y}]{\mathrm{x}}\mathrm{B}"),
        (r"\qty{3}{m/s}", r"3\,\mathrm{m}/\mathrm{s}"),
        (r"\unit{kg.m^2}", r"\mathrm{kg}\,\mathrm{m}^2"),
        (r"\num{-12345.67891e-3}", r"-12\,345.678\,91\times 10^{-3}"),
        (r"\SI{9.81}{\metre\per\square\second}", r"9.81\,\mathrm{m}\,\mathrm{s}^{-2}"),
        (r"\SI{3}{\micro\metre}", r"3\,\mathrm{µm}"),
        (r"\SI{90}{\degree}", r"90\mathrm{°}"),
        (r"\arg z", r"\operatorname{arg}z"),
        (r"\wideparen{AB}", r"\overparen{AB}"),
        (r"\AA", r"\mathrm{Å}"),
        (r"x\tag{1}", r"x\qquad\text{(1)}"),
        (r"x\tag*{A}", r"x\qquad\text{A}"),
        (r"\braket{a}{b}", r"\langle a|b\rangle"),
        (r"\abs*{x}", r"\left|x\right|"),
        (r"a \iff b", r"a\;\Longleftrightarrow\;b"),
        (r"\varlimsup_n x", r"\mathop{\overline{\mathrm{lim}}}_n x"),
        (r"\operatorname{arg max}x", r"\operatorname{argmax}x"),
        (r"a_1+\dots+a_n,\dots", r"a_1+\cdots+a_n,\ldots"),
        ("x₁₂+10²³", "x_{12}+10^{23}"),
        (r"a*b", r"a\ast b"),
        (r"\'{e}\ddot o", r"\acute{e}\ddot{o}"),
        (r"\text{caf\'e, na\"\i ve \c c}", r"\text{café, naïve ç}"),
        (r"\begin{matrix}a\\[3mm]b\end{matrix}", r"\begin{matrix}a\\b\end{matrix}"),
        (r"\begin{matrix}\displaystyle\frac ab&c\end{matrix}", r"\begin{matrix}{\dfrac ab}&c\end{matrix}"),
        (r"\text{for $\frac ab$}", r"\text{for }\tfrac ab"),
        (r"\boxed{\frac ab}", r"\boxed{\dfrac ab}"),
        (r"\mathrel{R}x", r"\class{rel}{R}x"),
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
        pytest.param(r"\text{速度}=\frac{s}{t}", "'速' (U+901F)", id="tex-cjk"),
        pytest.param(r"x \leqslant 0，", "'，' (U+FF0C)", id="tex-cjk-sign"),
        (r"س+1", "(U+0633)"),
        (r"\text{ไทย}", "(U+0E44)"),
        ("x\u0331\u0331", "U+0331"),
        (r"\xmark", r"\xmark"),
        (r"\overrightharpoon{x}", r"\overrightharpoon"),
        (r"\textcircled{99}", r"\textcircled"),
        (r"\SI{5}{\foo}", r"\foo"),
        (r"\SI{five}{\metre}", "'five'"),
        (r"\ce{A\bond{~}B}", r"\ce"),
        (r"\begin{array}{l}\multicolumn{1}{c}{a}\end{array}", r"\multicolumn"),
        (r"{x}\nolimits", r"\nolimits"),
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


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        pytest.param("1–5", "1–5", id="tex-unicode-dash"),
        pytest.param("€5", "€5", id="tex-unicode-euro"),
        pytest.param("¥5", "¥5", id="tex-unicode-yen"),
        pytest.param("½", "½", id="tex-unicode-half"),
        pytest.param("“a”", "“𝑎”", id="tex-unicode-quotes"),
        pytest.param("©", "©", id="tex-unicode-copyright"),
        pytest.param(r"\mathrm{Größe}", "Größe", id="tex-unicode-words"),
        pytest.param(r"\text{если }x>0", "если 𝑥>0", id="tex-cjk-cyrillic"),
        pytest.param(r"A \hookrightarrow B \hookleftarrow C", "𝐴↪𝐵↩𝐶", id="word-hook"),
        pytest.param(r"\textcircled{1}\textcircled{b}", "①ⓑ", id="word-textcircled"),
        pytest.param(r"\oiint", "∯", id="word-katex"),
        (r"\blacktriangle\Finv\bigstar", "▴Ⅎ★"),
        (r"a\setminus b\square\centerdot", "𝑎\\𝑏□⋅"),
        (r"x\tag{2}", "𝑥(2)"),
        (r"\text{\textdagger\S\ss\textdollar\{\}}", "†§ß${}"),
        (r"\not= \not\in \not D", "≠∉/𝐷"),
        (r"\coloncolonequals", "::="),
        (r"\begin{matrix}a&b\\c&\end{matrix}", "𝑎𝑏𝑐"),
        (r"\matrix{a&b\cr c&}", "𝑎𝑏𝑐"),
    ],
)
def test_characters_are_themselves(engine, tex, text):
    text = [c for c in text if c != " "]
    assert [c for c in characters(engine, box(engine, tex, "inline")) if c not in " \xa0"] == text


def test_a_formula_with_a_character_that_latin_modern_lacks_is_in_stix_throughout(engine):
    try:
        find_font("Latin Modern Math")
    except ValueError:
        pytest.skip("needs Latin Modern Math")

    def files(tex):
        made = box(engine, tex)
        return {engine.fonts[n].key.file.rpartition("/")[2] for n in made.glyphs[:, 0].tolist()}

    assert files(r"\frac{x}{2}") == {"latinmodern-math.otf"}
    assert files(r"\frac{x}{2}+\blacktriangle") == {"STIXTwoMath-Regular.ttf"}
    assert files(r"\frac{x}{2}") == {"latinmodern-math.otf"}


@pytest.mark.parametrize("tex", [pytest.param(r"\qquad", id="tex-blank"), r"\quad", "\\ ", "~", r"\hspace{1cm}", r"\;"])
def test_what_is_blank_has_a_width(engine, tex):
    made = box(engine, tex)
    assert made.width > 0
    assert made.ink[0] >= made.ink[2]


@pytest.mark.parametrize(
    ("tex", "without", "mu"),
    [
        ("a+b", "a{+}b", 8),
        ("a=b", "a{=}b", 10),
        ("-b", "{-}b", 0),
        ("a=-b", "a{=}{-}b", 10),
        ("(-b)", "({-}b)", 0),
        ("a,b", "a{,}b", 3),
        (r"a\oplus_n b", r"a{\oplus_n}b", 8),
        (r"a\Longrightarrow b", r"a{\Longrightarrow}b", 10),
        (r"\overset{x}{=}b", r"{\overset{x}{=}}b", 5),
        (r"a\xrightarrow{x}b", r"a{\xrightarrow{x}}b", 10),
        (r"2\sin x", r"2{\sin}x", 6),
        (r"\sin(x)", r"{\sin}(x)", 0),
        (r"\sum_i x", r"{\sum_i}x", 3),
        (r"a\left(x\right)b", r"a{\left(x\right)}b", 6),
        (r"n!", r"n{!}", 0),
        (r"a:b", r"a{:}b", 10),
        (r"f\colon A", r"f{:}A", 8),
        (r"|a|b", r"{|}a{|}b", 0),
        (r"{}=b", r"{=}b", 10),
        (r"a\mathbin{R}b", r"aRb", 8),
    ],
)
def test_spaces_between_atoms_are_those_of_tex(engine, tex, without, mu):
    assert box(engine, tex).width - box(engine, without).width == pytest.approx(EM * mu / 18, abs=2)


def test_scripts_have_no_spaces_but_those_of_functions(engine):
    assert box(engine, "x^{a+b=c}").width == box(engine, "x^{a{+}b{=}c}").width
    assert box(engine, r"x^{\sin a}").width > box(engine, r"x^{{\sin}a}").width


@pytest.mark.parametrize("sign", [r"\otimes", r"\oplus", r"\cup", r"\int", r"\sum\nolimits"])
def test_scripts_of_what_has_no_limits_are_beside_it(engine, sign):
    beside, none = box(engine, rf"{sign}_{{iii}}"), box(engine, sign.removesuffix(r"\nolimits"))
    assert beside.width > none.width + 0.25 * EM
    assert beside.depth < none.depth + 0.4 * EM


@pytest.mark.parametrize("sign", [r"\sum", r"\bigoplus", r"\lim", r"\argmax", r"\operatorname*{x}", r"\int\limits"])
def test_limits_are_below_in_displays(engine, sign):
    below, none = box(engine, rf"{sign}_i"), box(engine, sign.removesuffix(r"\limits"))
    assert below.glyphs[-1, 3] > none.depth
    assert below.width <= none.width + 0.3 * EM


@pytest.mark.parametrize("tex", ["√2", r"\surd 2"])
def test_a_root_sign_stands_on_the_line(engine, tex):
    made = box(engine, tex)
    assert not len(made.rules)
    assert made.ink[1] < -0.6 * SIZE
    assert made.ink[3] < 0.4 * SIZE


def test_no_sign_runs_into_a_fraction_bar(engine):
    made = box(engine, r"e^{-\frac ab}-\frac ab")
    minuses = made.glyphs[[c == "−" for c in characters(engine, made)]]
    for minus, bar in zip(minuses, made.rules, strict=True):
        assert minus[2] + minus[7] + 64 < bar[0]


def test_delimiters_grow_after_left_only(engine):
    free = box(engine, r"\frac{\frac ab}{c}\langle x\rangle_0")
    alone = box(engine, r"\langle x\rangle_0")
    assert free.glyphs[-4:, 1].tolist() == alone.glyphs[:, 1].tolist()
    inner, outer = (
        box(engine, rf"\left[{part}\right]") for part in (r"\dfrac ab", r"\left(\dfrac{\dfrac ab}{\dfrac cd}\right)")
    )
    assert outer.ink[3] - outer.ink[1] > 1.5 * (inner.ink[3] - inner.ink[1])
    assert outer.glyphs[0, 1] != inner.glyphs[0, 1]
    bars = box(engine, r"\left|\begin{array}{c}\vec{e}\\0\end{array}\right|")
    assert len(bars.glyphs) > 2
    assert bars.ink[3] - bars.ink[1] > 2 * SIZE


def test_an_arrow_is_as_long_as_its_label(engine):
    short, long = (box(engine, rf"\xhookrightarrow{{{label}}}") for label in ("f", "ffffffffff"))
    assert long.width > short.width + 5 * 0.3 * EM
    last = long.glyphs[np.argmax(long.glyphs[:, 2])]
    assert last[2] + last[7] == pytest.approx(long.width, abs=128)
    both = box(engine, r"\xrightarrow[a]{b}")
    assert both.height > 0 < both.depth
    assert len(box(engine, r"x^{\xrightarrow{y}}").glyphs) > 2


def test_rows_of_matrices_are_a_line_apart(engine):
    made = box(engine, r"\begin{pmatrix}a\\b\end{pmatrix}")
    first, second = (y for y, c in zip(made.glyphs[:, 3], characters(engine, made), strict=True) if c in ("𝑎", "𝑏"))
    assert second - first == pytest.approx(1.2 * EM, abs=2)
    assert made.ink[3] - made.ink[1] > 2 * SIZE


@pytest.mark.usefixtures("tex")
@pytest.mark.parametrize(
    "text",
    [
        r"$a=\frac{1}{2}+\sqrt{x}-\left(\frac{a}{b}\right)^2$",
        r"$(\psi\otimes_{\zeta,z} \chi) \mapsto (a \oplus_n b)$",
        r"$\psi \longrightarrow e^{i\theta}\psi\iff 0, 2, \ldots, n$",
        r"$m\equiv 4\pmod{14}$",
        r"\[\rho=\left(\begin{array}{cc}0&-i\\i&0\end{array}\right)\]",
        r"\[\begin{pmatrix}1\\2\end{pmatrix}=\begin{pmatrix}t\\2t\end{pmatrix}\]",
        r"\[\begin{align*}f(x)&=\left(x+\frac1x\right)^3\\&=3x+\frac3x\end{align*}\]",
        r"\[F(x)=\begin{cases}4-2x&\text{if }x<-1\\6&\text{if }x\ge5\end{cases}\]",
        r"\[\sum_{i=1}^n a_i\int_0^\infty e^{-x}\,dx\lim_{n\to\infty}\sin x\]",
        r"$45\degree a \lt b\ \argmin_x f\ \tg x\in\R$",
        r"$\SI{9.81}{\metre\per\second\squared}\ \ce{SO4^2-}$",
        r"$|x|+\{a\mid b\}, f\colon A\to B, n!, x'$",
        r"$A\stackrel{\rm def}{=}B\xrightarrow{\text{some}}C$",
    ],
)
def test_widths_are_those_of_tex(engine, text):
    kind = "display" if text[1] == "[" else "inline"
    source = prepare(text, kind)
    tex = PdfTeX(SIZE)
    try:
        (expected,) = tex([source])
    finally:
        tex.close()
    assert isinstance(expected, Box)
    (made,) = engine([source])
    assert isinstance(made, Box), made
    assert made.width == pytest.approx(expected.width, rel=0.1)


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
