"""Spread lines: through the data, apart in angle, and of a sensible size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splinelib.data import toy
from splinelib.models import mlp, spread_lines


def hidden(model, inputs):
    """Pre-activations of each hidden layer of a perceptron."""
    values, before = [], inputs.flatten(1)
    for layer in [m for m in model if isinstance(m, torch.nn.Linear)][:-1]:
        values.append(layer(before))
        before = values[-1].relu()
    return values


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 12), st.floats(-50, 50))
def test_every_line_has_data_on_both_sides_and_crosses_their_box(seed, inputs, units, shift):
    points = torch.randn(60, inputs, generator=torch.Generator().manual_seed(seed)) + shift
    started = spread_lines(mlp([inputs, units, 2]).double(), points.double(), seed=seed)
    (values,) = hidden(started, points.double())
    assert ((values > 0).any(0) & (values < 0).any(0)).all()
    low, high = points.double().amin(0), points.double().amax(0)
    weight, bias = started.linear1.weight, started.linear1.bias
    middle, reach = weight @ ((low + high) / 2) + bias, weight.abs() @ ((high - low) / 2)
    assert (middle.abs() <= reach).all(), "a line that misses the box of the data"


def test_deeper_lines_cross_the_data_too():
    points, labels = toy("spiral", 256)
    for values in hidden(spread_lines(mlp([2, 6, 6, 6, 2]), points, labels), points):
        assert ((values > 0).any(0) & (values < 0).any(0)).all()
        torch.testing.assert_close(values.std(0, correction=0), torch.ones(6), rtol=1e-3, atol=0)


def test_directions_in_the_plane_are_nearly_even():
    points, _ = toy("cross", 256)
    weight = spread_lines(mlp([2, 6, 2]), points).linear1.weight
    angles = torch.atan2(weight[:, 1], weight[:, 0]).rad2deg().remainder(180).sort().values
    gaps = torch.cat([angles.diff(), angles[:1] + 180 - angles[-1:]])
    assert gaps.min() > 15, "six lines are 30 degrees apart at best"
    as_they_come = spread_lines(mlp([2, 6, 2]), points, by_angle=False).linear1.weight
    angles = torch.atan2(as_they_come[:, 1], as_they_come[:, 0]).rad2deg().remainder(180)
    assert angles.sort().values.diff().min() < gaps.min()


def test_the_model_stays_and_so_does_its_last_layer():
    points, _ = toy("cross", 100)
    model = mlp([2, 4, 2])
    before = [p.clone() for p in model.parameters()]
    started = spread_lines(model, points, seed=1)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert torch.equal(started.linear2.weight, model.linear2.weight)
    again = spread_lines(model, points, seed=1)
    assert torch.equal(started.linear1.weight, again.linear1.weight)
    other = spread_lines(model, points, seed=2)
    assert not torch.equal(started.linear1.weight, other.linear1.weight)


def test_with_labels_lines_part_the_classes():
    points = torch.cat([torch.randn(50, 2), torch.randn(50, 2) + 100])
    labels = torch.arange(100) // 50
    (values,) = hidden(spread_lines(mlp([2, 1, 2]), points, labels), points)
    assert len(((values[:, 0] > 0) == labels.bool()).unique()) == 1


@pytest.mark.parametrize(
    "inputs, labels, message",
    [
        (torch.zeros(5, 3), None, "reads 2 numbers for each input, and these have 3"),
        (torch.full((5, 2), float("nan")), None, "NaN or infinite"),
        (torch.rand(5, 2), torch.zeros(4, dtype=torch.int64), "one class for each of 5 inputs"),
        (torch.ones(5, 2), None, "No two inputs were found"),
        (torch.rand(5, 2), torch.zeros(5, dtype=torch.int64), "of different classes"),
    ],
)
def test_inputs_without_room_for_a_line_are_refused(inputs, labels, message):
    with pytest.raises(ValueError, match=message):
        spread_lines(mlp([2, 3, 2]), inputs, labels)


def test_what_is_no_perceptron_is_refused():
    with pytest.raises(TypeError, match="Conv2d"):
        spread_lines(torch.nn.Conv2d(1, 1, 1), torch.rand(5, 2))
