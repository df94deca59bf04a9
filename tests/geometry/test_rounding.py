"""What is zero, what is certain, and what float64 cannot decide."""

import numpy as np
import pytest
from geometry.checks import OUT, STRIP, UNIT, Abs
from geometry.oracle import partition as exact
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from networks import network, whole

import splinelib as sl
from splinelib.geometry.mesh import Mesh
from splinelib.geometry.rounding import UNSURE, tolerance_of, vertex_signs


def test_signs_at_vertices_are_zero_within_the_tolerance_and_refused_a_little_beyond():
    mesh, tolerance = Mesh.rectangle(UNIT), tolerance_of(np.array([1.0]))
    assert tolerance[0] == 16 * 2.0**-52
    values = np.array([[0.5], [-0.5], [tolerance[0]], [1.01 * UNSURE * tolerance[0]]])
    signs = vertex_signs(mesh, values, tolerance)
    assert signs.pos.ravel().tolist() == [1, 0, 0, 1] and signs.neg.ravel().tolist() == [0, 1, 0, 0]
    assert values[2] == 0  # what is rounding is gone
    values[2] = 2 * tolerance[0]
    with pytest.raises(sl.UndecidablePartition, match=r"near \(1, 1\) .* nearly meets a vertex"):
        vertex_signs(mesh, values, tolerance)


def test_a_vertex_that_may_have_drifted_counts_as_on_a_line_that_it_may_have_crossed():
    mesh, tolerance = Mesh.rectangle(UNIT), tolerance_of(np.array([1.0]))
    x = mesh.xy[:, :1].copy()
    x[1:3] -= 1 - 1e-10  # a function of x, zero so far left of two vertices
    mesh.drift[1:3] = [[1e-9, 0], [0, 1e-9]]  # the first may have moved across, the second along
    signs = vertex_signs(mesh, x, tolerance)
    assert signs.pos.ravel().tolist() == [0, 0, 1, 0]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(whole, whole), min_size=3, max_size=6, unique=True),
    st.integers(1, 60),
    st.sampled_from([UNIT, STRIP]),
)
@example([(1, 0), (0, 1), (1, 1)], 30, UNIT)
@example([(1, 0), (0, 1), (1, 1)], 44, UNIT)
@example([(1, 0), (0, 1), (1, 1)], 60, UNIT)
def test_lines_that_nearly_meet_are_right_or_refused(normals, fineness, domain):
    """Lines through the origin, then the last one shifted by less and less."""
    bias = [0] * (len(normals) - 1) + [2.0**-fineness]
    layers = [([list(n) for n in normals], bias), ([[1] * len(normals)], [0])]
    together = [(layers[0][0], [0] * len(normals)), layers[1]]
    one_line, apart = len(exact(together, domain)), len(exact(layers, domain))
    clear, lost = (34, 43) if domain == UNIT else (22, 32)  # told in any direction, in none
    try:
        found = len(sl.partition(network(layers), domain))
    except sl.UndecidablePartition:
        assert clear < fineness < 50
        return
    assert found == apart or fineness > lost
    assert found == one_line or fineness < 50


def test_the_error_names_the_place():
    places = []
    for fineness in range(42, 52):
        lines = [[1, 0], [0, 1], [1, 1]], [-0.25, -0.5, -0.75 + 2.0**-fineness]
        first = [([[1, 0], [0, 1]], [-0.25, -0.5]), ([[1, 1]], [-(2.0**-fineness)]), ([[1]], [0])]
        for layers in ([lines, OUT], first):  # in one layer, and one after the other
            try:
                sl.partition(network(layers, Abs))
            except sl.UndecidablePartition as error:
                places.append(str(error))
    assert len(places) > 1
    assert all(place.startswith("near (0.25, 0.5) of the plane") for place in places)
