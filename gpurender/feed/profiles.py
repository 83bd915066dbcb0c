"""Profiles: what a model family takes for an image, in numbers; canvases, counts of tokens and patches follow.

profile = profiles.qwen2_5_vl(max_pixels=1280 * 28 * 28)
profile.count_tokens(pages.sizes)  # known before there is a pixel
profile.patchify(pages)  # {"pixel_values", "image_grid_thw"}, as the family's own processor gives them
"""

from __future__ import annotations

from dataclasses import replace

from gpurender.feed.dense import Dense
from gpurender.feed.patched import Patched
from gpurender.feed.profile import Dtype, Profile

__all__ = ["Dense", "Patched", "Profile", "dense", "llava_ov15", "qwen2_5_vl", "qwen3_5", "qwen3_vl"]

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
IMAGE_PAD = "<|image_pad|>"


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
        axes=3,
    )


def qwen3_vl(*, min_pixels: int = 256 * 256, max_pixels: int = 4096 * 4096, dtype: Dtype = "float32") -> Patched:
    """Qwen3-VL: patches of 16 px, canvases in multiples of 32."""
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
        axes=3,
    )


def qwen3_5(*, min_pixels: int = 256 * 256, max_pixels: int = 4096 * 4096, dtype: Dtype = "float32") -> Patched:
    """Qwen3.5: images as Qwen3-VL's. Records cannot share a row: its linear attention sees all of one."""
    return replace(qwen3_vl(min_pixels=min_pixels, max_pixels=max_pixels, dtype=dtype), packs=False)


def llava_ov15(*, min_pixels: int = 56 * 56, max_pixels: int = 1800 * 1800, dtype: Dtype = "float32") -> Patched:
    """LLaVA-OneVision-1.5: patches of 14 px and one frame, canvases in multiples of 28."""
    return replace(qwen2_5_vl(min_pixels=min_pixels, max_pixels=max_pixels, dtype=dtype), temporal=1, axes=1)


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
        max_pixels: Of a page; a larger one is split. A batch's canvas holds its tallest page and its widest.
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
        merge=1,
        axes=1,
        multiple=multiple,
        tokens=tokens,
    )
