"""The way between two inputs: its regions, against dense sampling and against the partition."""

import numpy as np
import pytest
import torch
from networks import alive, convnet, gaussian, small
from torch import nn

import splinelib as sl
from splinelib.geometry.segments import segment


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(16, 3)

    def forward(self, x):
        h = torch.relu(self.first(x))
        h = torch.nn.functional.leaky_relu(h + self.norm(self.second(h)), 0.1)
        return self.last(torch.nn.functional.max_pool2d(h, 2, 1).flatten(1)[:, ::4])


def residual():
    torch.manual_seed(1)
    return alive(Residual())


def clipped():
    torch.manual_seed(2)
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(25, 9), nn.Hardtanh(), nn.Linear(9, 6), nn.ReLU6()),
        nn.Linear(6, 2),
    )


NETWORKS = {
    "conv, batch norm, max-pool": (lambda: alive(small()), (1, 8, 8)),
    "three convolutions": (lambda: convnet(), (3, 8, 8)),
    "residual, leaky, overlapping pool": (residual, (1, 5, 5)),
    "two breakpoints": (clipped, (1, 5, 5)),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    build, shape = NETWORKS[request.param]
    return build().double(), gaussian(3, *shape, seed=5) * 2


def rows(codes):
    return np.concatenate(
        [codes.unpack(n).numpy().reshape(len(codes), -1) for n in codes.layers], 1
    )


def test_codes_between_breakpoints_are_those_of_the_network(case):
    model, (a, b, _) = case
    way = sl.segment(model, a, b)
    assert len(way) > 5 and (np.diff(way.breakpoints) > 0).all()
    low, high = way.breakpoints[:-1], way.breakpoints[1:]
    for share in (0.03, 0.5, 0.97):  # a region is one from end to end
        seen = sl.region_codes(model, way(low + share * (high - low)))
        assert seen.layers == way.codes.layers
        np.testing.assert_array_equal(rows(seen), rows(way.codes))
    changed = rows(way.codes)[1:] != rows(way.codes)[:-1]
    assert changed.any(1).all(), "two neighbours are one region"
    with torch.no_grad():
        truth = model(way(way.breakpoints)).numpy()
    np.testing.assert_allclose(way.outputs, truth, atol=1e-9)


def test_dense_sampling_finds_no_other_region(case):
    model, (a, b, _) = case
    way = sl.segment(model, a, b)
    shares = np.linspace(0, 1, 4001)
    seen = rows(sl.region_codes(model, way(shares)))
    piece = np.clip(np.searchsorted(way.breakpoints, shares, side="right") - 1, 0, len(way) - 1)
    far = np.abs(way.breakpoints[:, None] - shares).min(0) > 1e-9
    np.testing.assert_array_equal(seen[far], rows(way.codes)[piece[far]])


def test_the_source_names_a_unit_that_changes(case):
    model, (a, b, _) = case
    way = sl.segment(model, a, b)
    kinds = {layer.name: layer.kind for layer in sl.spline_layers(model, a[None])}
    for at, (layer, unit) in enumerate(way.source):
        name = way.layers[layer]
        before, after = way.codes.unpack(name)[at : at + 2]
        several = kinds[name] in ("max_pool", "hardtanh", "relu6")
        changed = (before ^ after).any(0) if several else before ^ after
        assert changed.flatten()[unit]


def test_the_border_of_a_slice_crosses_as_many_regions(case):
    """On the plane of three inputs the lower side is the way from the first to the second."""
    model, (a, b, c) = case
    part = sl.partition(model, ((0, 1), (0, 0.02)), sl.Plane.through(a, b, c))
    way = sl.segment(model, a, b)
    below = part.edge_source[:, 0] == -1
    below &= part.edge_source[:, 1] == 0
    assert len(way) == below.sum()
    corners = np.unique(part.vertices[part.edges[below]][:, :, 0])
    np.testing.assert_allclose(corners, way.breakpoints, atol=1e-9)
    middle = (corners[1:] + corners[:-1]) / 2
    inside = part.locate(np.column_stack([middle, np.zeros(len(way))]))
    np.testing.assert_array_equal(rows(part.codes[inside]), rows(way.codes))


def test_decisions_are_where_the_largest_output_changes(case):
    model, (a, b, _) = case
    way = sl.segment(model, a, b)
    shares, classes = way.decisions
    fine = np.linspace(0, 1, 4001)
    with torch.no_grad():
        top = model(way(fine)).argmax(1).numpy()
    far = np.abs(shares[:, None] - fine).min(0, initial=1) > 1e-9
    np.testing.assert_array_equal(classes[np.searchsorted(shares, fine)][far], top[far])
    expected = shares[0] * float((b - a).norm()) if len(shares) else np.inf
    assert way.boundary_distance == pytest.approx(expected)


def test_decisions_by_hand():
    """|x| - 0.5 on the way from -1 to 1: negative between the two zeros."""
    first = nn.Linear(1, 2, bias=False)
    first.weight.data[:] = torch.tensor([[1.0], [-1.0]])
    net = nn.Sequential(first, nn.ReLU(), nn.Linear(2, 1))
    net[2].weight.data[:], net[2].bias.data[:] = 1.0, -0.5
    way = sl.segment(net, torch.tensor([-1.0]), torch.tensor([1.0]))
    assert way.breakpoints.tolist() == [0.0, 0.5, 1.0]
    assert way.source.tolist() == [[0, 0]]  # two units bend there, the first is named
    shares, classes = way.decisions
    assert shares.tolist() == [0.25, 0.75] and classes.tolist() == [1, 0, 1]
    assert way.boundary_distance == 0.5 and way.length == 2.0


def test_a_way_that_meets_nothing():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    for p in net.parameters():
        p.data[:] = 1.0
    net[2].bias.data[1] = 0.0
    way = segment(net, torch.zeros(2), torch.ones(2))
    assert len(way) == 1 and way.boundary_distance == np.inf and len(way.source) == 0


def test_twins_and_dead_units_bend_once():
    layer = nn.Linear(1, 4)
    layer.weight.data[:] = torch.tensor([[1.0], [3.0], [-2.0], [0.0]])
    layer.bias.data[:] = torch.tensor([-0.25, -0.75, 0.5, 0.0])
    way = sl.segment(nn.Sequential(layer, nn.ReLU()), torch.zeros(1), torch.ones(1))
    np.testing.assert_allclose(way.breakpoints, [0, 0.25, 1])
    bits = way.codes.unpack("0").tolist()
    assert bits == [[False, False, True, False], [True, True, False, False]]


def test_a_model_in_half_precision_is_refused():
    ends = torch.zeros(2), torch.ones(2)
    for dtype in (torch.float16, torch.bfloat16):
        with pytest.raises(ValueError, match="half-precision"):
            sl.segment(nn.Linear(2, 1).to(dtype), *ends)


def test_what_is_no_way_is_refused():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = torch.ones(2)
    for other, told in ((torch.ones(3), "one shape"), (x, "same input"), (x * torch.nan, "finite")):
        with pytest.raises(ValueError, match=told):
            sl.segment(net, x, other)
    with pytest.raises(ValueError, match="shape"):
        sl.segment(net, torch.zeros(3), torch.ones(3))
    with pytest.raises(sl.RegionLimitExceeded):
        sl.segment(net, -10 * x, 10 * x, max_regions=1)
    with pytest.raises(sl.NotPiecewiseAffine, match="1"):
        sl.segment(nn.Sequential(nn.Linear(2, 2), nn.GELU()), -x, x)


def test_a_layer_without_units_bends_nowhere():
    class Nothing(nn.Module):
        def forward(self, x):
            return torch.cat([x[:, :2], x[:, 2:].relu()], 1)

    model = nn.Sequential(nn.Linear(2, 2), Nothing(), nn.ReLU())
    way = sl.segment(model, torch.tensor([-9.0, -9]), torch.tensor([9.0, 9]))
    assert way.codes.count_regions() == len(way) == len(sl.segment(model[::2], way.start, way.end))
