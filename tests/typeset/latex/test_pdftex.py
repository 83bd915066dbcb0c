import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest

from gpurender.typeset.latex import limits, pdftex
from gpurender.typeset.latex.box import COLOR, FONT, FOREGROUND, XMAX, Box, EngineError, Failure, X, Y
from gpurender.typeset.latex.pdftex import PdfTeX
from gpurender.typeset.latex.source import RefusedError, Source, check

pytestmark = pytest.mark.usefixtures("tex")

SP = 26 * 64 / 10 / 65536  # 1/64 px in a scaled point, at the engine's size
FRESH = [
    Source(r"\frac{\gamma}{\beta}+\alpha_{x}\sum_{i}^n\left(\begin{array}{cc}a&b\\c&d\end{array}\right)", "display"),
    Source(r"\begin{tabular}{|c|l}\hline \textbf{x} & 3\% \\\hline\end{tabular}", "table", 500),
]


@pytest.fixture(scope="module")
def fresh(tex):
    """What the fresh formulas look like on a server that has set nothing else."""
    engine = PdfTeX(26)
    yield engine(FRESH)
    engine.close()


def _inline(*texts, width=0):
    return [Source(text, "inline", width) for text in texts]


def _pid(engine):
    return engine._server._process.pid


# ---- What boxes are.


def test_sizes_are_those_of_tex(engine):
    x, rule, empty = engine(_inline("x", r"\rule[-2pt]{10pt}{5pt}", ""))
    # lmmi10's x is 5.71527 pt wide and 4.30554 pt high.
    assert (x.width, x.height, x.depth) == (round(374556 * SP), round(282168 * SP), 0)
    assert (rule.width, rule.height, rule.depth) == (round(655360 * SP), round(3 * 65536 * SP), round(2 * 65536 * SP))
    assert (empty.width, len(empty.glyphs), len(empty.rules)) == (0, 0, 0)
    assert empty.ink[0] >= empty.ink[2]


def test_glyphs_stand_where_tex_puts_them(engine):
    (box,) = engine(_inline("x+x"))
    # A medium space, 4/18 of 10 pt, on either side of a sign 7.77780 pt wide.
    assert (
        np.abs(box.glyphs[:, X] - np.array([0, 5.71527 + 2.22224, 5.71527 + 7.7778 + 4.44448]) * 65536 * SP).max() <= 1
    )
    assert not box.glyphs[:, Y].any()
    assert (box.glyphs[:, COLOR] == FOREGROUND).all()
    assert {engine.fonts[number].key.size for number in box.glyphs[:, FONT].tolist()} == {26.0}


def test_scripts_are_smaller_and_raised(engine):
    (box,) = engine(_inline("x^2"))
    base, script = box.glyphs
    assert engine.fonts[script[FONT]].key.size == pytest.approx(18.2)
    assert base[Y] == 0 > script[Y]


def test_display_style_divides_everything_that_over_divides(engine):
    small, large, other = engine(
        [Source(r"1\over2", "inline"), Source(r"1\over2", "display"), Source(r"\frac12", "display")]
    )
    assert large.height > small.height
    assert large.height == other.height
    assert large.width == other.width


def test_a_fraction_bar_is_one_row_and_joins_its_radical(engine):
    (box,) = engine(_inline(r"\sqrt{\frac ab}"))
    assert len(box.rules) == 2
    assert set((box.rules[:, 3] - box.rules[:, 1]).tolist()) == {64}
    assert not (box.rules[:, [1, 3]] % 64).any()
    radical, bar = box.glyphs[0], box.rules[0]
    assert bar[3] == (radical[Y] + 32) >> 6 << 6


@pytest.mark.parametrize(
    ("text", "color"),
    [
        (r"\textcolor{red}{x}", 0xFF0000),
        (r"\textcolor[rgb]{0,0.5,1}{x}", 0x0080FF),
        (r"\textcolor[gray]{0.2}{x}", 0x333333),
        (r"\textcolor[cmyk]{1,0,0,0}{x}", 0x00FFFF),
        (r"\textcolor[HTML]{123456}{x}", 0x123456),
        (r"\textcolor{black}{x}", 0),
        (r"\textcolor{ForestGreen}{x}", None),
        (r"\color{blue!50!white}x", 0x8080FF),
        (r"\textcolor{red}{\textcolor{blue}{}x}", 0xFF0000),
    ],
)
def test_colors(engine, text, color):
    first, second = engine(_inline(text + "{}", "x"))
    assert isinstance(first, Box), first
    assert first.glyphs[0, COLOR] == color if color is not None else first.glyphs[0, COLOR] > 0
    assert second.glyphs[0, COLOR] == FOREGROUND


def test_a_color_box_is_a_rule_behind(engine):
    (box,) = engine(_inline(r"\colorbox{yellow}{x}y"))
    assert box.rules[0, 4] == 0xFFFF00
    assert box.glyphs[:, COLOR].tolist() == [FOREGROUND, FOREGROUND]


def test_old_words_and_environments_of_the_same_name(engine):
    texts = [
        r"\matrix{a&b\cr c&d}",
        r"\begin{matrix}a&b\\c&d\end{matrix}",
        r"\pmatrix{a&b\cr c&d\cr}",
        r"\begin{pmatrix}a&b\\c&d\end{pmatrix}",
        r"\cases{a&b\cr c&d}",
        r"\begin{cases}a&b\\c&d\end{cases}",
        r"\eqalign{a&=b\cr c&=d\cr}",
        r"\displaylines{a=b\cr c=d}",
        r"\begin{gpreqnarray}a&=&b\\[2pt]c&=&d\end{gpreqnarray}",
        r"{\cal A}{\bf B}{\rm C}\Bbb R\frak g",
        r"{a\choose b}{a\atop b}{a\over b}",
    ]
    for text, box in zip(texts, engine([Source(text, "display") for text in texts]), strict=True):
        assert isinstance(box, Box), (text, box)
        assert len(box.glyphs) >= 4


def test_what_numbers_and_refers_is_quiet(engine):
    plain, same, tagged = engine(_inline("x", r"x\label{a}\nonumber\notag\qedhere", r"x\tag{1}"))
    assert plain.width == same.width
    assert len(tagged.glyphs) == 4


def test_units(engine):
    box, plain = engine(_inline(r"\SI[mode=text]{8.4}{\percent}", r"8.4\,\%"))
    assert box.width == plain.width
    (failure,) = engine(_inline(r"\percent"))
    assert failure.kind == "error"
    assert failure.message.startswith("Undefined control sequence")
    assert isinstance(engine(_inline(r"\SI{3e8}{\kilo\meter\per\second\squared}"))[0], Box)


def test_beyond_ascii(engine):
    pairs = [
        ("α≤β", r"\alpha\leq\beta"),
        ("x²", "x{}^2"),
        ("90°", r"90{}^\circ"),
        ("∞→ℝ", r"\infty\rightarrow\mathbb{R}"),
    ]
    for text, same in pairs:
        one, other = engine(_inline(text, same))
        assert one.width == other.width
        assert isinstance(engine([Source(text, "table")])[0], Box)
    (failure,) = engine(_inline("中"))
    assert failure.kind == "error"
    assert "中" in failure.message


# ---- Tables.


def test_cells_have_a_row_and_a_column(engine):
    (box,) = engine(
        [
            Source(
                r"\begin{tabular}{|c|l|p{2cm}|}\hline a & \multicolumn{2}{c|}{span} \\\hline"
                r"\begin{tabular}{cc}1&2\\3&4\end{tabular} & \makecell{x\\y} & long text that wraps\\\cline{2-3}"
                r"\multirow{2}{*}{m} & & $\begin{matrix}1&2\\3&4\end{matrix}$\\ & s & t \\\hline\end{tabular}",
                "table",
            )
        ]
    )
    assert box.cells[:, :2].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 0], [2, 2], [3, 1], [3, 2]]
    left, top, right, bottom = box.cells[:, 2:].T
    assert (left < right).all()
    assert (top < bottom).all()
    assert left.min() > 0
    assert right.max() < box.width
    # Each glyph lies in a cell.
    for x, y in box.glyphs[:, [X, Y]].tolist():
        assert ((left <= x) & (x <= right) & (top <= y) & (y <= bottom)).any()


def test_cells_do_not_move_anything(engine):
    text = r"\begin{tabular}{|l|p{3cm}r@{}}\hline a & words in a paragraph & $x^2$\\ & \centering b & \\\end{tabular}"
    table, maths = engine([Source(text, "table"), Source(rf"\mbox{{{text}}}", "inline")])
    assert len(table.cells) == 4
    assert len(maths.cells) == 0
    assert (table.width, table.height, table.depth) == (maths.width, maths.height, maths.depth)
    assert np.array_equal(table.glyphs, maths.glyphs)


def test_cells_count_anew_for_each_trial_of_tabularx(engine):
    text = r"\begin{tabularx}{\textwidth}{|X|X|}\hline a & b\\\hline c & d\\\hline\end{tabularx}"
    (box,) = engine([Source(text, "table", 300)])
    assert abs(box.width - 300 * 64) <= 1
    assert box.cells[:, :2].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_row_and_cell_colors_fill_their_cells(engine):
    (box,) = engine(
        [Source(r"\begin{tabular}{cc}\rowcolor{red}a&b\\\cellcolor{green}c&\textcolor{blue}{d}\end{tabular}", "table")]
    )
    filled = [rule for rule in box.rules.tolist() if rule[4] != FOREGROUND]
    assert [rule[4] for rule in filled] == [0xFF0000, 0xFF0000, 0x00FF00]
    # Side by side and one below the other they meet.
    assert filled[0][2] == filled[1][0]
    assert filled[0][3] == filled[2][1]
    assert box.glyphs[:, COLOR].tolist() == [FOREGROUND, FOREGROUND, FOREGROUND, 0x0000FF]


def test_lines_of_a_table_are_even(engine):
    row = r"a&b\\\hline "
    (box,) = engine([Source(r"\begin{tabular}{|c|c|}\hline " + row * 20 + r"\end{tabular}", "table")])
    wide, tall = box.rules[:, 2] - box.rules[:, 0], box.rules[:, 3] - box.rules[:, 1]
    assert set(np.minimum(wide, tall).tolist()) == {64}
    assert not (box.rules[:, :4] % 64).any()
    # From the top to the bottom the outer line has no gap.
    rows = np.zeros(2000, bool)
    top = int(box.rules[:, 1].min())
    for left, first, _, last, _ in box.rules[tall > wide].tolist():
        if left == 0:
            rows[(first - top) // 64 : (last - top) // 64] = True
    for _, first, _, last, _ in box.rules[wide > tall].tolist():
        rows[(first - top) // 64 : (last - top) // 64] = True
    assert rows[: (int(box.rules[:, 3].max()) - top) // 64].all()


def test_what_authors_see_of_their_mistakes_in_tables(engine):
    text = r"\begin{tabular}{l}A1^{2}\\\hline\end{tabular}"
    assert isinstance(engine([Source(text, "table")])[0], Box)
    assert engine(_inline(r"\mbox{A1^{2}}"))[0] == Failure("error", "Missing $ inserted.")


def test_notes_count_in_their_own_table(engine):
    text = r"\begin{tabular}{l}a\footnote{x}\\b\footnote{y}\end{tabular}"
    one, two = engine([Source(text, "table")] * 2)
    assert np.array_equal(one.glyphs, two.glyphs)


def test_what_draws_otherwise_is_named(engine):
    assert engine(_inline(r"\rotatebox{90}{x}"))[0].kind == "picture"
    (failure,) = engine([Source(r"\begin{tabular}{c}\special{ps: 1 setgray}x\end{tabular}", "table")])
    assert failure == Failure("picture", "it draws by a special, 'ps: 1 setgray'")


# ---- Widths.


@pytest.mark.parametrize("style", ["inline", "display"])
def test_formulas_are_broken_where_tex_breaks_them(engine, style):
    text = "+".join(rf"\frac{{x_{{{k}}}}}{{y}}" for k in range(20)) + "=z"
    natural, wide, narrow = engine([Source(text, style), Source(text, style, 3000), Source(text, style, 300)])
    assert np.array_equal(natural.glyphs, wide.glyphs)
    # On the baseline of the last line, after which text goes on.
    assert narrow.width <= 300 * 64
    assert narrow.height > 2 * natural.height
    assert narrow.depth <= natural.depth + 64
    last = narrow.glyphs[narrow.glyphs[:, Y] == narrow.glyphs[-1, Y]]
    end = (last[:, X] + last[:, XMAX]).max()
    widest = (narrow.glyphs[:, X] + narrow.glyphs[:, XMAX]).max()
    assert narrow.width == pytest.approx(end if style == "inline" else widest, abs=128)
    assert len(narrow.glyphs) == len(natural.glyphs)
    # Lines do not touch: rows without ink lie between them.
    rows = np.zeros(4000, bool)
    for y, low, high in narrow.glyphs[:, [Y, 6, 8]].tolist():
        rows[1000 + (y - high) // 64 : 1000 + (y - low) // 64 + 1] = True
    inked = np.flatnonzero(rows)
    assert (~rows[inked[0] : inked[-1]]).any()


def test_what_cannot_be_broken_keeps_its_width(engine):
    natural, narrow = engine([Source(r"\frac{a+b+c+d+e+f}{2}", "display", width) for width in (0, 20)])
    assert np.array_equal(natural.glyphs, narrow.glyphs)


# ---- Input from anywhere.

HARMLESS = {r"\write18{touch X}", r"\immediate\write18{touch X}", r"\special{color push rgb 1 0 0}"}
HOSTILE = [
    "}",
    "{",
    "a } b { c",
    r"\bgroup",
    r"\begingroup x",
    r"\egroup",
    r"\endgroup",
    r"\begin{array}{c}a",
    r"\left(",
    "$",
    "&",
    "#",
    "x %",
    r"\iffalse x",
    r"\iftrue x",
    r"\input missing",
    r"\input /etc/passwd",
    r"\openin5=/etc/passwd \read5 to\x \x",
    r"\immediate\openout5=X \immediate\write5{x}\immediate\closeout5",
    r"\write18{touch X}",
    r"\immediate\write18{touch X}",
    r"\gdef\alpha{x}",
    r"\xdef\frac{x}",
    r"\global\let\beta\gamma",
    r"\global\catcode`\a=13 ",
    r"\global\catcode`\\=12 ",
    r"\global\mathcode`x=`y",
    r"\global\thickmuskip=100mu",
    r"\global\everymath{x}",
    r"\globaldefs=1 \def\alpha{y}",
    r"\csname gdef\endcsname\gamma{q}",
    r"\expandafter\gdef\csname gamma\endcsname{q}",
    "^^5cgdef^^5cgamma{x}",
    r"\aftergroup\gdef x",
    r"\end{document}",
    r"\endinput",
    r"\batchmode\foo",
    r"\errorstopmode\foo",
    r"\read16 to \x",
    r"\verb|x",
    r"\loop\iftrue\repeat",
    r"\def\x{\x\x}\x",
    r"\def\x{a\x}\x",
    r"\def\a#1{#1#1#1#1}\a{\a{\a{\a{\a{\a{\a{\a{\a{\a{\a{\a{x}}}}}}}}}}}}",
    r"\kern 100m",
    r"\kern 100000pt",
    r"\kern 10000pt x",
    r"\hskip 16000pt\hskip 16000pt x",
    "x" * 19_999,
    "x" * 100_000,
    "x\ny\n\\end{document}\n",
    "中文",
    r"\shipout\hbox{x}\foo",
    r"\special{color push rgb 1 0 0}",
    r"\special{ps: x}",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:24]))
def test_nothing_reaches_the_next_formula(engine, fresh, equal, text, tmp_path):
    # Past the deny list, straight into the engine.
    source = Source(text.replace("X", str(tmp_path / "written")), "inline")
    first, bad, second = engine([FRESH[0], source, FRESH[1]])
    assert equal(first, fresh[0])
    assert equal(second, fresh[1])
    if text in HARMLESS:
        assert isinstance(bad, Box)
    else:
        assert isinstance(bad, Failure), bad
        assert bad.kind in ("denied", "limit", "error", "picture")
        assert bad.message
    assert all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        r"\arrayrulecolor{red}",
        r"\doublerulesepcolor{red}",
        r"\cellcolor{red}",
        r"\color{red}x",
        r"\rowcolors{1}{red}{blue}",
        r"\definecolor{red}{rgb}{0,1,0}",
        r"\setlength{\tabcolsep}{1pt}",
        r"\boldmath",
        r"\small",
        r"\begin{tabular}{|c|}\arrayrulecolor{red}\hline\rowcolor{red}x\\\cellcolor{red}",
        r"\footnote{x}",
        r"\cmidrule[5pt]{1-2}",
    ],
)
@pytest.mark.parametrize("style", ["inline", "table"])
def test_words_that_are_allowed_end_with_their_formula(engine, fresh, equal, text, style):
    engine([Source(text, style)])
    more = Source(r"\begin{tabular}{|c||c|}\hline a&\textcolor{red}{b}\\\hline\end{tabular}\footnote{x}", "table", 500)
    (one,) = engine([more])
    other = PdfTeX(26)
    assert equal(one, other([more])[0])
    other.close()
    assert all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))


def test_the_macros_of_the_server_are_out_of_reach(engine, fresh, equal):
    for text in (r"x\gprI{2}{y}", r"\gpr 1.", r"\gprend 1.", r"\gpr@ship{2}{0}"):
        *_, bad, good = engine([FRESH[0], Source(text, "inline"), FRESH[1]])
        assert isinstance(bad, Failure)
        assert equal(good, fresh[1])


def test_the_deny_list_has_what_the_walls_would_stop():
    for text in (
        r"\gdef\alpha{x}",
        r"\input x",
        r"\csname x\endcsname",
        r"\catcode`x=1",
        "^^5c",
        r"\end{document}",
        "}",
    ):
        with pytest.raises(RefusedError):
            check(text)


def test_errors_are_readable(engine):
    failures = engine(_inline(r"\foo", r"x^{\barbaz}", "a^b^c", r"\begin{foo}", "{"))
    assert [failure.message for failure in failures] == [
        r"Undefined control sequence \foo",
        r"Undefined control sequence \barbaz",
        "Double superscript.",
        "LaTeX Error: Environment foo undefined.",
        "something is never closed",
    ]


def test_a_thousand_errors_in_a_row(engine, fresh, equal):
    engine.start()
    pid = _pid(engine)
    failures = engine(_inline(*[rf"\foo^a^b{{}}_c_d \word{chr(97 + k % 26)}" for k in range(1000)]))
    assert {failure.kind for failure in failures} == {"error"}
    assert all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))
    assert _pid(engine) == pid


def test_a_batch_with_several_that_harm(engine, fresh, equal):
    sources = [FRESH[0]] * 9
    sources[1] = Source(r"\gdef\alpha{x}", "inline")
    sources[4] = Source(r"\end{document}", "inline")
    sources[8] = Source(r"\global\let\gamma\beta", "inline")
    boxes = engine(sources)
    assert [isinstance(box, Failure) for box in boxes] == [k in (1, 4, 8) for k in range(9)]
    assert all(equal(box, fresh[0]) for box in boxes if isinstance(box, Box))


def test_too_large_and_too_long(engine, monkeypatch):
    assert engine(_inline("x" * (limits.LONGEST + 1)))[0].kind == "limit"
    assert engine(_inline(r"\rule{10000pt}{1pt}"))[0] == Failure("limit", f"larger than {limits.LARGEST} px")
    assert engine(_inline(r"\rlap{\hskip 10000pt x}"))[0].kind == "limit"


# ---- Processes.


def test_killed_from_outside_in_mid_batch(engine, fresh, equal):
    for k in range(8):
        engine.start()
        killer = threading.Timer(0.007 * k, os.kill, (_pid(engine), signal.SIGKILL))
        killer.start()
        boxes = engine(FRESH * 500)
        killer.join()
        assert all(equal(box, fresh[n % 2]) for n, box in enumerate(boxes))


def test_an_interruption_leaves_nothing_behind(engine, fresh, equal, monkeypatch):
    engine.start()
    server_ = engine._server

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(server_, "_outcome", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine(FRESH)
    assert not server_.alive
    assert all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))


def test_stopped_from_outside(engine, fresh, equal, monkeypatch):
    monkeypatch.setattr("gpurender.typeset.latex.server.SECONDS", 0.5)
    engine.start()
    os.kill(_pid(engine), signal.SIGSTOP)
    assert all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))


def test_what_hangs_tells_its_limit(engine, monkeypatch):
    monkeypatch.setattr("gpurender.typeset.latex.server.SECONDS", 0.3)
    results = engine([*_inline("x", r"\loop\iftrue\repeat"), FRESH[1]])
    assert [type(result) for result in results] == [Box, Failure, Box]
    assert results[1].kind == "limit"


def test_a_fork_starts_its_own(engine, fresh, equal):
    engine.start()
    pid = _pid(engine)
    child = os.fork()
    if child == 0:
        same = False
        try:
            same = all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True)) and _pid(engine) != pid
            engine.close()
        finally:
            os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))
    assert _pid(engine) == pid


def test_a_fork_while_another_thread_sets(engine, fresh, equal):
    engine.start()
    thread = threading.Thread(target=engine, args=(FRESH * 1000,))
    thread.start()
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        same = False
        try:
            same = all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))
            engine.close()
        finally:
            os._exit(0 if same else 1)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))


def test_a_pickled_copy_starts_its_own(engine, fresh, equal):
    engine.start()
    copy = pickle.loads(pickle.dumps(engine))
    assert copy._server is None
    assert all(equal(a, b) for a, b in zip(copy(FRESH), fresh, strict=True))
    assert _pid(copy) != _pid(engine)
    copy.close()


def test_closed_it_starts_again(engine, fresh, equal):
    engine(FRESH)
    engine.close()
    engine.close()
    assert all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))


def test_a_server_is_replaced_in_time(engine, fresh, equal, monkeypatch):
    monkeypatch.setattr(pdftex, "ITEMS", 10)
    pids = set()
    for _ in range(12):
        assert all(equal(a, b) for a, b in zip(engine(FRESH), fresh, strict=True))
        pids.add(_pid(engine))
    assert len(pids) == 3


def test_from_several_threads(engine, fresh, equal):
    wrong = []

    def work():
        for _ in range(10):
            boxes = engine(FRESH)
            wrong.extend(1 for a, b in zip(boxes, fresh, strict=True) if not equal(a, b))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_memory_is_flat(engine):
    def resident(pid):
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def work(first):
        for k in range(first, first + 8):
            engine(_inline(*[rf"x_{{{k}}}^{{{j}}}+\frac{{a}}{{\sqrt{{{j}}}}}" for j in range(256)]))

    work(0)
    pid = _pid(engine)
    before = resident(os.getpid()), resident(pid)
    work(8)
    after = resident(os.getpid()), resident(pid)
    assert _pid(engine) == pid
    assert after[0] - before[0] < 8e6
    assert after[1] - before[1] < 1e6


def test_without_pdftex(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="apt-get install"):
        PdfTeX(26).start()


def test_sizes_that_are_none():
    with pytest.raises(ValueError, match="size"):
        PdfTeX(0)


def test_another_size_is_the_same_but_larger(engine):
    large = PdfTeX(52)
    (one,), (other,) = engine(_inline("x^2+y")), large(_inline("x^2+y"))
    large.close()
    assert np.abs(2 * one.glyphs[:, [X, Y]] - other.glyphs[:, [X, Y]]).max() <= 1
