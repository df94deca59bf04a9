"""Cells are merged, and nothing of what was between them is left."""

import numpy as np
from geometry.checks import UNIT, grid

from splinelib.geometry.merging import merge


def test_two_of_four_cells():
    mesh, signs = grid()
    right = mesh.any_corner(signs.pos)[:, 0] & np.uint64(1)
    above = mesh.any_corner(signs.pos)[:, 0] >> np.uint64(1)
    xy = mesh.xy.copy()
    cells, vertices = merge(mesh, np.stack([right, right * above], 1))  # the left two
    assert len(mesh) == 3 and sorted(mesh.areas()) == [1, 1, 2]
    assert (mesh.xy == xy[vertices]).all()
    assert right[cells].tolist() == (mesh.xy[mesh.corners()[mesh.ptr[:-1]]][:, 0] >= 0).tolist()
    # the end of the line on the left border is gone, that in the middle is not
    places = {tuple(p) for p in mesh.xy.tolist()}
    assert (0, 0) in places and (-1, 0) not in places
    assert len(mesh.xy) - len(mesh.edges) + len(mesh) == 1


def test_all_cells_make_the_rectangle_again():
    mesh, _ = grid()
    merge(mesh, np.zeros((4, 1)))
    assert len(mesh) == 1 and len(mesh.edges) == len(mesh.xy) == 4
    assert mesh.areas().tolist() == [4]
    assert sorted(mesh.source.tolist()) == [[-1, 0], [-1, 1], [-1, 2], [-1, 3]]
    (x0, x1), (y0, y1) = UNIT
    assert mesh.xy.tolist() == [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
