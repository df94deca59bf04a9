"""The mesh: a rectangle, and two cells of it."""

import numpy as np

from splinelib.geometry.interpolation import NewVertices
from splinelib.geometry.mesh import Mesh

DOMAIN = ((0, 4), (-1, 1))


def halves():
    """The rectangle, cut at x = 1 from below (vertex 4) to above (vertex 5)."""
    xy = [[0, -1], [4, -1], [4, 1], [0, 1], [1, -1], [1, 1]]
    edges = [[0, 4], [4, 1], [1, 2], [2, 5], [5, 3], [3, 0], [4, 5]]
    source = [[-1, 0], [-1, 0], [-1, 1], [-1, 2], [-1, 2], [-1, 3], [0, 7]]
    loops = [0, 12, 8, 10, 2, 4, 6, 13]
    arrays = (np.array(a) for a in (edges, source, loops, [0, 4, 8]))
    return Mesh(np.array(xy, float), np.zeros((6, 2)), *arrays)


def test_a_rectangle_is_one_cell():
    mesh = Mesh.rectangle(DOMAIN)
    assert len(mesh) == 1 and mesh.areas().tolist() == [8]
    assert mesh.xy[mesh.corners()].tolist() == [[0, -1], [4, -1], [4, 1], [0, 1]]
    assert mesh.source.tolist() == [[-1, 0], [-1, 1], [-1, 2], [-1, 3]]
    assert mesh.owner().reshape(-1, 2).tolist() == [[0, -1]] * 4


def test_cells_and_their_half_edges():
    mesh = halves()
    assert mesh.corners().tolist() == [0, 4, 5, 3, 4, 1, 2, 5]
    assert mesh.areas().tolist() == [2, 6]
    assert mesh.owner().reshape(-1, 2)[6].tolist() == [0, 1]
    assert mesh.cell_of_entry().tolist() == [0] * 4 + [1] * 4
    assert mesh.next_entry().tolist() == [1, 2, 3, 0, 5, 6, 7, 4]
    words = np.array([[1], [2], [4], [0], [0], [8]], np.uint64)
    assert mesh.any_corner(words).tolist() == [[1 | 8], [2 | 4 | 8]]


def test_new_vertices_drift_along_their_edge_and_a_copy_is_a_copy():
    mesh = Mesh.rectangle(DOMAIN)
    copy = mesh.copy()
    a, b = np.array([0]), np.array([2])
    assert mesh.steps(a, b).tolist() == [[2, 2]]  # in halves of the sides
    mesh.append(NewVertices(a, b, np.array([0.25]), np.array([0.125])))
    assert mesh.xy[4].tolist() == [1, -0.5] and mesh.drift[4].tolist() == [0.25, 0.25]
    assert len(copy.xy) == 4
