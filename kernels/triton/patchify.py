"""Patches in Triton: a tile is some patches or, of large ones, some lines; its lanes write neighbours in `out`.

Each byte is loaded once, looked up in three colors, and each color stored for each frame. Bits are moved, 16 or 32 for
a color. Tile and warps are reasoned, not yet measured.
"""

from __future__ import annotations

from math import gcd

import torch
import triton
import triton.language as tl
from gpurender.kernels.triton.tiles import lay_tiles, on_its_device, send
from torch import Tensor

# Pixels of a tile, and of its lines at least; warps that share it; and the bytes that a lane stores at once, at most.
TILE, NARROWEST, WARPS, STORE = 1024, 32, 4, 16
# Programs enough for any GPU. Beyond them each takes more tiles, since the plan has a number for each program.
PROGRAMS = 1 << 14

# An image's row of the plan, before its paper; see `patchify`.
FIELDS = tl.constexpr(7)


@triton.jit(do_not_specialize=["words", "steps", "patch_height", "groups"])
def patchify_kernel(
    out,
    pixels,
    plan,
    words,
    steps,
    patch_height,
    groups,
    CHANNELS: tl.constexpr,  # noqa: N803
    TEMPORAL: tl.constexpr,  # noqa: N803
    MERGE: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    LANES: tl.constexpr,  # noqa: N803
    VECTOR: tl.constexpr,  # noqa: N803
):
    """Write `steps` tiles, each of ROWS patches HEIGHT x WIDTH in LANES, or of as many lines of a larger patch."""
    tile = tl.program_id(0)
    levels = plan.to(out.dtype, bitcast=True)
    tiles = plan + words
    row = tiles + tl.num_programs(0) + tl.load(tiles + tile) * (FIELDS + CHANNELS)
    height, width = tl.load(row).to(tl.int32), tl.load(row + 1).to(tl.int32)
    pixels += tl.load(row + 2)
    count, blocks_across = tl.load(row + 4).to(tl.int32), tl.load(row + 5).to(tl.int32)
    first = (tile - tl.load(row + 6)).to(tl.int32) * steps
    # In whole vectors, so that the compiler knows where stores are aligned.
    lines = HEIGHT if WIDTH else patch_height
    columns = WIDTH if WIDTH else groups * VECTOR
    plane = tl.full([], 1, tl.int64) * (lines * columns)
    stride = 3 * TEMPORAL * plane
    out += tl.load(row + 3) * stride

    across = 1 if WIDTH else (columns + LANES - 1) // LANES
    pieces = 1 if WIDTH else (lines + ROWS - 1) // ROWS * across
    last = (count + ROWS - 1) // ROWS if WIDTH else count * pieces
    for step in range(first, tl.minimum(first + steps, last)):
        # Flat: of two dimensions, Triton 3.3 and 3.5 lay out loads unlike stores, and turn them in shared memory.
        down, lane = tl.arange(0, ROWS * LANES) // LANES, tl.arange(0, ROWS * LANES) % LANES
        if WIDTH:
            n = step * ROWS + down
            y, x = lane // WIDTH, lane % WIDTH
            offset = lane
            mask = (n < count) & (lane < HEIGHT * WIDTH)
        else:
            n, piece = step // pieces, step % pieces
            y, x = piece // across * ROWS + down, piece % across * LANES + lane
            offset = y * columns + x
            mask = (y < lines) & (x < columns)
        there = out + n * stride + offset  # [ROWS * LANES]
        block, place = n // (MERGE * MERGE), n % (MERGE * MERGE)
        y += (block // blocks_across * MERGE + place // MERGE) * lines
        x += (block % blocks_across * MERGE + place % MERGE) * columns
        here = pixels + (y.to(tl.int64) * width + x)
        on_image = mask & (y < height) & (x < width)
        for color in tl.static_range(3):
            if color < CHANNELS:
                paper = tl.load(row + FIELDS + color).to(tl.uint8)
                level = tl.load(here, mask=on_image, other=paper).to(tl.int32)
                here += height.to(tl.int64) * width
            value = tl.load(levels + (256 * color + level))
            # From `there` anew each time, since an address handed on from frame to frame would be turned likewise.
            for frame in range(TEMPORAL):
                tl.store(there + (color * TEMPORAL + frame) * plane, value, mask=mask)


def settings(
    bits: int, channels: int, height: int, width: int, merge: int, temporal: int
) -> tuple[dict[str, int], int]:
    """The kernel's constants, and its warps. Those of patches larger than a tile do not depend on their size."""
    plane = height * width
    whole = plane <= TILE
    row = plane if whole else width
    lanes = min(max(triton.next_power_of_2(row), NARROWEST), TILE)
    constants = {"CHANNELS": channels, "TEMPORAL": temporal, "MERGE": merge}
    constants |= {"HEIGHT": height if whole else 0, "WIDTH": width if whole else 0}
    constants |= {"ROWS": TILE // lanes, "LANES": lanes, "VECTOR": gcd(row, 8 * STORE // bits)}
    return constants, WARPS


@on_its_device
def patchify(
    out: Tensor,
    pixels: Tensor,
    sizes: Tensor,
    starts: Tensor,
    channels: int,
    canvases: Tensor,
    rows: Tensor,
    paper: Tensor,
    levels: Tensor,
    height: int,
    width: int,
    merge: int,
    temporal: int,
) -> None:
    """Write every image's patches; see `gpurender.kernels.patchify` for the arguments."""
    constants, warps = settings(8 * out.element_size(), channels, height, width, merge, temporal)
    lanes, lines = constants["LANES"], constants["ROWS"]
    down, right = (canvases.long() // torch.tensor([height, width], device="cpu")).unbind(1)  # [K], [K]
    counts = down * right
    work = -(-counts // lines) if constants["WIDTH"] else counts * (-(-height // lines) * -(-width // lanes))
    steps = -(-int(work.sum()) // PROGRAMS) or 1
    tiles, first_tiles = lay_tiles(-(-work // steps))
    if not len(tiles):
        return
    table = levels.reshape(-1).view(torch.int64)
    rows_of_plan = [sizes, starts, rows, counts, right // merge, first_tiles, paper]
    plan = send(torch.cat([table, tiles]), rows_of_plan, out.device)
    numbers = len(table), steps, height, width // constants["VECTOR"]
    patchify_kernel[(len(tiles),)](out, pixels, plan, *numbers, **constants, num_warps=warps)
