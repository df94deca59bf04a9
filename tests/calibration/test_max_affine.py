"""Maxima of planes fitted, and planes dropped."""

import numpy as np
import pytest

from splinelib.calibration.max_affine import STARTS, MaxAffine, drop_planes, fit_max_affine

X = np.linspace(-1, 1, 201)


@pytest.mark.parametrize("start", STARTS)
def test_a_maximum_of_lines_is_found_again(start):
    wanted = np.max([np.polyval(line, X) for line in ([-2, -0.6], [0.1, 0.2], [1.5, -0.4])], axis=0)
    best = min(
        (fit_max_affine(X, wanted, 3, start, seed) for seed in range(8)), key=lambda f: f.error
    )
    assert best.error < 1e-9
    np.testing.assert_allclose(best(X), wanted, atol=1e-8)


@pytest.mark.parametrize("start", STARTS)
def test_a_parabola_is_fitted_about_as_well_as_it_can_be(start):
    best = min(
        (fit_max_affine(X, X**2, 4, start, seed) for seed in range(4)), key=lambda f: f.error
    )
    assert 0.95 < best.error / (2 / (3 * np.sqrt(5)) / 4**2) < 1.2


def test_the_line_that_is_missed_least_goes():
    lines = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.01]])  # the last is barely on top
    y = np.max([np.polyval(line, X) for line in lines], axis=0)
    kept = drop_planes(MaxAffine(lines, 0.0), X, y, 2, rounds=1)
    np.testing.assert_allclose(kept.planes, lines[:2])
    hidden = np.vstack([lines, [0.0, -5.0]])  # nowhere on top: the first to go
    kept = drop_planes(MaxAffine(hidden, 0.0), X, y, 3, rounds=1)
    np.testing.assert_allclose(kept.planes, lines)
    assert kept.error < 1e-12


def test_planes_of_two_variables():
    points = np.random.default_rng(0).uniform(-1, 1, (400, 2))
    y = 0.5 * np.square(points).sum(1)
    wide = fit_max_affine(points, y, 16, seed=1)
    small = drop_planes(wide, points, y, 8)
    assert len(small) == 8 and wide.error < small.error < 0.1
    assert small.error == pytest.approx(np.sqrt(np.mean((small(points) - y) ** 2)))
    assert small.cost > wide.cost > 16 * 400


def test_cost_of_one_round_is_lines_times_points():
    assert fit_max_affine(X, X**2, 3, rounds=1).cost == 3 * len(X)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"lines": 0}, "1 to 201 planes, not by 0"),
        ({"lines": 202}, "not by 202"),
        ({"start": "warm"}, "no start 'warm'"),
        ({"rounds": 0}, "rounds is at least 1"),
        ({"y": X[:-1]}, "a point in each row"),
        ({"y": X * np.nan}, "NaN or infinite"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        fit_max_affine(**{"x": X, "y": X**2, "lines": 3} | change)


def test_more_planes_than_there_are_cannot_be_kept():
    with pytest.raises(ValueError, match="3 planes, and 4 cannot be kept"):
        drop_planes(fit_max_affine(X, X**2, 3), X, X**2, 4)
