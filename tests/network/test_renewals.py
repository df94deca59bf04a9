"""Elements that tensors share are found in both."""

import random

import pytest
import torch

from splinelib.network import renewals
from splinelib.network.renewals import positions, renewal, renewed


def test_the_place_of_every_element_is_known():
    x = torch.zeros(2, 3)
    assert positions(x.T[1:]).tolist() == [[1, 4], [2, 5]]


def test_a_view_renews_what_it_has_in_common_with_another():
    x = torch.arange(24.0).view(3, 8)
    for view, other in (
        (x[:, ::2], x[:, 1:5]),
        (x[:, 2:4], x),
        (x.view(3, 2, 4).transpose(1, 2)[:, 1:3], x),
        (x, x.view(3, 4, 2)[:, 1]),
    ):
        old, before = other.clone(), view.clone()
        plan = renewal(other, view)
        view.mul_(-1)
        torch.testing.assert_close(renewed(old, view.clone(), plan), other)
        view.copy_(before)


def test_rows_that_do_not_lie_in_rows_are_told():
    x = torch.zeros(4, 4)
    assert renewal(x, x.T) is None
    assert renewal(x, x[:2]) is None
    assert renewal(x, x.view(torch.int32)) is None
    assert not renewal(x[:, :2], x[:, 2:]).changes


def views(x, generator):
    """Views of a tensor of four axes, one after another, at random."""
    for _ in range(generator.randint(1, 3)):
        kind = generator.choice(["slice", "slice", "slice", "step", "permute", "select", "flat"])
        axis = generator.randrange(x.dim())
        size = x.shape[axis]
        if kind == "slice":
            first = generator.randrange(size)
            x = x.narrow(axis, first, generator.randint(1, size - first))
        elif kind == "step":
            x = x[(*[slice(None)] * axis, slice(generator.randrange(size), None, 2))]
        elif kind == "permute":
            x = x.permute(generator.sample(range(x.dim()), x.dim()))
        elif kind == "select" and x.dim() > 2:
            x = x.select(axis, generator.randrange(size))
        elif kind == "flat" and x.dim() > 2 and axis and x.is_contiguous():
            x = x.flatten(axis - 1, axis)
    return x


def shared(old, changed):
    """By hand: for each row, which elements of one are which of the other; None as `renewal`."""
    found = []
    for row, places in enumerate(positions(old)):
        here = {place: at for at, place in enumerate(positions(changed)[row].flatten().tolist())}
        others = positions(changed)[[r for r in range(len(old)) if r != row]]
        if torch.isin(places.contiguous(), others.contiguous()).any():
            return None
        found.append([here.get(place) for place in places.flatten().tolist()])
    return found[0] if all(each == found[0] for each in found) else None


def test_what_any_two_views_share_is_what_their_places_say():
    generator, kinds = random.Random(0), {"none": 0, "nothing": 0, "boxes": 0, "looked up": 0}
    for _ in range(4000):
        memory = torch.randn(generator.choice([2, 3, 4]) * 60)
        x = memory.view(-1, 3, 4, 5) if generator.random() < 0.5 else memory.view(-1, 4, 15, 1)
        old, changed = views(x, generator), views(x, generator)
        if len(old) != len(changed):
            continue
        expected, plan = shared(old, changed), renewal(old, changed)
        assert (plan is None) == (expected is None), (old.shape, changed.shape)
        if plan is None:
            kinds["none"] += 1
            continue
        assert plan.changes == any(at is not None for at in expected)
        if not plan.changes:
            kinds["nothing"] += 1
            continue
        before = old.clone()
        changed.add_(100)
        assert torch.equal(renewed(before, changed.clone(), plan), old)
        kinds["boxes" if isinstance(plan.where, tuple) else "looked up"] += 1
    assert min(kinds.values()) > 100, kinds


def test_of_slices_no_places_are_listed(monkeypatch):
    for name in ("positions", "_listed", "_of_first_rows"):
        monkeypatch.setattr(renewals, name, lambda *_: pytest.fail("it lists places"))
    x = torch.empty(3, 2, 2000, 3000)
    plan = renewal(x, x[:, :, 1:, 1:])
    assert plan.where == (slice(0, 2), slice(1, 2000), slice(1, 3000))
    assert plan.source == (slice(0, 2), slice(0, 1999), slice(0, 2999))
    # with a class token in front, and the rows second
    rows_second = x.transpose(0, 1)
    assert renewal(rows_second[:, :, :1], rows_second[:, :, 1:]).changes is False
    assert renewal(x[:2], x[1:]) is None and not renewal(x[:1], x[1:2]).changes


def test_rows_that_are_laid_out_otherwise_are_looked_up_once(monkeypatch):
    monkeypatch.setattr(renewals, "_listed", lambda *_: pytest.fail("it goes row by row"))
    x = torch.randn(3, 4, 6)
    old, view = x.clone(), x.view(3, 24)[:, 5:]
    plan = renewal(x, view)
    view.mul_(2)
    assert torch.equal(renewed(old, view.clone(), plan), x)
    # elements that stand several times in one of the two
    wide = x[:, :1].expand(3, 5, 6)
    plan = renewal(wide, x)
    assert torch.equal(renewed(wide * 0, x, plan), wide)
    assert not renewal(x, x[:, :0]).changes
