"""Batches as planned: equal to the family's own processor, decodable, the same wherever they are planned."""

import io
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from gpurender import Collator, LoMo, Renderer, Typesetter, distort
from gpurender.feed import profiles
from gpurender.lomo.records import RecordError

PAD = "<|image_pad|>"
FAMILIES = {"qwen2_5_vl": profiles.qwen2_5_vl, "qwen3_vl": profiles.qwen3_vl, "llava_ov15": profiles.llava_ov15}


def make(tokenizer, profile=None, ratio=0.5, ops=None, **options):
    typesetter = options.pop("typesetter", None)
    lomo = LoMo(ratio=ratio, distort=ops, typesetter=typesetter, position=options.pop("position", "middle"))
    return Collator(tokenizer, profile or profiles.qwen2_5_vl(), lomo=lomo, **options)


def render(planned):
    return planned.render(Renderer())


def learned(tokenizer, batch, row=0):
    labels = batch["labels"][row]
    return tokenizer.decode(labels[labels != -100])


def shown(tokenizer, batch, row=0):
    """A row's text, an image as one placeholder."""
    ids = batch["input_ids"][row][batch["attention_mask"][row].bool()].tolist()
    pad = tokenizer.convert_tokens_to_ids(PAD)
    return tokenizer.decode([t for i, t in enumerate(ids) if t != pad or ids[i - 1] != pad])


def picture(width=90, height=60, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_the_familys_own_processor(family, tokenizer, records):
    """Token ids, patches, grids and token types, from the same chats with the same pages as images."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    profile = FAMILIES[family]()
    collator = make(tokenizer, profile)
    found = render(collator(records))
    done = collator.lomo(records)
    pages = iter(profile.canvas(done.render(Renderer())).to_pil())
    processor = Qwen2VLImageProcessorPil(
        size={"shortest_edge": profile.min_pixels, "longest_edge": profile.max_pixels},
        image_mean=list(profile.mean),
        image_std=list(profile.std),
        patch_size=profile.patch,
        temporal_patch_size=profile.temporal,
    )
    texts, rows, grids = [], [], []
    for record in done.records:
        text = tokenizer.apply_chat_template(record["messages"], tokenize=False)
        pieces = text.split(PAD)
        for piece in pieces[:-1]:
            image = processor(images=[next(pages)], return_tensors="pt")
            rows.append(image["pixel_values"])
            grids.append(image["image_grid_thw"])
            piece += PAD * int(grids[-1].prod() // 4)
            pieces[pieces.index(piece.replace(PAD, ""))] = piece
        texts.append("".join(pieces))
    expected = tokenizer(texts, padding=True, return_tensors="pt")
    assert found["input_ids"].equal(expected["input_ids"])
    assert found["attention_mask"].equal(expected["attention_mask"])
    torch.testing.assert_close(found["pixel_values"], torch.cat(rows), rtol=0, atol=1e-6)
    assert found["image_grid_thw"].equal(torch.cat(grids))
    is_image = (found["input_ids"] == tokenizer.convert_tokens_to_ids(PAD)).long()
    assert int(is_image.sum()) == int(found["image_grid_thw"].prod(1).sum()) // 4
    if family == "llava_ov15":
        assert "mm_token_type_ids" not in found
    else:
        assert found["mm_token_type_ids"].equal(is_image)


def test_decoded_back(tokenizer, records):
    """What the model gets shows the distorted pages, in their order."""
    collator = make(tokenizer, ratio=1, ops=distort.presets.lomo())
    batch = render(collator(records))
    pages = collator.lomo(records).render(Renderer(channels=1))
    again = collator.profile.unpatchify(batch["pixel_values"], batch["image_grid_thw"])
    assert len(again) == len(pages) == 16
    for page, canvas in zip(pages, again, strict=True):
        assert canvas[:, : page.shape[1], : page.shape[2]].equal(page.expand(3, -1, -1))
        assert (canvas[:, page.shape[1] :] == 255).all()
        assert (canvas[:, :, page.shape[2] :] == 255).all()


def test_labels_cover_answers_alone_and_spaces_stay(tokenizer, chat):
    text = "  One is here.\n\nTwo follows.  Three too. \tFour is long enough. Five.  "
    messages = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": "First."},
        {"role": "user", "content": "Again?"},
        {"role": "assistant", "content": [{"type": "text", "text": " Sec"}, {"type": "text", "text": "ond."}]},
    ]
    record = {"id": "a", "messages": messages}
    collator = make(tokenizer, ratio=1)
    batch = render(collator([record, chat(1)]))
    assert learned(tokenizer, batch) == "First.<|im_end|> Second.<|im_end|>"
    (rewritten,) = collator.lomo([record]).records
    before, _, after = (part.get("text") for part in rewritten["messages"][0]["content"])
    told = shown(tokenizer, batch)
    assert f"user\n{before}<|vision_start|>{PAD}<|vision_end|>{after}<|im_end|>" in told
    assert before.startswith("  One")
    assert after.endswith("Five.  ")
    padded = batch["attention_mask"] == 0
    assert (batch["labels"][padded] == -100).all()


def digest(batches):
    return [{name: tensor.clone() for name, tensor in batch.items()} for batch in batches]


def same(one, other):
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(("workers", "method"), [(1, "fork"), (2, "spawn"), (2, "forkserver")])
def test_the_same_in_any_worker(tokenizer, records, workers, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    here = make(tokenizer, ops=distort.presets.lomo())
    expected = digest(render(here(records[i : i + 4])) for i in range(0, 16, 4))
    there = make(tokenizer, ops=distort.presets.lomo())
    loader = DataLoader(records, batch_size=4, collate_fn=there, num_workers=workers, multiprocessing_context=method)
    assert same(expected, digest(map(render, loader)))


def test_the_same_in_any_batch_and_order(tokenizer, records):
    collator = make(tokenizer, ops=distort.presets.lomo())
    together = collator(records)
    for n, record in enumerate(records):
        alone = render(collator([record]))
        row = {k: v[n : n + 1] for k, v in render(together).items() if k in ("input_ids", "labels")}
        length = int(alone["attention_mask"].sum())
        assert alone["input_ids"].equal(row["input_ids"][:, :length])
        assert alone["labels"].equal(row["labels"][:, :length])
    forth, back = render(together), render(collator(records[::-1]))
    grids = forth["image_grid_thw"]
    assert back["image_grid_thw"].equal(grids.flip(0))
    chunks = forth["pixel_values"].split(grids.prod(1).tolist())
    assert torch.cat(chunks[::-1]).equal(back["pixel_values"])


def test_an_epoch_draws_anew_and_can_be_held(tokenizer, records):
    collator = make(tokenizer, ops=distort.presets.lomo())
    first = render(collator(records))
    collator.set_epoch(1)
    second = render(collator(records))
    assert first["input_ids"].shape != second["input_ids"].shape or not first["input_ids"].equal(second["input_ids"])
    collator.set_epoch(0)
    assert same([first], [render(collator(records))])


def test_records_without_id_are_known_by_content(tokenizer, records):
    for record in records:
        del record["id"]
    collator = make(tokenizer, ops=distort.presets.lomo())
    one, other = render(collator(records)), render(collator(records[8:]))
    count = len(other["image_grid_thw"])
    assert one["image_grid_thw"][-count:].equal(other["image_grid_thw"])
    assert one["pixel_values"][-len(other["pixel_values"]) :].equal(other["pixel_values"])


def test_plan_counts_what_a_batch_will_hold(tokenizer, records, chat):
    records = [*records, chat("none", answer=""), {"id": "bad"}, chat("own", "<image>See.", images=[picture()])]
    collator = make(tokenizer, ops=distort.presets.lomo())
    counts = collator.plan(records)
    batch = render(collator(records))
    assert counts[-2] == 0
    assert [n for n in counts if n] == batch["attention_mask"].sum(1).tolist()
    assert not any(isinstance(value, torch.Tensor) for value in counts)


def test_mixed_batches(tokenizer, chat):
    """Text-only, rewritten, and multimodal records in one batch, each image's rows in reading order."""
    png = io.BytesIO()
    picture(seed=1).save(png, "PNG")
    records = [
        chat("own1", "<image>\nWhat is it? <image>", images=[picture(seed=0), {"bytes": png.getvalue(), "path": None}]),
        chat("text", "Short."),
        chat("rewritten"),
        {
            "id": "own2",
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "And "}, {"type": "image", "image": picture(60, 90, 2)}],
                },
                {"role": "assistant", "content": "Noise."},
            ],
        },
    ]
    collator = make(tokenizer, profiles.qwen2_5_vl())
    collator.lomo.is_drawn = lambda name, epoch: name == "rrewritten"
    planned = collator(records)
    assert planned.counts["own_images"] == 3
    assert planned.counts["images"] == 1
    batch = render(planned)
    grids = batch["image_grid_thw"]
    own = [collator._images.patches([p])[0] for p in (picture(seed=0), picture(seed=1), picture(60, 90, 2))]
    parts = batch["pixel_values"].split(grids.prod(1).tolist())
    assert [torch.from_numpy(rows).equal(part) for rows, part in zip(own, [*parts[:2], parts[3]], strict=True)] == [
        True
    ] * 3
    page = collator.profile.patchify(collator.lomo(records[2:3]).render(Renderer()))
    assert page["pixel_values"].equal(parts[2])
    assert "user\n<|vision_start|><|image_pad|><|vision_end|>\nWhat is it? <|vision_start|>" in shown(tokenizer, batch)
    assert "And <|vision_start|><|image_pad|><|vision_end|><|im_end|>" in shown(tokenizer, batch, 3)
    half = make(tokenizer, profiles.qwen2_5_vl(dtype="bfloat16"))
    assert render(half(records[:1]))["pixel_values"].equal(torch.cat([torch.from_numpy(p).bfloat16() for p in own[:2]]))


def test_images_from_files(tokenizer, chat, tmp_path):
    picture().save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:100])
    (tmp_path / "c.png").write_bytes(b"no picture")
    records = [chat(k, "<image>See.", images=[f"{k}.png"]) for k in "abcd"]
    planned = make(tokenizer, image_folder=tmp_path)(records)
    assert len(planned) == 1
    assert [p.record for p in planned.problems] == ["rb", "rc", "rd"]
    assert all("an image cannot be opened" in p.reason for p in planned.problems)
    assert "d.png" in planned.problems[2].reason


def test_large_pages_are_split_and_counted(tokenizer, chat):
    text = "This is a sentence of some words. " * 60
    small = profiles.qwen2_5_vl(max_pixels=768 * 140)
    collator = make(tokenizer, small, ratio=1, position="full")
    planned = collator([chat(1, text), chat(2, "Tiny. Text.")])
    batch = render(planned)
    assert planned.counts["cuts"] >= 3
    assert planned.counts["images"] == planned.counts["cuts"] + 2
    assert (batch["image_grid_thw"].prod(1) * 14 * 14 <= small.max_pixels).all()
    # Everything is shown: nothing is scaled, and nothing is lost.
    words = collator.lomo([chat(1, text)], fits=small.fits).layout
    whole = collator.lomo([chat(1, text)]).layout
    assert len(words.glyph_ids) == len(whole.glyph_ids)
    assert planned.problems == ()


def test_what_cannot_be_split_stays_text(tokenizer, chat):
    formula = "$$" + "x + " * 400 + "y$$"
    typesetter = Typesetter(latex="ziamath", display="left")
    collator = make(tokenizer, profiles.qwen2_5_vl(max_pixels=56 * 560), ratio=1, typesetter=typesetter)
    planned = collator([chat(1, formula), chat(2, "A. B.")])
    assert planned.counts["kept"] == 1
    (problem,) = planned.problems
    assert (problem.record, problem.status) == ("r1", "kept")
    assert "cannot be cut is too large" in problem.reason
    assert "y$$" in shown(tokenizer, render(planned))


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ("a text", "a record must be a dict, not str"),
        ({}, "no field is 'messages', 'conversations' or 'instruction'"),
        ({"messages": []}, "'messages' is empty"),
        ({"messages": [{"role": "user", "content": " \n"}, {"role": "assistant", "content": "x"}]}, "holds text"),
        ({"messages": [{"role": "user", "content": "x"}]}, "no turn is the assistant's, so there is nothing to learn"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no turn is the user's"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "robot", "content": "y"}]},
            r"messages\[1\] has the unknown role 'robot'; roles are system",
        ),
        (
            {"messages": [{"role": "user", "content": "x" * 4000}, {"role": "assistant", "content": "y"}]},
            r"it has \d+ tokens, more than max_length=900",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "images": ["none"]},
            "0 <image> markers but 1 images",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "videos": ["v"]},
            "'videos' cannot be carried",
        ),
    ],
)
def test_records_that_cannot_be_used(tokenizer, chat, record, told):
    """They are named and counted, or raise; the others are not touched."""
    if isinstance(record, dict):
        record = {"id": "bad"} | record
    planned = make(tokenizer, ratio=0, max_length=900)([chat(1), record, chat(2)])
    assert len(planned) == 2
    assert planned.counts["skipped"] == 1
    (problem,) = planned.problems
    assert problem.status == "skipped"
    with pytest.raises(RecordError, match=f"record {problem.record}: .*{told}"):
        make(tokenizer, ratio=0, max_length=900, on_error="raise")([record])
    assert problem.record == "bad" or not isinstance(record, dict)


def test_a_batch_of_nothing(tokenizer):
    planned = make(tokenizer)([{}, {}])
    assert len(planned) == 0
    assert planned.counts == {"read": 2, "skipped": 2}
    assert make(tokenizer).plan([{}]) == [0]


def test_all_shapes_and_turns(tokenizer):
    alpaca = {
        "id": "a",
        "system": "Be kind.",
        "history": [["One?", "Yes one."], ["Two?", "Yes two."]],
        "instruction": "Add.",
        "input": "2 and 3",
        "output": "Five.",
    }
    sharegpt = {
        "id": "b",
        "system": "Be brief.",
        "conversations": [{"from": "human", "value": "Hello."}, {"from": "gpt", "value": "Hi."}],
    }
    batch = render(make(tokenizer, ratio=0)([alpaca, sharegpt]))
    assert learned(tokenizer, batch) == "Yes one.<|im_end|>Yes two.<|im_end|>Five.<|im_end|>"
    assert shown(tokenizer, batch).startswith(
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nOne?<|im_end|>"
    )
    assert "user\nAdd.\n2 and 3<|im_end|>" in shown(tokenizer, batch)
    assert learned(tokenizer, batch, 1) == "Hi.<|im_end|>"
    assert "system\nBe brief.<|im_end|>" in shown(tokenizer, batch, 1)


def test_special_tokens_in_texts_are_counted(tokenizer, chat):
    planned = make(tokenizer, ratio=0)([chat(1, "Is <|image_pad|> an image?", "<|im_end|>No.")])
    assert planned.counts["apart"] == 2
    assert "image_grid_thw" not in render(planned)
    assert learned(tokenizer, render(planned)) == "< |im_end|>No.<|im_end|>"


def test_what_crosses_is_small_flat_and_without_a_gpu(tokenizer, chat):
    """A span of 400 characters in at most 8 kB, tokens apart; one tensor for everything."""
    text = ("Some words to fill a page with, one after another, again and again, in lines. " * 6)[:400]
    planned = make(tokenizer, ratio=1, position="full", ops=distort.presets.lomo())([chat(n, text) for n in range(32)])
    assert planned.counts["images"] == 32
    tokens = sum(planned._view(name).nbytes for name in ("input_ids", "answers", "lengths"))
    assert (len(planned.data) - tokens) / 32 <= 8192
    rest = len(pickle.dumps(planned)) - len(planned.data)
    assert rest < 4096
    assert [v for v in vars(planned).values() if isinstance(v, torch.Tensor)] == [planned.data]
    assert not torch.cuda.is_initialized()
    again = pickle.loads(pickle.dumps(planned))
    assert same([render(planned)], [render(again)])


def test_collators_pickle(tokenizer, records):
    collator = make(tokenizer, profiles.qwen3_vl(max_pixels=2**20), ops=distort.presets.mild(), max_length=777)
    collator.set_epoch(3)
    again = pickle.loads(pickle.dumps(collator))
    assert again.epoch == 3
    assert same([render(collator(records))], [render(again(records))])


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"profile": "qwen"}, TypeError, "profile must be one of gpurender.feed.profiles, not str"),
        ({"max_length": 0}, ValueError, "max_length must be a positive integer, not 0"),
        ({"on_error": "ignore"}, ValueError, "on_error must be skip or raise, not 'ignore'"),
        ({"lomo": 3}, TypeError, "lomo must be a LoMo, not int"),
        ({"profile": profiles.dense()}, ValueError, "'<image>', which is no special token of this tokenizer"),
    ],
)
def test_wrong_arguments(tokenizer, options, kind, told, chat):
    with pytest.raises(TypeError, match="give the DataLoader a batch_size"):
        make(tokenizer)(chat(1))
    with pytest.raises(kind, match=told):
        Collator(tokenizer, **{"profile": profiles.qwen2_5_vl()} | options)


def test_dense_batches(tokenizer, chat, records):
    profile = profiles.dense(image_token=PAD, tokens=9, multiple=32)
    collator = make(tokenizer, profile, ratio=1)
    batch = render(collator(records))
    assert batch.keys() == {"input_ids", "attention_mask", "labels", "pixel_values"}
    assert batch["pixel_values"].shape[:2] == (16, 3)
    assert (batch["input_ids"] == tokenizer.convert_tokens_to_ids(PAD)).sum(1).tolist() == [9] * 16
    planned = collator([chat("own", "<image>a", images=[picture()])])
    assert "profile 'dense' does not take" in planned.problems[0].reason
