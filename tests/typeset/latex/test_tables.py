"""Tables as prompts and language models write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurender.typeset.latex import limits
from gpurender.typeset.latex.box import Box, Failure
from gpurender.typeset.latex.cells import find_grids, quote, split_cells, without
from gpurender.typeset.latex.source import RefusedError, Source, prepare

pytestmark = pytest.mark.usefixtures("tex")

PLAIN = r"\begin{tabular}{ll}a&b\end{tabular}"


def _prepare(text):
    return prepare(text, "environment")


def _grid(text):
    """The text of each cell, row by row."""
    tex = _prepare(text).tex
    (grid,) = find_grids(tex)
    return [[tex[cell.start : cell.stop].strip() for cell in row] for row in grid.rows]


# ---- What they become.


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        pytest.param(rf"\resizebox{{5cm}}{{!}}{{{PLAIN}}}", f"{{{PLAIN}}}", id="table-resizebox"),
        (rf"\resizebox*{{\textwidth}}{{!}}{{%{chr(10)}{PLAIN}%{chr(10)}}}", f"{{ {PLAIN} }}"),
        (rf"\scalebox{{0.8}}[1]{{{PLAIN}}}", f"{{{PLAIN}}}"),
        (rf"\begin{{adjustbox}}{{max width=\textwidth}}{PLAIN}\end{{adjustbox}}", PLAIN),
        pytest.param(
            rf"\begin{{center}}{PLAIN}\end{{center}}", rf"\begin{{center}}{PLAIN}\end{{center}}", id="table-center"
        ),
        (rf"\begin{{sidewaystable}}[ht]{PLAIN}\end{{sidewaystable}}", rf"\begin{{table}}{PLAIN}\end{{table}}"),
        (rf"\begin{{wraptable}}{{r}}{{5cm}}{PLAIN}\end{{wraptable}}", rf"\begin{{table}}{PLAIN}\end{{table}}"),
        (
            rf"\begin{{table}}\fontsize{{9}}{{11}}\selectfont{PLAIN}\end{{table}}",
            rf"\begin{{table}}{PLAIN}\end{{table}}",
        ),
        pytest.param(
            r"\begin{longtable}{ll}a&b\\c&d\end{longtable}",
            r"\begin{tabular}{ll}a&b\\c&d\end{tabular}",
            id="table-longtable",
        ),
        (
            r"\begin{longtable}[c]{l}\caption{C}\label{c}\\ A\\\endfirsthead B\\\endhead F\endfoot G\endlastfoot x"
            r"\end{longtable}",
            r"\begin{table}\centering \caption{C}\begin{tabular}{l} A\\ x\\ G\end{tabular}\end{table}",
        ),
        (r"\begin{longtable}{l}A\\\endhead x\\\end{longtable}", r"\begin{tabular}{l}A\\ x\\\end{tabular}"),
        (r"\begin{supertabular}{l}a\end{supertabular}", r"\begin{tabular}{l}a\end{tabular}"),
        (r"\begin{tabular}{L{3cm}C{2cm}}a&b\end{tabular}", None),
        (r"\begin{tabular}{*{2}{c|}}a&b\end{tabular}", r"\begin{tabular}{c|c|}a&b\end{tabular}"),
        (r"\begin{tabular}{|l|}a&b\end{tabular}", r"\begin{tabular}{|ll|}a&b\end{tabular}"),
        (
            r"\begin{tabular}{l}\multicolumn{2}{c}{a}\\b\end{tabular}",
            r"\begin{tabular}{ll}\multicolumn{2}{c}{a}\\b\end{tabular}",
        ),
        (r"\begin{tabular}{lY}a&b\end{tabular}", r"\begin{tabular}{ll}a&b\end{tabular}"),
        (r"\begin{tabularx}{5cm}{lY}a&b\end{tabularx}", r"\begin{tabularx}{5cm}{lX}a&b\end{tabularx}"),
        (r"\begin{table}\caption{50% of a_b}x\end{table}", r"\begin{table}\caption{50\% of a\_b}x\end{table}"),
    ],
)
def test_what_is_prepared(text, tex):
    source = _prepare(text)
    assert source.style == "table"
    if tex is not None:
        assert source.tex == tex


@pytest.mark.parametrize(
    ("cell", "tex"),
    [
        ("$1,200", r"\$1,200"),
        ("$5-$10", r"\$5-\$10"),
        ("$5 to $6", r"\$5 to \$6"),
        ("US$5", r"US\$5"),
        (r"\textbf{$5}", r"\textbf{\$5}"),
        (r"\$5", r"\$5"),
        ("$x$", "$x$"),
        ("$-$5", "$-$5"),
        ("$3x$ and $5$", "$3x$ and $5$"),
        ("$$x$$", "$x$"),
        (r"\(x_1\)", "$x_1$"),
        ("file_name", r"file\_name"),
        (r"file\_name", r"file\_name"),
        ("x^2", r"x\ensuremath{^{2}}"),
        ("10^{-3}", r"10\ensuremath{^{-3}}"),
        ("CO_{2}", r"CO\ensuremath{_{2}}"),
        ("$a_b$ c_d", r"$a_b$ c\_d"),
        ("a^", r"a\textasciicircum{}"),
        (r"30^\circ", r"$30^\circ$"),
        (r"\textbf{30}^\circ", r"\textbf{30}$^\circ$"),
        (r"3 \times 4", r"$3 \times 4$"),
        (r"\textbf{up} \alpha", r"\textbf{up} $\alpha$"),
        (r"\SI{5}{m^2}", r"$\SI{5}{m^2}$"),
        (r"\ensuremath{a_b}", r"\ensuremath{a_b}"),
        ("5% of #", r"5\% of \#"),
        (r"\verb|a_b & $c|", r"\texttt{a\_b\ \&\ \$c}"),
        (r"\url{x_y}", r"\texttt{x\_y}"),
        ("a &lt; b", "a < b"),
    ],
)
def test_cells(cell, tex):
    assert _grid(rf"\begin{{tabular}}{{ll}}{cell} & x\end{{tabular}}") == [[tex, "x"]]


def test_money_does_not_protect_columns():
    text = r"\begin{tabular}{lll}Rev & $1,200 & $1,400 \\ Cost & $900 & $950 \\ \end{tabular}"
    assert _grid(text) == [["Rev", r"\$1,200", r"\$1,400"], ["Cost", r"\$900", r"\$950"]]


def test_an_ampersand_between_letters_is_one_where_a_cell_would_be_too_many():
    assert _grid(r"\begin{tabular}{ll}R&D & 5 \\ AT&T & 6\end{tabular}") == [[r"R\&D", "5"], [r"AT\&T", "6"]]
    assert _grid(r"\begin{tabular}{lll}R&D & 5\end{tabular}") == [["R", "D", "5"]]


def test_a_row_ends_before_a_line():
    assert (
        _prepare(r"\begin{tabular}{l}\hline a \hline b\end{tabular}").tex
        == r"\begin{tabular}{l}\hline a \\ \hline b\end{tabular}"
    )


def test_what_is_no_number_stands_in_braces_in_a_column_of_numbers():
    assert _grid(r"\begin{tabular}{lS}Name & Value\\a & 1.5\\b & {x}\\c & --\end{tabular}") == [
        ["Name", "{Value}"],
        ["a", "1.5"],
        ["b", "{x}"],
        ["c", "{--}"],
    ]


def test_a_refused_cell_is_its_source():
    assert _grid(r"\begin{tabular}{ll}\input{x} & b\end{tabular}") == [[quote(r"\input{x}"), "b"]]
    with pytest.raises(RefusedError, match="input"):
        _prepare(r"\begin{tabular}{l}a\end{tabular}\input{x}".join([r"\begin{table}", r"\end{table}"]))


# ---- Cells.


def test_cells_of_nested_tables_and_braces_are_one():
    tex = r"\begin{tabular}{ll}\toprule {a&b} & \begin{tabular}{l}c&d\\e\end{tabular}\\"
    tex += r"\cmidrule(lr){1-2} \& & \makecell{x\\y}\end{tabular}"
    assert [tex[a:b].strip() for a, b, _ in split_cells(tex)] == [
        "{a&b}",
        r"\begin{tabular}{l}c&d\\e\end{tabular}",
        r"\&",
        r"\makecell{x\\y}",
    ]


def test_of_a_cell_that_spans_only_the_content_is_quoted():
    tex = r"\begin{tabular}{ll}\hline\multicolumn{2}{c}{\foo}\\a&b\end{tabular}"
    assert [tex[a:b] for a, b, _ in split_cells(tex)] == [r"\foo", "a", "b"]
    assert without(tex, {0, 2}) == (
        r"\begin{tabular}{ll}\hline\multicolumn{2}{c}{\texttt{\textbackslash{}foo}}\\a&\texttt{b}\end{tabular}"
    )
    assert without(tex, {0, 2}, shown=False) == r"\begin{tabular}{ll}\hline\multicolumn{2}{c}{}\\a&\end{tabular}"


# ---- Set.


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        pytest.param(
            r"\begin{table}\begin{threeparttable}\begin{tabular}{l}a\tnote{1}\end{tabular}"
            r"\begin{tablenotes}\item[1] Note.\end{tablenotes}\end{threeparttable}\end{table}",
            1,
            id="table-notes",
        ),
        pytest.param(
            r"\begin{table}\caption*{Sales by region}\begin{tabular}{ll}\hline a&b\\\hline\end{tabular}\end{table}",
            2,
            id="table-caption-star",
        ),
        pytest.param(
            r"\begin{tabular}{ll}\ding{51} & x \\ y & \verb|a_b| \\ x & \url{x}\end{tabular}", 6, id="table-signs"
        ),
        pytest.param(r"\begin{tabular}{lS}a & 1.23\\ b & 12.4\end{tabular}", 4, id="table-decimal"),
        pytest.param(
            r"\begin{tabular}{lll}Rev & $1,200 & $1,400 \\ Cost & $900 & $950 \\ \end{tabular}", 6, id="table-dollars"
        ),
        pytest.param(
            r"\begin{table}\renewcommand{\arraystretch}{1.3}\begin{tabular}{ll}a&b\end{tabular}\end{table}",
            2,
            id="word-arraystretch",
        ),
        (r"\begin{tabular}{lD{.}{.}{2}} Name & Value \\ a & 1.23\end{tabular}", 4),
        (r"\begin{tabular*}{\textwidth}{@{\extracolsep{\fill}}lr} a & b\end{tabular*}", 2),
        (r"\begin{tabulary}{\textwidth}{LC} a & b\end{tabulary}", 2),
        (r"\begin{tabular}{|c|c|}\hline\multirow{2}{*}{A} & b \\ \cline{2-2} & c \\ \hline\end{tabular}", 3),
        (
            r"\begin{tabular}{lcc}\toprule & \multicolumn{2}{c}{X} \\ \cmidrule(lr){2-3} a & b & c \\ \addlinespace"
            r"[2pt] d & e & f \\ \specialrule{1pt}{2pt}{2pt} \bottomrule[1pt]\end{tabular}",
            7,
        ),
        (r"\begin{tabular}{>{\bfseries}l@{\hspace{1em}}c!{\vrule width 2pt}*{3}{c}} a & b & c & d & e\end{tabular}", 5),
        (r"\begin{tabular}{L{3cm}C{2cm}R{1cm}} a & b & c \end{tabular}", 3),
        (
            r"\begin{tabular}{ll}\rowcolor{gray!20} a & b \\ \rowcolor[HTML]{EFEFEF} c & \cellcolor{red!10}d"
            r"\end{tabular}",
            4,
        ),
        (r"\begin{tabular}{ll}\shortstack{x\\y} & \thead{H\\I} \\ \makecell[l]{p\\q} & \textbf{r}\end{tabular}", 4),
        (r"\begin{tabular}{lc} A & \cmark \\ B & \xmark \end{tabular}", 4),
        (r"\begin{tabular}{ll} \ce{H2O} & \SI{5}{\meter} \end{tabular}", 2),
        (
            r"\begin{table*}[t]\centering\small\caption[s]{A $x$}\label{t}\begin{tabular}{l}a\end{tabular}\end{table*}",
            1,
        ),
    ],
)
def test_tables_are_set(engine, text, cells):
    (box,) = engine([_prepare(text)])
    assert isinstance(box, Box), box
    assert box.note == ""
    assert len(box.cells) == cells


def test_tabularray_is_set(engine):
    (box,) = engine([_prepare(r"\begin{longtblr}{colspec={lcr}, hlines} a & b & c \\ 1 & 2 & 3 \end{longtblr}")])
    assert isinstance(box, Box), box
    assert len(box.glyphs) == 6
    assert len(box.rules) >= 3


def test_a_caption_has_no_asterisk_and_stands_above(engine):
    starred, plain = engine(
        [_prepare(rf"\begin{{table}}\caption{star}{{Sales}}{PLAIN}\end{{table}}") for star in ("*", "")]
    )
    assert len(starred.glyphs) == len(plain.glyphs) == 7
    assert starred.glyphs[0, 3] < starred.glyphs[-1, 3]


def test_rows_stretch(engine):
    one, other = engine(
        [
            _prepare(r"\begin{tabular}{l}\def\arraystretch{2}a\\b\end{tabular}"),
            _prepare(r"\begin{tabular}{l}a\\b\end{tabular}"),
        ]
    )
    tall, plain = (int(box.glyphs[1, 3] - box.glyphs[0, 3]) for box in (one, other))
    assert tall == pytest.approx(2 * plain, abs=64)


def test_one_odd_cell_costs_that_cell(engine):
    text = r"\begin{tabular}{|l|l|}\hline\foo & $x^2$ \\ \hline c & \textbf{d}\\"
    text += r"\multicolumn{2}{c}{\nosuchword{e}}\\\hline\end{tabular}"
    source = _prepare(text)
    box, same = engine([source, Source(without(source.tex, {0, 4}), "table")])
    assert isinstance(box, Box), box
    assert box.note.endswith(r"Undefined control sequence \foo")
    assert box.glyphs.tolist() == same.glyphs.tolist()
    assert box.cells[:, :2].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]]


def test_a_table_whose_frame_fails_is_a_failure(engine):
    (failure,) = engine([Source(r"\begin{tabular}{l}\nosuchrule a\\ b\end{tabular}\nosuchword", "table")])
    assert failure == Failure("error", r"Undefined control sequence \nosuchrule")


# ---- Input from anywhere.

_PIECES = [
    *(
        r"\begin{tabular}{ll}",
        r"\end{tabular}",
        r"\begin{longtable}{l}",
        r"\end{longtable}",
        r"\resizebox{1cm}{!}{",
        r"\\",
        "&",
    ),
    *(
        "$",
        "{",
        "}",
        "_",
        "^",
        "a",
        "5",
        " ",
        r"\hline",
        r"\multicolumn{2}{c}{x}",
        r"\caption{",
        r"\verb|",
        "|",
        r"\url{",
        "[",
        "]",
    ),
    *(
        r"\endhead",
        r"\endlastfoot",
        "%",
        "\n",
        r"\begin{tabularx}",
        r"\newcolumntype{Y}{YY}",
        "Y",
        "*",
        "S",
        r"\times",
        r"\(",
    ),
]


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join))
def test_any_text_is_prepared_or_refused(text):
    with contextlib.suppress(RefusedError):
        assert prepare(rf"\begin{{table}}{text}\end{{table}}", "environment").style == "table"


@pytest.mark.parametrize(
    "spec",
    [
        r"*{99}{*{99}{*{99}{c}}}",
        r"*{999999999999}{c}",
        r"*{\x}{c}",
        "*",
        "@",
        ">",
        "p",
        "D{.}",
        "S[",
        "|" * 9999,
        r"\input{x}",
    ],
)
def test_any_columns_are_read(spec):
    with contextlib.suppress(RefusedError):
        assert len(_prepare(rf"\begin{{tabular}}{{{spec}}}a\end{{tabular}}").tex) <= 2 * limits.LONGEST


@pytest.mark.parametrize("body", ["Y", "YY", r"*{9}{Y}", "X"])
def test_a_column_type_that_is_its_own_ends(body):
    text = rf"\begin{{table}}\newcolumntype{{Y}}{{{body}}}\begin{{tabular}}{{Y}}a\end{{tabular}}\end{{table}}"
    with contextlib.suppress(RefusedError):
        assert _prepare(text).style == "table"
