"""One-shot curves: what is told of them, and who earned them, on results worked by hand."""

import numpy as np
import pytest
from recorded import one_shot as recorded_curves
from recorded import record
from shown import rows

from splinelib import oneshot
from splinelib.exhibits import one_shot

# Accuracies at 0.3 and 0.5, stage by stage.
REACHED = {
    "random": [(0.5, 0.2), (0.8, 0.7), (0.9, 0.8)],
    "lsq": [(0.6, 0.4), (0.8, 0.8), (0.9, 0.9)],
    "bn": [(0.5, 0.1), (0.8, 0.7), (0.9, 0.7)],
}


def network(more=0.0, criteria=tuple(REACHED)):
    """Results of one network, each so much higher."""
    made = [
        (name + variant, ratio, accuracy + more)
        for name in criteria
        for variant, reached in zip(oneshot.VARIANTS, REACHED[name], strict=True)
        for ratio, accuracy in zip((0.3, 0.5), reached, strict=True)
    ]
    return recorded_curves(record(), *made)["entries"]


def test_a_stage_has_the_criteria_that_are_asked_for():
    found = one_shot.at_stage([network()], "refitted", ["lsq", "snip", "random"])
    assert list(found) == ["lsq", "random"]
    assert list(one_shot.at_stage([network()], "refitted")) == ["random", "lsq", "bn"]
    with pytest.raises(ValueError, match="no curves of snip at the stage 'refitted'"):
        one_shot.at_stage([network()], "refitted", ["snip"])


def test_accuracies_at_a_ratio():
    found = one_shot.at_stage([network(), network(0.1)], "just removed")
    assert one_shot.at_ratio(found, "lsq", 0.5) == pytest.approx([0.4, 0.5])
    with pytest.raises(ValueError, match=r"lsq at 0.7; known ratios: 0.3, 0.5"):
        one_shot.at_ratio(found, "lsq", 0.7)
    with pytest.raises(ValueError, match=r"snip at 0.5; known ratios: none"):
        one_shot.at_ratio(found, "snip", 0.5)


def test_how_far_apart_the_criteria_are():
    found = one_shot.at_stage([network(), network(0.1)], "just removed")
    assert one_shot.points_apart(found, 0.5) == pytest.approx(30)
    assert one_shot.points_apart(found, 0.3) == pytest.approx(10)


def test_the_fan_says_so_at_every_stage():
    shown = one_shot.fan([network(), network(0.05)], 0.95)
    assert shown.frames == 3
    for told in (
        "for each criterion; just removed: 30.0 points apart at 50%.",
        "for each criterion; refitted: 10.0 points apart at 50%.",
        "for each criterion; refit and share: 20.0 points apart at 50%.",
        "the worst of three criteria are, stage by stage. Mean and range over 2 networks.",
    ):
        assert told in shown.markup
    two = one_shot.fan([network()], 0.95, ["lsq", "random"], ratio=0.3).markup
    assert "10.0 points apart at 30%" in two and "of two criteria are, stage by stage.<" in two


def test_who_earned_it():
    """The order of lsq at 50 % adds 0.2 as the first step, 0.1 as the second and as the third."""
    names, gains = one_shot.points_earned([network(), network()], ["snip", "lsq"])
    assert names == ["lsq"] and list(gains) == [0.3, 0.5]
    points = {step: found.item() for step, found in gains[0.5].items()}
    # the refit adds 0.5 as the first step and 0.4 as the second; the share 0.1 whenever it comes
    assert points == pytest.approx({"order": 40 / 3, "refit": 140 / 3, "share": 10})
    shown = one_shot.earned([network()], ["lsq"])
    assert shown.frames == 2
    assert "order +13.3 to +13.3, refit +46.7 to +46.7, share +10.0 to +10.0." in shown.markup
    every = one_shot.earned([network()])
    assert "removed. Least to most over criteria: order -6.7 to +13.3" in every.markup
    with pytest.raises(ValueError, match="no criterion has results"):
        one_shot.earned([network()], ["snip"])
    with pytest.raises(ValueError, match="random order"):
        one_shot.earned([network(criteria=["lsq"])])


def test_losses_are_stacked_on_the_other_side_of_zero():
    lefts = one_shot.stacked([np.array([2.0, -1.0]), np.array([-3.0, -4.0]), np.array([1.0, 1.0])])
    assert [left.tolist() for left in lefts] == [[0, 0], [0, -1], [2, 0]]


def test_the_axis_grows_only_for_bars_beyond_it():
    assert one_shot.axis_range([-35.0, 100.0]) == (-35.0, 100.0)
    assert one_shot.axis_range([-40.0, 120.0]) == pytest.approx((-42.0, 126.0))


def test_what_the_order_adds():
    shown = one_shot.lead_of_order([network(), network(0.1)], ["bn", "lsq", "random", "snip"])
    assert rows(shown)[1:] == [
        ["bn", "-10.0", "-10.0"],
        ["lsq", "+20.0", "+10.0"],
        ["random", "+0.0", "+0.0"],
    ]
    assert "50% removed" in shown.caption
    with pytest.raises(ValueError, match="no result of random"):
        one_shot.lead_of_order([network(criteria=["lsq"])])


def test_ways_beside_each_other():
    ways = [("just removed", 0.5), ("refitted", 0.3)]
    shown = one_shot.side_by_side([network(), network(0.1)], ways, ["lsq", "random"], "Accuracy")
    assert rows(shown) == [
        ["", "50%, just removed", "30%, refitted"],
        ["lsq", "45.0 (40.0 to 50.0)", "85.0 (80.0 to 90.0)"],
        ["random", "25.0 (20.0 to 30.0)", "85.0 (80.0 to 90.0)"],
    ]
    with pytest.raises(ValueError, match="no result of snip"):
        one_shot.side_by_side([network()], ways, ["lsq", "snip"], "Accuracy")


def test_what_other_images_chose_is_marked():
    seen, unseen = [network()], [network(0.05)]
    shown = one_shot.tested(seen, unseen, [0.97, 0.99], [0.5], ["random", "lsq", "bn"])
    assert rows(shown) == [
        ["", "50 %"],
        ["dense", "98.0 (97.0 to 99.0)"],
        ["random", "85.0"],
        ["lsq", "95.0 chosen"],
        ["bn", "75.0"],
    ]
    assert "refit and share: mean (least to most) of 2 networks" in shown.caption
