"""Where a record says that it comes from."""

import os
import platform
from pathlib import Path

import torch


def test_a_record_says_where_it_comes_from_and_nothing_private(tiny):
    record, folder = tiny
    text = (folder / f"{record['name']}.json").read_text()
    assert platform.node() not in text
    for place in (str(folder), str(Path.home()), os.getcwd()):
        assert place not in text
    made = record["dense"]["provenance"]
    assert made["versions"]["torch"] == torch.__version__
    assert made["hardware"]["threads"] == torch.get_num_threads()
