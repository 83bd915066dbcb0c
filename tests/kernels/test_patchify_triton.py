"""The patches' Triton kernel as it is compiled: what it takes of a GPU, how often, and that it waits for nothing."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from gpurender import kernels


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_device_is_never_waited_for():
    images = kernels.Images(np.array([[20, 30]], np.int32), np.array([3]), 1)
    paper, levels = np.zeros((1, 1), np.uint8), np.zeros((3, 256), np.float32)
    patches = kernels.Patches(np.array([[28, 56]], np.int32), np.array([2]), paper, levels, (14, 14), 2, 2)
    out, pixels = torch.ones(12, 1176, device="cuda"), torch.zeros(700, dtype=torch.uint8, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        kernels.patchify(out, pixels, images, patches, backend="triton")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert out.sum(1).eq(0).sum() == 8


COMPILE = """
import json, pathlib, re, subprocess, tempfile
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from gpurender.kernels.triton.patchify import patchify_kernel, settings

dump = next(pathlib.Path(triton.__file__).parent.rglob("cuobjdump"))
cases = {"14": (14, 14, 2, 2), "16": (16, 16, 2, 2), "dense": (1000, 1000, 1, 1)}
for capability in (80, 90, 100):
    for name, sides in cases.items():
        for bits in (32, 16):
            for channels in (1, 3):
                constants, warps = settings(bits, channels, *sides)
                signature = dict(out=f"*i{bits}", pixels="*u8", plan="*i64")
                signature |= dict.fromkeys(("words", "steps", "patch_height", "groups"), "i32")
                signature |= dict.fromkeys(constants, "constexpr")
                # As torch's own memory is.
                aligned = {(k,): [["tt.divisibility", 16]] for k in (0, 2)}
                source = ASTSource(patchify_kernel, signature=signature, constexprs=constants, attrs=aligned)
                target = GPUTarget("cuda", capability, 32)
                kernel = triton.compile(source, target=target, options={"num_warps": warps})
                with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
                    file.write(kernel.asm["cubin"])
                    file.flush()
                    dumped = [dump, "--dump-resource-usage", file.name]
                    usage = subprocess.run(dumped, capture_output=True, text=True).stdout
                counts = {k: int(v) for k, v in re.findall(r"(REG|STACK|LOCAL):(\\d+)", usage)}
                counts |= {"sm": capability, "patch": name, "bits": bits, "channels": channels}
                counts |= {"SHARED": kernel.metadata.shared, "ptx": kernel.asm["ptx"].count("st.global.v4.b32")}
                print(json.dumps(counts))
"""


def test_triton_compiles_ahead_of_time_without_spills():
    """Another process: ahead-of-time compilation fails under TRITON_INTERPRET=1."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_DEFAULT_FP_FUSION"] = "1"
    run = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(lines) == 36, run.stdout
    for counts in lines:
        print(counts)
        assert 0 < counts["REG"] < 128, counts
        # A spilled register lives on the stack, which is local memory.
        assert counts["STACK"] == counts["LOCAL"] == 0, counts
        # Nothing is handed from lane to lane.
        assert counts["SHARED"] == 0, counts
        # Stores of 16 bytes, but where a frame of 14 x 14 px ends with half of one.
        assert (counts["ptx"] > 0) == ((counts["patch"], counts["bits"]) != ("14", 16)), counts


def test_large_patches_do_not_compile_anew():
    from gpurender.kernels.triton.patchify import settings

    constants = {str(settings(32, 3, height, 1000 + 4 * k, 1, 1)) for k, height in enumerate((400, 517, 1000, 4096))}
    assert len(constants) == 1
