"""Records of groups that were cut alone: what cannot be in them, and how they are put in words."""

import json

import pytest
from recorded import shares_record

from splinelib.errors import DamagedFile
from splinelib.experiments import share_records


@pytest.mark.parametrize(
    "changed, message",
    [
        ({}, "is there twice"),
        ({"group": "other", "dense": 0.5}, "another dense network"),
        ({"group": "other", "kept": {"bend": 1}}, "does not name what each criterion keeps"),
        ({"group": "other", "units": 3}, "keeps more units than there are"),
        ({"group": "other", "kept": dict.fromkeys(share_records.CRITERIA, 0)}, "or none"),
        ({"group": "other", "by_lot": []}, "no draw by lot"),
        ({"group": "other", "alone": 1.5}, "alone is 1.5"),
    ],
)
def test_what_cannot_be_is_found(tmp_path, changed, message):
    path = share_records.path_of("run", tmp_path)
    share_records.write(path, shares_record(), [])
    record = json.loads(path.read_text())
    del record["digest"]
    record["entries"].append(record["entries"][-1] | changed)
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=message):
        share_records.read(path)


def test_a_summary_names_each_group_of_one_network():
    lines = share_records.summary(shares_record(seeds=2)).splitlines()
    assert lines[0] == "run  who gives up units, 2 networks"
    assert len(lines) == 1 + 4
    assert lines[2].split(maxsplit=1) == [
        "stream",
        "16 units, a stream; alone 2.5 points; kept: spline 8, bend 8, lsq 8, magnitude 8",
    ]
