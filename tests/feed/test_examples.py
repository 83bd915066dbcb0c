"""The training examples run, learn, measure, resume exactly and stop cleanly; the packing example packs."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers", reason="needs transformers: pip install transformers")

EXAMPLES = Path(__file__).parents[2] / "examples"
TRAINERS = {"train_torch": None, "train_hf_trainer": "accelerate", "train_lightning": "lightning"}
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def command(name, *arguments):
    return [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]


def start(name, *arguments):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A group of its own, as a shell gives it: Ctrl-C reaches its workers too.
    return subprocess.Popen(command(name, *arguments), **pipes, text=True, env=ONE_THREAD, start_new_session=True)


def finish(process, code=0):
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == code, err
    return out if code == 0 else err


def run(name, *arguments, code=0):
    return finish(start(name, *arguments), code)


def losses(output):
    return {int(step): float(loss) for step, loss in re.findall(r"^step +(\d+)  loss +([\d.]+)", output, re.M)}


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """24 records, so that a pass is 6 steps of 4."""
    path = tmp_path_factory.mktemp("data") / "few.jsonl"
    lines = (EXAMPLES / "arithmetic.jsonl").read_text(encoding="utf-8").splitlines()[:24]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_arithmetic_is_right():
    for line in (EXAMPLES / "arithmetic.jsonl").read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)["messages"][1]["content"]
        *steps, last = answer.removesuffix(".").split(". ")
        for step in steps:
            left, right = step.split(" = ")
            assert re.fullmatch(r"[\d+*/() -]+", left)
            assert eval(left) == int(right), step
        assert last == f"The answer is {right}"


@pytest.mark.parametrize("name", TRAINERS)
def test_trainer(name, few, tmp_path):
    if TRAINERS[name]:
        pytest.importorskip(TRAINERS[name], reason=f"needs {TRAINERS[name]}: pip install {TRAINERS[name]}")
    common = ["--data", few, "--batch-size", 4, "--log-every", 2, "--device", "cpu", "--workers", 1]
    if name == "train_torch":
        common += ["--family", "qwen3_vl"]
    # At once: most of the time goes to imports.
    process = start(name, *common, "--steps", 20, "--out", tmp_path / "whole")
    # In the middle of the third pass.
    run(name, *common, "--steps", 14, "--out", tmp_path / "parts")
    whole = finish(process)
    rest = run(name, *common, "--steps", 20, "--out", tmp_path / "parts", "--resume")
    found = losses(whole)
    assert list(found) == list(range(2, 21, 2))
    assert found[20] < 0.7 * found[2]
    assert losses(rest) == {step: found[step] for step in (16, 18, 20)}
    assert re.search(r"[\d,]+ tokens/s +[\d.]+ images/s +[\d.]+% of the time waiting for data", whole)
    check_png(tmp_path / "whole" / f"{name}.png")


def check_png(path):
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.width > 800
        assert len(image.convert("RGB").getcolors(2**20)) > 50


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_interrupt_leaves_a_checkpoint(few, tmp_path):
    arguments = ["--data", few, "--batch-size", 4, "--log-every", 2, "--steps", 10**6, "--out", tmp_path]
    process = start("train_torch", *arguments)
    seen = ""
    while "step" not in seen:
        seen += process.stdout.readline() or pytest.fail(process.stderr.read())
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopping after this step" in out
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "train_torch.png"]


def test_packing(few):
    out = run("packing", "--data", few, "--batch-size", 4, "--tokens", 1024)
    shares = [float(share) for share in re.findall(r"padding .*: ([\d.]+)%", out)]
    at_random, alike, came = shares
    assert alike < at_random
    assert came == alike
    planned, full = (float(share) for share in re.findall(r"([\d.]+)% full", out))
    assert full == planned > 50


def test_error_is_told(tmp_path):
    err = run("train_torch", "--data", "nowhere.jsonl", "--out", tmp_path, code=1)
    assert err.strip().splitlines()[-1] == "nowhere.jsonl: No such file or directory"


def test_records_without_use_are_told(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import common

    path = tmp_path / "bare.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "Why?"}]}\n', encoding="utf-8")
    args = common.parser("").parse_args(["--data", str(path), "--device", "cpu"])
    records = common.read_records(path)
    collator = common.make_collator(args, *common.load(args, records))
    with pytest.raises(SystemExit, match=r"bare\.jsonl: record line-1: no turn"):
        common.make_feed(args, records, collator)


def test_arguments_and_lines_are_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    import common

    for arguments, told in ((["--steps", "0"], "0 is less than 1"), (["--family", "gpt"], "invalid choice: 'gpt'")):
        with pytest.raises(SystemExit):
            common.parser("").parse_args(arguments)
        assert told in capsys.readouterr().err
    path = tmp_path / "broken.jsonl"
    path.write_text('{"messages": []}\n{"messages"\n', encoding="utf-8")
    with pytest.raises(SystemExit, match=r"broken\.jsonl, line 2:"):
        common.read_records(path)


def test_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import common

    def fail(path):
        path.write_text("half")
        raise KeyboardInterrupt

    (tmp_path / "file").write_text("before")
    with pytest.raises(KeyboardInterrupt):
        common.write(tmp_path / "file", fail)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "before")]
