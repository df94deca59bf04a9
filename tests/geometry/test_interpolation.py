"""Values at new vertices."""

import numpy as np

from splinelib.geometry.interpolation import NewVertices, extended

VALUES = np.array([[0.0, 8.0], [4.0, 0.0], [1.0, 1.0]])


def between(a, b, t):
    return NewVertices(np.array(a), np.array(b), np.array(t), np.zeros(len(t)))


def test_values_between_two_vertices():
    new = between([0, 1], [1, 2], [0.25, 0.5])
    assert new.interpolate(VALUES).tolist() == [[1, 6], [2.5, 0.5]]
    assert new.interpolate(VALUES[:, 0]).tolist() == [1, 2.5]
    vertex, unit = np.array([1, 3, 4, 3]), np.array([0, 0, 1, 1])
    assert new.look_up(VALUES, vertex, unit).tolist() == [4, 1, 0.5, 6]


def test_later_vertices_may_lie_between_earlier_new_ones():
    added = [between([0], [1], [0.25]), between([3], [2], [0.5])]
    more = np.array([[1.0], [1], [3]])
    whole = extended(added, VALUES, more)
    assert (whole[:3] == np.column_stack([VALUES, more])).all()
    assert whole[3:].tolist() == [[1, 6, 1], [1, 3.5, 2]]
    assert extended([], VALUES) is VALUES
