"""Characters beyond ASCII in formulas and tables: each is itself, in TeX's fonts or the text's."""

import unicodedata
from itertools import pairwise

import numpy as np
import pytest

from gpurender import Renderer, Typesetter
from gpurender.typeset.latex import scripts
from gpurender.typeset.latex.box import Box, Failure
from gpurender.typeset.latex.pdftex import PdfTeX
from gpurender.typeset.latex.source import prepare
from gpurender.typeset.layout import CELL, FORMULA, TABLE


@pytest.fixture(scope="module")
def typesetter(tex):
    return Typesetter(latex="pdftex")


def names(typesetter, layout):
    """The names, in their font, of TeX's glyphs of a page, and of other glyphs the font's family."""
    outlines = {font.key: font for font in [*typesetter.stack.fonts, *typesetter._latex.fonts]}
    found = []
    for number, glyph in zip(layout.glyph_fonts.tolist(), layout.glyph_ids.tolist(), strict=True):
        face = outlines[layout.fonts[number]].face
        is_tex = layout.fonts[number].file.endswith(".pfb")
        found.append(face.get_glyph_name(glyph).decode() if is_tex else (face.family_name or b"").decode())
    return found


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        pytest.param("$1–5$", ["one", "endash", "five"], id="tex-unicode"),
        ("$€5$", ["Euro", "five"]),
        ("$¥5$", ["yen", "five"]),
        ("$£5$", ["sterling", "five"]),
        ("$½$", ["onehalf"]),
        ("$“a”$", ["quotedblleft", "a", "quotedblright"]),
        ("$‘a’$", ["quoteleft", "a", "quoteright"]),
        ("$©$", ["copyright"]),
        ("$®™§¶$", ["registered", "trademark", "section", "paragraph"]),
        (r"$\mathrm{Größe}$", ["G", "r", "dieresis", "o", "germandbls", "e"]),
        (r"$\text{Größe}$", ["G", "r", "odieresis", "germandbls", "e"]),
        (r"$\textbf{é}\text{ñ}$", ["eacute", "ntilde"]),
        ("$a—b…$", ["a", "emdash", "b", "period", "period", "period"]),
        (r"$\text{“ß” €}$", ["quotedblleft", "germandbls", "quotedblright", "Euro"]),
        (r"$\begin{array}{l}\text{é}\end{array}$", ["eacute"]),
        ("\\begin{tabular}{l}é – € ½\\end{tabular}", ["eacute", "endash", "Euro", "onehalf"]),
        ("$x\u0304$", ["macron", "x"]),
        ("$\u00e9$", ["acute", "e"]),
        ("$e\u0301$", ["acute", "e"]),
        ("$𝐱𝔸𝑦𝟏𝛼$", ["x", "A", "y", "one", "alpha"]),
        ("$a₁₂+b²³$", ["a", "one", "two", "plus", "b", "two", "three"]),
        ("$αβ$", ["alpha", "beta"]),
        ("$≤∑→∞$", ["lessequal", "summationtext", "arrowright", "infinity"]),
    ],
)
def test_characters_are_themselves_in_tex_fonts(typesetter, formula, expected):
    layout = typesetter.set_tex(formula)
    assert not layout.diagnostics
    found = names(typesetter, layout)
    # An accent and its letter come in either order, and accents have several names.
    assert sorted(n.rstrip("1").replace("dieresis.", "") for n in found) == sorted(expected)


@pytest.mark.usefixtures("noto")
@pytest.mark.parametrize(
    ("formula", "runs"),
    [
        pytest.param(r"$\text{速度}=\frac{s}{t}$", "速度", id="tex-cjk"),
        (r"$x \leqslant 0，$", "，"),
        (r"$\text{если }x>0$", "если"),
        (r"$速度+v$", "速度"),
        (r"$\text{แรง}$", "แรง"),
        (r"$\text{हिन्दी}$", "हिन्दी"),
        (r"$\text{속도}$", "속도"),
        (r"$\text{שלום}$", "שלום"),
        (r"$\text{مرحبا}$", "مرحبا"),
        (r"$\text{Tiếng}$", "Tiếng"),
        (r"$\text{γλώσσα}$", "γλώσσα"),
        ("$✗$", "✗"),
        ("$a ⊞ b$", "⊞"),
        (r"$\frac{路程}{2}$", "路程"),
    ],
)
def test_what_tex_lacks_is_set_in_the_fonts_of_the_text(typesetter, formula, runs):
    layout = typesetter.set_tex(formula)
    assert not layout.diagnostics
    assert layout.word_kinds.tolist() == [FORMULA]
    text = Typesetter(latex="off")(runs)
    glyphs = [
        (layout.fonts[f].file, layout.fonts[f].face_index, g)
        for f, g in zip(layout.glyph_fonts.tolist(), layout.glyph_ids.tolist(), strict=True)
        if not layout.fonts[f].file.endswith(".pfb")
    ]
    expected = [
        (text.fonts[f].file, text.fonts[f].face_index, g)
        for f, g in zip(text.glyph_fonts.tolist(), text.glyph_ids.tolist(), strict=True)
    ]
    assert glyphs == expected


@pytest.mark.usefixtures("noto")
def test_a_run_takes_the_room_it_has_in_text(typesetter):
    alone = Typesetter(latex="off", trim=False)("速度")
    width = alone.words[-1, 2] - alone.words[0, 0]
    for tex, factor in ((r"$速度$", 1), (r"$x_{速度}$", 0.7), (r"$x_{y_{速度}}$", 0.5)):
        (with_run,) = typesetter.set_tex(tex).words
        (without,) = typesetter.set_tex(tex.replace("速度", "{}")).words if factor < 1 else [[0] * 4]
        assert with_run[2] - with_run[0] - (without[2] - without[0]) == pytest.approx(width * factor, abs=2)
        layout = typesetter.set_tex(tex)
        sizes = {key.size for key in layout.fonts if not key.file.endswith(".pfb")}
        assert sizes == {20 * factor}


@pytest.mark.usefixtures("noto")
def test_a_subscript_stands_lower_and_a_colour_is_kept(typesetter):
    layout = typesetter.set_tex(r"$x_中^国\color{red}{中}$")
    (guo, zhong, red) = (
        (layout.glyph_xy[g], layout.glyph_colors[g])
        for g in range(len(layout.glyph_ids))
        if not layout.fonts[layout.glyph_fonts[g]].file.endswith(".pfb")
    )
    assert zhong[0][1] > guo[0][1]
    assert red[1].tolist() == [255, 0, 0]
    assert zhong[1].tolist() == [0, 0, 0]


@pytest.mark.usefixtures("noto")
@pytest.mark.parametrize(
    ("rows", "table"),
    [
        pytest.param(
            [["品名", "价格"], ["苹果", "$3$"]],
            r"\begin{tabular}{ll}品名 & 价格 \\ 苹果 & $3$\end{tabular}",
            id="tex-cjk-cell",
        ),
        (
            [["имя", "ยา"], ["שלום", "✗"], ["a", "한국어"]],
            r"\begin{tabular}{|l|c|}\hline имя & ยา \\ שלום & ✗ \\ a & 한국어 \\ \hline\end{tabular}",
        ),
        ([["✅", "❌"]], r"\begin{tabular}{ll}✅ & ❌\end{tabular}"),
    ],
)
def test_cells_hold_any_script(typesetter, rows, table):
    layout = typesetter(table)
    assert not layout.diagnostics
    assert (layout.word_kinds == TABLE).sum() == 1
    cells = {
        tuple(cell): box
        for cell, box, kind in zip(layout.word_cells.tolist(), layout.words, layout.word_kinds, strict=True)
        if kind == CELL
    }
    assert sorted(cells) == [(r, c) for r in range(len(rows)) for c in range(len(rows[0]))]
    page = np.asarray(Renderer(device="cpu")(layout).to_pil()[0].convert("L"))
    for (row, column), (left, top, right, bottom) in cells.items():
        text = rows[row][column]
        area = page[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
        assert area.min() < 200
        if not text.isascii() and len(text) > 1:
            alone = Typesetter(latex="off", trim=False)(text).words
            assert right - left == pytest.approx(alone[:, 2].max() - alone[:, 0].min(), abs=3)
    for row in range(len(rows)):
        # Columns do not meet.
        boxes = [cells[row, column] for column in range(len(rows[0]))]
        assert all(a[2] < b[0] for a, b in pairwise(boxes))


def test_words_that_read_from_the_right_keep_their_order(typesetter):
    layout = typesetter(r"\begin{tabular}{l}שלום עולם 5\end{tabular}")
    text = Typesetter(latex="off")("שלום עולם 5")
    order = np.argsort(layout.glyph_xy[:, 0], kind="stable")
    other = np.argsort(text.glyph_xy[:, 0], kind="stable")
    assert layout.glyph_ids[order].tolist() == text.glyph_ids[other].tolist()


@pytest.mark.usefixtures("noto")
def test_chinese_is_broken_in_a_paragraph_column(typesetter):
    layout = typesetter(r"\begin{tabular}{|p{3cm}|}这是一个很长的中文句子需要换行显示在表格中间\end{tabular}")
    assert len(np.unique(layout.glyph_xy[:, 1])) == 2
    assert not layout.diagnostics


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        ("∫₀¹ x", r"\int_0^1 x"),
        ("∑ᵢ₌₁ⁿ i", r"\sum_{i=1}^n i"),
        ("x₁²", "x{}_1^2"),
        ("a¹₂", "a{}^1_2"),
        ("x₁₂", "x{}_{12}"),
    ],
)
def test_scripts_stand_above_one_another(engine, equal, formula, same):
    one, other = engine([prepare(f"${tex}$", "inline") for tex in (formula, same)])
    assert isinstance(one, Box)
    assert one.width == other.width
    assert np.array_equal(one.glyphs, other.glyphs)


def test_a_character_of_no_font_is_source_with_a_reason(tex):
    typesetter = Typesetter(latex="pdftex", fallback=())
    layout = typesetter("$a+\U00013000$, $b$")
    assert layout.diagnostics[0].kind == "formula"
    assert "no font has all glyphs" in layout.diagnostics[0].message
    assert layout.word_kinds.tolist().count(FORMULA) == 1


@pytest.mark.parametrize(
    ("formula", "expected"),
    [(r"$\"o$", ["dieresis", "o"]), (r"$\'e+1$", ["acute", "e", "plus", "one"]), (r"$\textdegree$", ["degree"])],
)
def test_text_accents_in_maths_are_those_accents(typesetter, formula, expected):
    layout = typesetter.set_tex(formula)
    # LaTeX warns of these, and draws other characters.
    assert not layout.diagnostics
    assert sorted(names(typesetter, layout)) == sorted(expected)


@pytest.mark.parametrize("formula", [r"$\b x$", r"$\d x$"])
def test_other_accents_of_text_in_maths_are_source_with_a_reason(typesetter, formula):
    layout = typesetter.set_tex(formula)
    assert [d.kind for d in layout.diagnostics] == ["formula"]
    assert "for text, not for maths" in layout.diagnostics[0].message


def test_every_character_of_tex_text_fonts_can_be_set(engine):
    letters = sorted(scripts._TEXT)
    sources = [prepare(f"${form % c}$", "inline") for c in letters for form in ("%s", r"\text{%s}", r"\mathrm{%s}")]
    for source, box in zip(sources, engine(sources), strict=True):
        assert isinstance(box, Box), (source.tex, box)
        assert len(box.glyphs) >= 1, source.tex


def test_the_engine_without_a_text_says_so(tex):
    engine = PdfTeX(26)
    (box,) = engine([prepare("$中$", "inline")])
    engine.close()
    assert isinstance(box, Failure)
    assert "中" in box.message


def test_every_other_character_is_a_run_or_a_space():
    for code in [*range(0xA0, 0x3000), *range(0x1F300, 0x1F700), *range(0x1D400, 0x1D800)]:
        character = chr(code)
        if unicodedata.category(character) in ("Cn", "Cc", "Cs", "Co"):
            continue
        encoded = scripts.encode(f"a{character}b", False, lambda text: f"{{{text}}}")
        # Nothing is lost but what draws nothing.
        assert encoded != "ab" or unicodedata.category(character) == "Cf", hex(code)
