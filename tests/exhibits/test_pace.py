"""The pace and the place: by hand, on a run of six epochs whose rate falls after the third."""

import json
import re

import numpy as np
import pytest
from recorded import record

from splinelib.exhibits import pace, settling

# Epochs 2 to 6 are 0.2 apart before the rate falls, and closer after it; the first is far away.
MATRIX = 0.5 * (1 - np.eye(6))
MATRIX[1:, 1:] = 0.2 * (1 - np.eye(5))
MATRIX[3:, 3:] = 0.04 * (1 - np.eye(3))


@pytest.fixture
def run():
    made = record(epochs=6)
    made["early_bird"]["matrix"] = MATRIX.tolist()
    return made


def test_the_epoch_depends_on_the_threshold(run):
    assert [pace.fired(run, threshold) for threshold in (0.1, 0.2, 0.21, 0.6)] == [None, None, 5, 4]
    assert [pace.fired(run, 0.21, lookback) for lookback in (1, 2, 3, 5)] == [3, 4, 5, None]


def test_the_place_is_the_distance_to_the_last_epoch(run):
    assert pace.to_last(run, 1) == 0.5 and pace.to_last(run, 4) == 0.04
    assert pace.still_to_go(run, 2) == pytest.approx(0.4)
    assert pace.still_to_go(run, 6) == 0


def test_the_figure_opens_with_the_published_rule_and_says_what_is_seen(run):
    run["early_bird"]["matrix"] = MATRIX.round(6).tolist()
    shown = pace.by_threshold(run, 0.49)
    assert "mean of two epochs: 0.40 within epochs 1 to 3, 0.04 within epochs 4 to 5." in shown.alt
    assert "At the threshold 0.16 the rule never fires. Two networks of different" in shown.alt
    assert "seeds are at 0.49." in shown.alt
    given = json.loads(re.search(r"json\">(.*?)</script>", shown.markup, re.S)[1])
    assert given["values"][given["start"]] == "0.16" and given["lookback"] == 3
    assert given["falls"] == settling.rate_falls(run) and given["chance"] == 0.49
    assert given["rows"] == [row[:t] for t, row in enumerate(run["early_bird"]["matrix"])]
    assert "drag its line. The paper&#x27;s code looks back three epochs." in shown.markup
    run["early_bird"]["matrix"] = (MATRIX / 2).tolist()
    assert "the rule fires at epoch 5." in pace.by_threshold(run, 0.49).alt
