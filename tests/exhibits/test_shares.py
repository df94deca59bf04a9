"""Who gives up units, as the chapter shows it."""

import numpy as np
import pytest
from recorded import GROUPS, shares_record
from shown import Elements, rows

from splinelib.exhibits import shares

UNITS = {group: units for group, units, _ in GROUPS}
LOST = {"first": 0.1, "stream": 0.4, "middle": 0.02, "last": 0.01}


def keep(criterion, group):
    """Bend keeps most of what is worth most, spline eight units of each, lsq a half."""
    worth = sorted(LOST.values()).index(LOST[group]) + 1
    return {"bend": UNITS[group] * worth // 4, "spline": 8}.get(criterion, UNITS[group] // 2)


def one(kept=keep, **told):
    return shares.of_records([shares_record(LOST.get, kept, **told)])


def test_shares_and_points_are_those_of_the_record():
    network = one(seeds=2)
    assert network.title == "VGG-16 at width 0.25, CIFAR-10" and network.seeds == 2
    assert network.groups == list(UNITS) and network.streams.tolist() == [False, True, False, False]
    assert network.kept("spline").tolist() == [[8] * 4] * 2
    assert network.share("spline")[0].tolist() == [100, 50, 25, 12.5]
    assert network.lost(shares.ORDER)[0] == pytest.approx([10, 40, 2, 1])
    assert network.lost()[1] == pytest.approx([18, 45, 10.8, 9.9])
    # a half of 8, 16, 32 and 64 units has gone
    assert network.a_unit()[0] == pytest.approx([18 / 4, 45 / 8, 10.8 / 16, 9.9 / 32])
    assert network.measured(shares.A_UNIT_IN_ORDER)[1][0] == pytest.approx(10 / 4)
    assert network.measured(shares.STREAM).tolist() == [[0, 1, 0, 0]] * 2


def test_ties_are_rank_correlations():
    network = one(seeds=2)
    assert network.tied("bend", shares.POINTS) == pytest.approx([1, 1])
    assert network.tied("spline", shares.WIDTH) == pytest.approx([-1, -1])
    assert network.tied("bend", shares.WIDTH) == pytest.approx([-0.8, -0.8])


def test_what_another_explains_is_taken_out():
    first, second, given = np.array([[1, 2, 3, 4, 5], [2, 1, 4, 3, 5], [1, 3, 2, 5, 4]])
    assert shares.rank_correlation(first, second) == pytest.approx(0.8)
    assert shares.rank_correlation(first, given) == pytest.approx(0.8)
    assert shares.rank_correlation(second, given) == pytest.approx(0.3)
    wanted = (0.3 - 0.8 * 0.8) / (1 - 0.8**2)
    assert shares.partial_correlation(second, given, first) == pytest.approx(wanted)
    network = one(lambda _, group: dict(zip(UNITS, (8, 12, 20, 62), strict=True))[group])
    share, lost = network.share("bend")[0], network.a_unit()[0]
    assert network.beyond("bend", shares.WIDTH) == pytest.approx(
        [shares.partial_correlation(share, network.units, lost)]
    )


def test_without_an_order_there_is_no_correlation():
    with pytest.raises(ValueError, match="no order to compare"):
        one().tied("lsq", shares.WIDTH)  # which keeps a half everywhere
    same = np.arange(4)
    with pytest.raises(ValueError, match="nothing is left of it"):
        shares.partial_correlation(same, np.array([0, 2, 1, 3]), same)


def test_records_of_one_network_are_collected():
    seeds = [shares_record(name=f"run-s{seed}") for seed in range(2)]
    for seed, record in enumerate(seeds):
        for entry in record["entries"]:
            entry["seed"] = seed
    first, other = shares.collected([*seeds, shares_record(name="other-s0", width=1)])
    assert (first.seeds, first.names) == (2, ["run-s0", "run-s1"])
    assert (other.seeds, other.title) == (1, "VGG-16, CIFAR-10")


def test_records_that_are_not_one_network_are_refused():
    first = shares_record(name="a")
    narrow = shares_record(name="b", seeds=2)
    narrow["entries"] = [e for e in narrow["entries"] if e["seed"] and e["group"] != "last"]
    for group, message in (
        ([], "a record at least"),
        ([first, shares_record(name="b", width=0.5)], "b and a have different settings"),
        ([first, shares_record(name="b")], r"b has the seeds \[0\] of another record"),
        ([first, narrow], "the networks of a, b have different groups"),
        ([first | {"entries": []}], "different groups, or none"),
    ):
        with pytest.raises(ValueError, match=message):
            shares.of_records(group)


def test_each_criterion_is_a_picture_of_each_network(monkeypatch):
    monkeypatch.setenv("SPLINELIB_WIDGETS", "static")
    kept = lambda _, group: keep("bend", group)  # noqa: E731
    networks = [one(kept), one(kept, width=1)]
    markup = shares.figure(networks)._repr_html_()
    pictures = [a for tag, a in Elements(markup).elements if tag == "svg" and a.get("role")]
    assert len(pictures) == len(shares.CRITERIA) * len(networks)
    for network in networks:
        for criterion in shares.CRITERIA:
            assert shares.told(network, criterion) in markup


def test_a_picture_in_words_tells_dear_groups_from_cheap_ones():
    assert shares.told(one(), "bend") == (
        "bend on VGG-16 at width 0.25, CIFAR-10: the quarter of all groups whose units are worth "
        "most keep 100% of them, the quarter whose units are worth least 25%. Rank correlation "
        "+1.00. Streams keep 16 of 16."
    )


def test_the_table_has_a_row_for_each_criterion():
    kept = {
        "first": 8,
        "stream": 12,
        "middle": 8,
        "last": 8,
    }  # the two that are worth least: turned
    made = shares.table([one(lambda _, group: kept[group], seeds=2)])
    head, *found = rows(made)
    assert len(found) == len(shares.CRITERIA) and head[1] == "points a unit"
    assert found[1][0] == "VGG-16, bend" and found[1][1] == "+0.80"
    assert "shares-run" in made._repr_html_()  # the record where it lies


def test_what_costs_nothing_has_no_place_in_the_picture():
    record = shares_record(LOST.get, keep)
    for entry in record["entries"][:1]:
        entry["by_lot"] = [entry["dense"]]
    with pytest.raises(ValueError, match="a group costs nothing"):
        shares.figure([shares.of_records([record])])
