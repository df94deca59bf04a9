"""What is known of a pair: units of rounding, operands, differences that pass."""

import copy

import torch
from bounded import ACTIVATIONS
from networks import random_network
from torch import nn

from splinelib.bounds.box import Box
from splinelib.bounds.forwards import walk
from splinelib.bounds.pair import CHANGE, FIRST, SECOND, Pair
from splinelib.bounds.recorded import recorded
from splinelib.bounds.state import difference_of

BOX = Box(-torch.ones(1, 2).double(), torch.ones(1, 2).double())


def state_of(first, second, kinds=(FIRST, SECOND, CHANGE)):
    return walk(Pair(recorded(first, BOX), recorded(second, BOX)), BOX, 0, kinds)


def test_rounding_is_charged_by_the_number_of_terms():
    first = random_network([4])
    state = state_of(first, copy.deepcopy(first))
    assert state.unit_of(10) > state.unit_of(1) > 64 * 2**-53
    assert state.unit == state.unit_of(4)


def test_differences_pass_layers_of_one_shape():
    first = random_network([4, 4])
    second = copy.deepcopy(first)
    second[0].weight.data[1] = 0
    state = state_of(first, second)
    assert state.passes(0) and state.passes(2) and state.passes(4)
    cut = random_network([3, 4])
    assert not state_of(first, cut).passes(2)


def test_both_operands_of_a_maximum():
    net = nn.Sequential(nn.Linear(2, 2), ACTIVATIONS["maximum"](), nn.Linear(2, 1))
    state = state_of(net, copy.deepcopy(net))
    ((at, one, two),) = [s for s in state.pair.steps() if s[1].activation is not None]
    z = state.compared(one, FIRST)
    a, b = (state.operand(item, FIRST) for item in one.activation_inputs)
    torch.testing.assert_close(z.low, a.low - b.high)
    changes = state.operand_changes(one, two)
    assert difference_of(changes).largest().max() == 0 and at > 0
