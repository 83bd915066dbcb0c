"""Patches in numba: a patch is looked up in the cache, and streamed from there past the caches into `out`.

`out` is up to 24 times an image, so its stores decide: an ordinary one first reads the line that it overwrites (2.4
times slower, measured). And colors are bits: 16 or 32 of them, whatever they mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gpurender.kernels.cpu.lanes import BYTE, LONG, copy, load, pointer, store, vector
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# Pixels looked up at once, and those of them whose colors are loaded together.
LANES, GROUP = 16, 8
# A row of the table of levels, padded to what one load takes.
ENTRY = 4
# Bytes written past the caches at once, which must be a whole line of them.
LINE = 64
# Elements of a patch that is staged whole, and pixels of a larger one that are staged at once.
WHOLE, PIECE = 1 << 16, 1 << 12

WIDE, SIZE = vector(LONG, LINE // 4), ir.IntType(64)


@intrinsic
def look_up(_: Any, stage: Any, at: Any, plane: Any, repeats: Any, table: Any, source: Any, index: Any) -> Any:
    """16 gray pixels in three colors: stage[at + (repeats * c + t) * plane + x] = table[4 * source[index + x] + c].

    A pixel's colors are one load; LLVM turns pixels of colors into colors of pixels. A load for each is 2 times
    slower, measured.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = context.get_value_type(sig.args[0].dtype)
        target = pointer(context, builder, args[0], sig.args[0], args[1])
        levels = pointer(context, builder, args[4], sig.args[4], SIZE(0))
        bytes_ = pointer(context, builder, args[5], sig.args[5], args[6])
        for first in range(0, LANES, GROUP):
            entries = []
            for x in range(first, first + GROUP):
                level = builder.zext(builder.load(builder.gep(bytes_, [SIZE(x)])), SIZE)
                address = builder.gep(levels, [builder.mul(level, SIZE(ENTRY))])
                entries.append(load(builder, address, vector(word, ENTRY)))
            size = ENTRY
            while len(entries) > 1:
                size *= 2
                both = ir.Constant(vector(LONG, size), list(range(size)))
                entries = [builder.shuffle_vector(*entries[i : i + 2], both) for i in range(0, len(entries), 2)]
            lanes = [ir.Constant(vector(LONG, GROUP), list(range(c, size, ENTRY))) for c in range(3)]
            colors = [builder.shuffle_vector(entries[0], entries[0], mask) for mask in lanes]
            with cgutils.for_range(builder, args[3]) as loop:
                for c, color in enumerate(colors):
                    place = builder.mul(builder.add(builder.mul(args[3], SIZE(c)), loop.index), args[2])
                    store(builder, color, builder.gep(target, [builder.add(place, SIZE(first))]))
        return context.get_dummy_value()

    size = types.int64
    return types.void(stage, size, size, size, table, source, size), codegen


@intrinsic
def look_up_one(_: Any, stage: Any, at: Any, plane: Any, repeats: Any, table: Any, source: Any, index: Any) -> Any:
    """One color of 16 pixels: stage[at + t * plane + x] = table[4 * source[index + x]]."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = context.get_value_type(sig.args[0].dtype)
        target = pointer(context, builder, args[0], sig.args[0], args[1])
        levels = pointer(context, builder, args[4], sig.args[4], SIZE(0))
        bytes_ = pointer(context, builder, args[5], sig.args[5], args[6])
        color = ir.Constant(vector(word, LANES), ir.Undefined)
        for x in range(LANES):
            level = builder.zext(builder.load(builder.gep(bytes_, [SIZE(x)])), SIZE)
            value = builder.load(builder.gep(levels, [builder.mul(level, SIZE(ENTRY))]))
            color = builder.insert_element(color, value, LONG(x))
        with cgutils.for_range(builder, args[3]) as loop:
            store(builder, color, builder.gep(target, [builder.mul(loop.index, args[2])]))
        return context.get_dummy_value()

    size = types.int64
    return types.void(stage, size, size, size, table, source, size), codegen


@intrinsic
def stream(_: Any, out: Any, at: Any, stage: Any, index: Any, count: Any) -> Any:
    """out[at:at+count] = stage[index:index+count], past the caches where whole lines are written."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = context.get_value_type(sig.args[0].dtype).width // 8
        target = builder.bitcast(pointer(context, builder, args[0], sig.args[0], args[1]), BYTE.as_pointer())
        source = builder.bitcast(pointer(context, builder, args[2], sig.args[2], args[3]), BYTE.as_pointer())
        size = builder.mul(args[4], SIZE(width))
        before = builder.and_(builder.neg(builder.ptrtoint(target, SIZE)), SIZE(LINE - 1))
        before = builder.select(builder.icmp_unsigned("<", before, size), before, size)
        lines = builder.udiv(builder.sub(size, before), SIZE(LINE))
        behind = builder.add(before, builder.mul(lines, SIZE(LINE)))
        for first, count in ((SIZE(0), before), (behind, builder.sub(size, behind))):
            cgutils.raw_memcpy(builder, builder.gep(target, [first]), builder.gep(source, [first]), count, 1)
        with cgutils.for_range(builder, lines) as loop:
            place = builder.add(before, builder.mul(loop.index, SIZE(LINE)))
            line = load(builder, builder.gep(source, [place]), WIDE)
            stored = builder.store(line, builder.bitcast(builder.gep(target, [place]), WIDE.as_pointer()))
            stored.align = LINE
            stored.set_metadata("nontemporal", builder.module.add_metadata([LONG(1)]))
        return context.get_dummy_value()

    return types.void(out, types.int64, stage, types.int64, types.int64), codegen


@intrinsic
def fence(_: Any) -> Any:
    """Other threads see what was streamed before they see anything that is written later."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@njit(inline="always")
def collect(band, at, pixels, start, size, y, x, rows, columns, paper):
    """band[at:] = rows and columns from (y, x) on of an image of a size (height, width) on endless paper."""
    height, width = size
    inside = max(min(width - x, columns), 0)
    for row in range(rows):
        own, index = inside if y + row < height else 0, start + (y + row) * width + x
        # What is read past a row is somebody's bytes, and what is written there is room for the next, or to spare.
        if own == columns and columns <= LANES and index + LANES <= len(pixels):
            copy(band, at, pixels, index, LANES)
        else:
            copy(band, at, pixels, index, own)
            for i in range(np.uint64(at + own), np.uint64(at + columns)):
                band[i] = paper
        at += columns


@njit(inline="always")
def look_up_all(stage, repeats, table, band, channels, pixels):
    """stage[(repeats * c + t) * pixels + x] = table[4 * band[x] + c], band[room + x] and so on for more channels."""
    room = len(band) // channels
    for c in range(3 if channels == 3 else 1):
        at, index = c * repeats * pixels, c * room
        for x in range(0, pixels, LANES):
            if pixels < LANES:
                break
            # The last are looked up again, rather than ones past them.
            x = min(x, pixels - LANES)
            if channels == 1:
                look_up(stage, at + x, pixels, repeats, table, band, index + x)
            else:
                look_up_one(stage, at + x, pixels, repeats, table[c:], band, index + x)
    if pixels < LANES:
        for place in range(3 * repeats * pixels):
            c, x = place // (repeats * pixels), place % pixels
            stage[place] = table[ENTRY * band[(c * room if channels == 3 else 0) + x] + c]


@njit(cache=True, nogil=True, error_model="numpy")
def patchify(
    out, pixels, sizes, starts, channels, canvases, rows, paper, levels, patch_height, patch_width, merge, temporal
):
    """Write every image's patches; see `gpurender.kernels.patchify` for the arguments."""
    table = np.zeros(256 * ENTRY, out.dtype)
    for level in range(256):
        for c in range(3):
            table[ENTRY * level + c] = levels[c, level]
    plane = patch_height * patch_width
    width = 3 * temporal * plane
    whole = width <= WHOLE
    repeats = temporal if whole else 1
    lines = patch_height if whole else max(PIECE // patch_width, 1)
    band = np.empty(channels * (lines * patch_width + LANES), np.uint8)
    # Patches rarely end where lines of the cache do, and a line written in two parts costs as much as many whole ones:
    # what is left over waits for the image's next patch, which follows it in `out`. Patch by patch took twice as long.
    line = LINE // out.itemsize
    stage = np.empty(line + 3 * repeats * lines * patch_width, out.dtype)
    flat = out.ravel()
    base = flat.ctypes.data // out.itemsize

    for k in range(len(starts)):
        height, across = np.int64(sizes[k, 0]), np.int64(sizes[k, 1])
        blocks_across = canvases[k, 1] // patch_width // merge
        count = (canvases[k, 0] // patch_height) * (canvases[k, 1] // patch_width)
        waiting = 0
        for n in range(count):
            block, i, j = n // (merge * merge), n % (merge * merge) // merge, n % merge
            top = (block // blocks_across * merge + i) * patch_height
            left = (block % blocks_across * merge + j) * patch_width
            at = (rows[k] + n) * width
            for y in range(0, patch_height, lines):
                here = min(lines, patch_height - y)
                for c in range(channels):
                    collect(
                        band, c * (len(band) // channels), pixels, starts[k] + c * height * across, (height, across),
                        top + y, left, here, patch_width, paper[k, c],
                    )  # fmt: skip
                look_up_all(stage[waiting:], repeats, table, band, channels, here * patch_width)
                if whole:
                    ready = waiting + width
                    rest = 0 if n == count - 1 else min((base + at + width) % line, ready)
                    stream(flat, at - waiting, stage, 0, ready - rest)
                    copy(stage, 0, stage, ready - rest, rest * out.itemsize)
                    waiting = rest
                else:
                    for part in range(3 * temporal):
                        stream(
                            flat, at + part * plane + y * patch_width, stage,
                            part // temporal * here * patch_width, here * patch_width,
                        )  # fmt: skip
    fence()
