"""One of several networks for each input, and an early exit."""

import pytest
import torch
from torch import nn

from splinelib.models import EarlyExit, Routed


def constant(value):
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.zero_(), layer.bias.fill_(value)
    return layer


def test_each_input_goes_to_its_nearest_centre():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    routed = Routed(centres, [constant(v) for v in (0.0, 1.0, 2.0)])
    x = torch.tensor([[9.0, 1.0], [1.0, 1.0], [1.0, 8.0], [6.0, 0.0]])
    assert routed.chosen(x).tolist() == [1, 0, 2, 1]
    assert torch.equal(routed.chosen(x), torch.cdist(x, centres).argmin(1))
    assert routed(x)[:, 0].tolist() == [1.0, 0.0, 2.0, 1.0]
    assert [routed(row)[0, 0].item() for row in x.split(1)] == [1.0, 0.0, 2.0, 1.0]


def test_centres_and_networks_have_to_fit():
    with pytest.raises(ValueError, match="2 centres and 1 networks"):
        Routed(torch.zeros(2, 3), [constant(0.0)])
    for centres in (torch.zeros(0, 3), torch.zeros(3), torch.tensor([[torch.nan]])):
        with pytest.raises(ValueError, match="finite, of shape"):
            Routed(centres, [])


def test_only_unsure_inputs_go_on():
    head = nn.Linear(2, 2)
    with torch.no_grad():
        head.weight[:], head.bias[:] = torch.eye(2), 0.0
    x = torch.tensor([[5.0, 0.0], [0.1, 0.0], [0.0, 5.0]])
    leaving = EarlyExit(nn.Identity(), head, constant(7.0), 0.9)
    with torch.no_grad():
        assert leaving(x).tolist() == [[5.0, 0.0], [7.0, 7.0], [0.0, 5.0]]
        assert (leaving.confidence(x) >= 0.9).tolist() == [True, False, True]
        assert (EarlyExit(nn.Identity(), head, constant(7.0), 0.0)(x) == x).all()
        assert (EarlyExit(nn.Identity(), head, constant(7.0), 1.1)(x) == 7).all()
