"""Networks as JSON: read back exactly, and refused with a reason."""

import json

import pytest
import torch
from networks import random_network
from torch import nn

import splinelib as sl
from splinelib.models import from_json, to_json


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_comes_back_exactly(dtype):
    model = random_network([5, 3], seed=1).to(dtype)
    again = from_json(to_json(model), dtype)
    x = torch.randn(20, 2, dtype=dtype)
    assert torch.equal(again(x), model(x)) and not again.training
    assert to_json(again) == to_json(model)


def test_says_what_the_text_of_the_module_says():
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False), nn.Dropout(), nn.ReLU())
    net.append(nn.Linear(1, 1))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[0.5, -1.0]]))
        net[4].weight.fill_(2.0), net[4].bias.fill_(0.25)
    assert json.loads(to_json(net)) == {
        "format": "splinelib network",
        "version": 1,
        "activation": "relu",
        "layers": [
            {"weight": [[0.5, -1.0]], "bias": [0.0]},
            {"weight": [[2.0]], "bias": [0.25]},
        ],
    }


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)),
        nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)),
        nn.Sequential(nn.Linear(2, 3), nn.ReLU()),
        sl.models.resnet18(),
    ],
    ids=["tanh", "no activation", "no output layer", "resnet"],
)
def test_other_networks_are_refused(model):
    with pytest.raises(TypeError, match="it cannot describe this"):
        to_json(model)


def test_weights_that_are_not_finite_are_refused():
    model = nn.Sequential(nn.Linear(2, 1))
    model[0].weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="NaN or infinite"):
        to_json(model)
    text = '{"format": "splinelib network", "version": 1, "activation": "relu", "layers": '
    with pytest.raises(ValueError, match="layer 1 of the network file holds NaN"):
        from_json(text + '[{"weight": [[NaN]], "bias": [0]}]}')


GOOD = {"format": "splinelib network", "version": 1, "activation": "relu"}
LAYER = {"weight": [[1.0, 2.0]], "bias": [0.0]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "its format should be"),
        ({**GOOD, "format": "onnx", "layers": [LAYER]}, "its format should be"),
        ({**GOOD, "version": 2, "layers": [LAYER]}, "should have version 1"),
        ({**GOOD, "activation": "gelu", "layers": [LAYER]}, "'gelu'"),
        (GOOD, "a list of layers"),
        ({**GOOD, "layers": [{"weight": [[1.0], [1.0, 2.0]], "bias": [0.0]}]}, "layer 1 .* matrix"),
        ({**GOOD, "layers": [{"weight": [[1.0]]}]}, "layer 1 .* a list of numbers"),
        ({**GOOD, "layers": [{"weight": [[1.0]], "bias": [0.0, 1.0]}]}, "bias of shape"),
        ({**GOOD, "layers": [LAYER, LAYER]}, "layer 2 .* reads 2 values, .* makes 1"),
    ],
)
def test_a_text_that_is_no_network_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(content))
    with pytest.raises(ValueError, match="it is not JSON"):
        from_json("weights")
