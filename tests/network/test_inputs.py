"""What a model is called with."""

import pytest
import torch
import torch.nn.functional as F
from networks import relative_error
from torch import nn

import splinelib as sl
from splinelib.network.inputs import Inputs, example_inputs, lively


class Pair(nn.Module):
    """Two inputs, one of them by keyword in a dict."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 10), nn.Linear(3, 10), nn.Linear(10, 2)

    def forward(self, x, batch=None):
        return {"logits": self.c(F.relu(self.a(x) + self.b(batch["other"])))}


def test_a_network_of_several_inputs_is_pruned_without_data():
    torch.manual_seed(0)
    model, x, other = Pair(), torch.randn(5, 4), torch.randn(5, 3)
    example = ((x,), {"batch": {"other": other}})
    scores = sl.score(model, "magnitude", example=example)
    assert {name: len(values) for name, values in scores.items()} == {"a": 10}
    masks = sl.select(scores, 0.4)
    masked, small = sl.apply_masks(model, masks), sl.shrink(model, masks, example)
    found, expected = (net(x, batch={"other": other})["logits"] for net in (small, masked))
    assert relative_error(found, expected) < 1e-5
    assert small.b.weight.shape == (6, 3)
    with pytest.warns(UserWarning, match="cannot be followed without inputs"):
        assert sl.prune(model, 0.4, example=example).a.out_features == 6


def test_other_examples_are_refused_with_the_way_to_give_them():
    model, x = Pair(), torch.randn(5, 4)
    for example in ({"x": x}, [x, x], (x, x), 3):
        with pytest.raises(TypeError, match=r"as \(args, kwargs\), not \w+: example="):
            example_inputs(model, example)
    with pytest.raises(ValueError, match="NaN"):
        example_inputs(model, ((x * float("nan"),), {}))
    with pytest.raises(TypeError, match=r"data should be a tensor.*example=\(args, kwargs\)"):
        sl.score(model, data={"x": x})
    with pytest.raises(ValueError, match=r"does not take inputs of shape \(2, 5\), dtype"):
        sl.score(model, example=torch.randn(2, 5))


def test_tensors_are_exchanged_wherever_they_are():
    x = torch.ones(2)
    inputs = Inputs((x, 3), {"deep": [{"x": x}]}).mapped(lambda t: t * 2)
    assert torch.equal(inputs.args[0], 2 * x) and inputs.args[1] == 3
    assert torch.equal(inputs.kwargs["deep"][0]["x"], 2 * x)
    assert str(Inputs((x,))) == "shape (2,), dtype torch.float32"


def test_values_that_are_all_the_same_become_random():
    zeros, ints, values = torch.zeros(3, 4), torch.zeros(3, dtype=torch.long), torch.rand(3)
    shaken = lively(Inputs((zeros, ints, values)), torch.float64).args
    assert shaken[0].std() > 0.1 and shaken[0].dtype == torch.float64
    assert torch.equal(shaken[1], ints) and torch.equal(shaken[2], values.double())


def test_data_of_another_precision_is_refused_with_the_conversion():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(ValueError, match=r"float64: its weights.*data.to\(torch.float32\)"):
        sl.prune(model, 0.5, data=torch.randn(8, 4).double())

    class Converts(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x.float())

    data = torch.randn(64, 4).double()
    assert sl.prune(Converts(), 0.5, "magnitude", data=data).model[0].out_features == 3
