"""The sentences of chapter 5: carried by our records, and not by others."""

import numpy as np
from recorded import starts_record

from splinelib.calibration.max_affine import MaxAffine
from splinelib.exhibits import start_claims
from splinelib.exhibits.starts import Study
from splinelib.experiments import start_records


def test_our_records_carry_every_sentence():
    records = {record["name"]: record for record in start_records.records()}
    study = Study(records["map"])
    for claims in (
        start_claims.of_map(study),
        start_claims.of_lines(study),
        start_claims.of_images(records["cifar10"], study),
    ):
        assert [sentence for sentence, holds in claims if not holds] == []


def test_a_record_in_which_all_are_equal_carries_few():
    study = Study(starts_record(data=["cross", "digits"], factors=[2, 16]))
    held = dict(start_claims.of_map(study))
    for sentence in (
        "data sets, final networks and factors make 4 x 4 x 4 conditions",
        "pruned: lsq is ahead of a random start in 40, epochs",
        "pruned: spline is behind more often than ahead, flops",
        "pruned: magnitude is ahead of pruned: random in 43, never behind",
        "it is behind magnitude's cut in 20, never ahead",
        "its weights have half of the training",
        "spread lines are ahead for 7 of 12 final networks",
        "at equal FLOPs ahead in 16 of 48, behind in one",
    ):
        assert not held[sentence]
    assert held["a network is reached in nine ways"]
    assert held["layerwise is never ahead"]
    assert start_claims.count(study, "spread", "random", "epochs", ("digits",)) == (0, 0, 2)


def test_fits_and_clusters_that_are_all_alike_carry_few():
    fit = [MaxAffine(np.zeros((1, 2)), 1.0, 10)]
    names = ["random start", "a", "b", "c", "cut down from 4 times as many"]
    line = dict.fromkeys([*names, "best of 4 random starts"], fit)
    held = dict(start_claims.of_fits(line, line, {"the curve": 1.0, "a surface": 1.0}))
    for sentence in (
        "twice as many get part of the way",
        "on the surface four times as many cost more than four starts",
        "twice as many cost less than four starts",
        "and end ahead of the best of four",
    ):
        assert not held[sentence]
    assert held["on the surface all ways are within a fifth of the least"]
    alike = {way: np.ones(3) for way in "abcd"}
    held = dict(start_claims.of_clusters({"20 clouds": alike, "digits": alike}))
    assert not held["random centres lose clouds"]
    assert held["on digits all are within a twentieth"]
