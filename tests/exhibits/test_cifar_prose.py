"""What chapter 11 says about the recorded runs in words, held against the records."""

import numpy as np
import pytest

from splinelib import experiments
from splinelib.exhibits import choosing, claims, rivals, tickets


@pytest.fixture(scope="module")
def records():
    return choosing.of_dataset(experiments.records(), "cifar")


@pytest.fixture(scope="module")
def short(records):
    return choosing.spreads(choosing.with_tickets(records)[0])


@pytest.fixture(scope="module")
def whole(records):
    """The narrow VGG-16 over all epochs, with its rivals."""
    protocols = choosing.with_tickets(records)
    (runs,) = choosing.having(protocols, width=0.125, epochs=experiments.Protocol().epochs)
    return rivals.contest(runs, records)


def network(contest, method, ratio=0.5):
    return next(s for s in contest.group if (s.method, s.ratio) == (method, ratio))


def test_the_early_ticket_ends_higher_in_every_pair_for_half_the_price(short):
    for ratio in choosing.ratios(short):
        points = tickets.Pair("", "magnitude", "lottery:magnitude").points(short, ratio)
        assert len(points) == 3 and min(points) > 0
        early, late = (
            next(s for s in short if (s.method, s.ratio) == (method, ratio)).cost
            for method in ("magnitude", "lottery:magnitude")
        )
        np.testing.assert_allclose(np.divide(early, late), 0.5, atol=0.01)


def test_inherited_weights_end_above_initial_ones_by_less_than_over_the_short_schedule(
    short, whole
):
    points = tickets.Pair("", "spline", "lottery:spline").points(whole.group, 0.5)
    before = tickets.Pair("", "magnitude", "lottery:magnitude").points(short, 0.5)
    assert len(points) == 2 and min(points) > 0
    assert np.mean(points) < np.mean(before)
    share = np.divide(network(whole, "spline").cost, network(whole, "lottery:spline").cost)
    assert (share > 1 / 3).all() and (share < 0.4).all()


def test_the_ticket_ends_above_the_narrow_network_by_less_than_a_point(whole):
    ticket, (narrow,) = network(whole, "spline"), whole.narrow
    assert rivals.wins(whole, ticket, "width") == [True, True]
    above = 100 * np.subtract(ticket.accuracy, narrow.accuracy)
    assert ticket.seeds == narrow.seeds and (above < 1).all()


def test_the_ticket_ends_below_the_dense_network_and_the_one_that_stops_halfway(whole):
    ticket = network(whole, "spline")
    assert max(ticket.points) < 0 and all(0.5 < cost < 0.6 for cost in ticket.cost)
    (halfway,) = [s for s in whole.fewer if whole.protocol(s)["epochs"] == 80]
    assert whole.spent(halfway, 0) < min(ticket.cost)
    assert rivals.wins(whole, ticket, "epochs") == [False, False]
    macs = np.divide(ticket.macs, whole.dense.macs)
    assert (abs(macs - 0.5) < 0.1).all(), "the ticket does half of the multiplications"


def test_every_claim_has_cases(records):
    assert all(claims.counts(records).values())
