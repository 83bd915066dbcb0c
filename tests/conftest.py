"""Shared set-up: Triton kernels run in Triton's interpreter where no GPU is; real prompts where they are at hand."""

import json
import os
from pathlib import Path

import hypothesis
import pytest
import torch

# Read when kernels are imported, so it must stand before any of them is.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# The first example of a test may compile; machines are slow and noisy.
hypothesis.settings.register_profile("gpurender", deadline=None)
hypothesis.settings.load_profile("gpurender")

DATA = Path(os.environ.get("GPURENDER_DATA", Path(__file__).parents[2] / "shared" / "data"))


def _rows(name):
    path = DATA / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is missing; set GPURENDER_DATA to a folder of prompt files")
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="session")
def prompts():
    """`prompts(name)`: the first user turns of a file of real prompts; skips where the file is missing."""
    return lambda name: [row["messages"][0]["content"] for row in _rows(name)]


@pytest.fixture(scope="session")
def pieces():
    """`pieces(name)`: the LaTeX of a file of real formulas or tables; skips where the file is missing."""
    return lambda name: [row["tex"] for row in _rows(name)]


@pytest.fixture(scope="session")
def examples():
    """The path of the shipped prompts."""
    return Path(__file__).parents[1] / "examples" / "prompts.jsonl"
