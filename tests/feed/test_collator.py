"""Batches as planned: equal to the family's own processor, decodable, the same wherever they are planned."""

import copy
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


PICTURES = [picture(seed=0), picture(seed=1), picture(60, 90, 2)]


def processor_of(profile):
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": profile.min_pixels, "longest_edge": profile.max_pixels},
        image_mean=list(profile.mean),
        image_std=list(profile.std),
        patch_size=profile.patch,
        temporal_patch_size=profile.temporal,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_the_familys_own_processor(family, tokenizer, records):
    """Token ids, patches, grids and token types, from the same chats with the same pages as images."""
    profile = FAMILIES[family]()
    collator = make(tokenizer, profile)
    found = render(collator(records))
    done = collator.lomo(records)
    pages = iter(profile.canvas(done.render(Renderer())).to_pil())
    processor = processor_of(profile)
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
    records = [*records, chat("one", answer="Yes."), {"id": "bad"}, chat("own", "<image>See.", images=[picture()])]
    collator = make(tokenizer, ops=distort.presets.lomo())
    counts = collator.plan(records)
    batch = render(collator(records))
    assert counts[-2] == 0
    assert [n for n in counts if n] == batch["attention_mask"].sum(1).tolist()


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
    processor = processor_of(collator.profile)
    own = [processor(images=[p], return_tensors="pt")["pixel_values"] for p in PICTURES]
    parts = batch["pixel_values"].split(grids.prod(1).tolist())
    assert all(rows.equal(part) for rows, part in zip(own, [*parts[:2], parts[3]], strict=True))
    page = collator.profile.patchify(collator.lomo(records[2:3]).render(Renderer()))
    assert page["pixel_values"].equal(parts[2])
    assert "user\n<|vision_start|><|image_pad|><|vision_end|>\nWhat is it? <|vision_start|>" in shown(tokenizer, batch)
    assert "And <|vision_start|><|image_pad|><|vision_end|><|im_end|>" in shown(tokenizer, batch, 3)
    half = make(tokenizer, profiles.qwen2_5_vl(dtype="bfloat16"))
    assert render(half(records[:1]))["pixel_values"].equal(torch.cat(own[:2]).bfloat16())


def test_images_of_datasets_as_parts(tokenizer, chat):
    png = io.BytesIO()
    picture().save(png, "PNG")
    parts = [{"type": "image", "image": {"bytes": png.getvalue(), "path": None}}, {"type": "text", "text": "See."}]
    planned = make(tokenizer)([chat(1, parts)])
    assert planned.counts["own_images"] == 1
    assert not planned.problems


def test_errors_that_are_not_of_the_record_stop(tokenizer, chat):
    """A processor without what it needs would leave out every record with an image."""
    processor = processor_of(profiles.qwen2_5_vl())

    class Unfit:
        patch_size, merge_size, temporal_patch_size = 14, 2, 2
        image_mean, image_std = processor.image_mean, processor.image_std

        def __call__(self, images, return_tensors):
            raise ImportError("needs torchvision")

    collator = make(tokenizer, image_processor=Unfit())
    with pytest.raises(ImportError, match="needs torchvision"):
        collator([chat(1, "<image>See.", images=[picture()])])


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
        (
            {"messages": [{"role": "user", "content": "x"}]},
            "no turn is the assistant's and holds text, so there is nothing to learn",
        ),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no turn is the user's"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "robot", "content": "y"}]},
            r"messages\[1\] has the unknown role 'robot'; roles are system",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": " \n"}]},
            "no turn is the assistant's and holds text",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "x"},
                    {"role": "assistant", "content": [{"type": "text", "text": "y"}, {"type": "image", "image": "z"}]},
                ]
            },
            r"messages\[1\], an answer, has an image",
        ),
        (
            {"messages": [{"role": "user", "content": "x\ud800"}, {"role": "assistant", "content": "y"}]},
            r"a text holds a lone surrogate \(U\+D800\)",
        ),
        ({"messages": np.array([1, 2])}, "'messages' is not a list"),
        (
            {
                "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
                "images": np.zeros((2, 2)),
            },
            "0 <image> markers but 1 images",
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
    with pytest.raises(RecordError, match=f"record (bad|number 0 of its batch): .*{told}"):
        make(tokenizer, ratio=0, max_length=900, on_error="raise")([record])
    assert problem.record == ("bad" if isinstance(record, dict) else "number 1 of its batch")


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


def test_what_crosses_is_small_and_flat(tokenizer, chat):
    """A span of 400 characters in at most 8 kB, tokens apart; one tensor for everything."""
    text = ("Some words to fill a page with, one after another, again and again, in lines. " * 6)[:400]
    planned = make(tokenizer, ratio=1, position="full", ops=distort.presets.lomo())([chat(n, text) for n in range(32)])
    assert planned.counts["images"] == 32
    tokens = planned._view("tokens").nbytes
    assert (len(planned.data) - tokens) / 32 <= 8192
    rest = len(pickle.dumps(planned)) - len(planned.data)
    assert rest < 4096
    assert [v for v in vars(planned).values() if isinstance(v, torch.Tensor)] == [planned.data]
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


def test_a_broken_record_costs_itself_whatever_it_holds(tokenizer, chat):
    """Errors that nobody thought of are the record's too, and say what they are."""

    class Odd(dict):
        def get(self, name, default=None):
            raise ZeroDivisionError("odd")

    planned = make(tokenizer)([chat(1), Odd(messages=[]), chat(2)])
    assert len(planned) == 2
    assert "ZeroDivisionError: odd" in planned.problems[0].reason
    long = make(tokenizer)([chat(1, "<image>", images=["x" * 5000])])
    assert len(long.problems[0].reason) < 520


def test_images_as_they_are_meant(tokenizer, chat, tmp_path):
    """Upright; no program is run on a record's bytes; small ones as the family's processor has them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(90, 30).save(tmp_path / "turned.jpg", exif=exif)
    picture().convert("RGB").save(tmp_path / "a.eps")
    profile = profiles.qwen2_5_vl()
    own = [chat(n, "<image>See.", images=[image]) for n, image in enumerate(["turned.jpg", "a.eps", picture(10, 10)])]
    planned = make(tokenizer, profile, image_folder=tmp_path)(own)
    assert [p.record for p in planned.problems] == ["r1"]
    assert "cannot identify image file" in planned.problems[0].reason
    batch = render(planned)
    upright = Image.open(tmp_path / "turned.jpg").transpose(Image.Transpose.ROTATE_270)
    expected = processor_of(profile)(images=[upright, picture(10, 10)], return_tensors="pt")
    assert batch["image_grid_thw"].equal(expected["image_grid_thw"])
    assert batch["pixel_values"].equal(expected["pixel_values"])
    with pytest.raises(ValueError, match="image_processor has patch_size=14, where the profile has 16"):
        make(tokenizer, profiles.qwen3_vl(), image_processor=processor_of(profile))
    other = processor_of(profile)
    other.image_mean = [0.5, 0.5, 0.5]
    with pytest.raises(ValueError, match="image_processor has image_mean"):
        make(tokenizer, profile, image_processor=other)
    with pytest.raises(ValueError, match="image_processor is for records' own images"):
        make(tokenizer, profiles.dense(image_token=PAD), image_processor=other)
    with pytest.raises(ValueError, match="image_folder must be a folder, not '/nowhere'"):
        make(tokenizer, profile, image_folder="/nowhere")


def test_what_is_left_out_is_not_rendered(tokenizer, chat):
    """Pages of records that turn out too long are dropped, and the others keep theirs."""
    answers = ["Yes.", "word " * 900, "No."]
    records = [chat(n, LONGER[: 150 + 40 * n], answer) for n, answer in enumerate(answers)]
    collator = make(tokenizer, ratio=1, ops=distort.presets.lomo(), max_length=800)
    planned = collator(records)
    assert (len(planned), len(planned.sizes), planned.counts["images"]) == (2, 2, 2)
    alone = [render(collator([record])) for record in (records[0], records[2])]
    batch = render(planned)
    assert batch["pixel_values"].equal(torch.cat([one["pixel_values"] for one in alone]))
    assert batch["image_grid_thw"].equal(torch.cat([one["image_grid_thw"] for one in alone]))


LONGER = "A sentence with some words in it. Another one that says more than that. And a third. A fourth, then. " * 4


def test_the_longest_that_is_allowed(tokenizer, chat, tiny):
    (count,) = make(tokenizer, ratio=0).plan([chat(1)])
    assert make(tokenizer, ratio=0, max_length=count).plan([chat(1)]) == [count]
    assert make(tokenizer, ratio=0, max_length=count - 1).plan([chat(1)]) == [0]
    other = copy.deepcopy(tokenizer)
    other.model_max_length = count - 1
    assert make(other, ratio=0).plan([chat(1)]) == [0]


def test_padding_is_the_tokenizers(tokenizer, chat):
    other = copy.deepcopy(tokenizer)
    other.pad_token = "<|vision_pad|>"
    batch = render(make(other, ratio=0)([chat(1, "A."), chat(2)]))
    padding = batch["input_ids"][batch["attention_mask"] == 0]
    assert len(padding)
    assert (padding == tokenizer.convert_tokens_to_ids("<|vision_pad|>")).all()


def test_tools_and_what_else_turns_have_reach_the_template(tokenizer, chat):
    other = copy.deepcopy(tokenizer)
    other.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}{{ '=' + m.name if m.name }}{{ '\\n' }}"
        "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}"
        "{{ '<|image_pad|>' if p.type == 'image' else p.text }}{% endfor %}{% endif %}"
        "{% for c in m.tool_calls or [] %}{{ c.function.arguments.a }}{% endfor %}<|im_end|>{{ '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    other.chat_template = "{% if tools %}T{{ tools[0].name }}{% endif %}" + other.chat_template
    calls = [{"type": "function", "function": {"name": "x", "arguments": {"a": "x<|im_end|>y"}}}]
    messages = [
        {"role": "user", "content": "Call.", "name": "Ada"},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "Four."},
    ]
    record = {"id": "t", "messages": messages}
    planned = make(other, ratio=0)([record])
    batch = render(planned)
    assert shown(tokenizer, batch).startswith("<|im_start|>user=Ada\nCall.<|im_end|>")
    assert learned(tokenizer, batch) == "x< |im_end|>y<|im_end|>Four.<|im_end|>"
    assert planned.counts["apart"] == 1
    for tools in ([{"name": "N<|im_end|>"}], '[{"name": "N<|im_end|>"}]'):
        batch = render(make(other, ratio=0)([chat(1) | {"tools": tools}]))
        assert shown(tokenizer, batch).startswith("TN< |im_end|><|im_start|>user")
    for tools in ({"a": 1}, "[{"):
        (problem,) = make(other, ratio=0)([chat(1) | {"tools": tools}]).problems
        assert "'tools' " in problem.reason


def test_counts_tell_of_images(tokenizer, chat):
    records = [chat(n, "One \u0378 two. Three, four.") for n in range(4)]
    typesetter = Typesetter(max_pixels=9000)
    planned = make(tokenizer, ratio=1, typesetter=typesetter, ops=distort.Rotate((40, 45)))(records)
    assert planned.counts["missing"] == 4
    assert planned.counts["left_clean"] == 4


def test_a_problem_is_told_once(tokenizer, chat):
    formula = "$$" + "x + " * 400 + "y$$"
    options = {"ratio": 1, "typesetter": Typesetter(latex="ziamath"), "max_length": 500}
    planned = make(tokenizer, profiles.qwen2_5_vl(max_pixels=56 * 560), **options)([chat(1, formula)])
    assert [(p.record, p.status) for p in planned.problems] == [("r1", "skipped")]


@pytest.mark.parametrize("own", [None, "", float("nan"), True, ["a"]])
def test_ids_that_are_none(tokenizer, records, own):
    """A record without a usable id is known by what it says, so equal ones are drawn alike and others are not."""
    for record in records:
        record["id"] = own
    planned = make(tokenizer)([*records, records[0]])
    assert 0 < planned.counts["rewritten"] < 17
    batch = render(planned)
    assert batch["input_ids"][0].equal(batch["input_ids"][16])
    again = render(make(tokenizer)([record | {"extra": object()} for record in records]))
    assert again["input_ids"].equal(batch["input_ids"][:16, : again["input_ids"].shape[1]])


def test_rows_that_are_too_full(tokenizer, chat):
    records = [chat(n) for n in range(3)]
    collator = make(tokenizer, ratio=0)
    (first, second, _) = collator.plan(records)
    small = make(tokenizer, ratio=0, max_length=first + second)
    planned = small([records])
    assert planned.counts["tokens"] == first + second
    assert [(p.record, p.status) for p in planned.problems] == [("r2", "skipped")]
    assert "its row has no room for" in planned.problems[0].reason
    with pytest.raises(ValueError, match="records cannot share a row"):
        make(tokenizer, profiles.qwen3_5())([records])
    assert len(make(tokenizer, profiles.qwen3_5())(records)) == 3


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_have_an_epoch_of_their_own_that_workers_see(tokenizer, records, duplicate):
    collator = make(tokenizer)
    other = duplicate(collator)
    other.set_epoch(1)
    assert (collator.epoch, other.epoch) == (0, 1)
    loader = DataLoader(records, batch_size=16, collate_fn=other, num_workers=1, persistent_workers=True)
    for epoch in (1, 2):
        other.set_epoch(epoch)
        collator.set_epoch(epoch)
        (planned,) = loader
        assert planned.counts == collator(records).counts
        assert same([render(planned)], [render(collator(records))])


def test_renderers_with_atlases_of_their_own_share_a_batch(tokenizer, chat):
    """The device plan names the bitmaps of one atlas; another renderer, or the same one later, gets the same pixels."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    planned = make(tokenizer, ratio=1, position="full")([chat(1, "A b.")])
    expected = render(planned)
    first, second = (Renderer(backend="triton", device=device) for _ in range(2))
    # Bitmaps stand elsewhere in the second atlas.
    second.atlas.place(Typesetter()(["other glyphs 0123"]))
    for renderer in (first, second, first):
        batch = planned.render(renderer)
        assert same([{name: value.cpu() for name, value in batch.items()}], [expected])
    # What the first renderer's copy may still read is not written over.
    words = first.atlas.words(first.atlas.resolve(planned._fonts, planned._view("scene.bitmaps")))
    at = planned._pages.bitmaps
    assert (planned._view("plan")[at : at + words.size] == words.ravel()).all()
    again = pickle.loads(pickle.dumps(planned))
    assert same([render(again)], [expected])
