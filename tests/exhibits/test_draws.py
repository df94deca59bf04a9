"""Tickets that two rules drew: paired, counted and told, on small records."""

import pytest
import recorded
from shown import rows

from splinelib.exhibits import draws


def run(seed, *tickets):
    made = [
        recorded.ticket(method, ratio, accuracy, drawn_after=after)
        for method, ratio, accuracy, after in tickets
    ]
    return recorded.record(*made, seed=seed, accuracy=0.9, settled_epoch=2)


RECORDS = [
    run(
        *(0, ("bn", 0.5, 0.80, 2), ("masks:bn", 0.5, 0.82, 1)),
        *(("spline", 0.5, 0.85, 2), ("masks:spline", 0.5, 0.81, 3)),
        *(("spline", 0.3, 0.88, 2), ("masks:spline", 0.3, 0.89, 3)),
    ),
    # of this seed bn was drawn once only, and both rules on spline chose the same epoch
    run(1, ("bn", 0.5, 0.70, 2), ("spline", 0.5, 0.83, 2), ("masks:spline", 0.5, 0.83, 2)),
]


def test_pairs_hold_the_seeds_that_have_both():
    (twice,) = draws.drawn_twice(RECORDS)
    assert twice.title == "vgg16, width 0.25, 8 epochs"
    assert twice.falls == 4 and twice.dense == [0.9, 0.9] and twice.ratios == [0.3, 0.5]
    assert [(pair.ratio, pair.method) for pair in twice.pairs] == [
        *((0.3, "spline"), (0.5, "bn"), (0.5, "spline"))
    ]
    mild, bn, spline = twice.pairs
    assert bn.names == [RECORDS[0]["name"]] and bn.codes == [0.80] and bn.masks == [0.82]
    assert spline.after_codes == [3, 3] and spline.after_masks == [4, 3]
    assert spline.gained == pytest.approx([0.04, 0.0])
    assert bn.earlier_won == [True]  # its own masks drew first, and ended higher
    assert spline.earlier_won == [True]  # of the other seed neither was earlier
    assert mild.earlier_won == [False]


def test_runs_without_a_pair_are_left_out():
    assert draws.drawn_twice([run(0, ("spline", 0.5, 0.8, 2))]) == []
    assert draws.drawn_twice([run(0, ("masks:bn", 0.5, 0.8, 2), ("bn", 0.3, 0.8, 2))]) == []
    assert draws.drawn_twice([]) == []


def test_tickets_of_another_share_per_layer_are_another_pair():
    both = [("spline@layerwise", 0.5, 0.7, 2), ("masks:spline@layerwise", 0.5, 0.6, 3)]
    both += [("spline", 0.5, 0.8, 2), ("masks:spline", 0.5, 0.7, 3)]
    (twice,) = draws.drawn_twice([run(0, *both)])
    assert [pair.method for pair in twice.pairs] == ["spline", "spline@layerwise"]


def test_the_figure_tells_how_many_lines_fall():
    (twice,) = draws.drawn_twice(RECORDS)
    shown = draws.in_pairs(twice)
    assert shown.frames == 2
    assert "30% removed: 0 of 1 lines between pairs fall to the right." in shown.markup
    assert "50% removed: 2 of 2 lines between pairs fall to the right." in shown.markup
    assert "ends higher: bn -2.0, spline +2.0." in shown.markup
    assert "Dotted: the rate falls." in shown.markup


def test_a_single_ratio_is_no_slider():
    both = ("spline", 0.5, 0.8, 2), ("masks:spline", 0.5, 0.7, 3)
    (twice,) = draws.drawn_twice([run(0, *both)])
    with pytest.raises(ValueError, match="50%"):
        draws.in_pairs(twice)


def test_the_table_of_two_rules():
    (twice,) = draws.drawn_twice(RECORDS)
    shown = draws.two_rules(twice)
    assert rows(shown)[2] == ["bn 50%", "2", "80.0", "82.0", "-2.0"]
    assert rows(shown)[3] == ["spline 50%", "4, 3", "84.0", "82.0", "+2.0 (+0.0 to +4.0)"]
    assert "(the codes: 3 at 30% and 50%; 3, 3 at 50%)" in shown.caption
    assert "(dense 90.0)" in shown.caption
    assert f"#record-{RECORDS[0]['name']}" in shown.markup


def test_how_often_the_earlier_draw_ends_higher():
    (twice,) = draws.drawn_twice(RECORDS)
    assert rows(draws.earlier_is_higher(twice))[1:] == [["30%", "0", "1"], ["50%", "2", "2"]]
