"""Pointwise activations, piece by piece."""

import numpy as np
import pytest
import torch
from geometry.checks import UNIT, Abs
from torch import nn

import splinelib as sl
from splinelib.geometry.affine_layers import apply_affine
from splinelib.geometry.mesh import Mesh
from splinelib.geometry.pointwise import Pieces, apply_pointwise
from splinelib.geometry.state import State
from splinelib.network.trace import record

ACTIVATIONS = [
    *(nn.ReLU(), nn.LeakyReLU(0.2), nn.ReLU6(), nn.Hardtanh(-0.3, 0.4), nn.Hardsigmoid()),
    nn.Threshold(0.5, 0.5),
]


@pytest.mark.parametrize("module", ACTIVATIONS, ids=lambda module: type(module).__name__)
def test_every_piece_and_the_whole_are_the_activation(module):
    z = torch.linspace(-8, 8, 161, dtype=torch.float64)[:, None].repeat(1, 3)
    activation = record(module, z).activations()[0].activation
    pieces = Pieces.of(activation, (3,))
    expected = module(z).numpy()
    values = z.numpy().copy()
    pieces.apply(values[:, :2], np.array([0, 2]))
    assert values[:, :2] == pytest.approx(expected[:, :2], abs=1e-14)
    number = sum((z.numpy() > b).astype(int) for b in activation.breakpoints)
    for row in range(len(z)):
        slope, intercept = pieces.piece(number[row])
        assert slope * z[row].numpy() + intercept == pytest.approx(expected[row], abs=1e-14)


class Larger(nn.Module):
    def forward(self, x):
        return torch.maximum(x, 0.5 * x.flip(1))


@pytest.mark.parametrize("module", [nn.Hardtanh(-0.3, 0.4), nn.PReLU(2).double(), Larger()])
def test_the_mesh_is_cut_where_units_bend_and_values_are_the_networks(module):
    mesh = Mesh.rectangle(UNIT)
    plane = sl.Plane.through(*torch.tensor([[0.0, 0], [1, 1], [-1, 2]]))
    graph = record(module, plane(mesh.xy))
    state = State(mesh, plane, max_regions=100)
    with torch.no_grad():
        for node in graph.nodes:
            if node.activation is None:
                apply_affine(state, node)
            else:
                apply_pointwise(state, node, dead=[])
        out = state.values[graph.output]
        values = state.basis.evaluate(out.functions, out.flat_rows())
        assert values == pytest.approx(module(plane(mesh.xy)).numpy(), abs=1e-14)
        assert len(mesh) > 2
    code = state.codes[0]
    centres = np.add.reduceat(mesh.xy[mesh.corners()], mesh.ptr[:-1]) / np.diff(mesh.ptr)[:, None]
    truth = graph.activations()[0].activation.code(*inputs(module, plane(centres)))
    assert (code.varying() == truth.flatten(1).numpy()[:, code.bits]).all()


def inputs(module, x):
    return (x, 0.5 * x.flip(1)) if isinstance(module, Larger) else (x,)


def test_units_that_never_bend_are_affine_and_cut_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.5))
    model[0].weight.data, model[0].bias.data = torch.zeros(3, 2), torch.tensor([1.0, -1, 0])
    part = sl.partition(model)
    assert len(part) == 1 and part.outputs[0].tolist() == [1, -0.5, 0]


@pytest.mark.parametrize(
    ("activation", "at"),
    [(nn.LeakyReLU(0.5), 0.0), (nn.PReLU(1), 0.0), (Abs(), 0.0), (nn.Hardtanh(-0.5, 0.25), 0.25)],
)
def test_a_unit_that_is_at_its_breakpoint_up_to_rounding_is_there_for_all_later_layers(
    activation, at
):
    """It is 0.1 a + 0.2 a - 0.3 a, some 1e-17, which no later layer may take for more than 0."""
    model = nn.Sequential(
        *(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), activation, nn.Linear(1, 2), nn.ReLU())
    ).double()
    with torch.no_grad():
        model[0].weight[:], model[0].bias[:] = torch.tensor([1.0, 2.0]), 3.0
        model[2].bias[:] = at
        model[2].weight[:] = torch.tensor([[0.1, 0.2, -0.3]], dtype=torch.float64)
        model[4].weight[:] = torch.tensor([[1.0], [-1.0]])
        model[4].bias[:] = torch.tensor([-at, at])
    part = sl.partition(model, ((-0.5, 1), (0, 1)))
    way = sl.segment(model, torch.tensor([-0.5, 0]), torch.tensor([1.0, 1]))
    for found in (part, way):
        assert len(found) == 1
        assert [found.codes.unpack(name).any().item() for name in ("0", "2", "4")] == [
            *(True, at == 0.25, False)
        ]
        assert not found.outputs.any()
