"""Windows: their ranges, their certain winners, and where coefficients go."""

import pytest
import torch
from bounded import Function
from torch import nn

from splinelib.bounds.pooling import (
    certain,
    pooled,
    pooled_change,
    pooled_range,
    to_winner,
    winners,
)
from splinelib.bounds.ranges import Range
from splinelib.network.trace import record


def pool(module, size=6):
    return record(module, torch.zeros(1, 2, size, size)).activations()[0].activation


POOLS = [
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, 2, 1),
    nn.MaxPool2d(2, 1, dilation=2),
    nn.AdaptiveMaxPool2d(1),
    nn.AdaptiveMaxPool2d(4),
    nn.MaxPool2d(4, ceil_mode=True),
    Function(lambda x: x.amax((2, 3))),
    Function(lambda x: x.amax(-1, keepdim=True)),
    Function(lambda x: x.max(3)[0]),
]


@pytest.mark.parametrize("module", POOLS, ids=str)
def test_winners_that_are_certain_win_and_ranges_hold(module):
    torch.manual_seed(0)
    phi = pool(module)
    low = torch.randn(1, 2, 6, 6).double()
    z = Range(low, low + 0.05 * torch.rand_like(low))
    sure, known = certain(phi, z), pooled_range(phi, z)
    winner = winners(phi, z.low)
    for _ in range(50):
        x = z.low + (z.high - z.low) * torch.rand_like(low)
        assert (winners(phi, x) == winner)[sure].all()
        assert (known.low <= pooled(phi, x)).all() and (pooled(phi, x) <= known.high).all()
        d = Range(torch.full_like(low, -0.1), torch.rand_like(low))
        moved = pooled(phi, x + d.low + (d.high - d.low) * torch.rand_like(low)) - pooled(phi, x)
        change = pooled_change(phi, d)
        assert (change.low - 1e-12 <= moved).all() and (moved <= change.high + 1e-12).all()
    told = not (module.__class__ is nn.AdaptiveMaxPool2d and module.output_size == 4)
    assert sure.any() == (told and not getattr(module, "ceil_mode", False))


def test_coefficients_go_to_the_largest_lower_bound():
    phi = pool(nn.MaxPool2d(2), 2)
    low = torch.tensor([[[[1.0, 4.0], [2.0, 3.0]], [[5.0, 0.0], [1.0, 2.0]]]])
    found = to_winner(phi, low, torch.tensor([[[[10.0]], [[20.0]]]]))
    assert found.flatten().tolist() == [0, 10, 0, 0, 20, 0, 0, 0]
