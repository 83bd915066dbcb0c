"""Resampling by an inverse map in Triton: one program owns one tile of one target.

Coordinates are fixed point with 32 integer and 32 fraction bits, so a coordinate is as exact far out on a canvas as
near (0, 0), its integer part is a register, and nothing is converted. Bilinear weights have 24 bits and sum to 2**24,
so the level is the highest byte of a sum of four products, and right angles are exact.

Every lane computes four neighboring pixels and stores them as one word. Along a column a wave's sine follows from its
last two values (see `STEADY` in the plan); only maps that rotate before a wave evaluate sines for each pixel.
"""

from __future__ import annotations

import triton
import triton.language as tl
from gpurender.kernels.plan import Launch, Pitched, Table, spread_colors
from gpurender.kernels.plan import warp as layout
from gpurender.kernels.plan.warp import lay_warp
from gpurender.kernels.triton import tiles
from gpurender.kernels.triton.bilinear import store_bilinear
from gpurender.kernels.triton.paths import Path
from gpurender.kernels.triton.run import run_packed
from gpurender.kernels.triton.tiles import double, locate, single, source_image, target_image, wide
from torch import Tensor

NUM_WARPS = 1
LANES = tl.constexpr(32)
STRIP = tl.constexpr(layout.STRIP)
HEIGHT, WIDTH = tl.constexpr(layout.TILE_HEIGHT), tl.constexpr(layout.TILE_WIDTH)
AFFINE, BOUNDS, STEPS = tl.constexpr(layout.AFFINE), tl.constexpr(layout.BOUNDS), tl.constexpr(layout.STEPS)
TURNS, WAVE, KIND = tl.constexpr(layout.TURNS), tl.constexpr(layout.WAVE), tl.constexpr(layout.KIND)
STEADY, PAPER = tl.constexpr(layout.STEADY), tl.constexpr(layout.PAPER)
PLAIN, STEADY_WAVES, ANY = (tl.constexpr(kind) for kind in (layout.PLAIN, layout.STEADY_WAVES, layout.ANY))
FAR, ONE = tl.constexpr(layout.FAR), tl.constexpr(2.0**32)
# Added to a small float32, it leaves the nearest integer in the low bits.
MAGIC = tl.constexpr(12582912.0)


@triton.jit
def _sine(turns):
    """Compute sin 2 pi t within 2e-7: by symmetry, a polynomial in |t| (1/2 - |t|), |t| <= 1/2."""
    t = turns - ((turns + MAGIC) - MAGIC)
    r = t * (0.5 - tl.abs(t))
    q = tl.abs(r)
    return r * (12.5663441338272 + q * (50.269581813133094 + q * (71.19332296787954 + q * 56.1448702760939)))


@triton.jit
def _affine(address, x, y):
    """Evaluate an affine function whose three float64 coefficients begin at an address."""
    return double(address) * x + double(address + 2) * y + double(address + 4)


@triton.jit
def _fixed(px):
    """Convert float64 to fixed point, limited to what is paper anyway."""
    return (tl.minimum(tl.maximum(px, -FAR), FAR) * ONE).to(tl.int64)


@triton.jit
def _fraction(v):
    """Return the fractional part as float32."""
    return (v - tl.floor(v)).to(tl.float32)


@triton.jit
def _displace(u, v, turns_x, turns_y, kx, swings):
    """Return where waves move the source of a pixel."""
    first = _sine(turns_y)
    second = _sine(turns_x - kx * first)
    u += (swings[0] * second + swings[1] * first).to(tl.int64)
    return u, v + (swings[2] * second + swings[3] * first).to(tl.int64)


@triton.jit
def _start(u, v, turns_x, turns_y, kx, swings, magic, unit, row):
    """Return a column's first coordinates without the second sine, that sine, and its last step."""
    first = _sine(turns_y)
    turns = turns_x - kx * first
    u += (swings[1] * first).to(tl.int64) - _bits(magic) * unit
    v += (swings[3] * first).to(tl.int64) - _bits(magic) * unit
    return u, v, _sine(turns), single(row + STEADY + 1) * _sine(turns - single(row + STEADY + 2) + 0.25)


@triton.jit
def _count(step, down):
    """Return a step's size, the number of the first line, and what is added to it at each strip."""
    return (
        tl.abs(step).to(tl.uint32).to(tl.int64),
        tl.where(step < 0, HEIGHT - 1 - down, down).to(tl.float32) * 256 + MAGIC,
        tl.where(step < 0, STRIP * -256.0, STRIP * 256.0),
    )


@triton.jit
def _bits(number):
    """Return the bits of a positive float32; unsigned, since signed products of 64 bits take more instructions."""
    return number.to(tl.uint32, bitcast=True).to(tl.int64)


@triton.jit
def _sway(sine, factor, magic, scale):
    """Return a displacement in fixed point, plus a constant that `_start` subtracts."""
    return _bits(sine * factor + magic) * scale.to(tl.int64)


@triton.jit
def _resample(
    target, source, ground, row, x0, y0, u, v, WAVES: tl.constexpr, EDGE: tl.constexpr, OFFSET: tl.constexpr  # noqa: N803
):  # fmt: skip
    """Resample a tile of the image whose row is `row`, from (u, v) at its origin, STRIP rows at a time."""
    lane = tl.arange(0, LANES)
    right, down = lane % (WIDTH // 4) * 4, lane // (WIDTH // 4)
    out, pitch, height, inside = target
    out += down * pitch + right
    ur, ud, vr, vd = wide(row + STEPS), wide(row + STEPS + 2), wide(row + STEPS + 4), wide(row + STEPS + 6)
    u0, v0 = u + right * ur + down * ud, v + right * vr + down * vd
    u1, v1 = u0 + ur, v0 + vr
    u2, v2 = u1 + ur, v1 + vr
    u3, v3 = u2 + ur, v2 + vr
    wave = row + WAVE
    x, y = right.to(tl.float32), down.to(tl.float32)
    ky, kx, coupling = single(wave), single(wave + 2), single(wave + 4)
    swings = single(wave + 5), single(wave + 6), single(wave + 7), single(wave + 8)
    # Turns of the first sine, and of the second one without its part of the first, at this lane's columns.
    p0, q0 = _fraction(_affine(row + TURNS + 6, x0, y0)) + ky * x, _fraction(_affine(row + TURNS, x0, y0)) + kx * x
    p1, q1, p2, q2, p3, q3 = p0 + ky, q0 + kx, p0 + 2 * ky, q0 + 2 * kx, p0 + 3 * ky, q0 + 3 * kx
    ky, kx = single(wave + 1), single(wave + 3)
    alpha, magic, unit = single(row + STEADY), single(row + STEADY + 3), tl.load(row + STEADY + 4).to(tl.uint32)
    s0, s1, s2, s3, d0, d1, d2, d3 = x, x, x, x, x, x, x, x
    if WAVES == STEADY_WAVES:
        u0, v0, s0, d0 = _start(u0, v0, q0 + kx * y, p0, coupling, swings, magic, unit, row)
        u1, v1, s1, d1 = _start(u1, v1, q1 + kx * y, p1, coupling, swings, magic, unit, row)
        u2, v2, s2, d2 = _start(u2, v2, q2 + kx * y, p2, coupling, swings, magic, unit, row)
        u3, v3, s3, d3 = _start(u3, v3, q3 + kx * y, p3, coupling, swings, magic, unit, row)
    # Lines are counted in float32, whose bits the compiler does not analyze: else it replaces every product below by a
    # loop variable, and its lower half by another. They are counted down where a coordinate falls, so that factors are
    # unsigned.
    if WAVES == ANY:
        lines_u = down.to(tl.float32) + MAGIC
        lines_v, next_u, next_v = lines_u, STRIP, STRIP
    else:
        ud, lines_u, next_u = _count(tl.load(row + KIND + 1), down)
        vd, lines_v, next_v = _count(tl.load(row + KIND + 2), down)
    offset_u, offset_v = _bits(lines_u) * ud, _bits(lines_v) * vd
    # Lanes beyond the end of a row read the first pixel. The selection also keeps the compiler from deriving each of
    # these from the one before at every strip, in two instructions where one does.
    u0, v0 = tl.where(inside, u0 - offset_u, 1 << 32), tl.where(inside, v0 - offset_v, 1 << 32)
    u1, v1 = tl.where(inside, u1 - offset_u, 1 << 32), tl.where(inside, v1 - offset_v, 1 << 32)
    u2, v2 = tl.where(inside, u2 - offset_u, 1 << 32), tl.where(inside, v2 - offset_v, 1 << 32)
    u3, v3 = tl.where(inside, u3 - offset_u, 1 << 32), tl.where(inside, v3 - offset_v, 1 << 32)
    source = (source[0] - (source[3] + 1), source[1], source[2], source[3])
    limit = tl.where(inside, height - down, 0)
    for first in range(0, height, STRIP):
        # Always 1. The compiler cannot know, so it multiplies and adds at once where it would add twice.
        one = lines_u.to(tl.uint32, bitcast=True) >> 30
        if WAVES == ANY:
            offset_u, offset_v = _bits(lines_u) * ud, _bits(lines_v) * vd
        else:
            offset_u = _bits(lines_u) * (ud.to(tl.uint32) * one).to(tl.int64)
            offset_v = _bits(lines_v) * (vd.to(tl.uint32) * one).to(tl.int64)
        if WAVES != STEADY_WAVES:
            a0, b0, a1, b1 = u0 + offset_u, v0 + offset_v, u1 + offset_u, v1 + offset_v
            a2, b2, a3, b3 = u2 + offset_u, v2 + offset_v, u3 + offset_u, v3 + offset_v
        if WAVES == STEADY_WAVES:
            scale = unit * one
            a0 = u0 + _sway(s0, swings[0], magic, scale) + offset_u
            b0 = v0 + _sway(s0, swings[2], magic, scale) + offset_v
            a1 = u1 + _sway(s1, swings[0], magic, scale) + offset_u
            b1 = v1 + _sway(s1, swings[2], magic, scale) + offset_v
            a2 = u2 + _sway(s2, swings[0], magic, scale) + offset_u
            b2 = v2 + _sway(s2, swings[2], magic, scale) + offset_v
            a3 = u3 + _sway(s3, swings[0], magic, scale) + offset_u
            b3 = v3 + _sway(s3, swings[2], magic, scale) + offset_v
            # sin(t + step) = 2 cos(step) sin t - sin(t - step), by differences, which stay exact for short steps.
            d0, d1, d2, d3 = d0 - alpha * s0, d1 - alpha * s1, d2 - alpha * s2, d3 - alpha * s3
            s0, s1, s2, s3 = s0 + d0, s1 + d1, s2 + d2, s3 + d3
        if WAVES == ANY:
            a0, b0 = _displace(a0, b0, q0 + kx * y, p0 + ky * y, coupling, swings)
            a1, b1 = _displace(a1, b1, q1 + kx * y, p1 + ky * y, coupling, swings)
            a2, b2 = _displace(a2, b2, q2 + kx * y, p2 + ky * y, coupling, swings)
            a3, b3 = _displace(a3, b3, q3 + kx * y, p3 + ky * y, coupling, swings)
            y += STRIP
        store_bilinear(
            out, first < limit, source, ground, one, a0, a1, a2, a3, b0, b1, b2, b3, EDGE, OFFSET
        )  # fmt: skip
        out += pitch * STRIP
        lines_u += next_u
        lines_v += next_v


@triton.jit
def _fill(target, ground):
    """Fill a tile with paper."""
    out, pitch, height, inside = target
    lane = tl.arange(0, LANES)
    right, down = lane % (WIDTH // 4) * 4, lane // (WIDTH // 4)
    out += down * pitch + right
    word = tl.zeros([LANES], tl.int32) + ground.to(tl.int32) * 0x01010101
    for first in range(0, height, STRIP):
        tl.store(out.to(tl.pointer_type(tl.int32), bitcast=True), word, mask=inside & (down + first < height))
        out += pitch * STRIP


@triton.jit(do_not_specialize=["at", "channels"])
def warp_kernel(pool, plan, at, channels, IS_WIDE: tl.constexpr):  # noqa: N803
    """Resample one tile of one channel, STRIP rows at a time.

    Channels are programs, not a loop: of three channels the compiler takes a minute, and twice as many registers.
    """
    OFFSET: tl.constexpr = tl.int64 if IS_WIDE else tl.uint32  # noqa: N806
    row, y0, x0 = locate(plan, at, HEIGHT, WIDTH)
    channel = tl.program_id(1)
    ground = tl.load(row + PAPER + channel + (channels > 1).to(tl.int32)).to(tl.uint8)
    rows, _, pitch, start = target_image(row, channels)
    source_rows, source_columns, source_pitch, source_start = source_image(row, channels)
    start += channel * (rows.to(tl.int64) * pitch)
    source_start += channel * (source_rows.to(tl.int64) * source_pitch)
    # Coordinates of the tile's origin in the source.
    far_u, far_v = _affine(row + AFFINE, x0, y0), _affine(row + AFFINE + 6, x0, y0)
    bounds = row + BOUNDS
    is_inside = (far_u >= double(bounds)) & (far_u <= double(bounds + 2))
    is_inside &= (far_v >= double(bounds + 8)) & (far_v <= double(bounds + 10))
    is_paper = (far_u <= double(bounds + 4)) | (far_u >= double(bounds + 6))
    is_paper |= (far_v <= double(bounds + 12)) | (far_v >= double(bounds + 14))
    u, v = _fixed(far_u + 1), _fixed(far_v + 1)
    kind = tl.load(row + KIND)
    is_plain, is_steady = kind == PLAIN, kind == STEADY_WAVES
    out = pool + start + y0.to(tl.int64) * pitch + x0
    inside = x0 + tl.arange(0, LANES) % (WIDTH // 4) * 4 < pitch
    target = (out, pitch, tl.minimum(rows - y0, HEIGHT), inside)
    source = (pool + source_start, source_rows, source_columns, source_pitch)
    if is_paper:
        _fill(target, ground)
    elif is_plain:
        if is_inside:
            _resample(target, source, ground, row, x0, y0, u, v, PLAIN, False, OFFSET)
        else:
            _resample(target, source, ground, row, x0, y0, u, v, PLAIN, True, OFFSET)
    elif is_steady:
        if is_inside:
            _resample(target, source, ground, row, x0, y0, u, v, STEADY_WAVES, False, OFFSET)
        else:
            _resample(target, source, ground, row, x0, y0, u, v, STEADY_WAVES, True, OFFSET)
    elif is_inside:
        _resample(target, source, ground, row, x0, y0, u, v, ANY, False, OFFSET)
    else:
        _resample(target, source, ground, row, x0, y0, u, v, ANY, True, OFFSET)


_PLAIN, _STEADY = {"is_paper": False, "is_plain": True}, {"is_paper": False, "is_plain": False, "is_steady": True}
_ANY = {"is_paper": False, "is_plain": False, "is_steady": False}
# Instructions a pixel of a channel, the larger of Triton 3.6 and 3.9.
PATHS = tuple(
    Path(name, 1, 0, branches, layout.TILE_WIDTH * layout.STRIP, bound)
    for name, branches, bound in (
        ("rotation, inside", _PLAIN | {"is_inside": True}, 26),
        ("rotation, edge", _PLAIN | {"is_inside": False}, 46),
        ("wave, inside", _STEADY | {"is_inside": True}, 38),
        ("wave, edge", _STEADY | {"is_inside": False}, 56),
        ("wave and rotation, inside", _ANY | {"is_inside": True}, 58),
        ("wave and rotation, edge", _ANY | {"is_inside": False}, 77),
    )
)


def settings(channels: int, variant: int = 0) -> tuple[dict[str, int], int]:
    """Return the kernel's constants and its warps; they serve any channels."""
    return {"IS_WIDE": variant}, NUM_WARPS


def launch(pool: Tensor, plan: Tensor, launch: Launch, channels: int) -> None:
    """Launch a table of :func:`gpurender.kernels.plan.warp.lay_warp`."""
    constants, warps = settings(channels, launch.variant)
    warp_kernel[(launch.programs, channels)](pool, plan, launch.at, channels, **constants, num_warps=warps)


@tiles.on_its_device
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

    def lay(target: Pitched, source: Pitched) -> list[Table]:
        return [lay_warp(target, source, maps.numpy(), spread_colors(paper.numpy()))]

    run_packed(out, target_sizes, target_starts, pixels, source_sizes, source_starts, channels, lay)
