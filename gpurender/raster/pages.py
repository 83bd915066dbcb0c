"""Pages: a ragged batch of images at native sizes in one flat buffer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    Buffer = np.ndarray | Tensor

__all__ = ["Pages"]


class Pages:
    """N images `[C, height, width]`, uint8, one after another in one buffer on one device, unpadded.

    `pages[i]` is a torch tensor that shares the buffer. On the CPU the buffer is a numpy array, and torch is imported
    only when a tensor is asked for.

    Attributes:
        sizes: [N, 2] int32 numpy array, height and width in px; always on the CPU.
        offsets: [N + 1] int64 numpy array, each page's first byte.
        channels: 1 (gray), 3 (RGB), or as many as somebody made them of.
        flat: [offsets[-1]] uint8: the buffer, a numpy array on the CPU, elsewhere a tensor.
        paper: [N, channels] uint8 numpy array, the colour of each page's paper.
        device: Where the pixels are.
    """

    def __init__(
        self,
        buffer: Buffer,
        sizes: np.ndarray,
        channels: int,
        *,
        offsets: np.ndarray | None = None,
        paper: np.ndarray | None = None,
    ) -> None:
        self.sizes = np.asarray(sizes, np.int32)
        self.channels = channels
        self.offsets = page_offsets(sizes, channels) if offsets is None else offsets
        self.paper = np.full((len(sizes), channels), 255, np.uint8) if paper is None else paper
        if self.paper.shape != (len(sizes), channels):
            raise ValueError(f"paper must be [{len(sizes)}, {channels}], not {list(self.paper.shape)}")
        if len(buffer) < self.offsets[-1]:
            raise ValueError(f"buffer has {len(buffer)} bytes; pages of these sizes need {self.offsets[-1]}")
        self.flat = buffer[: self.offsets[-1]]

    @property
    def device(self) -> str:
        """Where the pixels are: `"cpu"`, `"cuda:0"`."""
        return "cpu" if isinstance(self.flat, np.ndarray) else str(self.flat.device)

    @property
    def buffer(self) -> Tensor:
        """`flat` as a tensor."""
        if isinstance(self.flat, np.ndarray):
            import torch

            return torch.from_numpy(self.flat)
        return self.flat

    def __len__(self) -> int:
        """The number of pages."""
        return len(self.sizes)

    def __repr__(self) -> str:
        return f"Pages({len(self)} pages, {self.channels} channels, {self.offsets[-1]} bytes on {self.device})"

    def __getitem__(self, i: int) -> Tensor:
        """Page i as a view, [C, height, width] uint8."""
        i = self._index(i)
        height, width = self.sizes[i].tolist()
        return self.buffer[self.offsets[i] : self.offsets[i + 1]].view(self.channels, height, width)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def to_numpy(self) -> list[np.ndarray]:
        """The pages as arrays [C, height, width] uint8 on the CPU; views where they lie there already."""
        flat = self.flat if isinstance(self.flat, np.ndarray) else self.flat.cpu().numpy()
        return [
            flat[start:stop].reshape(self.channels, *size)
            for start, stop, size in zip(self.offsets[:-1], self.offsets[1:], self.sizes.tolist(), strict=True)
        ]

    def to_padded(self, *, fill: int = 255) -> Tensor:
        """A dense tensor [N, C, tallest, widest] uint8, each page at its top left, the rest `fill`."""
        import torch

        tallest, widest = self.sizes.max(0).tolist() if len(self) else (0, 0)
        padded = torch.full((len(self), self.channels, tallest, widest), fill, dtype=torch.uint8, device=self.device)
        for target, page in zip(padded, self, strict=True):
            target[:, : page.shape[1], : page.shape[2]] = page
        return padded

    def to_pil(self) -> list[Image]:
        """The pages as PIL images of mode `"L"` or `"RGB"`, copied."""
        from PIL import Image

        return [
            Image.fromarray(page[0].copy() if self.channels == 1 else np.ascontiguousarray(page.transpose(1, 2, 0)))
            for page in self.to_numpy()
        ]

    def _index(self, i: int) -> int:
        if not -len(self) <= i < len(self):
            raise IndexError(f"page {i} of {len(self)}")
        return i % len(self)


@njit(cache=True, nogil=True)
def page_offsets(sizes, channels):
    """Each page's first byte [N + 1] int64, from sizes [N, 2]."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    for n in range(len(sizes)):
        offsets[n + 1] = offsets[n] + np.int64(sizes[n, 0]) * np.int64(sizes[n, 1]) * channels
    return offsets
