"""Crossings along lines: one point or several, and the signs there."""

import numpy as np
import pytest
from geometry.checks import UNIT

import splinelib as sl
from splinelib.geometry.crossings import group_crossings, signs_along
from splinelib.geometry.mesh import Mesh
from splinelib.geometry.signs import Signs

START, END = np.array([0, 1]), np.array([1, 2])


def group(line, t, slack):
    arrays = (np.array(a) for a in (line, t, slack))
    return group_crossings(Mesh.rectangle(UNIT), START, END, *arrays)


def test_crossings_within_their_slack_are_one_point_that_is_known_best():
    order, first, t, slack = group([1, 0, 1, 1], [0.5, 0.3, 0.500001, 0.2], [1e-6, 0, 1e-7, 0])
    assert order.tolist() == [1, 3, 0, 2]
    assert first.tolist() == [True, True, True, False]
    assert t.tolist() == [0.3, 0.2, 0.500001] and slack.tolist() == [0, 0, 1e-7]


def test_crossings_that_are_nearly_one_point_are_refused():
    with pytest.raises(sl.UndecidablePartition, match=r"near \(0, -1\) .* nearly meet in one"):
        group([0, 0], [0.5, 0.5 + 1e-6], [4e-7, 0])
    assert group([0, 1], [0.5, 0.5 + 1e-6], [4e-7, 0])[1].all()  # on two lines


def test_signs_change_in_the_order_of_the_crossings():
    # along one line function 0 goes up, 1 goes down, 2 stays up; 0 and 1 cross, then 3 upward
    signs = Signs(
        np.array([[0b0110], [0b1101]], np.uint64), np.array([[0b1001], [0b10]], np.uint64)
    )
    crossed = signs.opposite(np.array([0]), np.array([1]))
    assert crossed.ravel().tolist() == [0b1011]
    line, unit, opening = np.zeros(3, int), np.array([0, 1, 3]), np.array([0, 2])
    ends = np.array([0]), np.array([1])
    pos, neg = signs_along(signs, *ends, crossed, line, unit, opening)
    assert pos.ravel().tolist() == [0b0100, 0b0101] and neg.ravel().tolist() == [0b1000, 0b0010]
    last = signs_along(signs, *ends, crossed, line, unit, opening, wanted=np.array([1]))
    assert last[0].tolist() == pos[1:].tolist() and last[1].tolist() == neg[1:].tolist()
