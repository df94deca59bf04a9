"""What a search finds is there, and on a plane it comes close to the exact change."""

import pytest
import torch
from networks import random_network
from torch import nn

import splinelib as sl
from splinelib.bounds import found_change

SQUARE = -torch.ones(1, 2), torch.ones(1, 2)


def test_it_comes_close_to_the_exact_change_from_below():
    first, second = random_network([8], 0), random_network([8], 1)
    exact = sl.difference(first, second).largest
    found = found_change(first, second, SQUARE)
    largest = torch.maximum(-found.low, found.high).max().item()
    assert 0.95 * exact < largest <= exact * (1 + 1e-9)
    assert found_change(first, first, SQUARE).high.item() == 0


def test_combinations_of_outputs():
    first, second = random_network([8], 0, outputs=2), random_network([8], 1, outputs=2)
    found = found_change(first, second, SQUARE, combinations=torch.tensor([[1.0, -1.0]]))
    assert found.low.shape == (1, 1) and found.low < found.high


def test_one_output_needs_no_dimension():
    first, second = random_network([8], 0), random_network([8], 1)
    flat = [nn.Sequential(model, nn.Flatten(0)) for model in (first, second)]
    found, expected = found_change(*flat, SQUARE), found_change(first, second, SQUARE)
    assert found.high.tolist() == expected.high.tolist()


def test_all_points_lie_in_the_box():
    """-0.1 + (0.3 + 0.1) is more than 0.3 in float64."""
    seen = []

    class Watched(nn.Linear):
        def forward(self, x):
            seen.append(x.detach().clone())
            return super().forward(x)

    low, high = torch.full((1, 4), -0.1).double(), torch.full((1, 4), 0.3).double()
    found_change(nn.Linear(4, 2), Watched(4, 2), (low, high))
    points = torch.cat(seen)
    assert (points >= low).all() and (points <= high).all() and (points == high).any()


def test_what_cannot_be_compared_is_refused():
    one, three = nn.Linear(2, 1), nn.Linear(2, 3)
    with pytest.raises(ValueError, match="1 and 3 outputs"):
        found_change(one, three, SQUARE)
    for wrong in (torch.ones(1, 2), torch.ones(2, 1, 1), torch.tensor([[torch.nan]])):
        with pytest.raises(ValueError, match="combinations should be"):
            found_change(one, one, SQUARE, combinations=wrong)
    with pytest.raises(ValueError, match="at least 4"):
        found_change(one, one, SQUARE, points=0)


def test_what_is_no_box():
    net = random_network([2])
    with pytest.raises(ValueError, match="above"):
        found_change(net, net, SQUARE[::-1])
