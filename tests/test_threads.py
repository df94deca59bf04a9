"""The same run with another number of threads: what is equal, and what is only near.

The page Reproduce says this of records; sums are taken in another order with each number.
"""

import pytest
import torch
from runs import TINY

from splinelib.experiments import run


def made(threads, folder):
    """The record of a small run, without times."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        record = run(TINY, ["spline"], [0.5], folder=folder, progress=False)
    finally:
        torch.set_num_threads(before)
    assert record["dense"]["provenance"]["hardware"]["threads"] == threads
    return timeless(record)


def timeless(value):
    """Without what depends on when and where a record was made, and not on what was computed."""
    times = {"seconds", "scoring_seconds", "latency", "dense_latency", "provenance"}
    times |= {"joules", "shared_joules"}
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
