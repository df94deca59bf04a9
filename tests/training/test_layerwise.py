"""Layerwise pretraining: one layer learns, those before it stay."""

import pytest
import torch

from splinelib.data import toy
from splinelib.models import mlp
from splinelib.training import Ensemble, pretrain, train


@pytest.fixture
def given():
    inputs, labels = toy("moons", 128)
    start = Ensemble.of([mlp([2, 4, 3, 2], seed=seed) for seed in range(2)])
    return start, inputs.expand(2, -1, -1), labels.expand(2, -1)


def test_layers_before_stay_as_they_are(given):
    both = pretrain(*given, steps=[8, 8], lr=0.1, seeds=[0, 1])
    first = pretrain(*given, steps=[8, 1], lr=0.1, seeds=[0, 1])
    assert torch.equal(both.weights[0], first.weights[0])
    assert not torch.equal(both.weights[1], first.weights[1])
    assert not torch.equal(both.weights[0], given[0].weights[0])


def test_a_layer_learns_what_the_plain_loop_learns_below_the_same_head(given):
    start, inputs, labels = given
    made = pretrain(start, inputs, labels, steps=[8, 8], lr=0.1, seeds=[3, 4], head_seed=7)
    head = Ensemble.of([mlp([2, 4, 2])] * 2)
    bound = 4**-0.5
    generator = torch.Generator().manual_seed(7)
    head.weights = [
        start.weights[0],
        torch.empty(2, 2, 4).uniform_(-bound, bound, generator=generator),
    ]
    head.biases = [
        start.biases[0],
        torch.empty(2, 2, 1).uniform_(-bound, bound, generator=generator),
    ]
    for index, seed in enumerate((3, 4)):
        alone = train(
            head.model(index, mlp([2, 4, 2])),
            (inputs[index], labels[index]),
            **{"epochs": 4, "lr": 0.1, "batch_size": 64, "seed": seed, "progress": False},
        ).model
        torch.testing.assert_close(made.weights[0][index], alone.linear1.weight, rtol=0, atol=1e-6)


def test_the_last_head_is_the_output_layer(given):
    made = pretrain(*given, steps=[40, 40], lr=0.1, seeds=[0, 1])
    assert made.widths == [2, 4, 3, 2]
    assert (made.accuracy(*given[1:]) > 0.7).all()


def test_steps_are_one_number_for_each_layer(given):
    with pytest.raises(ValueError, match="1 numbers of steps for 2 layers"):
        pretrain(*given, steps=[8], lr=0.1, seeds=[0, 1])
