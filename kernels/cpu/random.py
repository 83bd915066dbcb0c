"""The generator of `kernels/random.py` for use inside numba code."""

from gpurender.kernels import random
from numba import njit

philox = njit(random.philox)


@njit(inline="always")
def bits(k0, k1, element):
    """32 random bits for one element (int64 in, int64 out), equal to `gpurender.kernels.random.bits`."""
    return philox(element & 0xFFFFFFFF, element >> 32, 0, 0, k0, k1)[0]


@njit(inline="always")
def uniform(k0, k1, element):
    """A float64 in [0, 1), equal to `gpurender.kernels.random.uniform`."""
    return (bits(k0, k1, element) >> 8) * 2.0**-24
