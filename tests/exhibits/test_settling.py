"""When codes and masks settle: by hand, on small records."""

import numpy as np
import pytest
import recorded
from shown import rows

from splinelib import early_bird
from splinelib.exhibits import settling

# Distances of four epochs, and what two masks were like: rows to earlier epochs, oldest first.
MATRIX = [[0, 0.4, 0.5, 0.5], [0.4, 0, 0.2, 0.3], [0.5, 0.2, 0, 0.1], [0.5, 0.3, 0.1, 0]]
SPLINE = [[], [0.6], [0.5, 0.4], [0.5, 0.3, 0.2]]
BN = [[], [0.2], [0.2, 0.1], [0.2, 0.1, 0.1]]


def mask(criterion, rows, ratio=0.5):
    return recorded.masks(criterion, ratio, None) | {"rows": rows}


def run(seed=0, masks=(("spline", SPLINE), ("bn", BN)), **settings):
    record = recorded.record(
        epochs=4, seed=seed, masks=[mask(name, rows) for name, rows in masks], **settings
    )
    record["early_bird"]["matrix"] = MATRIX
    return record


def test_runs_that_differ_in_their_seed_are_one():
    unwatched = run(seed=5, masks=())
    found = settling.settlings([run(0), unwatched, run(1), run(0, width=0.5)])
    assert [(one.title, len(one.names)) for one in found] == [
        ("vgg16, width 0.25, 4 epochs", 2),
        ("vgg16, width 0.5, 4 epochs", 1),
    ]
    assert found[0].epochs == 4
    assert found[0].distances["codes"][1] == [[], [0.4], [0.5, 0.2], [0.5, 0.3, 0.1]]
    assert found[0].distances["spline", 0.5] == [SPLINE, SPLINE]
    assert list(found[0].at(0.5)) == ["codes", "spline mask", "bn mask"]
    assert list(found[0].at(0.3)) == ["codes"]


def test_masks_that_some_seed_lacks_are_left_out():
    (one,) = settling.settlings([run(0), run(1, masks=[("bn", BN)])])
    assert list(one.distances) == ["codes", ("bn", 0.5)]


def test_typical_are_most_seeds_and_most_epochs():
    def made(seeds, epochs):
        return settling.Settling("", ["a"] * seeds, epochs, {})

    many, long, few = made(3, 8), made(2, 160), made(1, 24)
    assert settling.typical([few, many, long]) == [many, long]
    assert settling.typical([few, many]) == [many, few]
    assert settling.typical([made(3, 160), many]) == [made(3, 160)]
    assert settling.typical([]) == []


def test_the_longest_is_the_last_of_most_epochs():
    first, last = run(0), run(1)
    assert settling.longest([recorded.record(epochs=2), first, last]) is last
    with pytest.raises(ValueError, match="no record"):
        settling.longest([])


def test_the_rate_falls_where_the_history_says():
    assert settling.rate_falls(recorded.record(epochs=8)) == [4, 6]


def test_the_first_settled_epoch_by_hand():
    seen = [row[:epoch] for epoch, row in enumerate(MATRIX)]
    assert settling.first_settled(seen, 0.45, back=1) == 2
    assert settling.first_settled(seen, 0.35, back=2) == 4  # 0.3 and 0.1; before 0.5 and 0.2
    assert settling.first_settled(seen, 0.35, back=3) is None
    # at the threshold itself the rule on codes does not fire, and the rule on masks does
    assert settling.first_settled(seen, 0.2, back=1) == 4
    assert settling.first_settled(seen, 0.2, back=1, strictly=False) == 3
    with pytest.raises(ValueError, match="at least"):
        settling.first_settled(seen, 0.2, back=0)


def test_the_rules_are_those_of_the_detectors():
    """Distances of random codes and masks, judged here and by the detectors themselves."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        seen = [list(generator.random(min(epoch, 4)) * 0.2) for epoch in range(12)]
        detector = early_bird.MaskEarlyBird()
        detector.load_state_dict({"threshold": 0.1, "queue": 5, "rows": seen, "masks": []})
        expected = None if detector.epoch is None else detector.epoch + 1
        found = settling.first_settled(seen, 0.1, settling.LOOKBACK["mask"], strictly=False)
        assert found == expected


def test_epochs_of_several_runs():
    assert settling.over_runs([9, 12, 11]) == "9 to 12"
    assert settling.over_runs([10, None]) == "10 to never"
    assert settling.over_runs([None, None]) == "never"
    assert settling.said(7) == "7"


def test_thresholds_show_every_rule():
    (one,) = settling.settlings([run(0)])
    shown = settling.thresholds(one, limits=(0.1, 0.6), shorter=0.2)
    assert rows(shown)[1:] == [
        ["codes", "never", "4", "never"],  # three back: 0.5, 0.3, 0.1
        ["spline mask", "never", "never", "never"],  # four back, and there are three at most
        ["bn mask", "never", "never", "3"],
    ]
    assert "seeds: 1" in shown.caption and "at 0.2, looks back two" in shown.caption


def test_movement_is_told_by_its_values():
    one, *_ = settling.settlings([run(0), run(1)])
    shown = settling.movement(one, chance=0.5)
    assert "codes from 0.40 to 0.10, spline mask from 0.60 to 0.20" in shown.alt
    assert shown.alt.endswith("the spline mask moves most, the bn mask least.")
    assert shown.caption.startswith("vgg16, width 0.25, 4 epochs; seeds: 2.")
    short = settling.Settling("short", ["a"], 1, {"codes": [[[]]]})
    with pytest.raises(ValueError, match="short: one epoch"):
        settling.movement(short)


def test_mean_distances_between_falls_of_the_rate():
    means = settling.mean_within(MATRIX, [2])
    assert means == {(1, 2): 0.4, (3, 4): 0.1}
    assert settling.mean_within(MATRIX, [])[1, 4] == pytest.approx(2.0 / 6)
    assert settling.mean_within(MATRIX, [3]) == {(1, 3): pytest.approx(1.1 / 3)}


def test_the_detector_says_what_it_found_and_what_it_cost():
    timed, untimed = run(settled_epoch=1), run()
    for row in timed["dense"]["history"]:
        row["detection_seconds"] = row["seconds"] / 100
    one, other = rows(settling.detector_table([timed, untimed]))[1:]
    assert one[1:] == ["4", "2", "2", "1.00%"]
    assert other[1:4] == ["4", "never", "2"]
    assert "<i>not recorded</i>" in settling.detector_table([untimed]).markup
    assert rows(settling.detector_table([]))[1:][0][0] == "no record yet"
