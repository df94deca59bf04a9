"""Spline layers and hyperplanes, on networks that nobody here wrote."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

import splinelib as sl
from splinelib.trace import record


def randomised(model, seed=0):
    """Batch-norm statistics and scales as after training, signs of gamma included."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.normal_(0, 1, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    return model


TORCHVISION = [
    *("vgg11_bn", "resnet18", "resnet50", "mobilenet_v2", "squeezenet1_0", "densenet121"),
    *("googlenet", "resnext50_32x4d", "shufflenet_v2_x0_5", "alexnet"),
]


def torchvision_model(name):
    extra = {"init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    return getattr(torchvision.models, name)(weights=None, **extra)


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


def pre_activations(model, x):
    """What every activation of a recorded run receives, by running the graph."""
    graph = record(model, x)
    env, seen = {0: x}, []
    for node in graph.nodes:
        if node.activation is not None:
            seen.append(env[node.activation_inputs[0].index])
        node.run(env, len(x))
    return seen


@pytest.mark.parametrize("stride, groups", [(1, 1), (2, 2), (1, 4)])
def test_hyperplanes_give_the_pre_activation_with_batch_norm_folded(stride, groups):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 8, 3, stride=stride, groups=groups, padding=1)
    model = nn.Sequential(conv, nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    x = torch.randn(5, 4, 6, 6)
    model(x)
    randomised(model).eval()
    (layer,) = sl.spline_layers(model, x)
    assert layer.name == "0"
    normals, offsets = layer.hyperplanes()
    patches = F.unfold(x, 3, padding=1, stride=stride)  # (N, fan_in, positions)
    expected = pre_activations(model, x)[0].detach().flatten(2)
    found = torch.einsum("uf,nfp->nup", normals, patches) + offsets[:, None]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_hyperplanes_of_a_residual_sum_stand_side_by_side():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.out = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)

        def forward(self, x):
            return self.out(F.relu(self.b(F.relu(self.a(x))) + x))

    torch.manual_seed(0)
    model, x = Block(), torch.randn(7, 3)
    layers = sl.spline_layers(model, x)
    assert [layer.name for layer in layers] == ["a", "b"]
    normals, offsets = layers[1].hyperplanes()
    assert normals.shape == (3, 6)
    inputs = torch.cat([F.relu(model.a(x)), x], 1)
    expected = model.b(F.relu(model.a(x))) + x
    torch.testing.assert_close(inputs @ normals.T + offsets, expected)


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
