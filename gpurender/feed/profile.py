"""What a profile is: a model family's wants of an image, and pages as it takes them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from gpurender.kernels import Backend, Images, Patches, patchify
from gpurender.kernels.arrays import copy_to
from gpurender.kernels.plan import Pitched, Plan
from gpurender.kernels.plan.patchify import lay_patchify
from gpurender.raster import Pages
from gpurender.raster.pages import page_offsets

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Dtype", "Profile"]

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class Profile(ABC):
    """What a model family takes for an image. Numbers alone: it pickles.

    A page stands at the top left of its canvas, and paper of its colour fills the rest: nothing is ever scaled.

    Attributes:
        mean, std: Of each colour, in shares of full light.
        dtype: Of `pixel_values`.
        image_token: Stands in the text once for each token of an image.
        max_pixels: The largest canvas.
        merge: An image token is `merge` x `merge` patches.
        axes: Of the model's rotary positions: 3 (time, height, width) or 1. With 3 it wants `mm_token_type_ids` too.
        packs: Whether records may share a row: no layer sees more of it than `position_ids` let it.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    dtype: Dtype
    image_token: str
    max_pixels: int
    merge: int
    axes: int
    packs: bool = True

    def __post_init__(self) -> None:
        if self.dtype not in get_args(Dtype):
            raise ValueError(f"dtype must be one of {', '.join(get_args(Dtype))}, not {self.dtype!r}")
        for name, low in (("mean", -math.inf), ("std", 0.0)):
            value = getattr(self, name)
            if len(value) != 3 or not all(low < v < math.inf for v in value):
                raise ValueError(f"{name} must be three finite numbers, and std positive, not {value!r}")

    @abstractmethod
    def canvases(self, sizes: np.ndarray) -> np.ndarray:
        """Each page's canvas, [K, 2] int64 height and width in px, from sizes [K, 2]."""

    @abstractmethod
    def fits(self, sizes: np.ndarray) -> np.ndarray:
        """Which pages a model takes as one image, [K] bool, from sizes [K, 2]."""

    @abstractmethod
    def count_tokens(self, sizes: np.ndarray) -> np.ndarray:
        """How many tokens the pages are, [K] int64, from sizes [K, 2]."""

    @abstractmethod
    def grids(self, canvases: np.ndarray) -> np.ndarray:
        """`image_grid_thw` [K, 3] int64: frames, and patches down and across; their product is an image's rows."""

    @abstractmethod
    def shape(self, rows: int, canvases: np.ndarray) -> tuple[int, ...]:
        """The shape of `pixel_values` of so many rows."""

    @abstractmethod
    def cut(self, canvases: np.ndarray) -> tuple[tuple[int, int], int, int]:
        """How `kernels.patchify` cuts them: a patch's height and width in px, `merge`, and how often it is repeated."""

    @abstractmethod
    def inputs(self, pixel_values: Tensor, grids: Tensor) -> dict[str, Tensor]:
        """What `forward` takes, from its rows and `image_grid_thw`."""

    def new(self, rows: int, canvases: np.ndarray, device: str) -> Tensor:
        """`pixel_values` that are not yet written."""
        import torch

        return torch.empty(self.shape(rows, canvases), dtype=getattr(torch, self.dtype), device=device)

    def write(self, out: Tensor, starts: np.ndarray, pages: Pages, canvases: np.ndarray, backend: Backend) -> None:
        """Write pages into `pixel_values`, each from its row of `starts` [K] on."""
        source = Images(pages.sizes, pages.offsets[:-1], pages.channels)
        levels = _levels(self.mean, self.std)
        plan = Patches(canvases.astype(np.int32), starts, pages.paper, levels, *self.cut(canvases))
        patchify(out.flatten(1), pages.buffer, source, plan, backend=backend)

    def lay(self, plan: Plan, images: Pitched, first_rows: np.ndarray, paper: np.ndarray) -> None:
        """Add the launch that writes images into `pixel_values` to a device plan.

        Args:
            plan: The plan to add to.
            images: K images in the pool.
            first_rows: [K] int64: each image's first row.
            paper: [K, 4] int32: the color around each image, as `gpurender.kernels.plan.spread_colors` has it.
        """
        canvases = self.canvases(images.sizes)
        bits = 32 if self.dtype == "float32" else 16
        words = _level_words(self.mean, self.std, self.dtype)
        cut = self.cut_numbers(canvases)
        plan.add(lay_patchify(images, canvases.astype(np.int32), first_rows, paper, words, bits, *cut))

    def cut_numbers(self, canvases: np.ndarray) -> tuple[int, int, int, int]:
        """Return :meth:`cut` as four numbers: a patch's height and width in px, `merge`, and `temporal`."""
        (height, width), merge, temporal = self.cut(canvases)
        return height, width, merge, temporal

    def patchify(self, pages: Pages, *, backend: Backend = "auto") -> dict[str, Tensor]:
        """Pages as the model takes them, on the device that they are on; the same as of :meth:`canvas`.

        Returns:
            `pixel_values` of `dtype`, and what else the family's processor gives with them.

        Raises:
            ValueError: A page is too large for the model, or the backend cannot work there.
        """
        import torch

        canvases = self._checked(pages)
        grids = self.grids(canvases)
        rows = grids.prod(1)
        out = self.new(int(rows.sum()), canvases, pages.device)
        self.write(out, np.cumsum(rows) - rows, pages, canvases, backend)
        return self.inputs(out, copy_to(torch.from_numpy(grids), pages.device))

    def canvas(self, pages: Pages) -> Pages:
        """The pages on their canvases, as the model sees them; ValueError if one is too large for it."""
        import torch

        canvases = self._checked(pages)
        offsets = page_offsets(canvases, pages.channels)
        buffer = torch.empty(int(offsets[-1]), dtype=torch.uint8, device=pages.device)
        flat = buffer.numpy() if pages.device == "cpu" else buffer
        done = Pages(flat, canvases, pages.channels, offsets=offsets, paper=pages.paper)
        for page, target, paper in zip(pages, done, torch.from_numpy(pages.paper), strict=True):
            target.copy_(paper[:, None, None].expand_as(target))
            target[:, : page.shape[1], : page.shape[2]] = page
        return done

    def _checked(self, pages: Pages) -> np.ndarray:
        """The pages' canvases; ValueError for a page that does not fit."""
        wrong = np.flatnonzero(~self.fits(pages.sizes))
        if len(wrong):
            height, width = pages.sizes[wrong[0]].tolist()
            raise ValueError(
                f"page {wrong[0]} is {height} x {width} px, too large for {self!r}: set it narrower or smaller, or "
                "split its text"
            )
        return self.canvases(pages.sizes)


@cache
def _levels(mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """What each byte becomes in each colour, [3, 256] float32: `(byte / 255 - mean) / std`."""
    levels: np.ndarray = (np.arange(256) / 255 - np.reshape(mean, (3, 1))) / np.reshape(std, (3, 1))
    return levels.astype(np.float32)


@cache
def _level_words(mean: tuple[float, ...], std: tuple[float, ...], dtype: Dtype) -> np.ndarray:
    """The bits of :func:`_levels` in a dtype, [768 or 384] int32."""
    import torch

    words: np.ndarray = torch.from_numpy(_levels(mean, std)).to(getattr(torch, dtype)).ravel().view(torch.int32).numpy()
    return words
