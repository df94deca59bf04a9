"""Points find their cell."""

import numpy as np
import pytest
from geometry.oracle import partition as exact
from networks import network, random_network

import splinelib as sl
from splinelib.geometry.locating import border_distances, locate
from splinelib.geometry.mesh import Mesh


def test_points_of_a_grid_of_cells_are_found():
    # lines x = 0 and y = 0.5: the cell is told by two signs
    layers = [([[1, 0], [0, 1]], [0, -0.5]), ([[1, 1]], [0])]
    part = sl.partition(network(layers))
    assert len(part) == len(exact(layers, ((-1, 1), (-1, 1)))) == 4
    points = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    codes = part.codes.unpack("0").numpy()[locate(part.mesh, part.centroids, points)]
    assert (codes == (points > [0, 0.5])).all()
    beyond = points + np.array([2.0, 0]) * np.where(points[:, :1] > 0, 1, -1)
    outside = (np.abs(beyond) > 1).any(1)
    assert (locate(part.mesh, part.centroids, beyond[outside]) == -1).all()


def test_locate_refuses_what_lies_outside():
    part = sl.partition(random_network([8]))
    assert part.locate([[2.0, 0.0], [0.0, 0.0]])[0] == -1
    with pytest.raises(ValueError, match="finite"):
        part.locate([[np.nan, 0.0]])


def test_distances_to_the_border_of_a_rectangle():
    mesh = Mesh.rectangle(((0, 4), (0, 2)))
    assert border_distances(mesh, np.array([1.0, 1.0])).tolist() == [1.0]
    assert border_distances(mesh, np.array([7.0, 6.0])).tolist() == [5.0]
