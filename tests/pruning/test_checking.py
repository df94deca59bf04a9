"""No compensation leaves a larger error than none."""

import copy
import math

import pytest
import torch
from networks import convnet, dense_mlp, images
from torch import nn

import splinelib as sl
from splinelib.pruning import masking
from splinelib.pruning.checking import (
    answers_at,
    answers_of,
    errors,
    first_layers,
    never_worse,
)


def data_of(n=300, seed=0):
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def spoilt(model, *names):
    small = copy.deepcopy(model)
    for name in names:
        small.get_submodule(name).weight.mul_(-3)
    return small


def test_errors_by_hand():
    model, data = nn.Linear(6, 2), data_of(100)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.bias += torch.tensor([1.0, 2.0])
        expected = 5 / model(data).square().sum(1).mean()
    answers = answers_of(model, data)
    found = errors(answers, [model, other], data)
    assert found == [0.0, pytest.approx(expected.item(), rel=1e-5)]
    with torch.no_grad():
        p, q = model(data).log_softmax(1), other(data).log_softmax(1)
        divergence = (p.exp() * (p - q)).sum(1).mean().item()
    (found,) = errors(answers, [other], data, probabilities=True)
    assert found == pytest.approx(divergence, rel=1e-5)
    assert math.isnan(errors(answers, [nn.Linear(6, 3)], data)[0])


class Named(nn.Module):
    """Several outputs, in a structure, one of them of whole numbers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 2), nn.Linear(6, 3)

    def forward(self, x):
        return {"a": self.a(x), "rest": (self.b(x), x.argmax(1), None)}


def test_every_output_counts():
    model, data = Named(), data_of(70)
    answers = answers_of(model, data)
    assert errors(answers, [spoilt(model, "b")], data)[0] > 1
    assert errors(answers, [spoilt(model, "a")], data)[0] > 1
    assert errors(answers, [model], data) == [0.0]


def judged(dense, small, plain, others=lambda: iter(()), data=None):
    data = data_of() if data is None else data
    given = dense, answers_of(dense, data), (small, []), lambda: plain, others, data
    return never_worse(*given, "refit")[0]


def test_the_better_one_is_taken():
    model = dense_mlp()
    bad, worse = spoilt(model, "4"), spoilt(model, "2", "4")
    assert judged(model, bad, worse) is bad
    assert judged(model, bad, bad) is bad
    with pytest.warns(UserWarning, match="nothing is compensated"):
        assert judged(model, worse, bad) is bad
    with pytest.warns(UserWarning, match="less of it is done"):
        assert judged(model, worse, bad, lambda: iter([(worse, []), (model, [])])) is model


def test_what_is_clear_from_some_inputs_needs_no_others():
    model, data = dense_mlp(), data_of(1000)
    seen = []
    spoilt_one = spoilt(model, "4")
    spoilt_one.register_forward_hook(lambda *given: seen.append(len(given[2])))
    judged(model, model, spoilt_one, data=data)
    assert sum(seen) == 128


@pytest.mark.parametrize(
    ("model", "data"),
    [(dense_mlp(), data_of(700)), (Named(), data_of(700)), (convnet(), images(200))],
)
def test_some_answers_are_those_of_a_run_on_some_inputs(model, data):
    rows = torch.arange(128) * len(data) // 128
    known, expected = answers_at(answers_of(model, data), data, rows), answers_of(model, data[rows])
    for found, wanted in zip(known.batches, expected.batches, strict=True):
        torch.testing.assert_close(found, wanted)
    few = answers_of(model, data)
    few.batches = few.batches[:1]  # as of large outputs
    assert answers_at(few, data, rows) is None and answers_at(None, data, rows) is None


class Off(nn.Module):
    """A network that is wrong by so much near 0, and by so much far from it."""

    def __init__(self, model, near, far):
        super().__init__()
        self.model, self.near, self.far = model, near, far

    def forward(self, x):
        far = (x.mean(1, keepdim=True) > 5).to(x.dtype)
        return self.model(x) + self.near + (self.far - self.near) * far


def test_inputs_in_order_are_looked_at_from_the_first_to_the_last():
    """Those of the first class alone spoke for a network that was farther on all others."""
    model, data = dense_mlp(), torch.cat([data_of(600), 10 + data_of(2000, seed=1)])
    made, plain = Off(model, 0.0, 2.0), Off(model, 1.0, 1.0)
    with pytest.warns(UserWarning, match="nothing is compensated"):
        assert judged(model, made, plain, data=data) is plain
    assert judged(model, made, plain, data=data[:700]) is made


def test_what_was_not_fitted_on_the_inputs_is_held_against_all_of_them():
    """What the weights imply holds for inputs of variance 1, and there can be others."""
    model = dense_mlp()
    data = torch.cat([data_of(3000), 10 + data_of(400, seed=1)])
    answers = answers_of(model, data)
    for seed in range(8):
        masks = sl.select(sl.score(model, "random", data=data, seed=seed), 0.5, "layerwise")
        plain, small = (sl.shrink(model, masks, data=data, compensate=c) for c in (False, "merge"))
        without, error = errors(answers, [plain, small], data)
        assert error <= without * (1 + 1e-5)


def test_less_of_a_compensation_is_its_first_layers():
    model = dense_mlp()
    made, plain = spoilt(model, "0", "2", "4"), model
    plain[4].bias = None
    layout = sl.find_groups(model, data_of(1))
    found = list(first_layers((made, ["0", "4"]), plain, layout, ["0", "2", "4"]))
    assert len(found) == 1
    network, biased = found[0]
    assert torch.equal(network[0].weight, made[0].weight) and biased == ["0"]
    assert torch.equal(network[2].weight, plain[2].weight) and network[4].bias is None


@pytest.mark.parametrize("how", ["merge", "fold", "refit", "distil"])
def test_a_compensation_that_spoils_the_network_is_not_kept(how, monkeypatch):
    model, data = convnet(), images(150)

    def spoiling(dense, small, layout, kept, data, seed=0, **known):
        with torch.no_grad():
            for name in layout.order:
                dict(small.named_modules())[name].weight.mul_(-5)
        return []

    monkeypatch.setitem(masking.METHODS, how, spoiling)
    plain = sl.prune(model, 0.3, "magnitude", data=data)
    left = "less of it is done" if how == "distil" else "nothing is compensated"
    with pytest.warns(UserWarning, match=left):
        small = sl.prune(model, 0.3, "magnitude", data=data, compensate=how)
    if how == "distil":  # a refit is what is left of it
        plain = sl.prune(model, 0.3, "magnitude", data=data, compensate="refit")
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in small.state_dict().items())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("how", ["merge", "fold", "refit"])
def test_on_made_up_networks_the_error_is_never_larger(how, seed):
    model, data = convnet(bias=seed % 2 == 0, seed=seed), images(40, seed=seed)
    masks = sl.select(sl.score(model, "random", data=data, seed=seed), 0.5)
    with torch.no_grad():
        expected = model(data)
        plain, small = (
            (sl.shrink(model, masks, data=data, compensate=c)(data) - expected).square().sum()
            for c in (False, how)
        )
    assert small <= plain
