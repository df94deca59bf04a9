"""Spline layers and hyperplanes, on networks that nobody here wrote."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import TORCHVISION, torchvision_model
from torch import nn

import splinelib as sl


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_networks_as_they_are(name):
    model = torchvision_model(name)
    model.train()
    layers = sl.spline_layers(model, torch.randn(2, 3, 64, 64))
    assert all(module.training for module in model.modules())
    names = [layer.name for layer in layers]
    assert len(set(names)) == len(names)
    modules = dict(model.named_modules())
    relus = sum(isinstance(m, (nn.ReLU, nn.ReLU6)) for m in modules.values())
    assert len(layers) >= relus
    for layer in layers:
        if layer.kind == "max_pool":
            with pytest.raises(ValueError, match="no hyperplane of its own"):
                layer.hyperplanes()
            continue
        normals, offsets = layer.hyperplanes()
        assert normals.shape[0] == offsets.shape[0] == layer.units
        module = modules.get(layer.name)
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            assert layer.units == module.weight.shape[0]


def test_contract_names_of_vgg():
    layers = sl.spline_layers(torchvision_model("vgg11_bn"), torch.randn(1, 3, 64, 64))
    assert (layers[0].name, layers[0].units) == ("features.0", 64)
    assert layers[0].unit_shape == (64, 64, 64)


def test_functions_methods_and_reuse_are_found():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.relu = nn.Linear(4, 4), nn.ReLU()

        def forward(self, x):
            x = self.relu(self.a(x))
            x = self.relu(self.a(x))
            x = self.a(x).clamp(min=0)
            x = F.leaky_relu(x - 1, 0.2)
            x = abs(x - 0.5).relu_()
            return torch.maximum(x, self.a(x))

    layers = sl.spline_layers(Net(), torch.randn(1, 4))
    assert [layer.name for layer in layers][:3] == ["a", "a#2", "a#3"]
    assert [layer.kind for layer in layers] == [
        *("relu", "relu", "relu", "leaky_relu", "abs", "relu", "maximum")
    ]


@pytest.mark.parametrize(
    "module, where",
    [(nn.GELU(), "'1'"), (nn.Softmax(1), "'1'"), (nn.LayerNorm(4), "'1'"), (nn.SiLU(), "'1'")],
)
def test_what_is_not_piecewise_affine_is_named(module, where):
    model = nn.Sequential(nn.Linear(4, 4), module, nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(3, 4)
    with pytest.raises(sl.NotPiecewiseAffine, match=where):
        sl.spline_layers(model, x)
    with pytest.raises(sl.NotPiecewiseAffine, match=where):
        sl.region_codes(model, x)
    with pytest.raises(sl.NotPiecewiseAffine, match=where):
        sl.affine_map(model, x[0])
    kinds = [layer.kind for layer in sl.spline_layers(model, x, smooth="sign")]
    assert kinds[-1] == "relu"
    assert len(sl.spline_layers(model, x, smooth="ignore")) == 1


def test_a_transformer_and_a_squeeze_excite_network_are_refused_by_name():
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    with pytest.raises(sl.NotPiecewiseAffine):
        sl.spline_layers(encoder, torch.randn(1, 5, 8))
    small = torchvision.models.mobilenet_v3_small(weights=None)
    with pytest.raises(sl.NotPiecewiseAffine, match="hardswish"):
        sl.spline_layers(small, torch.randn(1, 3, 32, 32))


def test_bad_input():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with pytest.raises(ValueError, match="at least one input"):
        sl.spline_layers(model, torch.zeros(0, 4))
    with pytest.raises(ValueError, match="smooth must be"):
        sl.spline_layers(model, torch.zeros(1, 4), smooth="yes")
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        sl.spline_layers(lambda x: x, torch.zeros(1, 4))
    model[0].bias.data[0] = torch.inf
    with pytest.raises(ValueError, match=r"'0\.bias'"):
        sl.spline_layers(model, torch.zeros(1, 4))
