"""A `Pruner` prunes as `prune` does; what its ways share is measured once."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from networks import alive
from strangers import Fitting
from torch import nn

import splinelib as sl
from splinelib.channels import trial
from splinelib.pruning import compensation
from splinelib.scores.criteria import CRITERIA


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


class Odd(nn.Module):
    """A factor at one number of channels that no half of the units leaves."""

    def __init__(self, at=4):
        super().__init__()
        self.a, self.b, self.at = nn.Linear(8, 40), nn.Linear(40, 3), at

    def forward(self, x):
        x = F.relu(self.a(x))
        return self.b(2 * x if x.shape[1] == self.at else x)


def watched(monkeypatch):
    """How often a whole layout is tried out."""
    tried, right = [], trial._Trial.tried

    def spy(self):
        tried.append(self.layout)
        return right(self)

    monkeypatch.setattr(trial._Trial, "tried", spy)
    return tried


SINGLE = {
    "layers": (lambda: sl.models.mlp([6, 40, 30, 3]), (1, 6)),
    "streams": (lambda: alive(sl.models.preresnet(depth=20)), (1, 3, 16, 16)),
    "norms": (
        lambda: nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 3)),
        (1, 6),
    ),
    "heads": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (1, 5, 16)),
}


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("criterion", ["magnitude", "random", None])
def test_one_way_gives_what_a_pruner_does_and_tries_that_alone(name, criterion, monkeypatch):
    make, shape = SINGLE[name]
    torch.manual_seed(0)
    net, example = make().train(), torch.zeros(shape)
    expected = sl.Pruner(net, example=example).prune(0.5, criterion)
    tried = watched(monkeypatch)
    small = sl.prune(net, 0.5, criterion, example=example)
    assert small.training and bool(tried) == (criterion is None)  # which compensates
    assert {k: v.tolist() for k, v in small.state_dict().items()} == {
        k: v.tolist() for k, v in expected.state_dict().items()
    }
    kept = expected.pruning_record["kept"]
    assert small.pruning_record["kept"].keys() == kept.keys()


def test_a_group_that_is_wrong_elsewhere_goes_where_it_is_right(monkeypatch):
    torch.manual_seed(0)
    net, x = Fitting().eval(), torch.randn(20, 8)
    with pytest.raises(sl.errors.PruningError, match="left as elsewhere"):
        sl.find_groups(net, x)
    tried = watched(monkeypatch)
    small = sl.prune(net, 0.4, "magnitude", example=x)
    assert not tried and small.a.out_features != small.b.out_features
    kept = small.pruning_record["kept"]
    with torch.no_grad():
        h = F.relu(F.linear(x, net.a.weight[kept["a"]["out"]], net.a.bias[kept["a"]["out"]]))
        w = net.b.weight[kept["b"]["out"]][:, kept["b"]["in"]]
        h = F.relu(F.linear(h, w, net.b.bias[kept["b"]["out"]]))
        expected = F.linear(h, net.c.weight[:, kept["c"]["in"]], net.c.bias)
        assert torch.allclose(small(x), expected, atol=1e-6)


def test_what_is_wrong_for_the_units_asked_for_is_tried_out_as_ever():
    torch.manual_seed(0)
    net, x = Fitting().eval(), torch.randn(20, 8)
    # of 30 units 14 go, by their scores as many as leave both layers alike
    scores = {"a": torch.cat([torch.ones(12), torch.full((8,), 9.0)]), "b": torch.ones(10)}
    with pytest.MonkeyPatch.context() as patch:
        values = {20: scores["a"], 10: torch.tensor([1.0, 1, 9, 9, 9, 9, 9, 9, 9, 9])}
        patch.setitem(CRITERIA, "magnitude", lambda context, group: values[group.units])
        with pytest.raises(sl.errors.PruningError, match="left as elsewhere"):
            sl.prune(net, 14 / 30, "magnitude", example=x)


def test_units_for_which_alone_the_network_is_wrong_are_refused():
    torch.manual_seed(0)
    net, x = Odd().eval(), torch.randn(20, 8)
    assert sl.find_groups(net, x).groups["a"].units == 40
    with pytest.raises(sl.errors.PruningError, match=r"units that are asked for.*Another ratio"):
        sl.prune(net, 36 / 40, "magnitude", example=x)
    assert sl.prune(net, 35 / 40, "magnitude", example=x).a.out_features == 5


def test_what_is_told_of_the_units_is_told_once(monkeypatch):
    net = sl.models.mlp([4, 6, 6, 2])
    low = lambda _, group: torch.arange(6.0) + (0 if group.name == "linear1" else 10)  # noqa: E731
    monkeypatch.setitem(CRITERIA, "magnitude", low)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        sl.prune(net, 0.5, "magnitude", example=torch.zeros(1, 4))
    assert [str(w.message).startswith("groups ['linear1'] would have lost") for w in told] == [True]
    assert told[0].filename == __file__


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounding_is_no_fault_where_few_units_go(dtype):
    for seed in range(3):
        torch.manual_seed(seed)
        net, x = alive(sl.models.vgg16(width=0.25)).to(dtype), torch.randn(2, 3, 32, 32).to(dtype)
        expected = sl.Pruner(net, example=x, seed=seed).prune(0.02, "random")
        small = sl.prune(net, 0.02, "random", example=x, seed=seed)
        for one, other in zip(small.parameters(), expected.parameters(), strict=True):
            assert torch.equal(one, other)


def test_rounding_is_no_fault_where_much_cancels():
    class Difference(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(16, 256), nn.Linear(256, 64), nn.Linear(256, 64)
            self.d, self.e = nn.Linear(64, 64), nn.Linear(64, 4)
            with torch.no_grad():
                self.b.weight.mul_(1000)
                self.c.weight.copy_(self.b.weight + 0.05 * torch.randn(64, 256))

        def forward(self, x):
            x = F.relu(self.a(x))
            return self.e(F.relu(self.d(F.relu(self.b(x) - self.c(x)))))

    for seed in range(4):
        torch.manual_seed(seed)
        net, x = Difference(), torch.randn(8, 16)
        assert sl.prune(net, 0.02, "magnitude", example=x).a.out_features < 256


def told_by(make):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        make()
    assert all(warning.filename == __file__ for warning in told)
    return [str(warning.message) for warning in told]


@pytest.mark.parametrize("ratio", [0.4, 0.6])
def test_what_is_told_is_of_groups_that_can_go_alone(ratio, monkeypatch):
    """As by a pruner: nothing of units that a trial refuses, and nothing twice."""

    class Parted(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 12), nn.Linear(12, 12), nn.Linear(12, 12)
            self.d = nn.Linear(12, 3)

        def forward(self, x):
            x = F.relu(self.b(F.relu(self.a(x))))
            x = self.c(x)
            return self.d(F.relu(x)) + torch.sigmoid(x).sum(1, keepdim=True)

    torch.manual_seed(0)
    net, example = Parted(), torch.randn(6, 6)
    assert list(sl.find_groups(net, example).groups) == ["a", "b"]
    height = {"a": 20, "b": 0, "c": -20}
    low = lambda _, group: torch.arange(12.0) + height[group.name]  # noqa: E731
    monkeypatch.setitem(CRITERIA, "magnitude", low)
    pruner = sl.Pruner(net, example=example)
    expected = told_by(lambda: pruner.prune(ratio, "magnitude"))
    assert told_by(lambda: sl.prune(net, ratio, "magnitude", example=example)) == expected
    assert len(expected) == (ratio > 0.5)


def test_what_is_drawn_by_chance_is_drawn_once(monkeypatch):
    """Also where the first look at it ends in an error, which is then that of a pruner."""
    net, drawn = sl.models.mlp([4, 6, 6, 2]), []
    chance = CRITERIA["random"]
    monkeypatch.setitem(CRITERIA, "random", lambda *given: drawn.append(given) or chance(*given))
    with pytest.raises(ValueError, match="round_to=5"):
        sl.prune(net, 0.5, "random", example=torch.zeros(1, 4), round_to=5)
    assert len(drawn) == 2


def test_what_cannot_be_asked_for_is_refused_as_by_a_pruner():
    net, example = sl.models.mlp([4, 6, 6, 2]), torch.zeros(1, 4)
    for ratio, criterion, how, what in [
        (0.99, "magnitude", {}, "each of the 2 groups keeps at least one"),
        (0.5, "bn", {}, "can judge no layer"),
        (0.5, "magnitude", {"round_to": 5}, "round_to=5"),
    ]:
        with pytest.raises(ValueError, match=what):
            sl.prune(net, ratio, criterion, example=example, **how)
        with pytest.raises(ValueError, match=what):
            sl.Pruner(net, example=example).prune(ratio, criterion, **how)
