"""Networks by name."""

import pytest
from torch import nn

import splinelib as sl
from splinelib import data, models


@pytest.mark.parametrize("name", ["mlp", "vgg16", "preresnet20", "resnet18", "resnet50", "vit"])
@pytest.mark.parametrize("width", [0.05, 0.25, 1.0])
def test_every_network_takes_digits(name, width):
    digits = data.load("digits")
    model = models.build(name, digits, width=width)
    outputs = model(digits.to_float(digits.train_images[:4]))
    assert outputs.shape == (4, 10) and outputs.isfinite().all()


@pytest.mark.parametrize("name", ["mlp", "vgg16", "preresnet20", "resnet18", "resnet50", "vit"])
def test_the_library_finds_the_spline_layers_of_each_network(name):
    digits = data.load("digits")
    model = models.build(name, digits, width=0.25)
    layers = sl.spline_layers(model, digits.to_float(digits.train_images[:1]), smooth="freeze")
    rectifiers = sum(isinstance(module, nn.ReLU) for module in model.modules())
    found = sum(layer.kind == "relu" for layer in layers)
    # A pre-activation block uses its one ReLU module three times.
    assert found == (1 + 3 * 6 if name == "preresnet20" else rectifiers)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.preresnet(100), "9 n"),
        (lambda: models.vgg16(width=0), "width"),
        (lambda: models.vgg16(classes=0), "classes"),
        (lambda: models.mlp([3]), "widths"),
        (lambda: models.build("alexnet", data.load("digits")), "vgg16"),
    ],
)
def test_bad_parameters(call, message):
    with pytest.raises(ValueError, match=message):
        call()
