"""Ranges are rounded outward, and zeros stay."""

import torch

from splinelib.bounds.ranges import Range, down, hull, up


def test_differences_and_sums_are_rounded_outward():
    one, other = (Range(*torch.tensor([[0.1], [b]], dtype=torch.float64)) for b in (0.3, 0.2))
    minus, plus = one.minus(other), one.plus(other)
    assert minus.low.item() < 0.1 - 0.2 and minus.high.item() > 0.3 - 0.1
    assert plus.low.item() < 0.1 + 0.1 and plus.high.item() > 0.3 + 0.2
    same = Range(one.low, one.low)
    assert same.minus(same).low == 0 and same.minus(same).high == 0


def test_the_centre_and_the_radius_cover_the_range():
    torch.manual_seed(0)
    low = torch.randn(1000).double()
    r = Range(low, low + torch.rand(1000).double() * 1e-15)
    centre = r.centre()
    radius = r.radius(centre)
    assert (centre + radius >= r.high).all() and (centre - radius <= r.low).all()


def test_what_two_ranges_have_in_common_and_together():
    one, other = (Range(torch.tensor([a]), torch.tensor([b])) for a, b in ((0.0, 2.0), (1.0, 3.0)))
    assert (one.within(other).low, one.within(other).high) == (1.0, 2.0)
    assert (hull(one, other).low, hull(one, other).high) == (0.0, 3.0)
    assert Range(torch.tensor([-3.0]), torch.tensor([2.0])).largest() == 3


def test_steps_to_the_next_number():
    x = torch.tensor([0.0, 1.0, -1.0]).double()
    assert (up(x) - x).tolist() == [0, 2**-52, 2**-53]
    assert down(x).tolist() == [0, 1 - 2**-53, -1 - 2**-52]
    assert (Range(x, x).outward().high == up(x)).all()
