"""Greedy removal: what is brought up to date is what a fresh start would give."""

import pytest
import torch

from splinelib.scores import downdate
from splinelib.scores.downdate import Downdate


@pytest.mark.parametrize("waiting", [1, 6, 64])
@pytest.mark.parametrize("width", [1, 3])
def test_what_is_left_is_what_a_fresh_start_without_the_others_gives(width, waiting, monkeypatch):
    """Gram matrices of the units that are left, and weights fitted to stand in for the others."""
    monkeypatch.setattr(downdate, "_WAITING", waiting)
    generator = torch.Generator().manual_seed(0)
    units = 9
    columns = units * width
    root = torch.randn(columns, 2 * columns, generator=generator, dtype=torch.float64)
    weight = torch.randn(5, columns, generator=generator, dtype=torch.float64)
    gram = root @ root.T
    state = Downdate(gram, weight.T @ weight, 2.0, units, 0.0)
    left = torch.ones(units, dtype=torch.bool)
    for unit in (4, 0, 8, 7, 2):
        state.remove(unit)
        left[unit] = False
        stays = left.repeat_interleave(width)
        fitted = weight @ gram[:, stays] @ torch.linalg.inv(gram[stays][:, stays])
        fresh = Downdate(gram[stays][:, stays], fitted.T @ fitted, 2.0, int(left.sum()), 0.0)
        found = state.residuals()
        assert found.shape == (units,)
        torch.testing.assert_close(found[left], fresh.residuals())


def test_a_reader_of_no_energy_loses_nothing():
    zeros = torch.zeros(4, 4, dtype=torch.float64)
    state = Downdate(torch.eye(4, dtype=torch.float64), zeros, 0.0, 4, 1e-2)
    assert not state.residuals().any()
