"""Records of ways to a small network: what cannot be in them, and how they are put in words."""

import json

import pytest
from recorded import starts_record

from splinelib.errors import DamagedFile
from splinelib.experiments import start_records


@pytest.fixture
def path(tmp_path):
    made = starts_record()
    path = start_records.path_of(made["name"], tmp_path)
    start_records.write(path, made, ["--name", made["name"]])
    return path


def test_what_cannot_be_is_found(path):
    record = json.loads(path.read_text())
    del record["digest"]
    record["entries"].append(record["entries"][0])
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match="is there twice"):
        start_records.read(path)
    record["entries"].pop()
    before = dict(record["entries"][0])
    for wrong in ({"data": "<b>"}, {"way": "$x$"}, {"budget": "time"}):
        record["entries"][0] = before | wrong
        path.write_text(json.dumps(record))
        with pytest.raises(DamagedFile, match="names no data set, way or budget"):
            start_records.read(path)
    record["entries"][0] = before | {"test": [0.5]}
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match="not a number of test for each seed"):
        start_records.read(path)


def test_a_summary_counts_who_is_best():
    lines = start_records.summary(starts_record()).splitlines()
    assert lines[0].startswith("map") and any("pruned: lsq" in line for line in lines)
