"""Profiles: what a model family takes for an image, in numbers; canvases, counts of tokens and patches follow.

profile = profiles.qwen2_5_vl(max_pixels=1280 * 28 * 28)
profile.count_tokens(pages.sizes)  # known before there is a pixel
profile.patchify(pages)  # {"pixel_values", "image_grid_thw"}, as the family's own processor gives them
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from gpurender.kernels import Backend, Images, Patches, patchify
from gpurender.raster import Pages
from gpurender.raster.pages import page_offsets

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Dense", "Dtype", "Patched", "Profile", "dense", "llava_ov15", "qwen2_5_vl", "qwen3_vl"]

Dtype = Literal["float32", "bfloat16", "float16"]

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
IMAGE_PAD = "<|image_pad|>"
# The longest side that a family's processor takes, in shorter sides.
MAX_ASPECT = 200


@dataclass(frozen=True, kw_only=True)
class _Pixels:
    """What all profiles know: how a byte becomes a number.

    Attributes:
        mean, std: Of each colour, in shares of full light.
        dtype: Of `pixel_values`.
        image_token: Stands in the text once for each token of an image.
        max_pixels: The largest canvas.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    dtype: Dtype
    image_token: str
    max_pixels: int

    def __post_init__(self) -> None:
        if self.dtype not in get_args(Dtype):
            raise ValueError(f"dtype must be one of {', '.join(get_args(Dtype))}, not {self.dtype!r}")
        for name in ("mean", "std"):
            value = getattr(self, name)
            if len(value) != 3 or not all(math.isfinite(v) and (name == "mean" or v > 0) for v in value):
                raise ValueError(f"{name} must be three finite numbers, and std positive, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Patched(_Pixels):
    """A family that takes images of any size, cut into patches: Qwen2-VL and its descendants.

    A page stands at the top left of its canvas, whose sides are multiples of `patch * merge`, and paper fills the rest:
    nothing is scaled, and the `smart_resize` of the family's processor is the identity.

    Attributes:
        patch: px, a patch's side.
        merge: A token is `merge` x `merge` patches.
        temporal: How many frames a patch is deep; a still is repeated.
        min_pixels, max_pixels: What canvases may have.
        type_ids: Whether the model wants `mm_token_type_ids`.
    """

    patch: int
    merge: int
    temporal: int
    min_pixels: int
    type_ids: bool

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
        long = np.where(long * short < self.min_pixels, np.maximum(long, up(math.isqrt(self.min_pixels - 1) + 1)), long)
        short = np.maximum(short, up(-(-self.min_pixels // np.maximum(long, 1))))
        short = np.maximum(short, up(-(-long // MAX_ASPECT)))
        tall = sizes[:, :1] > sizes[:, 1:]
        return np.where(tall, np.stack([long, short], 1), np.stack([short, long], 1))

    def fits(self, sizes: np.ndarray) -> np.ndarray:
        """Which pages a model takes as one image, [K] bool, from sizes [K, 2]."""
        found: np.ndarray = self.canvases(sizes).prod(1) <= self.max_pixels
        return found

    def grids(self, canvases: np.ndarray) -> np.ndarray:
        """`image_grid_thw` [K, 3] int64: frames, and patches down and across."""
        return np.concatenate([np.ones((len(canvases), 1), np.int64), canvases // self.patch], 1)

    def count_rows(self, canvases: np.ndarray) -> np.ndarray:
        """Each image's rows of `pixel_values`, [K] int64."""
        rows: np.ndarray = self.grids(canvases).prod(1)
        return rows

    def count_tokens(self, sizes: np.ndarray) -> np.ndarray:
        """How many tokens the pages are, [K] int64, from sizes [K, 2]."""
        return self.count_rows(self.canvases(sizes)) // self.merge**2

    def new_rows(self, rows: int, canvases: np.ndarray, device: str) -> Tensor:
        """`pixel_values` [rows, 3 * temporal * patch * patch], not yet written."""
        return _empty(self, (rows, 3 * self.temporal * self.patch**2), device)

    def write(self, out: Tensor, starts: np.ndarray, pages: Pages, canvases: np.ndarray, backend: Backend) -> None:
        """Write pages' patches into `pixel_values`, each from its row of `starts` [K] on."""
        plan = Patches(
            canvases.astype(np.int32),
            starts,
            pages.paper,
            _levels(self.mean, self.std),
            (self.patch, self.patch),
            self.merge,
            self.temporal,
        )
        patchify(out, pages.buffer, _images(pages), plan, backend=backend)

    def inputs(self, pixel_values: Tensor, grids: Tensor) -> dict[str, Tensor]:
        """What `forward` takes, from its rows and `image_grid_thw` [K, 3]."""
        return {"pixel_values": pixel_values, "image_grid_thw": grids}

    def canvas(self, pages: Pages) -> Pages:
        """The pages on their canvases, as the model sees them.

        Raises:
            ValueError: A page is too large for the family.
        """
        return _padded(pages, _checked(self, pages))

    def patchify(self, pages: Pages, *, backend: Backend = "auto") -> dict[str, Tensor]:
        """Patches of pages as the family's own processor would make them of :meth:`canvas`, on the pages' device.

        Returns:
            `pixel_values` [P, 3 * temporal * patch * patch] of `dtype`, and `image_grid_thw` [K, 3] int64.

        Raises:
            ValueError: A page is too large for the family, or the backend cannot work there.
        """
        return _patchify(self, pages, _checked(self, pages), backend)

    def unpatchify(self, pixel_values: Tensor, image_grid_thw: Tensor) -> Pages:
        """The images that `pixel_values` shows, RGB, on the CPU: to look at what a model gets."""
        grids = image_grid_thw.cpu().numpy()[:, 1:]
        values = pixel_values.detach().cpu().float().numpy()
        parts, first, m, p = [], 0, self.merge, self.patch
        for down, across in grids.tolist():
            rows = values[first : first + down * across]
            first += down * across
            blocks = rows.reshape(down // m, across // m, m, m, 3, self.temporal, p, p)[:, :, :, :, :, 0]
            parts.append(_bytes(self, blocks.transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, down * p, across * p)).ravel())
        return Pages(np.concatenate([np.empty(0, np.uint8), *parts]), grids * self.patch, 3)


@dataclass(frozen=True, kw_only=True)
class Dense(_Pixels):
    """A model that takes a padded, normalised batch [N, 3, H, W].

    A page stands at the top left of its canvas, on paper; canvases of a batch are equal.

    Attributes:
        size: Height and width of the canvas in px; None for the smallest that holds the batch.
        multiple: Of which sides are to be multiples, in px.
        tokens: How many tokens an image is, whatever its size.
    """

    size: tuple[int, int] | None
    multiple: int
    tokens: int

    type_ids = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.multiple < 1 or self.tokens < 1:
            raise ValueError(f"multiple and tokens must be at least 1, not {self.multiple} and {self.tokens}")
        if self.size is not None and (
            len(self.size) != 2 or min(self.size) < 1 or any(np.mod(self.size, self.multiple))
        ):
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

    def grids(self, canvases: np.ndarray) -> np.ndarray:
        """One patch, which is the whole canvas: [K, 3] int64 of ones."""
        return np.ones((len(canvases), 3), np.int64)

    def count_rows(self, canvases: np.ndarray) -> np.ndarray:
        """Each image's rows of `pixel_values`: one."""
        return np.ones(len(canvases), np.int64)

    def count_tokens(self, sizes: np.ndarray) -> np.ndarray:
        """How many tokens the pages are, [K] int64."""
        return np.full(len(sizes), self.tokens, np.int64)

    def new_rows(self, rows: int, canvases: np.ndarray, device: str) -> Tensor:
        """`pixel_values` [rows, 3, H, W], not yet written."""
        return _empty(self, (rows, 3, *canvases[0].tolist()), device)

    def write(self, out: Tensor, starts: np.ndarray, pages: Pages, canvases: np.ndarray, backend: Backend) -> None:
        """Write pages into `pixel_values`, each at its row of `starts` [K]."""
        sides = out.shape[2], out.shape[3]
        plan = Patches(canvases.astype(np.int32), starts, pages.paper, _levels(self.mean, self.std), sides, 1, 1)
        patchify(out.flatten(1), pages.buffer, _images(pages), plan, backend=backend)

    def inputs(self, pixel_values: Tensor, grids: Tensor) -> dict[str, Tensor]:
        """What `forward` takes."""
        return {"pixel_values": pixel_values}

    def canvas(self, pages: Pages) -> Pages:
        """The pages on their canvas, as the model sees them; ValueError if one is too large for it."""
        return _padded(pages, _checked(self, pages))

    def patchify(self, pages: Pages, *, backend: Backend = "auto") -> dict[str, Tensor]:
        """`{"pixel_values": [N, 3, H, W]}` of `dtype`, on the pages' device; ValueError if a page is too large."""
        return _patchify(self, pages, _checked(self, pages), backend)


Profile = Patched | Dense


def qwen2_5_vl(*, min_pixels: int = 56 * 56, max_pixels: int = 16384 * 28 * 28, dtype: Dtype = "float32") -> Patched:
    """Qwen2-VL and Qwen2.5-VL: patches of 14 px, canvases in multiples of 28."""
    return Patched(
        mean=CLIP_MEAN,
        std=CLIP_STD,
        dtype=dtype,
        image_token=IMAGE_PAD,
        max_pixels=max_pixels,
        patch=14,
        merge=2,
        temporal=2,
        min_pixels=min_pixels,
        type_ids=True,
    )


def qwen3_vl(*, min_pixels: int = 256 * 256, max_pixels: int = 4096 * 4096, dtype: Dtype = "float32") -> Patched:
    """Qwen3-VL and Qwen3.5: patches of 16 px, canvases in multiples of 32."""
    return Patched(
        mean=HALF,
        std=HALF,
        dtype=dtype,
        image_token=IMAGE_PAD,
        max_pixels=max_pixels,
        patch=16,
        merge=2,
        temporal=2,
        min_pixels=min_pixels,
        type_ids=True,
    )


def llava_ov15(*, min_pixels: int = 56 * 56, max_pixels: int = 1800 * 1800, dtype: Dtype = "float32") -> Patched:
    """LLaVA-OneVision-1.5: patches of 14 px and one frame, canvases in multiples of 28."""
    return Patched(
        mean=CLIP_MEAN,
        std=CLIP_STD,
        dtype=dtype,
        image_token=IMAGE_PAD,
        max_pixels=max_pixels,
        patch=14,
        merge=2,
        temporal=1,
        min_pixels=min_pixels,
        type_ids=False,
    )


def dense(
    *,
    size: tuple[int, int] | None = None,
    multiple: int = 1,
    tokens: int = 1,
    mean: tuple[float, float, float] = CLIP_MEAN,
    std: tuple[float, float, float] = CLIP_STD,
    max_pixels: int = 2**24,
    image_token: str = "<image>",
    dtype: Dtype = "float32",
) -> Dense:
    """Any model that takes `pixel_values` [N, 3, H, W].

    Args:
        size: Height and width of the canvas in px; by default as large as a batch needs.
        multiple: Of which sides are to be multiples, in px.
        tokens: How many tokens an image is in the text.
        mean, std: Of each colour, in shares of full light; CLIP's by default.
        max_pixels: The largest canvas; a larger page is split.
        image_token: Stands in the text once for each token of an image.
        dtype: Of `pixel_values`.

    Raises:
        ValueError: A number out of its range.
    """
    return Dense(
        mean=mean,
        std=std,
        dtype=dtype,
        image_token=image_token,
        max_pixels=max_pixels,
        size=size,
        multiple=multiple,
        tokens=tokens,
    )


@cache
def _levels(mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """What each byte becomes in each colour, [3, 256] float32: `(byte / 255 - mean) / std`."""
    shares = np.arange(256) / 255
    return ((shares - np.reshape(mean, (3, 1))) / np.reshape(std, (3, 1))).astype(np.float32)


def _bytes(profile: _Pixels, values: np.ndarray) -> np.ndarray:
    """Levels [3, ..] as bytes."""
    shape = (3,) + (1,) * (values.ndim - 1)
    shares = values * np.reshape(profile.std, shape) + np.reshape(profile.mean, shape)
    return (shares * 255 + 0.5).clip(0, 255).astype(np.uint8)


def _empty(profile: _Pixels, shape: Sequence[int], device: str) -> Tensor:
    import torch

    return torch.empty(tuple(shape), dtype=getattr(torch, profile.dtype), device=device)


def _images(pages: Pages) -> Images:
    return Images(pages.sizes, pages.offsets[:-1], pages.channels)


def _checked(profile: Profile, pages: Pages) -> np.ndarray:
    """The pages' canvases; ValueError for a page that does not fit."""
    wrong = np.flatnonzero(~profile.fits(pages.sizes))
    if len(wrong):
        height, width = pages.sizes[wrong[0]].tolist()
        raise ValueError(
            f"page {wrong[0]} is {height} x {width} px, too large for max_pixels={profile.max_pixels}: "
            "set it narrower or smaller, or split its text"
        )
    return profile.canvases(pages.sizes)


def _patchify(profile: Profile, pages: Pages, canvases: np.ndarray, backend: Backend) -> dict[str, Tensor]:
    import torch

    rows = profile.count_rows(canvases)
    out = profile.new_rows(int(rows.sum()), canvases, pages.device)
    profile.write(out, np.cumsum(rows) - rows, pages, canvases, backend)
    return profile.inputs(out, torch.from_numpy(profile.grids(canvases)).to(out.device))


def _padded(pages: Pages, canvases: np.ndarray) -> Pages:
    """Pages on larger canvases, at their top left, on paper of their own colour."""
    import torch

    offsets = page_offsets(canvases, pages.channels)
    buffer = torch.empty(int(offsets[-1]), dtype=torch.uint8, device=pages.device)
    done = Pages(
        buffer.numpy() if pages.device == "cpu" else buffer,
        canvases,
        pages.channels,
        offsets=offsets,
        paper=pages.paper,
    )
    for page, target, paper in zip(pages, done, torch.from_numpy(pages.paper), strict=True):
        target.copy_(paper[:, None, None].expand_as(target))
        target[:, : page.shape[1], : page.shape[2]] = page
    return done
