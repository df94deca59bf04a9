"""A plane through three inputs."""

import pytest
import torch

import splinelib as sl


def test_the_three_points_have_the_coordinates_that_span_the_plane():
    points = torch.rand(3, 1, 4, 4).double()
    plane = sl.Plane.through(*points)
    assert plane([[0, 0], [1, 0], [0, 1]]).allclose(points)
    assert plane([[0.5, 0.25]])[0].allclose(0.25 * points[0] + 0.5 * points[1] + 0.25 * points[2])


def test_points_that_span_no_plane_are_refused():
    x = torch.rand(5)
    with pytest.raises(ValueError, match="one line"):
        sl.Plane.through(x, 2 * x, 3 * x)
    with pytest.raises(ValueError, match="one shape"):
        sl.Plane.through(x, x[:4], x)
    with pytest.raises(ValueError, match="must be finite"):
        sl.Plane.through(x, x + torch.inf, torch.rand(5))


def test_orthonormal_coordinates_are_distances():
    points = torch.rand(3, 1, 4, 4).double()
    plane = sl.Plane.orthonormal(*points)
    axes = torch.stack([plane.right.flatten(), plane.up.flatten()])
    assert (axes @ axes.T).allclose(torch.eye(2).double())
    places = plane.coordinates(points)
    assert plane(places).allclose(points) and places[1, 1] == pytest.approx(0)
    assert places[2, 1] > 0 and places[1, 0] == pytest.approx(float((points[1] - points[0]).norm()))


def test_coordinates_are_those_of_the_nearest_point():
    points = torch.rand(3, 5).double()
    plane = sl.Plane.through(*points)
    away = torch.rand(5).double()
    (place,) = plane.coordinates(away[None])
    rest = away - plane([place])[0]
    assert (rest @ plane.right).abs() < 1e-12 and (rest @ plane.up).abs() < 1e-12
