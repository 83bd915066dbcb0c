"""Definitions in prompts: read, expanded, bounded."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurender.typeset.latex import limits
from gpurender.typeset.latex.macros import Macro, MacroError, collect, expand, to_macros
from gpurender.typeset.latex.source import RefusedError, prepare


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        (r"\newcommand{\RR}{\mathbb{R}}x\in\RR", r"x\in\mathbb{R}"),
        (r"\newcommand\RR{\mathbb{R}}x\in\RR y", r"x\in\mathbb{R}y"),
        (r"\newcommand*{\f}[2]{#1+#2}\f{a}b", "a+b"),
        (r"\newcommand{\f}[2][a]{#1+#2}\f{b}\f[c]{d}", "a+bc+d"),
        (r"\renewcommand{\vec}[1]{\mathbf{#1}}\vec x", r"\mathbf{x}"),
        (r"\providecommand{\e}{\mathrm{e}}\e^x", r"\mathrm{e}^x"),
        (r"\DeclareMathOperator{\spn}{span}\spn V", r"\operatorname{span}V"),
        (r"\DeclareMathOperator*{\esssup}{ess\,sup}\esssup_x", r"\operatorname*{ess\,sup}_x"),
        (r"\DeclarePairedDelimiter{\set}{\{}{\}}\set{x}", r"\mathopen{\{}x\mathclose{\}}"),
        (r"\DeclarePairedDelimiter\n{\|}{\|}\n*{x}", r"\left\| x\right\|"),
        (r"\def\x{y}\x", "y"),
        (r"\def\x#1#2{#2#1}\x ab", "ba"),
        (r"\let\old\vec\renewcommand{\vec}[1]{\old{#1}'}\vec{x}", r"\vec{x}'"),
        (r"\newcommand{\a}{\alpha}\a b", r"\alpha b"),
        (r"\newcommand{\f}[1]{#1x}\f\beta", r"\beta x"),
        (r"\newcommand{\f}[1]{\in#1}\f{put}", r"\in put"),
        (r"\newcommand{\a}{\b}\newcommand{\b}[1]{<#1>}\a{x}", "<x>"),
        (r"\newcommand{\a}{1}\newcommand{\a}{2}\a", "2"),
        (r"\newcommand{\a}{x}\alpha\ab", r"\alpha\ab"),
    ],
)
def test_definitions_in_a_formula_are_expanded(text, tex):
    assert prepare(f"${text}$", "inline").tex == tex


@pytest.mark.parametrize(
    "text",
    [r"\newcommand{\x", r"\newcommand", r"\def\x(#1){y}", r"\def\x#2{y}", r"\gdef\x{y}", r"\newenvironment{x}{y}{z}"],
)
def test_what_is_no_complete_definition_is_none(text):
    assert collect(text) == []
    with pytest.raises(RefusedError):
        prepare(f"${text}$", "inline")


def test_definitions_have_their_place():
    text = r"a \newcommand{\x}{y} b \DeclareMathOperator{\z}{z}."
    first, second = collect(text)
    assert text[first.start : first.stop] == r"\newcommand{\x}{y}"
    assert text[second.start : second.stop] == r"\DeclareMathOperator{\z}{z}"
    assert first[2:] == ("x", Macro(0, None, "y"))


def test_macros_of_an_option():
    macros = to_macros({"\\RR": "\\mathbb{R}", "f": "#1f(#2)"})
    assert macros["f"].arity == 2
    assert prepare(r"$\f\hat{x}\RR$", "inline", macros).tex == r"\hat f(x)\mathbb{R}"
    # A text's definition comes on top.
    assert prepare(r"$\def\RR{r}\RR$", "inline", macros).tex == "r"


@pytest.mark.parametrize("macros", [{"a b": "x"}, {"": "x"}, {"\\x": "{"}, {"\\x": "}{"}, {"{": "x"}])
def test_macros_of_an_option_that_are_none(macros):
    with pytest.raises(ValueError, match="macro"):
        to_macros(macros)


@pytest.mark.parametrize("text", [r"\def\x{\x}\x", r"\def\x{\x\x}\x", r"\def\x{a\x}\x", r"\def\a{\b}\def\b{\a}\a"])
def test_a_recursion_is_refused(text):
    with pytest.raises(RefusedError, match="more than") as told:
        prepare(f"${text}$", "inline")
    assert told.value.kind == "limit"


def test_a_bomb_is_refused():
    text = r"\def\a#1{#1#1#1#1}" + r"\a{" * 9 + "x" * 99 + "}" * 9
    with pytest.raises(RefusedError, match=str(limits.LONGEST)):
        prepare(f"${text}$", "inline")


@pytest.mark.parametrize(
    "word", ["input{x}", "csname x\\endcsname", "gdef\\alpha{x}", "write18{x}", "catcode`x=1", "^^5c"]
)
def test_an_expansion_is_checked(word):
    with pytest.raises(RefusedError):
        prepare(rf"$\newcommand{{\x}}{{\{word}}}\x$", "inline")
    with pytest.raises(RefusedError):
        prepare(r"$\x$", "inline", to_macros({"x": "\\" + word}))


def test_a_word_cannot_be_put_together():
    with pytest.raises(RefusedError, match="input"):
        prepare(r"$\def\x#1{#1}\x{\in}\x{\input}$", "inline")
    # The letters behind a word stay apart from it.
    assert prepare(r"$\def\x#1{#1put}\x\in$", "inline").tex == r"\in put"
    assert prepare(r"$\def\x{\in}\x put$", "inline").tex == r"\in put"


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        (r"\renewcommand{\arraystretch}{1.3}", r"\setarraystretch{1.3}"),
        (r"\def\arraystretch{2}", r"\setarraystretch{2}"),
        (r"\setlength{\tabcolsep}{4pt}", r"\setlength{\tabcolsep}{4pt}"),
        (r"\setlength\extrarowheight{2pt}", r"\setlength{\extrarowheight}{2pt}"),
        (r"\renewcommand{\arraystretch}{\input{x}}", ""),
        (r"\setlength{\tabcolsep}{\input{x}}", ""),
    ],
)
def test_settings_of_tables_are_checked_numbers(text, setting):
    table = r"\begin{tabular}{l}a\end{tabular}"
    macros = {definition.name: definition.macro for definition in collect(text)}
    assert prepare(table, "environment", macros).tex == setting + table
    inside = prepare(rf"\begin{{table}}{text}{table}\end{{table}}", "environment").tex
    assert inside == rf"{setting}\begin{{table}}{table}\end{{table}}"


def test_column_types_are_expanded():
    text = r"\newcolumntype{Y}{>{\centering}X}\newcolumntype{P}[1]{p{#1}}"
    macros = {definition.name: definition.macro for definition in collect(text)}
    tex = prepare(r"\begin{tabularx}{5cm}{|Y|P{1cm}|}a&b\end{tabularx}", "environment", macros).tex
    assert tex == r"\begin{tabularx}{5cm}{|>{\centering}X|p{1cm}|}a&b\end{tabularx}"


@given(
    st.lists(st.sampled_from([r"\def", r"\newcommand", r"\x", "{", "}", "#1", "[1]", "a", " ", r"\let", "="])).map(
        "".join
    )
)
def test_any_text_is_read(text):
    definitions = collect(text)
    assert all(0 <= d.start < d.stop <= len(text) for d in definitions)
    with contextlib.suppress(MacroError):
        assert len(expand(text, {d.name: d.macro for d in definitions})) <= limits.LONGEST
