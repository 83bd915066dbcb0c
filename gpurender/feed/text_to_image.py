"""Text to image, one at a time: a plain transform for any dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpurender.distort import Op
from gpurender.raster import Renderer
from gpurender.typeset import Typesetter

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TextToImage"]


class TextToImage:
    """Renders a text: `Dataset(transform=TextToImage())`. On the CPU, picklable; for many texts at once see `Renderer`.

    The same text gives the same image, in any order and process; another seed or epoch distorts it otherwise.

    Args:
        typesetter: What sets it; a `Typesetter()` by default.
        distort: What is done to it, such as `distort.presets.lomo()`; nothing by default.
        channels: 3 for RGB, 1 for gray.
        seed: Any integer.
        epoch: May be changed at any time.

    Raises:
        TypeError, ValueError: An argument is not as above.
    """

    def __init__(
        self,
        typesetter: Typesetter | None = None,
        *,
        distort: Op | None = None,
        channels: int = 3,
        seed: int = 0,
        epoch: int = 0,
    ) -> None:
        if distort is not None and not isinstance(distort, Op):
            raise TypeError(f"distort must be an operation of gpurender.distort, or None, not {distort!r}")
        self.typesetter = typesetter if typesetter is not None else Typesetter()
        self.distort = distort
        self.seed = seed
        self.epoch = epoch
        self._renderer = Renderer(channels=channels)

    def __reduce__(self) -> tuple[object, ...]:
        arguments = self.typesetter, self.distort, self._renderer.channels, self.seed, self.epoch
        return _rebuild, arguments

    def __call__(self, text: str) -> Tensor:
        """The image of a text, [C, H, W] uint8, at its native size.

        Raises:
            TypeError: It is no string.
            ValueError: It has no ink, or would have more than the typesetter's `max_pixels`.
            MissingGlyphError: The typesetter has `on_missing="error"`, and a character has no glyph.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, not {type(text).__name__}")
        layout = self.typesetter(text)
        for diagnostic in layout.diagnostics:
            if diagnostic.kind in ("blank", "oversize"):
                shown = text if len(text) <= 40 else text[:40] + ".."
                raise ValueError(f"{shown!r} cannot be shown: {diagnostic.message}")
        pages = self._renderer(layout)
        if self.distort is not None:
            limit = self.typesetter.max_pixels
            params = self.distort.make_params([text], layout.sizes, seed=self.seed, epoch=self.epoch, max_pixels=limit)
            pages = self.distort.transform(pages, params)
        # Its own memory: the renderer's is used again.
        return pages[0].clone()


def _rebuild(typesetter: Typesetter, distort: Op | None, channels: int, seed: int, epoch: int) -> TextToImage:
    return TextToImage(typesetter, distort=distort, channels=channels, seed=seed, epoch=epoch)
