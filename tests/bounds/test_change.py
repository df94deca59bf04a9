"""The change of outputs on a box: by hand, never below what a search finds, never looser."""

import copy
import math

import pytest
import torch
import torchvision
from bounded import Function, excess, pairs
from hypothesis import HealthCheck, given, settings
from networks import linear_net, network, random_network, randomised
from torch import nn

import splinelib as sl
from splinelib.bounds import METHODS, change_bound, found_change

SQUARE = -torch.ones(1, 2), torch.ones(1, 2)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(pairs())
def test_no_search_finds_a_larger_change(pair):
    """`python tests/bounded.py 10000` looks at more."""
    assert max(excess(*pair, methods=METHODS[:1]).values()) < 1e-12


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(pairs())
def test_each_method_holds_and_is_never_looser_than_the_next(pair):
    assert max(excess(*pair).values()) < 1e-12


def test_one_unit_removed_by_hand():
    """relu(x) + relu(y - 1/2) on the square: without the second unit the change is -relu(y - 1/2).

    It lies between -1/2 and 0, and linear bounds of one unit are exact at the ends.
    """
    first = network([([[1.0, 0.0], [0.0, 1.0]], [0.0, -0.5]), ([[1.0, 1.0]], [0.0])])
    second = network([([[1.0, 0.0], [0.0, 0.0]], [0.0, 0.0]), ([[1.0, 0.0]], [0.0])])
    bound = change_bound(first, second, SQUARE)
    assert bound.low.item() == pytest.approx(-0.5) and bound.high.item() == pytest.approx(0)
    # the rivals do not see that relu(x) is in both
    interval = change_bound(first, second, SQUARE, method="interval")
    assert (interval.low.item(), interval.high.item()) == pytest.approx((-1.5, 1))
    crown = change_bound(first, second, SQUARE, method="crown")
    # relu(x) <= (x + 1) / 2 above, relu(x) >= 0 below; relu(y - 1/2) <= (y + 1) / 4, >= 0
    assert (crown.low.item(), crown.high.item()) == pytest.approx((-1.5, 1))


def test_a_layer_is_moved_by_hand():
    """Through a shared layer: relu(2 d) with d = 0.1 x, of units that are on all over the box."""
    first = network([([[1.0, 0.0]], [3.0]), ([[2.0]], [0.0]), ([[1.0]], [0.0])])
    second = network([([[1.1, 0.0]], [3.0]), ([[2.0]], [0.0]), ([[1.0]], [0.0])])
    bound = change_bound(first, second, SQUARE)
    assert (bound.low.item(), bound.high.item()) == pytest.approx((-0.2, 0.2))
    assert all(u.on.all() for u in (*bound.units_before, *bound.units_after))


@pytest.mark.parametrize(
    "function",
    [
        lambda h: torch.rsub(h, 0.5, alpha=2),
        lambda h: torch.rsub(h, h.flip(1), alpha=-3),
        lambda h: torch.sub(0.5, h, alpha=2),
        lambda h: torch.add(h, h.flip(1), alpha=-3),
        lambda h: torch.diff(h, n=2, append=h[:, :2]),
        lambda h: h.amax(1, keepdim=True) - h,
        lambda h: torch.stack([h[:, i] for i in range(6)], 1) - h.amax(1)[:, None],  # numbers
    ],
)
def test_factors_of_sums_and_differences_count(function):
    first, second = random_network([6], seed=1).double(), random_network([6], seed=2).double()
    for model in (first, second):
        model.insert(1, Function(function))
    units = change_bound(first, second, SQUARE).units_before
    x = torch.rand(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    seen = function(first[0](x)).detach()
    read = next(u for u in units if u.kind == "relu")
    assert (read.low <= seen).all() and (seen <= read.high).all()
    for method in METHODS:
        bound = change_bound(first, second, SQUARE, method=method)
        change = (second(x) - first(x)).detach()
        found = found_change(first, second, SQUARE)
        assert (bound.low <= change).all() and (change <= bound.high).all()
        assert (bound.low <= found.low).all() and (found.high <= bound.high).all()


def test_one_output_needs_no_dimension():
    first, second = random_network([6], seed=1), random_network([6], seed=2)
    flat = [nn.Sequential(model, nn.Flatten(0)) for model in (first, second)]
    squeezed = [nn.Sequential(model, Function(lambda y: y.squeeze(1))) for model in (first, second)]
    for method in METHODS:
        expected = change_bound(first, second, SQUARE, method=method)
        for pair in (flat, squeezed):
            bound = change_bound(*pair, SQUARE, method=method)
            assert bound.low == pytest.approx(expected.low)
            assert bound.high == pytest.approx(expected.high)


def test_of_linear_networks_it_is_the_exact_change():
    first, second = linear_net([[1.0, 2.0]])[:1], linear_net([[1.0, -0.5]])[:1]
    exact = sl.difference(first, second).largest
    assert change_bound(first, second, SQUARE).largest == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_on_a_plane_it_is_never_below_the_exact_change(seed):
    first = random_network([8, 8], seed).double()
    second = copy.deepcopy(first)
    second[2].weight.data[:, seed] = 0
    exact = sl.difference(first, second).largest
    bound = change_bound(first, second, SQUARE).largest
    assert exact * (1 - 1e-9) <= bound
    small = torch.tensor([[0.31, 0.2]], dtype=torch.float64)
    near = change_bound(first, second, (small - 1e-4, small + 1e-4)).largest
    exact = sl.difference(first, second, ((0.3099, 0.3101), (0.1999, 0.2001))).largest
    assert exact * (1 - 1e-9) <= near <= 1.01 * exact + 1e-9


def test_nothing_is_what_changes_between_a_network_and_itself():
    model = random_network([8, 8], outputs=3)
    bound = change_bound(model, copy.deepcopy(model), SQUARE)
    assert bound.largest == 0.0
    assert change_bound(model, model, SQUARE, method="crown").largest > 0


@pytest.mark.parametrize("kind", [nn.ReLU, lambda: nn.LeakyReLU(0.1), lambda: Function(torch.abs)])
def test_twins_that_were_merged_change_nothing(kind):
    """In both layers a unit computes twice what another does; the outgoing weights are merged."""
    first = random_network([6, 6], activation=kind).double()
    for layer in (first[0], first[2]):
        layer.weight.data[1], layer.bias.data[1] = 2 * layer.weight.data[0], 2 * layer.bias.data[0]
    second = copy.deepcopy(first)
    for at in (0, 2):
        second[at].weight.data[1], second[at].bias.data[1] = 0, 0
        second[at + 2].weight.data[:, 0] += 2 * second[at + 2].weight.data[:, 1]
        second[at + 2].weight.data[:, 1] = 0
    assert sl.difference(first, second).largest < 1e-12
    assert change_bound(first, second, SQUARE).largest < 1e-11
    assert change_bound(first, second, SQUARE, method="crown").largest > 0.1


def test_resnet18_of_torchvision():
    """Sound and finite; of so deep a network nothing closer is proven than intervals allow."""
    torch.manual_seed(0)
    first = randomised(torchvision.models.resnet18(num_classes=3)).eval()
    masks = sl.select(sl.score(first, "magnitude", example=torch.zeros(1, 3, 32, 32)), 0.05)
    second = sl.apply_masks(first, masks)
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    box = x - 1e-3, x + 1e-3
    bound = change_bound(first, second, box, units=0)
    interval = change_bound(first, second, box, method="interval")
    found = found_change(first, second, box, points=4)
    assert (bound.low <= found.low).all() and (found.high <= bound.high).all()
    assert math.isfinite(bound.largest) and bound.largest <= interval.largest
    # which chapter 13 says in words
    assert bound.largest > 1e6 * max(-found.low.min(), found.high.max())


def test_margins_are_combinations_of_outputs():
    first, second = random_network([8], 0, outputs=3), random_network([8], 0, outputs=3)
    second[2].weight.data[:, 2] = 0
    margins = torch.tensor([[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]])
    bound = change_bound(first, second, SQUARE, combinations=margins)
    whole = nn.Sequential(*first, nn.Linear(3, 2, bias=False))
    other = nn.Sequential(*second, nn.Linear(3, 2, bias=False))
    whole[-1].weight.data, other[-1].weight.data = margins, margins
    expected = change_bound(whole, other, SQUARE)
    torch.testing.assert_close(bound.low, expected.low)
    torch.testing.assert_close(bound.before.high, expected.before.high)


def test_boxes_are_bounded_one_by_one(monkeypatch):
    monkeypatch.setattr("splinelib.bounds.change._BLOCK", 1)
    first, second = random_network([5], 0, outputs=2), random_network([5], 1, outputs=2)
    low = torch.tensor([[-1.0, 0.0], [0.0, 0.5], [0.2, 0.2]])
    one = change_bound(first, second, (low, low + 0.3))
    monkeypatch.undo()
    both = change_bound(first, second, (low, low + 0.3))
    torch.testing.assert_close(one.low, both.low)
    torch.testing.assert_close(one.units_after[0].low, both.units_after[0].low)
    alone = change_bound(first, second, (low[1], low[1] + 0.3))  # one dimension is one box
    torch.testing.assert_close(alone.high[0], both.high[1])


def test_what_cannot_be_bounded_is_refused():
    model = random_network([4])
    with pytest.raises(ValueError, match="method should be one of"):
        change_bound(model, model, SQUARE, method="magic")
    with pytest.raises(ValueError, match=r"not of one layout: .* 'linear'"):
        change_bound(model, nn.Sequential(nn.Flatten(), *model), SQUARE)
    with pytest.raises(ValueError, match="calls"):
        change_bound(model, model[:1], SQUARE)
    with pytest.raises(ValueError, match="outputs are of shapes"):
        change_bound(model, random_network([4], outputs=2), SQUARE)
    with pytest.raises(sl.NotPiecewiseAffine, match="gelu"):
        smooth = random_network([4], activation=nn.GELU)
        change_bound(smooth, smooth, SQUARE)
    with pytest.raises(ValueError, match="combinations should be"):
        change_bound(model, model, SQUARE, combinations=torch.ones(2, 3))
    with pytest.raises(ValueError, match="overflow"):
        model[0].weight.data[:] = 3e38
        change_bound(model, model, (-1e300 * torch.ones(1, 2).double(), SQUARE[1]))


def test_networks_of_other_widths_are_bounded_as_far_as_they_agree():
    """Cut, not masked: hidden values have other shapes, and only the outputs are compared."""
    first = random_network([8, 8])
    masks = sl.select(sl.score(first, "magnitude", example=torch.zeros(1, 2)), 0.5, "layerwise")
    small = sl.shrink(first, masks)
    bound = change_bound(first, small, SQUARE)
    found = found_change(first, small, SQUARE)
    assert (bound.low <= found.low).all() and (found.high <= bound.high).all()
