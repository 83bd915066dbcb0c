"""Text in, model-ready images out, on the device that trains.

    from gpurender import Collator, LoMo, PrefetchLoader, Renderer, Typesetter, distort, feed, localize

Names are imported when first used, so that `import gpurender` is instant and nothing loads torch before it must.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpurender import distort, feed
    from gpurender._version import __version__
    from gpurender.feed import Collator, PrefetchLoader, TextToImage
    from gpurender.lomo import Interleaved, LoMo, Segment, localize
    from gpurender.raster import Atlas, FrozenAtlasError, Pages, Renderer
    from gpurender.typeset import Diagnostic, Layout, MissingGlyphError, Typesetter

__all__ = [
    "Atlas",
    "Collator",
    "Diagnostic",
    "FrozenAtlasError",
    "Interleaved",
    "Layout",
    "LoMo",
    "MissingGlyphError",
    "Pages",
    "PrefetchLoader",
    "Renderer",
    "Segment",
    "TextToImage",
    "Typesetter",
    "__version__",
    "distort",
    "feed",
    "localize",
]

_HOMES = {
    "gpurender._version": ("__version__",),
    "gpurender.feed": ("Collator", "PrefetchLoader", "TextToImage"),
    "gpurender.lomo": ("Interleaved", "LoMo", "Segment", "localize"),
    "gpurender.raster": ("Atlas", "FrozenAtlasError", "Pages", "Renderer"),
    "gpurender.typeset": ("Diagnostic", "Layout", "MissingGlyphError", "Typesetter"),
}


def __getattr__(name: str) -> Any:
    if name in ("distort", "feed"):
        return import_module(f"gpurender.{name}")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
