"""Tickets by ratio, and pairs of them."""

import pytest
from recorded import record, ticket
from shown import rows

from splinelib.exhibits import choosing, tickets, wording


def run(seed, dense, **reached):
    """A record with spline, random and refitted tickets at 50 %."""
    methods = {"refitted": "spline@residual+refit", "lottery": "lottery:magnitude"}
    made = [ticket(methods.get(name, name), 0.5, a, before=a / 2) for name, a in reached.items()]
    return record(*made, accuracy=dense, seed=seed)


SHORT = [
    run(0, 0.80, spline=0.78, random=0.70, refitted=0.79),
    run(1, 0.82, spline=0.76, random=0.78, refitted=0.79),
]


def test_accuracies_by_method_and_ratio():
    runs = [record(ticket("spline", 0.5, 0.7), ticket("spline", 0.3, 0.8), ticket("bn", 0.3, 0.6))]
    table = tickets.accuracies(runs)
    assert rows(table) == [
        ["", "30% removed", "50% removed"],
        ["spline", "80.0", "70.0"],
        ["bn", "60.0", "not recorded"],
    ]
    assert table.caption == (
        "vgg16 at width 0.25 on cifar10, 8 epochs, seed 0: test accuracy (%) at the end, "
        "mean (least–most); dense 90.0"
    )


def test_accuracies_over_seeds():
    assert rows(tickets.accuracies(SHORT))[1] == ["spline", "77.0 (76.0–78.0)"]
    assert "dense 81.0 (80.0 to 82.0)" in tickets.accuracies(SHORT).caption
    assert rows(tickets.accuracies_at_the_cut(SHORT))[1] == ["spline", "38.5 (38.0–39.0)"]


def test_a_pair_is_taken_record_by_record():
    pair = tickets.Pair("", "spline", "random")
    assert pair.points(choosing.spreads(SHORT), 0.5) == pytest.approx([8, -2])
    assert pair.points(choosing.spreads(SHORT), 0.3) == []


def test_differences_of_both_signs_are_undecided():
    shown = rows(tickets.orders_less_random(SHORT))
    assert shown[1:] == [
        ["spline", "+3.0 both signs (-2.0 to +8.0)"],
        ["refitted", "+5.0 (+1.0 to +9.0)"],
    ]


def test_orders_are_compared_where_the_codes_decide():
    drawn = [ticket(m, 0.5) for m in ("masks:spline", "lottery:spline", "bn", "random")]
    assert [row[0] for row in rows(tickets.orders_less_random([record(*drawn)]))[1:]] == ["bn"]


def test_records_that_have_one_of_two_only_are_not_compared():
    table = tickets.orders_less_random([*SHORT, record(ticket("bn", 0.5), seed=2)])
    assert [row[0] for row in rows(table)[1:]] == ["spline", "refitted"]
    assert "seeds 0, 1:" in table.caption
    assert rows(tickets.orders_less_random([record(ticket("bn", 0.5))]))[1] == [wording.NOTHING]
    refitted = tickets.refitted_less_plain([*SHORT, record(ticket("spline", 0.5), seed=2)])
    assert "seeds 0, 1:" in refitted.caption


def test_early_against_lottery_in_accuracy_and_cost():
    early = ticket("magnitude", 0.5, 0.77, pflop=0.6)
    late = ticket("lottery:magnitude", 0.5, 0.75, pflop=1.4)
    shown = rows(tickets.early_less_lottery([record(early, late)]))
    assert shown[1:] == [["accuracy at the end", "+2.0"], ["training FLOPs", "-80.0"]]


def test_what_compensation_adds():
    shown = rows(tickets.refitted_less_plain(SHORT))
    assert shown[1:] == [
        ["at the cut", "+1.0 (+0.5 to +1.5)"],
        ["at the end", "+2.0 (+1.0 to +3.0)"],
        ["training FLOPs", "+0.0"],
    ]


def test_the_dense_network_can_be_one_of_a_pair():
    table = tickets.differences(SHORT, [tickets.Pair("dense", "dense", "spline")], "a caption")
    assert rows(table)[1] == ["dense", "+4.0 (+2.0 to +6.0)"]


def test_a_cell_leads_to_a_record_that_has_both():
    runs = [record(ticket("spline", 0.5)), run(1, 0.8, spline=0.7, random=0.6)]
    markup = tickets.orders_less_random(runs)._repr_html_()
    assert "#record-cifar10-vgg16-w0.25-e8-s1" in markup
    assert "#record-cifar10-vgg16-w0.25-e8-s0" not in markup


def test_what_is_not_recorded_is_said():
    assert rows(tickets.accuracies([]))[1] == [wording.NOTHING]
    assert "dense not recorded" in tickets.accuracies([]).caption
    assert rows(tickets.early_less_lottery(SHORT))[1] == ["accuracy at the end", "not recorded"]
    assert rows(tickets.refitted_less_plain([record()]))[1] == [wording.NOTHING]
