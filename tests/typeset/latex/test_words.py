"""Words of KaTeX, MathJax and common packages: which are set, and what they look like."""

import os

import numpy as np
import pytest

from gpurender.typeset.latex.box import COLOR, FOREGROUND, Box, Failure, Y
from gpurender.typeset.latex.pdftex import PdfTeX
from gpurender.typeset.latex.preamble import find_packages
from gpurender.typeset.latex.source import Source, prepare

pytestmark = pytest.mark.usefixtures("tex")

# Words without arguments, with one, and with an optional one too.
ALONE = r"""
\lt \gt \degree \R \N \Z \Q \C \natnums \reals \Reals \Complex \cnums \empty \exist \isin \infin \plusmn \sdot \sect
\sub \sube \supe \weierp \thetasym \alef \alefsym \real \image \larr \rarr \uarr \darr \harr \lrarr \Larr \Rarr \Uarr
\Darr \Harr \lArr \rArr \uArr \dArr \hArr \lrArr \Lrarr \hearts \diamonds \clubs \spades \bull \Bbbk \minuso
\vcentcolon \dblcolon \coloneqq \Coloneqq \eqqcolon \Eqqcolon \coloncolon \colonequals \coloncolonequals \equalscolon
\simcoloncolon \approxcoloncolon \colonminus \blacktriangleright \digamma \backepsilon \imath \jmath \textasciitilde
\textellipsis \mathstrut \oiint \oiiint \llbracket \rrbracket \lBrace \rBrace \lang \rang \mapsfrom \hookrightarrow
\hookleftarrow \lhook \rhook \argmin \argmax \plim \tg \ctg \cotg \arctg \arcctg \cosec \sh \ch \cth \th \origof
\imageof \varvdots \notni \Alpha \Beta \Epsilon \Zeta \Eta \Iota \Kappa \Mu \Nu \Omicron \Rho \Tau \Chi \omicron
\Dagger \dotsx \TeX \LaTeX \KaTeX \AA \aa \ss \ae \textcopyright \textregistered \angln \iff \newline \cmark \xmark
\and \or \ang
""".split()  # noqa: SIM905
WITH_ONE = r"""
\bra \ket \Bra \Ket \braket \Braket \set \Set \wideparen \overparen \textcircled \bcancel \xcancel \cancel \sout
\phase \angl \utilde \widecheck \overgroup \undergroup \overlinesegment \underlinesegment \overrightharpoon
\overleftharpoon \Overrightarrow \mathllap \mathrlap \mathclap \pmb \mathsfit \ce \pu \si \num \ang \unit \verb|x|
\url \red \blueA \kaGreen \' \` \^ \~ \= \u \. \" \c \r \H \v \abs \norm \ceil \floor \boxed \xlongequal
\xtwoheadrightarrow \xtwoheadleftarrow \xtofrom \xhookrightarrow \xhookleftarrow \xmapsto \xrightleftharpoons
\xleftrightarrow \xRightarrow \xrightequilibrium \xleftequilibrium \operatorname \dv \pdv \dd \vb
""".split()  # noqa: SIM905
WITH_TWO = r"""
\cfrac \dbinom \tbinom \SI \qty \numrange \htmlClass \htmlStyle \href \overset \prescript{a} \dv \pdv \comm
""".split()  # noqa: SIM905


@pytest.mark.parametrize(
    "text", ALONE + [f"{word}{{1}}" for word in WITH_ONE] + [f"{word}{{1}}{{2}}" for word in WITH_TWO]
)
def test_words_are_set(engine, text):
    (box,) = engine([prepare(f"$a {text} b$", "inline")])
    assert isinstance(box, Box), box
    assert len(box.glyphs) >= 2


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (r"a\lt b\gt c", "a<b>c"),
        (r"45\degree", r"45{}^\circ"),
        (r"x\in\R", r"x\in\mathbb{R}"),
        (r"\tg x", r"\operatorname{tg}x"),
        (r"\argmin_x f", r"\operatorname*{arg\,min}_x f"),
        (r"\ket{\psi}", r"\mathinner{|{\psi}\rangle}"),
        (r"\braket{a}{b}", r"\braket{a|b}"),
        (r"p\or q\and r", r"p\lor q\land r"),
        (r"\ang ABC", r"\angle ABC"),
        (r"\ch x", r"\operatorname{ch}x"),
        (r"\ch{H2O}", r"\ce{H2O}"),
        (r"\dv[2]{f}{x}", r"\frac{\mathrm{d}^2f}{\mathrm{d}x^2}"),
        (r"\pdv{f}{x}", r"\frac{\partial f}{\partial x}"),
        (r"\'{e}", r"\acute{e}"),
        (r"\textcircled{1}", r"\text{\textcircled{1}}"),
        (r"\SI{5}{\newton}", r"5\,\mathrm{N}"),
        (r"\si{\kilogram\metre\per\second\squared}", r"\mathrm{kg\,m\,s^{-2}}"),
        (r"\qty{3}{m/s}", r"3\,\mathrm{m/s}"),
        (r"\num{1e5}", r"1\times10^{5}"),
        (r"\begin{darray}{c}\frac12\end{darray}", r"\begin{array}{c}\dfrac12\end{array}"),
    ],
)
def test_words_mean_what_they_say(engine, text, same):
    one, other = engine([prepare(f"${text}$", "inline"), prepare(f"${same}$", "inline")])
    assert isinstance(one, Box), one
    assert np.array_equal(one.glyphs[:, :4], other.glyphs[:, :4])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(r"A \hookrightarrow B \hookleftarrow C", id="word-hook"),
        pytest.param(r"A \xhookrightarrow{f} B", id="word-hook-stretched"),
        pytest.param(r"\ce{2H2 + O2 -> 2H2O}", id="word-ce"),
        pytest.param(r"\ang{30;15;}", id="word-units"),
        pytest.param(r"\left\llbracket \frac ab \right\rrbracket \oiint_S", id="word-katex"),
        pytest.param(r"\begin{CD} A @>f>> B \\ @VgVV @VVhV \\ C @>>k> D \end{CD}", id="commutative"),
        pytest.param(r"\begin{pmatrix*}[r] -1 & 2 \end{pmatrix*}", id="starred"),
    ],
)
def test_formulas_are_set(engine, text):
    (box,) = engine([prepare(f"${text}$", "inline")])
    assert isinstance(box, Box), box


def test_chemistry_is_upright_with_lowered_numbers(engine):
    (water, same) = engine([Source(r"\ce{H2O}", "inline"), Source(r"\mathrm{H}_{2}\mathrm{O}", "inline")])
    assert len(water.glyphs) == 3
    assert water.glyphs[1, Y] > 0 == water.glyphs[0, Y]
    assert set(water.glyphs[:, 1].tolist()) == set(same.glyphs[:, 1].tolist())


@pytest.mark.parametrize(
    "text", [pytest.param(r"\qquad", id="tex-blank"), r"\quad", r"\ ", "~", r"\phantom{x}", r"\hspace{1cm}"]
)
def test_what_is_blank_has_a_width(engine, text):
    (box,) = engine([prepare(f"${text}$", "inline")])
    assert isinstance(box, Box), box
    assert box.width > 0
    assert box.ink[0] >= box.ink[2]


def test_colours_of_katex(engine):
    (box,) = engine([Source(r"\red{x}y\kaGreen{z}", "inline")])
    assert box.glyphs[:, COLOR].tolist() == [0xDF0030, FOREGROUND, 0x71B307]


# ---- Packages that take long to load.


@pytest.mark.parametrize(
    ("tex", "packages"),
    [
        (r"\frac{1}{2}", set()),
        (r"\ce{H2O}", {"mhchem"}),
        (r"\ch x", set()),
        (r"\SI{5}{\newton}\ce{X}", {"siunitx", "mhchem"}),
        (r"\sin \since \simeq \angle \ang x", set()),
        (r"\begin{tabular}{lS}a", {"siunitx"}),
        (r"\begin{tabular}{ll}S", set()),
        (r"\begin{tabularx}{5cm}{>{\color{red}}X S[table-format=1.2]}a", {"siunitx"}),
        (r"\begin{tabular}{>{\textbf{S}}l}{S}", set()),
        (r"\begin{tblr}{ll}", {"tabularray"}),
    ],
)
def test_packages_are_loaded_where_they_are_needed(tex, packages):
    assert find_packages(tex) == packages


def test_what_a_large_package_brings_changes_no_other_formula(equal):
    texts = [r"\sum_{i=0}^n\frac{\alpha}{x_i}\pm\SIx", r"a\degree \bar x \hbar", r"\begin{array}{c|c}a&b\end{array}"]
    sources = [Source(text.replace(r"\SIx", ""), "inline") for text in texts]
    engine = PdfTeX(26)
    try:
        before = engine(sources)
        engine([Source(r"\SI{5}{\metre}\ce{H2O}", "inline"), Source(r"\begin{tblr}{l}a\end{tblr}", "table")])
        assert all(equal(one, other) for one, other in zip(engine(sources), before, strict=True))
    finally:
        engine.close()


@pytest.mark.parametrize(
    "text",
    [
        r"\sisetup{mode=text}\num{5}",
        r"\mhchemoptions{layout=stacked}\ce{A}",
        r"\csgdef{alpha}{x}\SI{1}{m}",
        r"\csuse{input}{x}\ce{A}",
        r"\DeclareSIUnit\second{x}\SI{1}{\second}",
        r"\SetTblrInner{hlines}\SI{1}{m}",
        r"\UseTblrLibrary{booktabs}\SI{1}{m}",
        r"\set{x|y}\setarraystretch{9}",
        r"\setarraystretch{\gdef\alpha{x}}",
    ],
)
def test_words_of_packages_end_with_their_formula(engine, equal, text, tmp_path):
    # Past the deny list, straight into the engine.
    fresh = [
        Source(r"\num{1.5}\SI{2}{\second}\ce{H2O}\alpha", "inline"),
        Source(r"\begin{tabular}{|l|}x\\\end{tabular}", "table"),
    ]
    other = PdfTeX(26)
    try:
        right = other(fresh)
        other([Source(text, "inline")])
        assert all(isinstance(box, Box) for box in right)
        assert all(equal(one, box) for one, box in zip(other(fresh), right, strict=True))
    finally:
        other.close()
    assert not os.listdir(tmp_path)


def test_a_unit_that_nobody_knows_is_an_error(engine):
    (failure,) = engine([Source(r"\SI{5}{\nosuchunit}", "inline")])
    assert failure == Failure("error", r"Undefined control sequence \nosuchunit")
