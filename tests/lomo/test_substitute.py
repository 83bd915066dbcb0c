"""Substitution: who is rewritten, what stays, what the record says of itself."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender import LoMo, MissingGlyphError, Renderer, Typesetter, distort

SENTENCES = "First sentence here. Second one follows. A third is needed. And a fourth one. Then a fifth."


def record(text=SENTENCES, **fields):
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "An answer."}]
    return {"id": "r", "messages": messages, **fields}


def rejoin(before, after):
    """The user's text again, from the parts and the ranges in the provenance."""
    text = before["messages"][0]["content"]
    spans = iter(after["gpurender"]["spans"])
    pieces = []
    for part in after["messages"][0]["content"]:
        if part["type"] == "image":
            span = next(spans)
            pieces.append(text[span["start"] : span["stop"]])
        else:
            pieces.append(part["text"])
    return "".join(pieces)


@pytest.mark.parametrize("position", ["prefix", "middle", "suffix", "multi-span", "full"])
def test_the_text_rejoins_and_the_rest_stays(position):
    before = record(lang="en", extra={"a": [1, None]})
    kept = copy.deepcopy(before)
    done = LoMo(ratio=1, position=position)([before])
    (after,) = done.records
    assert before == kept
    assert rejoin(before, after) == SENTENCES
    assert after["messages"][1] == before["messages"][1]
    assert (after["id"], after["lang"], after["extra"]) == ("r", "en", {"a": [1, None]})
    assert len(done.layout) == (2 if position == "multi-span" else 1)
    assert done.outcomes[0].status == "rewritten"
    json.dumps(after)


def test_what_is_left_out_does_not_shift_the_distortions():
    """Records whose pages cannot be right are dropped after they were set; the others keep their own numbers."""
    texts = ["One. Two. Three. Four.", "\u0378 \u0378", " ", SENTENCES, "x " * 4000, "Last. One. Is. Here."]
    records = [{"id": str(i), "messages": [{"role": "user", "content": text}]} for i, text in enumerate(texts)]
    typesetter = Typesetter(on_missing="skip-record", max_pixels=200_000)
    lomo = LoMo(ratio=1, position="multi-span", typesetter=typesetter, distort=distort.presets.lomo(), seed=3)
    done = lomo(records)
    assert [o.status for o in done.outcomes] == ["rewritten", "kept", "kept", "rewritten", "kept", "rewritten"]
    assert len(done.params) == len(done.layout)
    for record, after in zip(records, done.records, strict=True):
        (alone,) = lomo([record]).records
        assert alone["gpurender"]["spans"] == after["gpurender"]["spans"]


def test_images_are_made_by_the_renderers_backend(monkeypatch):
    done = LoMo(ratio=1, distort=distort.GaussianBlur(1))([record()])
    backends = []
    monkeypatch.setattr(
        "gpurender.lomo.substitute.transform", lambda pages, params, *, backend: backends.append(backend) or pages
    )
    done.render(Renderer(backend="reference"))
    assert backends == ["reference"]


def test_distort_is_an_operation():
    with pytest.raises(TypeError, match="distort must be an operation"):
        LoMo(distort="lomo")


def test_provenance():
    done = LoMo(ratio=1, seed=7)([record("\u0378 fine. One. Two. Three. Four.")], epoch=3)
    provenance = done.records[0]["gpurender"]
    span = provenance["spans"][0]
    height, width = done.layout.sizes[0].tolist()
    assert provenance["seed"] == 7
    assert provenance["epoch"] == 3
    assert provenance["position"] == "middle"
    assert provenance["rewritten"] is True
    assert provenance["fonts"] == ["DejaVu Sans"]
    assert provenance["latex"] == ""
    assert provenance["version"].count(".") == 2
    assert (span["message"], span["height"], span["width"]) == (0, height, width)
    full = LoMo(ratio=1, position="full")([record("\u0378 fine")]).records[0]["gpurender"]["spans"][0]
    assert full["missing"] == "U+0378"


def test_ratio_zero_and_one_and_half():
    records = [record(id=str(i)) for i in range(1000)]
    for ratio, low, high in ((0, 0, 0), (1, 1000, 1000), (0.5, 450, 550), (0.1, 70, 130)):
        lomo = LoMo(ratio=ratio)
        assert low <= sum(lomo.is_drawn(str(i)) for i in range(1000)) <= high
        outcomes = lomo(records[:50]).outcomes
        assert [o.status == "rewritten" for o in outcomes] == [lomo.is_drawn(str(i)) for i in range(50)]


def test_the_draw_depends_on_seed_epoch_and_id_alone():
    ids = [str(i) for i in range(200)]

    def drawn(seed, epoch):
        return [LoMo(seed=seed).is_drawn(i, epoch) for i in ids]

    assert drawn(0, 0) == drawn(0, 0)
    assert len({tuple(drawn(*place)) for place in ((0, 0), (0, 1), (1, 0), (-5, 0))}) == 4


@given(st.permutations(range(12)), st.integers(1, 12))
@settings(max_examples=25)
def test_order_and_batch_size_change_nothing(order, size):
    texts = [f"Number {i}. {SENTENCES} WAVE-{i} $x_{i}$" for i in range(12)]
    records = [record(text, id=f"id-{i}") for i, text in enumerate(texts)]

    def run(indices, size):
        lomo, renderer, pages = LoMo(ratio=0.7, seed=3), Renderer(), {}
        for at in range(0, len(indices), size):
            batch = [records[i] for i in indices[at : at + size]]
            done = lomo(batch)
            images = [page.tobytes() for page in renderer(done.layout).to_numpy()]
            for out in done.with_images(images):
                pages[out["id"]] = out
        return pages

    assert run(list(order), size) == run(list(range(12)), 12)


@pytest.mark.parametrize(("turn", "rewritten"), [("first", {1}), ("last", {5}), ("longest", {3}), ("all", {1, 3, 5})])
def test_turns(turn, rewritten):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A question?"},
        {"role": "assistant", "content": "An answer."},
        {"role": "user", "content": "A much longer question than the others?"},
        {"role": "assistant", "content": "Another."},
        {"role": "user", "content": "The last?"},
    ]
    done = LoMo(ratio=1, turn=turn)([{"id": 1, "messages": messages}])
    after = done.records[0]["messages"]
    assert {i for i, m in enumerate(after) if isinstance(m["content"], list)} == rewritten
    assert len(done.layout) == len(rewritten)


def test_content_parts_are_one_text():
    parts = [{"type": "text", "text": SENTENCES[:30]}, {"type": "text", "text": SENTENCES[30:]}]
    after = LoMo(ratio=1)([{"id": "r", "messages": [{"role": "user", "content": parts}]}]).records[0]
    assert rejoin(record(), after) == SENTENCES


@pytest.mark.parametrize(
    "fields",
    [
        {"images": ["a.png"]},
        {"videos": ["a.mp4"]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "?"}]}
            ]
        },
    ],
)
def test_records_with_media_pass_through(fields):
    before = record("<image>What is this? One. Two. Three.") | fields
    done = LoMo(ratio=1)([before])
    assert done.outcomes[0][:2] == ("kept", "holds-media")
    assert done.records[0]["messages"] == before["messages"]
    assert not done.outcomes[0].is_problem


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (3, "a record must be a JSON object, not int"),
        ({"text": "a"}, "'messages' is missing; fields: text"),
        ({"messages": []}, "'messages' is empty"),
        ({"messages": "hi"}, "'messages' is not a list"),
        ({"messages": ["hi"]}, r"messages[0] must be an object with a string 'role'"),
        ({"messages": [{"role": "user"}]}, "messages[0].content must be a string or a list of parts, not NoneType"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "not a list with something else"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "no message has the role 'user'"),
    ],
)
def test_a_bad_record_costs_itself_alone(bad, reason):
    done = LoMo(ratio=1)([record(id="a"), bad, record(id="b")])
    assert [o.status for o in done.outcomes] == ["rewritten", "failed", "rewritten"]
    assert reason in done.outcomes[1].reason
    assert done.outcomes[1].is_problem
    assert done.records[1] is bad
    alone = LoMo(ratio=1)([record(id="a"), record(id="b")])
    assert [done.records[0], done.records[2]] == alone.records
    assert done.layout.equals(alone.layout)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "blank"),
        (" \n ", "blank"),
        ("\u200b", "blank"),
        ("a long line\n" * 20_000, "oversize"),
    ],
)
def test_what_cannot_be_a_page_stays_text(text, kind):
    done = LoMo(ratio=1, position="full")([record(id="a"), record(text, id="bad"), record(id="b")])
    assert done.outcomes[1][:2] == ("kept", kind)
    assert done.outcomes[1].is_problem
    assert done.records[1]["messages"] == record(text)["messages"]
    assert done.records[1]["gpurender"]["reason"] == done.outcomes[1].reason != ""
    assert len(done.layout) == 2
    assert [r["messages"][0]["content"] for r in done.records[::2]] == [
        [{"type": "image", "image": 0}],
        [{"type": "image", "image": 1}],
    ]


def test_on_missing():
    bad = record("\u0378 is here", id="bad")
    done = LoMo(ratio=1, typesetter=Typesetter(on_missing="skip-record"))([record(), bad])
    assert [o[:2] for o in done.outcomes] == [("rewritten", ""), ("kept", "missing")]
    assert done.outcomes[1].reason == "no font has a glyph for U+0378"
    with pytest.raises(MissingGlyphError, match=r"record bad: no font has a glyph for U\+0378"):
        LoMo(ratio=1, typesetter=Typesetter(on_missing="error"))([record(), bad])


def test_ids_of_records_without_one():
    lomo = LoMo()
    records = [{"messages": record()["messages"]} for _ in range(40)]
    done = lomo(records, ids=[f"file:{i}" for i in range(40)])
    assert [o.status == "rewritten" for o in done.outcomes] == [lomo.is_drawn(f"file:{i}") for i in range(40)]
    assert done.records[5]["gpurender"]["record"] == "file:5"
    assert "id" not in done.records[5]
    with pytest.raises(ValueError, match="ids has 1 items for 40 records"):
        lomo(records, ids=["a"])


def test_with_images():
    done = LoMo(ratio=1)([record(), record("", id="x"), 3])
    image = object()
    filled = done.with_images([image], renderer="cpu")
    assert filled[0]["gpurender"]["renderer"] == "cpu"
    assert done.records[0]["gpurender"]["renderer"] == ""
    assert [p["image"] for p in filled[0]["messages"][0]["content"] if p["type"] == "image"] == [image]
    assert filled[1:] == done.records[1:]
    with pytest.raises(ValueError, match="images has 0 items; the layout has 1 pages"):
        done.with_images([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.5}, "ratio must be from 0 to 1, not 1.5"),
        ({"position": "end"}, "position must be one of"),
        ({"turn": "second"}, "turn must be one of first, last, longest, all, not 'second'"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LoMo(**options)


def test_spans_too_large_for_an_image_are_cut():
    text = "This is a sentence of some words. " * 40
    lomo = LoMo(ratio=1, position="full", distort=distort.presets.lomo(), seed=5)
    whole = lomo([record(text)])

    def fits(sizes):
        return sizes.astype(int).prod(1) <= 60_000

    done = lomo([record("Short one.") | {"id": "s"}, record(text)], fits=fits)
    assert (done.params.sizes_after().astype(int).prod(1) <= 60_000).all()
    assert rejoin(record(text), done.records[1]) == text
    spans = done.records[1]["gpurender"]["spans"]
    assert done.outcomes[1].cuts == len(spans) - 1 > 3
    assert done.outcomes[0].cuts == 0
    assert len(done.layout.glyph_ids) == len(whole.layout.glyph_ids) + len(lomo.typesetter("Short one.").glyph_ids)
    # What becomes of a record does not depend on the others.
    (alone,) = lomo([record(text)], fits=fits).records
    assert alone["gpurender"]["spans"] == spans


def test_what_fits_no_image_stays_text():
    lomo = LoMo(ratio=1, position="full", typesetter=Typesetter(latex="ziamath", max_pixels=100_000))
    formula = "A word. $$" + "x + " * 300 + "y$$"
    done = lomo([record(formula), record("One word. " * 400) | {"id": "b"}], fits=lambda sizes: sizes[:, 1] < 800)
    assert [outcome.status for outcome in done.outcomes] == ["kept", "rewritten"]
    assert done.outcomes[0].kind == "oversize"
    assert done.records[0]["messages"][0]["content"] == formula
    # A page over the typesetter's own limit is cut too, where somebody tells what fits.
    assert done.outcomes[1].cuts > 0
    assert lomo([record("One word. " * 400)]).outcomes[0].kind == "oversize"


def test_blank_and_large_pages_in_one_batch():
    """Spans are found again after pages that cannot be right were dropped before them."""
    texts = ["\u2028 \u0378", "One word. " * 400, "Short. Text."]
    records = [record(text) | {"id": str(n)} for n, text in enumerate(texts)]
    typesetter = Typesetter(on_missing="skip-record", max_pixels=100_000)
    lomo = LoMo(ratio=1, position="full", typesetter=typesetter)
    done = lomo(records, fits=lambda sizes: sizes[:, 1] < 800)
    assert [outcome.status for outcome in done.outcomes] == ["kept", "rewritten", "rewritten"]
    assert [outcome.cuts > 0 for outcome in done.outcomes] == [False, True, False]
    assert rejoin(records[1], done.records[1]) == texts[1]
