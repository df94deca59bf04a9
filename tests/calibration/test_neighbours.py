"""How alike neighbours are, told from variances that are known."""

import pytest
import torch
from torch import nn

from splinelib.calibration.gaussian import after_activation
from splinelib.calibration.implied_moments import Implied, output_variance
from splinelib.calibration.neighbours import (
    UNTOLD,
    activation_slopes,
    taps_alike,
    told_by_statistics,
)
from splinelib.calibration.padding import own, taps_inside
from splinelib.network.trace import record


def test_distances_are_along_straight_lines_and_count_dilation():
    found = taps_alike((2, 2), (1, 3), 0.5)
    wanted = [[0, 3, 1, 10**0.5], [3, 0, 10**0.5, 1], [1, 10**0.5, 0, 3], [10**0.5, 1, 3, 0]]
    torch.testing.assert_close(found, 0.5 ** torch.tensor(wanted).double())
    assert torch.equal(taps_alike((3,), (1,), 0.0), torch.eye(3).double())


def read_with(padding, channels=3):
    torch.manual_seed(1)
    root = torch.randn(channels, channels).double()
    inside = taps_inside(own([5, 5]), (3, 3), 1, padding, 1)
    inside = None if padding == 0 else inside
    return Implied(torch.rand(channels).double(), root @ root.T, inside=inside)


@pytest.mark.parametrize("neighbours", [0.0, 0.3, 0.8, 0.98])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("activation", [None, nn.ReLU(), nn.PReLU(8)])
def test_what_was_put_in_is_told(neighbours, padding, activation):
    read, weight = read_with(padding), torch.randn(8, 3, 9).double()
    bias = torch.randn(8).double()
    alike = read._replace(alike=taps_alike((3, 3), (1, 1), neighbours))
    variance = output_variance(alike.counted(weight), read.covariance)
    if (moved := read.from_means(weight)) is not None:
        variance = variance + moved.diagonal()
    if activation is not None:
        graph = record(nn.Sequential(activation), torch.zeros(1, 8))
        activation = graph.activations()[0].activation
        mean = read.total(weight) @ read.mean + bias
        behind = after_activation(
            mean, variance.diag(), activation.breakpoints, activation_slopes(activation)
        )
        variance = behind[1].diagonal()
    told = told_by_statistics(read, weight, bias, (3, 3), (1, 1), variance, activation)
    assert told == neighbours


def test_a_common_factor_hardly_counts():
    read, weight = read_with(0), torch.randn(8, 3, 9).double()
    alike = read._replace(alike=taps_alike((3, 3), (1, 1), 0.5))
    variance = 1.2 * output_variance(alike.counted(weight), read.covariance)
    assert told_by_statistics(read, weight, None, (3, 3), (1, 1), variance) == 0.5


def test_real_neighbours_are_found():
    """A long moving average of noise, seen by random kernels: neighbours are alike as measured."""
    torch.manual_seed(0)
    noise = torch.randn(1, 1, 200_000).double()
    for _ in range(2):  # twice an average of two: neighbours at 2 / 3, the next ones at 1 / 6
        noise = nn.functional.avg_pool1d(noise, 2, 1)
    noise = noise / noise.std()
    layer = nn.Conv1d(1, 64, 3, bias=False).double()
    with torch.no_grad():
        variance = layer(noise).var((0, 2))
    read = Implied(torch.zeros(1).double(), torch.eye(1).double())
    told = told_by_statistics(read, layer.weight.detach(), None, [3], [1], variance)
    assert 0.4 <= told <= 0.7


@pytest.mark.parametrize(
    "recorded",
    [torch.ones(8), torch.zeros(8), torch.tensor([1.0]), torch.tensor([2.0, *7 * [0.0]])],
)
def test_statistics_that_tell_nothing(recorded):
    read, weight = read_with(1), torch.randn(8, 3, 9).double()
    assert told_by_statistics(read, weight, None, (3, 3), (1, 1), recorded) == UNTOLD


def test_many_taps_take_little_memory(monkeypatch):
    """In pieces as at once."""
    read, weight = read_with(1), torch.randn(8, 3, 9).double()
    variance = output_variance(weight, read.covariance)
    wanted = told_by_statistics(read, weight, None, (3, 3), (1, 1), variance)
    monkeypatch.setattr("splinelib.calibration.neighbours._HELD", 100)
    assert told_by_statistics(read, weight, None, (3, 3), (1, 1), variance) == wanted
