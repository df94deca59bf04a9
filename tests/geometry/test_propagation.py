"""A network on a whole rectangle: values at the vertices, and what that costs."""

from collections import Counter

import numpy as np
import pytest
import torch
from geometry.checks import UNIT, check_invariants
from networks import Calling, Odd
from torch import nn

import splinelib as sl
from splinelib.geometry.mesh import Mesh
from splinelib.geometry.propagation import propagate
from splinelib.network.trace import Node, record


def test_values_at_the_vertices_are_the_networks_own():
    model, mesh = Odd().double().eval(), Mesh.rectangle(UNIT)
    plane = sl.Plane.through(*torch.eye(3, 2))
    graph = record(model, plane(mesh.xy))
    with torch.no_grad():
        outputs, sizes, codes = propagate(graph, mesh, plane, max_regions=1000)
        truth = model(plane(mesh.xy)).numpy()
    assert outputs == pytest.approx(truth, abs=1e-12)
    assert (np.abs(truth) <= sizes + 1e-12).all()
    assert len(codes) == len(graph.activations())
    assert {len(code.words) for code in codes} == {len(mesh)}


def test_only_units_that_bend_cost_memory():
    # What goes through the layers are a constant, two coordinates and the units that bend:
    # far fewer rows than vertices, and codes are kept without the bits that never change.
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(16, 8), nn.LeakyReLU(), nn.Linear(8, 3)),
    ).double()
    images = torch.rand(3, 1, 16, 16).double()
    plane = sl.Plane.through(*images)
    rows, run = Counter(), Node.run

    def counted(node, env, count):
        rows[node.module] += count
        run(node, env, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Node, "run", counted)
        part = sl.partition(model, ((0.3, 0.36), (0.3, 0.36)), plane)
    check_invariants(part)
    codes = sl.region_codes(model.eval(), plane(part.centroids))
    bits = {name: codes.unpack(name).numpy() for name in codes.layers}
    varying = {name: int((b.any(0) & ~b.all(0)).sum()) for name, b in bits.items()}
    assert part.codes.distance(codes) == 0
    assert len(part) > 500
    kept = part.codes.packed.layers
    below = sum(len(kept[name].bits) for name in part.layers[:2])
    assert 3 < rows["4"] <= below + 10 < len(part.vertices) / 4
    for name, shape in part.codes.layers.items():
        assert varying[name] <= len(kept[name].bits)
        if len(shape) > 1:
            assert len(kept[name].bits) < np.prod(shape) / 4


@pytest.mark.parametrize(
    "function",
    [
        lambda h: h - h.mean(0),
        lambda h: h * h.new_tensor(1.0) + h.sum(),
        lambda h: h - h[0],
        lambda h: h.T.relu().T,
        lambda h: torch.stack([row.relu() for row in h]),
        lambda h: h.view(-1, 4, 4).permute(1, 0, 2).relu().permute(1, 0, 2).flatten(1),
    ],
)
def test_what_mixes_or_moves_rows_is_refused_by_name(function):
    plane = sl.Plane.through(*torch.eye(3, 4))
    with pytest.raises(sl.NotPiecewiseAffine, match=r"own forward: '\w+' cannot .* each input"):
        sl.partition(Calling(function), UNIT, plane)


def test_outputs_that_are_not_the_networks_are_refused():
    class Counting(nn.Module):
        """Gives more each time that it is called."""

        def __init__(self):
            super().__init__()
            self.linear, self.calls = nn.Linear(2, 2), 0

        def forward(self, x):
            self.calls += 1
            return self.linear(x).relu() + self.calls

    with pytest.raises(sl.NotPiecewiseAffine, match="keeps a state"):
        sl.partition(Counting())
    with pytest.raises(sl.NotPiecewiseAffine, match="keeps a state"):
        sl.affine_map(Counting(), torch.ones(2))


def test_sides_that_lead_nowhere_are_not_followed():
    def aside(h):
        h.argmax(1), h[0] > 0
        return h.relu()

    plane = sl.Plane.through(*torch.eye(3, 4))
    check_invariants(sl.partition(Calling(aside), UNIT, plane))
