"""Verdicts of the front page: carried by their values, or an error."""

import pytest
import recorded
import torch
from shown import Elements

import splinelib as sl
from splinelib import experiments
from splinelib.exhibits import choosing, verdicts

# Two first-layer lines along no axis, and a second layer that bends at them.
WEIGHTS = {
    "linear1": ([[2.0, 1.0], [-1.0, 3.0], [1.0, 1.5]], [0.1, 0.2, -0.3]),
    "linear2": ([[1.0, 1.0, -1.0], [1.0, -1.0, 0.5]], [-0.5, 0.1]),
    "linear3": ([[1.0, -1.0]], [0.0]),
}


@pytest.fixture
def small():
    model = sl.models.mlp([2, 3, 2, 1]).double()
    for name, (weight, bias) in WEIGHTS.items():
        layer = getattr(model, name)
        layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return model


def settled_run(matrix, fired, epochs=20, **settings):
    made = recorded.record(
        epochs=epochs,
        settled_epoch=fired,
        masks=[recorded.masks("bn", 0.5, 1) | {"rows": [[]] * epochs}],
        **settings,
    )
    made["early_bird"]["matrix"] = matrix
    return made


def drifting(epochs=20):
    """Every epoch is as far from another as there are epochs between them."""
    return [[abs(a - b) / epochs for a in range(epochs)] for b in range(epochs)]


def test_smaller_weights_of_the_first_layer_go_and_the_network_stays_as_it_was(small):
    cut = verdicts.without_small_weights(small)
    assert cut.linear1.weight.tolist() == [[2.0, 0.0], [0.0, 3.0], [0.0, 1.5]]
    assert small.linear1.weight[0].tolist() == [2.0, 1.0]
    assert cut.linear2 is small.linear2


def test_a_line_runs_along_an_axis_or_not(small):
    dense = sl.partition(small, verdicts.DOMAIN)
    cut = sl.partition(verdicts.without_small_weights(small), verdicts.DOMAIN)
    assert not verdicts.is_parallel(dense, 0, 0)
    assert all(verdicts.is_parallel(cut, 0, unit) for unit in range(3))


def test_removal_is_shown_exactly(small):
    verdict = verdicts.removal(small, torch.zeros(1, 2).double())
    assert all(verdict.holds) and len(verdict.holds) == 6
    assert "3 lines of the first layer" in verdict.picture.alt


def test_early_says_pace_and_place_and_takes_both_from_the_records():
    verdict = verdicts.early([settled_run(drifting(), 1), settled_run(drifting(), 1, seed=1)])
    assert verdict.holds == [True, True, True, True]
    assert "after epochs 2 and 2; 95% and 95% of the way" in verdict.told
    assert "In 2 runs of 20 epochs" in verdict.told


def test_a_partition_that_is_found_early_or_a_late_rule_fail_the_page():
    late = verdicts.early([settled_run(drifting(), 10)])
    assert late.holds == [False, False]
    there = [[0.5 * ((a == 0) != (b == 0)) for a in range(20)] for b in range(20)]
    found = verdicts.early([settled_run(there, 1)])
    assert found.holds == [True, False]
    for verdict in (late, found):
        with pytest.raises(AssertionError, match="the place does not"):
            verdicts.cards([verdict])


def saving_records(halfway=0.88, milder=0.9):
    drawn = [
        recorded.ticket("spline", 0.3, milder, macs=700_000, pflop=0.75),
        recorded.ticket("spline", 0.5, 0.87, macs=500_000, pflop=0.5),
    ]
    return [
        recorded.record(*drawn, epochs=16),
        recorded.record(accuracy=halfway, epochs=8, pflop=0.5),
    ]


def test_saving_names_both_baselines():
    verdict = verdicts.saving(saving_records())
    assert all(verdict.holds)
    told = "with 30% of the units gone +0.0 points, for 1.3 times less than the dense run and 2.3"
    assert told in verdict.told
    assert (
        "with 50% of the units gone -3.0 points, for 2.0 times less and 3.0 times less"
        in verdict.told
    )
    assert "dense: 88.0 % for 0.50, 90.0 % for 1.00" in verdict.picture.alt


@pytest.mark.parametrize("change", [{"halfway": 0.8}, {"milder": 0.89}])
def test_saving_fails_where_its_words_are_no_longer_true(change):
    with pytest.raises(AssertionError, match="page says"):
        verdicts.cards([verdicts.saving(saving_records(**change))])


def test_what_was_not_run_follows_from_the_records():
    told = verdicts.not_run([recorded.record()])
    assert "VGG-16, PreResNet-101, ResNet-18 and ResNet-50 at full width over 160" in told
    assert "CIFAR-100" in told and "CIFAR-10;" not in told and "a processor, 1 of 4" in told
    whole = recorded.record(recorded.ticket("spline", 0.5), width=1.0, epochs=160)
    assert "run: PreResNet-101, ResNet-18 and" in verdicts.not_run([whole])


def test_cards_escape_and_link():
    (verdict,) = [verdicts.saving(saving_records())]
    shown = Elements(verdicts.cards([verdict], below="a < b").markup)
    assert [a["href"] for tag, a in shown.elements if tag == "a"] == [verdict.page]
    assert "a < b" in shown.text and verdict.told in shown.text


def test_without_records_there_is_no_verdict():
    for verdict in (verdicts.early, verdicts.saving):
        with pytest.raises(ValueError, match=r"no record|No ticket"):
            verdict([])
    with pytest.raises(ValueError, match="No spline ticket"):
        verdicts.saving([recorded.record(recorded.ticket("bn", 0.5))])


def test_the_records_of_the_book_carry_its_verdicts():
    records = choosing.of_dataset(experiments.records(), "cifar")
    assert all(verdicts.early(records).holds)
    assert all(verdicts.saving(records).holds)
