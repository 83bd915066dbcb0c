"""Patches in Triton: a tile is some patches or, of large ones, some lines; its lanes write neighbors in `out`.

A lane owns one unit of pixels, so that loads and stores have the same layout and nothing passes from lane to lane. It
loads words of 4 px; of patches with 14 columns it takes two pairs, each of them half a word, since their rows begin at
any even byte. Each byte is looked up in three colors, and each color stored for each frame. Bits are moved.
"""

from __future__ import annotations

import triton
import triton.language as tl
from gpurender.kernels.plan import Launch, Plan, spread_colors
from gpurender.kernels.plan import patchify as layout
from gpurender.kernels.plan.patchify import LINES, PATCHES, lay_patchify, levels_size, tile_of
from gpurender.kernels.plan.repack import lay_repack
from gpurender.kernels.triton.paths import Path
from gpurender.kernels.triton.run import run
from gpurender.kernels.triton.tiles import ACROSS, COLUMNS, FIRST, color, on_its_device, source_image, wide
from torch import Tensor

LANES = tl.constexpr(layout.LANES)
OUT, STEPS, PAPER = tl.constexpr(layout.OUT), tl.constexpr(layout.STEPS), tl.constexpr(layout.PAPER)
NUM_WARPS = layout.LANES // 32


@triton.jit
def cover(word, y, x, rows, columns, paper):
    """Replace the pixels of a word that lie outside the image by paper; `paper` has four of it."""
    count = tl.where(y < rows, tl.minimum(tl.maximum(columns - x, 0), 4), 0)
    # In 64 bits, since a shift by all 32 of a word is undefined.
    keep = ((tl.full([], 1, tl.int64) << (8 * count)) - 1).to(tl.int32)
    return (word & keep) | (paper & ~keep)


@triton.jit
def read_run(pixels, at, y, x, rows, columns, paper, mask, RUN: tl.constexpr, EDGE: tl.constexpr):  # noqa: N803
    """Load RUN px, which begin at byte `at` and at (x, y), as words of 4 px or fewer; x is a multiple of RUN."""
    if EDGE:
        mask = mask & (y < rows) & (x < columns)
    if RUN == 8:
        pair = tl.load((pixels + at).to(tl.pointer_type(tl.int64), bitcast=True), mask=mask, other=0)
        first, second = pair.to(tl.int32), (pair >> 32).to(tl.int32)
        if EDGE:
            first = cover(first, y, x, rows, columns, paper)
            second = cover(second, y, x + 4, rows, columns, paper)
        word = tl.interleave(first, second)
    else:
        if RUN == 1:
            word = tl.load(pixels + at, mask=mask, other=0).to(tl.int32)
        else:
            word = tl.load((pixels + (at & ~3)).to(tl.pointer_type(tl.int32), bitcast=True), mask=mask, other=0)
        if RUN == 2:
            # Rows of the image begin at multiples of 4, so the half follows from x.
            word = word >> ((x & 2) * 8)
        if EDGE:
            word = cover(word, y, x, rows, columns, paper)
    return word


@triton.jit
def read_unit(
    pixels,
    at,
    y,
    x,
    next_at,
    next_y,
    next_x,
    rows,
    columns,
    paper,
    mask,
    UNIT: tl.constexpr,  # noqa: N803
    RUN: tl.constexpr,  # noqa: N803
    EDGE: tl.constexpr,  # noqa: N803
):
    """Load a unit of px as words: one run of it, or two of 2 px."""
    word = read_run(pixels, at, y, x, rows, columns, paper, mask, RUN, EDGE)
    if UNIT > RUN:
        more = read_run(pixels, next_at, next_y, next_x, rows, columns, paper, mask, RUN, EDGE)
        word = (word & 0xFFFF) | (more << 16)
    return word


@triton.jit
def split(word, UNIT: tl.constexpr):  # noqa: N803
    """Return the bytes of words, one after another, as int32."""
    if UNIT == 1:
        byte = word & 0xFF
    elif UNIT == 2:
        byte = tl.interleave(word & 0xFF, (word >> 8) & 0xFF)
    else:
        even = tl.interleave(word & 0xFF, (word >> 16) & 0xFF)
        byte = tl.interleave(even, tl.interleave((word >> 8) & 0xFF, (word >> 24) & 0xFF))
    return byte


@triton.jit(do_not_specialize=["at", "patch_height", "groups"])
def patchify_kernel(
    out,
    pool,
    plan,
    at,
    patch_height,
    groups,
    CHANNELS: tl.constexpr,  # noqa: N803
    BITS: tl.constexpr,  # noqa: N803
    LEVELS: tl.constexpr,  # noqa: N803
    TEMPORAL: tl.constexpr,  # noqa: N803
    MERGE: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    UNIT: tl.constexpr,  # noqa: N803
    RUN: tl.constexpr,  # noqa: N803
    TILE_ROWS: tl.constexpr,  # noqa: N803
    TILE_COLUMNS: tl.constexpr,  # noqa: N803
):
    """Write some tiles of a row of blocks: TILE_ROWS patches HEIGHT x WIDTH each, or lines where HEIGHT is 0."""
    out = out.to(tl.pointer_type(tl.int16 if BITS == 16 else tl.int32), bitcast=True)
    table = plan + at
    program = tl.program_id(0)
    row = table + tl.load(table + LEVELS + program)
    rows, columns, pitch, start = source_image(row, CHANNELS)
    across, steps = tl.load(row + ACROSS), tl.load(row + STEPS)
    program -= tl.load(row + FIRST)
    block_row, program = program // across, program % across
    # In whole units, so that the compiler knows where stores are aligned.
    lines = HEIGHT if HEIGHT else patch_height
    width = WIDTH if HEIGHT else groups * UNIT
    plane = tl.full([], 1, tl.int64) * lines * width
    stride = 3 * TEMPORAL * plane
    # Patches of a row of blocks, numbered as in `out`; from here on rows of px count from its top.
    count = tl.load(row + COLUMNS) // width * MERGE
    out += (wide(row + OUT) + block_row.to(tl.int64) * count) * stride
    top = block_row * (MERGE * lines)
    pool += start + top.to(tl.int64) * pitch
    below = rows - top

    lane, pixel = tl.arange(0, LANES), tl.arange(0, LANES * UNIT)
    down, unit = lane // TILE_COLUMNS, lane % TILE_COLUMNS * UNIT
    pixel_down, pixel_unit = pixel // (TILE_COLUMNS * UNIT), pixel % (TILE_COLUMNS * UNIT)
    if HEIGHT:
        tiles, first = (count + TILE_ROWS - 1) // TILE_ROWS, program * steps
        y_lane, x_lane = unit // WIDTH, unit % WIDTH
        y_next, x_next = (unit + RUN) // WIDTH, (unit + RUN) % WIDTH
        out += first * (TILE_ROWS * stride) + (pixel_down * stride + pixel_unit)
    else:
        # Programs of a column of tiles follow each other, then come those of the next column, and of the next patch.
        tiles = (lines + TILE_ROWS - 1) // TILE_ROWS
        pieces = (tiles + steps - 1) // steps
        columns_of_tiles = (width + TILE_COLUMNS * UNIT - 1) // (TILE_COLUMNS * UNIT)
        n, first = program // (pieces * columns_of_tiles), program % pieces * steps
        x_tile = program // pieces % columns_of_tiles * (TILE_COLUMNS * UNIT)
        y_lane, x_lane = down, x_tile + unit
        y_next, x_next = y_lane, x_lane
        out += n * stride + ((first * TILE_ROWS + pixel_down).to(tl.int64) * width + x_tile + pixel_unit)
    # The plan chooses lines where a row of blocks has 2**31 bytes or more.
    at_lane = y_lane * (pitch if HEIGHT else pitch.to(tl.int64)) + x_lane
    at_next = y_next * (pitch if HEIGHT else pitch.to(tl.int64)) + x_next

    for step in range(first, tl.minimum(first + steps, tiles)):
        tile = step * TILE_ROWS
        if HEIGHT:
            n = tile + down
            mask = (down < TILE_ROWS) & (n < count)
            store_mask = (pixel_down < TILE_ROWS) & (tile + pixel_down < count)
            last = tl.minimum(tile + TILE_ROWS, count) - 1
            y_end, x_end = MERGE * HEIGHT, (last // (MERGE * MERGE) + 1) * (MERGE * WIDTH)
            # Unsigned, so that a division by a power of two is a shift.
            place, block = n.to(tl.uint32) % (MERGE * MERGE), n.to(tl.uint32) // (MERGE * MERGE)
            y0 = (place // MERGE * HEIGHT).to(tl.int32)
            x0 = ((block * MERGE + place % MERGE) * WIDTH).to(tl.int32)
            origin = y0 * pitch + x0
        else:
            place, block = n % (MERGE * MERGE), n // (MERGE * MERGE)
            mask = (tile + down < lines) & (x_lane < width)
            store_mask = (tile + pixel_down < lines) & (x_tile + pixel_unit < width)
            y0, x0 = place // MERGE * lines, (block * MERGE + place % MERGE) * width
            y_end = y0 + tl.minimum(tile + TILE_ROWS, lines)
            x_end = x0 + tl.minimum(x_tile + TILE_COLUMNS * UNIT, width)
            y0 += tile
            origin = y0.to(tl.int64) * pitch + x0
        is_inside = (y_end <= below) & (x_end <= columns)
        pixels = pool
        for channel in tl.static_range(3):
            if channel < CHANNELS:
                here, following = origin + at_lane, origin + at_next
                y, x, ny, nx = y0 + y_lane, x0 + x_lane, y0 + y_next, x0 + x_next
                if is_inside:
                    word = read_unit(pixels, here, y, x, following, ny, nx, below, columns, 0, mask, UNIT, RUN, False)
                else:
                    paper = color(row + PAPER, channel, CHANNELS) * 0x01010101
                    word = read_unit(
                        pixels, here, y, x, following, ny, nx, below, columns, paper, mask, UNIT, RUN, True
                    )
                byte = split(word, UNIT)
                pixels += rows.to(tl.int64) * pitch
                if BITS == 16 and CHANNELS == 1:
                    # All three colors of gray at once.
                    levels = tl.load(table.to(tl.pointer_type(tl.int64), bitcast=True) + byte)
                    low, high = levels.to(tl.int32), (levels >> 32).to(tl.int32)
            # Levels stand side by side for the three colors of a byte, so each is in a word or half of one.
            if BITS == 32:
                value = tl.load(table + 4 * byte + channel)
            elif CHANNELS == 1:
                value = ((low if channel < 2 else high) >> (16 * (channel % 2))).to(tl.int16)
            else:
                value = (tl.load(table + 2 * byte + channel // 2) >> (16 * (channel % 2))).to(tl.int16)
            for frame in range(TEMPORAL):
                tl.store(out + (channel * TEMPORAL + frame) * plane, value, mask=store_mask)
        out += TILE_ROWS * (stride if HEIGHT else width)


def settings(
    channels: int, variant: int, bits: int, height: int, width: int, merge: int, temporal: int
) -> tuple[dict[str, int], int]:
    """Return the kernel's constants and its warps. Those of lines do not depend on the height of a patch."""
    constants = {"CHANNELS": channels, "BITS": bits, "LEVELS": levels_size(bits), "TEMPORAL": temporal, "MERGE": merge}
    is_whole = variant == PATCHES
    constants |= {"HEIGHT": height if is_whole else 0, "WIDTH": width if is_whole else 0}
    unit, length, rows, columns = tile_of(bits, height, width, variant)
    return constants | {"UNIT": unit, "RUN": length, "TILE_ROWS": rows, "TILE_COLUMNS": columns}, NUM_WARPS


def launch(
    out: Tensor,
    pool: Tensor,
    plan: Tensor,
    launch: Launch,
    channels: int,
    height: int,
    width: int,
    merge: int,
    temporal: int,
) -> None:
    """Launch a table of :func:`gpurender.kernels.plan.patchify.lay_patchify`; `out` is [R, columns] of any dtype."""
    bits = 8 * out.element_size()
    constants, warps = settings(channels, launch.variant, bits, height, width, merge, temporal)
    numbers = launch.at, height, width // constants["UNIT"]
    patchify_kernel[(launch.programs,)](out, pool, plan, *numbers, **constants, num_warps=warps)


@on_its_device
def patchify(
    out: Tensor,
    pixels: Tensor,
    sizes: Tensor,
    starts: Tensor,
    channels: int,
    canvases: Tensor,
    rows: Tensor,
    paper: Tensor,
    levels: Tensor,
    height: int,
    width: int,
    merge: int,
    temporal: int,
) -> None:
    """Write every image's patches; see `gpurender.kernels.patchify` for the arguments."""
    if not len(sizes):
        return
    plan = Plan()
    source = plan.reserve(sizes.numpy())
    plan.add(lay_repack("unpack", source, starts.numpy()))
    bits, words = 8 * out.element_size(), levels.numpy().reshape(-1).view("i4")
    colors, form = spread_colors(paper.numpy()), (height, width, merge, temporal)
    plan.add(lay_patchify(source, canvases.numpy(), rows.numpy(), colors, words, bits, *form))
    run(plan, channels, out=out, source=pixels, cut=form)


# Forms of patches that are counted: what `settings` takes after the variant.
FORMS = {
    "bfloat16, 14 px": (16, 14, 14, 2, 2),
    "bfloat16, 16 px": (16, 16, 16, 2, 2),
    "float32, 14 px": (32, 14, 14, 2, 2),
    "bfloat16, dense": (16, 1000, 1000, 1, 1),
}


def _path(form: str, channels: int, is_inside: bool, bound: float) -> Path:
    bits, height, width, *_ = FORMS[form]
    variant = LINES if "dense" in form else PATCHES
    unit, _, rows, columns = tile_of(bits, height, width, variant)
    name = f"{form}: {'inside' if is_inside else 'at an edge'}"
    return Path(name, channels, variant, {"is_inside": is_inside}, rows * columns * unit * channels, bound)


PATHS = (
    _path("bfloat16, 14 px", 1, True, 21),
    _path("bfloat16, 14 px", 1, False, 28),
    _path("bfloat16, 14 px", 3, True, 12),
    _path("bfloat16, 14 px", 3, False, 17),
    _path("bfloat16, 16 px", 1, True, 13),
    _path("bfloat16, 16 px", 3, True, 8),
    _path("float32, 14 px", 1, True, 20),
    _path("float32, 14 px", 3, True, 12),
    _path("bfloat16, dense", 1, True, 13),
    _path("bfloat16, dense", 3, True, 8),
)
