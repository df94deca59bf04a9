"""Records of prunings after a PCA: what cannot be in them, and how they are put in words."""

import json

import pytest
from recorded import pca_record

from splinelib.errors import DamagedFile
from splinelib.experiments import truncation_records


@pytest.fixture
def path(tmp_path):
    made = pca_record(ends=[(0.5, "nothing")])
    path = truncation_records.path_of(made["name"], tmp_path)
    truncation_records.write(path, made, ["--name", made["name"]])
    return path


@pytest.mark.parametrize(
    "part, changed, message",
    [
        ("orders", {"metric": "<b>"}, "names no metric"),
        ("orders", {"directions": "up"}, "names no metric, directions"),
        ("orders", {"goes": "both"}, "unit of a pair"),
        ("orders", {"compensate": "$x$"}, "or compensation"),
        ("orders", {"test": [0.5]}, "one of orders has not a number of test"),
        ("rivals", {"criterion": "<i>"}, "a rival names no criterion"),
        ("views", {"metric": "by lot"}, "what was measured names no metric"),
        ("needs", {"by": "luck"}, "way to know"),
        ("views", {"loud": [2.0, 0.0, 0.0]}, "loud"),
    ],
)
def test_what_cannot_be_is_found(path, part, changed, message):
    record = json.loads(path.read_text())
    del record["digest"]
    record[part][0] |= changed
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=message):
        truncation_records.read(path)


def test_entries_are_there_once_and_networks_are_counted(path):
    record = json.loads(path.read_text())
    del record["digest"]
    path.write_text(json.dumps(record | {"orders": [*record["orders"], record["orders"][0]]}))
    with pytest.raises(DamagedFile, match="is there twice"):
        truncation_records.read(path)
    path.write_text(json.dumps(record | {"settings": record["settings"] | {"seeds": 4}}))
    with pytest.raises(DamagedFile, match="another number of seeds"):
        truncation_records.read(path)


def test_a_summary_names_the_best_of_each_metric():
    made = pca_record(lambda order, *_: 0.5 + 0.1 * (order.components == 8))
    lines = truncation_records.summary(made).splitlines()
    assert lines[0].startswith("mlp  pruned after PCA, 3 networks")
    assert sum("identity, leading 8" in line and "60.1" in line for line in lines) == 2
    assert sum("by lot" in line and "50.1" in line for line in lines) == 2
