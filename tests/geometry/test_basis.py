"""Combinations of basis functions."""

import numpy as np
import torch

from splinelib.geometry.basis import Basis, Combination


def test_the_difference_of_values_over_different_functions():
    one = Combination(np.array([0, 3]), torch.tensor([[1.0], [2], [3]]), torch.tensor([[6.0]]))
    two = Combination(np.array([1, 3]), torch.tensor([[1.0], [5], [1]]), torch.tensor([[7.0]]))
    less = one.minus(two)
    assert less.functions.tolist() == [0, 1, 3]
    assert less.flat_rows().ravel().tolist() == [0, 2, -5, 2]
    assert less.flat_size().tolist() == [13]
    wide = Combination(np.arange(0), torch.zeros(1, 2, 3), torch.ones(1, 1, 1))
    assert wide.flat_rows().shape == (1, 6) and wide.flat_size().tolist() == [1] * 6


def test_a_basis_grows_and_forgets_and_never_uses_a_number_twice():
    basis = Basis()
    bent = np.maximum(basis.values[:, :1], 0) * -3
    assert basis.grow(np.hstack([basis.values, bent])).tolist() == [2]
    assert basis.largest.tolist() == [1, 1, 3]
    rows = np.array([[1.0], [2.0], [1.0]])  # 1 + 2 x + bent
    assert basis.evaluate(np.array([0, 2]), rows).ravel().tolist() == [-1, 0, 0, -1]
    assert basis.bound(np.array([0, 2]), rows).tolist() == [6]
    basis.keep([np.array([1]), np.array([0])])
    assert basis.numbers.tolist() == [0, 1] and basis.largest.tolist() == [1, 1]
    assert basis.grow(np.hstack([basis.values, bent, bent])).tolist() == [3, 4]
    assert (basis.columns(np.array([1, 4])) == np.hstack([basis.values[:, 1:2], bent])).all()
