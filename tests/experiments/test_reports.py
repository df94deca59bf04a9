"""Records side by side."""

import copy

import numpy as np
import pytest
from runs import METHODS, plan_of

from splinelib import experiments
from splinelib.experiments import Ticket, compare, reports, run
from splinelib.experiments.run_records import brought_up_to_date


def test_seeds_of_one_protocol_are_put_side_by_side(tiny):
    record = tiny[0]
    other = copy.deepcopy(record)
    other["name"], other["protocol"]["seed"] = "other", record["protocol"]["seed"] + 1
    other["dense"]["test_accuracy"] -= 0.1
    missing = other["tickets"].pop()
    other["tickets"][0]["drawn_after"] = 2  # by a rule of its own
    del other["tickets"][1]["drawn_after"]  # as in records of before there were rules
    longer = copy.deepcopy(record)
    longer["protocol"]["epochs"] += 1
    old = brought_up_to_date(other)
    first, second = experiments.across_seeds([old, longer, record])
    assert first[0].method == "dense" and len(first) == 1 + len(record["tickets"])
    assert first[0].seeds == [0, 1] and first[0].names == [record["name"], "other"]
    assert first[0].points == [0, 0] and first[0].cost == [1, 1] and first[0].latency == [1, 1]
    for spread in first[1:]:
        mine = [t for t in record["tickets"] if Ticket.of(t).method == spread.method]
        ticket = next(t for t in mine if t["ratio"] == spread.ratio)
        whole = (ticket["criterion"], ticket["ratio"]) != (missing["criterion"], missing["ratio"])
        assert len(spread.accuracy) == (2 if whole else 1)
        assert spread.accuracy[0] == ticket["test_accuracy"]
        gain = 100 * (ticket["test_accuracy"] - record["dense"]["test_accuracy"])
        assert spread.points == pytest.approx([gain, gain + 10][: len(spread.points)])
    assert len(second) == len(first) and second[0].seeds == [0]
    tickets = [Ticket.of(ticket) for ticket in record["tickets"]]
    assert first[0].ticket is None and {spread.ticket for spread in first[1:]} == {*tickets}
    drawn = record["early_bird"]["drawn_after"]
    assert f"(drawn after epoch {drawn + 1}," in reports.summary(record)  # counted from 1
    assert [spread.drawn_after[-1] for spread in first] == [3, 2, *[drawn] * (len(first) - 2)]
    # a latency that was not timed beside the dense network's is no share of it
    assert all(0 < share < 100 for spread in first for share in spread.latency)
    for ticket in longer["tickets"]:
        del ticket["timed_in_turns"]
    (old,) = experiments.across_seeds([brought_up_to_date(longer)])
    assert all(np.isnan(share) for spread in old[1:] for share in spread.latency)
    assert " nan" not in reports.compare([brought_up_to_date(longer)])
    # record by record, the missing ticket left out
    spline, refitted = (
        [t["test_accuracy"] for t in record["tickets"] if Ticket.of(t).method == name]
        for name in METHODS
    )
    gap = experiments.paired(first, "spline", "random+refit", 0.25)
    assert gap == [spline[0] - refitted[0]] * 2
    assert experiments.paired(first, "random+refit", "spline", 0.5) == [refitted[1] - spline[1]]
    below = experiments.paired(first, "dense", "spline", 0.5)
    assert below == pytest.approx([-p / 100 for p in first[2].points])
    assert experiments.paired(first, "spline", "bn", 0.5) == []
    # two records of one seed are two pairs, each with its own dense network
    again = copy.deepcopy(record)
    again["name"] = "again"
    for ticket in again["tickets"]:
        ticket["test_accuracy"] -= 0.2
    again["tickets"][0]["test_accuracy"] += 0.3
    (twice,) = experiments.across_seeds([record, again])
    gaps = experiments.paired(twice, "spline", "random+refit", 0.25)
    assert gaps == pytest.approx([gap[0], gap[0] + 0.3])


def test_comparing_takes_the_mean_over_seeds(tmp_path):
    record = run(next(iter(plan_of())), ("magnitude",), (0.5,), folder=tmp_path, progress=False)
    other = copy.deepcopy(record)
    other["name"], other["protocol"]["seed"] = "other", 1
    record["dense"]["test_accuracy"], other["dense"]["test_accuracy"] = 0.5, 0.75
    other["dense"]["provenance"]["commit"] = "f" * 40
    shown = compare([record, other])
    assert f"#1  {record['name']}, other" in shown and "#2" not in shown
    assert "62.50% (50.00% to 75.00%)" in shown
    assert "ffffffffff" in shown  # made from another commit, and that is said
    with pytest.raises(ValueError, match="no record"):
        compare([])


def test_records_that_say_little_are_put_side_by_side_too(tiny):
    """Without PyTorch's version, with a cost and a latency of nothing."""
    record = copy.deepcopy(tiny[0])
    del record["dense"]["provenance"]["versions"]["torch"]
    record["dense"]["pflop"] = record["tickets"][0]["dense_latency"] = 0
    record["name"] = "bare"
    (group,) = experiments.across_seeds([record])
    assert np.isnan(group[0].cost[0]) and np.isnan(group[1].latency[0])
    shown = compare([record, tiny[0]])
    assert "torch" in shown and "unknown" in shown and "nan" not in shown
    assert "nan" not in compare([record])
    assert record["name"] in reports.summary(record)
