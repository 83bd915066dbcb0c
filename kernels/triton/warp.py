"""Resampling by an inverse map in Triton: one program owns one tile of one target.

A tile's origin goes through the maps in float64, as scalars; within the tile only what is relative to it is carried,
in float32, so a coordinate is as exact far out on a canvas as near (0, 0). Tiles that see nothing but paper, and tiles
that see nothing but the inside of the source, take shorter ways. Tile and warps are reasoned, not yet measured.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from gpurender.kernels.triton.tiles import count_tiles, double, lay_tiles, on_its_device, send, single
from torch import Tensor

# One warp, so that what a tile or a column does once is spread over many pixels. Values of two rows at a time, of which
# every lane has 8, fit in registers.
TILE_HEIGHT = 32
TILE_WIDTH = 128
STRIP = 2

MARGIN = 0.01

# An image's row of the plan; see `_plan`.
AFFINE, BOUNDS, TURNS, WAVE, PAPER = (tl.constexpr(field) for field in (8, 14, 22, 28, 40))
# Added to a small float32, it leaves the nearest integer in the low bits.
MAGIC = tl.constexpr(12582912.0)
MAGIC_BITS = tl.constexpr(0x4B400000)


@triton.jit
def _bound(v, limit):
    return tl.minimum(tl.maximum(v, -limit), limit)


@triton.jit
def _sine(turns):
    # sin 2 pi t for |t| <= 1/2, within 2e-7: by its symmetries a polynomial in |t| (1/2 - |t|).
    t = turns - ((turns + MAGIC) - MAGIC)
    r = t * (0.5 - tl.abs(t))
    q = tl.abs(r)
    return r * (12.5663441338272 + q * (50.269581813133094 + q * (71.19332296787954 + q * 56.1448702760939)))


@triton.jit
def _affine(address, x, y):
    return double(address) * x + double(address + 1) * y + double(address + 2)


@triton.jit
def _fraction(v):
    return (v - tl.floor(v)).to(tl.float32)


@triton.jit
def _nearest(v):
    # An integer below v, plus MAGIC_BITS, and how far above it v is. Bilinear weights do not mind which neighbour comes
    # first where v is an integer, so v - 1/2 may be rounded to either side: additions, and no slow conversions.
    rounded = (v - 0.5) + MAGIC
    return rounded.to(tl.uint32, bitcast=True), v - (rounded - MAGIC)


@triton.jit
def _tap(pointers, inside, ground, EDGE: tl.constexpr):  # noqa: N803
    if EDGE:
        return tl.load(pointers, mask=inside, other=ground).to(tl.float32)
    return tl.load(pointers).to(tl.float32)


@triton.jit
def _sample(
    out,
    plane,
    on_image,
    pixels,
    source_plane,
    paper,
    u,
    v,
    left,
    top,
    width,
    height,
    CHANNELS: tl.constexpr,  # noqa: N803
    EDGE: tl.constexpr,  # noqa: N803
):
    # u, v are relative to (left, top); left, top, and pixels take MAGIC_BITS off again.
    if EDGE:
        u, v = _bound(u, 2.0**21), _bound(v, 2.0**21)
    x, wx = _nearest(u)
    y, wy = _nearest(v)
    pixels += (y.to(tl.uint64) * width + x).to(tl.int64)
    x += left
    y += top
    # Unsigned, so that what is negative is out of bounds too.
    west, east = x < width, x + 1 < width
    north, south = y < height, y + 1 < height
    for c in tl.static_range(CHANNELS):
        ground = tl.load(paper + c).to(tl.uint8)
        a = _tap(pixels, west & north, ground, EDGE)
        b = _tap(pixels + 1, east & north, ground, EDGE)
        d = _tap(pixels + width, west & south, ground, EDGE)
        e = _tap(pixels + width + 1, east & south, ground, EDGE)
        above = a + wx * (b - a)
        value = above + wy * (d + wx * (e - d) - above) + 0.5
        if EDGE:
            tl.store(out, value.to(tl.uint8), mask=on_image)
        else:
            tl.store(out, value.to(tl.uint8))
        out += plane
        pixels += source_plane


@triton.jit
def warp_kernel(
    out,
    pixels,
    plan,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
):
    """Resample one tile, ROWS rows at a time."""
    tile = tl.program_id(0)
    row = plan + tl.num_programs(0) + tl.load(plan + tile) * (PAPER + CHANNELS)
    rows, columns = tl.load(row).to(tl.int32), tl.load(row + 1).to(tl.int32)
    height, width = tl.load(row + 3).to(tl.uint32), tl.load(row + 4).to(tl.uint32)
    local = (tile - tl.load(row + 6)).to(tl.int32)
    tiles_across = tl.load(row + 7).to(tl.int32)
    y0, x0 = local // tiles_across * HEIGHT, local % tiles_across * WIDTH

    # Where the tile's origin lands; from here on all is relative to it, and in the source to the pixel (left, top).
    far_u = _bound(_affine(row + AFFINE, x0, y0), 5e8)
    far_v = _bound(_affine(row + AFFINE + 3, x0, y0), 5e8)
    bounds = row + BOUNDS
    only_source = (far_u >= double(bounds)) & (far_u <= double(bounds + 1)) & (far_v >= double(bounds + 4))
    only_source &= (far_v <= double(bounds + 5)) & (x0 + WIDTH <= columns) & (y0 + HEIGHT <= rows)
    only_paper = (far_u <= double(bounds + 2)) | (far_u >= double(bounds + 3)) | (far_v <= double(bounds + 6))
    only_paper |= far_v >= double(bounds + 7)
    left, top = tl.floor(far_u).to(tl.int32), tl.floor(far_v).to(tl.int32)
    u0, v0 = _fraction(far_u), _fraction(far_v)
    ur, ud = double(row + AFFINE).to(tl.float32), double(row + AFFINE + 1).to(tl.float32)
    vr, vd = double(row + AFFINE + 3).to(tl.float32), double(row + AFFINE + 4).to(tl.float32)
    turns_x, turns_y = _fraction(_affine(row + TURNS, x0, y0)), _fraction(_affine(row + TURNS + 3, x0, y0))
    wave = row + WAVE
    a, b, d, e = single(wave), single(wave + 1), single(wave + 2), single(wave + 3)
    a2, b2, d2, e2 = single(wave + 4), single(wave + 5), single(wave + 6), single(wave + 7)
    ax, kx, ay, ky = single(wave + 8), single(wave + 9), single(wave + 10), single(wave + 11)
    waves = (ax != 0) | (ay != 0)
    left, top = left - MAGIC_BITS, top - MAGIC_BITS
    pixels += tl.load(row + 5) + top.to(tl.int64) * width.to(tl.int64) + left
    left, top = left.to(tl.uint32), top.to(tl.uint32)
    out += tl.load(row + 2) + y0.to(tl.int64) * columns + x0
    plane, source_plane = rows.to(tl.int64) * columns, height.to(tl.int64) * width.to(tl.int64)

    column = tl.arange(0, WIDTH)[None, :]
    right = column.to(tl.float32)
    for first in range(0, tl.minimum(HEIGHT, rows - y0), ROWS):
        line = first + tl.arange(0, ROWS)[:, None]
        down = line.to(tl.float32)
        at = (out + line.to(tl.int64) * columns) + column  # [ROWS, WIDTH]
        if only_paper:
            on_image = (line < rows - y0) & (column < columns - x0)
            for c in tl.static_range(CHANNELS):
                tl.store(at + c * plane, tl.load(row + PAPER + c).to(tl.uint8), mask=on_image)
        else:
            if waves:
                xs = a * right + b * down
                ys = d * right + e * down
                ys -= ay * _sine(turns_y + ky * xs)
                xs -= ax * _sine(turns_x + kx * ys)
                u, v = u0 + a2 * xs + b2 * ys, v0 + d2 * xs + e2 * ys
            else:
                u, v = u0 + ur * right + ud * down, v0 + vr * right + vd * down
            if only_source:
                _sample(
                    at, plane, True, pixels, source_plane, row + PAPER, u, v, left, top, width, height,
                    CHANNELS, False,
                )  # fmt: skip
            else:
                on_image = (line < rows - y0) & (column < columns - x0)
                _sample(
                    at, plane, on_image, pixels, source_plane, row + PAPER, u, v, left, top, width, height,
                    CHANNELS, True,
                )  # fmt: skip


def settings(channels: int) -> tuple[dict[str, int], int]:
    """The kernel's constants, and its warps."""
    rows = max(STRIP // channels, 1)
    return {"CHANNELS": channels, "HEIGHT": TILE_HEIGHT, "WIDTH": TILE_WIDTH, "ROWS": rows}, 1


def _plan(maps: np.ndarray, width: np.ndarray, height: np.ndarray) -> list[Tensor]:
    """What the kernel wants of every image, so that a tile does little: maps [K, 18]; the source's sizes [K].

    Returns:
        Columns of the plan, K rows each:

        - [6] float64: the maps without waves, as one: u = ur x + ud y + uc, and v likewise.
        - [8] float64: for u and for v, between which two values at its origin a tile sees the inside of the source
          only; and up to which, and from which, paper only.
        - [6] float64: the turns of the sines at (x, y), without the first one's part in the second.
        - [12] float32: the parts of the maps that do not move the origin, and the waves: a, b, d, e of either map;
          ax, kx, ay, ky.
    """
    # Finite, whatever the maps; so is what float32 makes of it.
    a, b, c, d, e, f, ax, kx, px, ay, ky, py, a2, b2, c2, d2, e2, f2 = np.clip(maps, -1e12, 1e12).T
    affine = [a2 * a + b2 * d, a2 * b + b2 * e, a2 * c + b2 * f + c2]
    affine += [d2 * a + e2 * d, d2 * b + e2 * e, d2 * c + e2 * f + f2]
    turning = (abs(kx * d) + abs(kx * e) + abs(ky * a) + abs(ky * b)) * TILE_WIDTH + abs(kx * ay)
    bounds = []
    for (right, down), (p, q), size in ((affine[0:2], (a2, b2), width), (affine[3:5], (d2, e2), height)):
        # What a tile sees beyond its origin, either way.
        right, down, sway = right * (TILE_WIDTH - 1), down * (TILE_HEIGHT - 1), abs(p * ax) + abs(q * ay)
        before = sway - np.minimum(right, 0) - np.minimum(down, 0) + MARGIN
        behind = sway + np.maximum(right, 0) + np.maximum(down, 0) + MARGIN
        # Where no part of a coordinate is larger, what float32 makes of it is wrong by far less than the margin.
        span = (abs(p * a) + abs(p * b) + abs(q * d) + abs(q * e)) * TILE_WIDTH + sway
        trusted = (span < 4096) & (turning < 4096)
        bounds += [np.where(trusted, before, np.inf), size - 1 - behind, -1 - behind, size + before]
    turns = [kx * d, kx * e, kx * f + px, ky * a, ky * b, ky * c + py]
    wave = [a, b, d, e, a2, b2, d2, e2, ax, kx, ay, ky]
    numbers = torch.from_numpy(np.stack([*affine, *bounds, *turns], 1))
    return [numbers, torch.from_numpy(np.stack(wave, 1).astype(np.float32))]


@on_its_device
def warp(
    out: Tensor,
    target_sizes: Tensor,
    target_starts: Tensor,
    pixels: Tensor,
    source_sizes: Tensor,
    source_starts: Tensor,
    channels: int,
    maps: Tensor,
    paper: Tensor,
) -> None:
    """Resample every image; see `gpurender.kernels.warp` for the arguments."""
    down, right = count_tiles(target_sizes, TILE_HEIGHT, TILE_WIDTH)  # [K], [K]
    tiles, first_tiles = lay_tiles(down * right)
    if not len(tiles):
        return
    rows = [target_sizes, target_starts, source_sizes, source_starts, first_tiles, right]
    rows += [*_plan(maps.numpy(), source_sizes[:, 1].numpy(), source_sizes[:, 0].numpy()), paper]
    constants, warps = settings(channels)
    warp_kernel[(len(tiles),)](out, pixels, send(tiles, rows, out.device), **constants, num_warps=warps)
