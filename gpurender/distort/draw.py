"""Numbers for the images of a batch, from the counter-based generator, the same whatever else is in the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
from numba import njit

from gpurender.distort.checks import whole
from gpurender.kernels import random
from gpurender.kernels.cpu.random import bits

__all__ = ["Draw"]


@njit(cache=True)
def _bits(keys, images, element):
    drawn = np.empty(len(images), np.int64)
    for k in range(len(images)):
        drawn[k] = bits(keys[images[k], 0], keys[images[k], 1], element)
    return drawn


def _place(key: Any) -> tuple[str | int, int]:
    """A record's id, and the number of the image in it."""
    record, image = key if isinstance(key, tuple) and len(key) == 2 else (key, 0)
    try:
        return record if isinstance(record, str) else index(record), index(image)
    except TypeError:
        raise TypeError(f"keys must be str, int, or such an id and an int, not {key!r}") from None


class Draw:
    """Draws one number after another for images that each have a key; every draw is another element of the generator.

    Args:
        keys: As of `Op.make_params`.
        seed: Any integer.
        epoch: The pass over the data.
    """

    def __init__(self, keys: Sequence[Any], seed: int, epoch: int) -> None:
        seed, epoch = whole("seed", seed), whole("epoch", epoch)
        found = [random.key(seed, epoch, *_place(key), "distort") for key in keys]
        self._keys = np.array(found, np.int64).reshape(-1, 2)
        self._element = 0

    def _bits(self, images: np.ndarray) -> np.ndarray:
        """32 bits for each of `images`, [K] int64."""
        self._element += 1
        drawn: np.ndarray = _bits(self._keys, images, self._element)
        return drawn

    def uniform(self, images: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
        """Numbers from a range [min, max), float64; min where both are the same."""
        low, high = bounds
        return low + (high - low) * ((self._bits(images) >> 8) * 2.0**-24)

    def odd(self, images: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
        """Odd integers from a range, both ends in it, float64."""
        low, high = math.ceil((bounds[0] - 1) / 2), math.floor((bounds[1] - 1) / 2)
        drawn: np.ndarray = 2 * np.floor(self.uniform(images, (low, high + 1))) + 1
        return drawn

    def key(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A key for each image, for a generator of its own."""
        return self._bits(images), self._bits(images)
