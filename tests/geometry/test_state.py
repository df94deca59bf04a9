"""Where a run stands: its input, and a layer's cuts."""

import numpy as np
import torch
from geometry.checks import UNIT

import splinelib as sl
from splinelib.geometry.mesh import Mesh
from splinelib.geometry.state import State
from splinelib.network.trace import record

DOMAIN = ((0, 2), (1, 2))


def test_it_begins_with_the_inputs_on_the_rectangle():
    plane = sl.Plane.through(*torch.randn(3, 4, generator=torch.Generator().manual_seed(0)))
    mesh = Mesh.rectangle(DOMAIN)
    state = State(mesh, plane, max_regions=10)
    start = state.values[0]
    values = state.basis.evaluate(start.functions, start.flat_rows())
    assert np.allclose(values, plane(mesh.xy))
    assert (np.abs(values) <= start.flat_size() + 1e-12).all()


class Maximum(torch.nn.Module):
    def forward(self, x):
        return torch.maximum(x, torch.tensor([0.5, -0.5], dtype=torch.float64))


def test_a_constant_operand_has_no_functions():
    plane = sl.Plane.through(*torch.eye(3, 2))
    node = record(Maximum(), plane(Mesh.rectangle(UNIT).xy)).activations()[0]
    one, two = State(Mesh.rectangle(UNIT), plane, 10).operands(node)
    assert len(one.functions) == 2 and len(two.functions) == 0
    assert two.flat_rows().tolist() == [[0.5, -0.5]] and two.flat_size().tolist() == [0.5, 0.5]


def test_a_cut_keeps_signs_of_all_vertices_and_names_its_units():
    state = State(Mesh.rectangle(UNIT), sl.Plane.through(*torch.eye(3, 2)), max_regions=10)
    signs, added, parent = state.cut(state.mesh.xy.copy(), np.ones(2), np.array([4, 7]))
    state.basis.extend(added)
    assert len(signs.pos) == len(state.mesh.xy) == len(state.basis.values) == 9
    assert parent.tolist() == [0] * 4
    assert set(state.mesh.source[state.mesh.source[:, 0] == 0, 1]) == {4, 7}
    untouched, added, parent = state.cut(np.empty((9, 0)), np.empty(0), np.arange(0))
    assert added == [] and parent.tolist() == [0, 1, 2, 3] and untouched.pos.shape == (9, 0)


def test_functions_that_no_value_is_made_of_are_forgotten():
    state = State(Mesh.rectangle(UNIT), sl.Plane.through(*torch.eye(3, 2)), max_regions=10)
    del state.values[0]
    state.forget(np.array([1]))
    assert state.basis.numbers.tolist() == [1]
