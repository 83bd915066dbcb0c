"""A Layout becomes Pages: the atlas, the renderer, the images."""

from gpurender.raster.atlas import Atlas, FrozenAtlasError
from gpurender.raster.pages import Pages
from gpurender.raster.png import encode_png
from gpurender.raster.renderer import Renderer

__all__ = ["Atlas", "FrozenAtlasError", "Pages", "Renderer", "encode_png"]
