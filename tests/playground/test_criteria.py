"""Scores, orders and what others take over in the browser are the library's."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import integer_networks, network, random_network
from scipy.special import ndtr

import splinelib as sl
from splinelib.scores.hyperplanes import hyperplane_distance

SCORES = "([text, name]) => CRITERIA[name](fromJson(text), 1).map(scores => [...scores])"
PRUNED = """([text, name, count, takeOver]) => {
    const network = fromJson(text);
    const order = removalOrder(CRITERIA[name](network, 1));
    return toJson(withoutUnits(network, order.slice(0, count), takeOver));
}"""
INPUT = torch.zeros(1, 2, dtype=torch.float64)
widths = st.lists(st.integers(2, 16), min_size=1, max_size=3)
seeds = st.integers(0, 2**32 - 1)
several = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def test_the_normal_distribution(modules):
    places = np.concatenate([np.linspace(-12, 12, 481), [-40.0, 0.0, 40.0]])
    found = modules("places => places.map(normalDistribution)", places.tolist())
    assert found == pytest.approx(ndtr(places), rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("name", ["magnitude", "spline", "bend"])
@several
@given(widths=widths, seed=seeds)
def test_scores_are_those_of_the_library(modules, name, widths, seed):
    model = random_network(widths, seed).double()
    expected = sl.score(model, name, example=INPUT)
    found = modules(SCORES, [sl.models.to_json(model), name])
    for scores, truth in zip(found, expected.values(), strict=True):
        assert scores == pytest.approx(truth.numpy(), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("name", ["magnitude", "spline", "bend"])
@several
@given(layers=integer_networks())
def test_scores_of_degenerate_networks_are_finite(modules, name, layers):
    found = modules(SCORES, [sl.models.to_json(network(layers)), name])
    assert all(np.isfinite(scores).all() for scores in found)


TWINS = [([[1, 2], [2, 4], [-1, -2], [1, -1], [0, 0]], [0.5, 1, -0.5, 0.25, 1])]


@pytest.mark.parametrize("name", ["magnitude", "spline", "bend"])
def test_scores_of_twins_mirrored_and_dead_units(modules, name):
    model = network([*TWINS, ([[1, 2, 3, -1, 1]], [0])])
    (expected,) = sl.score(model, name, example=INPUT).values()
    (found,) = modules(SCORES, [sl.models.to_json(model), name])
    assert found == pytest.approx(expected.numpy(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("compensate", [False, "merge"])
@pytest.mark.parametrize("name", ["magnitude", "spline", "bend"])
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.8])
def test_a_pruned_network_is_the_library_s(modules, name, compensate, ratio):
    model = random_network([8, 12], 7).double()
    settings = {"criterion": name, "scope": "global", "compensate": compensate}
    expected = sl.prune(model, ratio, example=INPUT, **settings)
    count = int(ratio * 20 + 0.5)
    found = modules(PRUNED, [sl.models.to_json(model), name, count, bool(compensate)])
    found = sl.models.from_json(found)
    units = [layer.out_features for layer in found if isinstance(layer, torch.nn.Linear)]
    assert sum(units[:-1]) == 20 - count
    for mine, theirs in zip(found.parameters(), expected.parameters(), strict=True):
        assert mine.detach().numpy() == pytest.approx(theirs.detach().numpy(), rel=1e-7, abs=1e-9)


def test_random_takes_every_unit_but_one_of_each_layer(modules):
    call = "seed => removalOrder(CRITERIA.random(randomNetwork([5, 4], 1), seed))"
    one, again, other = (modules(call, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len({tuple(unit) for unit in one}) == 7
    assert {layer for layer, _ in one} == {0, 1}


@several
@given(seed=seeds)
def test_the_nearest_line_on_the_same_side(modules, seed):
    model = random_network([9], seed).double()
    weight, bias = model[0].weight.detach(), model[0].bias.detach()
    length = weight.norm(dim=1)
    spread = (bias / length).square().mean().sqrt()
    distance = hyperplane_distance(weight / length[:, None], bias / length / spread)
    distance[weight @ weight.T <= 0] = torch.inf
    distance.fill_diagonal_(torch.inf)
    expected = [int(row.argmin()) if row.isfinite().any() else -1 for row in distance]
    call = "text => { const [layer] = fromJson(text); return [...layer.bias.keys()].map(unit => "
    found = modules(call + "nearestOnSameSide(layer, unit)); }", sl.models.to_json(model))
    assert found == expected


def test_a_twin_merges_without_a_trace_and_a_mirror_image_has_no_partner(modules):
    model = network([*TWINS, ([[1, 2, 3, -1, 1], [1, 0, -1, 2, 1]], [0, 1]), ([[1, -1]], [0])])
    text = sl.models.to_json(model)
    merged = modules("text => toJson(mergedInto(fromJson(text), 0, 0, 1))", text)
    x = 2 * torch.rand(200, 2, dtype=torch.float64) - 1
    merged = sl.models.from_json(merged)
    assert merged(x).detach().numpy() == pytest.approx(model(x).detach().numpy(), abs=1e-12)
    assert merged[1].out_features == 4
    opposite = sl.models.to_json(network([([[1, 2], [-1, -2]], [0.5, -0.5]), ([[1, 1]], [0])]))
    assert modules("text => nearestOnSameSide(fromJson(text)[0], 0)", opposite) == -1


def test_a_weight_is_cut_alone(modules):
    model = random_network([3, 2], 1).double()
    cut = modules(
        "text => toJson(withoutWeight(fromJson(text), 0, 1, 0))", sl.models.to_json(model)
    )
    model[0].weight.data[1, 0] = 0
    assert sl.models.to_json(sl.models.from_json(cut)) == sl.models.to_json(model)
