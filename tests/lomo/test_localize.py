"""Span localisation: nothing is lost, no formula is cut, and the span is about what the position asks for."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpurender import localize
from gpurender.lomo.localize import POSITIONS, Segment, halve
from gpurender.typeset.breaks import grapheme_breaks
from gpurender.typeset.maths import find_formulas

PIECES = st.lists(
    st.one_of(
        st.sampled_from(["A sentence here. ", "Another one! ", "Why? ", "\n\n", "    indented\n", "word ", "- item\n"]),
        st.sampled_from(
            ["$x + 1 = 2$", "$$\\frac{a}{b}$$", "\\(y\\)", "\\frac{1}{2} ", "$5 ", "\\begin{cases}a\\end{cases}"]
        ),
        st.text(max_size=12),
    ),
    max_size=30,
).map("".join)
LONG = "One goes first. Two comes next. Three is after it. Four is here. Five follows. Six is the last of them. "


@pytest.mark.parametrize("position", POSITIONS)
@given(text=PIECES)
@example(text="\ud800. b. c. d. e")
@example(text="a" * 1000)
@example(text=". . . . . .")
def test_segments_rejoin_and_cut_no_formula(position, text):
    segments = localize(text, position=position)
    assert "".join(s.text for s in segments) == text
    at = 0
    for segment in segments:
        assert segment.start == at < segment.stop
        assert segment.text == text[segment.start : segment.stop]
        at = segment.stop
    assert at == len(text)
    assert any(s.is_span for s in segments) == bool(text.strip())
    assert not any(s.is_span and s.text.isspace() for s in segments)
    for start, stop, _ in find_formulas(text):
        assert not any(start < s.start < stop for s in segments)


@pytest.mark.parametrize("position", POSITIONS)
def test_at_most_three_sentences_are_one_span(position):
    text = "First one. Is $x. Y$ in it? Third!"
    assert [s.is_span for s in localize(text, position=position)] == [True]


def spans(text, position):
    return [s for s in localize(text, position=position) if s.is_span]


def test_positions_take_their_shares():
    text = LONG * 10
    size = len(text)
    for position, places in {
        "prefix": [(0, 1 / 3)],
        "middle": [(1 / 3, 2 / 3)],
        "suffix": [(2 / 3, 1)],
        "multi-span": [(2 / 9, 7 / 18), (11 / 18, 7 / 9)],
        "full": [(0, 1)],
    }.items():
        found = spans(text, position)
        assert len(found) == len(places)
        for span, (start, stop) in zip(found, places, strict=True):
            assert abs(span.start - start * size) <= size / 12
            assert abs(span.stop - stop * size) <= size / 12
            # Cut between sentences, the white space left outside.
            assert span.text[-1] in ".\x20"
            assert text[: span.start].rstrip().endswith(".") or span.start == 0


def test_cuts_prefer_the_edges_of_formulas():
    text = "One is. Two is too. Three is it. So $a = b + c + d$ here. And then $e = f$ too. The end of it. Is it?"
    assert abs(text.index("So $") - len(text) / 3) < abs(text.index("$a") - len(text) / 3) < len(text) / 12
    (span,) = spans(text, "middle")
    assert span.text.startswith("$a = b")


def test_a_formula_over_the_middle_is_the_span():
    formula = "$" + "x + " * 200 + "y$"
    text = f"One. Two. Three. {formula} Four. Five."
    (span,) = spans(text, "middle")
    assert span.text == formula


def test_long_sentences_are_cut_at_words():
    text = "One. Two. Three. " + "Word " * 300
    (span,) = spans(text, "middle")
    assert set(span.text.split()) == {"Word"}
    assert len(span.text) == pytest.approx(len(text) / 3, rel=0.02)


def test_long_words_are_cut_between_graphemes():
    text = "One. Two. Three. E" + "e\u0301" * 500
    (span,) = spans(text, "middle")
    assert len(span.text) % 2 == 0
    assert span.text.startswith("e")


def test_white_space_is_left_to_the_neighbours_but_not_indentation():
    text = "def f(x):\n" * 4 + "    if x:\n        return 1.\n" * 2 + "more of it\n" * 4
    for position in ("prefix", "middle", "suffix"):
        (span,) = spans(text, position)
        assert span.text == span.text.rstrip()
        assert span.start == 0 or text[span.start - 1] == "\n"
    assert any(s.text.startswith("    ") for p in POSITIONS for s in spans(text, p))


def test_a_blank_stretch_is_no_span():
    text = "One is. Two is. Three is. Four is.\n\n" + "\n" * 300 + "Five is. Six is. Seven is."
    for position in ("middle", "multi-span"):
        for span in spans(text, position):
            assert span.text.strip()
            assert len(span.text) < 40


def test_blank_and_empty():
    assert localize("") == []
    assert [s.is_span for s in localize(" \n\t")] == [False]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="position must be one of prefix, middle, suffix, multi-span, full, not 'end'"):
        localize("a", position="end")
    with pytest.raises(TypeError, match="text must be a str, not bytes"):
        localize(b"a")


def test_real_prompts(prompts):
    for name in ("gsm8k", "college_math", "human_eval", "alpaca_en", "mgsm"):
        for text in prompts(name):
            segments = localize(text)
            assert "".join(s.text for s in segments) == text
            assert sum(s.is_span for s in segments) == 1


@given(text=PIECES, start=st.integers(0, 9))
@example(text="a" + "\u0301" * 40, start=0)
@example(text="$x + y$", start=0)
@example(text="  a b  ", start=3)
def test_halves_rejoin_and_cut_neither_formula_nor_grapheme(text, start):
    parts = halve(Segment(text, start, start + len(text), True))
    if not parts:
        # One formula, one cluster, or no ink on one of the sides.
        return
    assert "".join(part.text for part in parts) == text
    assert [part.is_span for part in parts].count(True) == 2
    at = start
    for part in parts:
        assert part.start == at < part.stop
        assert not (part.is_span and part.text.isspace())
        at = part.stop
    cuts = {part.start - start for part in parts[1:]}
    assert cuts <= {*grapheme_breaks(text).tolist()}
    for begin, stop, _ in find_formulas(text):
        assert not any(begin < cut < stop for cut in cuts)


def test_halves_are_near_the_middle_at_the_best_place():
    text = "One two three. Four five six. "
    assert [part.text for part in halve(Segment(text, 7, 7 + len(text), True)) if part.is_span] == [
        "One two three.",
        "Four five six. ".rstrip(),
    ]
    assert halve(Segment("$x + y$", 0, 7, True)) == []
    assert halve(Segment("a\u0301\u0302", 0, 3, True)) == []
    assert [part.text for part in halve(Segment("ab $x + y + z$", 0, 14, True)) if part.is_span] == [
        "ab",
        "$x + y + z$",
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "Let the real numbers be such that $a+b=1$. Then the second is $c=2$. We ask for the third one, $d=3$. "
            "And so it goes on, $e=4$. Find it.",
            id="span-punctuation",
        ),
        "已知函数$f(x)=x^2$，且$a>0$。求$b=2$，那么$c=3$；若$d=4$，则$e=5$。求$f=6$的值。还有$g=7$，请回答。",
        'He said "$a=1$". She said "$b=2$"! They said ($c=3$); we said [$d=4$]: so it was. And then? No more.',
        "Si $a=1$ ; alors $b=2$ ; donc $c=3$ ! Et puis $d=4$ ? Oui. Non. Peut-être. Enfin.",
        "如果“$a=1$”，那么“$b=2$”。如果“$c=3$”，那么“$d=4$”。好。不好。也许。",
        "س١ $a=1$، ثم $b=2$؟ ثم $c=3$؛ ثم $d=4$. نعم. لا. ربما.",
        "यदि $a=1$। तब $b=2$। फिर $c=3$। और $d=4$। हाँ। नहीं।",
    ],
)
@pytest.mark.parametrize("position", POSITIONS)
def test_no_span_begins_with_the_closing_punctuation_of_what_was_cut(text, position):
    for span in spans(text, position):
        if span.start:
            assert span.text[0] not in ",.;:!?)]}”’」，。；：！？、…،؛؟।\"'"
        for half in halve(span)[1:]:
            if half.is_span:
                assert half.text[0] not in ",.;:!?)]}”’，。；：！？、…،؛؟।"
    segments = localize(text, position=position)
    assert "".join(s.text for s in segments) == text


@pytest.mark.parametrize("formula", ["$a=1$", "$" + "x+" * 40 + "1$", "$$y$$"])
@pytest.mark.parametrize(
    "text", ["{} One is. Two is. Three is. Four is.", "One is. Two is. Three is. Four is. {}", "{} {} {}"]
)
def test_formulas_at_the_edges_are_cut_off_whole(text, formula):
    prompt = text.replace("{}", formula)
    for position in POSITIONS:
        segments = localize(prompt, position=position)
        assert "".join(s.text for s in segments) == prompt
        assert all(s.text.count("$") % 2 == 0 for s in segments)
        for span in segments:
            assert "".join(s.text for s in halve(span)) in ("", span.text)


def test_punctuation_that_begins_a_word_stays_with_it():
    text = 'One is it. Two is it. Three is it. "Four" is too. :-) is one. Five. Six is the last.'
    starts = {s.text[:4] for k in range(20) for p in POSITIONS for s in spans("a" * k + text, p)}
    assert not {s for s in starts if s.startswith(("Four", "-)"))}


def test_opening_brackets_go_with_what_they_open():
    text = "One is it. Two is it and more ($a=1$, $b=2$) so. Three is it. Four. Five is here. Six is the last one."
    for position in POSITIONS:
        for segment in localize(text, position=position):
            assert not segment.text.endswith("(")


def test_spans_of_real_prompts_begin_at_words(prompts):
    for name in ("college_math", "alpaca_zh", "mgsm"):
        for text in prompts(name):
            for span in spans(text, "middle"):
                assert not span.start or span.text[0] not in ",.;!?)]}”’，。；：！？、」』）"
