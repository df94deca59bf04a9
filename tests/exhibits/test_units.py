"""Which units stay and what is missed without the others: by hand."""

import numpy as np
import pytest

from splinelib.exhibits import units

LOSSES = {
    "random": np.array([[0.2, 0.1], [0.8, 0.4]]),
    "lsq": np.array([[0.2, 0.05], [0.8, 0.2]]),
    "thinet": np.array([[0.1, 0.1], [0.4, 0.6]]),
}


def test_the_plane_tells_who_is_furthest_left_and_lowest():
    shown = units.missed_by_next(LOSSES, (0.1, 0.5))
    assert shown.frames == 2 and 'data-value="10%" hidden' in shown.markup  # 50 % comes first
    assert "50% removed, random = 1. Furthest left thinet, 0.50; lowest lsq, 0.50." in shown.markup
    with pytest.raises(ValueError, match=r"random order.*\['lsq'\]"):
        units.missed_by_next({"lsq": LOSSES["lsq"]}, (0.1, 0.5))


def test_the_plane_grows_only_for_marks_beyond_it():
    assert units.axis_range(np.array([[0.28, 1.7]])) == (0.28, 1.7)
    least, most = units.axis_range(np.array([[0.11, 2.0], [0.5, 1.0]]))
    assert (least, most) == pytest.approx((0.1, 2.2))


def test_places_in_the_order_of_a_criterion():
    assert units.places_in_order([0.5, 0.1, 0.9, 0.1]).tolist() == [2, 0, 3, 1]


def test_the_means_of_what_stays_and_what_goes():
    scores, values = np.arange(10.0)[::-1], np.arange(10.0)
    shown = units.along_order(scores, values, "lsq", "loudness", ratio=0.8)
    # the two of the highest scores are those of the values 0 and 1
    assert shown.alt == (
        "The loudness of 10 units against their place in the order of lsq. On average 0.5 of the "
        "2 that stay when 80 % go, 5.5 of the others."
    )
    with pytest.raises(ValueError, match="one number per unit"):
        units.along_order(scores, values[:5], "lsq", "loudness")
