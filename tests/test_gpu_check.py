"""The GPU check where no GPU is needed: its dry run, its summary, and its stand-in for a kernel."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from gpurender.bench import gpu_check, gpu_kernels, gpu_report, gpu_timing

COMMAND = [sys.executable, "-m", "gpurender.bench.gpu_check"]
CLEAN = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}


def results_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_a_dry_run_reports_versions_and_leaves_kernels_out(tmp_path):
    command = [*COMMAND, "--out", str(tmp_path), "--dry", "--steps", "versions", "warp"]
    run = subprocess.run(command, env=CLEAN, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    versions, step, left_out = results_of(tmp_path)
    assert versions["torch"] == torch.__version__
    assert (step["what"], step["ok"]) == ("step", True)
    assert (left_out["step"], left_out["skipped"]) == ("warp", "needs a GPU")
    assert "- warp: step: skipped needs a GPU" in (tmp_path / "results.md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_only_a_dry_run_starts(tmp_path):
    run = subprocess.run([*COMMAND, "--out", str(tmp_path)], env=CLEAN, capture_output=True, text=True)
    assert run.returncode == 2
    assert "torch finds no CUDA GPU" in run.stderr


def test_a_gpu_is_not_checked_by_the_interpreter(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(SystemExit):
        gpu_check.main(["--out", str(tmp_path)])
    assert "TRITON_INTERPRET" in capsys.readouterr().err


def test_a_step_that_raises_or_hangs_is_a_result(tmp_path, monkeypatch):
    def fail(tell):
        tell("part", share=0.5)
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(gpu_check.STEPS, "warp", gpu_check.Step(fail, 1))
    assert gpu_check.run_step("warp", tmp_path) == 0
    part, raised = results_of(tmp_path)
    assert part == {"step": "warp", "what": "part", "share": 0.5}
    assert raised["ok"] is False
    assert "RuntimeError: no such kernel" in raised["log"]
    # The limit ends this one before it has imported torch.
    assert gpu_check.start_step("plans", tmp_path, 1)
    assert results_of(tmp_path)[-1]["why"] == "stopped at its limit of 1 s"


def test_a_summary_begins_with_the_worst(tmp_path):
    for values in ({"what": "a", "share": 0.9}, {"what": "b", "share": 0.1}, {"what": "c", "ok": False, "log": "why"}):
        gpu_report.append(tmp_path, "warp", **values)
    with open(tmp_path / "results.jsonl", "a") as file:
        file.write('{"step": "wa')
    gpu_report.write_summary(tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert text.index("- warp: c: ok False") < text.index("| b | 0.1 |") < text.index("| a | 0.9 |")
    assert "1 failed, 0 left out, 3 results." in text


def test_differences_count_in_both_directions():
    told = []
    levels = torch.tensor([0, 255, 7, 7], dtype=torch.uint8)
    others = torch.tensor([255, 0, 7, 8], dtype=torch.uint8)
    for ours, theirs in ((levels, others), (others, levels), (levels, levels), (levels / torch.nan, levels)):
        gpu_kernels.compare(lambda what, **values: told.append(values), "it", [ours], [theirs], 1)
    assert [(r["largest"], r["equal"], r["ok"]) for r in told[:3]] == [(255, 0.25, False)] * 2 + [(0, 1, True)]
    assert told[3]["ok"] is False


def test_recorded_launches_run_again():
    calls = []

    class Kernel:
        def __getitem__(self, grid):
            return lambda *arguments, **options: calls.append((grid, arguments, options))

    kernel = Kernel()
    module = SimpleNamespace(__name__="module", warp_kernel=kernel)
    again = gpu_timing.record_launches(module, "warp_kernel", lambda: module.warp_kernel[3,](1, num_warps=4))
    assert module.warp_kernel is kernel
    again()
    assert calls == [((3,), (1,), {"num_warps": 4})] * 2
    with pytest.raises(RuntimeError, match=r"did not launch module\.warp_kernel"):
        gpu_timing.record_launches(module, "warp_kernel", lambda: None)
