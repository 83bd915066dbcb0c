"""Ragged images one by one, as views of their flat buffers."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor


def views(buffer: Tensor, sizes: Tensor, starts: Tensor, channels: int) -> Iterator[Tensor]:
    """Each image as a view `[C, height, width]` of its buffer."""
    for (height, width), start in zip(sizes.tolist(), starts.tolist(), strict=True):
        yield buffer[start : start + channels * height * width].view(channels, height, width)


def as_levels(image: Tensor) -> Tensor:
    """An image in float64, uint8 as 0 to 255, floating point times 255."""
    return image.double() * (255 if image.is_floating_point() else 1)


def store(target: Tensor, levels: Tensor) -> None:
    """Write levels 0 to 255 as the target's dtype has them; uint8 is rounded to the nearest."""
    target.copy_(levels / 255 if target.is_floating_point() else (levels + 0.5).floor().clamp(0, 255))
