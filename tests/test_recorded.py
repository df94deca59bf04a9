"""The records that tests make up are such as the library would read."""

import json

import pytest
from recorded import masks, one_shot, record, ticket

from splinelib import experiments, oneshot


def test_made_up_records_follow_the_schema(tmp_path):
    made = record(
        ticket("spline@residual+refit", 0.5, 0.88, before=0.4, macs=250_000),
        ticket("lottery:magnitude", 0.5, 0.5, history=[0.5] * 8),
        accuracy=0.91,
        settled_epoch=2,
        masks=[masks("spline", 0.5, 4)],
        seed=3,
    )
    assert experiments.check_record(made) == []
    assert made["name"] == "cifar10-vgg16-w0.25-e8-s3"
    assert made["early_bird"]["drawn_after"] == 2
    assert [len(t["history"]) for t in made["tickets"]] == [5, 8]
    assert [row["learning_rate"] for row in made["dense"]["history"][3:5]] == [0.1, 0.01]

    (tmp_path / "oneshot").mkdir()
    curve = one_shot(made, ("spline@layerwise+refit", 0.3, 0.7))
    (tmp_path / "oneshot" / f"{curve['name']}.json").write_text(json.dumps(curve))
    assert oneshot.records(tmp_path) == [curve]


def test_a_history_of_another_length_is_refused():
    with pytest.raises(ValueError, match="3 accuracies for 8 epochs"):
        record(history=[0.1, 0.2, 0.3])
