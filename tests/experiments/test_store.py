"""Records are locked, checked, and refused when damaged."""

import copy
import json
import re

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


def test_a_record_vouches_for_itself(tiny, tmp_path):
    """A changed digit is found, another layout of the file is not a change."""
    record, folder = tiny
    text = (folder / f"{record['name']}.json").read_text()
    path = tmp_path / f"{record['name']}.json"
    assert re.search(r'^ "digest": "[0-9a-f]{64}",$', text, flags=re.M)
    loss = str(record["dense"]["history"][0]["loss"])
    assert loss[1] == "."
    path.write_text(text.replace(loss, f"{int(loss[0]) ^ 1}{loss[1:]}"))
    with pytest.raises(DamagedFile, match=r"\.json is not as it was written.*restore it"):
        read_record(path)
    path.write_text(json.dumps(json.loads(text), sort_keys=True))
    assert read_record(path) == record
    path.write_text(text.replace('"digest"', '"dioest"'))
    with pytest.raises(DamagedFile, match=r"record\.dioest is not known"):
        read_record(path)
    old = {key: value for key, value in json.loads(text).items() if key != "digest"}
    path.write_text(json.dumps(old))  # from before there were digests
    assert read_record(path) == record


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": NaN}', "NaN is not a number"),
        ('{"schema": 1, "pflop": -Infinity}', "-Infinity is not a number"),
        ("[" * 100_000, "not JSON"),
        ('{"schema": ' + "1" * 5000 + "}", "not JSON"),
        ('{"schema": 1, "name": "\ud800"}'.encode("utf-8", "surrogatepass"), "not JSON"),
        ("[1]", "should be an object"),
        ("null", "should be an object"),
        ("", "not JSON"),
    ],
    ids=range(8),
)
def test_what_json_has_not_is_refused_with_the_name_of_the_file(tmp_path, text, message):
    path = tmp_path / "odd.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DamagedFile, match=rf"(?s)odd\.json.*{message}"):
        read_record(path)


def test_a_directory_is_no_damaged_record(tmp_path):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        read_record(tmp_path)


def test_a_truncated_record_is_a_clear_message(tmp_path):
    (tmp_path / "record.json").write_text('{"schema": 1, ')
    with pytest.raises(DamagedFile, match="version control"):
        read_record(tmp_path / "record.json")
