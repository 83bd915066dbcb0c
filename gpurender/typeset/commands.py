"""The words that decide where bare LaTeX is maths: names of commands and environments, and words of prose.

Commands of documents and of text (`\\section`, `\\emph`) are not here, nor are those that are common names of folders.
"""

__all__ = ["ALONE", "ARRAYS", "BINARY", "CAPITALS", "SPACES", "TWO_ARGUMENTS", "WITHIN", "WITH_ARGUMENTS", "WORDS"]

WITH_ARGUMENTS = frozenset(
    """
    acute ang bar bm binom boldsymbol boxed breve ce cfrac check dbinom ddot dfrac dot frac grave hat mathbb mathbf
    mathcal mathfrak mathit mathop mathrm mathscr mathsf num operatorname overbrace overleftarrow overline
    overrightarrow overset pmod pu qty SI si sqrt stackrel substack tbinom tfrac tilde underbrace underline underset
    unit vec widehat widetilde xleftarrow xrightarrow
    """.split()  # noqa: SIM905
)
TWO_ARGUMENTS = frozenset("binom cfrac dbinom dfrac frac overset qty SI stackrel tbinom tfrac underset".split())  # noqa: SIM905
# These are maths within a run only.
WITHIN = frozenset("big Big bigg Bigg limits mbox mod nolimits text textbf textit textrm".split())  # noqa: SIM905
BINARY = frozenset(
    """
    approx ast asymp bmod cap cdot circ cong cup div equiv ge geq geqslant gets gg gt iff implies in land leftarrow
    leftrightarrow le leq leqslant ll lor lt Leftarrow Leftrightarrow longleftarrow longrightarrow
    Longleftrightarrow Longrightarrow mapsto mid models mp ne neq ngeq ni nleq nmid notin nsubseteq odot ominus
    oplus oslash otimes parallel perp pm prec preceq propto rightarrow Rightarrow rightleftharpoons setminus sim
    simeq subset subseteq subsetneq succ succeq supset supseteq supsetneq times to vdash vee wedge
    """.split()  # noqa: SIM905
)
ALONE = BINARY | frozenset(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho varrho
    sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    aleph angle arccos arcsin arctan arctg arg argmax argmin because biggl biggr bigl Bigl bigr Bigr bigcap bigcup
    bigoplus bigotimes bigvee bigwedge bot cdots cos cosh cot coth csc ddots deg degree det dim dots ell emptyset
    exists exp forall gcd hbar hdots hom iiint iint Im inf infty displaystyle textstyle ctg tg int ker langle lceil
    ldots lfloor lg lim liminf limsup ln log lVert lvert max measuredangle min nabla neg nexists oiint oint partial
    Pr prime prod coprod quad qquad rangle rceil Re rfloor rVert rvert sec sin sinh square sum sup tan tanh
    therefore top triangle varnothing vdots
    """.split()  # noqa: SIM905
)
ARRAYS = frozenset(
    "aligned array bmatrix Bmatrix cases dcases gathered matrix pmatrix smallmatrix vmatrix Vmatrix".split()  # noqa: SIM905
)
SPACES = frozenset(["\\,", "\\;", "\\:", "\\!", "\\ ", "\\|", "\\%", "\\$"])
# Words of two letters that are no product of variables, and words of capitals.
WORDS = frozenset(
    """
    ad ah ai am an as at au be by ca da de di do du ed eg eh el en er es et ex ft go ha he hi ho id ie if ii il in is
    it iv ja je la le lo ma me mr ms my nd ne no of oh ok on or os ou pm qu rd re se si so st su te th ti to tu tv uk
    um un up us va vi vs we wo xi
    """.split()  # noqa: SIM905
)
CAPITALS = frozenset("ALL AND ANY ARE FOR FROM IF IN IS NO NOT OF ON OR THAT THE THEN TO WHEN WHERE WITH".split())  # noqa: SIM905
