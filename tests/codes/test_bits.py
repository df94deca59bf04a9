"""Counting bits that differ."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splinelib.codes import bits


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 400), st.integers(0, 9))
def test_counting_bits(rows, width, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((rows, width)) < 0.5, rng.random((rows, width)) < 0.5
    one, two = bits.pack_array(a), bits.pack_array(b)
    assert np.array_equal(bits.unpack_array(one, (width,)), a)
    assert bits.differing(one, two) == (a != b).sum()
    assert np.array_equal(bits.differing_pairs(one), (a[:, None] != a[None]).sum(-1))


def test_counting_goes_on_over_blocks(monkeypatch):
    monkeypatch.setattr(bits, "_AT_ONCE", 64)
    rng = np.random.default_rng(0)
    a, b = rng.random((9, 1000)) < 0.5, rng.random((9, 1000)) < 0.5
    one, two = bits.pack_array(a), bits.pack_array(b)
    assert bits.differing(one, two) == (a != b).sum()
    assert np.array_equal(bits.differing_pairs(one), (a[:, None] != a[None]).sum(-1))


@pytest.mark.parametrize("units", [1, 63, 64, 65, 128, 130])
def test_bits_behind_those_of_the_units_are_seen(units):
    packed = bits.pack_array(np.ones((3, units), bool))
    rest = bits.padded(packed, (units,))
    assert rest.shape == (3, -units % 64) and not rest.any()
    if units % 64:
        packed[1, -1] |= np.uint64(1 << 63)
        assert bits.padded(packed, (units,)).sum() == 1
