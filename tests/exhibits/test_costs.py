"""What tickets cost, by numbers worked by hand."""

import numpy as np
import pytest
from recorded import record, ticket
from shown import rows

from splinelib.exhibits import choosing, costs, wording

# Half of the multiplications, at 0.6 and 0.75 of the dense run's FLOPs.
RUNS = [
    record(ticket("spline", 0.5, 0.86, macs=500_000, pflop=0.6, latency=0.005), accuracy=0.9),
    record(ticket("spline", 0.5, 0.95, macs=500_000, pflop=1.5), accuracy=0.9, pflop=2.0, seed=1),
]


def test_a_lottery_ticket_costs_a_dense_run_and_its_own():
    group = choosing.spreads(RUNS)
    assert costs.below_lottery(group, group[1]) == pytest.approx([1.5 / 0.6, 1.5 / 0.75])
    # One that is drawn halfway costs half of it, whatever its size.
    halfway = record(ticket("spline", 0.5, macs=200_000, pflop=0.5 + 0.5 * 0.2))
    group = choosing.spreads([halfway])
    assert costs.below_lottery(group, group[1]) == pytest.approx([2])


def test_a_ticket_without_its_dense_network_is_refused():
    one, other = choosing.spreads(RUNS[:1]), choosing.spreads(RUNS[1:])
    with pytest.raises(ValueError, match="seed 1"):
        costs.below_lottery(one, other[1])


def test_overview_has_means_and_shares_of_the_dense_network():
    assert rows(costs.overview(RUNS))[1:] == [
        ["dense", "90.0", "100", "0.00", "1.0", "100"],
        ["spline 50%", "90.5", "100", "0.00", "0.5", "68"],
    ]
    assert rows(costs.overview([]))[1][0] == wording.NOTHING


def test_savings_against_the_dense_run_and_the_lottery():
    assert rows(costs.savings(RUNS))[1:] == [
        [
            "spline 50%",
            "+0.50 (-4.00 to +5.00)",
            "1.50 (1.33–1.67)",
            "2.25 (2.00–2.50)",
        ]
    ]


def test_a_curve_goes_from_cheap_to_dear_over_shared_seeds():
    first = record(ticket("spline", 0.3, 0.88, pflop=0.8), ticket("spline", 0.7, 0.6, pflop=0.4))
    second = record(ticket("spline", 0.3, 0.86, pflop=0.9), seed=1)
    cost, accuracy = costs.cost_and_accuracy(choosing.spreads([first, second]), "spline")
    np.testing.assert_allclose(cost, [[0.4, 0.8]])
    np.testing.assert_allclose(accuracy, [[0.6, 0.88]])
    with pytest.raises(ValueError, match="'bn'"):
        costs.cost_and_accuracy(choosing.spreads([first]), "bn")


def test_networks_of_different_seeds_keep_as_many_as_the_fewest_have():
    mild = ([3, 4, 5], [0.9, 0.8, 0.7], [0.7, 0.8, 0.9])
    hard = ([0, 1], [0.4, 0.5], [0.5, 0.6])
    cost, accuracy = costs.in_order_of_cost([mild, hard])
    np.testing.assert_allclose(cost, [[0.4, 0.9], [0.5, 0.8]])
    np.testing.assert_allclose(accuracy, [[0.5, 0.7], [0.6, 0.8]])
    with pytest.raises(ValueError, match="a seed"):
        costs.in_order_of_cost([mild, ([], [], [])])


def test_the_figure_says_what_it_shows():
    made = record(
        ticket("spline", 0.3, 0.88, pflop=0.8),
        ticket("spline", 0.7, 0.6, pflop=0.4),
        ticket("masks:spline", 0.3, 0.1),
        ticket("lottery:magnitude", 0.5, 0.7, pflop=1.5),
        accuracy=0.91,
    )
    figure = costs.against_flops([made])
    assert figure.alt == (
        "Test accuracy of tickets against their training FLOPs, with the dense accuracy as a line. "
        "spline: 60.0 % for 0.40 to 88.0 % for 0.80. lottery (magnitude): 70.0 % for 1.50. "
        "Dense: 91.0 % for 1."
    )
    assert figure.caption.startswith("vgg16 at width 0.25 on cifar10, 8 epochs, seed 0: what")
    rivals = {"narrow (from the start)": (np.array([[0.5]]), np.array([[0.8]]))}
    beside = costs.against_flops([made], rivals)
    assert "narrow (from the start): 80.0 % for 0.50. spline:" in beside.alt
    assert "Dense" not in beside.alt


def test_a_figure_without_tickets_is_refused():
    for runs in ([], [record()], [record(ticket("masks:spline", 0.3))]):
        with pytest.raises(ValueError, match="no ticket to draw"):
            costs.against_flops(runs)
