"""Tickets beside networks that were never pruned."""

import numpy as np
import pytest
from recorded import record, ticket
from shown import rows

from splinelib.exhibits import choosing, rivals

# One network of 4 epochs, a half of it, and a narrow one that does half of the multiplications.
WHOLE = record(
    ticket("spline", 0.5, 0.84, history=[0.7, 0.84], macs=500_000, pflop=1.4, drawn_after=1),
    ticket("lottery:spline", 0.5, 0.82, history=[0.2, 0.4, 0.6, 0.82], macs=500_000, pflop=3.0),
    accuracy=0.9,
    epochs=4,
    pflop=2.0,
)
HALF = record(accuracy=0.86, epochs=2, pflop=1.0)
NARROW = record(accuracy=0.8, epochs=4, width=0.125, pflop=1.0, macs=480_000)
OTHERS = [
    record(epochs=8),  # more epochs
    record(epochs=2, lr=0.2),  # another setting differs
    record(epochs=2, width=0.125),  # two settings differ
    record(epochs=2, dataset="cifar100"),
]


def contest(*records):
    return rivals.contest([WHOLE], [WHOLE, *records])


def test_rivals_differ_in_one_setting():
    found = contest(*OTHERS, HALF, NARROW)
    assert [s.names for s in found.fewer] == [[HALF["name"]]]
    assert [s.names for s in found.narrow] == [[NARROW["name"]]]
    assert found.protocol(found.narrow[0])["width"] == 0.125
    nobody = contest(*OTHERS)
    assert (nobody.fewer, nobody.narrow) == ([], [])
    with pytest.raises(ValueError, match="no record of it"):
        rivals.contest([], [WHOLE])


def test_fewer_epochs_may_be_drawn_from_earlier():
    early = record(epochs=2, latest_draw=0, seed=1)
    assert [s.names for s in contest(early).fewer] == [[early["name"]]]


def test_all_costs_are_in_dense_runs_of_the_protocol():
    found = contest(HALF, NARROW)
    assert [found.spent(s, 0) for s in found.group] == pytest.approx([1, 0.7, 1.5])
    assert found.spent(found.fewer[0], 0) == pytest.approx(0.5)


def test_a_bill_starts_with_what_was_spent_before_the_draw():
    found = contest(HALF)
    dense, early, late = found.group
    spent, reached = rivals.bill(found, early, 0)
    np.testing.assert_allclose(spent, [0.6, 0.7])  # from 2 of 4 epochs to 0.7 of a run
    assert reached == pytest.approx([70, 84])
    np.testing.assert_allclose(rivals.bill(found, dense, 0)[0], [0.25, 0.5, 0.75, 1])
    # A lottery ticket has a whole run on its bill before it starts.
    np.testing.assert_allclose(rivals.bill(found, late, 0)[0], [1.125, 1.25, 1.375, 1.5])
    np.testing.assert_allclose(rivals.bill(found, found.fewer[0], 0)[0], [0.25, 0.5])


def test_the_figure_of_bills_says_where_they_end():
    figure = rivals.bills(contest(HALF, NARROW))
    assert figure.alt == (
        "Test accuracy of each network against the training FLOPs spent on it so far. "
        "dense, fewer epochs: ends at 86.0 % for 0.50. dense: ends at 90.0 % for 1.00. "
        "spline: ends at 84.0 % for 0.70. lottery (spline): ends at 82.0 % for 1.50. "
        "narrow (from the start): ends at 80.0 % for 0.50."
    )
    assert figure.caption.endswith("test accuracy after each epoch, 50% of the units removed")
    assert "spline" not in rivals.bills(contest(HALF), ratio=0.3).alt


def test_networks_of_different_epochs_are_not_averaged():
    longer = record(accuracy=0.88, epochs=3, pflop=1.5)
    alt = rivals.bills(contest(HALF, longer)).alt
    assert "dense, fewer epochs: ends at 86.0 % for 0.50 and 88.0 % for 0.75." in alt


def test_the_balance_of_tickets_and_rivals():
    assert rows(rivals.balance(contest(HALF, NARROW)))[1:] == [
        ["spline 50%", "84.0", "-6.0", "0.5", "70"],
        ["lottery: spline 50%", "82.0", "-8.0", "0.5", "150"],
        ["dense, 4 epochs", "90.0", "", "1.0", "100"],
        ["dense, 2 epochs", "86.0", "-4.0", "1.0", "50"],
        ["narrow, width 0.125", "80.0", "-10.0", "0.5", "50"],
    ]


def test_only_seeds_of_the_protocol_are_compared():
    other = record(accuracy=0.5, epochs=2, pflop=1.0, seed=1)
    shown = rows(rivals.balance(contest(HALF, other)))
    assert shown[4] == ["dense, 2 epochs", "86.0", "-4.0", "1.0", "50"]
    assert [row[0] for row in rows(rivals.balance(contest(other)))[3:]] == ["dense, 4 epochs"]


def test_the_lines_of_rivals_stand_beside_the_tickets():
    alt = rivals.beside_tickets(contest(HALF, NARROW)).alt
    assert "dense (by its epochs): 86.0 % for 0.50 to 90.0 % for 1.00." in alt
    assert "narrow (from the start): 80.0 % for 0.50. spline: 84.0 % for 0.70." in alt


def test_a_ticket_wins_against_what_costs_no_more():
    found = contest(HALF, NARROW)
    early = found.group[1]
    assert rivals.wins(found, early, "epochs") == [False]  # 84 % against 86 % at half of the cost
    assert rivals.wins(found, early, "width") == [True]  # 84 % against 80 %, as narrow
    dear = record(accuracy=0.5, epochs=3, pflop=1.5)  # costs more than the ticket
    wide = record(accuracy=0.5, epochs=4, width=0.2, pflop=1.0, macs=800_000)
    assert rivals.wins(contest(dear, wide), early, "epochs") == []
    assert rivals.wins(contest(dear, wide), early, "width") == []
    with pytest.raises(ValueError, match="'lr'"):
        rivals.wins(found, early, "lr")


def test_the_contest_holds_the_networks_of_the_protocol():
    assert contest(HALF).group == choosing.spreads([WHOLE])
