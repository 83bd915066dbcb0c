"""Macros: those of the typesetter, and the definitions in a text, which hold for its formulas behind them."""

import pickle

import pytest

from gpurender import Typesetter
from gpurender.typeset import Context
from gpurender.typeset.layout import FORMULA


@pytest.fixture(scope="module")
def typesetter():
    return Typesetter(latex="ziamath")


def glyphs(layout):
    """The glyphs of formulas, by font file, size and id."""
    first = layout.word_kinds.tolist().index(FORMULA)
    left, right = layout.words[first, [0, 2]]
    return [
        (layout.fonts[f].size, g)
        for f, g, x in zip(
            layout.glyph_fonts.tolist(), layout.glyph_ids.tolist(), (layout.glyph_xy[:, 0] / 64).tolist(), strict=True
        )
        if left - 1 <= x < right and layout.fonts[f].size != 20
    ]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        pytest.param(
            "\\newcommand{\\RR}{\\mathbb{R}} Let $x\\in\\RR$.",
            "\\newcommand{\\RR}{\\mathbb{R}} Let $x\\in\\mathbb{R}$.",
            id="word-newcommand",
        ),
        ("\\def\\half{\\frac12} $\\half$", "\\def\\half{\\frac12} $\\frac12$"),
        ("\\newcommand\\sq[1]{#1^2} $\\sq{x}$", "\\newcommand\\sq[1]{#1^2} $x^2$"),
        ("\\newcommand{\\pw}[2][n]{#2^{#1}} $\\pw{x}$", "\\newcommand{\\pw}[2][n]{#2^{#1}} $x^{n}$"),
        (
            "\\DeclareMathOperator{\\rank}{rank} $\\rank A$",
            "\\DeclareMathOperator{\\rank}{rank} $\\operatorname{rank} A$",
        ),
    ],
)
def test_definitions_hold_for_formulas_behind_them(typesetter, text, same):
    found, expected = typesetter(text), typesetter(same)
    assert not [d for d in found.diagnostics if d.kind == "formula"]
    assert glyphs(found) == glyphs(expected)
    # The definition itself is a part of the text, and is shown.
    assert found.word_ranges[0].tolist()[0] == 0


def test_definitions_do_not_hold_before_them_nor_in_other_texts(typesetter):
    layout = typesetter(["$\\RR$ \\newcommand{\\RR}{\\mathbb{R}} $\\RR$", "$\\RR$"])
    assert [(d.page, d.start) for d in layout.diagnostics if d.kind == "formula"] == [(0, 0), (1, 0)]


def test_definitions_hold_in_a_part_behind_them(typesetter):
    text = "\\newcommand{\\RR}{\\mathbb{R}} Let $x\\in\\RR$."
    part = "$x\\in\\RR$"
    layout = typesetter([part], contexts=[Context(text, text.index(part))])
    assert not layout.diagnostics
    assert glyphs(layout) == glyphs(typesetter([part.replace("\\RR", "\\mathbb{R}")]))


def test_macros_of_the_typesetter():
    with_macros = Typesetter(latex="ziamath", macros={"\\RR": "\\mathbb{R}", "norm": "\\|#1\\|"})
    plain = Typesetter(latex="ziamath")
    for text, same in (("$\\RR$", "$\\mathbb{R}$"), ("$\\norm{x}$", "$\\|x\\|$")):
        assert glyphs(with_macros(text)) == glyphs(plain(same))
        assert glyphs(with_macros.set_tex(text)) == glyphs(plain.set_tex(same))
        assert glyphs(pickle.loads(pickle.dumps(with_macros))(text)) == glyphs(plain(same))


def test_an_argument_does_not_lengthen_a_word(typesetter):
    text, same = "\\newcommand{\\f}[1]{\\in#1} $\\f{put}$", "\\newcommand{\\f}[1]{\\in#1} $\\in put$"
    assert glyphs(typesetter(text)) == glyphs(typesetter(same))


@pytest.mark.parametrize("macros", [{"a b": "x"}, {"\\x": "{"}, {"": "x"}])
def test_wrong_macros_are_named(macros):
    with pytest.raises(ValueError, match="macro"):
        Typesetter(macros=macros)


@pytest.mark.parametrize(
    "definition",
    [
        "\\newcommand{\\bomb}{\\bomb\\bomb}",
        "\\def\\bomb{x\\bomb}",
        "\\newcommand{\\bomb}{\\input{/etc/passwd}}",
        "\\def\\bomb{\\csname input\\endcsname{/etc/passwd}}",
        "\\newcommand{\\b}{\\write18{x}}\\newcommand{\\bomb}{\\b}",
    ],
)
@pytest.mark.parametrize("engine", ["ziamath", "pdftex"])
def test_hostile_definitions_cost_their_formula(definition, engine, request):
    if engine == "pdftex":
        request.getfixturevalue("tex")
    layout = Typesetter(latex=engine)(f"{definition} $\\bomb{{/etc/passwd}}$ and $x$")
    assert [d.kind for d in layout.diagnostics if d.kind in ("formula", "picture")] == ["formula"]
    assert layout.word_kinds.tolist().count(FORMULA) == 1
