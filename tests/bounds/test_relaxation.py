"""Lines and planes against the activations that they bound, and by hand for ReLU."""

import functools

import pytest
import torch
from bounded import ACTIVATIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from splinelib.bounds.ranges import Range
from splinelib.bounds.relaxation import (
    change_planes,
    change_range,
    lines,
    slopes_met,
    unary,
    value_range,
)
from splinelib.network.activations import parse
from splinelib.network.trace import record


@functools.cache
def activation(kind):
    """A recorded activation of one unit."""
    width = 2 if kind == "maximum" else 1
    graph = record(ACTIVATIONS[kind]().double(), torch.zeros(1, width).double())
    return graph.activations()[0].activation


def number(*values):
    return tuple(torch.tensor([[float(v)]], dtype=torch.float64) for v in values)


ends = st.floats(-3, 3).map(lambda v: round(v, 2))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(ACTIVATIONS)), ends, ends, ends, ends, ends, ends)
def test_they_lie_on_their_side_everywhere(kind, a, b, c, d, e, f):
    phi = activation(kind)
    z, after, change = (Range(*number(*sorted(p))) for p in ((a, b), (c, d), (e, f)))
    x = z.low + (z.high - z.low) * torch.linspace(0, 1, 23, dtype=torch.float64)
    y = after.low + (after.high - after.low) * torch.linspace(0, 1, 29, dtype=torch.float64)
    call = unary(phi).call
    value = call(x.reshape(-1, 1)).flatten()
    above, below = lines(phi, z)
    zero = torch.zeros(())
    assert (above.at(x.flatten(), zero) >= value).all() and (
        below.at(x.flatten(), zero) <= value
    ).all()
    if kind not in {"maximum", "minimum"}:
        known = value_range(phi, z)
        assert (known.low <= value).all() and (value <= known.high).all()
    x, y = torch.meshgrid(x.flatten(), y.flatten(), indexing="ij")
    inside = (y - x >= change.low) & (y - x <= change.high)
    if not inside.any():
        return
    x, y = x[inside], y[inside]
    moved = (call(y.reshape(-1, 1)) - call(x.reshape(-1, 1))).flatten()
    above, below = change_planes(phi, phi, z, after, change)
    assert (above.at(x, y - x) >= moved).all() and (below.at(x, y - x) <= moved).all()
    if kind not in {"maximum", "minimum"}:
        known = change_range(phi, phi, z, after, change)
        assert (known.low <= moved).all() and (moved <= known.high).all()


def test_relu_is_bounded_as_in_crown():
    relu = activation("relu")
    above, below = lines(relu, Range(*number(-1, 3)))
    assert [above.alpha.item(), above.gamma.item()] == pytest.approx([0.75, 0.75])
    assert [below.alpha.item(), below.gamma.item()] == pytest.approx([1, 0])  # the larger side
    assert lines(relu, Range(*number(-3, 1)))[1].alpha.item() == 0
    above, below = lines(relu, Range(*number(1, 2)))
    assert above.alpha.item() == below.alpha.item() == 1


def test_the_change_of_relu_lies_between_its_chords():
    """Of z and z + d in [-9, 9], d in [-1, 3]: beta = 3/4 and gamma = 3/4 above, by hand."""
    relu, wide = activation("relu"), Range(*number(-9, 9))
    above, below = change_planes(relu, relu, wide, wide, Range(*number(-1, 3)))
    assert [above.alpha.item(), above.beta.item(), above.gamma.item()] == pytest.approx(
        [0, 0.75, 0.75]
    )
    assert [below.alpha.item(), below.beta.item(), below.gamma.item()] == pytest.approx(
        [0, 0.25, -0.75]
    )


def test_where_nothing_changes_the_planes_are_zero():
    relu, still = activation("relu"), Range(*number(0, 0))
    z = Range(*number(-1, 2))
    for plane in change_planes(relu, relu, z, z, still):
        assert plane.alpha.item() == plane.beta.item() == plane.gamma.item() == 0
    steep = activation("steep")  # another activation of the same value does change
    assert change_range(relu, steep, z, z, still).low.item() == pytest.approx(-1.5)


def test_slopes_of_the_pieces_that_a_range_meets():
    tanh = record(nn.Hardtanh(), torch.zeros(1, 1)).activations()[0].activation
    assert [s.item() for s in slopes_met(tanh, *number(-0.5, 0.5))] == [1, 1]
    assert [s.item() for s in slopes_met(tanh, *number(-3, 0.5))] == [0, 1]
    assert [s.item() for s in slopes_met(tanh, *number(2, 3))] == [0, 0]


def test_slopes_that_only_float64_tells_apart_are_two():
    """On the same value, -3, slopes of 0.1 and 0.1 + 1e-10 make a change of -3e-10."""
    one, two = (
        parse(nn.functional.leaky_relu, (torch.zeros(1, 1), slope), {})[0]
        for slope in (0.1, 0.1 + 1e-10)
    )
    z, still = Range(*number(-3, -3)), Range(*number(0, 0))
    assert change_range(one, two, z, z, still).low.item() == pytest.approx(-3e-10, rel=1e-5)
    assert change_range(one, one, z, z, still).low.item() == 0
    for plane in change_planes(one, two, z, z, still):
        assert plane.at(z.low, still.low).item() == pytest.approx(-3e-10, rel=1e-5)
