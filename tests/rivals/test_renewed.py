"""Batch-norm statistics taken anew are those of what each batch norm reads."""

import pytest
import torch
from networks import convnet, images
from torch import nn

import splinelib as sl
from splinelib.rivals import renewed_statistics


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def read_by(model, inputs):
    """What each batch norm reads in evaluation mode."""
    found = {}
    hooks = [
        norm.register_forward_pre_hook(lambda m, args: found.__setitem__(m, args[0].clone()))
        for norm in norms(model)
    ]
    with torch.no_grad():
        model.eval()(inputs)
    for hook in hooks:
        hook.remove()
    return [found[norm] for norm in norms(model)]


def test_statistics_are_those_of_all_inputs_layer_after_layer():
    model, inputs = convnet().double(), images(70).double()
    before = [tensor.clone() for tensor in model.state_dict().values()]
    renewed = renewed_statistics(model, inputs)
    for norm, read in zip(norms(renewed), read_by(renewed, inputs), strict=True):
        torch.testing.assert_close(norm.running_mean, read.mean((0, 2, 3)))
        torch.testing.assert_close(norm.running_var, read.var((0, 2, 3), correction=0))
    assert all(map(torch.equal, before, model.state_dict().values()))
    torch.testing.assert_close(renewed_statistics(renewed, inputs)(inputs), renewed(inputs))


def test_the_spread_between_batches_counts():
    """By hand: half of the inputs are 0, half are 2; the mean of the batches' variances is 0."""
    inputs = torch.cat([torch.zeros(256, 1), torch.full((256, 1), 2.0)])
    renewed = renewed_statistics(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)), inputs)
    slope, bias = renewed[0].weight.item(), renewed[0].bias.item()
    assert renewed[1].running_var.item() == pytest.approx(slope**2, rel=1e-5)
    assert renewed[1].running_mean.item() == pytest.approx(slope + bias, rel=1e-5)


def test_a_pruned_network_stays_one_that_can_be_saved(tmp_path):
    model = convnet()
    small = renewed_statistics(sl.prune(model, 0.5, example=images(1)), images(20))
    sl.save_pruned(small, tmp_path / "small.pt")
    again = sl.load_pruned(convnet, tmp_path / "small.pt")
    assert torch.equal(again(images(3)), small(images(3)))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.layer = nn.BatchNorm1d(2), nn.Linear(2, 2)

    def forward(self, x):
        return self.norm(self.layer(self.norm(x)))


def test_what_cannot_be_renewed_is_refused():
    inputs = torch.randn(8, 2)
    with pytest.raises(ValueError, match="no batch norm"):
        renewed_statistics(nn.Linear(2, 2), inputs)
    with pytest.raises(ValueError, match="no batch norm"):
        renewed_statistics(nn.BatchNorm1d(2, track_running_stats=False), inputs)
    with pytest.raises(ValueError, match="'norm' runs more than once"):
        renewed_statistics(Twice(), inputs)
    with pytest.raises(ValueError, match="two inputs"):
        renewed_statistics(nn.BatchNorm1d(2), inputs[:1])
    with pytest.raises(ValueError, match="NaN or infinite"):
        renewed_statistics(nn.BatchNorm1d(2), inputs / 0)
