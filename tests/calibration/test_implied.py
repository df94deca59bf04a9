"""Moments that the weights imply, by hand."""

import copy

import pytest
import torch
from networks import convnet, linear_net
from torch import nn

from splinelib.calibration.gaussian import after_activation
from splinelib.calibration.implied import implied_reads
from splinelib.calibration.implied_moments import output_variance, taps

RELU = (0.0,), (0.0, 1.0)


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


def test_inputs_may_be_reshaped_before_they_are_read():
    class Frames(nn.Module):
        def __init__(self, reshape):
            super().__init__()
            self.reshape, self.conv = reshape, nn.Conv1d(2, 3, 5)

        def forward(self, x):
            return self.conv(self.reshape(x))

    for reshape in (
        lambda x: x[:, :, 0],
        lambda x: x.squeeze(2),
        lambda x: x.permute(0, 1, 3, 2).flatten(2),
        lambda x: x.transpose(1, 2)[:, 0],
    ):
        read = implied_reads(Frames(reshape), torch.zeros(1, 2, 1, 9))["conv"]
        assert torch.equal(read.covariance, torch.eye(2).double()) and not read.mean.any()
    single = nn.Sequential(nn.Unflatten(1, (1, 9)), nn.Conv1d(1, 3, 5))
    assert implied_reads(single, torch.zeros(1, 9))["1"].covariance.tolist() == [[1.0]]


def test_many_inputs_take_no_covariance_of_all_pairs():
    few, many = (
        nn.Sequential(nn.Flatten(), nn.Linear(n, 2), nn.Linear(2, 2)) for n in (12, 60_000)
    )
    with torch.no_grad():
        many[1].weight.zero_()[:, :12] = few[1].weight
        many[1].bias.copy_(few[1].bias)
    one = implied_reads(few, torch.zeros(1, 3, 2, 2))["2"]
    two = implied_reads(many, torch.zeros(1, 3, 100, 200))["2"]
    flat = implied_reads(many[1:], torch.zeros(1, 60_000))["2"]
    for found in (two, flat):
        torch.testing.assert_close(found.covariance, one.covariance)
        torch.testing.assert_close(found.mean, one.mean)


@pytest.mark.parametrize("mode", [True, False])
def test_a_model_is_given_back_as_it_was(mode):
    model = convnet().train(mode)
    before = copy.deepcopy(model.state_dict())
    implied_reads(model, torch.zeros(1, 3, 8, 8))
    assert all(m.training == mode for m in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
