"""Shared set-up: Triton kernels run in Triton's interpreter where no GPU is; real prompts where they are at hand."""

import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import hypothesis
import pytest
import torch

# Read when kernels are imported, so it must stand before any of them is.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_configure():
    """Refuse versions whose kernels fail in the interpreter, before hundreds of tests do."""
    try:
        triton, numpy = ([int(n) for n in version(name).split(".")[:2]] for name in ("triton", "numpy"))
    except PackageNotFoundError:
        return
    if os.environ.get("TRITON_INTERPRET") == "1" and triton < [3, 7] and numpy >= [2, 4]:
        raise pytest.UsageError(
            f"Triton {version('triton')} cannot interpret kernels with numpy {version('numpy')}, and there is no GPU: "
            "pip install 'numpy<2.4', or pip install 'triton>=3.7'"
        )


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
