"""Bit masks and signs."""

import numpy as np
import pytest

from splinelib.geometry.signs import Signs, find_bits, has_bit, one_hot, pack_bits, reduce_or


@pytest.mark.parametrize("units", [0, 1, 63, 64, 65, 200])
def test_bits_that_are_packed_are_found_again(units):
    flags = np.random.default_rng(0).random((7, units)) < 0.3
    words = pack_bits(flags)
    assert words.shape == (7, -(-units // 64))
    row, bit = find_bits(words)
    assert (np.stack([row, bit]) == np.nonzero(flags)).all()
    rows, units_ = np.indices(flags.shape)
    assert (has_bit(words, rows, units_) == flags).all()


def test_single_bits_and_their_union():
    bits = np.array([0, 63, 64, 130])
    masks = one_hot(bits, 3)
    assert find_bits(masks)[1].tolist() == bits.tolist()
    for words in (masks, masks[:, :1].copy()):
        union = reduce_or(words, np.array([0, 1, 4]))
        assert (union == [words[0], words[1] | words[2] | words[3]]).all()


def test_signs_are_zero_within_the_tolerance_and_opposite_where_they_differ():
    values = np.array([[1.0, -1.0, 0.1], [-1.0, -1.0, 1.0]])
    signs = Signs.of(values, np.array([0.5, 0.5, 0.5]))
    assert signs.pos.ravel().tolist() == [0b001, 0b100]
    assert signs.neg.ravel().tolist() == [0b010, 0b011]
    assert signs.opposite(np.array([0]), np.array([1])).ravel().tolist() == [0b001]
    signs.append(signs.neg[:1], signs.pos[:1])
    assert signs.opposite(np.array([0]), np.array([2])).ravel().tolist() == [0b011]
