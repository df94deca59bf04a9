"""Distinct lines that cross the data, against cases counted by hand."""

import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib.codes import distinct_lines
from splinelib.codes.lines import count_lines


def test_lines_are_counted_once_whichever_side_is_positive():
    signs = torch.tensor([[1, 0, 1, 0, 0, 1], [0, 1, 1, 0, 0, 1], [0, 1, 0, 0, 1, 1]]).bool()
    # Columns: a, not a, b, never, not b, always.
    assert count_lines(signs) == 2


def test_many_inputs_and_units_agree_with_plain_counting():
    signs = torch.rand(37, 50, generator=torch.Generator().manual_seed(0)) > 0.9
    sides = {min(tuple(c), tuple(~c & 1 for c in c)) for c in signs.T.int().tolist()}
    crossing = {side for side in sides if len(set(side)) == 2}
    flipped = {tuple(1 - bit for bit in side) for side in crossing}
    assert count_lines(signs) == len({min(s, tuple(1 - b for b in s)) for s in crossing | flipped})


def test_each_layer_has_a_number():
    net = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU())
    with torch.no_grad():
        net[0].weight[:] = 1.0
        net[0].bias[:] = torch.tensor([-0.5, -1.5, 7.0])
        net[2].weight[:] = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        net[2].bias[:] = torch.tensor([1.0, -0.25])
    assert distinct_lines(net, torch.arange(3.0)[:, None]) == {"0": 2, "2": 1}


@pytest.mark.parametrize(
    "signs", [torch.zeros(3, 2), torch.zeros(3).bool(), torch.zeros(0, 2).bool()]
)
def test_what_are_no_signs_is_refused(signs):
    with pytest.raises(ValueError, match="a matrix of booleans"):
        count_lines(signs)


def test_a_unit_that_is_one_number_for_each_input():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 1), nn.Flatten(0), nn.ReLU())
    same = nn.Sequential(*model[:3], nn.ReLU())
    x = torch.rand(40, 2) * 4 - 2
    codes = sl.region_codes(model, x)
    assert list(codes.layers.values()) == [(6,), ()]
    assert codes.count_regions() == sl.region_codes(same, x).count_regions()
    lines, expected = (list(distinct_lines(net, x).values()) for net in (model, same))
    assert lines == expected
    cut, expected = (sl.codes.cutting_units(net, x, 0.3, 2).values() for net in (model, same))
    assert [c.tolist() for c in cut] == [c.tolist() for c in expected]
    assert sl.codes.code_clusters(codes, 2).shape == (40,)
