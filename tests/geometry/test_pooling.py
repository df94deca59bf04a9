"""Max-pooling: windows hold what torch's hold, and no cut is left that no winner needs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from geometry.checks import check_invariants
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from networks import network, whole
from torch import nn

import splinelib as sl
from splinelib.geometry.pooling import windows
from splinelib.network.trace import record


class Largest(nn.Module):
    """The largest value over all positions."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, x):
        return x.amax(**self.options)


@pytest.mark.parametrize(
    "pool",
    [
        *(Largest(dim=(2, 3)), Largest(dim=-1, keepdim=True), Largest(dim=(1, 3, 2))),
        *(nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, 1, dilation=2), nn.AdaptiveMaxPool2d((2, 3))),
        nn.MaxPool2d(2, ceil_mode=True),
    ],
)
def test_the_largest_candidate_of_each_window_is_the_pooled_value(pool):
    x = torch.randn(1, 3, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (node,) = record(pool, x).activations()
    candidates, shape = windows(node.activation, x.shape)
    expected = pool(x)
    assert tuple(shape) == expected.shape[1:]
    values = np.append(x.numpy().ravel(), -np.inf)
    index = np.where(candidates < 0, -1, candidates & ((1 << 40) - 1))
    assert (values[index].max(1) == expected.numpy().ravel()).all()
    # the place in the window is what the region code calls the winner
    winner = np.take_along_axis(candidates, values[index].argmax(1)[:, None], 1)[:, 0] >> 40
    assert (winner == node.activation.winner(x).numpy().ravel()).all()


class MaxOut(nn.Module):
    """Groups of three units, of which the largest goes on."""

    def __init__(self, layers):
        super().__init__()
        self.body = network(layers)

    def forward(self, x):
        for layer in list(self.body)[:-1]:
            x = F.max_pool1d(layer(x)[:, None], 3)[:, 0] if isinstance(layer, nn.Linear) else x
        return self.body[-1](x)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(whole, whole, whole), min_size=6, max_size=6), st.integers(0, 3))
@example([(1, 0, 0), (0, 1, 0), (1, 1, 0)] * 2, 0)
@example([(0, 0, 0), (0, 0, 0), (0, 3, 0), (0, 3, 1), (0, 0, 0), (0, 0, 0)], 3)
def test_max_pooling_of_integer_units_leaves_no_cut_that_no_winner_needs(units, seed):
    weight, bias = [list(u[:2]) for u in units], [u[2] for u in units]
    second = torch.randint(-2, 3, (3, 2), generator=torch.Generator().manual_seed(seed)).tolist()
    model = MaxOut([(weight, bias), (second, [0, 1, 0]), ([[1.0]], [0.0])])
    part = sl.partition(model)
    check_invariants(part)
    # Dyadic points: the network's own sums are exact there, so ties are ties.
    points = np.rint(np.random.default_rng(seed).uniform(-1, 1, (300, 2)) * 2**40) / 2**40
    codes = sl.region_codes(model, torch.from_numpy(points))
    assert part.codes[part.locate(points)].distance(codes) == 0
    # a corner of no region, or an edge cut in two for nothing, would show here
    degree = np.bincount(part.edges.ravel())
    assert (degree[4:] >= 3).all()


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.AdaptiveMaxPool2d(3)])
def test_max_pooling_in_a_convolutional_network(pool):
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), pool, nn.Conv2d(3, 4, 2), nn.ReLU()),
        *(nn.Flatten(), nn.LazyLinear(2)),
    )
    images = torch.rand(3, 1, 8, 8)
    model(images)
    plane = sl.Plane.through(*images)
    part = sl.partition(model, ((0, 0.3), (0, 0.3)), plane)
    check_invariants(part)
    points = np.random.default_rng(2).uniform(0, 0.3, (800, 2))
    codes = sl.region_codes(model.double(), plane(points))
    assert part.codes[part.locate(points)].distance(codes) == 0
    truth = model(plane(part.vertices)).detach().numpy()
    assert part.outputs == pytest.approx(truth, abs=1e-10)
