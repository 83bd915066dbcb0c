"""Walls: what one formula may not do to another, nor read, whatever its words are."""

import pytest

from gpurender.typeset.latex.box import Box, Failure
from gpurender.typeset.latex.source import Source, is_denied


@pytest.mark.parametrize(
    "word",
    [
        *("UseName", "ExpandArgs", "BeforeBeginEnvironment", "AfterEndEnvironment", "bmdefine", "aftergroupdef"),
        *("definecolorseries", "resetcolorseries", "definecolorset", "usecounter", "smashoperator", "oldstylenums"),
        *("legacyoldstylenums", "equation", "eqnarray", "inputlineno", "thepage", "theequation", "today", "leaders"),
        *("cleaders", "xleaders", "multiput", "usebox", "value", "arabic", "roman", "alph", "fnsymbol"),
    ],
)
def test_words_that_reach_beyond_their_formula_are_refused(word):
    assert is_denied(word)


@pytest.mark.parametrize(
    "word", ["theta", "therefore", "thetasym", "vartheta", "thinspace", "Theta", "Alpha", "footnote"]
)
def test_words_of_maths_that_look_like_them_are_not(word):
    assert not is_denied(word)


@pytest.mark.parametrize(
    "table",
    [
        r"\begin{tabular}{c}a\\\Xhline\end{tabular}",
        r"\begin{tabular}{c}a\\\cline\end{tabular}",
        r"\begin{tabular}{c}a\\\cmidrule\end{tabular}",
        r"\begin{tabular}{c}\multicolumn{2}\end{tabular}",
        r"\begin{tabular}{c}\rule\end{tabular}",
        r"\begin{tabular}{c}\multirow{2}\end{tabular}",
        r"\begin{tabular}{c}\textcolor\end{tabular}",
        r"\begin{tabular}{c}\rowcolor\end{tabular}",
    ],
)
def test_a_forgotten_argument_costs_no_error_of_its_batch(engine, table):
    sources = [
        Source("x+1", "inline"),
        Source(table, "table"),
        Source(r"\unknownword y", "inline"),
        Source("z", "inline"),
        Source(r"\otherword", "inline"),
    ]
    alone = [engine([source])[0] for source in sources]
    together = engine(sources)
    for k in (0, 3):
        assert isinstance(together[k], Box)
        assert together[k].width == alone[k].width
    for k in (2, 4):
        assert isinstance(together[k], Failure)
        assert together[k].message == alone[k].message
        assert "Undefined control sequence" in together[k].message


def test_marks_of_notes_do_not_depend_on_earlier_formulas(engine):
    one, other, third = engine([Source(r"a\footnote{x}", "inline")] * 3)
    assert isinstance(one, Box)
    assert one.glyphs.tolist() == other.glyphs.tolist() == third.glyphs.tolist()


def test_an_empty_colour_costs_its_formula(engine):
    tex = r"\definecolorseries{b}{rgb}{last}{red}{green}\resetcolorseries[10]{b}\textcolor{b}{x}"
    # As if no word were refused.
    (_, good), (alone,) = engine([Source(tex, "inline"), Source("y", "inline")]), engine([Source("y", "inline")])
    assert good.glyphs.tolist() == alone.glyphs.tolist()
