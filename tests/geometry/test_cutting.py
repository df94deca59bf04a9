"""A rectangle cut along many lines at once."""

import numpy as np
import pytest
from geometry.checks import UNIT, grid

from splinelib.geometry.cutting import cut
from splinelib.geometry.mesh import Mesh
from splinelib.geometry.rounding import tolerance_of, vertex_signs


def test_two_lines_make_four_cells_that_meet_in_one_vertex():
    mesh, signs = grid()
    assert mesh.areas().tolist() == [1] * 4
    assert len(mesh.xy) == 9 and len(mesh.edges) == 12
    assert mesh.xy[8].tolist() == [0, 0]
    drawn = mesh.source[mesh.source[:, 0] == 3]
    assert sorted(drawn[:, 1].tolist()) == [5, 5, 6, 6]  # the units that they are said to be
    codes = mesh.any_corner(signs.pos).ravel()
    assert sorted(codes.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("lines", [3, 30, 70])
def test_lines_in_general_position_make_as_many_cells_as_counting_says(lines):
    rng = np.random.default_rng(lines)
    mesh = Mesh.rectangle(UNIT)
    normal, offset = rng.normal(size=(2, lines)), rng.uniform(-0.5, 0.5, lines)
    values, tolerance = mesh.xy @ normal + offset, tolerance_of(np.full(lines, 10.0))
    signs = vertex_signs(mesh, values, tolerance)
    inside = ((values > 0).any(0) & (values < 0).any(0)).sum()
    added, parent = cut(mesh, values, signs, tolerance, layer=0)
    assert len(mesh) == 1 + inside + len(added[1].t) == len(parent)
    assert len(mesh.xy) - len(mesh.edges) + len(mesh) == 1
    assert mesh.areas().sum() == pytest.approx(4) and (mesh.areas() > 0).all()
    drawn = mesh.source[:, 0] == 0
    ends, unit = mesh.xy[mesh.edges[drawn]], mesh.source[drawn, 1]
    assert np.abs((ends * normal.T[unit][:, None]).sum(2) + offset[unit][:, None]).max() < 1e-13


def test_cells_that_no_line_meets_stay():
    mesh, _ = grid()
    values = mesh.xy[:, :1] + mesh.xy[:, 1:] - 1.5  # a corner of one cell
    tolerance = tolerance_of(np.ones(1))
    before = len(mesh)
    _, parent = cut(mesh, values, vertex_signs(mesh, values, tolerance), tolerance, layer=4)
    assert len(mesh) == before + 1
    assert np.bincount(parent).tolist().count(2) == 1
    assert sorted(mesh.areas().tolist()) == [0.125, 0.875, 1, 1, 1]


def test_lines_one_after_another_make_the_same_cells_as_all_at_once():
    rng = np.random.default_rng(1)
    normal, offset = rng.normal(size=(2, 30)), rng.uniform(-0.5, 0.5, 30)
    tolerance = tolerance_of(np.full(30, 10.0))
    areas = []
    for groups in ([slice(0, 30)], [slice(0, 10), slice(10, 30)]):
        mesh = Mesh.rectangle(UNIT)
        for layer, group in enumerate(groups):
            values = mesh.xy @ normal[:, group] + offset[group]
            signs = vertex_signs(mesh, values, tolerance[group])
            cut(mesh, values, signs, tolerance[group], layer)
        areas.append(np.sort(mesh.areas()))
    assert areas[0] == pytest.approx(areas[1], rel=1e-9)
