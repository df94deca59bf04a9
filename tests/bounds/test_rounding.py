"""How far rounding may take the outputs of a network."""

import pytest
import torch
from networks import convnet, random_network
from torch import nn

from splinelib.bounds.box import Box
from splinelib.bounds.rounding import rounding
from splinelib.bounds.units import bounded

EPS = torch.finfo(torch.float32).eps / 2


def bound_of(net, low, high, **given):
    state = bounded(net, Box.checked((low, high)), 0)
    return rounding(state, EPS, **given)


@pytest.mark.parametrize("make", [lambda: random_network([20, 20, 20]), convnet])
def test_no_float32_output_is_farther_from_the_float64_one(make):
    net = make().eval()
    x = torch.randn(200, *((2,) if isinstance(net[0], nn.Linear) else (3, 8, 8)))
    low, high = x.amin(0, keepdim=True), x.amax(0, keepdim=True)
    with torch.no_grad():
        single, double = net(x).double(), net.double()(x.double())
    bound = bound_of(net, low, high)
    seen = (single - double).abs().amax(0)
    assert (seen <= bound[0]).all() and seen.max() > 0


def test_it_is_multiplied_by_the_weights_behind():
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        for layer, weight in ((net[0], 1.0), (net[2], -100.0)):
            layer.weight.fill_(weight), layer.bias.zero_()
    zero = torch.zeros(1, 1)
    made = next(iter(bounded(net, Box.checked((zero, zero)), 0).pair.maps[0][0].outputs))
    assert bound_of(net, zero, zero).item() == 0
    given = {made: torch.full((1, 1), 1e-3)}
    assert bound_of(net, zero, zero, given=given).item() == pytest.approx(0.1, rel=1e-6)
