"""A `Pruner` prunes as `prune` does; what its ways share is measured once."""

import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib import compensation, pruning

WAYS = [
    (0.3, "lsq", "residual", "refit"),
    (0.5, "lsq", "residual", "refit"),
    (0.5, "spline", "residual", "distil"),
    (0.4, "magnitude", "layerwise", "fold"),
    (0.4, "thinet", "global", False),
    (0.0, "random", "global", "refit"),
    (0.4, "magnitude", "global", "refit"),
]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 16, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    ).eval()


@pytest.fixture
def data():
    return torch.randn(150, 3, 8, 8, generator=torch.Generator().manual_seed(1))


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
    seen = []
    pruner = sl.Pruner(network, data)

    def look(layer, _, output):
        if layer is network[0]:  # copies of the network bring the hook along
            seen.append(len(output))
            assert not output.requires_grad

    hook = network[0].register_forward_hook(look)
    for ratio, criterion, scope, compensate in ways:
        if compensate == "refit":
            pruner.prune(ratio, criterion, scope, compensate)
    hook.remove()
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


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        ({"ratio": 1.0}, "ratio"),
        ({"ratio": 0.5, "criterion": "nonsense"}, "'spline'"),
        ({"ratio": 0.5, "scope": "everywhere"}, "'residual'"),
        ({"ratio": 0.5, "compensate": "hope"}, "'distil'"),
        ({"ratio": 0.5, "round_to": 0}, "round_to"),
    ],
)
def test_a_bad_request_is_refused_before_any_work(network, data, monkeypatch, request_, match):
    pruner = sl.Pruner(network, data)

    def never(*_):
        raise AssertionError("scored")

    monkeypatch.setattr(pruning, "_score", never)
    with pytest.raises(ValueError, match=match):
        pruner.prune(**request_)


@pytest.mark.parametrize("request_", [{"scope": "residual"}, {"compensate": True}])
def test_without_data_what_needs_them_is_refused(network, request_):
    pruner = sl.Pruner(network, example=torch.zeros(1, 3, 8, 8))
    assert pruner.prune(0.5)[0].out_channels < 12
    with pytest.raises(ValueError, match="pass data="):
        pruner.prune(0.5, **request_)
