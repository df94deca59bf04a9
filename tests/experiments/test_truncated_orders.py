"""Orders along some directions: those of the criterion, and of no line at all."""

import pytest
import torch

import splinelib as sl
from splinelib.experiments.truncated_orders import (
    GOES,
    LOT,
    Order,
    along,
    hyperplanes_in,
    moments,
    removal,
)
from splinelib.pruning.scoring import context_for
from splinelib.randomness import generator_of


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return sl.models.mlp([20, 30, 30, 3], seed=0)


@pytest.fixture(scope="module")
def inputs():
    return torch.randn(60, 20, generator=torch.Generator().manual_seed(1)) + 0.5


@pytest.fixture(scope="module")
def context(net, inputs):
    return context_for(net, inputs, None, 0, None)


@pytest.mark.parametrize("components", [4, 16, 4096])
def test_the_leading_directions_are_those_of_the_criterion(context, components):
    group = next(iter(context.layout.groups.values()))
    given = hyperplanes_in(context, group, None)
    cost = removal(given, Order("identity", "leading", components, "weaker"), 0).cost
    expected = sl.criteria.spline(context, group, components=components)
    torch.testing.assert_close(cost, expected.double(), atol=1e-5, rtol=1e-4)


def test_by_lot_nothing_is_left_but_that_the_weaker_goes(context):
    group = next(iter(context.layout.groups.values()))
    given = hyperplanes_in(context, group, None)
    lot = Order(LOT, LOT, 0, "weaker")
    first = removal(given, lot, 0)
    turned = (given[0].flip(1), given[1] + 3, given[2])  # other lines, of the same norms
    assert torch.equal(removal(turned, lot, 0).order, first.order)
    assert not torch.equal(removal(given, lot, 1).order, first.order)
    place, length = torch.empty(30), given[2]
    place[first.order] = torch.arange(30.0)
    assert length[first.order[-1]] == length.max(), "the longest never is the weaker"
    either = removal(given, Order(LOT, LOT, 0, GOES[1]), 0)
    assert not torch.equal(either.order, first.order)


def test_directions_are_the_first_the_last_or_any():
    unit = torch.diag(torch.tensor([3.0, 2, 1])).double()
    generator = generator_of(0)
    assert along(unit, "leading", 1, generator).abs().flatten().tolist() == [3, 0, 0]
    assert along(unit, "trailing", 1, generator).abs().flatten().tolist() == [0, 0, 1]
    assert along(unit, "random", 2, generator).shape == (3, 2)
    assert along(unit, "random", 3, generator) is unit


def test_moments_of_data_are_those_of_what_units_compute(net, inputs, context):
    found = moments(net, inputs, "data")
    with torch.no_grad():
        hidden = net.linear1(inputs).relu()
        said = net.linear2(hidden).double()
    group = context.layout.groups["linear2"]
    unit, offset, length = hyperplanes_in(context, group, found["linear2"])
    size = said.square().mean(0).sqrt()
    cosines = said.T @ said / len(said) / size.outer(size)
    torch.testing.assert_close(unit @ unit.T, cosines, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(length.float(), net.linear2.weight.norm(dim=1).detach())
    assert not offset.any()


def test_other_moments(net, inputs):
    assert set(moments(net, inputs, "identity").values()) == {None}
    implied = moments(net, inputs, "implied")
    # Inputs are not looked at, and taken to be uncorrelated.
    torch.testing.assert_close(implied["linear1"], torch.eye(21).double())
    assert implied["linear2"].shape == (31, 31) and implied["linear2"][-1, -1] == 1
    images = sl.models.mlp([16, 8, 2], seed=0)
    pixels = moments(images, torch.randn(5, 1, 4, 4), "implied")["linear1"]
    torch.testing.assert_close(pixels, torch.eye(17).double())
