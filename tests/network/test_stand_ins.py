"""The stand-in for GELU: its error is the largest there is, and no two pieces do better."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

import splinelib as sl
from splinelib.network.stand_ins import LoweredReLU, nearest_to_gelu, with_stand_ins

Z = torch.linspace(-12, 12, 1_000_003, dtype=torch.float64)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_the_error_is_the_largest_that_is_found(approximate):
    drop, error = nearest_to_gelu(approximate)
    off = (LoweredReLU(drop)(Z) - F.gelu(Z, approximate=approximate)).abs()
    assert error - 1e-5 < off.max() <= error


def test_the_error_is_half_of_the_largest_dip():
    # z Phi(-z) is largest where Phi(-z) = z phi(z), at 0.7518 (Newton's method by hand)
    z = torch.tensor(0.7517915, dtype=torch.float64)
    assert torch.special.ndtr(-z) == pytest.approx(float(z * torch.exp(-z * z / 2) / 6.28318**0.5))
    assert nearest_to_gelu()[1] == pytest.approx(float(z * torch.special.ndtr(-z)) / 2, abs=2e-6)


def test_no_other_function_of_two_pieces_is_nearer():
    error = nearest_to_gelu()[1]
    for bend in (-0.2, -0.05, 0.0, 0.05, 0.2):
        for drop in (0.0, 0.05, 0.08, 0.09, 0.12):
            other = F.relu(Z - bend) - drop
            assert (other - F.gelu(Z)).abs().max() > error - 1e-5


def test_a_network_gets_units_where_it_had_gates():
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 12, "num_classes": 3}
    model = torchvision.models.VisionTransformer(image_size=8, patch_size=4, **sizes)
    images = torch.randn(4, 3, 8, 8)
    with pytest.raises(ValueError, match="no spline unit"):
        sl.region_codes(model, images, smooth="freeze")
    network, error = with_stand_ins(model)
    assert error == nearest_to_gelu()[1]
    assert len(sl.region_codes(network, images, smooth="freeze").layers) == 2
    assert not any(isinstance(module, nn.GELU) for module in network.modules())
    assert sum(isinstance(module, nn.GELU) for module in model.modules()) == 2
    mlp = model.encoder.layers[0].mlp
    z = torch.randn(5, 8)
    off = (mlp[1](mlp[0](z)) - network.encoder.layers[0].mlp[1](mlp[0](z))).abs()
    assert off.max() <= error + 1e-6


def test_a_gelu_alone_and_none_at_all():
    network, _ = with_stand_ins(nn.GELU())
    assert isinstance(network, LoweredReLU)
    with pytest.raises(ValueError, match=r"no torch\.nn\.GELU"):
        with_stand_ins(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
