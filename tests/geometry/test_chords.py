"""Chords through cells, and where they cross."""

import numpy as np
import pytest
from geometry.checks import UNIT

import splinelib as sl
from splinelib.geometry.chords import cross_chords, find_chords
from splinelib.geometry.cutting import cut
from splinelib.geometry.mesh import Mesh
from splinelib.geometry.rounding import tolerance_of, vertex_signs
from splinelib.geometry.signs import has_bit

DIAGONALS = np.array([[-2.0, 0], [0, 2], [2, 0], [0, -2]])  # x + y and x - y at the corners


def prepared(values):
    mesh, tolerance = Mesh.rectangle(UNIT), tolerance_of(np.ones(values.shape[1]))
    return mesh, vertex_signs(mesh, values, tolerance), tolerance


def test_two_diagonals_cross_in_the_middle():
    mesh, signs, tolerance = prepared(DIAGONALS.copy())
    chords = find_chords(mesh, signs)
    assert chords.unit.tolist() == [0, 1] and chords.twins is None
    ends = [{int(a), int(b)} for a, b in zip(chords.start, chords.end, strict=True)]
    assert ends == [{1, 3}, {0, 2}]

    def value(vertex, unit):
        return DIAGONALS[vertex, unit]

    crossings = cross_chords(mesh, chords, signs, tolerance, value, layer=0)
    assert crossings.vertices.interpolate(mesh.xy).tolist() == [[0, 0]]
    assert crossings.per_chord.tolist() == [1, 1] and crossings.vertex.tolist() == [4, 4]
    assert signs.pos[4] == signs.neg[4] == 0
    with pytest.raises(sl.RegionLimitExceeded):  # two chords and a crossing make four cells
        cross_chords(mesh, chords, signs, tolerance, value, layer=0, max_cells=3)


def test_units_that_draw_the_same_segment_share_the_chord_of_the_lowest():
    mesh, signs, _ = prepared(np.stack([DIAGONALS[:, 1], -3 * DIAGONALS[:, 1]], 1))
    chords = find_chords(mesh, signs)
    assert chords.unit.tolist() == [0]
    assert [chords.twins.unit.tolist(), chords.twins.leader.tolist()] == [[1], [0]]


@pytest.mark.parametrize("factor", [3.0, -3.0])
def test_a_twin_has_the_sign_of_its_leader_or_the_mirrored_one(factor):
    # y = 0, crossed by x = 0 and x = 0.5; the last unit draws x = 0.5 again
    x, y = Mesh.rectangle(UNIT).xy.T
    mesh, tolerance = Mesh.rectangle(UNIT), tolerance_of(np.ones(4))
    values = np.stack([y, x, x - 0.5, factor * (x - 0.5)], 1)
    signs = vertex_signs(mesh, values, tolerance)
    cut(mesh, values, signs, tolerance, layer=0)
    assert sorted(mesh.areas()) == pytest.approx([0.5, 0.5, 0.5, 0.5, 1, 1])
    middle = np.flatnonzero((mesh.xy == [0, 0]).all(1))
    above, below = (signs.pos, signs.neg) if factor > 0 else (signs.neg, signs.pos)
    assert has_bit(below, middle, np.array([3])).all()
    assert not has_bit(above, middle, np.array([3])).any()


def test_a_line_that_enters_and_does_not_leave_is_refused():
    mesh, signs, _ = prepared(DIAGONALS.copy())
    assert find_chords(*prepared(np.ones((4, 2)))[:2]) is None
    signs.pos[1] |= np.uint64(1)  # now the sign of x + y changes between corners without a zero
    with pytest.raises(sl.UndecidablePartition, match="enters a region and does not leave it"):
        find_chords(mesh, signs)
