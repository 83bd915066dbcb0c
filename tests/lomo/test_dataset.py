"""The job: its folder is what LLaMA-Factory reads, whatever comes in and however it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from gpurender import LoMo, Typesetter
from gpurender.lomo.dataset import StrictError, write_dataset
from gpurender.lomo.folder import OutputError

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


def check_folder(out):
    """LLaMA-Factory's rules for a sharegpt dataset with images; returns the records."""
    info = json.loads((out / "dataset_info.json").read_text())
    (dataset,) = info.values()
    assert dataset["formatting"] == "sharegpt"
    columns, tags = dataset["columns"], dataset["tags"]
    records = [json.loads(line) for line in (out / dataset["file_name"]).read_bytes().splitlines()]
    named = []
    for record in records:
        texts = [message[tags["content_tag"]] for message in record[columns["messages"]]]
        assert all(isinstance(text, str) for text in texts)
        images = record[columns["images"]]
        assert sum(text.count("<image>") for text in texts) == len(images)
        assert not any(p in text for text in texts for p in ("<video>", "<audio>", "<|image_pad|>"))
        roles = [message[tags["role_tag"]] for message in record[columns["messages"]]]
        roles = roles[1:] if roles[0] == tags["system_tag"] else roles
        assert roles[::2] == [tags["user_tag"]] * len(roles[::2])
        assert roles[1::2] == [tags["assistant_tag"]] * len(roles[1::2])
        named += images
        for name, span in zip(images, record["gpurender"]["spans"], strict=True):
            with Image.open(out / name) as image:
                image.load()
                assert image.size == (span["width"], span["height"])
                assert np.array(image).min() < 128
    assert sorted(named) == sorted(f"images/{path.name}" for path in (out / "images").iterdir())
    assert sorted(path.name for path in out.iterdir()) == ["data.jsonl", "dataset_info.json", "images", "report.json"]
    report = json.loads((out / "report.json").read_text())
    assert report["rewritten"] + report["kept"] == len(records)
    assert report["images"] == len(named)
    assert report["read"] == report["rewritten"] + report["kept"] + report["failed"]
    return records


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
        write_dataset([source], tmp_path / name, lomo=LoMo(ratio=0.8), workers=workers)
        check_folder(tmp_path / name)
        results.append(contents(tmp_path / name))
    assert results[0] == results[1] == results[2]


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
    assert by_line["a.jsonl:26"]["gpurender"]["spans"][0]["missing"] == ["U+0000", "U+0001"]
    assert by_line["a.jsonl:33"]["gpurender"]["spans"][0]["missing"] == ["U+0379", "U+0378"]
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
