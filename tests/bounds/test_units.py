"""Units that are proven on or off."""

import torch
from networks import network, random_network, small
from torch import nn

import splinelib as sl
from splinelib.bounds import unit_bounds


def test_by_hand():
    net = network([([[1.0], [-1.0], [1.0]], [0.0, 0.0, -1.0]), ([[1.0] * 3], [0.0])])
    layer, *_ = unit_bounds(net, (torch.tensor([0.5]), torch.tensor([2.0])))
    assert (layer.name, layer.kind, layer.breakpoints) == ("0", "relu", (0.0,))
    assert layer.on.tolist() == [[True, False, False]]
    assert layer.off.tolist() == [[False, True, False]]
    assert layer.unstable.tolist() == [[False, False, True]]
    assert (layer.low[0, 2].item(), layer.high[0, 2].item()) == (-0.5, 1.0) or (
        abs(layer.low[0, 2].item() + 0.5) < 1e-12 and abs(layer.high[0, 2].item() - 1) < 1e-12
    )


def test_proven_units_keep_their_side_at_every_point():
    model = random_network([16, 16, 16])
    low = torch.tensor([[-0.3, 0.1], [0.4, 0.4]])
    found = unit_bounds(model, (low, low + 0.2))
    x = low[:, None] + 0.2 * torch.rand(2, 500, 2, generator=torch.Generator().manual_seed(0))
    codes = sl.region_codes(model, x.flatten(0, 1))
    for layer in found:
        bits = codes.unpack(layer.name).unflatten(0, (2, 500))
        assert bits.all(1)[layer.on].all() and not bits.any(1)[layer.off].any()
        assert layer.on.any() and layer.off.any()


def test_few_units_are_bounded_backwards_which_is_tighter():
    model = random_network([16, 16, 16])
    box = -0.3 * torch.ones(1, 2), 0.3 * torch.ones(1, 2)
    wide, tight = unit_bounds(model, box, units=0), unit_bounds(model, box)
    for one, two in zip(wide, tight, strict=True):
        assert (two.low >= one.low).all() and (two.high <= one.high).all()
    assert (tight[-1].high - tight[-1].low).sum() < 0.9 * (wide[-1].high - wide[-1].low).sum()


def test_units_behind_max_pooling_are_bounded_backwards():
    net = nn.Sequential(*small().eval(), nn.ReLU(), nn.Linear(3, 1))
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    wide, tight = (unit_bounds(net, (x - 0.05, x + 0.05), units=u)[-1] for u in (0, 256))
    assert (tight.high - tight.low < wide.high - wide.low).any()
    points = x - 0.05 + 0.1 * torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        seen = net[:8](points).double()
    assert (tight.low <= seen + 1e-6).all() and (seen <= tight.high + 1e-6).all()
