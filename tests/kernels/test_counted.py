"""The GPU path, counted without a GPU: instructions, registers and spills of compiled kernels, operations of calls."""

import json
import os
import subprocess
import sys

import pytest
import torch

# The most registers that a kernel may take; it must not spill either.
REGISTERS = {"composite": 72, "warp": 88, "shade": 128, "blur": 255, "patchify": 64, "repack": 48}
# The least share of the bytes moved in a loop by accesses of 4 bytes or more. Warp gathers single pixels.
WIDE = 0.95
NARROW = ("warp",)

COMPILE = """
import json
from gpurender.bench.counted_kernels import every_build, every_path, run_all

if __name__ == "__main__":
    tasks = [("count", *path) for path in every_path()] + [("build", *build) for build in every_build(thorough=False)]
    # Those first that take long.
    tasks.sort(key=lambda task: (task[1].operation != "warp", task[0]))
    for result in run_all(tasks, 2):
        print(json.dumps(result._asdict() | {"wide": getattr(result, "wide", None)}), flush=True)
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Every kernel, by a process of its own: kernels cannot be compiled where they are interpreted."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_DEFAULT_FP_FUSION"] = "1"
    # Compiling processes import the file that started them.
    script = tmp_path_factory.mktemp("counted") / "compile.py"
    script.write_text(COMPILE, encoding="utf-8")
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_instructions_of_every_path(compiled):
    paths = [each for each in compiled if "path" in each]
    assert {each["case"][0] for each in paths} >= {"composite", "warp", "shade", "blur", "patchify"}
    for each in paths:
        print(each)
        assert 0 < each["instructions"] <= each["bound"], each


def test_accesses_are_wide(compiled):
    for each in compiled:
        if "path" in each and each["case"][0] not in NARROW:
            assert each["wide"] >= WIDE, each


def test_registers_and_spills(compiled):
    for each in compiled:
        print(each)
        # A spilled register is in local memory, which is counted with the stack.
        assert each["stack"] == 0, each
        assert 0 < each.get("registers", 1) <= REGISTERS[each["case"][0]], each
    assert {each.get("capability", 90) for each in compiled} == {80, 90, 100}


# Operations and views that torch dispatches, copies to the device, and launches; of any number of images.
HOST = {
    "Renderer": (36, 1, 2),
    "transform, presets.lomo()": (7, 1, 5),
    "Profile.patchify": (33, 2, 2),
    "Planned.render": (20, 1, 5),
}


@pytest.mark.parametrize("images", [8, 64])
def test_host_operations_of_a_call(images):
    pytest.importorskip("transformers", reason='needs transformers: pip install -e ".[test]"')
    from gpurender.bench import counted_host

    with counted_host.stand_in() as tally:
        for name, call in counted_host.every_call(images, tally):
            host = counted_host.measure(name, images, tally, call, rounds=0)
            print(host)
            operations, copies, launches = HOST[name]
            assert host.operations + host.views <= operations, (host, tally.operations, tally.views)
            assert host.copies <= copies, host
            assert 0 < host.launches <= launches, (host, tally.launches)


def test_the_device_is_not_read():
    """Device `meta` would raise; a stand-in that did not would make the counts above worthless."""
    from gpurender.bench import counted_host

    with pytest.raises(RuntimeError, match="meta"):
        torch.ones(1, device=counted_host.DEVICE).item()
