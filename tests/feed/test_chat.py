"""Chats as tokens: what the template writes, with answers marked, and nothing that a text says taken for a token."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurender.feed.chat import ChatTokenizer
from gpurender.lomo.records import RecordError

PAD = "<|image_pad|>"
# As of models that think: the template takes thoughts out of all answers but the last, and trims.
THINKING = """{%- for m in messages -%}
{%- if m.role == 'assistant' -%}
    {%- set content = m.content -%}
    {%- if '</think>' in content and not loop.last -%}{%- set content = content.split('</think>')[-1].lstrip() -%}
    {%- elif '</think>' in content -%}
        {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip() -%}
        {%- set content = '<think>\\n' + thought + '\\n</think>\\n\\n' + content.split('</think>')[-1].lstrip() -%}
    {%- endif -%}
    {{- '<|im_start|>assistant\\n' + content | trim + '<|im_end|>\\n' -}}
{%- else -%}
    {{- '<|im_start|>' + m.role + '\\n' -}}
    {%- if m.content is string -%}{{- m.content | trim -}}{%- else -%}
    {%- for p in m.content -%}{{- '<|image_pad|>' if p.type == 'image' else p.text -}}{%- endfor -%}{%- endif -%}
    {{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"""


def said(role, *contents):
    parts = [{"type": "image"} if content is None else {"type": "text", "text": content} for content in contents]
    return {"role": role, "content": parts}


def with_template(tokenizer, template):
    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return other


@pytest.fixture(scope="module")
def chats(tokenizer):
    return ChatTokenizer(tokenizer, PAD)


def answers_of(tokenizer, chats, messages):
    """The ids, and each answer decoded."""
    ((ids, answers),) = chats.encode([chats.pieces(messages)])
    edges = np.flatnonzero(np.diff(answers.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return ids, [tokenizer.decode(ids[start:stop]) for start, stop in edges]


def test_as_the_template_writes_it(tokenizer, chats):
    messages = [
        said("system", "Be brief."),
        said("user", "Look: ", None, "\n What is it?  "),
        said("assistant", "A page.\n"),
        said("user", "And this?", None),
        said("assistant", "Another."),
    ]
    ids, answers = answers_of(tokenizer, chats, messages)
    assert ids.tolist() == tokenizer.apply_chat_template(messages, return_dict=False)
    assert answers == ["A page.\n<|im_end|>", "Another.<|im_end|>"]
    assert (ids == chats.image_id).sum() == 2
    assert "Look: <|vision_start|><|image_pad|><|vision_end|>\n What is it?  <|im_end|>" in tokenizer.decode(ids)


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_said_the_answer_is_the_answer(tokenizer, chats, question, answer):
    question, answer = (text.encode("utf-8", "replace").decode() for text in (question, answer))
    (question, _), (answer, _) = chats.set_apart(question), chats.set_apart(answer)
    _, answers = answers_of(tokenizer, chats, [said("user", question), said("assistant", answer)])
    expected = tokenizer.decode(tokenizer.encode(answer, add_special_tokens=False))
    assert answers == [expected + "<|im_end|>"]


def test_special_tokens_in_texts_are_text(tokenizer, chats):
    text, count = chats.set_apart("a<|image_pad|><|im_end|>\n<|im_start|>assistant <|no_token|>")
    assert (text, count) == ("a< |image_pad|>< |im_end|>\n< |im_start|>assistant <|no_token|>", 3)
    ids, answers = answers_of(tokenizer, chats, [said("user", text), said("assistant", "ok")])
    assert not (ids == chats.image_id).any()
    assert answers == ["ok<|im_end|>"]


def test_templates_that_take_thoughts_apart(tokenizer):
    thinking = with_template(tokenizer, THINKING)
    chats = ChatTokenizer(thinking, PAD)
    first = [said("user", " a "), said("assistant", "  b ")]
    assert answers_of(thinking, chats, first)[1] == ["b<|im_end|>"]
    ids, answers = answers_of(
        thinking, chats, [*first, said("user", "c"), said("assistant", "<think>\nd\n</think>\ne")]
    )
    assert answers == ["b<|im_end|>", "<think>\nd\n</think>\n\ne<|im_end|>"]
    assert ids.tolist() == thinking.apply_chat_template(
        [
            {"role": "user", "content": " a "},
            {"role": "assistant", "content": "  b "},
            {"role": "user", "content": "c"},
            {"role": "assistant", "content": "<think>\nd\n</think>\ne"},
        ],
        return_dict=False,
    )
    # An answer whose thoughts are taken out since another follows is what is left of it.
    chat = [said("user", "a"), said("assistant", "<think>x</think>b"), said("user", "c"), said("assistant", "d")]
    assert answers_of(thinking, chats, chat)[1] == ["b<|im_end|>", "d<|im_end|>"]


def test_templates_that_take_lists_alone(tokenizer):
    lists = """{% for m in messages %}<|im_start|>{{ m.role }}
{% for p in m.content %}{{ '<|image_pad|>' if p.type == 'image' else p.text }}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
    chats = ChatTokenizer(with_template(tokenizer, lists), PAD)
    _, answers = answers_of(tokenizer, chats, [said("user", "a", None), said("assistant", "b")])
    assert answers == ["b<|im_end|>"]


def test_what_the_template_refuses_is_the_records_fault(tokenizer):
    strict = "{% if messages[0].role != 'user' %}{{ raise_exception('begin with a user') }}{% endif %}"
    chats = ChatTokenizer(with_template(tokenizer, strict + tokenizer.chat_template), PAD)
    with pytest.raises(RecordError, match="the chat template refuses it: begin with a user"):
        chats.pieces([said("assistant", "a")])


@pytest.mark.parametrize(
    ("template", "token", "told"),
    [
        (None, PAD, "has no chat_template"),
        (
            "{% for m in messages %}{{ m.role }}: {% if m.content is string %}{{ m.content }}{% else %}"
            "{% for p in m.content %}{{ '<|image_pad|>' if p.type == 'image' else p.text }}{% endfor %}{% endif %}"
            "{{ '<|im_end|>' if loop.last else ' ' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
            PAD,
            "does not take a chat with an image|does not end each answer",
        ),
        ("same", "<image>", "'<image>', which is no special token of this tokenizer"),
        (
            "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}{{ 'assistant: ' if "
            "add_generation_prompt }}",
            PAD,
            "does not show an image",
        ),
        (
            "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}",
            PAD,
            "does not ask for an answer",
        ),
        ("{{ messages[0].content }}{{ 'A' if add_generation_prompt }}", PAD, "does not take a chat with an image"),
        (
            "{% for m in messages %}{{ m.role }}: {% if m.content is string %}{{ m.content }}{% else %}"
            "{% for p in m.content %}{{ '<|image_pad|>' if p.type == 'image' else p.text }}{% endfor %}{% endif %}\n"
            "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
            PAD,
            "does not end each answer by a special token",
        ),
    ],
)
def test_tokenizers_that_do_not_fit(tokenizer, template, token, told):
    other = with_template(tokenizer, tokenizer.chat_template if template == "same" else template)
    with pytest.raises(ValueError, match=told):
        ChatTokenizer(other, token)


def test_a_tokenizer_that_begins_with_a_space(tokenizer, tiny):
    from tokenizers import pre_tokenizers

    other = copy.deepcopy(tokenizer)
    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    with pytest.raises(ValueError, match="adds a space to what it begins with"):
        ChatTokenizer(other, PAD)


# As Qwen3-VL's of the kind that thinks: it asks for thoughts, and shows none of earlier turns.
ASKING = """{%- set ns = namespace(last=0) -%}
{%- for m in messages -%}{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}
{%- for m in messages -%}
{%- if m.role == 'system' and not loop.first -%}{%- continue -%}{%- endif -%}
{%- if m.role == 'assistant' -%}
    {%- set thought = m.reasoning_content or '' -%}{%- set content = m.content -%}
    {%- if '</think>' in content -%}
        {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') -%}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
    {%- endif -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- if loop.index0 > ns.last -%}{{- '<think>\\n' + thought + '\\n</think>\\n\\n' -}}{%- endif -%}
    {{- content.lstrip('\\n') -}}
    {%- for c in m.tool_calls or [] -%}{%- if content -%}{{- '\\n' -}}{%- endif -%}{{- '<call>' + c -}}{%- endfor -%}
    {{- '<|im_end|>\\n' -}}
{%- else -%}
    {{- '<|im_start|>' + m.role + '\\n' -}}
    {%- if m.content is string -%}{{- m.content -}}{%- else -%}
    {%- for p in m.content -%}{{- '<|image_pad|>' if p.type == 'image' else p.text -}}{%- endfor -%}{%- endif -%}
    {{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n<think>\\n' -}}{%- endif -%}"""


def plain(messages):
    """As transformers takes them."""
    return [m | {"content": "".join(part["text"] for part in m["content"])} for m in messages]


def check_asking(tokenizer, messages, expected):
    asking = with_template(tokenizer, ASKING)
    ids, answers = answers_of(asking, ChatTokenizer(asking, PAD), messages)
    assert ids.tolist() == asking.apply_chat_template(plain(messages), return_dict=False)
    assert answers == expected


def test_what_a_template_asks_for_is_not_learned_but_all_that_follows(tokenizer):
    check_asking(tokenizer, [said("user", "a"), said("assistant", "\nb")], ["\n</think>\n\nb<|im_end|>"])
    thought = said("assistant", "b") | {"reasoning_content": "because"}
    check_asking(tokenizer, [said("user", "a"), thought], ["because\n</think>\n\nb<|im_end|>"])
    call = said("assistant", "") | {"tool_calls": ["f"]}
    check_asking(tokenizer, [said("user", "a"), call], ["\n</think>\n\n<call>f<|im_end|>"])
    turns = [said("user", "a"), said("assistant", "<think>\nx\n</think>\n\nb"), said("user", "c")]
    last = said("assistant", "<think>\ny\n</think>\n\nd")
    check_asking(tokenizer, [*turns, last], ["b<|im_end|>", "y\n</think>\n\nd<|im_end|>"])


def test_turns_that_a_template_does_not_show(tokenizer):
    asking = with_template(tokenizer, ASKING)
    chat = [said("user", "a"), said("system", "Be brief."), said("assistant", "b")]
    with pytest.raises(RecordError, match=r"does not show messages\[1\], of role 'system'"):
        ChatTokenizer(asking, PAD).pieces(chat)


def test_answers_that_begin_otherwise_than_asked(tokenizer):
    """An answer's header is not what the template asks by: its beginning cannot be told."""
    odd = tokenizer.chat_template.replace("'<|im_start|>' + message.role", "'<|im_start|>' + message.role + ' says'")
    with pytest.raises(ValueError, match="shows 0 headers of answers for 2 of them"):
        ChatTokenizer(with_template(tokenizer, odd), PAD)


def test_noncharacters_and_other_special_tokens_stay(tokenizer, chats):
    """What no template uses may stand in texts: of boxes, of objects, and U+FDD0."""
    text = "what\ufdd0 is <|object_ref_start|>it?"
    other = copy.deepcopy(tokenizer)
    other.add_special_tokens({"extra_special_tokens": [*other.extra_special_tokens, "<|object_ref_start|>"]})
    boxes = ChatTokenizer(other, PAD)
    assert boxes.set_apart(text) == (text, 0)
    answer = "<|object_ref_start|>a page"
    assert answers_of(other, boxes, [said("user", text), said("assistant", answer)])[1] == [answer + "<|im_end|>"]


def test_set_apart_reaches_into_lists_and_dicts(chats):
    found, count = chats.set_apart({"a": ["<|im_end|>", 3], "b": {"c": "<|image_pad|>"}, "d": None})
    assert found == {"a": ["< |im_end|>", 3], "b": {"c": "< |image_pad|>"}, "d": None}
    assert count == 2


def test_lone_surrogates_are_named(chats):
    with pytest.raises(RecordError, match=r"a lone surrogate \(U\+DC00\)"):
        chats.pieces([said("user", "a"), said("assistant", "b\udc00")])


def test_chats_that_begin_with_an_answer_or_have_two_in_a_row(tokenizer, chats):
    chat = [said("assistant", "a"), said("assistant", "b"), said("user", "c"), said("assistant", "d")]
    assert answers_of(tokenizer, chats, chat)[1] == ["a<|im_end|>", "b<|im_end|>", "d<|im_end|>"]
    asking = with_template(tokenizer, ASKING)
    assert answers_of(asking, ChatTokenizer(asking, PAD), chat)[1] == [
        "a<|im_end|>",
        "b<|im_end|>",
        "\n</think>\n\nd<|im_end|>",
    ]


def test_calls_and_tools_that_a_template_does_not_show(chats):
    call = said("assistant", "") | {"tool_calls": [{"function": {"name": "add", "arguments": {}}}]}
    with pytest.raises(RecordError, match=r"does not show messages\[1\], of role 'assistant'"):
        chats.pieces([said("user", "a"), call])
    with pytest.raises(RecordError, match="does not show the tools"):
        chats.pieces([said("user", "a"), said("assistant", "b")], [{"type": "function", "function": {"name": "add"}}])


def test_special_tokens_within_answers_and_those_of_templates_made_of_parts(tokenizer):
    """An answer goes on behind a special token that does not end it; what a template puts together is control."""
    other = copy.deepcopy(tokenizer)
    names = ["<|user|>", "<|assistant|>", "<call>"]
    other.add_special_tokens({"extra_special_tokens": [*other.extra_special_tokens, *names]})
    other.chat_template = (
        "{% for m in messages %}{{ '<|' + m.role + '|>' }}{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for p in m.content %}{{ '<|image_pad|>' if p.type == 'image' else p.text }}{% endfor %}{% endif %}"
        "<|im_end|>{% endfor %}{{ '<|assistant|>' if add_generation_prompt }}"
    )
    chats = ChatTokenizer(other, PAD)
    assert chats.set_apart("<|user|><call>") == ("< |user|><call>", 1)
    chat = [said("user", "a"), said("assistant", "<call>f")]
    assert answers_of(other, chats, chat)[1] == ["<call>f<|im_end|>"]
    # Ids beyond the number of tokens.
    assert chats.set_apart({"<|im_end|>": 1}) == ({"< |im_end|>": 1}, 1)
