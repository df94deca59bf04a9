"""The early bird of a known matrix: what the page holds, and that its rule is the library's."""

import json
import re

import numpy as np
import pytest
from distances import walk

import splinelib as sl
from splinelib.plotting import early_bird, settling


def data(figure) -> dict:
    return json.loads(re.search(r"json\">(.*?)</script>", figure.markup, re.S)[1])


@pytest.fixture(scope="module")
def codes():
    return walk()


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.16, 0.3, 0.5])
@pytest.mark.parametrize("lookback", [1, 3, 6])
def test_the_rule_is_that_of_the_detector(codes, threshold, lookback):
    detector = sl.EarlyBird(threshold, lookback)
    for one in codes:
        detector.update(one)
    looked = settling.looked_at(detector.matrix, lookback)
    assert looked.tolist() == pytest.approx(detector.distances, nan_ok=True)
    epoch = settling.fired(looked, threshold)
    assert epoch == (None if detector.epoch is None else detector.epoch + 1)


def test_the_page_holds_the_distances_themselves_once():
    matrix = np.array([[0, 0.3, 0.4], [0.3, 0, 0.123456], [0.4, 0.123456, 0]])
    given = data(early_bird(matrix, "Three epochs.", lookback=1, chance=0.49, falls=[2]))
    assert given["rows"] == [[], [0.3], [0.4, 0.123456]]
    assert (given["top"], given["chance"], given["falls"]) == (0.49, 0.49, [2])
    assert given["values"][given["start"]] == "0.16" and given["values"][0] == "0.005"
    assert given["lookbacks"] == 2
    assert data(early_bird(matrix, "Three epochs.", lookback=1))["top"] == 0.4


def test_the_scale_holds_distances_chance_and_threshold_and_chance_stays_what_it_is():
    far = data(early_bird(0.9 * (1 - np.eye(4)), "Far.", chance=0.2))
    assert (far["top"], far["chance"]) == (0.9, 0.2)
    settled = data(early_bird(np.zeros((4, 4)), "Settled.", threshold=0.16))
    assert settled["top"] == 0.16 and settled["values"][settled["start"]] == "0.16"


def test_without_scripts_the_rule_is_told_beside_both_pictures():
    matrix = np.array([[0, 0.3, 0.4], [0.3, 0, 0.1], [0.4, 0.1, 0]])
    markup = early_bird(matrix, "Three epochs.", lookback=1, caption="a < b").markup
    assert markup.count('role="img"') == 2 and 'aria-label="Three epochs."' in markup
    assert "The pace lies between 0.10 and 0.30, the threshold at 0.16" in markup
    assert "from 0.40 after the first to 0.10 after the last but one" in markup
    assert "after epoch 3 of 3. 0 % of the way" in markup
    assert "a &lt; b" in markup and markup.count("<script") == 1
    never = early_bird(matrix, "Three epochs.", threshold=0.05, lookback=1).markup
    assert "Never: no epoch is that close, so no ticket is drawn." in never


def test_how_far_it_is_to_the_last_epoch_is_a_share_of_the_first_s():
    matrix = np.array([[0, 0.1, 0.4], [0.1, 0, 0.3], [0.4, 0.3, 0]])
    assert "after epoch 2 of 3. 75 % of the way" in settling.told_of(matrix, 0.16, 1)
    assert "after epoch 2 of 3. 0 % of the way" in settling.told_of(np.zeros((3, 3)), 0.16, 1)


GOOD = np.array([[0, 0.3], [0.3, 0]])


@pytest.mark.parametrize(
    ("matrix", "changes", "message"),
    [
        (GOOD[:1], {}, "square, for two epochs at least"),
        (GOOD[:1, :1], {}, "square, for two epochs at least"),
        (GOOD * np.nan, {}, r"distances in \[0, 1\]"),
        (4 * GOOD, {}, r"distances in \[0, 1\]"),
        (np.triu(GOOD), {}, "symmetric, and 0 on the diagonal"),
        (GOOD + 0.1, {}, "symmetric, and 0 on the diagonal"),
        (GOOD, {"lookback": 2}, "from 1 to 1 for 2 epochs, not 2"),
        (GOOD, {"lookback": 0}, "from 1 to 1 for 2 epochs, not 0"),
        ([[0], [0.3, 0]], {}, "numbers, as many in each row"),
        (GOOD, {"lookback": True}, "whole number from 1 to 1"),
        (GOOD, {"lookback": 1.0}, "whole number from 1 to 1"),
        (GOOD, {"threshold": 1.1}, r"in \(0, 1\], not 1.1"),
        (GOOD, {"threshold": 0.0}, r"in \(0, 1\], not 0.0"),
        (GOOD, {"threshold": np.nan}, r"in \(0, 1\], not nan"),
        (GOOD, {"falls": [2]}, "others follow, 1 to 1, not 2"),
        (GOOD, {"falls": [0]}, "others follow, 1 to 1, not 0"),
        (GOOD, {"falls": [1.5]}, "others follow, 1 to 1, not 1.5"),
        (GOOD, {"chance": 1.5}, r"in \(0, 1\], not 1.5"),
        (GOOD, {"alt": " "}, "alt must say"),
    ],
)
def test_what_is_no_matrix_of_distances_is_refused(matrix, changes, message):
    with pytest.raises(ValueError, match=message):
        early_bird(matrix, **{"alt": "Two epochs.", "lookback": 1, **changes})
