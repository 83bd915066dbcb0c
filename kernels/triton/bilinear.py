"""Bilinear sampling from bytes by integers: coordinates in fixed point, weights of 24 bits, four pixels a word."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _weigh(u, v, source, one, EDGE: tl.constexpr, OFFSET: tl.constexpr):  # noqa: N803
    """Return a pixel's offset in the source, the weights of the four around it, and which of those are on the image."""
    _, rows, columns, pitch = source
    # Coordinates here count from 1, so that the one before an image is not negative.
    x, y = (u >> 32).to(tl.uint32), (v >> 32).to(tl.uint32)
    right, down = u.to(tl.uint32) >> 8, v.to(tl.uint32) >> 8
    both = tl.umulhi(u.to(tl.uint32), down)
    below = down - both
    # Unsigned, so that a negative coordinate is out of bounds too.
    west, east = x - 1 < columns.to(tl.uint32), x < columns.to(tl.uint32)
    north, south = y - 1 < rows.to(tl.uint32), y < rows.to(tl.uint32)
    offset = (y.to(OFFSET) * pitch.to(OFFSET) + x).to(tl.int64)
    if not EDGE:
        # One multiplication for an address, in place of two additions.
        offset *= one.to(tl.int64)
    weights = (1 << 24) - right - below, right - both, below, both
    return offset, weights, (west & north, east & north, west & south, east & south)


@triton.jit
def _tap(pointers, inside, ground, EDGE: tl.constexpr):  # noqa: N803
    """Load a level; paper where it is not on the image."""
    if EDGE:
        return tl.load(pointers, mask=inside, other=ground).to(tl.uint32)
    return tl.load(pointers).to(tl.uint32)


@triton.jit
def _level(upper, lower, ground, pixel, EDGE: tl.constexpr):  # noqa: N803
    """Return a level times 2**24."""
    offset, weights, inside = pixel
    level = _tap(upper + offset, inside[0], ground, EDGE) * weights[0] + (1 << 23)
    level += _tap(upper + offset + 1, inside[1], ground, EDGE) * weights[1]
    level += _tap(lower + offset, inside[2], ground, EDGE) * weights[2]
    return level + _tap(lower + offset + 1, inside[3], ground, EDGE) * weights[3]


@triton.jit
def store_bilinear(
    out, mask, source, ground, one, u0, u1, u2, u3, v0, v1, v2, v3, EDGE: tl.constexpr, OFFSET: tl.constexpr  # noqa: N803
):  # fmt: skip
    """Store four neighboring pixels of every lane as a word.

    Args:
        out: [lanes], the words' first bytes.
        mask: [lanes], which words are stored.
        source: First byte (less a row and a px), rows, columns, and pitch of the source.
        ground: The level around the source, uint8.
        one: [lanes], 1; see `warp`.
        u0: [lanes] int64 with 32 fraction bits, counted from 1: the first pixel's column in the source; u1, u2, u3 the
            next ones', v0, v1, v2, v3 their rows.
        EDGE: Whether any of the pixels around (u, v) may be off the image.
        OFFSET: The type that holds offsets in a plane.
    """
    p0, p1 = _weigh(u0, v0, source, one, EDGE, OFFSET), _weigh(u1, v1, source, one, EDGE, OFFSET)
    p2, p3 = _weigh(u2, v2, source, one, EDGE, OFFSET), _weigh(u3, v3, source, one, EDGE, OFFSET)
    upper = source[0]
    lower = upper + source[3]
    word = _level(upper, lower, ground, p3, EDGE) >> 24
    word = (word << 8) | (_level(upper, lower, ground, p2, EDGE) >> 24)
    word = (word << 8) | (_level(upper, lower, ground, p1, EDGE) >> 24)
    word = (word << 8) | (_level(upper, lower, ground, p0, EDGE) >> 24)
    tl.store(out.to(tl.pointer_type(tl.uint32), bitcast=True), word, mask=mask)
