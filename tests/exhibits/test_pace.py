"""The pace and the place: by hand, on a run of six epochs whose rate falls after the third."""

import numpy as np
import pytest
from recorded import record

from splinelib.exhibits import pace

# Epochs 2 to 6 are 0.2 apart before the rate falls, and closer after it; the first is far away.
MATRIX = 0.5 * (1 - np.eye(6))
MATRIX[1:, 1:] = 0.2 * (1 - np.eye(5))
MATRIX[3:, 3:] = 0.04 * (1 - np.eye(3))


@pytest.fixture
def run():
    made = record(epochs=6)
    made["early_bird"]["matrix"] = MATRIX.tolist()
    return made


def test_the_rule_looks_at_the_largest_of_the_last_three(run):
    looked = pace.looked_at(run)
    assert np.isnan(looked[:3]).all()
    assert looked[3:].tolist() == [0.5, 0.2, 0.2]


def test_the_epoch_depends_on_the_threshold(run):
    assert [pace.fired(run, threshold) for threshold in (0.1, 0.2, 0.21, 0.6)] == [None, None, 5, 4]


def test_the_place_is_the_distance_to_the_last_epoch(run):
    assert pace.to_last(run, 1) == 0.5 and pace.to_last(run, 4) == 0.04
    assert pace.still_to_go(run, 2) == pytest.approx(0.4)
    assert pace.still_to_go(run, 6) == 0


def test_the_slider_says_what_each_threshold_finds(run, monkeypatch):
    monkeypatch.setenv("SPLINELIB_WIDGETS", "static")
    shown = pace.by_threshold(run, 0.49, (0.16, 0.3))
    assert shown.frames == 2
    assert 'data-value="0.16: never fires"' in shown.markup
    assert 'data-value="0.3: epoch 5, 8% of the way to go"' in shown.markup
    told = "fires at epoch 5 of 6, at distance 0.04 from the last epoch; the first is at 0.50, two"
    assert told in shown.markup and "different seeds at 0.49." in shown.markup
    assert "mean of two epochs: 0.40 within epochs 1 to 3, 0.12 within epochs 4 to 4" not in (
        shown.markup
    )
    with pytest.raises(ValueError, match="not in"):
        pace.by_threshold(run, 0.49, (0.1, 0.3))
