"""Records of a pitch estimator that is pruned: what cannot be, and how they are put in words."""

import json

import pytest
from recorded import pitch_record

from splinelib.errors import DamagedFile
from splinelib.experiments import pitch_records


@pytest.mark.parametrize(
    "changed, message",
    [
        ({}, "is there twice"),
        ({"way": "shrinking"}, "names no way"),
        ({"way": "dense", "seed": 9}, "the ratio of another way"),
        ({"ratio": 0.0}, "the ratio of another way"),
        ({"seed": 1}, "nothing is drawn"),
    ],
)
def test_what_cannot_be_is_found(tmp_path, changed, message):
    path = pitch_records.path_of("tiny", tmp_path)
    pitch_records.write(path, pitch_record(), [])
    record = json.loads(path.read_text())
    del record["digest"]
    record["entries"].append(record["entries"][-1] | changed)
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=message):
        pitch_records.read(path)


def test_a_summary_gives_each_way_and_ratio():
    lines = pitch_records.summary(pitch_record(lambda way, ratio: 0.8 - ratio)).splitlines()
    assert lines[0].startswith("tiny  pitch of tones")
    assert "dense" in lines[1] and "0%: 80.0%" in lines[1]
    (random,) = (line for line in lines if line.split()[0] == "random" and "refitted" not in line)
    assert "10%: 71.0%, 30%: 51.0%, 50%: 31.0%, 70%: 11.0%" in random
    assert len(lines) == 2 + len(pitch_records.WAYS)
