"""A span looks as it would within its prompt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurender import LoMo, Typesetter, localize
from gpurender.typeset import Context

FENCED = (
    "Explain this script.\n\n```r\ndf$total <- df$a + df$b\ndf$mean <- df$total / 2\nprint(df$mean)\nsummary(df$a)\n"
    "plot(df$a, df$b)\nmodel <- lm(df$a ~ df$b)\ncoef(model)\ndf$c <- df$a * df$b\n```\n\n"
    "What does it do? Is it right? Why? Explain."
)
HEBREW = (
    "החברה הוקמה בשנת 1990. היא מייצרת מחשבים. Windows היא מערכת הפעלה נפוצה (מאוד). Linux חינמית. יש גם אחרות. "
    "כמה מערכות הוזכרו כאן?"
)
JAPANESE = (
    "これは何ですか。次の地名を読んでください。\n直入海返骨町五丁目。\n山角令指直海辺市。\n"
    "これらはどこにありますか。教えてください。"
)


def span_of(text):
    (span,) = (s for s in localize(text, position="middle") if s.is_span)
    return span


@pytest.mark.parametrize("text", [pytest.param(FENCED, id="span-fence"), FENCED.replace("```", "~~~~")])
def test_a_span_in_a_code_fence_holds_no_formula(text):
    span = span_of(text)
    done = LoMo(ratio=1, position="middle")([{"messages": [{"role": "user", "content": text}]}])
    assert "```" not in span.text.replace("~", "`")
    assert "$" in span.text
    assert done.layout.count_formulas(0) == 0
    assert done.layout.equals(Typesetter(latex="off")(span.text))


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("Text `a $x$ b` and more $y$.", "$x$ b` and more $y$."),
        ("Say $$a = b$$ or $c$ here.", "= b$$ or $c$"),
    ],
)
def test_formulas_of_a_part_are_those_of_the_whole(text, inside):
    start = text.index(inside)
    layout = Typesetter(latex="ziamath")([inside], contexts=[Context(text, start)])
    assert layout.count_formulas(0) == 1


@pytest.mark.parametrize("text", [pytest.param(HEBREW, id="span-direction")])
def test_a_span_of_a_right_to_left_paragraph_is_set_right_to_left(text):
    span = span_of(text)
    assert span.text.startswith("Windows")
    typesetter = Typesetter(latex="off", width=500)
    done = LoMo(ratio=1, position="middle", typesetter=typesetter)([{"messages": [{"role": "user", "content": text}]}])
    layout = done.layout
    # The Latin word that it begins with stands at the right.
    first = layout.words[0]
    line = layout.words[np.abs(layout.words[:, 1] - first[1]) < 3]
    assert first[2] == line[:, 2].max()
    alone = typesetter(span.text)
    assert alone.words[0, 0] == alone.words[np.abs(alone.words[:, 1] - alone.words[0, 1]) < 3][:, 0].min()


@pytest.mark.parametrize("part", ["Linux", "Linux and Windows, 1990", "x + y"])
def test_latin_alone_in_a_right_to_left_paragraph_reads_from_the_right(part):
    text = f"שלום {part} עולם"
    start = text.index(part)
    typesetter = Typesetter(latex="off", trim=False, width=400)
    (inside, alone) = (typesetter([part], contexts=[c]) for c in (Context(text, start), None))
    assert inside.words[:, 2].max() == pytest.approx(392, abs=1)
    assert alone.words[:, 0].min() == pytest.approx(8, abs=1)
    # Another paragraph's direction is of no matter.
    other = "שלום\n" + part
    layout = typesetter([part], contexts=[Context(other, 5)])
    assert layout.words[:, 0].min() == pytest.approx(8, abs=1)


@pytest.mark.parametrize("text", [pytest.param(JAPANESE, id="span-language")])
def test_kanji_of_a_japanese_prompt_take_japanese_forms(text):
    span = span_of(text)
    assert not any("\u3040" <= c < "\u3100" for c in span.text)
    layout = Typesetter(latex="off")([span.text], contexts=[Context(text, span.start)])
    japanese, chinese = (Typesetter(latex="off", language=tag)(span.text) for tag in ("ja", "zh"))
    if japanese.equals(chinese):
        pytest.skip("needs fonts-noto-cjk: apt-get install -y --no-install-recommends fonts-noto-cjk")
    assert layout.equals(japanese)
    done = LoMo(ratio=1, position="middle", typesetter=Typesetter(latex="off"))(
        [{"messages": [{"role": "user", "content": text}]}]
    )
    assert done.layout.equals(japanese)


def test_a_context_must_hold_its_text():
    with pytest.raises(ValueError, match="texts\\[0\\] does not stand at character 1 of its context"):
        Typesetter()(["ab"], contexts=[Context("abab", 1)])
    with pytest.raises(ValueError, match="contexts has 0 items for 1 texts"):
        Typesetter()(["ab"], contexts=[])


@given(
    text=st.text(st.sampled_from("aאب1.( )\n$x^2`中か\\"), max_size=40),
    cuts=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_any_part_can_be_set_in_its_context(text, cuts):
    start, stop = sorted(min(cut, len(text)) for cut in cuts)
    layout = Typesetter(latex="ziamath")([text[start:stop]], contexts=[Context(text, start)])
    assert len(layout) == 1
    whole = Typesetter(latex="ziamath")([text], contexts=[Context(text, 0)])
    assert whole.equals(Typesetter(latex="ziamath")(text))
