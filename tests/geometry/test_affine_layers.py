"""Affine layers: their linear part, and what they make of the sizes of terms."""

import pytest
import torch
from geometry.checks import UNIT
from torch import nn

import splinelib as sl
from splinelib.geometry.affine_layers import absolute, apply_affine, without_constants
from splinelib.geometry.mesh import Mesh
from splinelib.geometry.state import State
from splinelib.network.trace import record


class Sums(nn.Module):
    """Sums, differences and joins with constants."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        self.norm.weight.data.uniform_(-1, 1)
        self.norm.bias.data.uniform_(-1, 1)

    def forward(self, x):
        x = 3 - self.norm(self.linear(x)) - x
        return torch.cat([x, torch.ones_like(x)], 1) + 0.5


def recorded():
    torch.manual_seed(0)
    model = Sums().double().eval()
    return model, record(model, torch.randn(2, 4).double())


def through(nodes, x):
    env = {0: x}
    for node in nodes:
        node.run(env, len(x))
    return env[nodes[-1].outputs[0]]


def test_without_its_constants_a_network_is_linear():
    model, graph = recorded()
    x, y = torch.randn(2, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        linear = [without_constants(node) for node in graph.nodes]
        assert not through(linear, torch.zeros_like(x))[:, :4].any()
        one, two, both = (through(linear, z)[:, :4] for z in (x, y, 2 * x + y))
        torch.testing.assert_close(2 * one + two, both)
        torch.testing.assert_close(one - two, (model(x) - model(y))[:, :4])


def test_sizes_bound_every_value_and_every_term():
    model, graph = recorded()
    x = torch.randn(50, 4, dtype=torch.float64)
    with torch.no_grad():
        sizes = through([absolute(node) for node in graph.nodes], x.abs())
        assert (model(x).abs() <= sizes.abs()).all()
        layer = nn.Linear(2, 1).double()
        layer.weight.data, layer.bias.data = torch.tensor([[-2.0, 3]]).double(), -torch.ones(1)
        (node,) = record(layer.double(), torch.ones(1, 2).double()).nodes
        assert through([absolute(node)], torch.ones(1, 2).double()).item() == 6


def test_a_value_goes_through_a_layer_as_its_rows_do():
    model, graph = recorded()
    mesh = Mesh.rectangle(UNIT)
    plane = sl.Plane.through(*torch.randn(3, 4))
    state = State(mesh, plane, max_regions=10)
    with torch.no_grad():
        for node in graph.nodes:
            apply_affine(state, node)
        out = state.values[graph.output]
        values = state.basis.evaluate(out.functions, out.flat_rows())
        assert values == pytest.approx(model(plane(mesh.xy)).numpy(), abs=1e-12)
