"""Signs that are the same all over the rectangle."""

import numpy as np

from splinelib.geometry.bounds import bounds, survey

AXIS = np.linspace(-1, 1, 65)


def grid_points():
    corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    return np.concatenate([corners, np.stack(np.meshgrid(AXIS, AXIS), -1).reshape(-1, 2)])


def test_bounds_hold_and_are_reached():
    low, high = np.array([[-1.0, 0]]), np.array([[1.0, 2]])
    rows = np.array([[1.0, 0], [2, 1], [-3, 0]])  # 1 + 2 f - 3 g, f
    least, most = bounds(low, high, rows)
    assert least.tolist() == [-7, -1] and most.tolist() == [3, 1]


def test_units_with_one_sign_are_told_from_those_that_vary():
    xy = grid_points()
    columns = np.column_stack([xy, np.abs(xy[:, 0])])  # affine on the halves
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4, 300))
    rows[:, 0] = [0, 1, 0, -1]  # x - |x|: negative or zero
    rows[:, 1] = [1e-20, 0, 0, 0]  # zero, as far as rounding goes
    tolerance = np.full(300, 1e-12)
    for at in (0.0, 0.25):
        values = columns @ rows[1:] + rows[0] - at
        above, below = (values > 1e-9).all(0), (values < -1e-9).all(0)
        sign, units, found = survey(columns, xy, rows, tolerance, at)
        assert (sign[above] == 1).all() and (sign[below] == -1).all()
        varies = (values > 1e-9).any(0) & (values < -1e-9).any(0)
        assert (sign[varies] == 0).all() and set(np.flatnonzero(varies)) <= set(units)
        assert (np.diff(units) > 0).all()
        assert np.allclose(found, values[:, units])
    assert survey(columns, xy, rows, tolerance)[0][1] == 0
