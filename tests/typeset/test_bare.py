r"""Runs of bare LaTeX: where each begins and ends, and what seeds none."""

import pytest

from gpurender.typeset.maths import find_formulas, scan

RUNS = [
    (r"Let \alpha be an angle with \cos\alpha = \frac{3}{5}.", [r"\alpha", r"\cos\alpha = \frac{3}{5}"]),
    (r"Solve x^2 + \frac{1}{x} = 3 for x.", [r"x^2 + \frac{1}{x} = 3"]),
    (r"If \sqrt{x+1} = 5, then x = 24.", [r"\sqrt{x+1} = 5"]),
    (r"Evaluate \int_{0}^{1} x^2 dx.", [r"\int_{0}^{1} x^2 dx"]),
    (r"\int x e^{x} \, dx and \int_0^\pi \sin x dx.", [r"\int x e^{x} \, dx", r"\int_0^\pi \sin x dx"]),
    (r"A \subset B and B \subseteq C, so A \subset C.", [r"A \subset B", r"B \subseteq C", r"A \subset C"]),
    (r"a \leq b and c \geq d, prove a - d \le b - c.", [r"a \leq b", r"c \geq d", r"a - d \le b - c"]),
    (r"The set \{1, 2, 3\} has 3 elements.", [r"\{1, 2, 3\}"]),
    (r"The set \{x \in \mathbb{R} : x > 0\} is open.", [r"\{x \in \mathbb{R} : x > 0\}"]),
    (r"y = mx + \frac{1}{2}c", [r"y = mx + \frac{1}{2}c"]),
    (r"f'(x) = \lim_{h \to 0} \frac{f(x+h)-f(x)}{h}", [r"f'(x) = \lim_{h \to 0} \frac{f(x+h)-f(x)}{h}"]),
    (r"\triangle ABC is right-angled with \angle A = 30^\circ.", [r"\triangle ABC", r"\angle A = 30^\circ"]),
    (r"\angle ABC = 90^{\circ} and \angle DEF = 45^\circ.", [r"\angle ABC = 90^{\circ}", r"\angle DEF = 45^\circ"]),
    (r"ABC \sim DEF", [r"ABC \sim DEF"]),
    (r"x_1, x_2, \ldots, x_n are numbers.", [r"x_1, x_2, \ldots, x_n"]),
    (r"Find |\vec{a} + \vec{b}|.", [r"|\vec{a} + \vec{b}|"]),
    (
        r"f(x) = \left\{\begin{array}{l}1\\0\end{array}\right.",
        [r"f(x) = \left\{\begin{array}{l}1\\0\end{array}\right."],
    ),
    (r"So A = \begin{pmatrix} 1 \\ 0 \end{pmatrix}.", [r"A = \begin{pmatrix} 1 \\ 0 \end{pmatrix}"]),
    (r"e^{i\pi} + 1 = 0", [r"e^{i\pi} + 1 = 0"]),
    (r"e^{-\lambda t} is decay.", [r"e^{-\lambda t}"]),
    (r"x^{\frac{1}{2}} + 1 and x_{\max}", [r"x^{\frac{1}{2}} + 1", r"x_{\max}"]),
    (r"10^{-3} \text{ m}", [r"10^{-3} \text{ m}"]),
    (r"\text{Area} = \frac{1}{2}bh", [r"\text{Area} = \frac{1}{2}bh"]),
    (r"P(A \cap B) = P(A)P(B)", [r"P(A \cap B) = P(A)P(B)"]),
    (r"(x - \frac{1}{2})(x + 2) = 0", [r"(x - \frac{1}{2})(x + 2) = 0"]),
    (r"(see \alpha).", [r"\alpha"]),
    (r"in [\frac{1}{2}, 1) or -\frac{1}{2}", [r"[\frac{1}{2}, 1)", r"-\frac{1}{2}"]),
    (r"2x + 3 = \frac{7}{2}", [r"2x + 3 = \frac{7}{2}"]),
    (r"n! = n \cdot (n-1)!", [r"n! = n \cdot (n-1)!"]),
    (r"a \equiv b \pmod{n}", [r"a \equiv b \pmod{n}"]),
    (r"a \in A and b \in B", [r"a \in A", r"b \in B"]),
    (r"take a \sqrt{2} and I \alpha", [r"\sqrt{2}", r"\alpha"]),
    (r"\alpha's value, \beta-decay and \gamma: see", [r"\alpha", r"\beta", r"\gamma"]),
    (r"(a) \frac{1}{2} (b) \frac{1}{3}", [r"\frac{1}{2}", r"\frac{1}{3}"]),
    (r"1) x = \frac{1}{2}", [r"x = \frac{1}{2}"]),
    (r"A. \frac{1}{2} B. \sqrt{3}", [r"\frac{1}{2}", r"\sqrt{3}"]),
    (r"Answer: \frac{1}{2}", [r"\frac{1}{2}"]),
    (r"| \frac{1}{2} | \alpha |", [r"\frac{1}{2}", r"\alpha"]),
    (r"**\alpha** and *\beta*", [r"\alpha", r"\beta"]),
    ("- \\alpha is\n- \\beta is", [r"\alpha", r"\beta"]),
    (r"设函数f(x)=\frac{1}{x}+\ln x，则", [r"f(x)=\frac{1}{x}+\ln x"]),
    (r"已知\sin\alpha=\frac{1}{2}，求\cos\alpha的值。", [r"\sin\alpha=\frac{1}{2}", r"\cos\alpha"]),
    (r"\frac{1}{2} of it, \sqrt x, \frac12, \frac ab", [r"\frac{1}{2}", r"\sqrt x, \frac12, \frac ab"]),
    (r"\frac {a} {b} and \sqrt [3] {x}", [r"\frac {a} {b}", r"\sqrt [3] {x}"]),
    (r"x → \infty and √2 \cdot x²", [r"x → \infty", r"√2 \cdot x²"]),
]


def maths(text):
    return [text[f.start : f.stop] for f in find_formulas(text) if f.kind != "other"]


@pytest.mark.parametrize(("text", "expected"), RUNS)
def test_runs(text, expected):
    assert maths(text) == expected
    assert scan(text).left == ()


@pytest.mark.parametrize(
    "text",
    [
        r"C:\Users\alpha",
        r"C:\pi\times",
        r"D:\new\alpha.txt, E:\beta",
        r"\\server\share\pi",
        r"grep 'a\{2,3\}' x",
        r"re.sub(r'\d{2}\s+\w{3}', x)",
        r"\section{One} e and x",
        r"f'file_{i}.txt' and '\n'",
        r"\left( x + 1",
        r"\right)",
        r"\frac{a",
        r"\sqrt",
        "e^{x}",
    ],
)
def test_no_runs(text):
    assert maths(text) == []


def test_a_run_ends_with_its_line():
    assert maths("\\alpha +\n\\beta") == [r"\alpha", r"\beta"]
