"""The generator of `kernels/random.py` for use inside Triton kernels."""

import triton
import triton.language as tl


@triton.jit
def bits(k0, k1, element):
    """32 random bits for each element (uint32, the shape of `element`), equal to `gpurender.kernels.random.bits`."""
    element = element.to(tl.uint64)
    low = (element & 0xFFFFFFFF).to(tl.uint32)
    high = (element >> 32).to(tl.uint32)
    zero = low & 0
    seed = k0.to(tl.uint64) | (k1.to(tl.uint64) << 32)
    return tl.philox(seed, low, high, zero, zero)[0]


@triton.jit
def uniform(k0, k1, element):
    """A float32 in [0, 1) for each element, equal to `gpurender.kernels.random.uniform`."""
    return (bits(k0, k1, element) >> 8).to(tl.float32) * 5.9604644775390625e-08
