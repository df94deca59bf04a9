"""Records of pruned transformers: what cannot be in them, and how they are put in words."""

import json

import pytest
from recorded import vit_record

from splinelib.errors import DamagedFile
from splinelib.experiments import transformer_records


@pytest.fixture
def path(tmp_path):
    made = vit_record()
    path = transformer_records.path_of(made["name"], tmp_path)
    transformer_records.write(path, made, ["--name", made["name"]])
    return path


@pytest.mark.parametrize(
    "part, changed, message",
    [
        ("entries", {"part": "<b>"}, "names no part"),
        ("entries", {"compensate": "$x$"}, "names no part or compensation"),
        ("entries", {"order": "<i>"}, "names no order"),
        ("entries", {"test": [0.5]}, "one of entries has not a number of test"),
        ("heads", {"lost": [0.5]}, "one of heads has not a number of lost"),
        ("maps", {"when": "later"}, "of no time"),
    ],
)
def test_what_cannot_be_is_found(path, part, changed, message):
    record = json.loads(path.read_text())
    del record["digest"]
    record[part][0] |= changed
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=message):
        transformer_records.read(path)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda r: r["entries"].append(r["entries"][0]), "is there twice"),
        (lambda r: r["settings"].update(seeds=7), "another number of seeds"),
        (lambda r: r["settled"].pop(), "not an epoch at which the codes settled"),
    ],
)
def test_entries_are_there_once_and_networks_are_counted(path, change, message):
    record = json.loads(path.read_text())
    del record["digest"]
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=message):
        transformer_records.read(path)


def test_a_summary_gives_the_best_and_the_worst_of_each_removal():
    made = vit_record(lambda part, order, *_: 0.5 + 0.1 * (order == "lsq"))
    lines = transformer_records.summary(made).splitlines()
    assert lines[0].startswith("digits  pruned transformers, dense 90.1")
    assert all("lsq 60.1" in line and "50.1" in line for line in lines[1:])
