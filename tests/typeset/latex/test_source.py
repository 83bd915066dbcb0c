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
            "\\begin{tabular}{cc} 5\\% & 6 \\% \\\\ x \\% \\end{tabular}",
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
        (r"\newenvironment{x}{y}{z}", r"\newenvironment"),
        (r"\newif\ifx", r"\newif"),
        (r"\csuse{input}", r"\csuse"),
        (r"\csgdef{alpha}{x}", r"\csgdef"),
        (r"\appto\alpha{x}", r"\appto"),
        (r"\patchcmd\alpha{x}{y}{}{}", r"\patchcmd"),
        (r"\AddToHook{x}{y}", r"\AddToHook"),
        (r"\UseOneTimeHook{x}", r"\UseOneTimeHook"),
        (r"\SetSymbolFont{x}", r"\SetSymbolFont"),
        (r"\SetTblrInner{x}", r"\SetTblrInner"),
        (r"\RawShipout\hbox{}", r"\RawShipout"),
        (r"\LoadDictionary{x}", r"\LoadDictionary"),
        (r"\includegraphics{x}", r"\includegraphics"),
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


@pytest.mark.parametrize(
    "word",
    [
        *("hookrightarrow", "hookleftarrow", "xhookrightarrow", "xhookleftarrow", "lhook", "rhook", "newton", "newtie"),
        *("newline", "Set", "SetCell", "SetRow", "and", "set", "csc", "csch", "listing", "titleof", "fontseries"),
        *("selectfont", "insertion", "includes"),
    ],
)
def test_words_that_denied_ones_begin_or_end_with_are_not(word):
    assert not is_denied(word)


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("$a &lt; b$", "a < b"),
        ("$a &gt; b$", "a > b"),
        ("$a&lt;b&le;c$", "a<b≤c"),
        ("$f&#39;(x)$", "f'(x)"),
        ("$f&#x27;(x)$", "f'(x)"),
        ("$a&nbsp;b$", "a~b"),
        ("$a &amp;lt; b$", "a < b"),
        ("$&#36;5$", r"\$5"),
        ("$5&#37;$", r"5\%"),
        (r"$\begin{matrix}a&amp;b\end{matrix}$", r"\begin{matrix}a&b\end{matrix}"),
        (r"$\begin{matrix}a& b; c&d\end{matrix}$", r"\begin{matrix}a& b; c&d\end{matrix}"),
        (r"$\begin{matrix}a&b;&lt\end{matrix}$", r"\begin{matrix}a&b;&lt\end{matrix}"),
    ],
)
def test_entities_are_characters(text, tex):
    assert prepare(text, "inline").tex == tex


def test_entities_hide_no_word():
    with pytest.raises(RefusedError, match="input"):
        prepare("$&#92;input{x}$", "inline")
    with pytest.raises(RefusedError, match=re.escape("^^")):
        prepare("$&#94;&#94;5cinput$", "inline")


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        (r"$\verb|a_b|$", r"\texttt{a\_b}"),
        (r"$\verb*+50%+$", r"\texttt{50\%}"),
        (r"$\url{http://a.b/c_d?e=%20#1}$", r"\texttt{http://a.b/c\_d?{}e=\%20\#1}"),
        (r"$\href{http://x_y}{z}$", "{z}"),
        (r"$\pu{1.2e3 kJ mol-1}$", r"\ensuremath{1.2\times10^{3}\,\mathrm{kJ\,mol^{-1}}}"),
        (r"$\pu{m/s^2}$", r"\ensuremath{\mathrm{m/s^{2}}}"),
        (r"$\pu{5 \mu m}$", r"\ensuremath{5\,\mathrm{\mu m}}"),
    ],
)
def test_verbatim_and_quantities(text, tex):
    assert prepare(text, "inline").tex == tex


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
