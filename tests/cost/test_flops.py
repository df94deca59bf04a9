"""Operations counted."""

import pytest
import torch
import torch.nn.functional as F
from networks import by_hand
from torch import nn

from splinelib import models, training
from splinelib.training import FlopCounter, forward_flops


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


def counted(function, *args, **settings):
    with torch.no_grad(), FlopCounter() as counter:
        function(*args, **settings)
    return counter.total


def test_fused_attention_counts_as_its_products_do():
    q, k = torch.randn(2, 4, 7, 8), torch.randn(2, 4, 5, 8)
    products = 2 * 2 * (2 * 4) * 7 * 5 * 8
    assert counted(F.scaled_dot_product_attention, q, k, k) == products
    assert counted(by_hand, q, k, k) == products


def test_a_step_through_fused_attention_counts_its_way_back():
    q = torch.randn(2, 4, 7, 8, requires_grad=True)
    with FlopCounter() as counter:
        F.scaled_dot_product_attention(q, q, q).sum().backward()
    assert counter.total == 3.5 * 2 * 2 * 8 * 7 * 7 * 8  # five products, the scores among them


def test_fused_layers_of_transformers_count_as_their_parts_do():
    x, turned = torch.randn(2, 7, 16), torch.randn(7, 2, 16)
    layer = nn.TransformerEncoderLayer(16, 4, 40, batch_first=True).eval()
    attention = layer.self_attn
    fused = counted(layer, x), counted(attention, x, x[:, :5], x[:, :5])
    attention.batch_first, layer.norm_first = False, True  # torch fuses neither
    apart = counted(layer, turned), counted(attention, turned, turned[:5], turned[:5])
    assert fused == apart
