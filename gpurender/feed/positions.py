"""Positions of tokens in a row that several records share."""

from __future__ import annotations

import numpy as np

__all__ = ["rotary_positions"]


def rotary_positions(is_image: np.ndarray, grids: np.ndarray, merge: int) -> np.ndarray:
    """Where a record's tokens stand in time, height and width (M-RoPE, Wang et al., "Qwen2-VL", 2024, section 2.1).

    Text counts on in all three. An image's tokens have the time of its first one, and its rows and columns count from
    there; the text behind it goes on above the largest.

    Args:
        is_image: [L] bool: the tokens of images.
        grids: [n, 3] int: `image_grid_thw` of its stills, in order.
        merge: A token is `merge` x `merge` patches.

    Returns:
        [3, L] int64.
    """
    found = np.empty((3, len(is_image)), np.int64)
    at = position = 0
    for _, down, across in (grids // [1, merge, merge]).tolist():
        first = at + int(is_image[at:].argmax())
        found[:, at:first] = position + np.arange(first - at)
        position += first - at
        at = first + down * across
        found[0, first:at] = position
        found[1, first:at] = position + np.repeat(np.arange(down), across)
        found[2, first:at] = position + np.tile(np.arange(across), down)
        position += max(down, across)
    found[:, at:] = position + np.arange(len(is_image) - at)
    return found
