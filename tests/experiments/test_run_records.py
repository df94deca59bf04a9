"""Records of all times are read."""

import copy
import json

from runs import METHODS, TINY

from splinelib import experiments
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


def test_every_record_of_the_book_can_be_read():
    for record in experiments.records():
        assert record["dense"]["provenance"]["commit"], record["name"]
