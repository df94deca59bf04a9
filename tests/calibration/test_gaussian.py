"""Moments of functions of Gaussian values, against closed forms and quadrature."""

import math

import numpy as np
import pytest
import torch

from splinelib.calibration import gaussian
from splinelib.calibration.gaussian import after_activation, after_smooth

RHOS = [-1.0, -0.999, -0.7, 0.0, 0.3, 0.9, 0.9999, 1.0]
RELU = (0.0,), (0.0, 1.0)


def pair(rho, one=1.0, other=1.0):
    covariance = [[one**2, rho * one * other], [rho * one * other, other**2]]
    return torch.tensor(covariance, dtype=torch.float64)


@pytest.mark.parametrize("rho", RHOS)
def test_of_centred_values_a_relu_gives_the_arc_cosine_kernel(rho):
    mean, covariance = after_activation(torch.zeros(2).double(), pair(rho), *RELU)
    kernel = (math.sqrt(1 - rho**2) + rho * (math.pi - math.acos(rho))) / (2 * math.pi)
    torch.testing.assert_close(mean, torch.full((2,), 1 / math.sqrt(2 * math.pi)).double())
    assert (covariance[0, 1] + mean[0] * mean[1]).item() == pytest.approx(kernel, abs=4e-4)


@pytest.mark.parametrize(
    ("breakpoints", "slopes", "function"),
    [
        (*RELU, lambda z: np.maximum(z, 0)),
        ((0.0,), (0.1, 1.0), lambda z: np.maximum(z, 0.1 * z)),
        ((0.0, 6.0), (0.0, 1.0, 0.0), lambda z: np.clip(z, 0, 6)),
        ((-1.0, 1.0), (0.0, 1.0, 0.0), lambda z: np.clip(z, -1, 1)),
        ((0.0,), (-1.0, 1.0), np.abs),
    ],
    ids=["relu", "leaky", "relu6", "hardtanh", "abs"],
)
@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.6])
def test_moments_are_those_of_quadrature(breakpoints, slopes, function, rho):
    means, deviations = np.array([0.4, -0.7]), np.array([1.5, 2.0])
    t = np.linspace(-8, 8, 1601)
    density = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi) * (t[1] - t[0])
    weight = np.outer(density, density)
    one = function(means[0] + deviations[0] * t)[:, None]
    normal = rho * t[:, None] + math.sqrt(1 - rho**2) * t[None]
    other = function(means[1] + deviations[1] * normal)
    first, second = (weight * one).sum(), (weight * other).sum()
    common = (weight * one * other).sum() - first * second
    spread = (weight * one**2).sum() - first**2, (weight * other**2).sum() - second**2

    mean, covariance = after_activation(
        torch.tensor(means), pair(rho, *deviations), breakpoints, slopes
    )
    assert mean.tolist() == pytest.approx([first, second], abs=1e-4)
    assert covariance.diagonal().tolist() == pytest.approx(list(spread), rel=1e-3)
    assert covariance[0, 1].item() == pytest.approx(common, abs=2e-3 * math.sqrt(np.prod(spread)))


@pytest.mark.parametrize("cached", [1, 10, 10**6])  # one row at a time, a few, all
def test_many_channels_pass_as_every_two_of_them_do(cached, monkeypatch):
    monkeypatch.setattr(gaussian, "_CACHED", cached)
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(7, 5, generator=generator).double()
    root[2], root[4] = 0, root[3]
    mean, covariance = torch.randn(7, generator=generator).double(), root @ root.T
    found = after_activation(mean, covariance, *RELU)[1]
    assert torch.equal(found, found.T)
    for one in range(7):
        for other in range(one):
            both = [one, other]
            expected = after_activation(mean[both], covariance[both][:, both], *RELU)[1]
            torch.testing.assert_close(found[both][:, both], expected)


@pytest.mark.parametrize("mean", [1.0, 1e9, -1e9])
def test_what_never_varies_is_a_constant(mean):
    covariance = torch.diag(torch.tensor([0.0, 1.0]).double())
    found, after = after_activation(torch.tensor([mean, 1.0]).double(), covariance, *RELU)
    assert found[0].item() == pytest.approx(max(mean, 0)) and torch.isfinite(after).all()
    assert after[0].abs().max() < 1e-6 and after[1, 1] > 0.5


def test_a_smooth_function_that_is_affine_passes_covariances_as_they_are():
    mean = torch.tensor([0.5, -1.0]).double()
    first, covariance = after_smooth(mean, pair(-0.4, 2.0, 3.0), lambda z: 3 * z + 1)
    torch.testing.assert_close(first, 3 * mean + 1)
    torch.testing.assert_close(covariance, 9 * pair(-0.4, 2.0, 3.0))


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1.0, 1e15])
def test_a_relu_passes_small_values_as_it_passes_large_ones(scale):
    mean = torch.tensor([0.5, -1.0]).double()
    first, covariance = after_activation(mean * scale, pair(-0.4, 2.0, 3.0) * scale**2, *RELU)
    found, expected = after_activation(mean, pair(-0.4, 2.0, 3.0), *RELU)
    torch.testing.assert_close(first / scale, found)
    torch.testing.assert_close(covariance / scale**2, expected)
