"""Orders of removal by themselves as the chapter shows them."""

import pytest
from recorded import orders_record, pitch_record
from shown import Elements, rows

from splinelib import plotting
from splinelib.exhibits import orders


def one(accuracy, **told):
    return orders.of_records([orders_record(accuracy, **told)])


def worth(criterion, scope, ratio):
    """Bend is best at one threshold, until 70 %; magnitude is worst."""
    if criterion == "dense":
        return 0.9
    keeps = {"bend": 0.8 if scope == "global" and ratio < 0.7 else 0.3, "magnitude": 0.1}
    return keeps.get(criterion, 0.4)


def test_points_are_lost_against_the_dense_network_of_the_same_seed():
    network = one(worth)
    assert network.title == "MLP, digits" or network.title == "perceptron, digits"
    assert network.seeds == 3 and network.ratios == [0.3, 0.5, 0.7]
    assert network.accuracy == pytest.approx(91)
    # the seeds are a hundredth apart, the dense network and what is left of it alike
    assert network.lost("bend", "global", 0.5) == pytest.approx([10, 10, 10])
    assert network.mean("magnitude", "layerwise", 0.3) == pytest.approx(80)
    lost, name, scope = network.least(orders.OURS, 0.5)
    assert (lost, name, scope) == (pytest.approx(10), "bend", "global")
    assert network.least(orders.BASELINES, 0.5)[1] == "random"
    assert network.leads(0.5) and not network.leads(0.7)  # there spline is as random is


def test_seeds_of_several_records_are_one_network():
    records = [orders_record(worth, seeds=1, name=f"run-s{seed}", width=0.25) for seed in range(2)]
    for seed, record in enumerate(records):
        for entry in record["entries"]:
            entry["seed"] = seed
    network = orders.of_records(records)
    assert network.seeds == 2 and network.names == ["run-s0", "run-s1"]
    assert network.title.endswith("at width 0.25, digits")


def test_renewed_statistics_are_a_row_of_their_own():
    record = orders_record(worth, normed=True)
    plain, renewed = orders.of_records([record]), orders.of_records([record], renewed=True)
    assert renewed.title == f"{plain.title}, renewed"
    assert plain.mean("bend", "global", 0.5) == pytest.approx(10)
    assert renewed.mean("bend", "global", 0.5) == pytest.approx(0)


def test_draws_by_lot_count_as_their_mean():
    record = orders_record(worth, seeds=1)
    for entry in record["entries"]:
        if entry["criterion"] == "random":
            entry["accuracy"] = 0.3 + 0.1 * entry["draw"]
    network = orders.of_records([record])
    assert network.lost("random", "global", 0.5) == pytest.approx([50])


def test_the_pitch_estimator_has_one_threshold():
    made = pitch_record(lambda way, ratio: 0.9 if way == "dense" else 0.5)
    network = orders.of_pitch(made)
    assert network.scopes == ["global"] and network.ratios == [0.3, 0.5, 0.7]
    assert network.mean("spline", "global", 0.3) == pytest.approx(40)
    assert network.mean("random", "global", 0.3) == pytest.approx(39)  # three draws


def test_the_table_says_who_loses_least():
    networks = [one(worth), orders.of_pitch(pitch_record(lambda way, ratio: 0.5))]
    _, first, second = rows(orders.table(networks))
    assert first[1:4] == [
        "3",
        "bend 10.0; magnitude 80.0; random 50.0",
        "bend 10.0; magnitude 80.0; random 50.0",
    ]
    shown = orders.table(networks)._repr_html_()
    assert "orders-digits-mlp" in shown and "pitch-tiny" in shown  # each record where it lies
    assert "left as they were" in shown
    assert second[1] == "1" and second[2] == "bend 0.0; magnitude 0.0; random -1.0"


def test_records_of_one_network_are_collected():
    plain = orders_record(worth)
    seeds = [
        orders_record(worth, seeds=1, name=f"cifar10-vgg16-w0.25-e8-s{s}", normed=True)
        for s in range(2)
    ]
    for seed, record in enumerate(seeds):
        record["settings"] |= {"network": "vgg16", "data": "cifar10", "width": 0.25}
        for entry in record["entries"]:
            entry["seed"] = seed
    made = orders.collected([*seeds, plain], pitch_record())
    told = [network.title for network in made[False]]
    assert told == ["perceptron, digits", "VGG-16 at width 0.25, CIFAR-10", "CREPE (tiny), tones"]
    assert [network.seeds for network in made[True]] == [3, 2, 1]
    assert made[True][1].title.endswith(", renewed") and made[True][0].title == told[0]


def test_every_ratio_is_a_picture(monkeypatch):
    monkeypatch.setenv("SPLINELIB_WIDGETS", "static")
    shown = orders.figure([one(worth), orders.of_pitch(pitch_record())])
    seen = Elements(shown._repr_html_())
    assert "bend 10, random 50" in shown._repr_html_()
    assert [tag for tag, _ in seen.elements].count("svg") >= 3


def test_what_gains_accuracy_is_in_the_picture(monkeypatch):
    monkeypatch.setenv("SPLINELIB_WIDGETS", "static")
    limits, figure = [], plotting.figure

    def watched(draw, **told):
        def drawn(ax, palette):
            draw(ax, palette)
            limits.append(ax.get_xlim()[0])

        return figure(drawn, **told)

    monkeypatch.setattr(plotting, "figure", watched)
    orders.figure([one(lambda criterion, *_: 0.5 if criterion == "dense" else 0.6)])._repr_html_()
    assert limits and max(limits) < -10


def test_records_that_are_not_one_network_are_refused():
    record = orders_record(worth)
    for group, renewed, message in (
        ([], False, "a record at least"),
        ([record, orders_record(worth, width=0.25, name="b")], False, "different settings"),
        (
            [record, orders_record(worth, name="b")],
            False,
            r"b has the seeds \[0, 1, 2\] of another record",
        ),
        ([record], True, "renewed: a dense network or all pruned ones are not recorded"),
        ([record | {"entries": []}], False, "not recorded"),
    ):
        with pytest.raises(ValueError, match=message):
            orders.of_records(group, renewed)
    del record["entries"][-1]
    with pytest.raises(ValueError, match=r"lsq, global, 0.7 is recorded for the seeds \[0, 1\]"):
        orders.table([orders.of_records([record])])


def test_networks_of_other_ratios_are_not_drawn_together():
    few = orders.of_pitch(pitch_record(ratios=(0.3, 0.5)))
    for networks, message in (([], "a network at least"), ([one(worth), few], "has the ratios")):
        with pytest.raises(ValueError, match=message):
            orders.figure(networks)
