"""Maxima of planes compared: what is counted and what is shown."""

import numpy as np
import pytest
from shown import rows

from splinelib.calibration.max_affine import MaxAffine, fit_max_affine
from splinelib.exhibits import fits

X = np.linspace(-1, 1, 81)


def test_every_way_ends_with_as_many_lines():
    found = fits.compared(X, X**2, 3, [2], seeds=2)
    assert list(found)[:4] == [*fits.ALONE.values(), "cut down from 2 times as many"]
    assert all(len(fit) == 3 for ways in found.values() for fit in ways)
    assert len(found["one by one"]) == 1 and len(found["random start"]) == 2
    assert list(found)[4:] == ["best of 2 random starts"]
    pairs = zip(found["best of 2 random starts"], found["random start"], strict=True)
    assert all(best.error <= one.error and len(best) == 3 for best, one in pairs)
    random, best = (fits.mean_cost(found[n]) for n in ("random start", "best of 2 random starts"))
    assert best > 1.2 * random > 3 * len(X), "all of the starts are paid for"


def test_the_best_possible_error_is_that_of_even_pieces_of_a_parabola():
    assert fits.best_possible(np.full(5, 2.0), 2.0, 10) == pytest.approx(2 / (3 * 5**0.5) / 100)
    bend = 16 * np.exp(4 * (np.linspace(-1, 1, 2001) - 1))
    reached = min(
        fit.error
        for fit in fits.compared(X, np.exp(4 * (X - 1)), 8, [4], seeds=3)[
            "cut down from 4 times as many"
        ]
    )
    assert 0.8 < reached / fits.best_possible(bend, 2.0, 8) < 1.3


def test_the_table_shows_multiples_of_the_floor():
    planes = np.zeros((1, 2))
    found = {
        "random start": [MaxAffine(planes, 2.0, 10), MaxAffine(planes, 4.0, 10)],
        "cut": [MaxAffine(planes, 1.0, 30)],
    }
    shown = rows(fits.errors({"curve": found}, {"curve": 1.0}))
    assert shown[1] == ["random start", "3.00 (4.00)", "1.0"]
    assert shown[2] == ["cut", "1.00 (1.00)", "3.0"]
    assert fits.typical(found["random start"]) == 3


def test_the_slider_says_how_many_stay():
    figure = fits.dropping(X, X**2, fit_max_affine(X, X**2, 6), [6, 3])._repr_html_()
    assert "6 lines, error 0.0" in figure and "3 lines, error 0.0" in figure
