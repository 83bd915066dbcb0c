"""The renderer: a Layout becomes Pages."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from gpurender.kernels import Backend, Canvas, Glyphs, Pictures, Rules, choose_backend, composite
from gpurender.kernels.arrays import copy_to
from gpurender.kernels.plan import unpack_colors
from gpurender.raster.atlas import Atlas
from gpurender.raster.pages import Pages, page_offsets
from gpurender.raster.scene import Scene
from gpurender.typeset.layout import FontKey, Layout

if TYPE_CHECKING:
    from gpurender.raster.pages import Buffer

__all__ = ["Renderer"]

NO_BYTES, NO_OFFSETS = np.empty(0, np.uint8), np.empty(0, np.int64)
SPARES = 3  # buffers kept for use again: a loop holds the last batch while the next is made


@njit(cache=True, nogil=True)
def _luma(rgb, gray):
    """PIL's ITU-R 601-2 luma in 16-bit fixed point: [K, 3] to [K, 1]."""
    flat, any_ = rgb.reshape(-1), np.uint8(0)
    for i in range(len(flat)):
        any_ |= flat[i]
    if any_ == 0:
        # Ink is mostly black, and this loop one that compilers make fast.
        gray[:] = 0
        return
    for i in range(len(rgb)):
        red, green, blue = np.uint32(rgb[i, 0]), np.uint32(rgb[i, 1]), np.uint32(rgb[i, 2])
        gray[i, 0] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16


@njit(cache=True, nogil=True)
def _split(glyphs, slots, channels):
    """Places [G, 2], slots [G] and colors [G, C] of a scene's glyphs [G, 4], from the slots [U] of its bitmaps."""
    count = len(glyphs)
    xy, numbers, colors = (
        np.empty((count, 2), np.int32),
        np.empty(count, np.int32),
        np.empty((count, channels), np.uint8),
    )
    for g in range(count):
        xy[g, 0], xy[g, 1] = glyphs[g, 0], glyphs[g, 1]
        numbers[g] = slots[np.uint32(glyphs[g, 2])]
        color = np.uint32(glyphs[g, 3])
        if channels == 1:
            colors[g, 0] = color >> np.uint32(24)
        else:
            for c in range(channels):
                colors[g, c] = color >> np.uint32(8 * c)
    return xy, numbers, colors


class Renderer:
    """Paints layouts from a glyph atlas that grows as glyphs are first seen.

    Args:
        device: Where the pages are wanted: `"cpu"`, `"cuda"`, `"cuda:1"`.
        backend: `"auto"`, `"reference"` (PyTorch), `"cpu"` (numba) or `"triton"`; a named one never falls back.
        channels: 1 for gray (RGB by Rec. 601 luma, as in PIL), 3 for RGB.
        atlas: One to share or one that is frozen; a new one by default.

    Attributes:
        backend: The backend in use, `"auto"` resolved.

    Raises:
        ValueError: No such backend, or it cannot work on that device.
    """

    def __init__(
        self,
        *,
        device: str = "cpu",
        backend: Backend = "auto",
        channels: int = 1,
        atlas: Atlas | None = None,
    ) -> None:
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {channels!r}")
        self.device = str(device)
        self.backend: Any = choose_backend(backend, self.device)
        self.channels = channels
        if self.device.startswith("cuda"):
            import torch

            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if (torch.device(self.device).index or 0) >= count:
                told = f"{count or 'no'} CUDA GPU{'s' * (count > 1)}"
                raise ValueError(f"device {self.device!r} is not there: torch finds {told}")
        self.atlas = atlas if atlas is not None else Atlas(device=self.device)
        if self.atlas.device != self.device:
            raise ValueError(f"the atlas is on {self.atlas.device!r}, the renderer on {self.device!r}")
        self._spares: list[np.ndarray] = []

    def __call__(self, layout: Layout) -> Pages:
        """Render each page of a layout at its own size.

        Returns:
            Pages on the renderer's device. They own their memory: on the CPU it is used again once nothing refers to
            it, since fresh memory costs page faults.
        """
        out, *scene = self._scene(layout)
        composite(out, *scene, backend=self.backend)
        return Pages(out, layout.sizes, self.channels, offsets=scene[0].starts, paper=scene[0].backgrounds)

    def paint(self, scene: Scene, sizes: np.ndarray, fonts: tuple[FontKey, ...]) -> Pages:
        """Render pages whose glyphs were placed elsewhere, such as in a DataLoader's worker.

        Args:
            scene: The items of N pages.
            sizes: [N, 2] int32: height and width in px.
            fonts: The fonts that `scene.bitmaps` refers to.

        Returns:
            Pages as of a call.

        Raises:
            FrozenAtlasError: The atlas is frozen and a glyph is missing.
            ValueError: A font file cannot be read any more, or has no such glyph.
        """
        xy, slots, colors = _split(scene.glyphs, self.atlas.resolve(fonts, scene.bitmaps), self.channels)
        offsets, paper = page_offsets(sizes, self.channels), unpack_colors(scene.backgrounds, self.channels)
        out = self._buffer(int(offsets[-1]))
        composite(
            out,
            Canvas(sizes, offsets, paper),
            Glyphs(xy, slots, colors, scene.glyph_starts),
            self.atlas.bitmaps(),
            Rules(scene.rules, unpack_colors(scene.rule_colors, self.channels), scene.rule_starts),
            Pictures(scene.pictures, *self._planes(scene), scene.picture_starts),
            backend=self.backend,
        )
        return Pages(out, sizes, self.channels, offsets=offsets, paper=paper)

    def _planes(self, scene: Scene) -> tuple[Any, np.ndarray]:
        """Planes of pictures as `composite` takes them, and each picture's first byte."""
        if self.channels == 3:
            return self._there(scene.pixels), scene.planes[:, 1].copy()
        # Gray and alpha, which have the colors between them.
        areas = scene.pictures[:, 2:].astype(np.int64).prod(1)
        parts = [NO_BYTES]
        for area, plane in zip(areas.tolist(), scene.planes.tolist(), strict=True):
            parts += [scene.pixels[plane[0] :][:area], scene.pixels[plane[2] :][:area]]
        return self._there(np.concatenate(parts)), 2 * (np.cumsum(areas) - areas)

    def _there(self, pixels: np.ndarray) -> Any:
        """Bytes on the renderer's device."""
        if self.device == "cpu":
            return pixels
        import torch

        return copy_to(torch.from_numpy(pixels), self.device)

    def _scene(self, layout: Layout) -> tuple[Any, ...]:
        """What `kernels.composite` takes: the buffer to paint in, and the plan."""
        xy, slots = self.atlas.place(layout)
        canvas = Canvas(layout.sizes, page_offsets(layout.sizes, self.channels), self._convert(layout.colors[:, 1]))
        glyphs = Glyphs(xy, slots, self._convert(layout.glyph_colors), layout.glyph_offsets)
        rules = Rules(layout.rules, self._convert(layout.rule_colors), layout.rule_offsets)
        return (
            self._buffer(int(canvas.starts[-1])),
            canvas,
            glyphs,
            self.atlas.bitmaps(),
            rules,
            self._pictures(layout),
        )

    def _convert(self, rgb: np.ndarray) -> np.ndarray:
        """Colours [K, 3] to [K, channels]."""
        if self.channels == 3:
            return np.ascontiguousarray(rgb)
        gray = np.empty((len(rgb), 1), np.uint8)
        _luma(np.ascontiguousarray(rgb), gray)
        return gray

    def _pictures(self, layout: Layout) -> Pictures:
        """Pictures from interleaved RGBA to planes, alpha last."""
        if not len(layout.pictures):
            return Pictures(layout.pictures, NO_BYTES, NO_OFFSETS, layout.picture_offsets)
        areas = layout.pictures[:, 2:].astype(np.int64).prod(1)
        starts = np.concatenate([[0], np.cumsum(areas)])
        colors = self._convert(layout.picture_pixels[:, :3])
        planes = [np.empty(0, np.uint8)]
        for start, stop in itertools.pairwise(starts.tolist()):
            planes += [colors[start:stop].T.ravel(), layout.picture_pixels[start:stop, 3]]
        pixels = self._there(np.concatenate(planes))
        return Pictures(layout.pictures, pixels, starts[:-1] * (self.channels + 1), layout.picture_offsets)

    def _buffer(self, size: int) -> Buffer:
        if self.device != "cpu":
            import torch

            return torch.empty(size, dtype=torch.uint8, device=self.device)
        for i in range(len(self._spares)):
            # Two references, the list's and the argument's: no page looks into it any more.
            if sys.getrefcount(self._spares[i]) == 2 and len(self._spares[i]) >= size:
                return self._spares[i]
        self._spares = [*self._spares[1 - SPARES :], np.empty(size + size // 4, np.uint8)]
        return self._spares[-1]
