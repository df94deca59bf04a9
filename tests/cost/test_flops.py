"""Operations counted."""

import pytest
import torch
import torch.nn.functional as F
from networks import by_hand
from torch import nn

from splinelib import models, training
from splinelib.cost import flops
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


VECTOR, MATRIX = torch.randn(8), torch.randn(5, 8)


@pytest.mark.parametrize(
    ("function", "arguments", "products"),
    [
        (torch.matmul, (MATRIX, VECTOR), 5 * 8),
        (torch.matmul, (torch.randn(2, 3, 8), VECTOR), 2 * 3 * 8),
        (torch.matmul, (VECTOR, VECTOR), 8),
        (torch.vdot, (VECTOR, VECTOR), 8),
        (torch.addmv, (torch.randn(5), MATRIX, VECTOR), 5 * 8),
        (torch.addbmm, (torch.randn(4, 6), torch.randn(3, 4, 8), torch.randn(3, 8, 6)), 3 * 192),
        (F.linear, (VECTOR, MATRIX), 5 * 8),
        (torch.einsum, ("bi,i->b", MATRIX, VECTOR), 5 * 8),
        (nn.Bilinear(3, 4, 5), (torch.randn(6, 3), torch.randn(6, 4)), 6 * 5 * 3 * 4),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (torch.randn(1, 4, 5, 5),), 25 * 12 * 9),
        (
            nn.Conv2d(4, 6, 3, stride=2, dilation=2, groups=2),
            (torch.randn(1, 4, 9, 9),),
            9 * 12 * 9,
        ),
    ],
)
def test_products_count_whatever_their_shapes(function, arguments, products):
    assert counted(function, *arguments) == 2 * products


@pytest.mark.parametrize("two_ways", [False, True])
def test_recurrent_layers_count_as_their_cells_do(two_ways):
    x = torch.randn(2, 7, 4)
    layer = nn.LSTM(4, 6, 2, batch_first=True, bidirectional=two_ways).eval()
    ways, cells = 1 + two_ways, (nn.LSTMCell(4, 6), nn.LSTMCell(6 * (1 + two_ways), 6))
    apart = sum(counted(cell, torch.randn(2, cell.input_size)) for cell in cells)
    assert counted(layer, x) == 7 * ways * apart
    gates = nn.GRU(4, 6, 2, batch_first=True, bidirectional=two_ways).eval()
    assert counted(gates, x) == 3 / 4 * counted(layer, x)


def test_a_step_through_recurrent_and_bilinear_layers_counts_its_way_back():
    x = torch.randn(2, 7, 4, requires_grad=True)
    for layer, inputs in ((nn.LSTM(4, 6), (x,)), (nn.Bilinear(4, 4, 5), (x, x))):
        with FlopCounter() as counter:
            out = layer(*inputs)
            (out[0] if isinstance(out, tuple) else out).sum().backward()
        forward = counted(layer, *inputs)
        assert counter.total == (1 + len(inputs) + 1) * forward  # to each input, and to the weights


def test_the_recurrent_layers_of_a_gpu_count_by_their_matrices():
    """Their weights come as a list, with biases among them."""
    layer = nn.LSTM(4, 6, 2)
    weights = [p.detach() for p in layer.parameters()]
    once = flops.recurrent(torch.randn(7, 2, 4), weights)
    assert once == counted(layer.eval(), torch.randn(7, 2, 4))
