"""Models that take a padded, normalised batch [N, 3, H, W]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpurender.feed.profile import Profile

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Dense"]


@dataclass(frozen=True, kw_only=True)
class Dense(Profile):
    """A model that takes a batch of images of one size, each of as many tokens.

    Attributes:
        size: Height and width of the canvas in px; None for the smallest that holds the batch.
        multiple: Of which sides are to be multiples, in px.
        tokens: How many tokens an image is.
        max_pixels: Of a page; the canvas of a batch may have more.
    """

    size: tuple[int, int] | None
    multiple: int
    tokens: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.multiple < 1 or self.tokens < 1:
            raise ValueError(f"multiple and tokens must be at least 1, not {self.multiple} and {self.tokens}")
        if self.size is not None and (len(self.size) != 2 or any(n < 1 or n % self.multiple for n in self.size)):
            raise ValueError(f"size must be a height and a width, multiples of {self.multiple}, not {self.size!r}")

    def canvases(self, sizes: np.ndarray) -> np.ndarray:
        """The one canvas of all pages, [K, 2] int64 height and width in px, from sizes [K, 2]."""
        sizes = np.asarray(sizes, np.int64)
        largest = sizes.max(0, initial=1) if self.size is None else np.asarray(self.size, np.int64)
        return np.broadcast_to(-(-largest // self.multiple) * self.multiple, sizes.shape)

    def fits(self, sizes: np.ndarray) -> np.ndarray:
        """Which pages a model takes, [K] bool, from sizes [K, 2]."""
        sizes = -(-np.asarray(sizes, np.int64) // self.multiple) * self.multiple
        found: np.ndarray = sizes.prod(1) <= self.max_pixels
        return found if self.size is None else found & (sizes <= self.size).all(1)

    def count_tokens(self, sizes: np.ndarray) -> np.ndarray:
        """How many tokens the pages are, [K] int64, from sizes [K, 2]."""
        return np.full(len(sizes), self.tokens, np.int64)

    def grids(self, canvases: np.ndarray) -> np.ndarray:
        """One patch each, which is the whole canvas."""
        return np.ones((len(canvases), 3), np.int64)

    def shape(self, rows: int, canvases: np.ndarray) -> tuple[int, ...]:
        """[rows, 3, H, W]."""
        height, width = canvases[0].tolist() if len(canvases) else (1, 1)
        return rows, 3, height, width

    def cut(self, canvases: np.ndarray) -> tuple[tuple[int, int], int, int]:
        """One patch of all of the canvas."""
        height, width = canvases[0].tolist() if len(canvases) else (1, 1)
        return (height, width), 1, 1

    def inputs(self, pixel_values: Tensor, grids: Tensor) -> dict[str, Tensor]:
        """`pixel_values` [N, 3, H, W]."""
        return {"pixel_values": pixel_values}
