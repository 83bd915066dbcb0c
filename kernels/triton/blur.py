"""Convolution in Triton: products of pixels with banded matrices on tensor cores, in registers from load to store.

One warp owns a tile of one plane and goes down it, 16 rows at a time. Pixels become float16 as `0x6400 | byte`, which
is 1024 + byte. 32 columns of results are a product of a matrix [32, 48] (or [32, 80]) with that many columns of pixels;
down a column a second product follows, of 16 rows with the 32 (or 64) rows that they need. A kernel that is not
separable is a sum of first products, one for every row that it has taps on.

Tensor cores want rows, columns and sums in places of their own. Any order of them will do as long as matrices have it
too, so each lane loads words that lie where its pixels must be, and no pixel moves from lane to lane. In these orders
element n of 16 is column or row `2 (n % 8) + n // 8`, of the matrix's 32 results it is `4 (n % 8) + n // 8`.

The sums start at what removes the 1024, so pixels lie around 0 where they are rounded to float16 between the products,
at most 1/32 wrong.
"""

from __future__ import annotations

import triton
import triton.language as tl
from gpurender.kernels.plan import Launch
from gpurender.kernels.plan import blur as layout
from gpurender.kernels.plan.blur import REACHES, TILE_HEIGHT, TILE_WIDTH, lay_blur, span
from gpurender.kernels.triton.paths import Path
from gpurender.kernels.triton.run import run_packed
from gpurender.kernels.triton.tiles import locate, on_its_device, single, source_image, target_image
from torch import Tensor

STEP = tl.constexpr(layout.STEP)
LINE, LINES, PLAIN = tl.constexpr(layout.LINE), tl.constexpr(layout.LINES), tl.constexpr(layout.PLAIN)
ACROSS_BIAS, BIAS = tl.constexpr(layout.ACROSS_BIAS), tl.constexpr(layout.BIAS)
GAIN, BASE, LOW_BYTES = tl.constexpr(layout.GAIN), tl.constexpr(layout.BASE), tl.constexpr(layout.LOW_BYTES)
# Adding it rounds a float32 to an integer.
ROUND = tl.constexpr(2.0**23)
# Triton 3.6 gives a lane 4 neighbors in k of an operand that a join made, 3.9 gives it 2, as tensor cores have it; of
# versions around them it is a guess. A wrong one costs shuffles, never a result.
FOUR_A_LANE = tl.constexpr((3, 5) <= tuple(int(n) for n in triton.__version__.split(".")[:2]) < (3, 9))


@triton.jit
def _pair(word):
    # The halves of a word as float16, in a new last dimension.
    low, high = word.to(tl.uint16), (word >> 16).to(tl.uint16)
    return tl.join(low.to(tl.float16, bitcast=True), high.to(tl.float16, bitcast=True))


@triton.jit
def _product(a, b, c):
    # The sum of c [M, N] and of a [M, 16] times b [16, N].
    M: tl.constexpr = a.shape[0]  # noqa: N806
    N: tl.constexpr = b.shape[1]  # noqa: N806
    if FOUR_A_LANE:
        a = tl.reshape(tl.permute(tl.reshape(a, [M, 2, 4, 2]), [0, 2, 1, 3]), [M, 16])
        b = tl.reshape(tl.permute(tl.reshape(b, [2, 4, 2, N]), [1, 0, 2, 3]), [16, N])
    return tl.dot(a, b, c)


@triton.jit
def _across_matrix(line, block):
    # [32 results, 16 columns] from a line of weights.
    i = tl.arange(0, 256)
    t, g, h, m = i % 4, i // 4 % 8, i // 32 % 2, i // 64
    pairs = _pair(tl.load(line + (32 + 16 * block) + (4 * t + h - 4 * g - m)).to(tl.uint32))
    return tl.reshape(tl.permute(tl.reshape(pairs, [4, 2, 8, 4, 2]), [0, 2, 1, 3, 4]), [32, 16])


@triton.jit
def _down_matrix(line, block):
    # [16 rows, 16 results] from a line of weights.
    i = tl.arange(0, 128)
    t, g, h, n = i % 4, i // 4 % 8, i // 32 % 2, i // 64
    pairs = _pair(tl.load(line + (32 + 16 * block) + (4 * t + h - 2 * g - n)).to(tl.uint32))
    return tl.reshape(tl.permute(tl.reshape(pairs, [2, 2, 8, 4, 2]), [1, 3, 4, 0, 2]), [16, 16])


@triton.jit
def _pixels(plane, y, x, rows, columns, pitch, low_bytes, is_inside, offset: tl.constexpr, UNITS: tl.constexpr):  # noqa: N803
    # [16 columns, UNITS * 16 rows] float16, 1024 + pixel: of every 32 columns from x + offset on the first 16.
    i = tl.arange(0, 64 * UNITS)
    # A lane is to load one word, not several next to each other.
    lane = tl.max_contiguous(i % 4, 1)
    # Rows count from the first one that is read, so that offsets fit into 32 bits.
    first = tl.minimum(tl.maximum(y, 0), rows - 1)
    line = tl.minimum(tl.maximum((i // 4 % 8 * 2 + i // 32 % 2) + y, 0), rows - 1) - first
    plane = (plane + (first.to(tl.int64) * pitch + x)).to(tl.pointer_type(tl.uint32), bitcast=True)
    line = plane + (line.to(tl.uint32) * (pitch // 4).to(tl.uint32) + lane)
    if is_inside:
        word = tl.load(line + (i // 64 * 8 + offset // 4))
    else:
        # Outside the image a word repeats a pixel of the nearest word inside.
        column = i // 64 * 32 + lane * 4 + (x + offset)
        last = (columns - 1) // 4 * 4
        beyond = (columns - 1) % 4 * 8
        word = tl.load(line + (tl.minimum(tl.maximum(column, 0), last) - x - lane * 4) // 4)
        end = ((word >> tl.where(column < 0, 0, beyond).to(tl.uint32)) & 255) * 0x01010101
        outside = tl.where((column < 0) | (column > last), -1, tl.where(column == last, -256 << beyond, 0))
        outside = outside.to(tl.uint32)
        # Bits of `end` where `outside` has them; Triton 3.6 cannot interpret its complement.
        word ^= (word ^ end) & outside
    even, odd = (word & low_bytes) | 0x64006400, ((word >> 8) & low_bytes) | 0x64006400
    pixels = tl.reshape(tl.join(_pair(even), _pair(odd)), [16 * UNITS, 4, 2, 2])
    return tl.reshape(tl.permute(pixels, [3, 1, 2, 0]), [16, 16 * UNITS])


@triton.jit
def _sums(bias, M: tl.constexpr, N: tl.constexpr):  # noqa: N803
    return tl.zeros([M, N], tl.float32) + bias


@triton.jit
def _turned(v, UNITS: tl.constexpr):  # noqa: N803
    # From [32 results, UNITS * 16 rows] to [UNITS * 32 results, 16 rows].
    return tl.reshape(tl.permute(tl.reshape(v, [32, UNITS, 16]), [1, 0, 2]), [32 * UNITS, 16])


@triton.jit
def _level(v, magic):
    # The nearest integer in the lowest bits.
    return (v + magic).to(tl.uint32, bitcast=True)


@triton.jit
def _store(plane, v, y, x, rows, pitch, UNITS: tl.constexpr):  # noqa: N803
    # v: levels [UNITS * 32 results, 16 rows] float32.
    v = tl.reshape(tl.permute(tl.reshape(v, [UNITS, 2, 2, 8, 2, 4, 2]), [0, 4, 6, 3, 5, 1, 2]), [128 * UNITS, 2, 2])
    even, odd = tl.split(v)
    a, c = tl.split(even)
    b, d = tl.split(odd)
    # The bits of 2**23 are 0x4B000000: 181 more in the highest byte make that 0x100000000.
    word = _level(a, ROUND) + (_level(b, ROUND) << 8) + (_level(c, ROUND) << 16) + (_level(d, ROUND + 181) << 24)
    i = tl.arange(0, 128 * UNITS)
    line, column = i % 4 * 4 + i // 32 % 2 * 2 + i // 64 % 2, i // 4 % 8 * 4
    at = (plane + (pitch.to(tl.int64) * y + x)) + (line.to(tl.uint32) * pitch.to(tl.uint32) + column)
    at += i // 128 * 32
    inside = (line < rows - y) & (i // 128 * 32 + column < pitch - x)
    tl.store(at.to(tl.pointer_type(tl.uint32), bitcast=True), word, mask=inside)


@triton.jit
def _finish(plane, v, y, x, rows, pitch, row, is_general, UNITS: tl.constexpr):  # noqa: N803
    if is_general:
        v = tl.minimum(tl.maximum(v * single(row + GAIN) + single(row + BASE), 0.0), 255.0)
    _store(plane, v, y, x, rows, pitch, UNITS)


@triton.jit
def _across(
    plane, v, matrices, y, x, rows, columns, pitch, low_bytes, is_inside,
    REACH: tl.constexpr, UNITS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    # Add the first product of the rows from y on.
    for block in tl.static_range(2 + REACH // 8):
        pixels = _pixels(plane, y, x, rows, columns, pitch, low_bytes, is_inside, 16 * block - REACH, UNITS)
        v = _product(matrices[block], pixels, v)
    return v


@triton.jit
def _across_matrices(line, REACH: tl.constexpr):  # noqa: N803
    a, b, c = _across_matrix(line, 0), _across_matrix(line, 1), _across_matrix(line, 2)
    if REACH == 8:
        return a, b, c
    else:  # noqa: RET505
        return a, b, c, _across_matrix(line, 3), _across_matrix(line, 4)


@triton.jit
def _blurred_across(
    plane, bias, matrices, y, x, rows, columns, pitch, low_bytes, is_inside,
    REACH: tl.constexpr, UNITS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    # [UNITS * 32, 16 rows] float16, the first product less 128.
    v = _sums(bias, 32, 16 * UNITS)
    v = _across(plane, v, matrices, y, x, rows, columns, pitch, low_bytes, is_inside, REACH, UNITS)
    return _turned(v.to(tl.float16), UNITS)


@triton.jit(do_not_specialize=["at"])
def blur_kernel(
    pool,
    plan,
    at,
    CHANNELS: tl.constexpr,  # noqa: N803
    REACH: tl.constexpr,  # noqa: N803
    SPAN: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
):
    """Convolve one tile of one channel, 16 rows at a time."""
    units: tl.constexpr = WIDTH // 32
    row, y0, x0 = locate(plan, at, HEIGHT, WIDTH)
    rows, columns, pitch, target = target_image(row, CHANNELS)
    _, _, _, source = source_image(row, CHANNELS)
    plane = tl.program_id(1) * (rows.to(tl.int64) * pitch)
    source, target = pool + (source + plane), pool + (target + plane)
    lines, line = tl.load(row + LINES), plan + at + tl.load(row + LINE)
    # In a register for good, where a constant would be moved into one each time.
    low = tl.load(row + LOW_BYTES).to(tl.uint32)
    is_general = tl.load(row + PLAIN) == 0
    is_separable = lines == 0
    # Words are whole up to the last pixel.
    is_inside = (x0 >= REACH) & (x0 + WIDTH + REACH <= columns)
    bias = single(row + BIAS)
    end = tl.minimum(rows, y0 + HEIGHT)

    if is_separable:
        start = single(row + ACROSS_BIAS)
        matrices = _across_matrices(line, REACH)
        first, last = _down_matrix(line, 0), _down_matrix(line, REACH // 8)
        y = y0 - REACH
        above = _blurred_across(source, start, matrices, y, x0, rows, columns, pitch, low, is_inside, REACH, units)
        if REACH > 8:
            second, third = _down_matrix(line, 1), _down_matrix(line, 2)
            y += STEP
            upper = _blurred_across(source, start, matrices, y, x0, rows, columns, pitch, low, is_inside, REACH, units)
            y += STEP
            lower = _blurred_across(source, start, matrices, y, x0, rows, columns, pitch, low, is_inside, REACH, units)
        for y in tl.range(y0, end, STEP, num_stages=1):
            after = y + REACH
            below = _blurred_across(
                source, start, matrices, after, x0, rows, columns, pitch, low, is_inside, REACH, units
            )
            v = _product(above, first, _sums(bias, WIDTH, STEP))
            if REACH > 8:
                v = _product(lower, third, _product(upper, second, v))
                above, upper, lower = upper, lower, below
            else:
                above = below
            _finish(target, _product(below, last, v), y, x0, rows, pitch, row, is_general, units)
    else:
        for y in tl.range(y0, end, STEP, num_stages=1):
            v = _sums(bias, 32, 16 * units)
            for k in tl.range(0, lines, num_stages=1):
                each = line + k * (SPAN + 1)
                matrices = _across_matrices(each, REACH)
                from_y = y + tl.load(each)
                v = _across(source, v, matrices, from_y, x0, rows, columns, pitch, low, is_inside, REACH, units)
            _finish(target, _turned(v, units), y, x0, rows, pitch, row, is_general, units)


def settings(channels: int, reach: int) -> tuple[dict[str, int], int]:
    """Return the kernel's constants and its warps: one, so no two of them load the same pixels."""
    constants = {"CHANNELS": channels, "REACH": reach, "SPAN": span(reach)}
    return constants | {"HEIGHT": TILE_HEIGHT, "WIDTH": TILE_WIDTH}, 1


def launch(pool: Tensor, plan: Tensor, launch: Launch, channels: int) -> None:
    """Launch a table of :func:`gpurender.kernels.plan.blur.lay_blur`."""
    constants, warps = settings(channels, launch.variant)
    # No stages: nothing in the loop can be pipelined, and Triton 3.4 and 3.5 fail at it on sm_100.
    blur_kernel[(launch.programs, channels)](pool, plan, launch.at, **constants, num_warps=warps, num_stages=1)


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
    parameters = [array.numpy() for array in (halves, offsets, weights, starts)]
    run_packed(
        out, target_sizes, target_starts, pixels, source_sizes, source_starts, channels,
        lambda target, source: lay_blur(target, source, *parameters),
    )  # fmt: skip


def _path(name: str, separable: bool, inside: bool, bound: float) -> Path:
    branches = {"is_separable": separable, "is_inside": inside, "is_general": False}
    return Path(name, 1, REACHES[0], branches, layout.STEP * TILE_WIDTH, bound, -1 if separable else 0)


# A motion blur of 9 px has taps on 1 to 9 rows.
PATHS = (
    _path("Gaussian or box", True, True, 9),
    _path("Gaussian or box at an edge", True, False, 11),
    _path("one row of taps", False, True, 5),
    _path("one row of taps at an edge", False, False, 7.5),
)
