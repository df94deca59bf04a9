"""Records of orders by themselves: what cannot be in them, and how they are put in words."""

import json

import pytest
from recorded import orders_record

from splinelib.errors import DamagedFile
from splinelib.experiments import order_records


@pytest.mark.parametrize(
    "changed, message",
    [
        ({}, "is there twice"),
        ({"criterion": "guess"}, "names no criterion"),
        ({"scope": "residual"}, "names no scope"),
        ({"criterion": "dense", "seed": 9}, "the ratio of another"),
        ({"ratio": 0.0}, "the ratio of another"),
        ({"draw": 1}, "nothing is drawn"),
        ({"criterion": "dense", "seed": 9, "ratio": 0.0, "renewed": True}, "are its own"),
    ],
)
def test_what_cannot_be_is_found(tmp_path, changed, message):
    path = order_records.path_of("digits-mlp", tmp_path)
    order_records.write(path, orders_record(), [])
    record = json.loads(path.read_text())
    del record["digest"]
    record["entries"].append(record["entries"][-1] | changed)
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=message):
        order_records.read(path)


def test_a_summary_gives_each_order_and_ratio():
    made = orders_record(lambda criterion, scope, ratio: 0.9 - ratio, seeds=1)
    lines = order_records.summary(made).splitlines()
    assert lines[0] == "digits-mlp  orders by themselves, 1 networks, dense 90.0%"
    (bend,) = (line for line in lines if line.split()[:2] == ["bend", "global"])
    assert bend.endswith("30%: 60.0%, 50%: 40.0%, 70%: 20.0%")
    assert len(lines) == 1 + 2 * len(order_records.CRITERIA)
    renewed = order_records.summary(orders_record(lambda *_: 0.5, normed=True, seeds=1))
    assert "bend global renewed" in renewed and "30%: 60.0%" in renewed
