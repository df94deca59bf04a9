"""Class probabilities matched."""

import pytest
import torch
import torch.nn.functional as F
from networks import dense_mlp, images
from torch import nn

import splinelib as sl
from splinelib.pruning import distillation


def logits_and_probabilities(model, data):
    with torch.no_grad():
        return model(data), model(data).softmax(1)


@pytest.mark.parametrize("bias", [True, False])
def test_distil_matches_probabilities_where_refit_matches_logits(bias):
    model = dense_mlp(dtype=torch.float64)
    model[4] = nn.Linear(12, 3, bias=bias, dtype=torch.float64)
    model[4].weight.data *= 100  # certain most of the time, as trained networks are
    data, test = (
        torch.randn(n, 6, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        for n in (600, 2000)
    )
    wanted, certain = logits_and_probabilities(model, test)
    off, divergence = {}, {}
    for how in ("refit", "distil"):
        small = sl.prune(model, 0.6, "lsq", data=data, compensate=how)
        logits, _ = logits_and_probabilities(small, test)
        off[how] = (logits - wanted).square().mean().item()
        divergence[how] = F.cross_entropy(logits, certain).item()
    assert divergence["distil"] < divergence["refit"]
    assert off["distil"] > off["refit"]


def test_distil_is_at_the_minimum_of_its_loss():
    generator = torch.Generator().manual_seed(0)
    read = torch.randn(300, 5, generator=generator, dtype=torch.float64)
    read = torch.cat([read, torch.ones(300, 1, dtype=torch.float64)], 1)
    wanted = torch.randn(300, 4, generator=generator, dtype=torch.float64).mul(3).softmax(1)
    anchor = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    found = distillation._logistic(read, wanted, anchor, 1e-3, anchor).requires_grad_()
    pull = 1e-3 * read.square().mean()
    loss = F.cross_entropy(read @ found.T, wanted) + pull / 2 * (found - anchor).square().sum()
    (gradient,) = torch.autograd.grad(loss, found)
    assert gradient.abs().max() < 1e-3


def test_distil_takes_classifiers_only():
    class Map(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            return self.last(F.relu(self.first(x)))

    regressor = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    doubled = nn.Sequential(*dense_mlp(), nn.Softplus())
    for model, data in (
        (Map(), images(8)),
        (regressor, torch.randn(8, 6)),
        (doubled, torch.randn(8, 6)),
    ):
        with pytest.raises(ValueError, match=r"row of logits.*'refit' takes any"):
            sl.prune(model, 0.5, "l2", data=data, compensate="distil")
