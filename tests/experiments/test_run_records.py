"""Records of all times are read."""

import copy
import json

from runs import METHODS, TINY

from splinelib import experiments
from splinelib.experiments import read_record, run


def test_a_record_from_before_a_setting_was_there_ran_with_its_default(tiny, tmp_path):
    record = copy.deepcopy(tiny[0])
    del record["protocol"]["image_size"]
    path = tmp_path / f"{record['name']}.json"
    path.write_text(json.dumps(record))
    assert read_record(path) == tiny[0]
    assert run(TINY, METHODS, (0.5,), folder=tmp_path, progress=False) == tiny[0]


def test_every_record_of_the_book_can_be_read():
    for record in experiments.records():
        assert record["dense"]["provenance"]["commit"], record["name"]
