"""Convolution in Triton: one program owns one tile of one plane, and goes down it in steps.

A separable kernel is two products with banded matrices on tensor cores. Across, the pixels are windows of 2 S, one for
every S results, times [2 S, S]. Down, S rows of results need 2 S rows of those: the S of the step before, and S new
ones. So S is at least twice the radius, every pixel is read twice (the second time from a cache) but for the tile's
first rows, and a result costs 4 S multiply-adds whatever the radius. Sums of shifted tensors would need fewer, but
Triton cannot shift a tensor. Tiles and warps are reasoned, not yet measured.

Pixels are exact in float16. The first product's accumulator starts at -128, so that what is rounded to float16 between
the products lies around 0, at most 1/32 wrong. Weights are float16 too; what their rounding takes from the sum the
middle one gets back, so a constant stays constant.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from gpurender.kernels.images import MAX_RADIUS
from gpurender.kernels.triton.tiles import count_tiles, lay_tiles, on_its_device, send, single
from torch import Tensor
from torch.nn.functional import pad

TILE_HEIGHT = 128

# An image's row of the plan: after nine integers its weights; a tap's: dx, dy, weight.
WEIGHTS, TAP = tl.constexpr(12), tl.constexpr(3)
# Rows at a time where there are taps.
LINES = tl.constexpr(16)


@triton.jit
def _weights(row, distance, STEP: tl.constexpr):  # noqa: N803
    distance = tl.abs(distance)
    bits = tl.load(row + WEIGHTS + distance, mask=distance <= STEP // 2, other=0)
    return bits.to(tl.int32).to(tl.float32, bitcast=True).to(tl.float16)


@triton.jit
def _across(v, matrix, bias, WINDOWS: tl.constexpr, STEP: tl.constexpr):  # noqa: N803
    # From windows [WINDOWS * STEP, 2 STEP] of pixels, window after window, to rows [STEP, WINDOWS * STEP].
    v = tl.dot(v.to(tl.float16), matrix, tl.zeros([WINDOWS * STEP, STEP], tl.float32) + bias).to(tl.float16)
    return tl.reshape(tl.permute(tl.reshape(v, [WINDOWS, STEP, STEP]), [1, 0, 2]), [STEP, WINDOWS * STEP])


@triton.jit
def _blur_rows(
    pixels,
    y,
    x,
    rows,
    columns,
    inside,
    matrix,
    bias,
    STEP: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
):
    # [STEP, WIDTH] float16 of the rows from y on, blurred across, less 128.
    windows: tl.constexpr = WIDTH // STEP
    line = tl.minimum(tl.maximum(y + tl.arange(0, STEP), 0), rows - 1).to(tl.int64) * columns
    line = (pixels + line)[None, :, None]
    window = tl.arange(0, windows)[:, None, None]
    if inside:
        # Words of four pixels, each from the two words of memory that they lie in.
        line += x - STEP // 2
        odd = line.to(tl.uint64) & 3
        word = (line - odd.to(tl.int64)).to(tl.pointer_type(tl.uint32), bitcast=True)
        word += window * (STEP // 4) + tl.arange(0, STEP // 2)[None, None, :]  # [windows, STEP, STEP / 2]
        word = (tl.load(word).to(tl.uint64) | (tl.load(word + 1).to(tl.uint64) << 32)) >> (odd * 8)
        word = word.to(tl.uint32)
        v = tl.join(tl.join(word & 255, (word >> 16) & 255), tl.join((word >> 8) & 255, word >> 24))
        v = _across(tl.reshape(v.to(tl.float32), [windows * STEP, 2 * STEP]), matrix, bias, windows, STEP)
    else:
        column = x - STEP // 2 + window * STEP + tl.arange(0, 2 * STEP)[None, None, :]
        v = tl.load(line + tl.minimum(tl.maximum(column, 0), columns - 1))  # [windows, STEP, 2 STEP]
        v = _across(tl.reshape(v.to(tl.float32), [windows * STEP, 2 * STEP]), matrix, bias, windows, STEP)
    return v


@triton.jit
def _store(
    out,
    v,
    lines,
    x,
    columns,
    HEIGHT: tl.constexpr,  # noqa: N803
    BANDS: tl.constexpr,  # noqa: N803
):
    # The first rows, `lines`, of v [BANDS, HEIGHT, 32].
    v = tl.minimum(tl.maximum(v, 0.0), 255.0).to(tl.uint8)
    line = tl.arange(0, HEIGHT)[None, :, None]
    column = 32 * tl.arange(0, BANDS)[:, None, None] + tl.arange(0, 32)[None, None, :]
    out += line.to(tl.int64) * columns
    if (lines >= HEIGHT) & (x + BANDS * 32 <= columns):
        tl.store(out + column, v)
    else:
        tl.store(out + column, v, mask=(line < lines) & (column < columns - x))


@triton.jit
def blur_kernel(
    out,
    pixels,
    plan,
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    STEP: tl.constexpr,  # noqa: N803
):
    """Convolve one tile, STEP rows at a time."""
    tile = tl.program_id(0)
    row = plan + tl.num_programs(0) + tl.load(plan + tile) * (WEIGHTS + STEP // 2 + 1)
    rows, columns = tl.load(row).to(tl.int32), tl.load(row + 1).to(tl.int32)
    local = (tile - tl.load(row + 4)).to(tl.int32)
    tiles_down, tiles_across = tl.load(row + 5).to(tl.int32), tl.load(row + 6).to(tl.int32)
    x0, local = local % tiles_across * WIDTH, local // tiles_across
    y0, plane = local % tiles_down * HEIGHT, local // tiles_down
    plane = plane * (rows.to(tl.int64) * columns)
    pixels += tl.load(row + 3) + plane
    out += tl.load(row + 2) + plane + x0
    taps = tl.load(row + 8).to(tl.int32)
    end = tl.minimum(rows, y0 + HEIGHT)
    # In bands of 32 columns a warp writes neighbouring bytes, and a thread several in one row, constants apart.
    bands: tl.constexpr = WIDTH // 32

    if taps == 0:
        i, k = tl.arange(0, STEP), tl.arange(0, 2 * STEP)
        matrix = _weights(row, k[:, None] - STEP // 2 - i[None, :], STEP)  # [2 STEP, STEP]
        upper = _weights(row, i[None, :] - STEP // 2 - i[:, None], STEP)  # [STEP, STEP]
        lower = _weights(row, i[None, :] + STEP // 2 - i[:, None], STEP)
        # Words are read whole, so there must be four pixels more.
        inside = (x0 >= STEP // 2) & (x0 + WIDTH + STEP // 2 + 4 <= columns)
        bias, gain, base = single(row + 9), single(row + 10), single(row + 11)
        above = _blur_rows(pixels, y0 - STEP // 2, x0, rows, columns, inside, matrix, bias, STEP, WIDTH)
        for y in range(y0, end, STEP):
            below = _blur_rows(pixels, y + STEP // 2, x0, rows, columns, inside, matrix, bias, STEP, WIDTH)
            v = tl.dot(lower, below, tl.dot(upper, above)) * gain + base  # [STEP, WIDTH]
            v = tl.permute(tl.reshape(v, [STEP, bands, 32]), [1, 0, 2])
            _store(out + y * columns.to(tl.int64), v, end - y, x0, columns, STEP, bands)
            above = below
    else:
        first = plan + tl.load(row + 7)
        column = x0 + 32 * tl.arange(0, bands)[:, None, None] + tl.arange(0, 32)[None, None, :]
        for y in range(y0, end, LINES):
            line = y + tl.arange(0, LINES)[None, :, None]
            v = tl.zeros([bands, LINES, 32], tl.float32) + 0.5
            for k in range(taps):
                tap = first + k * TAP
                dx, dy = tl.load(tap).to(tl.int32), tl.load(tap + 1).to(tl.int32)
                at = pixels + tl.minimum(tl.maximum(line + dy, 0), rows - 1).to(tl.int64) * columns
                if (x0 + dx >= 0) & (x0 + dx + WIDTH <= columns):
                    u = tl.load((at + dx) + column).to(tl.float32)
                else:
                    u = tl.load(at + tl.minimum(tl.maximum(column + dx, 0), columns - 1)).to(tl.float32)
                v += single(tap + 2) * u
            _store(out + y * columns.to(tl.int64), v, end - y, x0, columns, LINES, bands)


def settings(radius: int) -> tuple[dict[str, int], int]:
    """The kernel's constants, and its warps: few, for that takes the fewest instructions, but enough for registers."""
    step, width, warps = (16, 128, 4) if radius <= 8 else (32, 128, 16) if radius <= 16 else (64, 64, 8)
    return {"HEIGHT": TILE_HEIGHT, "WIDTH": width, "STEP": step}, warps


def _half_precision(halves: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [K, R + 1] as the kernel takes them, and [K, 3] bias, gain and base; all float32.

    The kernel's results are `gain v + base`, where v are those of weights that float16 holds, for pixels less 128.
    """
    halves = halves.double()
    twice = torch.tensor([1.0] + [2.0] * (halves.shape[1] - 1), dtype=torch.float64, device=halves.device)
    scale = (halves.abs() * twice).sum(1, keepdim=True).clamp(min=1e-30)
    sums = (halves * twice).sum(1, keepdim=True) / scale
    weights = (halves / scale).half().double()
    weights[:, :1] = (sums - 2 * weights[:, 1:].sum(1, keepdim=True)).half().double()
    bias = -128 * (weights * twice).sum(1, keepdim=True)
    gain = (scale**2).clamp(max=1e30)
    return weights.float(), torch.cat([bias, gain, 128 * gain * sums**2 + 0.5], 1).float()


@on_its_device
def blur(
    out: Tensor,
    target_sizes: Tensor,
    target_starts: Tensor,
    pixels: Tensor,
    source_sizes: Tensor,
    source_starts: Tensor,
    channels: int,
    halves: Tensor,
    offsets: Tensor,
    weights: Tensor,
    starts: Tensor,
) -> None:
    """Convolve every image; see `gpurender.kernels.blur` for the arguments."""
    # A launch for the images of each step that their radii need, for most batches one: so what becomes of an image does
    # not depend on the others.
    used = (halves != 0) * torch.arange(halves.shape[1], device=halves.device)  # [K, R + 1]
    radii = used.amax(1)  # [K]
    taps = starts.diff()
    for below, radius in ((-1, 8), (8, 16), (16, MAX_RADIUS)):
        k = ((radii > below) & (radii <= radius)).nonzero()[:, 0]
        if not len(k):
            continue
        constants, warps = settings(radius)
        step = constants["STEP"]
        down, right = (count[k] for count in count_tiles(target_sizes, TILE_HEIGHT, constants["WIDTH"]))
        tiles, first_tiles = lay_tiles(down * right * channels)
        weighed, scales = _half_precision(halves[k, : radius + 1])
        rows = [
            target_sizes[k],
            target_starts[k],
            source_starts[k],
            first_tiles,
            down,
            right,
            len(tiles) + (WEIGHTS.value + step // 2 + 1) * len(k) + TAP.value * starts[:-1][k],
            taps[k],
            scales,
            pad(weighed, (0, step // 2 + 1 - weighed.shape[1])),
        ]
        plan = send(tiles, rows, out.device, [offsets, weights])
        # No stages: nothing in the loop can be pipelined, and Triton 3.4 and 3.5 fail at it on sm_100.
        blur_kernel[(len(tiles),)](out, pixels, plan, **constants, num_warps=warps, num_stages=1)
