"""The README's Python examples run as they stand."""

import re
from pathlib import Path

import pytest

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_example_runs(code):
    names = {}
    exec(code, names)
    if "loader" in names:
        assert (names["batch"]["labels"] != -100).any()
    else:
        assert len(names["pages"]) == len(names.get("params", [0]))
