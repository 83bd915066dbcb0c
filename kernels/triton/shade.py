"""A shadow and blots in Triton: one warp multiplies a tile by the light that they leave, and rounds it once."""

from __future__ import annotations

import triton
import triton.language as tl
from gpurender.kernels import plan as layout
from gpurender.kernels.images import CELL, ROUGHNESS, STEEPNESS
from gpurender.kernels.plan import Launch, spread_colors
from gpurender.kernels.plan import shade as planned
from gpurender.kernels.triton.paths import Path
from gpurender.kernels.triton.random import bits
from gpurender.kernels.triton.run import run_packed
from gpurender.kernels.triton.tiles import SOURCE, double, locate, on_its_device, single, target_image
from torch import Tensor

# One warp, so that what is done once for a tile or a column is spread over many pixels.
NUM_WARPS = 1
# Rows of a strip: 16 pixels of one row a lane, and 8 where there are several channels, for the registers they take.
STRIP, COLORED = 4, 2

HEADER, BLOT, PITCH = tl.constexpr(layout.HEADER), tl.constexpr(planned.BLOT), tl.constexpr(layout.PITCH)
SPACING, UNEVEN, STEEP = tl.constexpr(CELL), tl.constexpr(ROUGHNESS), tl.constexpr(STEEPNESS)
# The bits of a level, read as float32, are the subnormal number level * 2**-149. Multiplied by 2**126 and added to 1
# its product is rounded to the float's last place, so the lowest byte of the sum is the level. A trifle more than
# 2**126 rounds halves up.
SCALE = tl.constexpr(2.0**126 * (1 + 2.0**-21))


@triton.jit
def _fade(t):
    return t * t * (3 - 2 * t)


@triton.jit
def _unit(t):
    return tl.minimum(tl.maximum(t, 0.0), 1.0)


@triton.jit
def _numbers(levels, BOUNDED: tl.constexpr):  # noqa: N803
    levels = levels.to(tl.int32)
    return levels.to(tl.float32, bitcast=True) if BOUNDED else levels.to(tl.float32)


@triton.jit
def _levels(numbers, light, BOUNDED: tl.constexpr):  # noqa: N803
    """Return the levels of numbers multiplied by light."""
    if BOUNDED:
        return tl.fma(numbers, light, 1.0).to(tl.int32, bitcast=True).to(tl.uint8)
    return tl.minimum(tl.maximum(tl.fma(numbers, light, 0.5), 0.0), 255.0).to(tl.uint8)


@triton.jit
def _pixels(pitch, x0, ROWS: tl.constexpr, WIDTH: tl.constexpr):  # noqa: N803
    """Return the row, column and place of a strip's pixels, flat, and which lie in a row of the image."""
    index = tl.arange(0, ROWS * WIDTH)
    line, column = index // WIDTH, index % WIDTH
    return line, column, line * pitch + column, x0 + column < pitch


@triton.jit
def _shadow(t, depth, ONE: tl.constexpr):  # noqa: N803
    """Return the light that a shadow leaves, 1 - depth t t (3 - 2 t), in units of ONE."""
    return tl.fma(t * t, tl.fma(t, depth * 2 * ONE, depth * -3 * ONE), ONE)


@triton.jit
def _copy(source, target, plane, pitch, rows, x0, CHANNELS: tl.constexpr, STRIP: tl.constexpr, WIDTH: tl.constexpr):  # noqa: N803
    line, _, place, on_row = _pixels(pitch, x0, STRIP, WIDTH)
    for channel in range(CHANNELS):
        here = channel * plane
        for first in range(0, rows, STRIP):
            on_image = on_row & (line < rows - first)
            tl.store(target + here + place, tl.load(source + here + place, mask=on_image), mask=on_image)
            here += pitch.to(tl.int64) * STRIP


@triton.jit
def _shade_inside(
    source, target, plane, pitch, rows, x0, t, a, b, depth,
    CHANNELS: tl.constexpr, BOUNDED: tl.constexpr, HEIGHT: tl.constexpr, STRIP: tl.constexpr, WIDTH: tl.constexpr,  # noqa: N803
):  # fmt: skip
    # Down a column the shadow is a cubic too: around the tile's middle an even part and an odd one, which two rows at
    # the same distance above and below the middle share.
    ONE: tl.constexpr = SCALE if BOUNDED else 1.0  # noqa: N806
    MIDDLE: tl.constexpr = (HEIGHT - STRIP) // 2  # noqa: N806
    line, column, place, on_row = _pixels(pitch, x0, STRIP, WIDTH)
    t = t - b * MIDDLE - (a * column.to(tl.float32) + b * line.to(tl.float32))
    even_0, even_2 = _shadow(t, depth, ONE), (b * b * depth * 3 * ONE) * (2 * t - 1)
    odd_1, odd_3 = (b * depth * -6 * ONE) * (t * t - t), b * b * b * depth * -2 * ONE
    step = pitch.to(tl.int64) * STRIP
    above = pitch.to(tl.int64) * (MIDDLE - STRIP // 2)
    below = above + step
    n = STRIP / 2
    for pair in range(HEIGHT // STRIP // 2):
        even, odd = tl.fma(even_2, n * n, even_0), tl.fma(odd_1, n, odd_3 * (n * n * n))
        on_upper = on_row & (line < rows - (MIDDLE - STRIP // 2) + pair * STRIP)
        on_lower = on_row & (line < rows - (MIDDLE + STRIP // 2) - pair * STRIP)
        for channel in tl.static_range(CHANNELS):
            upper, lower = above + channel * plane, below + channel * plane
            # Both are read before either is written, so that the loads wait together.
            one, other = tl.load(source + upper + place, mask=on_upper), tl.load(source + lower + place, mask=on_lower)
            one, other = _numbers(one, BOUNDED), _numbers(other, BOUNDED)
            tl.store(target + upper + place, _levels(one, even - odd, BOUNDED), mask=on_upper)
            tl.store(target + lower + place, _levels(other, even + odd, BOUNDED), mask=on_lower)
        above -= step
        below += step
        n += STRIP


@triton.jit
def _shade_edge(
    source, target, plane, pitch, rows, x0, t, a, b, depth,
    CHANNELS: tl.constexpr, BOUNDED: tl.constexpr, STRIP: tl.constexpr, WIDTH: tl.constexpr,  # noqa: N803
):  # fmt: skip
    ONE: tl.constexpr = SCALE if BOUNDED else 1.0  # noqa: N806
    line, column, place, on_row = _pixels(pitch, x0, STRIP, WIDTH)
    t = t - (a * column.to(tl.float32) + b * line.to(tl.float32))
    here = pitch.to(tl.int64) * 0
    for first in range(0, rows, STRIP):
        light = _shadow(_unit(t - b * first), depth, ONE)
        on_image = on_row & (line < rows - first)
        for channel in tl.static_range(CHANNELS):
            there = here + channel * plane
            numbers = _numbers(tl.load(source + there + place, mask=on_image), BOUNDED)
            tl.store(target + there + place, _levels(numbers, light, BOUNDED), mask=on_image)
        here += pitch.to(tl.int64) * STRIP


@triton.jit
def _gradient(k0, k1, i, j):
    """Return the noise's gradient at a lattice point, in STEEPNESS * ROUGHNESS."""
    drawn = bits(k0, k1, (j.to(tl.int64) << 16) + i)
    unit: tl.constexpr = STEEP * UNEVEN / 32768
    return ((drawn >> 16).to(tl.float32) - 32768) * unit, ((drawn & 0xFFFF).to(tl.float32) - 32768) * unit


@triton.jit
def _touches(blot, x0, y0, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):  # noqa: N803
    """Return whether a blot reaches into a rectangle, and the rectangle's first pixel as seen from its center."""
    # The pixel nearest to the center comes off first, exactly.
    dx = (x0 - tl.load(blot)).to(tl.float32) - single(blot + 2)
    dy = (y0 - tl.load(blot + 1)).to(tl.float32) - single(blot + 3)
    x = tl.maximum(tl.maximum(dx, 1 - WIDTH - dx), 0.0)
    y = tl.maximum(tl.maximum(dy, 1 - HEIGHT - dy), 0.0)
    return x * x + y * y < single(blot + 4), dx, dy


@triton.jit
def _stain(
    source, target, plane, pitch, rows, x0, y0, t, a, b, depth, is_shaded, k0, k1, first_blot, blots,
    CHANNELS: tl.constexpr, BOUNDED: tl.constexpr, STRIP: tl.constexpr, WIDTH: tl.constexpr,  # noqa: N803
):  # fmt: skip
    ONE: tl.constexpr = SCALE if BOUNDED else 1.0  # noqa: N806
    SIZE: tl.constexpr = BLOT + max(CHANNELS, 3) + 1  # noqa: N806
    line, column, place, on_row = _pixels(pitch, x0, STRIP, WIDTH)
    # The compiler computes once what is equal for all pixels of a lane: functions of `right` and `down`.
    LANE: tl.constexpr = STRIP * WIDTH // 32  # noqa: N806
    pixel, lane, down = (column % LANE).to(tl.float32), column // LANE * LANE, line.to(tl.float32)
    right, dx = lane.to(tl.float32), (column % SPACING).to(tl.float32) / SPACING
    fade = _fade(dx)
    for top in range(0, rows, SPACING):
        i, j = (x0 + lane) // SPACING, (y0 + top) // SPACING
        gx00, gy00 = _gradient(k0, k1, i, j)
        gx10, gy10 = _gradient(k0, k1, i + 1, j)
        gx01, gy01 = _gradient(k0, k1, i, j + 1)
        gx11, gy11 = _gradient(k0, k1, i + 1, j + 1)
        for first in range(top, tl.minimum(top + SPACING, rows), STRIP):
            # STEEPNESS (1 + ROUGHNESS n). Along a row what the two left gradients contribute rises from `west` by
            # `slope_west` a cell, and the right ones' likewise.
            dy = (down + (first - top)) / SPACING
            w = _fade(dy)
            upper, lower = dy - dy * w, dy * w - w
            slope_west, west = tl.fma(gx01 - gx00, w, gx00), tl.fma(gy00, upper, tl.fma(gy01, lower, STEEP))
            slope_east, east = tl.fma(gx11 - gx10, w, gx10), tl.fma(gy10, upper, tl.fma(gy11, lower, STEEP))
            ascent = tl.fma(slope_east - slope_west, dx, east - slope_east - west)
            steepness = tl.fma(ascent, fade, tl.fma(slope_west, dx, west))
            here, on_image = pitch.to(tl.int64) * first, on_row & (line < rows - first)
            # No level is negative. This lays the numbers out as levels are loaded, so that a lane's pixels stay
            # together, and prefetches those of the first channel.
            levels = tl.load(source + here + place, mask=on_image, other=0)
            steepness = tl.where(levels.to(tl.int32) > -1, steepness, 0.0)
            lights = ()
            for _ in tl.static_range(CHANNELS):
                lights += (tl.full(steepness.shape, ONE, tl.float32),)
            for k in range(blots):
                blot = first_blot + k * SIZE
                touches, x, y = _touches(blot, x0, y0 + first, STRIP, WIDTH)
                if touches:
                    across, rate = x + right + pixel, single(blot + 5)
                    fall = (y + down) * (y + down) * rate
                    u = tl.fma(across * across, -rate, steepness)
                    # 0.7 + 0.3 min(max(2 - u, 0), 1) is 1 where u < 1.
                    f = tl.fma(_unit(u - (fall + 1)), -0.3, _unit(u - fall))
                    left = ()
                    for channel in tl.static_range(CHANNELS):
                        share = single(blot + BLOT + (1 if CHANNELS > 1 else 0) + channel)
                        left += (tl.fma(f * share, lights[channel], lights[channel]),)
                    lights = left
            if is_shaded:
                shadow = _shadow(_unit(t - b * first - (a * right + b * down) - a * pixel), depth, 1.0)
                left = ()
                for channel in tl.static_range(CHANNELS):
                    left += (lights[channel] * shadow,)
                lights = left
            for channel in tl.static_range(CHANNELS):
                there = here + channel * plane
                numbers = _numbers(tl.load(source + there + place, mask=on_image), BOUNDED)
                tl.store(target + there + place, _levels(numbers, lights[channel], BOUNDED), mask=on_image)


@triton.jit(do_not_specialize=["at"])
def shade_kernel(
    pool, plan, at,
    CHANNELS: tl.constexpr, BOUNDED: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, STRIP: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Shade one tile of all channels, STRIP rows or twice as many at a time."""
    row, y0, x0 = locate(plan, at, HEIGHT, WIDTH)
    rows, columns, pitch, start = target_image(row, CHANNELS)
    plane, corner = rows.to(tl.int64) * pitch, y0.to(tl.int64) * pitch + x0
    source = pool + tl.load(row + SOURCE).to(tl.int64) * (PITCH * CHANNELS) + corner
    target = pool + start + corner
    rows = tl.minimum(HEIGHT, rows - y0)

    # The shadow: t is what of it is left at the tile's origin, float64 there and float32 within the tile.
    ramp = row + HEADER
    a, b = double(ramp), double(ramp + 2)
    t = (1 - (a * x0 + b * y0 + double(ramp + 4))).to(tl.float32)
    a, b, depth = a.to(tl.float32), b.to(tl.float32), double(ramp + 6).to(tl.float32)
    # Of all rows, also those below the image, since rows in it share numbers with them.
    by_x, by_y = a * (tl.minimum(WIDTH, columns - x0) - 1), b * (HEIGHT - 1)
    darkest = t - tl.minimum(by_x, 0.0) - tl.minimum(by_y, 0.0)
    lightest = t - tl.maximum(by_x, 0.0) - tl.maximum(by_y, 0.0)

    first_blot, blots = plan + at + tl.load(ramp + 10), tl.load(ramp + 11)
    SIZE: tl.constexpr = BLOT + max(CHANNELS, 3) + 1  # noqa: N806
    is_stained = blots < 0
    for k in range(blots):
        touches, _, _ = _touches(first_blot + k * SIZE, x0, y0, HEIGHT, WIDTH)
        is_stained |= touches
    is_shaded = (depth != 0) & (darkest > 0)
    is_clean = (is_shaded | is_stained) == 0
    # Where t needs no clamping. Rounding may take it a little over, where the curve is flat.
    is_inside = (lightest > -1e-4) & (darkest < 1 + 1e-4)

    if is_clean:
        _copy(source, target, plane, pitch, rows, x0, CHANNELS, 2 * STRIP, WIDTH)
    elif is_stained:
        k0, k1 = tl.load(ramp + 8).to(tl.uint32, bitcast=True), tl.load(ramp + 9).to(tl.uint32, bitcast=True)
        _stain(
            source, target, plane, pitch, rows, x0, y0, t, a, b, depth, is_shaded, k0, k1, first_blot, blots,
            CHANNELS, BOUNDED, STRIP, WIDTH,
        )  # fmt: skip
    elif is_inside:
        _shade_inside(source, target, plane, pitch, rows, x0, t, a, b, depth, CHANNELS, BOUNDED, HEIGHT, STRIP, WIDTH)
    else:
        _shade_edge(source, target, plane, pitch, rows, x0, t, a, b, depth, CHANNELS, BOUNDED, 2 * STRIP, WIDTH)


def settings(channels: int, variant: int = 0) -> tuple[dict[str, int], int]:
    """Return the kernel's constants and its warps."""
    tile = {"HEIGHT": planned.TILE_HEIGHT, "WIDTH": planned.TILE_WIDTH, "STRIP": STRIP if channels == 1 else COLORED}
    return {"CHANNELS": channels, "BOUNDED": variant != planned.UNBOUNDED} | tile, NUM_WARPS


_SHADED, _STAINED = {"is_clean": False, "is_stained": False}, {"is_clean": False, "is_stained": True}
# Pixels of two strips, of one channel and of three. The compiler unrolls the copy four times.
_GRAY, _RGB = 2 * STRIP * planned.TILE_WIDTH, 2 * COLORED * planned.TILE_WIDTH * 3
PATHS = (
    Path("copy", 1, 0, {"is_clean": True}, 4 * _GRAY, 0.8),
    Path("shadow", 1, 0, _SHADED | {"is_inside": True}, _GRAY, 6),
    Path("shadow", 3, 0, _SHADED | {"is_inside": True}, _RGB, 5.3),
    Path("edge of a shadow", 1, 0, _SHADED | {"is_inside": False}, _GRAY, 8),
    Path("edge of a shadow", 3, 0, _SHADED | {"is_inside": False}, _RGB, 5.3),
    Path("each blot", 1, 0, _STAINED | {"is_shaded": False}, _GRAY // 2, 10.6, 0),
    Path("each blot", 3, 0, _STAINED | {"is_shaded": False}, _RGB // 2, 5.7, 0),
    Path("noise and one blot", 1, 0, _STAINED | {"is_shaded": False}, _GRAY // 2, 24.7, 1),
    Path("noise and one blot", 3, 0, _STAINED | {"is_shaded": False}, _RGB // 2, 14.5, 1),
)


def launch(pool: Tensor, plan: Tensor, launch: Launch, channels: int) -> None:
    """Launch a table of :func:`gpurender.kernels.plan.shade.lay_shade`."""
    constants, warps = settings(channels, launch.variant)
    shade_kernel[(launch.programs,)](pool, plan, launch.at, **constants, num_warps=warps)


@on_its_device
def shade(
    out: Tensor, target_sizes: Tensor, target_starts: Tensor, pixels: Tensor, source_sizes: Tensor,
    source_starts: Tensor, channels: int, ramps: Tensor, noise: Tensor, blots: Tensor, colors: Tensor, starts: Tensor,
) -> None:  # fmt: skip
    """Shade every image; see `gpurender.kernels.shade` for the arguments."""
    shades = (ramps.numpy(), noise.numpy(), blots.numpy(), spread_colors(colors.numpy()), starts.numpy())
    images = (target_sizes, target_starts, pixels, source_sizes, source_starts)
    run_packed(out, *images, channels, lambda target, source: [planned.lay_shade(target, source, *shades)])
