"""The affine function of each cell, of slivers too."""

import numpy as np
import pytest
from geometry.checks import UNIT
from networks import network

import splinelib as sl
from splinelib.geometry.fitting import affine_fits
from splinelib.geometry.mesh import Mesh


@pytest.mark.parametrize("domain", [UNIT, ((1e3, 1e3 + 1e-3), (-5, 5)), ((0, 1e-9), (0, 100))])
def test_one_cell_by_hand(domain):
    mesh = Mesh.rectangle(domain)
    slopes, intercepts = affine_fits(mesh, mesh.xy @ [[2.0, 0], [-3, 0]] + [1.0, 7])
    assert slopes == pytest.approx(np.array([[[2, -3], [0, 0]]]), abs=1e-3)
    assert intercepts == pytest.approx(np.array([[1, 7]]), abs=1e-6)


@pytest.mark.parametrize("angle", [1e-3, 1e-6, 1e-9, 1e-11])
def test_regions_between_two_lines_at_a_small_angle(angle):
    """relu(x) - 2 relu(x + angle y): four wedges, of which two are as thin as the angle."""
    first = [[1, 0], [1, angle]], [0, 0]
    part = sl.partition(network([first, ([[1, -2]], [0])]))
    on = part.codes.unpack("0").numpy()
    slopes, intercepts = part.affine_maps()
    expected = np.stack([on[:, 0] - 2.0 * on[:, 1], -2 * angle * on[:, 1]], 1)
    assert len(part) == 4
    assert slopes[:, 0] == pytest.approx(expected, abs=1e-14 / angle)
    assert intercepts == pytest.approx(np.zeros((4, 1)), abs=1e-14)


def test_across_a_line_the_slope_is_zero():
    mesh = Mesh.rectangle(((0, 1), (2, 2)))
    slopes, intercepts = affine_fits(mesh, 3 * mesh.xy[:, :1])
    assert slopes.tolist() == [[[3, 0]]] and intercepts == pytest.approx(0)


def test_a_sliver_among_many_regions_does_not_keep_the_others_from_having_maps():
    """Lines at random, two of them nearly the same: a region of 1e-13 of the plane's width."""
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(12, 2)), rng.normal(size=12) / 4
    weight[1], bias[1] = weight[0] * (1 + 1e-13), bias[0] + 2e-13
    out = ([rng.normal(size=12).tolist()], [0])
    part = sl.partition(network([(weight.tolist(), bias.tolist()), out]))
    slopes, intercepts = part.affine_maps()
    cell, corners = part.mesh.cell_of_entry(), part.mesh.corners()
    found = np.einsum("eck,ek->ec", slopes[cell], part.vertices[corners]) + intercepts[cell]
    assert found == pytest.approx(part.outputs[corners], abs=1e-13)
    wide = part.areas > 1e-6
    on = part.codes.unpack("0").numpy()[wide]
    assert 0 < (~wide).sum() < wide.sum()
    assert slopes[wide, 0] == pytest.approx((on * np.array(out[0])) @ weight, abs=1e-9)
