"""Units that cut the surroundings of an input, by sampling."""

import pytest
import torch
from networks import alive, small
from torch import nn

from splinelib.codes import cutting_units


def test_by_hand_a_layer_is_counted_within_the_hull():
    """In two dimensions with two directions the hull is a square, its corners at the radius."""
    layer = nn.Linear(2, 40)
    angle = torch.linspace(0, 2 * torch.pi, 41)[:40]
    layer.weight.data[:] = torch.stack([angle.cos(), angle.sin()], 1)
    for distance, count in ((0.7, 40), (1.01, 0)):  # half the diagonal is 1, half a side 0.707
        layer.bias.data[:] = -distance
        found = cutting_units(nn.Sequential(layer, nn.ReLU()), torch.zeros(1, 2), 1.0, 2, seed=3)
        assert found["0"].tolist() == [count]


def test_more_units_cut_larger_surroundings_and_seeds_repeat():
    model, x = alive(small()), torch.randn(4, 1, 8, 8)
    found = [cutting_units(model, x, radius, seed=1) for radius in (0.1, 1.0, 1.0)]
    assert all((found[0][name] <= found[1][name]).all() for name in found[0])
    assert all(torch.equal(found[1][name], found[2][name]) for name in found[0])
    assert found[1]["3"].max() <= 5 * 16  # of a window one, however many bits its winner has


def test_bad_requests_say_what_is_wanted():
    model, x = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), torch.zeros(1, 2)
    with pytest.raises(ValueError, match="positive number"):
        cutting_units(model, x, 0.0, 1)
    with pytest.raises(ValueError, match="between 1 and 2 directions"):
        cutting_units(model, x, 1.0, 3)
