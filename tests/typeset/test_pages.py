"""Lines and pages: tabs, line distances, indentation and displays, as they show in the pixels."""

from itertools import pairwise

import numpy as np
import pytest

from gpurender import Renderer, Typesetter
from gpurender.typeset.layout import FORMULA


def ink(layout, page=0):
    """The page's pixels, True where there is ink."""
    return Renderer(device="cpu", backend="cpu")(layout).to_numpy()[page].reshape(layout.sizes[page]) < 128


def bands(rows):
    """The runs of True in a boolean array, as (start, stop)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rows.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@pytest.mark.parametrize(
    "word",
    [
        pytest.param("Hello", id="tab-hello"),
        pytest.param("False", id="tab-false"),
        pytest.param("Price", id="tab-price"),
        pytest.param("Alice", id="tab-alice"),
        "",
        "a",
        "Tomorrow",
        *("i" * n for n in range(1, 12)),
    ],
)
def test_a_tab_is_at_least_half_a_zero_wide(word):
    typesetter = Typesetter(latex="off")
    layout = typesetter([f"{word}\tprice", "0", " " * 8 + "x", "x"])
    font = typesetter.font
    stop = 8 * font.space / 64
    begin = layout.words[0, 2] if word else 8.0
    price = layout.words[1 if word else 0, 0]
    assert price - begin >= font.zero / 128
    # It stands at a multiple of eight spaces, and at the first that is far enough.
    assert (price - (layout.words[0, 0] if word else 8)) / stop == pytest.approx(
        round((price - (layout.words[0, 0] if word else 8)) / stop), abs=0.02
    )
    assert price - begin < stop + font.zero / 128


@pytest.mark.parametrize("size", [8, 12.5, 20, 40, 96])
def test_line_height_follows_the_size(size):
    layout = Typesetter(latex="off", size=size)("ab\nab\nab")
    baselines = np.unique(layout.glyph_xy[:, 1])
    assert np.diff(baselines).tolist() == [64 * round(1.1 * size)] * 2


@pytest.mark.parametrize(
    ("text", "options"),
    [
        pytest.param("First line gjpqy\nSecond line ÅỆ\nThird line", {"size": 40}, id="size-alone"),
        pytest.param("gjpqy(){}\nẪỄỖ\n[gjpqy]|\nÅỆ", {"size": 20}, id="vietnamese"),
        pytest.param("||||\n||||\n||||", {"size": 33}, id="bars"),
        pytest.param("gŢ\nǛ̂", {"size": 28, "font": "serif"}, id="serif"),
    ],
)
def test_lines_do_not_overprint(text, options):
    layout = Typesetter(latex="off", **options)(text)
    lines = Typesetter(latex="off", **options)(text.split("\n"))
    heights = [int(size[0]) - 16 for size in lines.sizes]
    # As much ink stands above one another as the lines have by themselves.
    assert layout.sizes[0, 0] - 16 >= sum(heights[1:-1])
    boxes = [ink(lines, k) for k in range(len(lines))]
    assert ink(layout).sum() == sum(int(box.sum()) for box in boxes)


@pytest.mark.usefixtures("noto")
@pytest.mark.parametrize(
    ("font", "text"),
    [
        pytest.param("Noto Sans Myanmar", "လူတိုင်းသည် ဂုဏ်သိက္ခာဖြင့် အခွင့်အရေးများ", id="tall-script"),
        pytest.param("Noto Sans Khmer", "មនុស្សទាំងអស់ កើតមកមានសេរីភាព និងសមភាព", id="khmer"),
        pytest.param(
            "Noto Nastaliq Urdu", "تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں۔", id="urdu"
        ),
        pytest.param("Noto Serif Tibetan", "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས", id="tibetan"),
    ],
)
def test_lines_of_a_tall_font_do_not_touch(font, text):
    try:
        typesetter = Typesetter(latex="off", width=220, font=font)
    except ValueError as error:
        pytest.skip(f"{error}: apt-get install -y --no-install-recommends fonts-noto-core fonts-noto-extra")
    layout = typesetter(text)
    count = len(np.unique(np.round(layout.words[:, 1])))
    rows = bands(ink(layout).any(1))
    assert count >= 2
    assert len(rows) >= count


def test_a_given_line_height_stays():
    layout = Typesetter(latex="off", size=40, line_height=22)("gjpqy\nÅỆ")
    assert np.diff(np.unique(layout.glyph_xy[:, 1])).tolist() == [22 * 64]


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        pytest.param("        return x\n        y = 2", "        ", id="indentation"),
        ("    a\n      b\n    c", "    "),
        ("\ta\n\t\tb", "\t"),
        ("\u3000\u3000第一\n\u3000\u3000第二", "\u3000\u3000"),
        ("\u00a0\u00a0\u00a0\u00a0a\n\u00a0\u00a0\u00a0\u00a0b", "\u00a0\u00a0\u00a0\u00a0"),
        ("  - one\n\n  - two", "  "),
    ],
)
def test_indentation_that_all_lines_share_survives_trimming(text, shared):
    typesetter = Typesetter(latex="off")
    indented, plain = (typesetter(t) for t in (text, text.replace(shared, "", 1).replace("\n" + shared, "\n")))
    width = typesetter(f"|{shared}|").words[-1, 2]
    left, bare = (int(np.flatnonzero(ink(layout).any(0))[0]) for layout in (indented, plain))
    assert bare <= 9
    assert left - bare > 0.7 * (width - typesetter("||").words[-1, 2])


@pytest.fixture(scope="module")
def two():
    return Typesetter(latex="off")


def test_indentation_of_some_lines_is_trimmed_as_before(two):
    layout = two("  a\nb")
    assert np.flatnonzero(ink(layout).any(0))[0] <= 9
    assert two("a").sizes.tolist() == two("a\n   ").sizes.tolist()


def test_right_to_left_text_keeps_its_indentation_at_the_right(two):
    layout, plain = two("    שלום\n    עולם"), two("שלום\nעולם")
    right = layout.sizes[0, 1] - np.flatnonzero(ink(layout).any(0))[-1]
    assert right - (plain.sizes[0, 1] - np.flatnonzero(ink(plain).any(0))[-1]) > 15


@pytest.mark.usefixtures("noto")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("┌────┐\n│ ab │\n│你好│\n│ cd │\n└────┘", id="box-drawing"),
        "╔══╗\n║你║\n╚══╝",
        "root\n├── 目录\n│   ├── 文件\n│   └── b\n└── c",
        "▁▂▃\n█你█\n▙▟▚",
    ],
)
@pytest.mark.parametrize("options", [{}, {"line_height": 22}, {"size": 32}])
def test_rows_of_a_drawn_box_stand_at_one_distance(text, options):
    layout = Typesetter(latex="off", font="monospace", **options)(text)
    rows = np.unique(layout.glyph_xy[:, 1])
    # Fonts share a baseline, so that each row has one.
    assert len(rows) == text.count("\n") + 1
    first = 1 if text.startswith("root") else 0
    assert len(set(np.diff(rows)[first:].tolist())) == 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Let $p$ be such that\n\\[p(n)=\\frac{n}{n^2-1}\\]\nfor $n=2$.", id="display-centre"),
        "A long line of text beside which the formula is narrow\n$$x$$\nend",
        "a\n$$x_1+x_2+x_3+x_4+x_5+x_6$$\nb\n$$y$$",
        "$$x$$\n\n$$\\sum_{i=0}^n x_i$$",
        "  indented text, and more of it\n$$x$$\n  again",
    ],
)
@pytest.mark.parametrize("engine", ["pdftex", "ziamath"])
def test_displays_stand_in_the_middle_of_the_trimmed_page(text, engine, request):
    if engine == "pdftex":
        request.getfixturevalue("tex")
    layout = Typesetter(latex=engine)(text)
    dark = ink(layout)
    width = dark.shape[1]
    shown = 0
    for box, kind, (start, _) in zip(layout.words, layout.word_kinds, layout.word_ranges, strict=True):
        if kind == FORMULA and text[start] + text[start + 1] in ("$$", "\\["):
            rows = dark[int(box[1]) : int(np.ceil(box[3]))].any(0)
            columns = np.flatnonzero(rows)
            assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx(width / 2, abs=1.5)
            shown += 1
    assert shown == text.count("$$") // 2 + text.count("\\[")


@pytest.mark.parametrize("text", ["שלום\n$$x$$\nעולם", "אב\n$$x+y+z+x+y+z+x+y$$\nגד"])
def test_displays_of_right_to_left_text_stand_in_the_middle_too(text):
    layout = Typesetter(latex="ziamath")(text)
    (box,) = layout.words[layout.word_kinds == FORMULA]
    assert (box[0] + box[2]) / 2 == pytest.approx(layout.sizes[0, 1] / 2, abs=2)
    columns = np.flatnonzero(ink(layout).any(0))
    assert layout.sizes[0, 1] - columns[-1] <= 10


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("(A)$\\frac{\\sqrt{2}}{12}$\n(B)$\\frac{\\sqrt{3}}{12}$", id="display-tight"),
        "$\\frac{a}{b}$\n$\\frac{c}{d}$\n$\\frac{e}{f}$",
        "$$\\frac{a}{b}$$\n$$\\frac{c}{d}$$",
    ],
)
def test_fractions_of_successive_lines_do_not_read_as_one(text):
    layout = Typesetter(latex="ziamath")(text)
    boxes = layout.words[layout.word_kinds == FORMULA]
    dark = ink(layout)
    # Within a fraction bar and number stand some 3 px from each other.
    columns = slice(int(boxes[0, 0]), int(boxes[0, 2]))
    gaps = [b[0] - a[1] for a, b in pairwise(bands(dark[:, columns].any(1)))]
    between = sorted(gaps)[-(len(boxes) - 1) :]
    assert min(between) >= 7
    assert max(sorted(gaps)[: -(len(boxes) - 1)]) < min(between) - 1


def test_space_stands_around_displays():
    layout = Typesetter(latex="ziamath")("Hxg\n$$x$$\nHxg")
    rows = bands(ink(layout).any(1))
    assert len(rows) == 3
    assert rows[1][0] - rows[0][1] >= 12
    assert rows[2][0] - rows[1][1] >= 12


def test_low_formulas_leave_lines_where_they_are():
    layout = Typesetter(latex="ziamath", line_height=26)("a\n$x$ b\nc")
    assert np.diff(np.unique(layout.glyph_xy[:, 1])).tolist() == [26 * 64] * 2
