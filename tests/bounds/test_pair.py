"""Two graphs side by side: what they share, what changed, and when they do not go together."""

import copy

import torch
from networks import random_network
from torch import nn

from splinelib.bounds.pair import CHANGE, FIRST, SECOND, Pair, mismatch
from splinelib.network.trace import record

X = torch.zeros(1, 2)


def test_layers_that_are_the_same_and_layers_that_changed():
    first = random_network([4, 4])
    second = copy.deepcopy(first)
    second[2].weight.data[0] = 0
    pair = Pair(record(first, X), record(second, X))
    assert pair.alike == {0, 4} and set(pair.changed) == {2}
    assert pair.comparable == set(range(6)) and pair.terms == 4
    assert [at for at, *_ in pair.steps()] == [0, 1, 2, 3, 4]
    assert pair.shapes(FIRST) is pair.shapes(CHANGE) is not pair.shapes(SECOND)


def test_other_widths_leave_what_has_one_shape():
    pair = Pair(record(random_network([4]), X), record(random_network([3]), X))
    assert pair.comparable == {0, 3}
    assert pair.changed == {0: None, 2: None}


def test_what_is_not_of_one_layout():
    graphs = [
        record(net, X)
        for net in (
            random_network([4]),
            random_network([4], activation=nn.ReLU6),
            random_network([4, 4]),
            nn.Sequential(nn.Linear(2, 4), nn.Hardtanh(), nn.Linear(4, 1)),
            nn.Sequential(nn.Linear(2, 4), nn.Hardtanh(0, 1), nn.Linear(4, 1)),
        )
    ]
    assert mismatch(graphs[0], graphs[0]) == ""
    assert "relu" in mismatch(graphs[0], graphs[1])
    assert "3 and 5 calls" in mismatch(graphs[0], graphs[2])
    assert "bends at other places" in mismatch(graphs[3], graphs[4])
