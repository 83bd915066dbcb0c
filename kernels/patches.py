"""TEMPORARY stand-in."""

from typing import Any, NamedTuple
import numpy as np


class Patches(NamedTuple):
    canvases: Any
    starts: Any
    paper: Any
    levels: Any
    patch: tuple[int, int]
    merge: int
    temporal: int


def patchify(out, pixels, source, patches, *, backend="auto"):
    import torch

    levels = torch.from_numpy(patches.levels).to(out.dtype)
    ph, pw = patches.patch
    m = patches.merge
    for k, (H, W) in enumerate(patches.canvases.tolist()):
        h, w = source.sizes[k].tolist()
        C = source.channels
        page = pixels[source.starts[k] : source.starts[k] + C * h * w].view(C, h, w)
        canvas = torch.from_numpy(patches.paper[k])[:, None, None].repeat(1, H, W)
        canvas[:, :h, :w] = page
        canvas = canvas.expand(3, H, W).long()
        v = torch.stack([levels[c][canvas[c]] for c in range(3)])
        gh, gw = H // ph, W // pw
        v = v.reshape(3, gh // m, m, ph, gw // m, m, pw).permute(1, 4, 2, 5, 0, 3, 6)
        v = v[:, :, :, :, :, None].expand(-1, -1, -1, -1, -1, patches.temporal, -1, -1).reshape(gh * gw, -1)
        s = int(patches.starts[k])
        out[s : s + gh * gw] = v
    return out
