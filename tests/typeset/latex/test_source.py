"""What engines are given, and what is refused unread."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurender.typeset.latex import limits
from gpurender.typeset.latex.source import RefusedError, is_denied, prepare


@pytest.mark.parametrize(
    ("text", "kind", "tex", "style"),
    [
        ("$x$", "inline", "x", "inline"),
        (r"\( x \)", "inline", "x", "inline"),
        ("$$ x\n + y $$", "display", "x + y", "display"),
        (r"\[x\]", "display", "x", "display"),
        (r"\frac{a}{b}", "command", r"\frac{a}{b}", "inline"),
        ("x + y", "bare", "x + y", "display"),
        (r"$5% of \% and {\\% x} #1$", "inline", r"5\% of \% and {\\\% x} \#1", "inline"),
        (r"$a \\ b$", "inline", r"\begin{gathered}a \\ b\end{gathered}", "inline"),
        (r"$a\ $", "inline", "a\\ ", "inline"),
        (r"$\widetilde\mathcal{P} + \bar \mathbf x$", "inline", r"\widetilde{\mathcal{P}} + \bar{\mathbf x}", "inline"),
        (r"\begin{align*}a&=b\end{align*}", "environment", r"\begin{aligned}a&=b\end{aligned}", "display"),
        (r"$\begin{gather}a\end{gather}$", "inline", r"\begin{gathered}a\end{gathered}", "inline"),
        (r"\begin{equation}a\end{equation}", "environment", "{a}", "display"),
        (r"\[a &= b\]", "display", r"\begin{aligned}a &= b\end{aligned}", "display"),
        (r"$\matrix{a & b}$", "inline", r"\matrix{a & b}", "inline"),
        (
            "\\begin{tabular}{c} % a comment\n 5% & 6 % \\\\ % more\n x \\% \\end{tabular}",
            "environment",
            "\\begin{tabular}{c} 5\\% & 6 \\% \\\\ x \\% \\end{tabular}",
            "table",
        ),
    ],
)
def test_prepare(text, kind, tex, style):
    assert prepare(text, kind) == (tex, style, 0)


@pytest.mark.parametrize(
    ("tex", "named"),
    [
        (r"\input{x}", r"\input"),
        (r"\openout1=x", r"\openout"),
        (r"\write18{ls}", r"\write"),
        (r"\gdef\x{}", r"\gdef"),
        (r"\global\x", r"\global"),
        (r"\catcode`x=1", r"\catcode"),
        (r"\csname input\endcsname", r"\csname"),
        (r"\expandafter\x", r"\expandafter"),
        (r"\iffalse", r"\iffalse"),
        (r"\loop\iftrue\repeat", r"\loop"),
        (r"\batchmode", r"\batchmode"),
        (r"\newcommand{\x}{y}", r"\newcommand"),
        (r"\pdfliteral{x}", r"\pdfliteral"),
        (r"\begin{document}", "document"),
        (r"\begin{filecontents}", "filecontents"),
        (r"\begin{input}", "input"),
        (r"\begin {gdef}", "gdef"),
        (r"\begin\x", r"\begin"),
        (r"\begin{a\x}", "environment"),
        ("^^5cinput", "^^"),
        (r"\^^5c", "^^"),
        ("a\x00b", "U+0000"),
        ("a\x7fb", "U+007F"),
        ("a\ud800b", "U+D800"),
        ("{a", "brace"),
        ("a}", "brace"),
        (r"\begin{matrix}{\end{matrix}}", "closes nothing"),
        (r"\begin{matrix}a", "matrix"),
        (r"a\end{matrix}", "closes nothing"),
        ("x" * 100_000, str(limits.LONGEST)),
    ],
)
def test_refused(tex, named):
    with pytest.raises(RefusedError, match=re.escape(named)):
        prepare(f"${tex}$", "inline")


def test_words_that_look_denied_are_not():
    for word in ("iff", "longrightarrow", "partial", "newline", "fint", "defn", "outerx", "theta", "order", "readable"):
        assert not is_denied(word)


@given(
    st.lists(
        st.sampled_from(["\\", "{", "}", "a", "^", "%", "\\begin{matrix}", "\\end{matrix}", "\\def", " ", "\n"])
    ).map("".join)
)
def test_what_passes_is_closed_and_on_one_line(text):
    try:
        tex = prepare(f"${text}$", "inline").tex
    except RefusedError:
        return
    assert "\n" not in tex
    assert "^^" not in tex
    depth = 0
    escaped = False
    for letter in tex:
        if escaped:
            escaped = False
            continue
        escaped = letter == "\\"
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
