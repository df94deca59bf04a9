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
