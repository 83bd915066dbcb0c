"""The generator: published vectors, and the same bits in Python, numpy, torch, numba and Triton."""

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from gpurender.kernels import random
from gpurender.kernels.cpu import random as cpu_random
from gpurender.kernels.triton import random as triton_random
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.integers(0, 2**32 - 1)
ELEMENTS = np.concatenate([np.arange(100), 2 ** np.arange(32, 62), [2**63 - 1]]).astype(np.int64)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        # Known answers of Random123, the authors' own library: kat_vectors, "philox4x32 10".
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter, key, expected):
    assert random.philox(*counter, *key) == expected


@given(st.tuples(*[WORDS] * 6))
def test_all_hosts_agree(words):
    expected = random.philox(*words)
    assert tuple(int(x[0]) for x in random.philox(*(np.array([w], np.int64) for w in words))) == expected
    assert tuple(int(x) for x in random.philox(*(torch.tensor([w]) for w in words))) == expected
    assert cpu_random.philox(*words) == expected


@triton.jit
def _fill(out, elements, k0, k1, N: tl.constexpr):  # noqa: N803
    i = tl.arange(0, N)
    element = tl.load(elements + i)
    tl.store(out + i, triton_random.uniform(tl.load(k0), tl.load(k1), element))


def test_uniform_is_the_same_everywhere():
    k0, k1 = key = random.key(7, 1, "gsm8k-00012", 0, "wave")
    expected = np.array([random.uniform(key, int(e)) for e in ELEMENTS])
    assert ((expected >= 0) & (expected < 1)).all()
    np.testing.assert_array_equal(random.uniform(key, ELEMENTS), expected)
    np.testing.assert_array_equal(random.uniform(key, torch.from_numpy(ELEMENTS)).numpy(), expected)
    np.testing.assert_array_equal([cpu_random.uniform(k0, k1, e) for e in ELEMENTS], expected)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    elements = torch.from_numpy(np.resize(ELEMENTS, 128)).to(device)
    out = torch.empty(128, device=device)
    words = [torch.tensor([k], dtype=torch.int64, device=device).to(torch.uint32) for k in key]
    _fill[(1,)](out, elements, *words, N=128)
    np.testing.assert_array_equal(out.cpu().numpy(), np.resize(expected, 128).astype(np.float32))


def test_key_depends_on_every_part():
    base = (0, 0, "a", 0, "rotate")
    others = [(1, 0, "a", 0, "rotate"), (0, 1, "a", 0, "rotate"), (0, 0, "b", 0, "rotate")]
    others += [(0, 0, "a", 1, "rotate"), (0, 0, "a", 0, "blur"), (0, 0, "\ud800", 0, "rotate")]
    assert len({random.key(*place) for place in [base, *others]}) == 7
    assert random.key(*base) == random.key(*base)


def test_uniform_looks_uniform():
    """Seed 0 is as good as any other: mean, spread and the correlation of neighbours, over records and elements."""
    for seed in (0, 1, 12345):
        across = np.array([random.uniform(random.key(seed, 0, f"r{i}", 0, "rewrite"), 0) for i in range(4000)])
        along = random.uniform(random.key(seed, 0, "r", 0, "noise"), np.arange(4000))
        for values in (across, along):
            assert abs(values.mean() - 0.5) < 0.02
            assert abs(values.var() - 1 / 12) < 0.006
            assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.06
