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
