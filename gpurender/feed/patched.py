"""Families whose images are cut into patches, at any size: Qwen2-VL and its descendants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpurender.feed.profile import Profile
from gpurender.raster import Pages

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Patched"]

# The longest side that a family's processor takes, in shorter sides.
MAX_ASPECT = 200


@dataclass(frozen=True, kw_only=True)
class Patched(Profile):
    """A family that takes images of any size, cut into patches.

    A canvas' sides are multiples of `patch * merge`, so the `smart_resize` of the family's processor is the identity.

    Attributes:
        patch: px, a patch's side.
        temporal: How many frames a patch is deep; a still is repeated.
        min_pixels, max_pixels: What canvases may have.
    """

    patch: int
    temporal: int
    min_pixels: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.min_pixels <= self.max_pixels:
            raise ValueError(f"min_pixels must be from 1 to max_pixels, {self.max_pixels}, not {self.min_pixels}")
        smallest = int(self.canvases(np.ones((1, 2), np.int32)).prod())
        if smallest > self.max_pixels:
            raise ValueError(f"max_pixels must be at least {smallest}, the smallest canvas, not {self.max_pixels}")

    def canvases(self, sizes: np.ndarray) -> np.ndarray:
        """Each page's canvas, [K, 2] int64 height and width in px, from sizes [K, 2]."""
        factor = self.patch * self.merge

        def up(lengths: Any) -> Any:
            return -(-lengths // factor) * factor

        sizes = up(np.asarray(sizes, np.int64))
        long, short = sizes.max(1), sizes.min(1)
        # A page that is too small for a square of the least size grows to one.
        square = up(math.isqrt(self.min_pixels - 1) + 1)
        long = np.where(long * short < self.min_pixels, np.maximum(long, square), long)
        short = np.maximum(short, up(-(-self.min_pixels // long)))
        short = np.maximum(short, up(-(-long // MAX_ASPECT)))
        tall = sizes[:, :1] > sizes[:, 1:]
        return np.where(tall, np.stack([long, short], 1), np.stack([short, long], 1))

    def fits(self, sizes: np.ndarray) -> np.ndarray:
        """Which pages a model takes as one image, [K] bool, from sizes [K, 2]."""
        found: np.ndarray = self.canvases(sizes).prod(1) <= self.max_pixels
        return found

    def count_tokens(self, sizes: np.ndarray) -> np.ndarray:
        """How many tokens the pages are, [K] int64, from sizes [K, 2]."""
        patches: np.ndarray = self.grids(self.canvases(sizes)).prod(1)
        return patches // self.merge**2

    def grids(self, canvases: np.ndarray) -> np.ndarray:
        """`image_grid_thw` [K, 3] int64: one frame, and patches down and across."""
        return np.concatenate([np.ones((len(canvases), 1), np.int64), canvases // self.patch], 1)

    def shape(self, rows: int, canvases: np.ndarray) -> tuple[int, ...]:
        """A row for each patch: [rows, 3 * temporal * patch * patch]."""
        return rows, 3 * self.temporal * self.patch**2

    def cut(self, canvases: np.ndarray) -> tuple[tuple[int, int], int, int]:
        """Squares, in blocks of merge x merge, each repeated for every frame."""
        return (self.patch, self.patch), self.merge, self.temporal

    def inputs(self, pixel_values: Tensor, grids: Tensor) -> dict[str, Tensor]:
        """`pixel_values` and `image_grid_thw`."""
        return {"pixel_values": pixel_values, "image_grid_thw": grids}

    def unpatchify(self, pixel_values: Tensor, image_grid_thw: Tensor) -> Pages:
        """The images that `pixel_values` shows, RGB, on the CPU: to look at what a model gets."""
        grids = image_grid_thw.cpu().numpy()[:, 1:]
        values = pixel_values.detach().cpu().float().numpy()
        parts, first, m, p = [np.empty(0, np.uint8)], 0, self.merge, self.patch
        for down, across in grids.tolist():
            rows = values[first : first + down * across]
            first += down * across
            # Blocks down and across, patches in them, colours, frames, pixels.
            blocks = rows.reshape(down // m, across // m, m, m, 3, self.temporal, p, p)[:, :, :, :, :, 0]
            planes = blocks.transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, -1)
            shares = planes * np.reshape(self.std, (3, 1)) + np.reshape(self.mean, (3, 1))
            parts.append((shares * 255 + 0.5).clip(0, 255).astype(np.uint8).ravel())
        return Pages(np.concatenate(parts), grids * self.patch, 3)
