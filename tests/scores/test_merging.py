"""At which distance hyperplanes merge: layer by layer, and many layers at once."""

import pytest
import torch

import splinelib as sl
from splinelib.scores.hyperplanes import hyperplane_distance, redundancy_order
from splinelib.scores.merging import merging_costs, merging_distance, merging_distances


def layer(units, fan_in, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    normals = torch.randn(units, fan_in, generator=generator, dtype=dtype)
    return normals, torch.randn(units, generator=generator, dtype=dtype)


def costs_of(distance, strength):
    cost, sure = merging_costs(distance.numpy(), strength.numpy())
    return torch.from_numpy(cost), sure.tolist()


@pytest.mark.parametrize("units", [1, 2, 3, 50])
def test_costs_are_those_of_the_greedy_order(units):
    layers = [layer(units, 4, seed, torch.float64) for seed in range(5)]
    distance = torch.stack([hyperplane_distance(*each) for each in layers])
    strength = torch.stack([normals.norm(dim=1) for normals, _ in layers])
    cost, sure = costs_of(distance, strength)
    assert sure == [True] * 5
    for found, each in zip(cost, layers, strict=True):
        torch.testing.assert_close(found, redundancy_order(*each).cost)


def test_where_equal_distances_decide_it_is_said():
    """Unit 1 lies as far from 0 as from 2: is it gone when 2 asks for it?"""
    distance = torch.tensor([[[0.0, 0.5, 0.9], [0.5, 0.0, 0.5], [0.9, 0.5, 0.0]]])
    strength = torch.tensor([[3.0, 2.0, 1.0]])
    assert costs_of(distance, strength)[1] == [False]
    distance[0, 1, 2] = distance[0, 2, 1] = 0.4
    cost, sure = costs_of(distance, strength)
    assert sure == [True] and cost[0, :].tolist()[1:] == pytest.approx([0.5, 0.4])
    assert cost[0, 0] > 0.5


def test_equal_units_go_at_no_cost_but_for_one():
    normals = torch.tensor([[1.0, 2.0]] * 4 + [[3.0, -1.0]])
    score = merging_distance(normals, torch.ones(5))
    assert (score[1:4] < 1e-6).all() and score[0] > 0.5


@pytest.mark.parametrize("components", [2, 5, 0.8, None])
def test_layers_of_one_shape_are_scored_as_each_alone(components):
    shapes = [(12, 6), (12, 6), (6, 12), (12, 6), (6, 12), (40, 30)]
    layers = [layer(*shape, seed) for seed, shape in enumerate(shapes)]
    layers.append((torch.eye(6), torch.zeros(6)))  # some of its units lie outside
    layers.append((torch.zeros(12, 6), torch.zeros(12)))
    together = merging_distances(layers, 0.2, [components] * len(layers))
    for found, each in zip(together, layers, strict=True):
        torch.testing.assert_close(found, merging_distance(*each, 0.2, components))


def test_the_distance_is_scaled_by_the_offsets_of_each_layer():
    """A stack has one root mean square for each layer, also where it is zero."""
    normals, offsets = layer(12, 6, 0)
    layers = [(normals, offsets), (normals, 100 * offsets), (normals, torch.zeros(12))]
    one, hundredfold, none = merging_distances(layers)
    torch.testing.assert_close(one, hundredfold)
    assert not torch.allclose(one, none)


def test_a_wide_layer_and_many_narrow_ones_do_not_fit_at_once(monkeypatch):
    layers = [layer(30, 8, seed) for seed in range(7)]
    expected = merging_distances(layers)
    monkeypatch.setattr("splinelib.scores.merging._VALUES", 2 * 30 * 30)
    torch.testing.assert_close(merging_distances(layers), expected)
    monkeypatch.setattr("splinelib.scores.merging._UNITS", 29)
    torch.testing.assert_close(merging_distances(layers), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_scored_as_the_same_numbers(dtype):
    normals, offsets = (tensor.to(dtype) for tensor in layer(20, 9, 0))
    found = merging_distance(normals, offsets)
    torch.testing.assert_close(found, merging_distance(normals.float(), offsets.float()))


def test_bad_values_are_named():
    normals, offsets = layer(4, 3, 0)
    with pytest.raises(ValueError, match="rho should be a finite number of at least 0, not -1"):
        merging_distance(normals, offsets, rho=-1)
    with pytest.raises(ValueError, match="PCA needs at least 1 component, got 0"):
        merging_distance(normals, offsets, components=0)
    with pytest.raises(ValueError, match="hold NaN or infinite values"):
        merging_distance(normals * torch.nan, offsets)


def test_a_network_is_scored_layer_by_layer_all_the_same():
    """Whoever asks for one group gets what comes of all groups at once."""
    model = sl.models.preresnet(depth=20, width=0.5).eval()
    scores = sl.score(model, "spline", example=torch.zeros(1, 3, 32, 32))
    context = sl.criteria.Context(model, scores.layout, None, 0)
    for name, group in scores.layout.groups.items():
        torch.testing.assert_close(
            scores[name], merging_distance(*context.hyperplanes(group)).detach()
        )


def test_a_unit_outside_of_the_kept_directions_is_compared_as_it_is():
    """Two clusters span the two kept directions; a seventh unit is orthogonal to them.

    Of the seventh no kept direction says anything. No unit is like it, so it is no more redundant
    than the last of each cluster; of two of its kind that coincide one goes at no cost.
    """
    near = [row for x in (0, 0.1, -0.1) for row in ([1, x, 0], [x, 1, 0])]
    near = torch.tensor([*near, [0, 0, 1]], dtype=torch.float32)
    score = merging_distance(near, torch.zeros(7), components=2)
    assert score[6] > 0.99 and (score[:6] < 0.1).sum() == 4
    twins = torch.cat([near, torch.tensor([[0, 0, 0.5]])])
    score = merging_distance(twins, torch.zeros(8), components=2)
    assert score.argmin() == 7 and score[7] == 0 and score[6] > 0.99


def test_orthogonal_units_are_all_as_far_apart_as_can_be():
    """An orthogonal start: 2 of 6 directions are kept, and 4 units lie outside of them."""
    score = merging_distance(torch.eye(6), torch.zeros(6), components=2)
    assert torch.allclose(score, torch.ones(6))
