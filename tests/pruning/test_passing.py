"""Units that pass numbers on."""

import torch
from torch import nn

import splinelib as sl
from splinelib.bounds.box import Box
from splinelib.bounds.pair import FIRST
from splinelib.bounds.units import UNITS, bounded
from splinelib.pruning.decided import linear_pairs
from splinelib.pruning.passing import Passing

EPS = torch.finfo(torch.float64).eps


def passing_of(net, low, high):
    net = net.double()
    state = bounded(net, Box.checked((low.double(), high.double())), UNITS)
    pairs = linear_pairs(state, sl.find_groups(net, low.double()), net)
    parts = dict(net.named_modules())
    maps = {
        name: (parts[name].weight.detach(), parts[name].bias.detach())
        for pair in pairs
        for name in (pair.producer, pair.consumer)
    }
    reads = {p.producer: state.ranges[FIRST][p.read] for p in pairs}
    reads |= {p.consumer: state.ranges[FIRST][p.node.outputs[0]] for p in pairs}
    return pairs, Passing(pairs, maps, reads, EPS)


def two_layers(bias):
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        net[0].weight.normal_(generator=generator)
        net[0].bias[:] = bias
    return net


def test_eight_units_that_are_on_become_two_that_stay_on():
    low, high = -torch.ones(1, 3), torch.ones(1, 3)
    (pair,), passing = passing_of(two_layers(20.0), low, high)
    (rows, start), (columns, _) = passing.maps["0"], passing.maps["2"]
    assert rows.shape == (2, 3) and columns.shape == (2, 2)
    # the smallest pre-activation in the box is at a corner
    assert (start - rows.abs().sum(1) > 0).all()
    assert passing.pieces[pair.group].known.all() and len(passing.pieces[pair.group].known) == 2


def test_undecided_units_keep_their_rows_and_columns():
    bias = torch.tensor([0.0, 20.0, 20.0, -20.0, 20.0, 0.0, 20.0, 20.0])
    net = two_layers(bias)
    (pair,), passing = passing_of(net, -torch.ones(1, 3), torch.ones(1, 3))
    assert torch.equal(passing.maps["0"][0][:2], net[0].weight[[0, 5]].detach())
    assert torch.equal(passing.maps["2"][0][:, :2], net[2].weight[:, [0, 5]].detach())
    assert passing.pieces[pair.group].known.tolist() == [False, False, True, True]


def test_errors_are_about_as_large_as_rounding():
    _, passing = passing_of(two_layers(20.0), -torch.ones(1, 3), torch.ones(1, 3))
    assert 0 < passing.errors["2"].max() < 1e-11 and (passing.errors["0"] == 0).all()


def test_nothing_is_merged_where_the_last_piece_is_flat():
    net = nn.Sequential(nn.Linear(3, 8), nn.Hardtanh(-100, 100), nn.Linear(8, 2))
    _, passing = passing_of(net, -torch.ones(1, 3), torch.ones(1, 3))
    assert len(passing.maps["0"][0]) == 8
