"""Bilinear samples, 64 pixels at a time, in LLVM's vector types (see `lanes.py`).

The source is turned into *cells* first: `cells[y, x]` holds pixel (x, y) in its low byte and (x, y + 1) in its high
one, so that 32 bits from there are all four neighbours of a point, and one gather fetches them. A frame of paper lies
around, so a point that is clamped to the frame needs no further thought.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gpurender.kernels.cpu.lanes import BYTE, FLOAT, LONG, WORD, call, constant, pointer, splat, store, vector
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
# Vectors sampled together, of which one does not wait for the other.
GROUP = 4
STEP = LANES * GROUP

# sin(2 pi t) = s P(|s|), where s = t (1/2 - |t|) and |t| <= 1/2; wrong by 6e-8 at most.
SINE = (12.566343520294838, 50.26963139271563, 71.19210610456182, 56.154205453369784)


@njit(inline="always")
def stack(cells, at, upper, i, lower, j, width):
    """A row of cells from its two rows of pixels."""
    at, i, j = np.uint64(at), np.uint64(i), np.uint64(j)
    for x in range(np.uint64(width)):
        cells[at + x] = np.uint16(upper[i + x]) | np.uint16(lower[j + x]) << np.uint16(8)


@njit(cache=True, nogil=True, error_model="numpy")
def make_cells(cells, at, pixels, source, height, width, ground, paper_row):
    """The cells of one plane: rows -1 to height and columns -1 to width + 1, `width + 3` to a row."""
    paper_row[:width] = ground
    paper = np.uint16(ground) * np.uint16(257)
    for y in range(-1, height + 1):
        cells[at] = cells[at + width + 1] = cells[at + width + 2] = paper
        row = source + y * width
        if 0 <= y < height - 1:
            stack(cells, at + 1, pixels, row, pixels, row + width, width)
        elif y == height:
            stack(cells, at + 1, paper_row, 0, paper_row, 0, width)
        elif y < 0:
            stack(cells, at + 1, paper_row, 0, pixels, row + width, width)
        else:
            stack(cells, at + 1, pixels, row, paper_row, 0, width)
        at += width + 3


def sampler(waved: bool) -> Any:
    """Make an intrinsic that samples `STEP` pixels of a row in each channel, and writes them.

    All is relative to the cell `cells[index]`: pixel i shows `point + i step`, less what the wave adds, clamped to
    `bounds`. Channels are `plane` apart in `out` and `extent` apart in `cells`.
    """

    @intrinsic
    def sample(_, out, at, plane, cells, index, stride, extent, channels, point, step, bounds, wave):
        signature = types.void(out, at, plane, cells, index, stride, extent, channels, point, step, bounds, wave)
        floats, longs = vector(FLOAT, LANES), vector(LONG, LANES)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            out, at, plane, cells, index, stride, extent, channels = args[:8]

            def floor(value: Any) -> Any:
                return call(builder, f"llvm.floor.v{LANES}f32", floats, [value])

            def add_product(a: Any, b: Any, c: Any) -> Any:
                """A b + c."""
                return call(builder, f"llvm.fmuladd.v{LANES}f32", floats, [a, b, c])

            def unpack(group: Any) -> list[Any]:
                return [splat(builder, value, LANES) for value in cgutils.unpack_tuple(builder, group)]

            def sine(turns: Any) -> Any:
                turns = builder.fsub(turns, floor(builder.fadd(turns, constant(0.5, floats))))
                size = call(builder, f"llvm.fabs.v{LANES}f32", floats, [turns])
                s = builder.fmul(turns, builder.fsub(constant(0.5, floats), size))
                size = call(builder, f"llvm.fabs.v{LANES}f32", floats, [s])
                value = constant(SINE[-1], floats)
                for factor in SINE[-2::-1]:
                    value = add_product(value, size, constant(factor, floats))
                return builder.fmul(s, value)

            (u0, v0), (du, dv), bounds = unpack(args[8]), unpack(args[9]), unpack(args[10])
            turns, dturns, turns2, dturns2, bend, u1, v1, u2, v2 = unpack(args[11]) if waved else [None] * 9

            def look(lane: Any) -> tuple[Any, list[Any]]:
                """Which cells the lanes look at, and how far right and down from their middles."""
                u, v = add_product(lane, du, u0), add_product(lane, dv, v0)
                if waved:
                    first = sine(add_product(lane, dturns, turns))
                    second = sine(add_product(bend, first, add_product(lane, dturns2, turns2)))
                    u = add_product(second, u2, add_product(first, u1, u))
                    v = add_product(second, v2, add_product(first, v1, v))
                corner, fractions = [], []
                for value, low, high in ((u, *bounds[:2]), (v, *bounds[2:])):
                    value = builder.select(builder.fcmp_ordered(">", value, low), value, low)
                    value = builder.select(builder.fcmp_ordered("<", value, high), value, high)
                    whole = floor(value)
                    corner.append(builder.fptosi(whole, longs))
                    fractions.append(builder.fsub(value, whole))
                row = builder.mul(corner[1], splat(builder, builder.trunc(stride, LONG), LANES))
                return builder.add(row, corner[0]), fractions

            # All that is computed stands before all that is fetched: a gather fills the processor's window.
            looks = [look(ir.Constant(floats, [g * LANES + i for i in range(LANES)])) for g in range(GROUP)]

            def paint(channel: Any) -> None:
                base = pointer(context, builder, cells, sig.args[3], builder.add(index, builder.mul(channel, extent)))
                target = pointer(context, builder, out, sig.args[0], builder.add(at, builder.mul(channel, plane)))
                for g, (corner, (right, down)) in enumerate(looks):
                    places = builder.gep(base, [corner], source_etype=WORD)
                    # llvmlite does not know that an address with a vector of offsets is a vector of addresses.
                    places.type = vector(places.type, LANES)
                    mask = constant(1, vector(ir.IntType(1), LANES))
                    name = f"llvm.masked.gather.v{LANES}i32.v{LANES}p0"
                    near = call(builder, name, longs, [places, LONG(2), mask, constant(0, longs)])
                    level = builder.fadd(mix(near, right, down), constant(0.5, floats))
                    level = builder.trunc(builder.fptosi(level, longs), vector(BYTE, LANES))
                    store(builder, level, builder.gep(target, [at.type(g * LANES)]))

            def mix(near: Any, right: Any, down: Any) -> Any:
                def byte(shift: int) -> Any:
                    value = builder.and_(builder.lshr(near, constant(shift, longs)), constant(255, longs))
                    return builder.sitofp(value, floats)

                def between(a: Any, b: Any, share: Any) -> Any:
                    return add_product(builder.fsub(b, a), share, a)

                return between(between(byte(0), byte(16), right), between(byte(8), byte(24), right), down)

            # The first channel outside of the loop, where LLVM sees that the gather's offsets have 32 bits.
            paint(channels.type(0))
            one = channels.type(1)
            with cgutils.for_range_slice(builder, one, channels, one, channels.type) as (channel, _):
                paint(channel)
            return context.get_dummy_value()

        return signature, codegen

    return sample


sample_straight = sampler(waved=False)
sample_waved = sampler(waved=True)
