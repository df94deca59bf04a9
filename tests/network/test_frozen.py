"""With attention, norms and gates held at an input, the rest of a network is affine there."""

import warnings

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import randomised
from torch import nn
from torchvision.models.swin_transformer import SwinTransformer

import splinelib as sl
from splinelib import models
from splinelib.models.vit import VisionTransformer


def ours() -> tuple[VisionTransformer, torch.Tensor]:
    model = randomised(models.vision_transformer(channels=1, image_size=8, width=0.125, depth=2))
    return model.double(), torch.randn(1, 8, 8, dtype=torch.float64)


def torchvisions() -> tuple[nn.Module, torch.Tensor]:
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 12, "num_classes": 3}
    model = torchvision.models.VisionTransformer(image_size=8, patch_size=4, **sizes)
    return randomised(model).double(), torch.randn(3, 8, 8, dtype=torch.float64)


def swin() -> tuple[nn.Module, torch.Tensor]:
    model = SwinTransformer([2, 2], 8, [1, 1], [2, 2], [4, 4], num_classes=3)
    return randomised(model).double(), torch.randn(3, 16, 16, dtype=torch.float64)


@pytest.mark.parametrize("make", [ours, torchvisions, swin])
def test_the_map_is_the_network_at_the_input(make):
    torch.manual_seed(0)
    model, x = make()
    model.eval()
    with pytest.raises(sl.NotPiecewiseAffine):
        sl.affine_map(model, x)
    A, b = sl.affine_map(model, x, smooth="freeze")
    torch.testing.assert_close(A @ x.flatten() + b, model(x[None])[0].detach())


class Held(nn.Module):
    """A block of `models.vit` behind a linear layer, with its factors given to it."""

    def __init__(self, model: VisionTransformer, point: torch.Tensor):
        super().__init__()
        self.model, self.factors = model, []
        self.held = False
        self(point)
        self.held = True

    def factor(self, value):
        if self.held:
            self.factors.append(self.factors.pop(0))
            return self.factors[-1]
        self.factors.append(value.detach())
        return value

    def norm(self, norm, x):
        x = x - x.mean(-1, keepdim=True)
        scale = (x.square().mean(-1, keepdim=True) + norm.eps).rsqrt()
        return x * self.factor(scale) * norm.weight + norm.bias

    def forward(self, images):
        model = self.model
        patches = model.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([model.token.expand(len(images), -1, -1), patches], 1) + model.positions
        for block in model.blocks:
            h, a = self.norm(block.norm1, x), block.attention
            q, k, v = a.qkv(h).unflatten(2, (3, -1, a.size)).permute(2, 0, 3, 1, 4)
            weights = self.factor((q @ k.transpose(-1, -2) / a.size**0.5).softmax(-1))
            x = x + a.proj((weights @ v).transpose(1, 2).flatten(2))
            x = x + block.mlp(self.norm(block.norm2, x))
        return model.classifier(self.norm(model.norm, x[:, 0]))


def test_elsewhere_it_is_the_network_with_held_factors_within_the_codes_region():
    torch.manual_seed(0)
    model, x = ours()
    model.eval()
    held = Held(model, x[None])
    A, b = sl.affine_map(model, x, smooth="freeze")
    near = x + 1e-3 * torch.randn(20, *x.shape, dtype=torch.float64)
    same = torch.tensor([same_side(held, x, other) for other in near])
    values = near.flatten(1) @ A.T + b
    assert same.any() and not same.all()
    torch.testing.assert_close(values[same], held(near).detach()[same])
    assert (values[~same] - held(near).detach()[~same]).abs().max() > 1e-9
    assert (values - model(near).detach()).abs().max() > 1e-6  # the network moves its factors


def same_side(held, x, other) -> bool:
    """Whether no unit of the held network changes side on the way."""
    signs = []
    hooks = [
        block.mlp[0].register_forward_hook(lambda m, a, out: signs.append(out > 0))
        for block in held.model.blocks
    ]
    held(x[None])
    held(other[None])
    for hook in hooks:
        hook.remove()
    half = len(signs) // 2
    return all(bool((a == b).all()) for a, b in zip(signs[:half], signs[half:], strict=True))


def test_a_gate_is_phi():
    model = nn.Sequential(nn.GELU(), nn.Linear(2, 1, bias=False)).double()
    A, b = sl.affine_map(model, torch.tensor([1.0, 0.0], dtype=torch.float64), smooth="freeze")
    gates = torch.tensor([torch.special.ndtr(torch.tensor(1.0)), 0.5], dtype=torch.float64)
    torch.testing.assert_close(A, model[1].weight.detach() * gates, rtol=1e-6, atol=0)
    torch.testing.assert_close(b, torch.zeros(1, dtype=torch.float64), rtol=0, atol=1e-12)


class Written(nn.Module):
    """One operation between linear layers."""

    def __init__(self, operation):
        super().__init__()
        self.first, self.last, self.operation = nn.Linear(4, 4), nn.Linear(4, 2), operation

    def forward(self, x):
        h = F.relu(self.first(x))
        return self.last(self.operation(h))


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (torch.tanh, "'tanh'"),
        (lambda h: h * h.mean(1, keepdim=True), "product of two values"),
        (lambda h: h / (1 + h.sum(1, keepdim=True)), "'div'"),
        (lambda h: h * F.dropout(h.softmax(1), 0.5, training=True), "random"),
        (lambda h: h.softmax(1) * float(h.sum()), "out of torch"),
    ],
)
def test_what_is_left_is_refused_by_name(operation, named):
    model, x = Written(operation), torch.randn(3, 4)
    for call in (
        lambda: sl.affine_map(model, x[0], smooth="freeze"),
        lambda: sl.region_codes(model, x, smooth="freeze"),
        lambda: sl.spline_layers(model, x, smooth="freeze"),
    ):
        with pytest.raises(sl.NotPiecewiseAffine, match=named):
            call()


def test_factors_may_multiply_and_divide():
    model = Written(lambda h: h * h.exp().softmax(1) / h.softmax(1).sum(1, keepdim=True)).double()
    x = torch.randn(4, dtype=torch.float64)
    A, b = sl.affine_map(model, x, smooth="freeze")
    torch.testing.assert_close(A @ x + b, model(x[None])[0].detach())


def test_codes_are_those_of_the_relus_and_the_same_as_for_a_network_without_attention():
    torch.manual_seed(0)
    model, x = ours()
    images = torch.stack([x, -x, 2 * x])
    frozen = sl.region_codes(model, images, smooth="freeze")
    assert list(frozen.layers) == ["blocks.0.mlp.0", "blocks.1.mlp.0"]
    assert frozen.distance(sl.region_codes(model, images, smooth="ignore")) == 0
    plain = models.mlp([4, 8, 2])
    points = torch.randn(5, 4)
    one, other = (sl.region_codes(plain, points, smooth=s) for s in ("raise", "freeze"))
    assert one.distance(other) == 0


def test_a_cut_at_zero_names_what_it_leaves_out():
    torch.manual_seed(0)
    model, x = torchvisions()
    with pytest.warns(UserWarning, match=r"leaves 'layer_norm' in module .* and \d+ more"):
        codes = sl.region_codes(model, x[None], smooth="sign")
    assert len(codes.layers) == 2
    smooth = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sl.region_codes(smooth, torch.randn(3, 4), smooth="sign")
