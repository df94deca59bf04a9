"""Records of ways to a small network: read as written, and refused where damaged."""

import json

import pytest
from recorded import PROVENANCE, starts_record

from splinelib.__main__ import main
from splinelib.errors import DamagedFile
from splinelib.experiments import start_records


@pytest.fixture
def path(tmp_path):
    made = starts_record()
    path = start_records.path_of(made["name"], tmp_path)
    start_records.write(path, made, ["--name", made["name"]])
    return path


def test_a_record_is_read_as_it_was_written(path):
    record = start_records.read(path)
    assert record["entries"] == starts_record()["entries"]
    assert record["command"] == "python -m splinelib starts --name map"
    assert start_records.record_files(path.parents[1]) == [path]
    assert record["provenance"].keys() == PROVENANCE.keys()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: text.replace('"depth": 1', '"depth": 2', 1), "digest"),
        (lambda text: text.replace('"rate": ', '"rat": '), "rate is missing"),
        (lambda text: text.replace('"schema": 1', '"schema": 9'), "schema is 9"),
        (lambda text: text.replace('"name": "map"', '"name": "cap"'), "digest"),
    ],
)
def test_damage_is_found(path, damage, message, capsys):
    path.write_text(damage(path.read_text()))
    with pytest.raises(DamagedFile, match=message):
        start_records.read(path)
    assert main(["runs", "--folder", f"{path.parents[1]}"]) == 1
    assert "1 damaged" in capsys.readouterr().out


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


def test_a_record_of_another_name_is_refused(path):
    with pytest.raises(DamagedFile, match="named 'map' inside"):
        start_records.read(path.rename(path.with_name("other.json")))


def test_a_summary_counts_who_is_best():
    lines = start_records.summary(starts_record()).splitlines()
    assert lines[0].startswith("map") and any("pruned: lsq" in line for line in lines)
