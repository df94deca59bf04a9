"""Moments that the weights imply, against closed forms, quadrature and by hand."""

import copy
import math

import numpy as np
import pytest
import torch
from networks import convnet, linear_net
from torch import nn

from splinelib.calibration.implied import (
    after_activation,
    implied_reads,
    output_variance,
    taps,
)

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


def test_a_layer_passes_covariances_exactly():
    model = linear_net([[1, 2], [3, -1]], [[1, 1]])
    model[0].bias = nn.Parameter(torch.tensor([0.5, -2.0]).double())
    modules = [model[0], nn.Identity(), model[2]]
    read = implied_reads(nn.Sequential(*modules), torch.zeros(1, 2).double())["2"]
    assert read.mean.tolist() == [0.5, -2.0]
    assert read.covariance.tolist() == [[5.0, 1.0], [1.0, 10.0]]
    variance = output_variance(taps(model[2].weight, read), read.covariance)
    assert variance.item() == pytest.approx(5 + 2 * 1 + 10)


def test_behind_a_batch_norm_its_own_scale_counts_and_not_its_statistics():
    model = convnet()
    example = torch.zeros(1, 3, 8, 8)
    read = implied_reads(model, example)["3"]
    gamma, beta = model[1].weight.detach().double(), model[1].bias.detach().double()
    share = (model[1].running_var / (model[1].running_var + model[1].eps)).double().sqrt()
    expected, _ = after_activation(beta, ((gamma * share) ** 2).diag(), *RELU)
    torch.testing.assert_close(read.mean, expected)
    before = copy.deepcopy(model.state_dict())
    model[1].running_mean += 3
    torch.testing.assert_close(implied_reads(model, example)["3"].mean, read.mean)
    model[1].running_mean -= 3
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items() if "mean" not in k)


class Several(nn.Module):
    """Grouped convolution, concatenation, addition, pooling, flattening, and a product."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Conv2d(2, 4, 1, bias=False)
        self.b = nn.Conv2d(4, 4, 1, groups=2, bias=False)
        self.c = nn.Conv2d(8, 3, 1)
        self.d = nn.Conv2d(4, 3, 1)
        self.head = nn.Linear(12, 2)
        self.gate = nn.Linear(2, 2)

    def forward(self, x):
        a = self.a(x)
        b = self.b(a)
        both = self.c(torch.cat([a, b], 1)) + self.d(b)
        y = self.head(torch.max_pool2d(torch.relu(both), 2).flatten(1))
        return self.gate(y * y.sigmoid())


def test_branches_groups_and_flattening():
    model = Several()
    reads = implied_reads(model, torch.zeros(1, 2, 4, 4))
    a, b = (m.weight.detach().double().flatten(1) for m in (model.a, model.b))
    full = torch.block_diag(b[:2], b[2:]) @ a
    torch.testing.assert_close(reads["d"].covariance, full @ full.T)
    torch.testing.assert_close(reads["c"].covariance, torch.block_diag(a @ a.T, full @ full.T))
    assert (reads["head"].repeat, len(reads["head"].mean)) == (4, 3)
    assert taps(model.head.weight, reads["head"]).shape == (2, 3, 4)
    assert set(reads) == {"a", "b", "c", "d", "head"}  # what the product gives is not told


@pytest.mark.parametrize("mode", [True, False])
def test_a_model_is_given_back_as_it_was(mode):
    model = convnet().train(mode)
    before = copy.deepcopy(model.state_dict())
    implied_reads(model, torch.zeros(1, 3, 8, 8))
    assert all(m.training == mode for m in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
