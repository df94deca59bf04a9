"""Records of all times are read."""

import copy
import json
import re

import pytest
from runs import METHODS, TINY

from splinelib import experiments
from splinelib.errors import DamagedFile
from splinelib.experiments import Ticket, read_record, run
from splinelib.experiments.run_records import brought_up_to_date


def test_a_record_from_before_a_setting_was_there_ran_with_its_default(tiny, tmp_path):
    record = copy.deepcopy(tiny[0])
    del record["protocol"]["image_size"]
    path = tmp_path / f"{record['name']}.json"
    path.write_text(json.dumps(record))
    assert read_record(path) == tiny[0]
    assert run(TINY, METHODS, (0.5,), folder=tmp_path, progress=False) == tiny[0]


def test_a_record_from_before_there_were_rules_says_what_was_done_then(tiny):
    record = copy.deepcopy(tiny[0])
    early, lottery = record["tickets"][:2]
    for ticket in (early, lottery):
        for key in ("rule", "drawn_after", "timed_in_turns"):
            del ticket[key]
    lottery["lottery"], lottery["compensate"] = True, False
    del record["early_bird"]["masks"]
    before = copy.deepcopy(record)
    found = brought_up_to_date(record)
    assert record == before  # what was handed in is left alone
    assert [Ticket.of(ticket).rule for ticket in found["tickets"][:2]] == ["codes", "end"]
    drawn = record["early_bird"]["drawn_after"]
    assert [ticket["drawn_after"] for ticket in found["tickets"][:2]] == [drawn, drawn]
    assert not any(ticket["timed_in_turns"] for ticket in found["tickets"][:2])
    assert found["early_bird"]["masks"] == [] and found["tickets"][2:] == record["tickets"][2:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["dense"]["size"].update(channels=-3), "channels is -3"),
        (lambda r: r["dense"].update(history=[]), "history of dense"),
        (lambda r: r["tickets"][0].update(history=[]), "history of the ticket spline-0.25"),
        (lambda r: r["tickets"][0]["history"].reverse(), "history of the ticket"),
        (lambda r: r["dense"]["history"].pop(), "history of dense"),
        (lambda r: r["dense"].update(test_accuracy=0.987), "accuracy of dense"),
        (lambda r: r["dense"].update(test_accuracy=7), "test_accuracy is 7"),
        (lambda r: r["tickets"][0].update(drawn_after="x"), "drawn_after is 'x'"),
        (lambda r: r["tickets"][0].update(drawn_after=1.5), "drawn_after is 1.5"),
        (lambda r: r["tickets"][0].update(rule="x"), "no rule 'x'"),
        (lambda r: r["tickets"][0].update(scope="x"), "no scope 'x'"),
        (lambda r: r["tickets"][0].update(ratio=1), "ratio"),
        (lambda r: r["tickets"][0].update(ratio=-0.1), "ratio is -0.1"),
        (lambda r: r["tickets"][0].update(criterion="a/b"), "name of a criterion"),
        (lambda r: r["tickets"][0].update(timed_in_turns="x"), "timed_in_turns is 'x'"),
        (lambda r: r["early_bird"].update(masks="x"), "masks should be a list"),
        (lambda r: r["early_bird"]["masks"][0].update(rows=[["x"]]), r"rows\[0\]\[0\] is 'x'"),
        (lambda r: r["early_bird"].update(drawn_after=99), "early bird"),
        (lambda r: r["early_bird"]["distances"].pop(), "early bird"),
        (lambda r: r["early_bird"]["matrix"].pop(), "matrix of distances"),
        (lambda r: r["protocol"].update(epochs=1), "epochs is at least 2"),
        (lambda r: r["protocol"].update(speed=1), "speed"),
        (lambda r: r["dense"].update(pflop=1e400), "pflop is inf"),
        (lambda r: r["dense"].update(seconds=10**400), "seconds is 1000"),
    ],
)
def test_values_that_cannot_be_are_no_sound_record(tiny, tmp_path, change, message):
    record = copy.deepcopy(tiny[0])
    assert experiments.check_record(record) == []
    change(record)
    (problem, *_) = experiments.check_record(record)
    assert message in problem or re.search(message, problem)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=r"record\.json"):
        read_record(path)


def test_a_ticket_that_was_recorded_twice_is_there_once(tiny, tmp_path):
    record = copy.deepcopy(tiny[0])
    record["tickets"] += copy.deepcopy(record["tickets"][:2])
    record["tickets"][-1]["ratio"] += 1e-8
    path = tmp_path / f"{record['name']}.json"
    path.write_text(json.dumps(record))
    assert read_record(path) == tiny[0]


def test_every_record_of_the_book_can_be_read():
    for record in experiments.records():
        assert record["dense"]["provenance"]["commit"], record["name"]
    folder = experiments.store.folders(None)[0]
    for path in folder.rglob("*.json"):
        assert "digest" in json.loads(path.read_text()), f"{path.name} has no digest"
