"""Operations counted."""

import pytest
import torch
from torch import nn

from splinelib import models, training
from splinelib.training import forward_flops


def test_160_epochs_of_vgg16_cost_what_the_paper_prints():
    per_image = training.FORWARDS_PER_STEP * forward_flops(
        models.vgg16(), torch.zeros(1, 3, 32, 32)
    )
    ledger = training.FlopsLedger()
    ledger.add("dense", per_image * 50_000 * 160)
    assert ledger.pflop == pytest.approx(15.0, abs=0.05)
    assert ledger.units == pytest.approx(302, rel=0.01)


def test_flops_are_counted_from_layer_shapes():
    model = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Flatten(), nn.Linear(5 * 16, 7))
    expected = 2 * (16 * 5 * 3 * 9 + 5 * 16 * 7)
    assert forward_flops(model, torch.zeros(4, 3, 4, 4)) == expected
