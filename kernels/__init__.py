"""Device side: operations on arrays alone. Each checks its arguments once, and chooses a backend.

`backend="auto"` takes `"triton"` on a CUDA device, `"cpu"` (numba) on the CPU and `"reference"` elsewhere; a backend
named explicitly never falls back. :func:`choose_backend` tells the choice.

What decides sizes and places (the *plan*) lies on the CPU; pixels (`out`, the atlas' coverage, pictures) lie on the
device that works. Any array may be given as a numpy array or as a torch tensor.
"""

from gpurender.kernels.backends import BACKENDS, Backend, choose_backend, default_device
from gpurender.kernels.images import Blurs, Images, Shades, Warps, blur, shade, warp
from gpurender.kernels.patches import Patches, patchify
from gpurender.kernels.scene import Bitmaps, Canvas, Glyphs, Pictures, Rules, composite

__all__ = [
    "BACKENDS",
    "Backend",
    "Bitmaps",
    "Blurs",
    "Canvas",
    "Glyphs",
    "Images",
    "Patches",
    "Pictures",
    "Rules",
    "Shades",
    "Warps",
    "blur",
    "choose_backend",
    "composite",
    "default_device",
    "patchify",
    "shade",
    "warp",
]
