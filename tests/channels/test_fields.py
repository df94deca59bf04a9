"""The algebra of which unit each position comes from."""

import torch

from splinelib.channels.fields import Field, Ties, along, combine, contract, field


def classes(ties):
    """Sets of numbers that are tied to each other."""
    label = ties.components()
    together = {}
    for number, name in enumerate(label.tolist()):
        together.setdefault(name, set()).add(number)
    return {frozenset(group) for group in together.values() if len(group) > 1}


def test_a_field_is_kept_small():
    labels = torch.arange(1, 4).view(1, 3, 1).expand(2, 3, 5).clone()
    item = field(labels)
    assert torch.equal(item.labels, labels) and item.axes == {1}
    assert item.labels.stride() == (0, 1 * item.labels.stride(1), 0)
    assert along(torch.arange(1, 4), (2, 3, 5), 1).axes == {1}


def test_a_field_of_one_axis_has_its_channels_in_a_line():
    labels = torch.arange(1, 4)
    for item in (along(labels, (2, 3, 5), 1), field(labels.view(3, 1).expand(2, 3, 5))):
        assert item.axes == {1} and item.shape == (2, 3, 5) and item.line.tolist() == [1, 2, 3]
        assert torch.equal(item.labels, labels.view(3, 1).expand(2, 3, 5))
    assert along(labels[:1], (2, 1, 5), 1).line is None
    assert field(torch.arange(6).view(2, 3)).line is None


def test_units_that_meet_are_tied_and_those_that_meet_nothing_stay():
    ties = Ties()
    one, other = ties.new(3), ties.new(3)
    a, b = along(one, (2, 3, 5), 1), along(other, (3, 1), 0)
    result = combine(ties, (2, 3, 5), [((2, 3, 5), [a]), ((3, 1), [b])], "why")
    assert [item.axes for item in result] == [frozenset({1})]
    assert classes(ties) == {frozenset({1, 4}), frozenset({2, 5}), frozenset({3, 6})}
    assert list(ties.barred) == [0]
    combine(ties, (2, 3, 5), [((2, 3, 5), [a]), ((1, 3, 5), [])], "meets a constant")
    assert {n: ties.barred[n] for n in (1, 2, 3)} == dict.fromkeys((1, 2, 3), "meets a constant")


def test_a_map_of_one_channel_scales_the_others():
    ties = Ties()
    units, gate = ties.new(3), ties.new(1)
    a = along(units, (2, 3, 5), 1)
    result = combine(
        ties, (2, 3, 5), [((2, 3, 5), [a]), ((2, 1, 5), [along(gate, (2, 1, 5), 1)])], "why"
    )
    assert len(result) == 1 and torch.equal(result[0].labels, a.labels)
    assert set(ties.barred) == {0, 4} and classes(ties) == set()


def test_units_along_other_axes_pass_each_other():
    ties = Ties()
    rows, columns = ties.new(2), ties.new(3)
    a, b = along(rows, (2, 3), 0), along(columns, (2, 3), 1)
    result = combine(
        ties, (2, 3), [((2, 1), [along(rows, (2, 1), 0)]), ((3,), [along(columns, (3,), 0)])], ""
    )
    assert {item.axes for item in result} == {a.axes, b.axes}
    assert classes(ties) == set() and set(ties.barred) == {0}
    combine(ties, (2, 3), [((2, 3), [a]), ((2, 3), [b])], "along another axis")
    assert set(ties.barred) == {0, 1, 2, 3, 4, 5}


def test_a_product_ties_what_it_sums_over():
    ties = Ties()
    units, columns, rows = ties.new(3), ties.new(3), ties.new(4)
    inputs = ((2, 3), [along(units, (2, 3), 1)])
    weight = ((3, 4), [along(columns, (3, 4), 0), along(rows, (3, 4), 1)])
    (left, none), (right, kept) = contract(ties, inputs, weight, (1, 0), "no unit")
    assert left == (2, 1) and right == (1, 4) and none == []
    assert [item.axes for item in kept] == [frozenset({1})]
    assert classes(ties) == {frozenset({1, 4}), frozenset({2, 5}), frozenset({3, 6})}
    contract(ties, ((2, 3), []), weight, (1, 0), "no unit")
    assert ties.barred[4] == "no unit" and 7 not in ties.barred


def test_what_differs_along_an_axis_is_tied_to_be_the_same():
    ties = Ties()
    labels = ties.new(6).view(2, 3)
    level = ties.level(Field(labels, frozenset({0, 1})), {0})
    assert level.axes == {1} and torch.equal(level.labels[1], labels[0])
    assert classes(ties) == {frozenset({1, 4}), frozenset({2, 5}), frozenset({3, 6})}
