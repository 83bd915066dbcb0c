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

# Those that Pillow reads by itself: for others it runs programs on what a record holds.
FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")


class OwnImages:
    """Opens records' images, and runs an image processor of `transformers` on them.

    Args:
        profile: What the model takes.
        folder: Where paths start from.
        processor: An image processor; by default transformers' for the Qwen2-VL family, with the profile's numbers.

    Raises:
        ValueError: The processor has other patches, mean or std than the profile.
    """

    def __init__(self, profile: Profile, folder: Path, processor: Any = None) -> None:
        self._profile = profile
        self._folder = folder
        self._processor = processor
        if processor is not None:
            self._compare(profile, processor)

    def _compare(self, profile: Profile, processor: Any) -> None:
        if not isinstance(profile, Patched):
            raise ValueError("image_processor is for records' own images, which profile 'dense' does not take")
        wanted: dict[str, Any] = {
            "patch_size": profile.patch,
            "merge_size": profile.merge,
            "temporal_patch_size": profile.temporal,
            "image_mean": list(profile.mean),
            "image_std": list(profile.std),
        }
        for name, ours in wanted.items():
            theirs = getattr(processor, name, None)
            if not np.array_equal(theirs if theirs is not None else [], ours):
                raise ValueError(f"image_processor has {name}={theirs}, where the profile has {ours}")

    def open(self, source: Any) -> Any:
        """An image as a PIL image, RGB, upright.

        Args:
            source: A path, bytes of a file, a PIL image, or a dict with `bytes` or `path`, as in `datasets`.

        Raises:
            RecordError: It cannot be opened, or the profile takes no images but rendered ones.
        """
        from PIL import Image, ImageOps

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
        Image.init()
        formats = [name for name in FORMATS if name in Image.OPEN]
        try:
            image = source if isinstance(source, Image.Image) else Image.open(source, formats=formats)
            return ImageOps.exif_transpose(image).convert("RGB")
        except (MemoryError, ImportError):
            raise
        except Exception as error:  # of any decoder
            raise RecordError(f"an image cannot be opened: {error}") from None

    def patches(self, images: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Rows of `pixel_values` and `image_grid_thw` [n, 3] int64 of a record's images.

        Returns:
            A row holds a patch once, whatever the frames: the bytes of [3, patch, patch] in the profile's dtype.

        Raises:
            RecordError: The processor refuses one, or makes something else of it.
            ImportError: transformers is needed, and is not there.
        """
        import torch

        processor = self._loaded()
        profile: Any = self._profile
        try:
            found = processor(images=images, return_tensors="pt")
            values, grids = found["pixel_values"], np.asarray(found["image_grid_thw"], np.int64)
            frames = values.reshape(int(grids.prod(1).sum()), 3, -1, profile.patch**2)
        except (MemoryError, ImportError):
            raise
        except Exception as error:  # of any processor
            raise RecordError(f"the image processor refuses an image: {error}") from None
        rows = frames[:, :, 0].to(getattr(torch, profile.dtype)).contiguous().flatten(1)
        return rows.view(torch.uint8).numpy(), grids

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
