"""Affine nodes forwards, backwards, on sizes, and the difference of two."""

import copy

import pytest
import torch
import torch.nn.functional as F
from bounded import Function
from networks import randomised
from torch import nn

from splinelib.bounds.maps import affine_map, alike, difference
from splinelib.network.trace import record

torch.manual_seed(0)
MAPS = {
    "linear": (nn.Linear(5, 3), (5,)),
    "convolution": (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 5, 5)),
    "transposed": (nn.ConvTranspose2d(2, 3, 3, stride=2), (2, 4, 4)),
    "batch norm": (randomised(nn.Sequential(nn.BatchNorm2d(3)))[0], (3, 4, 4)),
    "pooling": (nn.AvgPool2d(2), (2, 4, 4)),
    "flip": (Function(lambda x: x.flip(1)), (5,)),
    "differences": (Function(lambda x: torch.diff(x, dim=1)), (5,)),
    "resized": (
        Function(lambda x: F.interpolate(x, size=7, mode="bicubic", align_corners=False)),
        (1, 4, 4),
    ),
    "padded": (Function(lambda x: F.pad(x, (1, 1), value=-2.0)), (5,)),
    "minus": (Function(lambda x: 1 - 3 * x[:, :1].expand(-1, 5)), (5,)),
}


def maps_of(name):
    module, shape = MAPS[name]
    graph = record(copy.deepcopy(module).double().eval(), torch.zeros(1, *shape).double())
    return [affine_map(node, len(shape) + 1) for node in graph.nodes], graph, shape


@pytest.mark.parametrize("name", MAPS)
def test_forwards_backwards_and_on_sizes(name):
    maps, graph, _ = maps_of(name)
    for one in maps:
        given = {i: torch.randn(7, *graph.shapes[i][1:]).double() for i in one.inputs}
        image, linear, constant = one.forward(given), one.linear(given), one.constant(given)
        for o in one.outputs:
            torch.testing.assert_close(image[o], linear[o] + constant[o])
            c = torch.randn_like(image[o])
            back = one.transposed({o: c}, graph.shapes)
            ahead = (c * linear[o]).flatten(1).sum(1)
            there = sum((back[i] * given[i]).flatten(1).sum(1) for i in back)
            torch.testing.assert_close(ahead, there)
            size = one.sizes({i: v.abs() for i, v in given.items()})[o]
            assert (size * (1 + 1e-12) >= image[o].abs()).all()
            radius = {i: torch.rand_like(v) for i, v in given.items()}
            spread = one.spread(radius)[o]
            moved = {i: v + radius[i] * (2 * torch.rand_like(v) - 1) for i, v in given.items()}
            assert ((one.forward(moved)[o] - image[o]).abs() <= spread + 1e-12).all()


@pytest.mark.parametrize("name", ["linear", "convolution", "transposed", "batch norm"])
def test_the_difference_of_two_is_a_map(name):
    (one,), _, shape = maps_of(name)
    module = MAPS[name][0]
    try:
        with torch.no_grad():
            module.weight.mul_(1.5)
            module.bias.add_(1)
        (two,), *_ = maps_of(name)
    finally:
        with torch.no_grad():
            module.weight.div_(1.5)
            module.bias.sub_(1)
    assert alike(one, one) and not alike(one, two)
    x = {one.inputs[0]: torch.randn(3, *shape, dtype=torch.float64)}
    (o,) = one.outputs
    found = difference(one, two).forward(x)[o]
    torch.testing.assert_close(found, two.forward(x)[o] - one.forward(x)[o])


def test_a_bias_in_one_alone_and_other_shapes():
    def made(module):
        return affine_map(record(module.double(), torch.zeros(1, 3).double()).nodes[0], 2)

    without, with_bias = made(nn.Linear(3, 2, bias=False)), made(nn.Linear(3, 2))
    x = {0: torch.randn(4, 3, dtype=torch.float64)}
    found = difference(without, with_bias).forward(x)[1]
    torch.testing.assert_close(found, with_bias.forward(x)[1] - without.forward(x)[1])
    assert difference(without, made(nn.Linear(3, 1))) is None  # and is not broadcast
