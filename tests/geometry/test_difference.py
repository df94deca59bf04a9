"""The exact difference of two networks: nowhere more, and somewhere as much."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from networks import integer_networks, network, random_network
from torch import nn

import splinelib as sl


def outputs(model, points):
    with torch.no_grad():
        return model.double().eval()(torch.as_tensor(points)).flatten(1).numpy()


def changes(model, other, points):
    return np.abs(outputs(model, points) - outputs(other, points))


def test_no_point_exceeds_it_and_dense_sampling_comes_close_from_below():
    model = random_network([24, 24], seed=0, outputs=3).double()
    other = random_network([16], seed=1, outputs=3).double()
    found = sl.difference(model, other)
    assert changes(model, other, found.where[None])[0, found.output] == pytest.approx(
        found.largest, abs=1e-12
    )
    points = np.random.default_rng(0).uniform(-1, 1, (200_000, 2))
    assert changes(model, other, points).max() <= found.largest + 1e-12
    # and a grid around the place, within the square, comes as near as its step
    near = found.where + np.random.default_rng(1).uniform(-1e-6, 1e-6, (1000, 2))
    seen = changes(model, other, np.clip(near, -1, 1)).max()
    assert found.largest - 1e-3 < seen <= found.largest + 1e-12


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(integer_networks(), integer_networks())
def test_degenerate_networks_do_not_exceed_it_anywhere(first, second):
    model, other = network(first), network(second)
    found = sl.difference(model, other)
    axis = np.linspace(-1, 1, 41)
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    assert changes(model, other, points).max() <= found.largest + 1e-9
    assert changes(model, other, found.where[None]).max() == pytest.approx(found.largest, abs=1e-9)


def test_by_hand():
    # relu(x) and 0: they are furthest apart along x = 1, by 1; relu(x) - |x| is -relu(-x)
    relu = network([([[1, 0]], [0]), ([[1]], [0])])
    nothing = network([([[0, 0]], [0]), ([[1]], [0])])
    both = network([([[1, 0], [-1, 0]], [0, 0]), ([[1, 3]], [0])])
    found = sl.difference(relu, nothing)
    assert found.largest == 1 and found.where[0] == 1
    assert found.before == [1] and found.after == [0]
    found = sl.difference(relu, both)
    assert found.largest == 3 and found.where[0] == -1
    assert found.change.min() == 0 and found.change.max() == 3


def test_equal_networks_do_not_differ_and_the_order_does_not_matter():
    model = random_network([16, 16], seed=3, outputs=2)
    other = random_network([16, 16], seed=4, outputs=2)
    assert sl.difference(model, model).largest < 1e-12
    assert sl.difference(model, copy.deepcopy(model)).largest < 1e-12
    one, two = sl.difference(model, other), sl.difference(other, model)
    assert one.largest == pytest.approx(two.largest, abs=1e-12)
    assert len(one.refinement) == len(two.refinement)


def test_a_rescaled_and_permuted_copy_is_the_same_network():
    model = random_network([12, 12], seed=7).double()
    same = copy.deepcopy(model)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    scale = torch.linspace(0.1, 9, 12, dtype=torch.float64)
    same[0].weight.data = (same[0].weight.data * scale[:, None])[order]
    same[0].bias.data = (same[0].bias.data * scale)[order]
    same[2].weight.data = (same[2].weight.data / scale)[:, order]
    found = sl.difference(model, same)
    assert found.largest < 1e-12
    assert len(found.refinement) == len(sl.partition(model))


def test_both_are_affine_on_every_region_of_the_refinement():
    model, other = random_network([12, 12], seed=5), random_network([8], seed=6)
    refinement = sl.difference(model, other).refinement
    A, b = refinement.affine_maps()
    points = np.random.default_rng(0).uniform(-1, 1, (3000, 2))
    region = refinement.locate(points)
    expected = np.concatenate([outputs(model, points), outputs(other, points)], axis=1)
    assert np.einsum("rcd,rd->rc", A[region], points) + b[region] == pytest.approx(
        expected, abs=1e-9
    )
    assert len(refinement) >= max(len(sl.partition(m)) for m in (model, other))
    assert {name.split(".")[0] for name in refinement.layers} == {"first", "second"}


def test_layers_that_two_networks_share_have_the_names_of_both():
    model = random_network([4, 4])
    head = nn.Sequential(model[0], model[1], nn.Linear(4, 1))
    assert sl.difference(model, model).refinement.layers == [
        *("first.0", "first.2", "second.0", "second.2")
    ]
    assert sl.difference(model, head).refinement.layers == ["first.0", "first.2", "second.0"]


def test_a_pruned_convolutional_network_on_a_plane_of_images():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        *(nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4, 3)),
    ).train()
    images = torch.rand(3, 1, 8, 8)
    plane = sl.Plane.through(*images)
    pruned = sl.prune(model, 0.3, example=images)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = sl.difference(model, pruned, ((0, 0.3), (0, 0.3)), plane)
    assert model.training and pruned.training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    uv = np.random.default_rng(0).uniform(0, 0.3, (2000, 2))
    seen = changes(copy.deepcopy(model), copy.deepcopy(pruned), plane(uv)).max()
    assert 0.5 * found.largest < seen <= found.largest + 1e-12


def test_bad_input_is_refused():
    model = random_network([8], outputs=2)
    with pytest.raises(ValueError, match="2 and 3 outputs"):
        sl.difference(model, random_network([8], outputs=3))
    with pytest.raises(TypeError, match="int"):
        sl.difference(model, 3)
    with pytest.raises(ValueError, match="must take 2 inputs"):
        sl.difference(model, nn.Linear(5, 2))
    with pytest.raises(sl.NotPiecewiseAffine, match="second"):
        sl.difference(model, nn.Sequential(nn.Linear(2, 2), nn.GELU()))
    with pytest.raises(sl.RegionLimitExceeded):
        sl.difference(random_network([32, 32]), random_network([32], seed=1), max_regions=50)
    broken = random_network([8], outputs=2)
    broken[0].bias.data[0] = torch.inf
    with pytest.raises(ValueError, match="NaN or infinite"):
        sl.difference(model, broken)
