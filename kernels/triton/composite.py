"""Compositing in Triton: a program owns a band of whole rows of a page and paints it item by item, in draw order.

It fills the band, and then reads, blends and writes words of 4 pixels of one item after another, with a barrier between
two items; no other program touches the band. So nothing is sorted, and work goes with the pixels of the items.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from gpurender.kernels.plan import PITCH as _PITCH
from gpurender.kernels.plan import Launch, Plan, pack_colors
from gpurender.kernels.plan import composite as layout
from gpurender.kernels.plan.repack import lay_repack
from gpurender.kernels.triton.run import run
from gpurender.kernels.triton.tiles import on_its_device, pitch_of, wide
from torch import Tensor

PITCH = tl.constexpr(_PITCH)
BAND, RULE, GLYPH, PICTURE = (tl.constexpr(n) for n in (layout.BAND, layout.RULE, layout.GLYPH, layout.PICTURE))
BITMAP = tl.constexpr(layout.BITMAP)
(
    PAGE, ROWS, COLUMNS, BACKGROUND, TOP, BOTTOM, RULES, PICTURES, END, GLYPHS, GLYPHS_END, BITMAPS, LEVEL, SHARE,
) = map(tl.constexpr, range(layout.BAND))  # fmt: skip
NUM_WARPS = 1  # so that the barrier between two items holds up nobody else
FILL = tl.constexpr(512)  # words at a time: 4 stores of 16 bytes a lane
# Instructions a pixel, by channels, of pages of 360 characters: see `gpurender.bench.counted_composite`.
BOUND = {1: 17.0, 3: 28.0}

# 2**23 + byte, as float32, has the byte in its lowest bits (LEVEL has the bits of 2**23). Floats there are 1 apart, so
# an FMA rounds to the nearest level, as (a * s + (255 - a) * d + 127) // 255 does; there are no ties.
# 2**15 + byte has the byte in bits 8 to 15 (SHARE has the bits of 2**15): one FMA scales it and takes the rest off.
SCALE, OFFSET = tl.constexpr(1 / 255), tl.constexpr(-(2**15) / 255)


@triton.jit
def _level(byte, level):
    """Return 2**23 + byte as float32."""
    return (byte | level).to(tl.float32, bitcast=True)


@triton.jit
def _levels(word, level):
    """Return the 4 bytes of a word as 2**23 + byte, float32."""
    # Shift and sum are one instruction where nothing need be masked off.
    highest = ((word.to(tl.uint32, bitcast=True) >> 24) + level.to(tl.uint32)).to(tl.float32, bitcast=True)
    return _level(word & 255, level), _level((word >> 8) & 255, level), _level((word >> 16) & 255, level), highest


@triton.jit
def _ink(color, channel, level, CHANNELS: tl.constexpr):  # noqa: N803
    """Return one channel of a packed color for the 4 pixels of a word."""
    ink = _level((color >> (24 if CHANNELS == 1 else 8 * channel)) & 255, level)
    return ink, ink, ink, ink


@triton.jit
def _share(bits, share):
    """Return the byte in bits 8 to 15 in 255ths, float32."""
    return tl.fma(((bits & 0xFF00) | share).to(tl.float32, bitcast=True), SCALE, OFFSET)


@triton.jit
def _shares(word, share):
    """Return the 4 bytes of a word in 255ths, float32."""
    return _share(word << 8, share), _share(word, share), _share(word >> 8, share), _share(word >> 16, share)


@triton.jit
def _over(share, color, level):
    return tl.fma(share, color - level, level).to(tl.int32, bitcast=True)


@triton.jit
def _read(page, plane, inside, CHANNELS: tl.constexpr):  # noqa: N803
    """Load a page's word of every channel. The compiler may not move a load over a store: it would wait for it."""
    first = tl.load(page, mask=inside)
    words = (first,)
    if CHANNELS == 3:
        words = (first, tl.load(page + plane, mask=inside), tl.load(page + 2 * plane, mask=inside))
    return words


@triton.jit
def _paint(page, inside, word, shares, colors, level):
    """Paint the 4 pixels of a page's word, loaded before, through shares of coverage."""
    d0, d1, d2, d3 = _levels(word, level)
    a0, a1, a2, a3 = shares
    s0, s1, s2, s3 = colors
    b0, b1, b2, b3 = _over(a0, s0, d0), _over(a1, s1, d1), _over(a2, s2, d2), _over(a3, s3, d3)
    # The bits above each byte are shifted out or masked off.
    tl.store(page, (((b3 << 8) + b2) << 16) | (((b1 << 8) + b0) & 0xFFFF), mask=inside)


@triton.jit
def _pick(low, high, bits):
    """Return the word that begins `bits` above the lowest bit of two."""
    pair = low.to(tl.uint32, bitcast=True).to(tl.uint64) | (high.to(tl.uint32, bitcast=True).to(tl.uint64) << 32)
    return (pair >> bits.to(tl.uint64)).to(tl.int32)


@triton.jit
def _words(address):
    return address.to(tl.pointer_type(tl.int32), bitcast=True)


@triton.jit
def _cover(low, high, pixel):
    """Return the 64ths of pixels that an interval in 1/64 px covers; differences alone, since these do not overflow."""
    return tl.maximum(tl.minimum(high - pixel * 64, 64) - tl.maximum(low - pixel * 64, 0), 0)


@triton.jit
def _paint_rule(rule, band, across, plane, level, share, CHANNELS: tl.constexpr):  # noqa: N803
    """Paint a rule, 2 rows of 32 words at a time."""
    x0, y0, x1, y1, color = tl.load(rule), tl.load(rule + 1), tl.load(rule + 2), tl.load(rule + 3), tl.load(rule + 4)
    lane = tl.arange(0, 64)
    end, last = ((y1 - 1) >> 6) + 1, (x1 - 1) >> 8
    for row in range(y0 >> 6, end, 2):
        y = row + lane // 32
        rows = _cover(y0, y1, y) * 255
        for first in range(x0 >> 8, last + 1, 32):
            x = first + lane % 32
            inside = (y < end) & (x <= last)
            word = tl.zeros([64], tl.int32)
            for byte in tl.static_range(4):
                word |= ((rows * _cover(x0, x1, 4 * x + byte) + 2048) >> 12) << (8 * byte)
            here = band + (y * across + x)
            shares = _shares(word, share)
            for channel in tl.static_range(CHANNELS):
                under, ink = tl.load(here + channel * plane, mask=inside), _ink(color, channel, level, CHANNELS)
                _paint(here + channel * plane, inside, under, shares, ink, level)


@triton.jit
def _paint_glyph(
    glyph, bitmaps, coverage, band, top, bottom, columns, across, plane, level, share,
    CHANNELS: tl.constexpr, WORDS: tl.constexpr, HEIGHT: tl.constexpr  # noqa: N803
):  # fmt: skip
    """Paint the part of a glyph that the band shows, window by window."""
    x0, y0, number, color = tl.load(glyph), tl.load(glyph + 1), tl.load(glyph + 2), tl.load(glyph + 3)
    bitmap = bitmaps + number * BITMAP
    start, stride = tl.load(bitmap).to(tl.uint64) * PITCH, tl.load(bitmap + 3).to(tl.uint32)
    # Sums that overflow are of glyphs off the page: they come out negative, and no window is painted.
    end = tl.minimum(y0 + tl.load(bitmap + 1), bottom)
    last = (tl.minimum(x0 + tl.load(bitmap + 2), columns) + 3) >> 2
    # Bits by which a row of coverage moves up to stand in the page's words.
    bits = (32 - 8 * (x0 & 3)).to(tl.uint32)
    for y in range(tl.maximum(y0, top), end, HEIGHT):
        rows = coverage + (start + (y - y0).to(tl.uint64) * stride)
        for x in range(tl.maximum(x0, 0) >> 2, last, WORDS):
            # Byte of the bitmap's row that the word's last pixel shows, rounded down to a word.
            byte = ((4 * x - x0 + 3) & -4).to(tl.uint32)
            _paint_window(
                rows + byte, byte, stride, bits, band + ((y - top) * across + x), end - y, last - x, color,
                across, plane, level, share, CHANNELS, WORDS, HEIGHT,
            )  # fmt: skip


@triton.jit
def _paint_window(
    source, byte, stride, bits, page, rows, words, color, across, plane, level, share,
    CHANNELS: tl.constexpr, WORDS: tl.constexpr, HEIGHT: tl.constexpr  # noqa: N803
):  # fmt: skip
    """Paint a window of a glyph, its upper and its lower half at once."""
    lane = tl.arange(0, WORDS * HEIGHT // 2)
    row, column = lane // WORDS, lane % WORDS
    below = row + HEIGHT // 2
    source += row.to(tl.uint64) * stride + column * 4
    source2 = source + stride.to(tl.uint64) * (HEIGHT // 2)
    byte += column * 4
    inside, inside2 = (row < rows) & (column < words), (below < rows) & (column < words)
    low = tl.load(_words(source) - 1, mask=inside & (byte > 0), other=0)
    high = tl.load(_words(source), mask=inside & (byte < stride), other=0)
    low2 = tl.load(_words(source2) - 1, mask=inside2 & (byte > 0), other=0)
    high2 = tl.load(_words(source2), mask=inside2 & (byte < stride), other=0)
    upper, lower = page + (row * across + column), page + (below * across + column)
    under, under2 = _read(upper, plane, inside, CHANNELS), _read(lower, plane, inside2, CHANNELS)
    shares, shares2 = _shares(_pick(low, high, bits), share), _shares(_pick(low2, high2, bits), share)
    for channel in tl.static_range(CHANNELS):
        ink = _ink(color, channel, level, CHANNELS)
        _paint(upper + channel * plane, inside, under[channel], shares, ink, level)
        _paint(lower + channel * plane, inside2, under2[channel], shares2, ink, level)


@triton.jit
def _load_bytes(buffer, at, inside, first, end):
    """Load 4 bytes from any place, of which those in [first, end) count; words without one are not touched."""
    skew = (at & 3).to(tl.int32)
    word = _words(buffer + (at - skew))
    low = tl.load(word, mask=inside & (skew + first < 4), other=0)
    high = tl.load(word + 1, mask=inside & (skew + end > 4), other=0)
    return _pick(low, high, skew * 8)


@triton.jit
def _paint_picture(picture, pictures, band, across, plane, level, share, CHANNELS: tl.constexpr, WORDS, HEIGHT):  # noqa: N803
    """Paint a picture; the words of its planes begin anywhere."""
    lane = tl.arange(0, WORDS * HEIGHT)
    x0, x1, y0, y1 = tl.load(picture), tl.load(picture + 1), tl.load(picture + 2), tl.load(picture + 3)
    columns = tl.load(picture + 4)
    color, alpha, source_plane = wide(picture + (6 if CHANNELS == 1 else 8)), wide(picture + 10), wide(picture + 12)
    for row in range(y0, y1, HEIGHT):
        y = row + lane // WORDS
        for first in range(tl.maximum(x0, 0) >> 2, ((x1 - 1) >> 2) + 1, WORDS):
            k = first + lane % WORDS
            x = 4 * k
            inside = (y < y1) & (x < x1)
            begin, end = tl.maximum(x0 - x, 0), tl.minimum(x1 - x, 4)
            at = (y - y0).to(tl.int64) * columns + (x.to(tl.int64) - x0)
            word = _load_bytes(pictures, alpha + at, inside, begin, end)
            # Pixels beside the picture have no coverage.
            ones = tl.full([WORDS * HEIGHT], 0xFFFFFFFF, tl.int64)
            word &= ((ones << (begin * 8)) & (ones >> (32 - end * 8))).to(tl.int32)
            here = band + (y * across + k)
            shares = _shares(word, share)
            for channel in tl.static_range(CHANNELS):
                under = tl.load(here + channel * plane, mask=inside)
                ink = _levels(_load_bytes(pictures, color + channel * source_plane + at, inside, begin, end), level)
                _paint(here + channel * plane, inside, under, shares, ink, level)


@triton.jit(do_not_specialize=["at"])
def composite_kernel(
    pool, plan, coverage, pictures, at, CHANNELS: tl.constexpr, WORDS: tl.constexpr, HEIGHT: tl.constexpr  # noqa: N803
):  # fmt: skip
    """Paint one band."""
    table = plan + at
    row = table + tl.program_id(0) * BAND
    columns = tl.load(row + COLUMNS)
    across = pitch_of(columns) // 4
    plane = tl.load(row + ROWS).to(tl.int64) * across
    top, bottom = tl.load(row + TOP), tl.load(row + BOTTOM)
    # Images and rows begin at multiples of 16 bytes.
    start = tl.load(row + PAGE).to(tl.int64) * (PITCH // 4 * CHANNELS) + top.to(tl.int64) * across
    band = tl.multiple_of(_words(pool) + start, 16)

    background, size = tl.load(row + BACKGROUND), tl.multiple_of((bottom - top) * across, 4)
    for first in range(0, size, FILL):
        k = first + tl.arange(0, FILL)
        for channel in tl.static_range(CHANNELS):
            byte = (background >> (24 if CHANNELS == 1 else 8 * channel)) & 255
            tl.store(band + channel * plane + k, tl.zeros([FILL], tl.int32) + byte * 0x01010101, mask=k < size)
    # Other lanes blend over these words.
    tl.debug_barrier()

    level, share = tl.load(row + LEVEL), tl.load(row + SHARE)
    first_picture = tl.load(row + PICTURES)
    for rule in range(tl.load(row + RULES), first_picture, RULE):
        _paint_rule(table + rule, band, across, plane, level, share, CHANNELS)
        tl.debug_barrier()
    bitmaps = table + tl.load(row + BITMAPS)
    for glyph in range(tl.load(row + GLYPHS), tl.load(row + GLYPHS_END), GLYPH):
        _paint_glyph(
            table + glyph, bitmaps, coverage, band, top, bottom, columns, across, plane, level, share,
            CHANNELS, WORDS, HEIGHT,
        )  # fmt: skip
        tl.debug_barrier()
    for picture in range(first_picture, tl.load(row + END), PICTURE):
        _paint_picture(table + picture, pictures, band, across, plane, level, share, CHANNELS, WORDS, HEIGHT)
        tl.debug_barrier()


def settings(channels: int) -> tuple[dict[str, int], int]:
    """Return the kernel's constants and its warps."""
    return {"CHANNELS": channels, "WORDS": layout.WINDOW_WORDS, "HEIGHT": layout.WINDOW_ROWS}, NUM_WARPS


def launch(pool: Tensor, plan: Tensor, launch: Launch, channels: int, coverage: Tensor, pictures: Tensor) -> None:
    """Launch a table of :func:`gpurender.kernels.plan.composite.lay_composite`.

    Args:
        pool: The pages' pool.
        plan: The plan's buffer.
        launch: The table.
        channels: 1 or 3.
        coverage: [B] uint8, the bitmaps; copied if its address is no multiple of 16 bytes.
        pictures: [Q] uint8, the pictures' planes; copied if its address is none or its size no multiple of 4 bytes.
    """
    constants, warps = settings(channels)
    buffers = _align(coverage, 1), _align(pictures, 4)
    composite_kernel[(launch.programs,)](pool, plan, *buffers, launch.at, **constants, num_warps=warps)


def _align(buffer: Tensor, unit: int) -> Tensor:
    """Return a buffer as the kernel may read it, by whole words."""
    if buffer.data_ptr() % PITCH.value or len(buffer) % unit:
        return torch.nn.functional.pad(buffer, (0, -len(buffer) % unit)).clone()
    return buffer


@on_its_device
def composite(
    out: Tensor, sizes: Tensor, starts: Tensor, backgrounds: Tensor,
    glyph_xy: Tensor, glyph_slots: Tensor, glyph_colors: Tensor, glyph_starts: Tensor, coverage: Tensor, slots: Tensor,
    rule_boxes: Tensor, rule_colors: Tensor, rule_starts: Tensor,
    picture_boxes: Tensor, picture_pixels: Tensor, picture_at: Tensor, picture_starts: Tensor,
) -> None:  # fmt: skip
    """Paint every page into `out`; see `gpurender.kernels.composite` for the arguments."""
    channels = backgrounds.shape[1]
    bitmaps, boxes = slots.numpy() // [PITCH.value, 1, 1, 1], picture_boxes.numpy()
    glyphs = np.empty((len(glyph_xy), 4), np.int32)
    glyphs[:, :2], glyphs[:, 2], glyphs[:, 3] = glyph_xy, glyph_slots, pack_colors(glyph_colors.numpy())
    # Gray and red planes are the same here: a picture has the page's channels.
    planes = np.repeat(picture_at.numpy()[:, None], 3, 1)
    planes[:, 2] += channels * boxes[:, 2].astype(np.int64) * boxes[:, 3]
    plan = Plan()
    pages = plan.reserve(sizes.numpy())
    table, _, _ = layout.lay_composite(
        pages, pack_colors(backgrounds.numpy()), glyphs, glyph_starts.numpy(), bitmaps.astype(np.int32),
        rule_boxes.numpy(), pack_colors(rule_colors.numpy()), rule_starts.numpy(),
        boxes, planes, picture_starts.numpy(),
    )  # fmt: skip
    plan.add(table)
    plan.add(lay_repack("pack", pages, starts.numpy()[:-1]))
    run(plan, channels, out=out, coverage=coverage, pictures=picture_pixels)
