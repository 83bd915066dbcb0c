"""Ragged images for the tests of the operations on them."""

import numpy as np
import pytest
import torch

from gpurender import kernels

POISON = 171
GUARD = 80


class Ragged:
    """Images apart from one another in a flat buffer, with guard bytes before, between and behind them."""

    def __init__(self, images, gap=GUARD):
        self.arrays = [np.asarray(image, np.uint8) for image in images]
        self.shapes = [array.shape for array in self.arrays]
        ends = np.cumsum([array.size + gap for array in self.arrays])
        starts = np.array([end - array.size for end, array in zip(ends, self.arrays, strict=True)], np.int64)
        sizes = np.array([shape[1:] for shape in self.shapes], np.int32)
        self.images = kernels.Images(sizes, starts, self.shapes[0][0])
        self.pixels = np.full(int(ends[-1]) + gap, POISON, np.uint8)
        for start, array in zip(starts, self.arrays, strict=True):
            self.pixels[start : start + array.size] = array.ravel()

    @classmethod
    def empty(cls, sizes, channels=1, gap=GUARD):
        """Places for images, with other bytes than any guard's in them: one that nobody writes must show."""
        return cls([np.full((channels, *size), 85, np.uint8) for size in sizes], gap)

    @classmethod
    def noise(cls, sizes, channels=1, seed=0, gap=GUARD):
        rng = np.random.default_rng(seed)
        return cls([rng.integers(0, 256, (channels, *size), dtype=np.uint8) for size in sizes], gap)


def run(operation, target, source, parameters, backend):
    """The images that an operation writes where `target` says, after a look at every other byte."""
    device = "cuda" if backend == "triton" and torch.cuda.is_available() else "cpu"
    out = torch.from_numpy(target.pixels.copy()).to(device)
    pixels = torch.from_numpy(source.pixels.copy()).to(device)
    operation(out, target.images, pixels, source.images, parameters, backend=backend)
    assert (pixels.cpu().numpy() == source.pixels).all()
    out = out.cpu().numpy()
    others = np.ones(len(out), bool)
    results = []
    for start, shape in zip(target.images.starts, target.shapes, strict=True):
        own = slice(start, start + int(np.prod(shape)))
        others[own] = False
        results.append(out[own].reshape(shape))
    assert (out[others] == POISON).all()
    return results


def compare(operation, target, source, parameters, backend, share=0.01):
    """Check a backend against the reference: never more than a level apart, and that in few pixels."""
    ours = run(operation, target, source, parameters, backend)
    reference = run(operation, target, source, parameters, "reference")
    apart = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in zip(ours, reference, strict=True)])
    assert apart.max() <= 1
    assert (apart > 0).sum() <= share * len(apart)


@pytest.fixture(scope="session")
def ragged():
    return Ragged


@pytest.fixture(scope="session", name="run")
def run_fixture():
    return run


@pytest.fixture(scope="session", name="compare")
def compare_fixture():
    return compare
