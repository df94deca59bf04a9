"""Networks trained side by side are the networks that the plain loop trains."""

import pytest
import torch

from splinelib.cost.flops import forward_flops
from splinelib.data import toy
from splinelib.models import mlp
from splinelib.training import Ensemble, train

RATES = (0.03, 0.1, 0.3)


@pytest.fixture
def points():
    return toy("spiral", 150, noise=0.1)


@pytest.mark.parametrize("widths", [[2, 5, 2], [2, 4, 6, 3, 2]])
def test_each_network_is_what_the_plain_loop_makes_of_it(points, widths):
    inputs, labels = points
    models = [mlp(widths, seed=seed) for seed in range(3)]
    trained = Ensemble.of(models).train(
        inputs[None],
        labels[None],
        steps=12,  # four epochs, whose last batches are short
        lr=torch.tensor(RATES),
        seeds=[5],
        rows=torch.zeros(3, dtype=torch.int64),
    )
    for index, (model, rate) in enumerate(zip(models, RATES, strict=True)):
        alone = train(model, points, epochs=4, lr=rate, batch_size=64, seed=5, progress=False)
        beside = trained.model(index, model)
        for one, other in zip(alone.model.parameters(), beside.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
        moved = (beside.linear1.weight - model.linear1.weight).abs().max()
        assert moved > 1e-3, "nothing was trained, so nothing was compared"


def test_networks_read_sets_of_their_own(points):
    inputs, labels = points
    both = Ensemble.of([mlp([2, 4, 2]), mlp([2, 4, 2])])
    sets = torch.stack([inputs, -inputs]), torch.stack([labels, labels])
    together = both.train(*sets, steps=9, lr=0.1, seeds=[0, 1])
    second = both[1:].train(sets[0][1:], sets[1][1:], steps=9, lr=0.1, seeds=[1])
    torch.testing.assert_close(together.weights[0][1], second.weights[0][0], rtol=0, atol=1e-6)
    assert not torch.allclose(together.weights[0][0], together.weights[0][1])
    assert torch.equal(both.weights[0][0], mlp([2, 4, 2]).linear1.weight), "the start is kept"


def test_a_network_that_overflows_does_not_disturb_the_others(points):
    inputs, labels = points
    both = Ensemble.of([mlp([2, 8, 2]), mlp([2, 8, 2])])
    rows = torch.zeros(2, dtype=torch.int64)
    given = {"steps": 30, "seeds": [0], "rows": rows}
    calm = both.train(inputs[None], labels[None], lr=0.1, **given)
    wild = both.train(inputs[None], labels[None], lr=torch.tensor([0.1, 1e30]), **given)
    assert torch.equal(calm.weights[1][0], wild.weights[1][0])
    assert wild.accuracy(inputs[None], labels[None])[1] == 0
    assert wild.accuracy(inputs[None], labels[None])[0] > 0.4


def test_flops_and_outputs_are_those_of_each_network(points):
    models = [mlp([2, 4, 4, 2], seed=seed) for seed in range(2)]
    ensemble = Ensemble.of(models)
    assert ensemble.flops == 2 * (2 * 4 + 4 * 4 + 4 * 2) == forward_flops(models[0], points[0])
    assert ensemble.widths == [2, 4, 4, 2] and len(Ensemble.joined([ensemble, ensemble])) == 4
    outputs = ensemble.outputs(points[0][None])
    for index, model in enumerate(models):
        torch.testing.assert_close(outputs[index], model(points[0]))
        assert ensemble.model(index, models[0])(points[0]).equal(model(points[0]))


@pytest.mark.parametrize(
    "models, error, message",
    [
        ([], ValueError, "at least one; these have 0"),
        ([mlp([2, 3, 2]), mlp([2, 4, 2])], ValueError, "one shape"),
        ([torch.nn.Conv2d(1, 1, 1)], TypeError, "Conv2d is none"),
        ([mlp([2, 3, 2], activation=torch.nn.GELU)], TypeError, "perceptrons"),
        ([torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False))], TypeError, "with biases"),
    ],
)
def test_what_is_no_ensemble_is_refused(models, error, message):
    with pytest.raises(error, match=message):
        Ensemble.of(models)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"inputs": torch.zeros(1, 9, 3)}, "points of 2 numbers"),
        ({"labels": torch.zeros(1, 8, dtype=torch.int64)}, "one for each input"),
        ({"labels": torch.full((1, 9), 2)}, "classes from 0 to 1; these go from 2 to 2"),
        ({"steps": 0}, "steps is at least 1, not 0"),
        ({"lr": float("nan")}, "lr is a finite number"),
        ({"seeds": [0, 1]}, "2 seeds for 1 sets"),
        ({"rows": torch.tensor([1])}, "rows names one of 1 sets"),
        ({"batch_size": 1}, "batch_size"),
        ({"momentum": -1.0}, "momentum"),
    ],
)
def test_what_does_not_go_together_is_refused(change, message):
    given = {"steps": 1, "lr": 0.1, "seeds": [0], "inputs": torch.zeros(1, 9, 2)}
    given = given | {"labels": torch.zeros(1, 9, dtype=torch.int64)} | change
    with pytest.raises(ValueError, match=message):
        Ensemble.of([mlp([2, 3, 2])]).train(given.pop("inputs"), given.pop("labels"), **given)
