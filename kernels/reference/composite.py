"""Compositing in PyTorch, one item at a time, in draw order: the specification the other backends are held to."""

from __future__ import annotations

from torch import Tensor, arange


def over(page: Tensor, x: int, y: int, alpha: Tensor, source: Tensor) -> None:
    """Paint `source` [C, h or 1, w or 1] through `alpha` [h, w] onto `page` [C, H, W] at (x, y), clipped, in place.

    Each paint is rounded as `(a * s + (255 - a) * d + 127) // 255`.
    """
    rows = slice(max(0, -y), max(0, min(alpha.shape[0], page.shape[1] - y)))
    columns = slice(max(0, -x), max(0, min(alpha.shape[1], page.shape[2] - x)))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    target = page[:, y + rows.start : y + rows.stop, x + columns.start : x + columns.stop]  # [C, h, w]
    a = alpha[rows, columns].int()  # [h, w]
    s = source.int().expand(page.shape[0], *alpha.shape)[:, rows, columns]  # [C, h, w]
    target.copy_((a * s + (255 - a) * target.int() + 127) // 255)


def rule_coverage(left: int, top: int, right: int, bottom: int, page: Tensor) -> tuple[int, int, Tensor]:
    """What of a rectangle in 1/64 px is on the page, as (x, y, alpha [h, w]); see `gpurender.kernels.Rules`."""
    x, y = max(left >> 6, 0), max(top >> 6, 0)
    edges_x = 64 * arange(x, max(x, min((right + 63) >> 6, page.shape[2])), device=page.device)  # [w]
    edges_y = 64 * arange(y, max(y, min((bottom + 63) >> 6, page.shape[1])), device=page.device)  # [h]
    cover_x = ((edges_x + 64).clamp(max=right) - edges_x.clamp(min=left)).clamp(min=0)
    cover_y = ((edges_y + 64).clamp(max=bottom) - edges_y.clamp(min=top)).clamp(min=0)
    return x, y, (255 * cover_y[:, None] * cover_x[None, :] + 2048) >> 12


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
    channels = backgrounds.shape[1]
    for n, (height, width) in enumerate(sizes.tolist()):
        page = out[starts[n] : starts[n + 1]].view(channels, height, width)
        page.copy_(backgrounds[n, :, None, None].expand_as(page))

        for r in range(int(rule_starts[n]), int(rule_starts[n + 1])):
            left, top, right, bottom = rule_boxes[r].tolist()
            x, y, alpha = rule_coverage(left, top, right, bottom, page)
            over(page, x, y, alpha, rule_colors[r, :, None, None].to(page.device))

        for g in range(int(glyph_starts[n]), int(glyph_starts[n + 1])):
            start, rows, columns, stride = slots[glyph_slots[g]].tolist()
            bitmap = coverage[start : start + rows * stride].view(rows, stride)[:, :columns]
            x, y = glyph_xy[g].tolist()
            over(page, x, y, bitmap, glyph_colors[g, :, None, None].to(page.device))

        for p in range(int(picture_starts[n]), int(picture_starts[n + 1])):
            x, y, columns, rows = picture_boxes[p].tolist()
            start = int(picture_at[p])
            pixels = picture_pixels[start : start + (channels + 1) * rows * columns].view(channels + 1, rows, columns)
            over(page, x, y, pixels[-1], pixels[:-1])
