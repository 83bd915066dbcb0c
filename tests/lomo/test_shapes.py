"""Shapes: to messages and back; a rewritten prompt rejoins to what LLaMA-Factory would have made of the source."""

import copy
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender import LoMo
from gpurender.lomo.records import RecordError, carry_path, interleave, to_placeholders
from gpurender.lomo.shapes import Alpaca, Chat, Field, fit

TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            ["A sentence here. ", "Why? ", "\n", "\n\n", "$x + 1$ ", "<image>", "< image>", "<|image_pad|>"]
        ),
        st.text(st.characters(codec="utf-8"), max_size=8),
    ),
    max_size=20,
).map("".join)
EXTRA = st.dictionaries(st.sampled_from(["id", "lang", "source"]), st.text(max_size=4))
NAMES = st.sampled_from([("human", "gpt"), ("user", "assistant")])


@st.composite
def chats(draw, field="messages", role="role", content="content", names=("user", "assistant")):
    turns = [{role: "system", content: draw(TEXTS)}] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 2))):
        turns += [{role: names[0], content: draw(TEXTS), "turn": 1}, {role: names[1], content: draw(TEXTS)}]
    return {field: turns} | draw(EXTRA)


@st.composite
def alpacas(draw):
    record = {"instruction": draw(TEXTS), "output": draw(TEXTS)}
    if draw(st.booleans()):
        record["input"] = draw(st.one_of(st.none(), TEXTS))
    if draw(st.booleans()):
        record["history"] = draw(st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=2))
        record["system"] = draw(TEXTS)
    return record | draw(EXTRA)


RECORDS = {
    "messages": chats(),
    "conversations": NAMES.flatmap(lambda names: chats("conversations", "from", "value", names)),
    "alpaca": alpacas(),
    "field": st.builds(lambda text, extra: {"tex": text} | extra, TEXTS, EXTRA),
}


def turns_of(record):
    """All that is said, as LLaMA-Factory's converters put it together, without the system prompt."""
    for field, content in (("messages", "content"), ("conversations", "value")):
        if field in record:
            return [turn[content] for turn in record[field]]
    if "tex" in record:
        return [record["tex"]]
    pairs = [text for pair in record.get("history") or [] for text in pair]
    return [*pairs, "\n".join(text for text in (record["instruction"], record.get("input")) if text), record["output"]]


def run(record, form, **options):
    """A record through the job's steps: what comes out, and its provenance."""
    field = "tex" if "tex" in record else None
    shape = fit(record, field=field)
    done = LoMo(ratio=1, turn="all", **options)([{"id": "r", "messages": shape.messages(record)}])
    names = [Path(f"/out/{k}") for k in range(len(done.layout))]
    (chat,) = done.with_images(names)
    contents, _ = interleave(chat, partial(carry_path, folder=Path("/"), out=Path("/out")))
    if form == "placeholder":
        contents = [to_placeholders(parts)[0] for parts in contents]
    return shape.fill(record, contents), chat["gpurender"]["spans"]


def apart(text):
    return to_placeholders([{"type": "text", "text": text}])[0]


@pytest.mark.parametrize("shape", RECORDS)
@pytest.mark.parametrize("position", ["middle", "multi-span"])
@given(data=st.data())
@settings(max_examples=40)
def test_placeholders_rejoin_to_the_source(shape, position, data):
    record = data.draw(RECORDS[shape])
    before = copy.deepcopy(record)
    after, spans = run(record, "placeholder", position=position)
    assert record == before
    source, told = turns_of(record), turns_of(after)
    assert len(source) == len(told)
    for i, text in enumerate(told):
        mine = [span for span in spans if span["message"] == i]
        # The text between the images, from where the provenance says that it was.
        edges = [0, *(edge for span in mine for edge in (span["start"], span["stop"])), len(source[i])]
        assert text.split("<image>") == [apart(source[i][a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    assert set(after) == set(record)


@pytest.mark.parametrize("shape", RECORDS)
@given(data=st.data())
@settings(max_examples=40)
def test_parts_rejoin_to_the_source(shape, data):
    record = data.draw(RECORDS[shape])
    after, spans = run(record, "parts")
    source = turns_of(record)
    if shape == "alpaca":
        assert isinstance(after["instruction"], list)
        assert after["output"] == record["output"]
        assert [text for pair in after.get("history") or [] for text in pair] == source[:-2]
        told = [after["instruction"]]
        rest = after.get("input") or ""
        joint = "\n" if rest and told[0] != [{"type": "text", "text": ""}] else ""
        told[0] = [*told[0], {"type": "text", "text": joint + rest}]
        source = source[-2:-1]
        spans = [span | {"message": 0} for span in spans]
    else:
        told = turns_of(after)
    for i, parts in enumerate(told):
        mine = (span for span in spans if span["message"] == i)
        texts = []
        for part in parts:
            if part["type"] == "image":
                span = next(mine)
                texts.append(source[i][span["start"] : span["stop"]])
            else:
                texts.append(part["text"])
        assert "".join(texts) == source[i]


@pytest.mark.parametrize("shape", RECORDS)
@given(data=st.data())
@settings(max_examples=40)
def test_a_record_that_is_not_rewritten_is_unchanged(shape, data):
    record = data.draw(RECORDS[shape])
    fitted = fit(record, field="tex" if "tex" in record else None)
    contents = [message["content"] for message in fitted.messages(record)]
    assert fitted.fill(record, [text.replace("<image>", "< image>") for text in contents]) == no_markers(record)
    parts = fitted.fill(record, [[{"type": "text", "text": text}] for text in contents])
    assert no_parts(parts) == record


def no_markers(value):
    if isinstance(value, list | dict):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        done = {key: no_markers(item) for key, item in pairs}
        return done if isinstance(value, dict) else list(done.values())
    return value.replace("<image>", "< image>") if isinstance(value, str) else value


def no_parts(value):
    if isinstance(value, dict):
        return {key: no_parts(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict) and "type" in value[0]:
        (part,) = value
        return part["text"]
    return [no_parts(item) for item in value] if isinstance(value, list) else value


def test_shapes_are_told_by_their_fields():
    turn, other = {"role": "user", "content": "a"}, {"from": "human", "value": "a"}
    assert fit({"messages": [turn]}) == Chat()
    assert fit({"conversations": [other]}) == Chat("conversations", "from", "value", "human", "gpt")
    named = [{"from": "system", "value": ""}, {"from": "user", "value": ""}]
    assert fit({"conversations": named}) == Chat("conversations", "from", "value", "user", "assistant")
    mixed = [other, {"from": "assistant", "value": ""}]
    assert fit({"conversations": mixed}) == Chat("conversations", "from", "value", "human", "assistant")
    assert fit({"instruction": "a", "text": "b"}) == Alpaca()
    assert fit({"instruction": "a", "messages": [turn], "conversations": [other]}) == Chat()
    both = {"instruction": "a", "messages": [turn]}
    assert fit(both, shape="alpaca") == Alpaca()
    assert fit(both, field="instruction") == Field("instruction")


@pytest.mark.parametrize(
    ("record", "options", "message"),
    [
        ({"id": 1, "tex": "x"}, {}, "(`gpurender lomo --field` rewrites any other); fields: id, tex"),
        ({}, {}, "fields: none"),
        ({"tex": "x"}, {"shape": "alpaca"}, "'instruction' is missing; fields: tex"),
        ({"tex": "x"}, {"shape": "conversations"}, "'conversations' is missing; fields: tex"),
        ({"tex": "x"}, {"field": "text"}, "'text' is missing; fields: tex"),
        ({"tex": ["x"]}, {"field": "tex"}, "'tex' must be a string; fields: tex"),
        ({"instruction": None}, {}, "'instruction' must be a string"),
        ({"instruction": "a", "input": {"b": 1}}, {}, "'input' must be a string, not dict"),
        ({"instruction": "a", "output": ["b"]}, {}, "'output' must be a string, not list"),
        ({"instruction": "a", "history": [["b"]]}, {}, "'history' must be a list of pairs"),
        ({"instruction": "a", "history": "b"}, {}, "'history' must be a list of pairs"),
        (
            {"conversations": [{"role": "user", "content": "a"}]},
            {},
            r"conversations[0] must be an object with a string",
        ),
        ({"conversations": [{"from": "human", "value": 1}]}, {}, "conversations[0].value must be a string or a list"),
        ({"conversations": []}, {}, "'conversations' is empty"),
        ({"conversations": [{"from": "gpt", "value": "a"}]}, {}, "no turn is the user's"),
    ],
)
def test_what_does_not_fit_is_named(record, options, message):
    with pytest.raises(RecordError) as raised:
        fit(record, **options)
    assert message in str(raised.value)


def test_other_names_for_the_roles_are_named():
    shape = fit({"conversations": [{"from": "human", "value": "a"}]})
    turns = [{"from": "tool", "value": "a"}, {"from": "user", "value": "a"}]
    with pytest.raises(RecordError, match=r"conversations\[1\].from is 'user', where the job has 'human' and 'gpt'"):
        shape.messages({"conversations": turns})


def test_an_alpaca_prompt_with_an_image_stands_in_the_instruction():
    sentences = "One goes first. Two comes next. Three is after it. Four is here. Five follows. Six is the last."
    record = {
        "instruction": sentences,
        "input": "The input. " * 4,
        "output": "a",
        "history": [["b", "c"]],
        "system": "d",
    }
    after, spans = run(record, "placeholder")
    assert after["instruction"].count("<image>") == 1
    assert spans[0]["message"] == 2
    assert after | {"instruction": ""} == record | {"instruction": "", "input": ""}
    held = [{"type": "image", "image": "a.png"}]
    with pytest.raises(RecordError, match="cannot be written as parts"):
        Alpaca().fill(record, [held, held, held, held, held])
