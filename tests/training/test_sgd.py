"""One step by hand."""

import copy

import torch
from runs import quick
from torch import nn

from splinelib import models


def test_one_step_is_sgd_with_momentum_and_weight_decay():
    inputs, labels = (
        torch.randn(6, 3, generator=torch.Generator().manual_seed(0)),
        torch.arange(6) % 2,
    )
    model = models.mlp([3, 2])
    expected = copy.deepcopy(model)
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.3, momentum=0.5, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(expected(inputs), labels).backward()
        optimizer.step()
    trained = quick(
        model,
        (inputs, labels),
        epochs=2,
        lr=0.3,
        momentum=0.5,
        weight_decay=0.1,
        batch_size=6,
        milestones=[],
    )
    for one, two in zip(trained.model.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)
