"""Boxes in paragraphs: where they stand, what moves for them, and what stands for those that cannot be set."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender import Renderer, Typesetter
from gpurender.typeset.fonts import Outlines, find_font
from gpurender.typeset.latex.box import FOREGROUND, Failure, Picture, make_boxes
from gpurender.typeset.layout import CELL, FORMULA, TABLE, TEXT, FontKey

STEP, HEIGHT, DEPTH = 16, 20, 5  # px


class LetterEngine:
    """Sets each character in a square of its own, under a bar; `q` fails, `h` is high, `d` deep, `p` a picture."""

    name = "letters"

    def __init__(self):
        self.fonts = [Outlines(FontKey(find_font("serif").file, 0, 26.0))]
        self.asked = []

    def close(self):
        pass

    def __call__(self, sources):
        self.asked += sources
        return [self.set(source) for source in sources]

    def set(self, source):
        if "q" in source.tex:
            return Failure("error", "has a q")
        count, up = len(source.tex), 60 if "h" in source.tex else HEIGHT
        glyphs = np.zeros((count, 9), np.int32)
        for i, letter in enumerate(source.tex):
            color = 0x0A0BFF if letter == "c" else FOREGROUND
            glyphs[i, :5] = 0, self.fonts[0].face.get_char_index(letter), 64 * STEP * i, 0, color
        rules = np.array(
            [[0, -64 * up, 64 * STEP * count, -64 * up + 64, 0xFF0000 if "r" in source.tex else FOREGROUND]]
        )
        (box,) = make_boxes(
            self.fonts,
            np.array([[64 * STEP * count, 64 * up, 64 * DEPTH]]),
            glyphs,
            np.array([0, count]),
            rules.astype(np.int32),
            np.array([0, 1]),
        )
        if "d" in source.tex:
            box = box._replace(
                rules=box.rules + np.array([0, 64 * (up + 50), 0, 64 * (up + 50), 0], np.int32),
                ink=(*box.ink[:3], 51),
            )
        if "p" in source.tex:
            pixels = np.full((3, 2, 4), 255, np.uint8)
            pixels[..., :3] = 7
            box = box._replace(pictures=(Picture(1, -10, pixels),))
        if source.style == "table":
            box = box._replace(cells=np.array([[0, 0, 0, -640, 640, 0], [0, 1, 640, -640, 1280, 0]], np.int32))
        return box


def typesetter(**options):
    made = Typesetter(**options)
    made._latex._engine = LetterEngine()
    return made


@pytest.fixture(scope="module")
def setter():
    return typesetter()


def words(layout, page=0):
    rows = slice(*layout.word_offsets[page : page + 2])
    return list(
        zip(
            layout.word_ranges[rows].tolist(),
            layout.words[rows].tolist(),
            layout.word_kinds[rows].tolist(),
            strict=True,
        )
    )


def baselines(layout):
    """Of glyphs, the distinct y in px."""
    return sorted(set((layout.glyph_xy[:, 1] >> 6).tolist()))


def test_a_formula_stands_in_its_line_on_the_baseline(setter):
    text = "Let $xy$ be"
    layout = setter(text)
    (_, first, _), (span, box, kind), (_, last, _) = words(layout)
    assert span == [4, 8]
    assert kind == FORMULA
    assert [w[2] for w in words(layout)] == [TEXT, FORMULA, TEXT]
    assert len(baselines(layout)) == 1
    # As wide as it is, between its neighbours' spaces, on a whole pixel.
    space = setter.font.space / 64
    assert box[2] - box[0] == 2 * STEP
    assert box[0] == pytest.approx(first[2] + space, abs=0.51)
    assert last[0] == pytest.approx(first[2] + 2 * space + 2 * STEP, abs=0.01)
    assert box[0] == int(box[0])
    assert layout.count_formulas(0) == 1
    # From its height to its depth about the baseline.
    assert (box[1], box[3]) == (baselines(layout)[0] - HEIGHT, baselines(layout)[0] + DEPTH)
    assert setter._latex._engine.asked[-1].tex == "xy"


def test_rules_and_glyphs_of_a_box_move_with_it(setter):
    layout = setter(["first", "a $xc$ $r$"])
    assert layout.rule_offsets.tolist() == [0, 0, 2]
    boxes = [box for _, box, kind in words(layout, 1) if kind == FORMULA]
    for rule, box in zip(layout.rules.tolist(), boxes, strict=True):
        assert [rule[0] / 64, rule[1] / 64, rule[2] / 64] == box[:3]
        assert rule[3] - rule[1] == 64
    assert layout.rule_colors.tolist() == [[0, 0, 0], [255, 0, 0]]
    assert [10, 11, 255] in layout.glyph_colors.tolist()
    assert layout.glyph_colors.any(1).sum() == 1


def test_a_page_has_the_margin_around_a_box(setter):
    for text in ("$xxx$", "a $h$", "$$x$$", "$xxx$ a"):
        page = Renderer()(setter(text)).to_numpy()[0][0]
        rows, columns = np.nonzero(page < 255)
        assert rows.min() == 8
        assert page.shape[0] - 1 - rows.max() == 8
        assert columns.min() == 8
        assert page.shape[1] - 1 - columns.max() == 8


def test_lines_make_room_for_a_tall_formula(setter):
    text = "first line\nnext $h$ line\nlast line"
    plain, tall = baselines(setter(text.replace("$h$", "h"))), baselines(setter(text))
    assert np.diff(plain).tolist() == [22, 22]
    above, below = np.diff(tall).tolist()
    # Its bar is two pixels under the descender of the line above.
    assert above > 60
    assert below == 22


@pytest.mark.parametrize("text", ["$$d$$\nx", "$$d$$\n\nx", "$d$ a\nx", "$d$ a\n\n\nx", "$$d$$ x"])
def test_lines_stand_below_what_hangs_down_blank_ones_too(setter, text):
    layout = setter(text)
    bottom = layout.rules[0, 3] >> 6
    blank = text.count("\n\n") + text.count("\n\n\n")
    # The letter x is 11 px high; a blank line has room of its own.
    assert baselines(layout)[-1] - 11 >= bottom + 20 * blank


def test_low_formulas_leave_lines_where_they_are():
    small = typesetter(line_height=40)
    assert np.diff(baselines(small("a\n$x$ b\nc"))).tolist() == [40, 40]


@pytest.mark.parametrize("text", ["over $$x$$ under", "over\n$$x$$\nunder", "over\n\\[x\\] under", "over $$x$$\nunder"])
def test_a_display_takes_a_line_of_its_own(setter, text):
    layout = setter(text)
    (_, over, _), (_, box, _), (_, under, _) = words(layout)
    assert over[3] <= box[1] + 1
    assert box[3] - DEPTH < under[1] + 12
    assert len(baselines(layout)) == 3
    # In the middle of the page as it is after trimming.
    assert (box[0] + box[2]) / 2 == pytest.approx(layout.sizes[0, 1] / 2, abs=1)
    assert under[0] == pytest.approx(over[0])


def test_displays_at_the_left():
    (_, over, _), (_, box, _) = words(typesetter(display="left")("over $$x$$"))
    assert box[0] == pytest.approx(over[0], abs=1)


def test_blank_lines_around_a_display_stay(setter):
    close, apart = (baselines(setter(text)) for text in ("a\n$$x$$\nb", "a\n\n$$x$$\n\nb"))
    assert apart[-1] - apart[0] > close[-1] - close[0] + 22


def test_two_formulas_side_by_side_are_two_boxes(setter):
    assert [span for span, _, kind in words(setter("$x$$y$")) if kind == FORMULA] == [[0, 3], [3, 6]]


def test_lines_break_around_formulas_and_not_before_the_comma_after_one():
    narrow = typesetter(width=140)
    layout = narrow("aaaa $xxx$, $yyy$, bb")
    tops = {"aaaa $xxx$, $yyy$, bb"[a:b]: box for (a, b), box, _ in words(layout)}
    commas = [box for (a, b), box, _ in words(layout) if "aaaa $xxx$, $yyy$, bb"[a:b] == ","]
    for comma, formula in zip(commas, ("$xxx$", "$yyy$"), strict=True):
        assert abs((comma[3] + comma[1]) / 2 - (tops[formula][3] + tops[formula][1]) / 2) < 12
        assert comma[0] == pytest.approx(tops[formula][2], abs=0.6)
    assert tops["$yyy$"][1] > tops["$xxx$"][1]


def test_a_formula_wider_than_the_page_widens_it():
    narrow = typesetter(width=100)
    layout = narrow("a $" + "x" * 20 + "$ b")
    assert layout.sizes[0, 1] == pytest.approx(20 * STEP + 16, abs=2)
    assert narrow._latex._engine.asked[0].width == 84


def test_what_fails_is_set_as_source_in_monospace_and_named(setter):
    text = "Let $q+1$ be $x$."
    layout = setter(text)
    ((page, start, stop, kind, message),) = layout.diagnostics
    assert (page, text[start:stop], kind) == (0, "$q+1$", "formula")
    assert "has a q" in message
    assert layout.count_formulas(0) == 1
    assert any("Mono" in key.file for key in layout.fonts)
    source = [span for span, _, kind in words(layout) if kind == TEXT and span[0] >= start and span[1] <= stop]
    assert "".join(text[a:b] for a, b in source) == "$q+1$"
    # The rest of the page is as without it.
    assert words(setter("Let $x$."))[1][1][2] - words(setter("Let $x$."))[1][1][0] == STEP


def test_cells_follow_their_table(setter):
    text = "A table:\n\\begin{tabular}{cc} x & y \\end{tabular}"
    layout = setter(text)
    kinds = layout.word_kinds.tolist()
    assert kinds == [TEXT, TEXT, TABLE, CELL, CELL]
    assert layout.word_cells.tolist() == [[-1, -1]] * 3 + [[0, 0], [0, 1]]
    table, *cells = layout.words[2:].tolist()
    assert cells[0][0] == table[0]
    assert cells[1][0] == cells[0][2] == table[0] + 10
    assert {tuple(r) for r in layout.word_ranges[2:].tolist()} == {(9, len(text))}
    chosen = layout.select([0, 0])
    assert chosen.word_cells.tolist() == layout.word_cells.tolist() * 2


def test_pictures_of_boxes_are_on_their_pages_and_said(setter):
    layout = setter(["a $p$", "b", "$x$ $p$ $pp$"])
    assert np.diff(layout.picture_offsets).tolist() == [1, 0, 2]
    assert [d.kind for d in layout.diagnostics] == ["picture"] * 3
    # They are of no font.
    assert setter.font_names(layout, range(3)) == ["DejaVu Sans", "DejaVu Serif"]
    page = Renderer(channels=3)(layout).to_numpy()
    left, top, width, height = layout.pictures[0].tolist()
    assert (width, height) == (2, 3)
    assert (page[0][:, top : top + height, left : left + width] == 7).all()


def test_in_right_to_left_text_a_formula_takes_its_place_in_the_order(setter):
    layout = setter("שלום $xy$ עולם")
    (_, first, _), (_, box, _), (_, last, _) = words(layout)
    assert last[2] <= box[0] + 0.5
    assert box[2] <= first[0] + 0.5


def test_an_oversize_page_leaves_nothing_to_the_next():
    small = typesetter(max_pixels=20_000)
    huge = "$rc" + "x" * 200 + "$ \\begin{tabular}{c} x \\end{tabular} $r$"
    for after in ("hello", "$x$", "hello $c$"):
        layout = small([huge, after])
        assert [d.kind for d in layout.diagnostics] == ["oversize"]
        assert layout.select([1]).equals(small(after))


def test_latex_off_sets_what_is_typed():
    layout = Typesetter(latex="off")("Let $x$ be")
    assert layout.diagnostics == ()
    assert layout.count_formulas(0) == 0
    assert Typesetter(latex="off").latex == "off"


def test_a_copy_keeps_the_settings():
    copy = pickle.loads(pickle.dumps(typesetter(math_size=30, display="left", latex="off")))
    assert "math_size=30" in repr(copy)
    assert "display='left'" in repr(copy)


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    "a ",
                    "word ",
                    "$x$",
                    "$hh$",
                    "$d$",
                    "$$d$$",
                    "$q$",
                    "$$x$$",
                    "\n",
                    "\t",
                    "日本",
                    "שלום ",
                    "  ",
                    "$p$,",
                ]
            )
        ).map("".join),
        max_size=4,
    ),
    st.sampled_from([40, 90, 300]),
)
@settings(max_examples=200, deadline=None)
def test_a_page_is_the_same_in_any_batch(texts, width):
    made = _widths.setdefault(width, typesetter(width=width, fallback=()))
    whole = made(texts)
    for page, text in enumerate(texts):
        alone, chosen = made(text), whole.select([page])
        assert alone.equals(chosen)
        # Each character that is not blank is in a box, once; the ink is on the page.
        spans = sorted(alone.word_ranges.tolist())
        covered = "".join("".join(text[a:b].split()) for a, b in spans)
        assert covered == "".join(text.split())
        height, wide = alone.sizes[0].tolist()
        assert (alone.rules >= 0).all()
        assert (alone.rules <= [64 * wide, 64 * height] * 2).all()
        # No line's letters stand where a formula of another line has its rule.
        tops = [box[1] + HEIGHT for _, box, kind in words(alone) if kind == FORMULA and box[3] - box[1] < 40]
        ours = {round(y) for y in tops} | {box[1] + 60 for _, box, kind in words(alone) if kind == FORMULA}
        for top in (alone.rules[:, 1] >> 6).tolist():
            for baseline in baselines(alone):
                assert baseline in ours or not baseline - 10 < top < baseline


_widths = {}
