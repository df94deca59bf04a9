"""Activations that are written by hand are the same as those that torch has."""

import pytest
import torch
import torch.nn.functional as F
from geometry.checks import check_invariants
from networks import Calling

import splinelib as sl

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
PLANE = sl.Plane.through(*X[:3].double())
SLOPES = torch.linspace(-0.5, 0.5, 16)


def relu_by_setting(h):
    h = h.clone()
    h[h < 0] = 0
    return h


def ramp(h):
    return torch.where(h > 1, 2 * h - 1, h)


SAME = {
    "h * (h > 0)": (lambda h: h * (h > 0), F.relu),
    "(h >= 0) * h": (lambda h: (h >= 0) * h, F.relu),
    "float mask": (lambda h: h * (h > 0).float().to(h.dtype), F.relu),
    "torch.gt": (lambda h: h * torch.gt(h, 0).type_as(h), F.relu),
    "detached": (lambda h: h * (h.detach() > 0), F.relu),
    "data": (lambda h: h * (h.data > 0), F.relu),
    "not": (lambda h: h * ~(h < 0), F.relu),
    "one minus": (lambda h: h * (1 - (h < 0).to(h.dtype)), F.relu),
    "heaviside": (lambda h: h * torch.heaviside(h, h.new_zeros(())), F.relu),
    "where, 0": (lambda h: torch.where(h > 0, h, 0), F.relu),
    "where, zeros_like": (lambda h: torch.where(h > 0, h, torch.zeros_like(h)), F.relu),
    "Tensor.where": (lambda h: h.where(h > 0, h.new_zeros(())), F.relu),
    "where, other way": (lambda h: torch.where(h < 0, 0.0, h), F.relu),
    "masked_fill": (lambda h: h.masked_fill(h < 0, 0), F.relu),
    "masked_fill_": (lambda h: h.masked_fill_(h <= 0, 0), F.relu),
    "setitem": (relu_by_setting, F.relu),
    "sign": (lambda h: torch.sign(h) * h, torch.abs),
    "leaky": (lambda h: torch.where(h > 0, h, 0.1 * h), lambda h: F.leaky_relu(h, 0.1)),
    "two masks": (
        lambda h: h * ((h > 0).to(h.dtype) + 0.1 * (h <= 0).to(h.dtype)),
        lambda h: F.leaky_relu(h, 0.1),
    ),
    "prelu": (
        lambda h: torch.where(h > 0, h, SLOPES.to(h) * h),
        lambda h: F.prelu(h, SLOPES.to(h)),
    ),
    "bend at 1": (ramp, lambda h: h + F.relu(h - 1)),
    "threshold": (lambda h: torch.where(h > 1, h, 1.0), lambda h: h.clamp(min=1)),
}


@pytest.mark.parametrize("name", SAME)
def test_it_is_the_activation_that_it_spells(name):
    mine, known = (Calling(function).eval() for function in SAME[name])
    assert len(sl.spline_layers(mine, X)) == 2
    codes, expected = sl.region_codes(mine, X, batch_size=16), sl.region_codes(known, X)
    assert codes.count_regions() == expected.count_regions() > 10
    flipped = [
        (codes.unpack(a) != expected.unpack(b)).float().mean()
        for a, b in zip(codes.layers, expected.layers, strict=True)
    ]
    assert max(flipped) == 0
    A, b = sl.affine_map(mine, X[0])
    torch.testing.assert_close(A @ X[0] + b, mine(X[:1])[0])
    part, other = (sl.partition(model, ((-1, 1), (-1, 1)), PLANE) for model in (mine, known))
    check_invariants(part)
    assert len(part) == len(other)


@pytest.mark.parametrize(
    "function",
    [
        lambda h: torch.where(h > 0, h, -1.0),  # jumps
        lambda h: torch.where(h > 1, h, 0.0),
        lambda h: h.masked_fill(h < 0, -1e9),
        lambda h: h.masked_fill(h < 0, float("-inf")),
        lambda h: h * (h > 1),
        lambda h: h * (h.roll(1, 1) > 0),  # the mask of another value
        lambda h: h * (h > h.mean(1, keepdim=True)),
        lambda h: h * (h > 0)[:, :1],
        lambda h: h * h * (h > 0),
        lambda h: (h > 0).to(h.dtype),  # a step alone
        lambda h: torch.where(h.sum(1, keepdim=True) > 0, h, 0.5 * h),
        lambda h: h * h.bool(),
    ],
)
def test_what_jumps_or_bends_elsewhere_is_refused(function):
    model = Calling(function).eval()
    for refused in (
        lambda: sl.spline_layers(model, X),
        lambda: sl.region_codes(model, X),
        lambda: sl.affine_map(model, X[0]),
        lambda: sl.partition(model, ((-1, 1), (-1, 1)), PLANE),
    ):
        with pytest.raises(sl.NotPiecewiseAffine, match=r"own forward|module '(second|last)'"):
            refused()
    assert len(sl.spline_layers(model, X, smooth="ignore")) == 1


def test_beside_what_is_left_out_it_is_left_out_too():
    model = Calling(lambda h: F.gelu(h) * (h > 0) + h * (h > 0)).eval()
    assert len(sl.spline_layers(model, X, smooth="ignore")) == 1
    assert len(sl.region_codes(model, X, smooth="ignore").layers) == 1
    model = Calling(lambda h: F.gelu(h) + h * (h > 0)).eval()
    kinds = [layer.kind for layer in sl.spline_layers(model, X, smooth="sign")]
    assert kinds == ["gelu", "relu", "relu"]
    assert len(sl.region_codes(model, X, smooth="sign").layers) == 3


@pytest.mark.parametrize(
    "factor",
    [
        lambda h: (h > 0) * 0.9 + 0.1,  # of float32, whatever h is
        lambda h: ((h > 0).double() * 0.9 + 0.1).double(),
        lambda h: (0.1 + 0.9 * (h > 0).to(h.dtype)).type_as(h),
        lambda h: 1 - 0.7 * (h < 0).float(),
        lambda h: ((h > 0).half() + 0.3).to(h.dtype),
    ],
)
def test_a_factor_has_the_precision_that_it_is_computed_in(factor):
    model = Calling(lambda h: h * factor(h)).double().eval()
    x = X.double()
    A, b = sl.affine_map(model, x[0])
    torch.testing.assert_close(A @ x[0] + b, model(x[:1])[0], rtol=1e-13, atol=1e-13)
    way = sl.segment(model, x[0], x[1])
    torch.testing.assert_close(
        torch.from_numpy(way.outputs), model(way(way.breakpoints)), rtol=1e-12, atol=1e-13
    )
    part = sl.partition(model, ((-1, 1), (-1, 1)), PLANE)
    expected = model(PLANE(part.vertices)).detach().numpy()
    assert part.outputs == pytest.approx(expected, rel=1e-12, abs=1e-12)
