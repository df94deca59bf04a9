"""Linear functions carried back to the input."""

import copy

import pytest
import torch
from networks import linear_net, random_network

from splinelib.bounds import backwards
from splinelib.bounds.backwards import most, range_of
from splinelib.bounds.box import Box
from splinelib.bounds.forwards import walk
from splinelib.bounds.pair import CHANGE, FIRST, SECOND, Pair
from splinelib.bounds.recorded import recorded

BOX = Box(-torch.ones(1, 2).double(), torch.ones(1, 2).double())


def state_of(first, second):
    return walk(Pair(recorded(first, BOX), recorded(second, BOX)), BOX, 100)


def test_of_an_affine_network_it_is_exact():
    first = linear_net([[1.0, 2.0], [0.0, 1.0]])[:1]
    second = linear_net([[1.0, 2.5], [0.0, -1.0]])[:1]
    state = state_of(first, second)
    rows = torch.eye(2, dtype=torch.float64)[None]
    found = {
        kind: range_of(state, 1, {kind: rows}).high[0].tolist() for kind in (FIRST, SECOND, CHANGE)
    }
    assert found[FIRST] == pytest.approx([3, 1])
    assert found[SECOND] == pytest.approx([3.5, 1])
    assert found[CHANGE] == pytest.approx([0.5, 2])
    together = most(state, 1, {SECOND: rows, FIRST: -rows})  # the same, of two functions
    assert together[0].tolist() == pytest.approx([0.5, 2])


def test_many_rows_are_taken_a_few_at_a_time(monkeypatch):
    first = random_network([8, 8], outputs=5)
    second = copy.deepcopy(first)
    second[2].weight.data[0] = 0
    state = state_of(first, second)
    rows = torch.eye(5, dtype=torch.float64)[None]
    output = state.pair.graphs[0].output
    whole = most(state, output, {CHANGE: rows})
    monkeypatch.setattr(backwards, "_BLOCK", 1)
    torch.testing.assert_close(most(state, output, {CHANGE: rows}), whole)
