"""What is done to an image, as numbers: a program of steps, the sizes it leads to, and the passes that carry it out.

A step is a kind and up to eight numbers; an image's program is its steps in order. Everything here is compiled, since
it stands between a batch and its pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from gpurender.kernels.images import MAX_RADIUS

__all__ = ["BOUNDS", "FIELDS", "KINDS", "WIDTH", "find_fault", "map_boxes", "map_points", "plan", "sizes_after"]

# The kinds of steps, and what the numbers of each are called. Angles are degrees, lengths px; `expand` is 0 or 1.
FIELDS = {
    "Rotate": ("degrees", "expand"),
    "Wave": (
        *("amplitude_x", "wavelength_x", "phase_x"),
        *("amplitude_y", "wavelength_y", "phase_y"),
        "expand",
    ),
    "GaussianBlur": ("sigma",),
    "BoxBlur": ("kernel_size",),
    "MotionBlur": ("kernel_size", "angle"),
    "EdgeShadow": ("darkness", "extent", "angle"),
    # Two halves of a key of `kernels.random`, from which the blots' places and their noise follow.
    "Stain": ("blots", "radius", "opacity", "red", "green", "blue", "key_0", "key_1"),
}
# What these numbers may be. A blur reaches as far as the kernels' tiles do.
BOUNDS = {
    **dict.fromkeys(("degrees", "angle", "phase_x", "phase_y"), (-1e6, 1e6)),
    "expand": (0, 1),
    **dict.fromkeys(("amplitude_x", "amplitude_y"), (0, 1e4)),
    **dict.fromkeys(("wavelength_x", "wavelength_y"), (8, 1e6)),
    "sigma": (0, MAX_RADIUS / 3),
    "kernel_size": (1, 2 * MAX_RADIUS + 1),
    "darkness": (0, 1),
    "extent": (1e-3, 1),
    "blots": (0, 32),
    "radius": (1, 1e6),
    "opacity": (0, 1),
    **dict.fromkeys(("red", "green", "blue"), (0, 255)),
    **dict.fromkeys(("key_0", "key_1"), (0, 2**32 - 1)),
}
# How far apart they are, from the lower bound on.
STRIDES = {"kernel_size": 2, "blots": 1, "key_0": 1, "key_1": 1, "expand": 1}

KINDS = tuple(FIELDS)
WIDTH = max(map(len, FIELDS.values()))
ROTATE, WAVE, GAUSSIAN, BOX, MOTION, SHADOW, STAIN = range(len(KINDS))

MOST = 1e5  # points that an edge of a box is looked at


def _table(of: Any, default: Any) -> np.ndarray:
    return np.array([[*map(of, names), *[default] * (WIDTH - len(names))] for names in FIELDS.values()])


_LOW = _table(lambda name: BOUNDS[name][0], 0)  # [kinds, WIDTH]
_HIGH = _table(lambda name: BOUNDS[name][1], 0)
_STRIDES = _table(lambda name: STRIDES.get(name, 0), 0)

# The kernels that carry out passes.
WARP, BLUR, SHADE = range(3)


def find_fault(kinds: np.ndarray, values: np.ndarray) -> str:
    """What is wrong with the first of steps that is not right; empty if all are."""
    low, high, stride = _LOW[kinds], _HIGH[kinds], _STRIDES[kinds]
    # What is not a number is not within either.
    wrong = ~((values >= low) & (values <= high))
    wrong[stride > 0] |= (values - low)[stride > 0] % stride[stride > 0] != 0
    for s, k in np.argwhere(wrong).tolist():
        kind = KINDS[kinds[s]]
        if k >= len(FIELDS[kind]):
            return f"values[{s}]: {kind} has {len(FIELDS[kind])} numbers; the rest must be 0"
        name = FIELDS[kind][k]
        told = f"[{low[s, k]:g}, {high[s, k]:g}]"
        told += f" in steps of {STRIDES[name]}" if name in STRIDES else ""
        return f"values[{s}]: {kind}'s {name} must lie in {told}, not {values[s, k]:g}"
    return ""


@njit(cache=True)
def turn(degrees):
    """Cosine and sine, exact at right angles."""
    quarters = math.floor(degrees / 90 + 0.5)
    rest = math.radians(degrees - 90 * quarters)
    c, s = math.cos(rest), math.sin(rest)
    quadrant = quarters % 4
    if quadrant == 1:
        return -s, c
    if quadrant == 2:
        return -c, -s
    if quadrant == 3:
        return s, -c
    return c, s


@njit(cache=True)
def is_identity(kind, values):
    """Whether a step leaves every pixel as it is."""
    if kind == ROTATE:
        return values[0] % 360 == 0
    if kind == WAVE:
        return values[0] == 0 and values[3] == 0
    if kind == GAUSSIAN:
        return values[0] == 0
    if kind in (BOX, MOTION):
        return values[0] <= 1
    if kind == SHADOW:
        return values[0] == 0
    return values[0] == 0 or values[2] == 0


@njit(cache=True)
def _grown(kind, values, height, width):
    """Height and width after a step, in float64, as they may pass every integer.

    Ink reaches one pixel beyond its own, by interpolation, and around it the canvas ends in a line of paper. Where
    pixels fall on pixels, at right angles, the canvas is the page's own.
    """
    if kind == ROTATE and values[1] != 0:
        c, s = turn(values[0])
        if c == 0 or s == 0:
            return (width, height) if c == 0 else (height, width)
        c, s = abs(c), abs(s)
        return math.ceil((width + 1) * s + (height + 1) * c) + 1.0, math.ceil((width + 1) * c + (height + 1) * s) + 1.0
    if kind == WAVE and values[6] != 0 and not is_identity(kind, values):
        return height + 2 * (math.ceil(abs(values[3])) + 1.0), width + 2 * (math.ceil(abs(values[0])) + 1.0)
    return height, width


@njit(cache=True)
def sizes_after(kinds, values, offsets, sizes):
    """Height and width of each image after its program, [N, 2] float64."""
    after = np.empty((len(sizes), 2))
    for n in range(len(sizes)):
        height, width = float(sizes[n, 0]), float(sizes[n, 1])
        for s in range(offsets[n], offsets[n + 1]):
            height, width = _grown(kinds[s], values[s], height, width)
        after[n] = height, width
    return after


@njit(cache=True)
def _map_point(x, y, kinds, values, height, width):
    """Where a point comes to lie; in px, pixel 0 from 0 to 1."""
    # From here on in coordinates of pixel centres.
    x, y = x - 0.5, y - 0.5
    for s in range(len(kinds)):
        row = values[s]
        tall, wide = _grown(kinds[s], row, height, width)
        if kinds[s] == ROTATE:
            c, i = turn(row[0])
            x, y = x - (width - 1) / 2, y - (height - 1) / 2
            x, y = c * x + i * y, c * y - i * x
            x, y = x + (wide - 1) / 2, y + (tall - 1) / 2
        elif kinds[s] == WAVE:
            x = x + row[0] * math.sin(math.tau * (y / row[1] + row[2] / 360 % 1))
            y = y + row[3] * math.sin(math.tau * (x / row[4] + row[5] / 360 % 1))
            x, y = x + (wide - width) / 2, y + (tall - height) / 2
        height, width = tall, wide
    return x + 0.5, y + 0.5


@njit(cache=True)
def map_points(points, images, kinds, values, offsets, sizes):
    """Where points [K, 2] of the images [K] come to lie, [K, 2] float64."""
    mapped = np.empty((len(points), 2))
    for k in range(len(points)):
        n = images[k]
        own = slice(offsets[n], offsets[n + 1])
        x, y = points[k]
        mapped[k] = _map_point(x, y, kinds[own], values[own], float(sizes[n, 0]), float(sizes[n, 1]))
    return mapped


@njit(cache=True)
def _spacing(kinds, values):
    """How densely (px) a line is to be looked at, so that it strays nowhere by more than 0.1 px in between."""
    spacing, steepness = np.inf, 1.0
    for s in range(len(kinds)):
        if kinds[s] == WAVE:
            for k in (0, 3):
                amplitude, rate = values[s, k], math.tau / values[s, k + 1]
                if amplitude > 0:
                    # An arc over a chord h rises by h^2 / 8 times the curvature, a rate^2 at most.
                    spacing = min(spacing, math.sqrt(0.8 / amplitude) / rate)
                    # What went before stretches what comes after.
                    steepness *= 1 + amplitude * rate
    return spacing / steepness


@njit(cache=True)
def map_boxes(boxes, images, kinds, values, offsets, sizes):
    """The upright boxes around what boxes [K, 4] of the images [K] become, [K, 4] float64."""
    mapped = np.empty((len(boxes), 4))
    for k in range(len(boxes)):
        n = images[k]
        own = slice(offsets[n], offsets[n + 1])
        height, width = float(sizes[n, 0]), float(sizes[n, 1])
        spacing = _spacing(kinds[own], values[own])
        left, top, right, bottom = np.inf, np.inf, -np.inf, -np.inf
        x0, y0, x1, y1 = boxes[k]
        for ax, ay, bx, by in ((x0, y0, x1, y0), (x1, y0, x1, y1), (x1, y1, x0, y1), (x0, y1, x0, y0)):
            parts = int(min(abs(bx - ax + by - ay) / spacing + 1, MOST))
            for i in range(parts):
                x, y = ax + (bx - ax) * i / parts, ay + (by - ay) * i / parts
                x, y = _map_point(x, y, kinds[own], values[own], height, width)
                left, top, right, bottom = min(left, x), min(top, y), max(right, x), max(bottom, y)
        mapped[k] = left, top, right, bottom
    return mapped


@njit(cache=True)
def plan(kinds, values, offsets, sizes):
    """The passes that carry out each image's program.

    Steps that move pixels are one pass if one inverse map holds them (see `gpurender.kernels.Warps`: as long as there
    is at most one wave among them, and none but the last one cuts off what its canvas does not hold), and a shadow and
    the stain that follows it are one.

    Returns:
        offsets [N + 1] of each image's passes, and for each of the P passes: the kernel [P]; sizes before and after
        [P, 2] int64; maps [P, 18] of warps; the step [P] that a blur or a shadow stands in, or -1; and the step of the
        stain [P], or -1.
    """
    most = len(kinds)
    pass_offsets = np.zeros(len(sizes) + 1, np.int64)
    kernels = np.empty(most, np.int64)
    before, after = np.empty((most, 2), np.int64), np.empty((most, 2), np.int64)
    maps = np.zeros((most, 18))
    steps, stains = np.full(most, -1, np.int64), np.full(most, -1, np.int64)
    p = 0
    for n in range(len(sizes)):
        first = p
        height, width = float(sizes[n, 0]), float(sizes[n, 1])
        waved = cuts = False
        for s in range(offsets[n], offsets[n + 1]):
            kind, row = kinds[s], values[s]
            if is_identity(kind, row):
                continue
            tall, wide = _grown(kind, row, height, width)
            moves = kind in (ROTATE, WAVE)
            joins = p > first and (
                (moves and kernels[p - 1] == WARP and not cuts and not (waved and kind == WAVE))
                or (kind == STAIN and kernels[p - 1] == SHADE and stains[p - 1] < 0)
            )
            if not joins:
                before[p] = height, width
                kernels[p] = WARP if moves else (SHADE if kind >= SHADOW else BLUR)
                if moves:
                    maps[p, 0] = maps[p, 4] = maps[p, 12] = maps[p, 16] = 1
                    waved = False
                p += 1
            after[p - 1] = tall, wide
            if kind == STAIN:
                stains[p - 1] = s
            elif not moves:
                steps[p - 1] = s
            m = maps[p - 1]
            if kind == ROTATE:
                # Inverse: turned back about the centres. The map so far follows it.
                c, i = turn(row[0])
                u = (width - 1) / 2 - c * (wide - 1) / 2 + i * (tall - 1) / 2
                v = (height - 1) / 2 - i * (wide - 1) / 2 - c * (tall - 1) / 2
                for k in (0, 3):
                    a, b, d = m[k], m[k + 1], m[k + 2]
                    m[k], m[k + 1], m[k + 2] = a * c + b * i, b * c - a * i, a * u + b * v + d
            elif kind == WAVE:
                # What was there comes after the wave, as the second affine map.
                for k in range(6):
                    m[12 + k] = m[k]
                m[0], m[1], m[2] = 1, 0, (width - wide) / 2
                m[3], m[4], m[5] = 0, 1, (height - tall) / 2
                m[6], m[7], m[8] = row[0], 1 / row[1], row[2] / 360 % 1
                m[9], m[10], m[11] = row[3], 1 / row[4], row[5] / 360 % 1
                waved = True
            if moves:
                cuts = row[1 if kind == ROTATE else 6] == 0
            height, width = tall, wide
        pass_offsets[n + 1] = p
    return pass_offsets, kernels[:p], before[:p], after[:p], maps[:p], steps[:p], stains[:p]
