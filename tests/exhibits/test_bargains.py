"""What pruning early saves: worked by hand on small records."""

import numpy as np
import pytest
from recorded import record, ticket
from shown import Elements

from splinelib.exhibits import bargains


def runs(seed=0, **settings):
    """Tickets that keep 0.7 and 0.5 of the dense network's 1,000,000 multiplications."""
    drawn = [
        ticket("spline", 0.5, 0.88, macs=500_000, pflop=0.6),
        ticket("spline", 0.3, 0.9, macs=700_000, pflop=0.8),
        ticket("masks:spline", 0.5, 0.5, macs=500_000, pflop=0.7),
        ticket("lottery:spline", 0.5, 0.87, macs=500_000, pflop=1.5),
    ]
    return record(*drawn, epochs=16, seed=seed, **settings)


@pytest.fixture
def contest():
    short = record(ticket("spline", 0.5, 0.1), width=0.5)
    fewer = [record(accuracy=a, epochs=e, pflop=e / 16) for e, a in ((4, 0.7), (8, 0.89))]
    return bargains.longest([short, runs(), runs(1), *fewer])


def test_the_longest_protocol_with_tickets_is_taken(contest):
    assert contest.protocol(contest.dense)["epochs"] == 16
    assert [spread.ratio for spread in bargains.drawn_early(contest)] == [0.3, 0.5]
    assert contest.protocol(bargains.halfway(contest))["epochs"] == 8
    assert bargains.lottery(contest).method == "lottery:spline"
    with pytest.raises(ValueError, match="No ticket"):
        bargains.longest([record()])


def test_the_answer_has_a_line_for_each_network(contest):
    answer = bargains.answer(contest)
    assert answer.lines == [
        "30% of the units removed when the codes settle: +0.0 points, for 80%.",
        "50% of the units removed when the codes settle: -2.0 points, for 60%.",
        "Nothing removed, and 8 epochs in place of 16: -1.0 points, for 50%.",
        "A one-shot lottery, 50% removed at the end: -3.0 points, for 150%.",
    ]
    assert "VGG-16 on CIFAR-10 at 0.25 of its width, all 16 epochs, two seeds" in answer.opening
    assert answer.machines == "Recorded on a processor, 1 of 4 cores, no GPU; PyTorch 2.11.0."
    assert answer.machines in Elements(answer._repr_html_()).text
    shown = Elements(answer._repr_html_())
    links = [given["href"] for tag, given in shown.elements if tag == "a"]
    assert links == [f"../reproduce.html#record-{name}" for name in answer.names]
    assert len(links) == 3  # two seeds, and one rival


def test_an_answer_is_text_whatever_a_record_is_called():
    made = record(ticket("spline", 0.3), network="<b>", name="<i>")
    shown = Elements(bargains.answer(bargains.longest([made]))._repr_html_())
    assert not {"b", "i"} & {tag for tag, _ in shown.elements}
    assert "<b>" in shown.text and "<i>" in shown.text


def test_factors_are_taken_against_both_baselines(contest):
    _, half = bargains.drawn_early(contest)
    m, dense, lottery = bargains.factors(contest, half)
    assert (m, dense, lottery) == pytest.approx((0.5, 1 / 0.6, 1.5 / 0.6))
    assert bargains.shares_left(contest, half) == [0.5, 0.5]
    assert bargains.spent(contest, half) == [0.6, 0.6]
    np.testing.assert_allclose(bargains.points_above_dense(contest, half), -2)


def test_the_figure_is_given_the_numbers_of_the_records(contest):
    drawn, dense = bargains.outcomes(contest), bargains.never_pruned(contest)
    assert [(one.name, one.ratio) for one in drawn] == [
        ("spline", 0.3),
        ("spline", 0.5),
        ("lottery (spline)", 0.5),
    ], "tickets drawn by masks are chapter 7's"
    _, half, late = drawn
    assert half.accuracy == [0.88, 0.88] and half.cost == [0.6, 0.6] and late.late
    assert half.left["multiplications"] == [0.5, 0.5] and not half.late
    assert half.factors() == pytest.approx(
        bargains.factors(contest, bargains.drawn_early(contest)[1])[1:]
    )
    assert [one.name for one in dense] == ["4 epochs", "8 epochs", "16 epochs"]
    assert dense[0].cost == [0.25] and dense[-1].cost == [1.0, 1.0]


def test_latencies_are_shown_where_every_record_has_them(contest):
    assert "latency" in bargains.outcomes(contest)[0].left
    contest.group[1].latency[0] = float("nan")
    assert "latency" not in bargains.outcomes(contest)[0].left


def test_the_figure_says_what_it_shows(contest):
    shown = bargains.bounded(contest)
    assert "spline, 50% removed: 88.0 % for 0.60" in shown.alt
    assert "Dense, 4 epochs: 70.0 % for 0.25; 8 epochs: 89.0 % for 0.50" in shown.alt
    assert '"value": 3.5' in shown.markup
    assert '"start": 1' in shown.markup, "there are two methods at 50 %, and one at 30 %"
    with pytest.raises(ValueError, match="two ratios"):
        bargains.bounded(bargains.longest([record(ticket("spline", 0.5))]))
    with pytest.raises(ValueError, match="No ticket of the spline order"):
        bargains.bounded(bargains.longest([record(ticket("random", 0.5))]))


def test_how_much_the_first_layers_keep_is_read_from_their_widths(contest):
    half = bargains.drawn_early(contest)[1]
    (name, _) = half.names
    (made,) = [
        one
        for one in contest.records[name]["tickets"]
        if one["ratio"] == 0.5 and one["rule"] == "codes"
    ]
    made["widths"] = {"a": [8, 8], "b": [8, 4], "c": [100, 1]}
    assert bargains.kept_of_first(contest, name, half, 2) == 0.75
