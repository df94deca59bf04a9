"""Records are locked, checked, and refused when damaged."""

import copy
import json

import pytest
from runs import TINY

from splinelib import experiments
from splinelib.errors import DamagedFile
from splinelib.experiments import read_record, run
from splinelib.experiments.store import locked


def test_two_processes_cannot_write_one_record(tmp_path):
    with (
        locked(tmp_path, TINY.name),
        pytest.raises(experiments.RunLocked, match="Another process"),
    ):
        run(TINY, (), folder=tmp_path, progress=False)
    with locked(tmp_path, "free"):
        pass
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(schema=0), "schema is 0"),
        (lambda r: r.pop("dense"), "record.dense is missing"),
        (lambda r: r["tickets"][0].update(ratio="half"), r"tickets\[0\].ratio is 'half'"),
        (lambda r: r["dense"]["history"].append([]), r"history\[4\] should be an object"),
        (lambda r: r["dense"].update(test_accuracy=None), "test_accuracy is None"),
        (lambda r: r["early_bird"].update(drawn_after=True), "drawn_after is True"),
    ],
)
def test_a_record_that_was_tampered_with_is_refused(tiny, tmp_path, change, message):
    record = copy.deepcopy(tiny[0])
    change(record)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=message):
        read_record(path)


def test_a_truncated_record_is_a_clear_message(tmp_path):
    (tmp_path / "record.json").write_text('{"schema": 1, ')
    with pytest.raises(DamagedFile, match="version control"):
        read_record(tmp_path / "record.json")
