"""Records of rivals without training: what cannot be in them, and how they are put in words."""

import json

import pytest
from recorded import rivals_record

from splinelib.errors import DamagedFile
from splinelib.experiments import rival_records


@pytest.fixture
def path(tmp_path):
    made = rivals_record()
    path = rival_records.path_of(made["name"], tmp_path)
    rival_records.write(path, made, ["--name", made["name"]])
    return path


@pytest.mark.parametrize(
    "changed, message",
    [
        ({}, "is there twice"),
        ({"way": "shrinking"}, "names no way"),
        ({"way": "lsq refitted", "renewed": True, "seed": 9}, "names no way"),
        ({"way": "dense", "seed": 9}, "the ratio of another way"),
        ({"ratio": 0.0}, "the ratio of another way"),
    ],
)
def test_what_cannot_be_is_found(path, changed, message):
    record = json.loads(path.read_text())
    del record["digest"]
    record["entries"].append(record["entries"][-1] | changed)
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=message):
        rival_records.read(path)


def test_a_summary_gives_each_way_and_ratio():
    lines = rival_records.summary(rivals_record()).splitlines()
    assert lines[0] == "digits-vgg16  rivals without training, 3 networks, dense 51.0%"
    assert any(" GRAIL + renewed " in line and "70%: 51.0%" in line for line in lines)
    assert len(lines) == 1 + len((*rival_records.THEIRS, *rival_records.OURS)) + len(
        rival_records.RENEWED
    )
