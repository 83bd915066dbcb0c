"""Images that records bring along: opened, and made patches of by the family's own processor, in the worker."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from gpurender.feed.patched import Patched
from gpurender.feed.profile import Profile
from gpurender.lomo.records import RecordError

__all__ = ["OwnImages"]


class OwnImages:
    """Opens records' images, and runs an image processor of `transformers` on them.

    Args:
        profile: What the model takes.
        folder: Where paths start from.
        processor: An image processor; by default transformers' for the Qwen2-VL family, with the profile's numbers.
    """

    def __init__(self, profile: Profile, folder: Path, processor: Any = None) -> None:
        self._profile = profile
        self._folder = folder
        self._processor = processor

    def open(self, source: Any) -> Any:
        """An image as a PIL image, RGB.

        Args:
            source: A path, bytes of a file, a PIL image, or a dict with `bytes` or `path`, as in `datasets`.

        Raises:
            RecordError: It cannot be opened, or the profile takes no images but rendered ones.
        """
        from PIL import Image

        if not isinstance(self._profile, Patched):
            raise RecordError("it holds images of its own, which profile 'dense' does not take")
        if isinstance(source, dict):
            source = source.get("bytes") or source.get("path") or source.get("url")
        if isinstance(source, str) and source.startswith("file://"):
            source = source.removeprefix("file://")
        if isinstance(source, (str, Path)):
            source = self._folder / source
        elif isinstance(source, (bytes, bytearray)):
            source = io.BytesIO(source)
        elif not isinstance(source, Image.Image):
            raise RecordError(f"an image must be a path, a file's bytes or a PIL image, not {type(source).__name__}")
        try:
            image = source if isinstance(source, Image.Image) else Image.open(source)
            return image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise RecordError(f"an image cannot be opened: {error}") from None

    def patches(self, images: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """`pixel_values` [R, D] float32 and `image_grid_thw` [n, 3] int64 of a record's images.

        Raises:
            RecordError: The processor refuses one, or makes something else of it.
        """
        try:
            found = self._loaded()(images=images, return_tensors="np")
            rows, grids = np.asarray(found["pixel_values"], np.float32), np.asarray(found["image_grid_thw"], np.int64)
        except (ValueError, TypeError, KeyError) as error:
            raise RecordError(f"the image processor refuses an image: {error}") from None
        _, width = self._profile.shape(0, grids)
        if rows.shape != (grids.prod(1).sum(), width):
            raise ValueError(
                f"image_processor makes rows of {rows.shape[-1]} numbers, where the profile has {width}: "
                "they are not of one model family"
            )
        return rows, grids

    def _loaded(self) -> Any:
        if self._processor is None:
            try:
                from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
            except ImportError:
                raise ImportError(
                    "records that bring images need transformers 5 (pip install transformers), or image_processor="
                ) from None
            p: Any = self._profile
            self._processor = Qwen2VLImageProcessorPil(
                size={"shortest_edge": p.min_pixels, "longest_edge": p.max_pixels},
                image_mean=list(p.mean),
                image_std=list(p.std),
                patch_size=p.patch,
                temporal_patch_size=p.temporal,
                merge_size=p.merge,
            )
        return self._processor
