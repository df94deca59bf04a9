"""A `Pruner` prunes as `prune` does; what its ways share is measured once."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import splinelib as sl
from splinelib.pruning import compensation


def trained_digits_mlp(seed=0):
    digits = sl.data.load("digits")
    inputs, labels = digits.to_float(digits.train_images).flatten(1), digits.train_labels
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(20):
        for rows in torch.randperm(len(inputs)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimiser.step()
    test = digits.to_float(digits.test_images).flatten(1)
    return model.eval(), inputs, test, digits.test_labels


def test_digits_mlp_without_retraining():
    model, inputs, test, labels = trained_digits_mlp()

    def accuracy(net):
        with torch.no_grad():
            return 100 * (net(test).argmax(1) == labels).float().mean().item()

    dense = accuracy(model)
    assert dense > 96
    for ratio, loss in ((0.5, 0.6), (0.7, 1.2), (0.9, 4.0)):
        small = sl.prune(model, ratio, "lsq", data=inputs, compensate=True)
        assert accuracy(small) > dense - loss, ratio
    assert accuracy(sl.prune(model, 0.9, "lsq", data=inputs, compensate="distil")) > dense - 3
    assert accuracy(sl.prune(model, 0.9, "magnitude", data=inputs)) < dense - 30


def test_digits_mlp_without_an_input():
    model, inputs, test, labels = trained_digits_mlp()

    def accuracy(net):
        with torch.no_grad():
            return 100 * (net(test).argmax(1) == labels).float().mean().item()

    dense = accuracy(model)
    for ratio, loss in ((0.5, 1.5), (0.7, 4), (0.9, 20)):
        small = sl.prune(model, ratio, example=inputs[:1])
        plain = sl.prune(model, ratio, "magnitude", example=inputs[:1])
        assert accuracy(small) > max(dense - loss, accuracy(plain)), ratio


WAYS = [
    (0.3, "lsq", "residual", "refit"),
    (0.5, "lsq", "residual", "refit"),
    (0.5, "spline", "residual", "distil"),
    (0.4, "magnitude", "layerwise", "fold"),
    (0.4, "thinet", "global", False),
    (0.0, "random", "global", "refit"),
    (0.4, "magnitude", "global", "refit"),
]


@pytest.mark.parametrize("ways", [WAYS, WAYS[::-1]], ids=["forwards", "backwards"])
def test_prunes_as_the_function_does_whatever_came_before(network, data, ways):
    pruner = sl.Pruner(network, data)
    for ratio, criterion, scope, compensate in ways:
        found = pruner.prune(ratio, criterion, scope, compensate).state_dict()
        alone = sl.prune(network, ratio, criterion, scope, data, compensate=compensate)
        expected = alone.state_dict()
        assert list(found) == list(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_scores_are_those_of_the_functions(network, data):
    pruner = sl.Pruner(network, data)
    scores = sl.score(network, "spline", data=data)
    common = sl.common_residual(network, scores, data)
    for found, expected in (
        (pruner.scores("spline"), scores),
        (pruner.scores("spline", "residual"), common),
    ):
        assert list(found) == list(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_lsq_scores_are_a_common_residual_already(network, data):
    scores = sl.score(network, "lsq", data=data)
    common = sl.common_residual(network, scores, data)
    for name, found in sl.Pruner(network, data).scores("lsq", "residual").items():
        torch.testing.assert_close(found, common[name], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("ways", "passes"), [(WAYS, 1), (WAYS[::-1], 2)])
def test_the_dense_network_sees_the_data_once(network, data, ways, passes):
    """However often it is pruned and refitted, without a graph; twice where a refit comes first."""
    seen, weight = [], network[0].weight

    def look(layer, _, output):
        # Networks that are made of it bring the hook along; replicas share the weight.
        if layer.weight is weight:
            seen.append(len(output))
            assert not output.requires_grad

    network[0].register_forward_hook(look)
    pruner = sl.Pruner(network, data)
    seen.clear()  # of the tracing
    for ratio, criterion, scope, compensate in ways:
        if compensate == "refit":
            pruner.prune(ratio, criterion, scope, compensate)
    # Beside all of them in batches, one input that is tried channels last.
    assert sum(seen) == passes * (len(data) + 1)


@pytest.mark.parametrize("channels", [None, torch.tensor([1, 4])])
def test_outputs_are_what_the_layers_say_at_the_sampled_rows(network, data, channels):
    layer = network[3]
    outputs = compensation.Outputs(layer, len(data), 0, channels)
    with torch.no_grad():
        for part in data.split(64):
            outputs.hook(layer, None, network[:4](part))
        said = network[:4](data).movedim(1, -1).reshape(-1, 16)[outputs.sample.rows]
    torch.testing.assert_close(outputs.values(), said if channels is None else said[:, channels])
    few = torch.tensor([1])
    torch.testing.assert_close(outputs.values(few), outputs.values()[:, few])
