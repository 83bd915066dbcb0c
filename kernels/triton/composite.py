"""Compositing in Triton: tile-binned pull.

Each rule, glyph and picture is assigned to the tiles it touches; the (tile, kind) keys are sorted once, stably, so
every tile's list stands in draw order; one program owns one tile, walks its list and writes each pixel once. No
atomics, so the result is deterministic. The number of (item, tile) pairs comes from the plan, on the CPU: the device is
never waited for.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from gpurender.kernels.arrays import copy_to
from gpurender.kernels.triton.tiles import count_tiles, lay_tiles, on_its_device
from torch import Tensor

TILE_HEIGHT = 16
TILE_WIDTH = 64
NUM_WARPS = 4

RULE, GLYPH, PICTURE, KINDS = 0, 1, 2, 3


@triton.jit
def _over(a, s, d):
    # v / 255 to the nearest integer, for every product of two bytes; equals (v + 127) // 255.
    v = a * s + (255 - a) * d + 128
    return (v + (v >> 8)) >> 8


@triton.jit
def _cover(low, high, pixel):
    return tl.maximum(tl.minimum(high, pixel * 64 + 64) - tl.maximum(low, pixel * 64), 0)


@triton.jit
def composite_kernel(
    out,
    sizes,
    starts,
    backgrounds,
    tile_pages,
    first_tiles,
    list_starts,
    items,
    rule_boxes,
    rule_colors,
    glyph_xy,
    glyph_slots,
    glyph_colors,
    coverage,
    slots,
    picture_boxes,
    picture_pixels,
    picture_at,
    CHANNELS: tl.constexpr,  # noqa: N803
    HEIGHT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
):
    """Paint one tile. Offsets into buffers are 64-bit."""
    tile = tl.program_id(0)
    page = tl.load(tile_pages + tile)
    height = tl.load(sizes + page * 2)
    width = tl.load(sizes + page * 2 + 1)
    across = (width + WIDTH - 1) // WIDTH
    local = tile - tl.load(first_tiles + page)
    y = (local // across) * HEIGHT + tl.arange(0, HEIGHT)[:, None]  # [HEIGHT, 1]
    x = (local % across) * WIDTH + tl.arange(0, WIDTH)[None, :]  # [1, WIDTH]

    blank = tl.zeros([HEIGHT, WIDTH], tl.int32)
    d0 = blank + tl.load(backgrounds + page * CHANNELS).to(tl.int32)
    if CHANNELS == 3:
        d1 = blank + tl.load(backgrounds + page * CHANNELS + 1).to(tl.int32)
        d2 = blank + tl.load(backgrounds + page * CHANNELS + 2).to(tl.int32)

    first_rule = tl.load(list_starts + tile * 3)
    first_glyph = tl.load(list_starts + tile * 3 + 1)
    first_picture = tl.load(list_starts + tile * 3 + 2)
    end = tl.load(list_starts + tile * 3 + 3)

    for i in range(first_rule, first_glyph):
        r = tl.load(items + i)
        cover_x = _cover(tl.load(rule_boxes + r * 4), tl.load(rule_boxes + r * 4 + 2), x)
        cover_y = _cover(tl.load(rule_boxes + r * 4 + 1), tl.load(rule_boxes + r * 4 + 3), y)
        a = (255 * cover_y * cover_x + 2048) >> 12
        d0 = _over(a, tl.load(rule_colors + r * CHANNELS).to(tl.int32), d0)
        if CHANNELS == 3:
            d1 = _over(a, tl.load(rule_colors + r * CHANNELS + 1).to(tl.int32), d1)
            d2 = _over(a, tl.load(rule_colors + r * CHANNELS + 2).to(tl.int32), d2)

    for i in range(first_glyph, first_picture):
        g = tl.load(items + i)
        slot = slots + tl.load(glyph_slots + g).to(tl.int64) * 4
        row = y - tl.load(glyph_xy + g * 2 + 1)
        column = x - tl.load(glyph_xy + g * 2)
        inside = (row >= 0) & (row < tl.load(slot + 1)) & (column >= 0) & (column < tl.load(slot + 2))
        at = tl.load(slot) + row.to(tl.int64) * tl.load(slot + 3) + column
        a = tl.load(coverage + at, mask=inside, other=0).to(tl.int32)
        d0 = _over(a, tl.load(glyph_colors + g * CHANNELS).to(tl.int32), d0)
        if CHANNELS == 3:
            d1 = _over(a, tl.load(glyph_colors + g * CHANNELS + 1).to(tl.int32), d1)
            d2 = _over(a, tl.load(glyph_colors + g * CHANNELS + 2).to(tl.int32), d2)

    for i in range(first_picture, end):
        p = tl.load(items + i)
        columns = tl.load(picture_boxes + p * 4 + 2)
        rows = tl.load(picture_boxes + p * 4 + 3)
        column = x - tl.load(picture_boxes + p * 4)
        row = y - tl.load(picture_boxes + p * 4 + 1)
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        plane = rows.to(tl.int64) * columns
        at = tl.load(picture_at + p) + row.to(tl.int64) * columns + column
        a = tl.load(picture_pixels + at + CHANNELS * plane, mask=inside, other=0).to(tl.int32)
        d0 = _over(a, tl.load(picture_pixels + at, mask=inside, other=0).to(tl.int32), d0)
        if CHANNELS == 3:
            d1 = _over(a, tl.load(picture_pixels + at + plane, mask=inside, other=0).to(tl.int32), d1)
            d2 = _over(a, tl.load(picture_pixels + at + 2 * plane, mask=inside, other=0).to(tl.int32), d2)

    on_page = (y < height) & (x < width)
    at = tl.load(starts + page) + y.to(tl.int64) * width + x
    tl.store(out + at, d0.to(tl.uint8), mask=on_page)
    if CHANNELS == 3:
        plane = height.to(tl.int64) * width
        tl.store(out + at + plane, d1.to(tl.uint8), mask=on_page)
        tl.store(out + at + 2 * plane, d2.to(tl.uint8), mask=on_page)


def _pages_of(starts: Tensor, count: int) -> Tensor:
    """The page of each item [count], from the pages' first items [N + 1]."""
    return torch.repeat_interleave(
        torch.arange(len(starts) - 1, device=starts.device), starts.diff(), output_size=count
    )


def bin_items(
    sizes: Tensor, boxes: list[tuple[Tensor, Tensor]], device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Assign items to the tiles they touch, in draw order.

    Args:
        sizes: [N, 2] int32, on the CPU: the pages' height and width in px.
        boxes: For each kind (rules, glyphs, pictures): pages [K] int64 and pixel boxes [K, 4] (x0, y0, x1, y1;
            exclusive ends; clipped here), on the CPU.
        device: Where the lists are wanted.

    Returns:
        On the device: `tile_pages` [T] int32; `first_tiles` [N] int32, each page's first tile; `list_starts`
        [3 T + 1] int32, where in `items` the list of (tile, kind) begins; `items` [pairs] int32, numbers within a kind.
    """
    down, right = count_tiles(sizes, TILE_HEIGHT, TILE_WIDTH)  # [N], [N]
    tile_pages, first_tiles = lay_tiles(down * right)
    total = len(tile_pages)

    pages = torch.cat([page for page, _ in boxes])  # [K]
    corners = torch.cat([box for _, box in boxes]).long()  # [K, 4]
    kinds = torch.cat([torch.full_like(page, kind) for kind, (page, _) in enumerate(boxes)])
    numbers = torch.cat([torch.arange(len(page), device=page.device) for page, _ in boxes])
    limits = sizes[pages].long()  # [K, 2]
    x0, x1 = corners[:, 0].clamp(min=0), corners[:, 2].minimum(limits[:, 1])
    y0, y1 = corners[:, 1].clamp(min=0), corners[:, 3].minimum(limits[:, 0])
    visible = (x0 < x1) & (y0 < y1)
    columns = ((x1 - 1) // TILE_WIDTH - x0 // TILE_WIDTH + 1) * visible  # [K]
    rows = ((y1 - 1) // TILE_HEIGHT - y0 // TILE_HEIGHT + 1) * visible
    counts = rows * columns
    pairs = int(counts.sum())

    across = right[pages]
    corner = first_tiles[pages] + y0 // TILE_HEIGHT * across + x0 // TILE_WIDTH  # [K]: the item's first tile
    plan = torch.stack([kinds, numbers, columns.clamp(min=1), across, corner, counts, counts.cumsum(0) - counts])
    plan = copy_to(plan, device)
    item = torch.repeat_interleave(torch.arange(plan.shape[1], device=device), plan[5], output_size=pairs)  # [pairs]
    kinds, numbers, columns, across, corner, _, begin = plan[:, item]
    nth = torch.arange(pairs, device=device) - begin
    tile = corner + nth // columns * across + nth % columns
    # Items stand in draw order, so a stable sort leaves every tile's list in draw order.
    keys, order = torch.sort(tile * KINDS + kinds, stable=True)
    list_starts = torch.searchsorted(keys, torch.arange(total * KINDS + 1, device=device))

    def index(tensor: Tensor) -> Tensor:
        tensor = tensor.to(torch.int32)
        return copy_to(tensor, device) if tensor.device.type == "cpu" else tensor

    return index(tile_pages), index(first_tiles), index(list_starts), index(numbers[order])


@on_its_device
def composite(
    out: Tensor,
    sizes: Tensor,
    starts: Tensor,
    backgrounds: Tensor,
    glyph_xy: Tensor,
    glyph_slots: Tensor,
    glyph_colors: Tensor,
    glyph_starts: Tensor,
    coverage: Tensor,
    slots: Tensor,
    rule_boxes: Tensor,
    rule_colors: Tensor,
    rule_starts: Tensor,
    picture_boxes: Tensor,
    picture_pixels: Tensor,
    picture_at: Tensor,
    picture_starts: Tensor,
) -> None:
    """Paint every page into `out`; see `gpurender.kernels.composite` for the arguments."""
    device = out.device
    extents = slots.cpu()[glyph_slots.long()][:, [2, 1]]  # [G, 2]: columns, rows
    glyph_boxes = torch.cat([glyph_xy, glyph_xy + extents], 1)
    pixel_boxes = torch.cat([rule_boxes[:, :2].long() >> 6, (rule_boxes[:, 2:].long() + 63) >> 6], 1)
    corners = torch.cat([picture_boxes[:, :2], picture_boxes[:, :2] + picture_boxes[:, 2:]], 1)
    boxes = [
        (_pages_of(rule_starts, len(rule_boxes)), pixel_boxes),
        (_pages_of(glyph_starts, len(glyph_xy)), glyph_boxes),
        (_pages_of(picture_starts, len(picture_boxes)), corners),
    ]
    tile_pages, first_tiles, list_starts, items = bin_items(sizes, boxes, device)
    if not len(tile_pages):
        return

    def there(tensor: Tensor) -> Tensor:
        return tensor.contiguous() if tensor.device == device else copy_to(tensor, device)

    composite_kernel[(len(tile_pages),)](
        out,
        there(sizes),
        there(starts),
        there(backgrounds),
        tile_pages,
        first_tiles,
        list_starts,
        items,
        there(rule_boxes),
        there(rule_colors),
        there(glyph_xy),
        there(glyph_slots),
        there(glyph_colors),
        coverage,
        there(slots),
        there(picture_boxes),
        picture_pixels,
        there(picture_at),
        CHANNELS=backgrounds.shape[1],
        HEIGHT=TILE_HEIGHT,
        WIDTH=TILE_WIDTH,
        num_warps=NUM_WARPS,
    )
