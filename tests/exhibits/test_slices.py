"""Local complexity over training: what tables, figures and claims make of a record."""

import numpy as np
import pytest
from recorded import slices_record
from shown import rows

from splinelib.exhibits import slices


def half(network, epoch, kind):
    """Around training points half goes after the early bird, epoch 2; the cut takes a fifth."""
    falls = 0.5 ** ((epoch - 2) / 2) if kind == "training" and epoch > 2 else 1.0
    return falls * (0.8 if network == "pruned" else 1.0)


@pytest.fixture
def study():
    return slices.Study(slices_record(half))


def test_changes_are_those_of_the_record(study):
    (radius,) = study.radii
    assert study.after("dense", "training", radius).mean == pytest.approx(-50, abs=1.5)
    assert study.after("dense", "training", radius).sign == -1
    assert study.after("dense", "noise", radius).mean == 0
    assert study.cut("test", radius).mean == pytest.approx(-20, abs=0.5)
    assert study.bend("training", radius).mean == pytest.approx(0, abs=1.5)
    assert study.count(0, "dense", 0, "test", radius) == pytest.approx(100)


def test_the_table_and_the_figure_say_it(study):
    head, *found = rows(slices.answers(study, 0.5))
    assert head == ["change", "training", "test", "noise"]
    assert [row[0] for row in found] == [
        "dense, bird to end",
        "by the cut",
        "pruned, cut to end",
        "pruned over dense",
    ]
    assert [row[1][:4] for row in found[:2]] == ["-49.", "-19."]
    still = slices.over_training(study, 0.5)
    assert "dense 100 at the early bird, 50 at the end" in still.markup


def test_agreement_is_a_rank_correlation():
    record = slices_record()
    for number, entry in enumerate(record["entries"]):
        entry["regions"], entry["units"] = [number, 2 * number + 1], [3 * number, 6 * number + 3]
    assert slices.Study(record).agreement(0.5) == pytest.approx({"together": 1, "within": 1})
    for entry in record["entries"]:
        entry["units"] = [1000 - unit for unit in entry["units"]]
    assert slices.Study(record).agreement(0.5)["within"] == pytest.approx(-1)


def test_averages_are_compared_from_the_early_bird_on(study):
    (radius,) = study.radii
    noise, training = ("dense", "noise"), ("dense", "training")
    falls = np.mean([1, 0.5**0.5, 0.5])
    assert study.over(training, noise, radius, "regions").mean == pytest.approx(
        100 * (falls - 1), abs=0.5
    )
    assert study.over(("pruned", "test"), ("dense", "test"), radius, "regions").sign == -1
    assert study.over(training, noise, radius, "units").mean == pytest.approx(0)
    head, *found = rows(slices.averages(study, radius))
    assert head == ["what is compared", "regions on a plane", "units by sampling"]
    assert [row[0] for row in found] == [
        "dense, noise over training",
        "dense, noise over test",
        "pruned over dense, training",
        "pruned over dense, test",
        "pruned over dense, noise",
    ]
    assert found[3][1].startswith("-19.9")


def test_claims_are_sentences_with_a_verdict(study):
    found = list(slices.claims(study))
    assert found and all(isinstance(sentence, str) for sentence, _ in found)
    assert any(not np.all(holds) for _, holds in found), "a made-up record carries not all of them"
