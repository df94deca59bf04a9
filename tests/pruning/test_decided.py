"""What a box decides."""

import torch
from networks import grouped, network
from torch import nn

import splinelib as sl
from splinelib.bounds.box import Box
from splinelib.bounds.units import UNITS, bounded
from splinelib.pruning.decided import layer_pieces, linear_pairs, silent_units


def state_of(net, low, high):
    return bounded(net, Box.checked((torch.tensor(low), torch.tensor(high))), UNITS)


def test_pieces_have_their_slope_and_intercept():
    net = nn.Sequential(nn.Linear(1, 4), nn.Hardtanh(-1, 2), nn.Linear(4, 1))
    with torch.no_grad():
        net[0].weight[:], net[0].bias[:] = 1.0, torch.tensor([-5.0, 0.0, 5.0, 1.5])
    ((name, maker, pieces),) = layer_pieces(state_of(net, [[0.0]], [[1.0]]))
    assert name == maker == "0"
    assert pieces.known.tolist() == [True, True, True, False]
    assert pieces.slopes[:3].tolist() == [0.0, 1.0, 0.0]
    assert pieces.intercepts[:3].tolist() == [-1.0, 0.0, 2.0]
    assert pieces.flat.tolist() == [True, False, True, False]
    assert pieces.linear.tolist() == [False, True, False, False]


def test_a_channel_is_decided_if_it_is_so_at_all_positions():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1))
    with torch.no_grad():
        net[0].weight[:], net[0].bias[:] = 1.0, torch.tensor([0.0, 9.0])
    box = Box.checked((torch.tensor([[[[-1.0, 1.0], [1.0, 1.0]]]]),) * 2)
    ((_, _, pieces),) = layer_pieces(bounded(net, box, UNITS))
    assert pieces.known.tolist() == [False, True] and pieces.linear.tolist() == [False, True]


def test_silent_units_are_those_of_which_zeros_are_read():
    net = network([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])]).float()
    layout = sl.find_groups(net, torch.zeros(1, 1))
    assert silent_units(state_of(net, [[0.5]], [[1.0]]), layout, net)["0"].tolist() == [False, True]
    # a batch norm behind the activation makes something of nothing
    shifted = nn.Sequential(net[0], nn.ReLU(), nn.BatchNorm1d(2), net[2]).eval()
    with torch.no_grad():
        shifted[2].bias.fill_(1.0)
    layout = sl.find_groups(shifted, torch.zeros(1, 1))
    assert not silent_units(state_of(shifted, [[0.5]], [[1.0]]), layout, shifted)["0"].any()


def test_a_position_is_silent_if_all_blocks_of_a_grouped_convolution_read_zeros():
    net = grouped(read=3, made=4, blocks=2)
    with torch.no_grad():
        net[0].weight.zero_()
        # by position: off in one block, in both, in the other
        net[0].bias.copy_(torch.tensor([-1.0, -1.0, 1.0, 1.0, -1.0, -1.0]))
    low = torch.zeros(1, 3, 2, 2)
    state = bounded(net, Box.checked((low, low + 1)), UNITS)
    silent = silent_units(state, sl.find_groups(net, low), net)
    assert silent["0"].tolist() == [False, True, False]


def test_pairs_have_an_activation_between_them_and_nothing_else():
    def pairs(*between):
        net = nn.Sequential(nn.Linear(2, 4), *between, nn.Linear(4, 1)).eval()
        layout = sl.find_groups(net, torch.zeros(1, 2))
        found = linear_pairs(state_of(net, [[0.0, 0.0]], [[1.0, 1.0]]), layout, net)
        return [(pair.producer, pair.consumer) for pair in found]

    assert pairs(nn.ReLU()) == [("0", "2")]
    assert pairs(nn.PReLU(4), nn.Dropout()) == [("0", "3")]
    assert pairs(nn.BatchNorm1d(4), nn.ReLU()) == []
    assert pairs(nn.ReLU(), nn.BatchNorm1d(4)) == []
