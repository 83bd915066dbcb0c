"""The patches' Triton kernel: its plan, how often it is compiled, and that it waits for nothing."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from gpurender.kernels.plan import Plan, spread_colors
from gpurender.kernels.plan.patchify import FIELDS, LINES, PATCHES, lay_patchify, levels_size, tile_of

from gpurender import kernels


def lay(size, canvas, patch, merge=1, temporal=1, count=2, bits=16):
    source = Plan().reserve(np.tile(np.array([size], np.int32), (count, 1)))
    canvases = np.tile(np.array([canvas], np.int32), (count, 1))
    paper, levels = spread_colors(np.full((count, 1), 255, np.uint8)), np.zeros(3 * 256 * bits // 32, np.int32)
    rows = np.arange(count, dtype=np.int64) << 33
    return lay_patchify(source, canvases, rows, paper, levels, bits, *patch, merge, temporal)


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


def test_dense_canvases_do_not_compile_anew():
    """Whatever their sizes: small ones, and those that no tile holds."""
    from gpurender.kernels.triton.patchify import settings

    constants = set()
    for height, width in ((20, 24), (24, 32), (30, 32), (300, 24)):
        assert lay((height, width), (height, width), (height, width)).variant == LINES
        constants.add(str(settings(3, LINES, 16, height, width, 1, 1)))
    assert len(constants) == 1
    constants = {str(settings(3, LINES, 32, height, 1000 + 4 * k, 1, 1)) for k, height in enumerate((400, 517, 4096))}
    assert len(constants) == 1


def test_large_rows_of_blocks_are_read_by_lines():
    """Offsets of 32 bits must not overflow."""
    assert lay((28, 300), (28, 308), (14, 14), 2, 2).variant == PATCHES
    assert lay((28, 2**27), (28, 2**27 + 20), (14, 14), 2, 2, count=1).variant == LINES


@pytest.mark.parametrize(
    ("bits", "patch"), [(16, (14, 14)), (32, (14, 14)), (16, (16, 16)), (16, (7, 5)), (32, (3, 18))]
)
def test_a_tile_holds_whole_units(bits, patch):
    unit, run, rows, columns = tile_of(bits, *patch, PATCHES)
    assert unit * columns == patch[0] * patch[1]
    assert unit % run == patch[1] % run == 0
    assert 1 <= rows <= 256 // columns
    assert unit * bits <= 128


def test_every_program_has_its_image():
    table = lay((200, 768), (224, 784), (14, 14), 2, 2, count=3)
    begin = levels_size(16)
    ats = table.words[begin : begin + table.programs]
    rows = table.words[len(table.words) - 3 * FIELDS :].reshape(3, FIELDS)
    assert (np.diff(ats) >= 0).all()
    assert len(set(ats.tolist())) == 3
    assert rows[:, 0].tolist() == [int((ats < at).sum()) for at in sorted(set(ats.tolist()))]
    # Rows of `out` are beyond 32 bits.
    assert rows[:, 8:10].copy().view(np.int64)[:, 0].tolist() == [0, 1 << 33, 2 << 33]


def test_planning_imports_no_torch():
    code = "import sys, gpurender.kernels.plan.patchify; print('torch' in sys.modules, 'triton' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.split() == ["False", "False"], run.stderr
