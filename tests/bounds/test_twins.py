"""Heirs: who is one, and what is left of a merge."""

import copy

import torch
from networks import random_network

from splinelib.bounds import change_bound
from splinelib.bounds.box import Box
from splinelib.bounds.forwards import walk
from splinelib.bounds.pair import Pair
from splinelib.bounds.recorded import recorded

SQUARE = -torch.ones(1, 2), torch.ones(1, 2)


def merged(error=0.0, ratio=2.0):
    """A network and what is left when unit 1, nearly unit 0 times a ratio, is merged into it."""
    first = random_network([6]).double()
    first[0].weight.data[1] = ratio * first[0].weight.data[0]
    first[0].bias.data[1] = ratio * first[0].bias.data[0] + error
    second = copy.deepcopy(first)
    second[2].weight.data[:, 0] += abs(ratio) * first[2].weight.data[:, 1]
    second[2].weight.data[:, 1], second[0].weight.data[1], second[0].bias.data[1] = 0, 0, 0
    return first, second


def test_the_heir_of_a_unit_that_is_gone():
    box = Box.checked(SQUARE)
    state = walk(Pair(*(recorded(m, box) for m in merged())), box, 100)
    (twins,) = state.twins.values()
    assert 1 in twins.gone.tolist()
    place = twins.gone.tolist().index(1)
    assert twins.heirs[place].item() == 0 and abs(twins.ratios[place].item() - 2) < 1e-12
    assert twins.error.largest()[0, place].item() < 1e-12


def test_what_is_left_grows_with_the_distance_of_near_twins():
    bounds = [change_bound(*merged(error), SQUARE).largest for error in (0, 1e-4, 1e-3)]
    weight = merged()[0][2].weight[0, 1].abs().item()
    assert bounds[0] < 1e-12
    for bound, error in zip(bounds[1:], (1e-4, 1e-3), strict=True):
        assert 0.999 * weight * error <= bound <= 2.01 * weight * error


def test_mirror_images_have_no_heir():
    assert change_bound(*merged(ratio=-2.0), SQUARE).largest > 0.1
