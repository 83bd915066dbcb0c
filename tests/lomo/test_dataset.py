"""The job: its folder is what LLaMA-Factory reads, whatever comes in and however it ends."""

import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter

import numpy as np
import pyarrow
import pyarrow.json
import pyarrow.parquet
import pytest
import zstandard
from PIL import Image

from gpurender import LoMo, Renderer, Typesetter, distort
from gpurender.cli import main
from gpurender.lomo.dataset import StrictError, write_dataset
from gpurender.lomo.files import InputError
from gpurender.lomo.folder import OutputError
from gpurender.typeset.fonts import FontWarning

SENTENCES = "One goes first. Two comes next. Three is after it. Four is here. Five follows. Six is the last."


def write_prompts(path, count=100, *extra):
    records = [
        {
            "id": f"r{i}",
            "messages": [{"role": "user", "content": f"{i}. {SENTENCES}"}, {"role": "assistant", "content": "A"}],
        }
        for i in range(count)
    ]
    path.write_bytes(b"\n".join([*(json.dumps(r).encode() for r in records), *extra]) + b"\n")
    return path


def converted(record, dataset):
    """What LLaMA-Factory's converter makes of a record: its turns as (role, text), without the system prompt."""
    columns = dataset["columns"]
    if dataset["formatting"] == "sharegpt":
        tags = dataset["tags"]
        turns = [(turn[tags["role_tag"]], turn[tags["content_tag"]]) for turn in record[columns["messages"]]]
        turns = turns[1:] if turns[0][0] == tags["system_tag"] else turns
        assert [role for role, _ in turns[::2]] == [tags["user_tag"]] * len(turns[::2])
        assert [role for role, _ in turns[1::2]] == [tags["assistant_tag"]] * len(turns[1::2])
        return turns
    turns = [turn for pair in record.get(columns.get("history")) or [] for turn in zip(("u", "a"), pair, strict=True)]
    query = [record.get(columns[name]) for name in ("prompt", "query") if name in columns]
    answer = record[columns["response"]] if "response" in columns else None
    return [*turns, ("u", "\n".join(filter(None, query))), *([("a", answer)] if answer is not None else [])]


def check_folder(out):
    """LLaMA-Factory's rules for a dataset with images; returns the records."""
    info = json.loads((out / "dataset_info.json").read_text())
    (dataset,) = info.values()
    columns = dataset["columns"]
    records = [json.loads(line) for line in (out / dataset["file_name"]).read_bytes().splitlines()]
    named = []
    for record in records:
        texts = [text for _, text in converted(record, dataset)]
        assert all(isinstance(text, str) for text in texts)
        images = record[columns["images"]]
        assert sum(text.count("<image>") for text in texts) == len(images)
        assert not any(p in text for text in texts for p in ("<video>", "<audio>", "<|image_pad|>"))
        named += images
        for name, span in zip(images, record["gpurender"]["spans"], strict=True):
            with Image.open(out / name) as image:
                image.load()
                assert image.size == (span["width"], span["height"])
                levels = np.array(image)
                assert levels.min() < 128 < levels.max()
    assert sorted(path.name for path in out.iterdir()) == ["data.jsonl", "dataset_info.json", "images", "report.json"]
    check_report(out, records, named)
    return records


def check_report(out, records, named):
    assert sorted(named) == sorted(f"images/{path.name}" for path in (out / "images").iterdir())
    report = json.loads((out / "report.json").read_text())
    assert report["rewritten"] + report["kept"] == len(records)
    assert report["images"] == len(named)
    assert report["read"] == report["rewritten"] + report["kept"] + report["failed"]


def contents(out):
    """Every file but the report's times."""
    files = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    report = json.loads(files.pop("report.json"))
    del report["seconds"], report["images_per_second"]
    return files, report


def test_a_dataset(tmp_path):
    out = tmp_path / "deep" / "out"
    report = write_dataset([write_prompts(tmp_path / "a.jsonl")], out, lomo=LoMo())
    records = check_folder(out)
    assert [r["id"] for r in records] == [f"r{i}" for i in range(100)]
    assert report.complete
    assert 30 < report.counts["rewritten"] < 70
    assert {r["gpurender"]["renderer"] for r in records} == {"cpu", ""}


def test_workers_and_batches_change_no_byte(tmp_path, monkeypatch):
    source = write_prompts(tmp_path / "a.jsonl", 150, b"broken", b'{"messages": [{"role": "user", "content": ""}]}')
    results = []
    for name, workers, batch in (("a", 1, 64), ("b", 2, 64), ("c", 1, 7)):
        monkeypatch.setattr("gpurender.lomo.dataset.BATCH", batch)
        lomo = LoMo(ratio=0.8, position="multi-span", distort=distort.presets.lomo())
        write_dataset([source], tmp_path / name, lomo=lomo, workers=workers)
        check_folder(tmp_path / name)
        results.append(contents(tmp_path / name))
    assert results[0] == results[1] == results[2]


def test_images_are_distorted_as_their_records_say(tmp_path):
    """From the record alone, the page set again and the program replayed are the image, pixel by pixel."""
    out = tmp_path / "out"
    lomo = LoMo(ratio=1, turn="all", position="multi-span", distort=distort.presets.lomo())
    report = write_dataset([write_prompts(tmp_path / "a.jsonl", 60)], out, lomo=lomo)
    records = check_folder(out)
    ops = Counter()
    for number, record in enumerate(records):
        prompt = f"{number}. {SENTENCES}"
        for name, span in zip(record["images"], record["gpurender"]["spans"], strict=True):
            page = Renderer()(lomo.typesetter(prompt[span["start"] : span["stop"]]))
            params = distort.Params.from_json([span["distortion"]], page.sizes)
            ops.update([step["op"] for step in params.describe(0)] or ["Clean"])
            with Image.open(out / name) as image:
                np.testing.assert_array_equal(np.array(image), distort.transform(page, params).to_numpy()[0][0])
    assert ops == report.distortions
    assert ops.total() == 120
    assert min(ops[kind] for kind in ("Clean", "Rotate", "Wave")) > 10
    assert json.loads((out / "report.json").read_text())["images_distorted_by"] == dict(ops)
    # Two images of a record are drawn apart.
    assert any(len({span["distortion"] for span in r["gpurender"]["spans"]}) == 2 for r in records)


def test_epochs_and_seeds_distort_anew():
    records = [{"id": f"r{i}", "messages": [{"role": "user", "content": SENTENCES}]} for i in range(20)]

    def drawn(seed, epoch):
        lomo = LoMo(ratio=1, seed=seed, distort=distort.presets.lomo())
        return [r["gpurender"]["spans"][0]["distortion"] for r in lomo(records, epoch=epoch).records]

    assert drawn(0, 0) == drawn(0, 0)
    assert drawn(0, 0) != drawn(1, 0)
    assert drawn(0, 0) != drawn(0, 1)


def test_a_canvas_over_the_limit_stays_clean_and_is_told(tmp_path):
    typesetter = Typesetter(width=300, max_pixels=40_000)
    lomo = LoMo(ratio=1, position="full", typesetter=typesetter, distort=distort.Rotate((45, 45)))
    out = tmp_path / "out"
    report = write_dataset([write_prompts(tmp_path / "a.jsonl", 3)], out, lomo=lomo)
    for record in check_folder(out):
        (span,) = record["gpurender"]["spans"]
        assert span["distortion"] == "[]"
        assert "more than max_pixels=40000" in span["left_clean"]
    assert report.counts["left_clean"] == 3
    assert json.loads((out / "report.json").read_text())["images_left_clean"] == 3


def test_the_command_distorts_unless_told_otherwise(tmp_path, capsys):
    source = write_prompts(tmp_path / "a.jsonl", 40)
    config = tmp_path / "distort.yaml"
    config.write_text("OneOf: {weights: [1, 1], ops: [BoxBlur: {kernel_size: 3}, Clean]}")
    found = {}
    for name in ("lomo", "mild", "harsh", "none", str(config)):
        options = [] if name == "lomo" else ["--distort", name]
        assert main(["lomo", str(source), "-o", str(tmp_path / "out"), "--ratio", "1", *options]) == 0
        found[name] = set(json.loads((tmp_path / "out" / "report.json").read_text())["images_distorted_by"])
    assert {"Clean", "Rotate", "Wave"} <= found["lomo"]
    assert {"Clean", "Rotate", "Wave"} <= found["mild"]
    assert "Clean" not in found["harsh"]
    assert found["none"] == {"Clean"}
    assert found[str(config)] == {"BoxBlur", "Clean"}
    capsys.readouterr()
    assert main(["lomo", str(source), "-o", str(tmp_path / "out"), "--distort", "wild"]) == 1
    assert "distort must be lomo, mild, harsh, none, or a YAML file that exists, not 'wild'" in capsys.readouterr().err


def write_as(container, records, path):
    """A file of records in a container."""
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    if container == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    elif container.startswith("json."):
        path.write_bytes(gzip.compress(json.dumps(records, indent=2).encode()))
    elif container == "jsonl.zst":
        path.write_bytes(zstandard.ZstdCompressor().compress(lines))
    else:
        path.write_bytes(lines)
    return path


def test_containers_and_workers_change_no_byte(tmp_path):
    records = [
        {
            "id": f"r{i}",
            "messages": [{"role": "user", "content": f"{i}. {SENTENCES}"}, {"role": "assistant", "content": "A"}],
        }
        for i in range(150)
    ]
    results = []
    for container, workers in (("jsonl", 1), ("json.gz", 2), ("jsonl.zst", 1), ("parquet", 2), ("parquet", 1)):
        source = write_as(container, records, tmp_path / "a")
        write_dataset([source], tmp_path / "out", lomo=LoMo(ratio=0.8), workers=workers)
        check_folder(tmp_path / "out")
        results.append(contents(tmp_path / "out"))
    assert all(result == results[0] for result in results[1:])


def of_shape(shape, i, text):
    fields = {"id": i, "lang": "en"}
    if shape == "messages":
        turns = [{"role": "user", "content": text, "name": "x"}, {"role": "assistant", "content": "<image>?"}]
        return fields | {"messages": turns}
    if shape == "conversations":
        turns = [{"from": "user", "value": text}, {"from": "assistant", "value": "<image>?"}]
        return fields | {"conversations": [{"from": "system", "value": "Be brief."}, *turns]}
    if shape == "alpaca":
        more = {"input": text if i % 2 else "", "history": [["<image>", "b"]] if i % 3 else []}
        return fields | {"instruction": f"<|image_pad|> {text}", "output": "A", "system": "s"} | more
    return fields | {"tex": text}


def flat(value):
    """Every string within, in order, without the spaces that set literals apart."""
    if isinstance(value, list | dict):
        return [text for item in (value.values() if isinstance(value, dict) else value) for text in flat(item)]
    return [value.replace("< ", "<")] if isinstance(value, str) else []


@pytest.mark.parametrize("shape", ["messages", "conversations", "alpaca", "tex"])
@pytest.mark.parametrize("container", ["jsonl", "parquet"])
def test_shapes_keep_their_fields(tmp_path, shape, container):
    records = [of_shape(shape, i, f"{i}. {SENTENCES}") for i in range(40)]
    source, out = write_as(container, records, tmp_path / "a"), tmp_path / "out"
    report = write_dataset([source], out, lomo=LoMo(ratio=0.5), field="tex" if shape == "tex" else None)
    written = check_folder(out)
    assert report.counts["rewritten"] > 5
    assert report.counts["failed"] == 0
    (dataset,) = json.loads((out / "dataset_info.json").read_text()).values()
    for before, after in zip(records, written, strict=True):
        assert list(after) == [*before, "images", "gpurender"]
        assert (after["id"], after["lang"]) == (before["id"], "en")
        turns = zip(converted(before, dataset), converted(after, dataset), strict=True)
        for k, ((role, text), (role_after, told)) in enumerate(turns):
            # The system prompt is no turn for the converter, and is one for the provenance.
            place = k + (shape == "conversations")
            spans = [span for span in after["gpurender"]["spans"] if span["message"] == place]
            for span in reversed(spans):
                text = f"{text[: span['start']]}\0{text[span['stop'] :]}"
            assert role_after == role
            assert flat(told.replace("<image>", "\0")) == [text]
        if not after["images"]:
            assert flat({name: after[name] for name in before}) == flat(before)
    columns = {
        "messages": {"messages": "messages", "images": "images"},
        "conversations": {"messages": "conversations", "images": "images"},
        "alpaca": {
            "prompt": "instruction",
            "query": "input",
            "response": "output",
            "system": "system",
            "history": "history",
            "images": "images",
        },
        "tex": {"prompt": "tex", "images": "images"},
    }
    assert dataset["columns"] == columns[shape]
    if shape == "conversations":
        assert dataset["tags"] == {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
            "observation_tag": "observation",
            "function_tag": "function_call",
        }


@pytest.mark.parametrize(("shape", "path"), [("messages", "messages"), ("alpaca", "instruction"), ("tex", "tex")])
def test_parts(tmp_path, shape, path):
    source = write_as("jsonl", [of_shape(shape, i, f"<image> {i}. {SENTENCES}") for i in range(40)], tmp_path / "a")
    out = tmp_path / "out"
    write_dataset([source], out, lomo=LoMo(ratio=0.5), form="parts", field="tex" if shape == "tex" else None)
    records = [json.loads(line) for line in (out / "data.jsonl").read_bytes().splitlines()]
    named = []
    for record in records:
        value = record[path]
        assert "images" not in record
        parts = [part for turn in value for part in turn["content"]] if shape == "messages" else value
        images = [part["image"] for part in parts if part["type"] == "image"]
        assert len(images) == len(record["gpurender"]["spans"])
        assert record["gpurender"]["apart"] == 0
        assert "<image>" in parts[0]["text"] or "<|image_pad|>" in parts[0]["text"]
        named += images
    check_report(out, records, named)
    assert sorted(path.name for path in out.iterdir()) == ["data.jsonl", "images", "report.json"]
    # One type a column, as loaders of tables need it.
    assert len(pyarrow.json.read_json(io.BytesIO((out / "data.jsonl").read_bytes()))) == 40


def test_records_with_images_pass_in_every_shape(tmp_path):
    (tmp_path / "cat.png").touch()
    held = [
        {
            "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A"}],
            "image": "cat.png",
        },
        {"conversations": [{"from": "human", "value": "Text."}, {"from": "gpt", "value": "<image>"}]},
    ]
    source, out = write_as("jsonl", held, tmp_path / "a"), tmp_path / "out"
    write_dataset([source], out, lomo=LoMo(ratio=0))
    done = [json.loads(line) for line in (out / "data.jsonl").read_bytes().splitlines()]
    assert [record["images"] for record in done] == [["../cat.png"], []]
    assert done[0]["conversations"] == held[0]["conversations"]
    assert done[1]["conversations"][1]["value"] == "< image>"
    assert "image" not in done[0]
    write_dataset([source], out, lomo=LoMo(ratio=0), form="parts")
    done = [json.loads(line) for line in (out / "data.jsonl").read_bytes().splitlines()]
    image = {"type": "image", "image": "../cat.png"}
    assert done[0]["conversations"][0]["value"] == [image, {"type": "text", "text": "\nWhat?"}]
    assert done[1]["conversations"][1]["value"] == [{"type": "text", "text": "<image>"}]
    alpaca = {"instruction": "<image> What", "input": "is <image>?", "output": "A", "images": ["cat.png", "cat.png"]}
    write_dataset([write_as("parquet", [alpaca], tmp_path / "b")], out, lomo=LoMo(ratio=1))
    (done,) = [json.loads(line) for line in (out / "data.jsonl").read_bytes().splitlines()]
    assert (done["instruction"], done["input"]) == ("<image> What\nis <image>?", "")
    assert done["images"] == ["../cat.png", "../cat.png"]
    assert done["gpurender"]["reason"] == "the record holds images, video or audio already"


def test_a_record_of_another_shape_costs_itself_alone(tmp_path):
    records = [{"id": "a", "none": 1}, of_shape("alpaca", 1, SENTENCES), of_shape("messages", 2, SENTENCES)]
    source, out = write_as("jsonl", records, tmp_path / "a"), tmp_path / "out"
    report = write_dataset([source], out, lomo=LoMo(ratio=1))
    assert [record["id"] for record in check_folder(out)] == [1]
    assert [problem["reason"] for problem in report.problems] == [
        "'instruction' is missing; fields: id, none",
        "'instruction' is missing; fields: id, lang, messages",
    ]
    assert [problem["record"] for problem in report.problems] == ["a", "2"]


def test_inputs_that_are_no_records_touch_nothing(tmp_path):
    good, bad, out = write_prompts(tmp_path / "a.jsonl", 10), tmp_path / "bad", tmp_path / "out"
    cases = {
        b"": "input is empty",
        b"a,b\n1,2\n": "is no file of records",
        b'{"tex": "x"}\n': r"no record .* among the first 1; record 1: .*gpurender lomo --field.*; fields: tex",
        b"{broken\n": "among the first 1; record 1: not JSON",
        gzip.compress(good.read_bytes())[:-20]: "input is broken: Compressed file ended",
    }
    for data, message in cases.items():
        bad.write_bytes(data)
        with pytest.raises(InputError, match=message):
            write_dataset([bad], out, lomo=LoMo())
        assert not out.exists()
    bad.write_bytes(b"\x89PNG\0")
    with pytest.raises(InputError, match="is no file of records") as raised:
        write_dataset([good, bad], out, lomo=LoMo())
    assert raised.value.filename == str(bad)
    assert not out.exists()
    write_dataset([write_as("json.gz", [], bad)], out, lomo=LoMo())
    assert check_folder(out) == []


def test_an_input_that_ends_too_early_leaves_a_valid_folder(tmp_path):
    path = write_prompts(tmp_path / "a", 1000)
    # Without the end, and stored, so that the first thousand lines come out.
    path.write_bytes(gzip.compress(path.read_bytes(), 0)[:-9])
    with pytest.raises(InputError, match="input is broken: Compressed file ended"):
        write_dataset([path], tmp_path / "out", lomo=LoMo())
    assert len(check_folder(tmp_path / "out")) > 600
    assert not json.loads((tmp_path / "out" / "report.json").read_text())["complete"]


def test_wrong_arguments_are_named(tmp_path):
    source, lomo = write_prompts(tmp_path / "a.jsonl", 1), LoMo()
    for options, message in (
        ({"shape": "chatml"}, "shape must be one of messages, conversations, alpaca, not 'chatml'"),
        ({"shape": "alpaca", "field": "text"}, "shape and field exclude each other"),
        ({"form": "pil"}, "form must be one of placeholder, parts, not 'pil'"),
    ):
        with pytest.raises(ValueError, match=message):
            write_dataset([source], tmp_path / "out", lomo=lomo, **options)


def test_a_pipe_is_an_input(tmp_path):
    source, out = write_prompts(tmp_path / "a.jsonl", 300), tmp_path / "out"
    command = f"{sys.executable} -m gpurender.cli lomo <(gzip < {source}) -o {out}"
    subprocess.run(["bash", "-c", command], check=True)
    assert len(check_folder(out)) == 300


def test_several_files_and_a_limit(tmp_path):
    a, b = write_prompts(tmp_path / "a.jsonl", 10), write_prompts(tmp_path / "b.jsonl", 10)
    write_dataset([a, b], tmp_path / "out", lomo=LoMo(ratio=1), limit=14)
    records = check_folder(tmp_path / "out")
    assert [r["id"] for r in records] == [f"r{i}" for i in [*range(10), *range(4)]]
    write_dataset([a], tmp_path / "none", lomo=LoMo(), limit=0)
    assert check_folder(tmp_path / "none") == []


HOSTILE = [
    b"{broken",
    b"\xff\xfe",
    b'{"text": "no messages"}',
    b'{"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "a"}]}',
    b'{"messages": [{"role": "user", "content": "  \\n "}, {"role": "assistant", "content": "a"}]}',
    b'{"messages": [{"role": "user", "content": "nul \\u0000 and \\u0001"}, {"role": "assistant", "content": "a"}]}',
    b'{"messages": [{"role": "user", "content": "lone \\ud800 x"}, {"role": "assistant", "content": "\\udfff"}]}',
    b'{"messages": [{"role": "user", "content": "<image> x <video>"}, {"role": "assistant", "content": "<audio>"}]}',
    b'{"messages": [{"role": "user", "content": "<image>"}], "images": []}',
    b'{"messages": [{"role": "user", "content": "<image>"}], "images": ["a.png", "b.png"]}',
    json.dumps({"messages": [{"role": "user", "content": "w" * 100_000}]}).encode(),
    json.dumps({"messages": [{"role": "user", "content": "One MB. " * 131_072}]}).encode(),
    json.dumps({"messages": [{"role": "user", "content": "\u0379\u0378"}]}).encode(),
    b"[]",
    b"null",
]


def test_hostile_lines_cost_themselves_alone(tmp_path):
    source = write_prompts(
        tmp_path / "a.jsonl", 20, *HOSTILE, *write_prompts(tmp_path / "b", 3).read_bytes().splitlines()
    )
    report = write_dataset([source], tmp_path / "out", lomo=LoMo(ratio=1, position="full"))
    out = tmp_path / "out"
    records = [json.loads(line) for line in (out / "data.jsonl").read_bytes().splitlines()]
    clean = tmp_path / "clean"
    write_dataset([write_prompts(tmp_path / "c.jsonl", 20)], clean, lomo=LoMo(ratio=1, position="full"))
    assert (out / "data.jsonl").read_bytes().startswith((clean / "data.jsonl").read_bytes())
    assert report.counts["read"] == 38
    problems = {problem["source"].rpartition(":")[2]: problem["reason"] for problem in report.problems}
    assert sorted(map(int, problems)) == [21, 22, 23, 24, 25, 27, 30, 31, 32, 34, 35]
    assert "not JSON" in problems["21"]
    assert "not UTF-8" in problems["22"]
    assert "'messages' is missing" in problems["23"]
    assert problems["24"] == problems["25"] == "the prompt is blank"
    assert problems["30"] == "1 <image> markers but 2 images"
    assert "more pixels than max_pixels" in problems["31"]
    assert "more pixels than max_pixels" in problems["32"]
    assert "lone surrogate (U+DFFF)" in problems["27"]
    assert report.counts["failed"] == 7
    assert len(records) == 31
    by_line = {r["gpurender"]["record"]: r for r in records}
    assert by_line["a.jsonl:26"]["gpurender"]["spans"][0]["missing"] == "U+0000 U+0001"
    assert by_line["a.jsonl:33"]["gpurender"]["spans"][0]["missing"] == "U+0379 U+0378"
    assert sum(r["messages"][0]["content"].count("<image>") for r in records) == sum(len(r["images"]) for r in records)


def test_strict_stops_at_the_first(tmp_path):
    source = write_prompts(tmp_path / "a.jsonl", 200, b"broken")
    with pytest.raises(StrictError, match=r"a.jsonl:201: not JSON"):
        write_dataset([source], tmp_path / "out", lomo=LoMo(), strict=True)
    check_folder(tmp_path / "out")
    assert not json.loads((tmp_path / "out" / "report.json").read_text())["complete"]


def test_on_missing_error_stops_and_leaves_a_valid_folder(tmp_path):
    line = b'{"id": "zh", "messages": [{"role": "user", "content": "\\u0378"}]}'
    source = write_prompts(tmp_path / "a.jsonl", 200, line)
    with pytest.raises(ValueError, match="record zh: no font has a glyph"):
        write_dataset([source], tmp_path / "out", lomo=LoMo(ratio=1, typesetter=Typesetter(on_missing="error")))
    assert len(check_folder(tmp_path / "out")) == 192


def test_an_earlier_result_is_replaced_and_nothing_else_is(tmp_path):
    source, out = write_prompts(tmp_path / "a.jsonl", 30), tmp_path / "out"
    write_dataset([source], out, lomo=LoMo(ratio=1))
    write_dataset([source], out, lomo=LoMo(ratio=0.2), limit=10)
    assert len(check_folder(out)) == 10
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds something else \(notes.txt\)"):
        write_dataset([source], out, lomo=LoMo())
    (out / "notes.txt").unlink()
    (out / "images" / "cat.png").touch()
    with pytest.raises(OutputError, match=r"holds something else \(images/cat.png\)"):
        write_dataset([source], out, lomo=LoMo())
    (out / "images" / "cat.png").unlink()
    assert len(check_folder(out)) == 10
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "20240101-1.png").touch()
    shutil.rmtree(out / "images")
    (out / "images").symlink_to(tmp_path / "photos")
    with pytest.raises(OutputError, match=r"holds something else \(images, a link\)"):
        write_dataset([source], out, lomo=LoMo())
    assert (tmp_path / "photos" / "20240101-1.png").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "data.jsonl").write_text("precious")
    with pytest.raises(OutputError, match=r"holds something else \(data.jsonl\)"):
        write_dataset([source], other, lomo=LoMo())
    assert (other / "data.jsonl").read_text() == "precious"


def test_inputs_and_outputs_that_cannot_be(tmp_path):
    source, lomo = write_prompts(tmp_path / "a.jsonl"), LoMo()
    with pytest.raises(FileNotFoundError, match="input does not exist"):
        write_dataset([source, tmp_path / "none.jsonl"], tmp_path / "out", lomo=lomo)
    assert not (tmp_path / "out").exists()
    with pytest.raises(FileNotFoundError, match="input is a folder, not a file"):
        write_dataset([tmp_path], tmp_path / "out", lomo=lomo)
    with pytest.raises(OutputError, match="output is a file, not a folder"):
        write_dataset([source], source, lomo=lomo)
    with pytest.raises(OutputError, match="output cannot be written"):
        write_dataset([source], source / "below", lomo=lomo)
    write_dataset([source], tmp_path / "out", lomo=lomo)
    with pytest.raises(OutputError, match="lies in the output folder"):
        write_dataset([tmp_path / "out" / "data.jsonl"], tmp_path / "out", lomo=lomo)
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        write_dataset([source], tmp_path / "out", lomo=lomo, workers=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_valid_shorter_result(tmp_path, workers):
    source, out = write_prompts(tmp_path / "a.jsonl", 60_000), tmp_path / "out"
    command = [sys.executable, "-m", "gpurender.cli", "lomo", str(source), "-o", str(out), "--workers", str(workers)]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (out / "data.jsonl").exists() or (out / "data.jsonl").stat().st_size < 100_000:
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # As a terminal does: to every process of the group.
    os.killpg(job.pid, signal.SIGINT)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 130, errors
    assert "interrupted: the folder holds a valid, shorter result" in errors
    assert "Traceback" not in errors
    records = check_folder(out)
    assert 0 < len(records) < 60_000
    assert [r["id"] for r in records] == [f"r{i}" for i in range(len(records))]
    assert json.loads((out / "report.json").read_text())["complete"] is False


def test_a_killed_job_can_be_run_again(tmp_path):
    source, out = write_prompts(tmp_path / "a.jsonl", 20_000), tmp_path / "out"
    job = subprocess.Popen([sys.executable, "-m", "gpurender.cli", "lomo", str(source), "-o", str(out)])
    while not (out / "images").exists() or len(list((out / "images").iterdir())) < 50:
        assert job.poll() is None
        time.sleep(0.02)
    job.kill()
    job.wait()
    write_dataset([source], out, lomo=LoMo(), limit=50)
    assert len(check_folder(out)) == 50


def test_the_shipped_examples(tmp_path, examples):
    report = write_dataset([examples], tmp_path / "out", lomo=LoMo(ratio=1))
    records = check_folder(tmp_path / "out")
    assert 55 <= len(records) <= 70
    assert report.counts["failed"] == 0
    assert max(len(json.loads(line)["messages"][0]["content"]) for line in examples.read_bytes().splitlines()) >= 5000


def hostile(rng):
    """A random string of one of the kinds that break text engines."""
    kind, size = rng.randrange(10), rng.randint(1, 100)
    if kind == 0:
        return "".join(chr(rng.randrange(0x110000)) for _ in range(size))
    if kind == 1:
        return "".join(chr(rng.choice((rng.randrange(0x3000), rng.randrange(0x590, 0x1100)))) for _ in range(size))
    if kind == 2:
        return rng.choice("aשक한") + "".join(chr(rng.randrange(0x300, 0x36F)) for _ in range(500))
    if kind == 3:
        controls = "".join(rng.choice("\u202a\u202b\u202d\u202e\u2066\u2067\u2068") for _ in range(200))
        return controls + "abc שלום 12" + rng.choice("\u202c\u2069") * rng.randint(0, 200)
    alphabet = (
        "😀👩\u200d👦🇩🇪1\ufe0f\u20e3🏽☺\ufe0ea \u0301\u2066א\U000e0067\U000e007f",
        "שלוםمرحبا 12,.()[]$x^2$`code`https://a.b/c \n\t\u2067\u2069\u200f",
        "กำ้ເແພາສາភាសាខ្មែរမြန်မာ\u1039कषत्रियবাংলা\u200c\u200d ",
        "한글ㄱㅏ\u1100\u1161\u11a8中文字，。「」かな\u3099\u3164ｶﾞ",
        "ab ,.-!?«»“”\u2028\u2029\x85\x00\x0b\xad\u200b\u2060\ufeff\ue000\U000f0000\ufffe\r\n",
        "\ud800\udc00\udfff\ud83d\ude00\uffff\U0010ffff\u0378 a",
    )[kind - 4]
    return "".join(rng.choice(alphabet) for _ in range(size))


def test_ten_thousand_hostile_prompts_are_all_accounted_for(tmp_path):
    rng = random.Random(1)
    prompts = [hostile(rng) for _ in range(10_000)]
    with open(tmp_path / "a.jsonl", "w") as file:
        for i, prompt in enumerate(prompts):
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": "yes"}]
            file.write(json.dumps({"id": f"r{i}", "messages": turns}) + "\n")
    out = tmp_path / "out"
    typesetter = Typesetter(width=400, max_pixels=2**20)
    with warnings.catch_warnings():
        # Which fonts claim what they do not draw is the machine's affair.
        warnings.simplefilter("ignore", FontWarning)
        report = write_dataset(
            [tmp_path / "a.jsonl"], out, lomo=LoMo(ratio=1, typesetter=typesetter, distort=distort.presets.harsh())
        )
    told = json.loads((out / "report.json").read_text())
    assert report.complete
    assert told["read"] == len(prompts)
    assert told["rewritten"] + told["kept"] + told["failed"] == len(prompts)
    assert sum(report.kept.values()) == told["kept"]
    assert report.counts["problems"] >= told["failed"]
    lines = (out / "data.jsonl").read_bytes().splitlines()
    assert len(lines) == told["rewritten"] + told["kept"]
    assert told["rewritten"] > 0.8 * len(prompts)
    assert len(list((out / "images").iterdir())) == told["images"]
    for line in lines:
        record = json.loads(line)
        spans = record["gpurender"]["spans"]
        assert len(record["images"]) == len(spans)


def test_a_field_of_our_name_is_kept_within(tmp_path):
    source = tmp_path / "a.jsonl"
    turn = {"role": "user", "content": "Hello."}
    source.write_text(json.dumps({"messages": [turn], "gpurender": {"mine": 1}}))
    write_dataset([source], tmp_path / "out", lomo=LoMo(ratio=1))
    record = json.loads((tmp_path / "out" / "data.jsonl").read_bytes())
    assert record["gpurender"]["before"] == {"mine": 1}
    with pytest.raises(ValueError, match="field 'gpurender' is where the result has something else"):
        write_dataset([source], tmp_path / "out", lomo=LoMo(), field="gpurender")


def test_a_row_of_parquet_that_python_cannot_have_costs_itself_alone(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason='needs pyarrow: pip install -e ".[data]"')
    parquet = pytest.importorskip("pyarrow.parquet")
    days = pyarrow.array([0, 2**30, 1], pyarrow.int32()).cast(pyarrow.date32())
    times = pyarrow.array([1, 1_000_000_001, 7], pyarrow.timestamp("ns"))
    table = pyarrow.table({"text": ["Alpha.", "Beta.", "Gamma."], "day": days, "time": times})
    parquet.write_table(table, tmp_path / "a.parquet")
    report = write_dataset([tmp_path / "a.parquet"], tmp_path / "out", lomo=LoMo(ratio=1), field="text")
    assert (report.counts["rewritten"], report.counts["failed"]) == (2, 1)
    assert "the row cannot be read" in report.problems[0]["reason"]


def color_prompts(path, texts):
    records = [{"id": str(i), "messages": [{"role": "user", "content": text}]} for i, text in enumerate(texts)]
    path.write_text("\n".join(map(json.dumps, records)) + "\n")
    return path


COLORED = [
    "A plain prompt.",
    "Which row is blue? \\begin{tabular}{lr}\\rowcolor{blue!20}a & 1 \\\\ \\rowcolor{red!20}b & 2\\end{tabular}",
    "A formula, $\\color{red}{x} + y$.",
    "A formula in black, $x + y$, and in $\\color{gray}{z}$.",
]


@pytest.mark.parametrize("color", [pytest.param("auto", id="colour"), "rgb", "gray"])
def test_pages_with_colour_are_rgb(tmp_path, color):
    if shutil.which("pdftex") is None:
        pytest.skip("needs pdftex: apt-get install -y --no-install-recommends texlive-latex-recommended lmodern")
    source = color_prompts(tmp_path / "in.jsonl", COLORED)
    lomo = LoMo(ratio=1, typesetter=Typesetter(latex="pdftex"), distort=distort.presets.lomo())
    report = write_dataset([source], tmp_path / "out", lomo=lomo, color=color)
    modes, pixels = [], []
    for k in range(len(COLORED)):
        with Image.open(tmp_path / "out" / "images" / f"{k:08d}-0.png") as image:
            modes.append(image.mode)
            pixels.append(np.array(image.convert("RGB")).astype(int))
    expected = {"auto": ["L", "RGB", "RGB", "L"], "rgb": ["RGB"] * 4, "gray": ["L"] * 4}[color]
    assert modes == expected
    assert report.as_dict()["images_in_color"] == expected.count("RGB")
    if color == "auto":
        table = pixels[1]
        # One row's ground is bluish, the other's reddish.
        assert (table[..., 2] - table[..., 0]).max() > 30
        assert (table[..., 0] - table[..., 2]).max() > 30


@pytest.mark.parametrize(
    ("options", "colored"),
    [
        ({}, False),
        ({"foreground": (90, 90, 90), "background": (200, 200, 200)}, False),
        ({"foreground": (0, 0, 90)}, True),
        ({"background": (255, 250, 240)}, True),
    ],
)
def test_ink_and_paper_of_a_colour_make_pages_coloured(options, colored):
    layout = Typesetter(latex="off", **options)(["a", "", "b"])
    assert layout.is_colored().tolist() == [colored] * 3


def test_an_unknown_color_is_named(tmp_path):
    source = color_prompts(tmp_path / "in.jsonl", ["a"])
    with pytest.raises(ValueError, match="color must be one of auto, rgb, gray, not 'red'"):
        write_dataset([source], tmp_path / "out", lomo=LoMo(), color="red")


def test_latex_that_stays_text_is_counted_and_shown(tmp_path):
    texts = [
        "Plain.",
        "See \\section{One} and $x$.",
        "In `\\section{Two}` and C:\\new\\temp none.",
        "\\foo and \\bars.",
    ]
    source = color_prompts(tmp_path / "in.jsonl", texts)
    report = write_dataset([source], tmp_path / "out", lomo=LoMo(ratio=1, typesetter=Typesetter(latex="ziamath")))
    found = report.as_dict()
    assert found["latex_left_as_text"] == 3
    assert [place["text"] for place in found["latex_left_as_text_first"]] == ["\\section{One}", "\\foo", "\\bars"]
    assert found["latex_left_as_text_first"][0]["at"] == f"{source}:2, characters 4-17"
    records = [json.loads(line) for line in (tmp_path / "out" / "data.jsonl").read_bytes().splitlines()]
    assert [r["gpurender"]["spans"][0]["latex_left_as_text"] for r in records] == [0, 1, 0, 2]


@pytest.mark.parametrize(("dollars", "count"), [("auto", 1), ("strict", 0), ("off", 0)])
def test_dollars_are_read_as_the_typesetter_says(dollars, count):
    lomo = LoMo(ratio=1, typesetter=Typesetter(latex="ziamath", dollars=dollars))
    done = lomo([{"messages": [{"role": "user", "content": "If $ x=3 $ then so."}]}])
    assert done.layout.count_formulas(0) == count


def test_an_unknown_rule_for_dollars_is_named():
    with pytest.raises(ValueError, match="dollars must be one of auto, strict, off, not 'all'"):
        Typesetter(dollars="all")
