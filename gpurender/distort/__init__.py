"""Pages become as a camera or a scanner would have them: rotated, blurred, shadowed, stained, waved.

    from gpurender import distort

    op = distort.presets.lomo()
    params = op.make_params(keys, pages.sizes, seed=0, epoch=0)  # numbers and sizes, before there are pixels
    pages = op.transform(pages, params)

An operation also takes a dense tensor: `distort.Rotate(5)(x)`.
"""

from gpurender.distort import presets
from gpurender.distort.op import Clean, Compose, OneOf, Op
from gpurender.distort.ops import (
    PAPER_COLORS,
    BoxBlur,
    EdgeShadow,
    GaussianBlur,
    MotionBlur,
    Rotate,
    Stain,
    Wave,
)
from gpurender.distort.params import Params
from gpurender.distort.transform import transform

__all__ = [
    "PAPER_COLORS",
    "BoxBlur",
    "Clean",
    "Compose",
    "EdgeShadow",
    "GaussianBlur",
    "MotionBlur",
    "OneOf",
    "Op",
    "Params",
    "Rotate",
    "Stain",
    "Wave",
    "presets",
    "transform",
]
