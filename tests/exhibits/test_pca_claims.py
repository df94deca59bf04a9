"""The sentences of chapter 14: carried by our records, and not by others."""

import torch
from recorded import pca_record

from splinelib.exhibits import pca_claims
from splinelib.exhibits.pca import Study
from splinelib.experiments import truncation_records


def test_our_records_carry_every_sentence():
    records = {record["name"]: record for record in truncation_records.records()}
    study, vgg = Study(records["mlp"]), Study(records["vgg16"])
    assert study.networks >= 20 and vgg.networks >= 10
    for claims in (
        pca_claims.of_records(study),
        pca_claims.of_either(study),
        pca_claims.of_loudness(study),
        pca_claims.of_needs(study),
        pca_claims.of_vgg(vgg),
    ):
        assert [sentence for sentence, holds in claims if not holds] == []


def test_a_record_in_which_all_are_equal_carries_few():
    study = Study(pca_record())
    held = dict(pca_claims.of_records(study))
    assert not held["PCA to 16 is better than the whole distance"]
    assert not held["the trailing directions do better still"]
    assert held["in the weights 8 or fewer are not told from it"]
    assert not dict(pca_claims.of_loudness(study))[
        "in the weights the long ones are the close ones"
    ]


def test_random_units_carry_no_sentence_of_a_trained_layer():
    normals = torch.randn(40, 20, generator=torch.Generator().manual_seed(0))
    held = dict(pca_claims.of_views(normals, (0, 1), 16))
    assert held["the bar holds the true cosine"]
    assert not held["they have much in common as seen, and little in truth"]
    spread = dict(pca_claims.of_twins([0.1], {0.1: (0.5, 2.0)}))
    assert not any(spread.values())
