"""The LaTeX scanner: what is a formula, what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurender.typeset import maths
from gpurender.typeset.literal import find_literals
from gpurender.typeset.maths import find_formulas

SCRAPS = st.lists(
    st.one_of(
        st.sampled_from(["$", "$$", "\\(", "\\)", "\\[", "\\]", "\\$", "\\\\", "{", "}", "[", "]", "\n\n", "```\n"]),
        st.sampled_from(["\\text{", "\\frac", "\\begin{align}", "\\end{align}", "_", "^", "x", " ", "5", "and so"]),
        st.text(max_size=3),
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"Solve $x+1=2$ and $$y=3$$.", ["$x+1=2$", "$$y=3$$"]),
        (r"\(x\) then \[y\\[2pt]z\]", [r"\(x\)", r"\[y\\[2pt]z\]"]),
        (r"\begin{align*}a&=b\\\end{align*}!", [r"\begin{align*}a&=b\\\end{align*}"]),
        (
            r"\begin{matrix}\begin{matrix}a\end{matrix}\end{matrix} and b",
            [r"\begin{matrix}\begin{matrix}a\end{matrix}\end{matrix}"],
        ),
        (r"so \frac{a}{b} \sqrt[3]{x} \alpha_{1}^2 be", [r"\frac{a}{b} \sqrt[3]{x} \alpha_{1}^2"]),
        (r"$\mbox{if $x>0$}$ then $y$", [r"$\mbox{if $x>0$}$", "$y$"]),
        (r"$2 \text{ apples and pears}$", [r"$2 \text{ apples and pears}$"]),
        ("$ x + y $ spaced", ["$ x + y $"]),
        ("$$\na\n\n$$ b", ["$$\na\n\n$$"]),
        (r"\$5 and \$6 but $x$", ["$x$"]),
        ("a $10 bill, $x$, and 10$.", ["$x$"]),
        ("so $x$$y$ it is", ["$x$", "$y$"]),
        (r"that $AB \parallel CD \parallel EF$, $gcd(ab, cd)$", [r"$AB \parallel CD \parallel EF$", "$gcd(ab, cd)$"]),
        (r"$\mathrm{number of apples} = 5$", [r"$\mathrm{number of apples} = 5$"]),
        (r"$\text{the \emph{big} cat sat} + 1$", [r"$\text{the \emph{big} cat sat} + 1$"]),
        ("有$S_{阴影部分}=S_{正方形ABCD}$。", ["$S_{阴影部分}=S_{正方形ABCD}$"]),
    ],
)
def test_formulas(text, expected):
    assert [text[f.start : f.stop] for f in find_formulas(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "costs $5 and $10",
        "export PATH=$HOME/bin:$PATH",
        "US$5-$10",
        "$5 for the cat and 3$",
        "He has $80,000. The bank lends $50,000 at 5%.",
        "von $ 5 bis $ 10",
        "цена 50 $ или больше, всего 80 $",
        "$3.00で売っている。1ガロンごとに$",
        "$a\n\nb$",
        "$$",
        "$",
        "$ $",
        "```\n$x$\n```",
        "```sh\necho $HOME:$PATH",
        "price: $",
        "\\",
    ],
)
def test_not_formulas(text):
    assert find_formulas(text) == []


@pytest.mark.parametrize(
    "table",
    [
        r"{\small \begin{tabular}{l}a\end{tabular}}",
        r"{\centering\setlength{\tabcolsep}{3pt}\begin{tabular}{l}a\end{tabular} }",
        r"\centering \begin{tabular}{l}a\end{tabular}",
        "\\noindent\n\\renewcommand{\\arraystretch}{1.2}\n\\begin{tabular}{l}a\\end{tabular}",
        r"\centerline{\begin{tabular}{l}a\end{tabular}}",
        r"\makebox[\textwidth]{\begin{tabular}{l}a\end{tabular}}",
        r"\fbox{\begin{tabular}{l}a\end{tabular}}",
        r"\begin{small}\begin{tabular}{l}a\end{tabular}\end{small}",
        r"\begin{figure}\centering\begin{tabular}{l}a\end{tabular}\end{figure}",
        r"\resizebox{5cm}{!}{\begin{tabular}{ll}a&b\end{tabular}}",
        r"{\footnotesize\resizebox{\linewidth}{!}{\begin{tabular}{ll}a&b\end{tabular}}}",
    ],
)
def test_no_words_of_latex_stand_around_a_table(table):
    text = f"See {table} here, and {{this}}."
    assert [(text[f.start : f.stop], f.kind) for f in find_formulas(text)] == [(table, "environment")]


def test_a_group_of_text_beside_a_table_is_text():
    text = r"{\small Here is a \begin{tabular}{l}a\end{tabular}}"
    assert r"\begin{tabular}{l}a\end{tabular}" in [text[f.start : f.stop] for f in find_formulas(text)]


def test_kinds():
    text = r"$a$ \(b\) $$c$$ \[d\] \begin{cases}e\end{cases} or \frac{1}{2}"
    kinds = [f.kind for f in find_formulas(text)]
    assert kinds == ["inline", "inline", "display", "display", "environment", "command"]


@given(
    st.lists(
        st.sampled_from(
            ["$", "$$", "5", "10 ", "for the ", "x", " y ", "+", "^", "_{a}", "{", "}", "\n", "\n\n", "\\$", "é é", "%"]
        ),
        max_size=16,
    ).map("".join)
)
def test_what_is_passed_over_has_no_formula(text):
    assert find_formulas(text) == list(maths._Scanner(text, "auto", tuple(find_literals(text))).formulas())


def test_prices_are_passed_over():
    assert not maths.may_hold_formulas("It costs $5 for the cat and $10 in all, or $3 less.", "auto")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (r"\frac{a}{b}", "command"),
        (r"\alpha", "command"),
        (r"\pi_{1}", "command"),
        (r"\sqrt[3]{x}", "command"),
        (r"\frac", "other"),
        (r"\sqrt x", "command"),
        (r"\sqrt", "other"),
        (r"\section{a}", "other"),
        (r"\n", "other"),
        (r"C:\Users\me", "other"),
        (r"C:\new\times\pi\alpha.txt", "other"),
        (r"D:\tau", "other"),
        (r"\begin{table} x \end{table}", "environment"),
    ],
)
def test_which_bare_commands_are_maths(text, kind):
    assert {f.kind for f in find_formulas(text)} == {kind}


@given(SCRAPS)
def test_formulas_are_in_order_inside_and_apart(text):
    at = 0
    for start, stop, _ in find_formulas(text):
        assert at <= start < stop <= len(text)
        at = stop


def test_no_price_of_the_word_problems_is_a_formula(prompts):
    for text in prompts("gsm8k") + prompts("mgsm"):
        assert find_formulas(text) == [], text


def test_no_dollar_of_the_exercises_is_left_over(prompts):
    for text in prompts("college_math"):
        rest = text
        for start, stop, _ in reversed(find_formulas(text)):
            rest = rest[:start] + rest[stop:]
        assert "$" not in rest, text


@pytest.mark.parametrize(
    "scrap",
    [
        *(
            "$",
            "${",
            "\\(",
            "$\\text{",
            "\\frac{",
            "x$ ",
            "\\begin{align}",
            "\\a[",
            "$$\n\n",
            "```\n$x$\n```\n",
            "{",
            "a",
        ),
        *(
            "`",
            "` ``",
            "`a\n\n",
            "\\frac",
            "\\alpha ",
            "\\alpha x+",
            "x+",
            "\\left(",
            "\n\n    x\n",
            "<code>",
            "$x ",
            "(\\pi",
            "~~~",
            "x^{2}",
            "\\text{a} = ",
            "1 + (\\pi + ",
            "|",
            "&lt;\\alpha",
        ),
    ],
)
def test_hostile_texts_end(scrap):
    """Quadratic time would take hours here."""
    find_formulas(scrap * 100_000)
    find_formulas(f"${scrap * 100_000}$")


@pytest.mark.parametrize(
    ("opening", "closing"), [("{", "}"), ("\\text{", "}"), ("\\begin{center}", "\\end{center}"), ("\\alpha(", ")")]
)
def test_hostile_nests_end(opening, closing):
    """Quadratic time would take minutes here."""
    nest = opening * 50_000 + closing * 50_000
    find_formulas(nest)
    find_formulas(f"$x {nest}$")
