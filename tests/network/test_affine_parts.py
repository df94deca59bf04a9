"""Hyperplanes read backwards from a pre-activation."""

import pytest
import torch
import torch.nn.functional as F
from networks import pre_activations, randomised
from torch import nn

import splinelib as sl


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


class Sums(nn.Module):
    """A function of two linear layers, of rows or of tokens."""

    def __init__(self, function, outputs=(4, 4)):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = (nn.Linear(3, size) for size in outputs)
        self.function = function

    def forward(self, x):
        return F.relu(self.function(self.a(x), self.b(x)))


@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 3), (2, 4, 3)])
@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a + b,
        lambda a, b: a - F.dropout(b, 0.5, training=False),
        lambda a, b: torch.add(a, b, alpha=-2),
        lambda a, b: torch.sub(a, b, alpha=0.5),
        lambda a, b: torch.sub(other=b, input=a),
        lambda a, b: a.add_(b, alpha=3),
        lambda a, b: F.dropout(a, 0.5, training=False) - b,
    ],
)
def test_hyperplanes_of_sums_have_the_factors_and_the_signs_of_their_terms(function, shape):
    model, x = Sums(function), torch.randn(*shape)
    (layer,) = sl.spline_layers(model, x)
    normals, offsets = layer.hyperplanes()
    assert (layer.name, layer.units, normals.shape) == ("a", 4, (4, 6))
    expected = function(model.a(x), model.b(x))
    torch.testing.assert_close(torch.cat([x, x], -1) @ normals.T + offsets, expected)


def test_a_term_that_is_one_number_for_all_units_has_one_column():
    model, x = Sums(lambda a, b: a + 2 * b, outputs=(4, 1)), torch.randn(6, 3)
    normals, offsets = sl.spline_layers(model, x)[0].hyperplanes()
    inputs = torch.cat([x, 2 * model.b(x)], 1)
    torch.testing.assert_close(inputs @ normals.T + offsets, model.a(x) + 2 * model.b(x))


@pytest.mark.parametrize("features", [4, 5])
def test_batch_norm_of_positions_is_not_read_as_one_of_features(features):
    """Behind a linear layer on tokens it scales tokens, as many as features or not."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, features), nn.BatchNorm1d(5), nn.ReLU()).eval()
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.5, 2)
    x = torch.randn(2, 5, 3)
    (layer,) = sl.spline_layers(model, x)
    normals, offsets = layer.hyperplanes()
    assert layer.units == 5
    found = torch.einsum("up,npf->nuf", normals, model[0](x)) + offsets[:, None]
    torch.testing.assert_close(found, model[:2](x))
