"""The same run with another number of threads: what is equal, and what is only near.

The page Reproduce says this of records; sums are taken in another order with each number.
"""

import json
import os
import subprocess
import sys

import pytest
from runs import TINY

from splinelib.experiments import read_record
from tools.chapters import ROOT

SCRIPT = """
import json, sys
import torch
from splinelib.experiments import Protocol, run

torch.set_num_threads(int(sys.argv[1]))
run(Protocol(**json.loads(sys.argv[3])), ["spline"], [0.5], folder=sys.argv[2], progress=False)
"""


def made(threads, folder):
    """The record of a small run, without times."""
    words = [sys.executable, "-c", SCRIPT, f"{threads}", str(folder), json.dumps(vars(TINY))]
    subprocess.run(words, check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    (path,) = folder.glob("*.json")
    record = read_record(path)
    assert record["dense"]["provenance"]["hardware"]["threads"] == threads
    return timeless(record)


def timeless(value):
    """Without what depends on when and where a record was made, and not on what was computed."""
    times = {"seconds", "scoring_seconds", "latency", "dense_latency", "provenance", "joules"}
    if isinstance(value, dict):
        return {key: timeless(entry) for key, entry in value.items() if key not in times}
    return [timeless(entry) for entry in value] if isinstance(value, list) else value


@pytest.mark.timeout(600)
def test_what_the_number_of_threads_changes(tmp_path):
    one, two = (made(threads, tmp_path / f"{threads}") for threads in (1, 2))
    for key in ("protocol", "dataset", "command", "name"):
        assert one[key] == two[key]
    assert one["dense"]["size"] == two["dense"]["size"]
    assert one["dense"]["flops"] == two["dense"]["flops"]
    first, other = one["dense"]["history"][0], two["dense"]["history"][0]
    assert first["learning_rate"] == other["learning_rate"]
    assert first["loss"] == pytest.approx(other["loss"], rel=1e-3)  # near, at the beginning
