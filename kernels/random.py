"""Counter-based random numbers: the same bits in Python, numpy, torch, numba and Triton.

A random number is a pure function of *where it is used*: (seed, epoch, record id, image index in the record,
operation, element). No state is carried, so the same record gives the same pixels in any batch, any worker, any
order, and after any resume. :func:`key` hashes all but the element into a 64-bit key on the host; :func:`bits` runs
Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011) on the element.

Everything here is plain integer arithmetic on `int` or int64 arrays, so one source serves Python, numpy and torch;
`kernels/cpu/random.py` compiles it with numba, `kernels/triton/random.py` uses Triton's own Philox.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

__all__ = ["bits", "key", "philox", "uniform"]

Key = tuple[int, int]

MASK = 0xFFFFFFFF


def key(seed: int, epoch: int, record: str | int, image: int, operation: str) -> Key:
    """Hash a place of use into a Philox key: two integers in [0, 2**32).

    Args:
        seed: Any integer. 0 is as good as any other.
        epoch: The pass over the data, from 0.
        record: The record's id.
        image: The index of the image in its record; 0 for decisions about the record itself.
        operation: What the numbers are for, such as `"rewrite"`.
    """
    place = "\0".join((str(seed), str(epoch), str(record), str(image), operation))
    # A lone surrogate is legal in a JSON string, and so in an id.
    digest = blake2b(place.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """Philox4x32-10: four 32-bit words from a counter of four and a key of two.

    Arguments are `int`, or int64 arrays (numpy, torch) that broadcast, holding values in [0, 2**32); so are the
    results. A product of two such values wraps in int64, which leaves its low and high 32 bits right.
    """
    for _ in range(10):
        p0 = c0 * 0xD2511F53
        p1 = c2 * 0xCD9E8D57
        c0, c1, c2, c3 = ((p1 >> 32) & MASK) ^ c1 ^ k0, p1 & MASK, ((p0 >> 32) & MASK) ^ c3 ^ k1, p0 & MASK
        k0 = (k0 + 0x9E3779B9) & MASK
        k1 = (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def bits(key: tuple[Any, Any], element: Any) -> Any:
    """32 random bits for each element: `int`, or an int64 array of the shape of `element` (values in [0, 2**63))."""
    return philox(element & MASK, element >> 32, element & 0, element & 0, key[0], key[1])[0]


def uniform(key: tuple[Any, Any], element: Any) -> Any:
    """A number in [0, 1) for each element, a multiple of 2**-24, so exact in float32 as in float64."""
    return (bits(key, element) >> 8) * 2.0**-24
