"""A shadow and blots in Triton: one warp owns one tile of one image.

A tile covers whole lattice cells of the noise, one cell high, and no blot means no noise. Images without a shadow and
without blots have no tiles but stretches of bytes: a copy. Tile and warps are reasoned, not yet measured.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from gpurender.kernels.images import CELL, ROUGHNESS, STEEPNESS
from gpurender.kernels.triton.random import bits
from gpurender.kernels.triton.tiles import count_tiles, double, lay_tiles, on_its_device, send, single
from torch import Tensor

# One warp, so that what a tile or a column does once is spread over many pixels; its lanes read neighbouring bytes.
TILE_HEIGHT = CELL
TILE_WIDTH = 4 * CELL
STRIP = 2
# Bytes that a program copies, and how many words of four at a time.
COPY = 16384
STEP = 512

# An image's row of the plan, and a blot's; see `shade`.
FIELDS, BLOT = tl.constexpr(14), tl.constexpr(7)
SPACING, UNEVEN, STEEP = tl.constexpr(CELL), tl.constexpr(ROUGHNESS), tl.constexpr(STEEPNESS)


@triton.jit
def _fade(t):
    return t * t * (3 - 2 * t)


@triton.jit
def _unit(t):
    return tl.minimum(tl.maximum(t, 0.0), 1.0)


@triton.jit
def _copy(out, pixels, size, part, WORDS: tl.constexpr, STEP: tl.constexpr):  # noqa: N803
    # Whole words of out, each from the two words of pixels that its bytes lie in. A word with one byte of the image
    # lies in the memory page of that byte, so it may be read though its other bytes may be nobody's.
    head = tl.minimum(3 - ((out.to(tl.uint64) + 3) & 3).to(tl.int64), size)
    words = (size - head) // 4
    odd = ((pixels + head).to(tl.uint64) & 3).to(tl.int32)
    there = (out + head).to(tl.pointer_type(tl.uint32), bitcast=True) + part * WORDS
    here = (pixels + head - odd).to(tl.pointer_type(tl.uint32), bitcast=True) + part * WORDS
    shift = (odd * 8).to(tl.uint64)
    end = tl.minimum(words - part * WORDS, WORDS).to(tl.int32)
    for first in range(0, end, STEP):
        word = tl.arange(0, STEP)
        mask = word < end - first
        # Where both begin at the same byte of a word, the second is not needed, and may lie outside.
        split = word < (end - first) * tl.minimum(odd, 1)
        low = tl.load(here + first + word, mask=mask, other=0).to(tl.uint64)
        high = tl.load(here + first + 1 + word, mask=split, other=0).to(tl.uint64)
        tl.store(there + first + word, ((low | (high << 32)) >> shift).to(tl.uint32), mask=mask)
    if part == 0:
        # The bytes before the first whole word and behind the last.
        i = tl.arange(0, 8)
        byte = tl.where(i < 4, i, head + words * 4 + i - 4)
        mask = tl.where(i < 4, i < head, byte < size)
        tl.store(out + byte, tl.load(pixels + byte, mask=mask), mask=mask)


@triton.jit
def _noise(k0, k1, x0, y0, WIDTH: tl.constexpr):  # noqa: N803
    # A row of cells' noise, four [1, WIDTH] vectors: dy cells below its upper edge the gradients there say p + dy q,
    # and those of its lower edge r + (dy - 1) s. The lattice points around are few: hashed once, one a lane, 16 of the
    # upper edge and then 16 of the lower.
    point = tl.arange(0, 32)
    i, j = x0 // SPACING + point % 16, y0 // SPACING + point // 16
    drawn = bits(k0, k1, (j.to(tl.int64) << 16) + i)
    gx = (drawn >> 16).to(tl.float32) / 32768 - 1
    gy = (drawn & 0xFFFF).to(tl.float32) / 32768 - 1
    column = tl.arange(0, WIDTH)
    cell = column // SPACING
    dx = (column % SPACING).to(tl.float32) / SPACING
    w = _fade(dx)
    p, r = tl.gather(gx, cell, 0) * dx, tl.gather(gx, cell + 16, 0) * dx
    p += w * (tl.gather(gx, cell + 1, 0) * (dx - 1) - p)
    r += w * (tl.gather(gx, cell + 17, 0) * (dx - 1) - r)
    q, s = tl.gather(gy, cell, 0), tl.gather(gy, cell + 16, 0)
    q += w * (tl.gather(gy, cell + 1, 0) - q)
    s += w * (tl.gather(gy, cell + 17, 0) - s)
    return p[None, :], q[None, :], r[None, :], s[None, :]


@triton.jit
def _from_center(blot, x0, y0):
    # From a blot's center to a pixel; the pixel nearest to the center comes off first, exactly.
    dx = (x0 - tl.load(blot).to(tl.int32)).to(tl.float32) - single(blot + 1)
    return dx, (y0 - tl.load(blot + 2).to(tl.int32)).to(tl.float32) - single(blot + 3)


@triton.jit
def _touches(dx, dy, blot, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):  # noqa: N803
    # Whether a blot reaches into the rectangle that begins at (dx, dy) from its center.
    x = tl.maximum(tl.maximum(dx, 1 - WIDTH - dx), 0.0)
    y = tl.maximum(tl.maximum(dy, 1 - HEIGHT - dy), 0.0)
    return x * x + y * y < single(blot + 4) * single(blot + 4)


@triton.jit
def _strip(
    out,
    pixels,
    plane,
    on_image,
    altered,
    t,
    depth,
    noise,
    first_blot,
    blots,
    x0,
    y0,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    FULL: tl.constexpr,  # noqa: N803
):
    # t [HEIGHT, WIDTH] as in `Shades`, before it is clamped; where `altered` is false, no pixel changes.
    t = _unit(t)
    keep = 1 - t * t * (3 * depth - 2 * depth * t)
    right = tl.arange(0, WIDTH).to(tl.float32)[None, :]
    down = tl.arange(0, HEIGHT).to(tl.float32)[:, None]
    for channel in tl.static_range(CHANNELS):
        before = tl.load(pixels) if FULL else tl.load(pixels, mask=on_image, other=0)
        after = before
        if altered:
            v = before.to(tl.float32) * keep
            for k in range(blots):
                blot = first_blot + k * (BLOT + CHANNELS)
                dx, dy = _from_center(blot, x0, y0)
                if _touches(dx, dy, blot, HEIGHT, WIDTH):
                    x, y = right + dx, down + dy
                    u = noise - single(blot + 5) * (x * x + y * y)
                    f = single(blot + 6) * (_unit(u) * (0.7 + 0.3 * _unit(2 - u)))
                    v *= 1 - f * (1 - tl.load(blot + BLOT + channel).to(tl.int32).to(tl.float32) / 255)
            after = tl.minimum(tl.maximum(v + 0.5, 0.0), 255.0).to(tl.uint8)
        if FULL:
            tl.store(out, after)
        else:
            tl.store(out, after, mask=on_image)
        out += plane
        pixels += plane


@triton.jit
def shade_kernel(
    out,
    pixels,
    plan,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    WORDS: tl.constexpr,  # noqa: N803
    STEP: tl.constexpr,  # noqa: N803
):
    """Shade one tile, ROWS rows at a time, or copy WORDS words of a clean image, STEP at a time."""
    tile = tl.program_id(0)
    row = plan + tl.num_programs(0) + tl.load(plan + tile) * FIELDS
    rows, columns = tl.load(row).to(tl.int32), tl.load(row + 1).to(tl.int32)
    out += tl.load(row + 2)
    pixels += tl.load(row + 3)
    part = tile - tl.load(row + 4)
    tiles_across = tl.load(row + 5).to(tl.int32)
    plane = rows.to(tl.int64) * columns
    if tiles_across == 0:
        _copy(out, pixels, plane * CHANNELS, part, WORDS, STEP)
    else:
        local = part.to(tl.int32)
        y0, x0 = local // tiles_across * HEIGHT, local % tiles_across * WIDTH
        # The shadow: t is what of it is left at the tile's origin, float64 there and float32 within the tile.
        a, b = double(row + 10), double(row + 11)
        t = (1 - (a * x0 + b * y0 + double(row + 12))).to(tl.float32)
        a, b, depth = a.to(tl.float32), b.to(tl.float32), double(row + 13).to(tl.float32)
        altered = (depth != 0) & (t - tl.minimum(a * WIDTH, 0.0) - tl.minimum(b * HEIGHT, 0.0) > 0)

        first_blot = plan + tl.load(row + 6)
        blots = tl.load(row + 7).to(tl.int32)
        touched = blots < 0
        for k in range(blots):
            blot = first_blot + k * (BLOT + CHANNELS)
            dx, dy = _from_center(blot, x0, y0)
            touched |= _touches(dx, dy, blot, HEIGHT, WIDTH)
        p = tl.zeros([1, WIDTH], tl.float32)
        q, r, s = p, p, p
        if touched:
            p, q, r, s = _noise(tl.load(row + 8), tl.load(row + 9), x0, y0, WIDTH)
        altered |= touched

        at = y0.to(tl.int64) * columns + x0
        out += at
        pixels += at
        column = tl.arange(0, WIDTH)[None, :]
        full = (y0 + HEIGHT <= rows) & (x0 + WIDTH <= columns)
        for first in range(0, tl.minimum(HEIGHT, rows - y0), ROWS):
            line = first + tl.arange(0, ROWS)[:, None]
            below = line.to(tl.int64) * columns  # [ROWS, 1]
            down = line.to(tl.float32)
            shadow = (t - a * column.to(tl.float32)) - b * down  # [ROWS, WIDTH]
            dy = down / HEIGHT
            above, under = p + dy * q, r + (dy - 1) * s
            noise = STEEP + (STEEP * UNEVEN) * (above + _fade(dy) * (under - above))
            if full:
                _strip(
                    (out + below) + column, (pixels + below) + column, plane, True, altered, shadow, depth, noise,
                    first_blot, blots, x0, y0 + first, CHANNELS, ROWS, WIDTH, True,
                )  # fmt: skip
            else:
                on_image = (line < rows - y0) & (column < columns - x0)
                _strip(
                    (out + below) + column, (pixels + below) + column, plane, on_image, altered, shadow, depth, noise,
                    first_blot, blots, x0, y0 + first, CHANNELS, ROWS, WIDTH, False,
                )  # fmt: skip


def settings(channels: int) -> tuple[dict[str, int], int]:
    """The kernel's constants, and its warps."""
    tile = {"HEIGHT": TILE_HEIGHT, "WIDTH": TILE_WIDTH, "ROWS": max(STRIP // channels, 2)}
    return {"CHANNELS": channels, **tile, "WORDS": COPY // 4, "STEP": STEP}, 1


@on_its_device
def shade(
    out: Tensor,
    target_sizes: Tensor,
    target_starts: Tensor,
    pixels: Tensor,
    source_sizes: Tensor,
    source_starts: Tensor,
    channels: int,
    ramps: Tensor,
    noise: Tensor,
    blots: Tensor,
    colors: Tensor,
    starts: Tensor,
) -> None:
    """Shade every image; see `gpurender.kernels.shade` for the arguments."""
    down, right = count_tiles(target_sizes, TILE_HEIGHT, TILE_WIDTH)  # [K], [K]
    clean = (ramps[:, 3] == 0) & (starts.diff() == 0)
    stretches = (target_sizes.long().prod(1) * channels + COPY - 1) // COPY
    tiles, first_tiles = lay_tiles(torch.where(clean, stretches, down * right))
    if not len(tiles):
        return
    # So that float32 has room for what becomes of them.
    ramps, (cx, cy, r, alpha) = ramps.clamp(-1e9, 1e9), blots.clamp(-1e9, 1e9).unbind(1)
    rate = (STEEPNESS / r**2).clamp(max=1e12)
    # A little more than where blots can be, for what float32 may be wrong by.
    reach = r * (1 + ROUGHNESS) ** 0.5 * 1.0001 + 0.01
    rows = [
        target_sizes,
        target_starts,
        source_starts,
        first_tiles,
        right.masked_fill(clean, 0),
        len(tiles) + FIELDS.value * len(starts[1:]) + (BLOT.value + channels) * starts[:-1],
        starts.diff(),
        noise,
        ramps,
    ]
    # The centers' nearest pixels, and the rest; then radii and how dark.
    items = [cx.round().long(), (cx - cx.round()).float(), cy.round().long(), (cy - cy.round()).float()]
    items += [reach.float(), rate.float(), alpha.float(), colors]
    constants, warps = settings(channels)
    shade_kernel[(len(tiles),)](out, pixels, send(tiles, rows, out.device, items), **constants, num_warps=warps)
