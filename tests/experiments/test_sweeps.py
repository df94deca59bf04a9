"""Sweeps: every combination once, whatever fails, through any backend; records side by side."""

import os
import shlex
from dataclasses import replace
from types import SimpleNamespace

import joblib
import pytest
import torch
from distributed import Client, LocalCluster
from joblib.parallel import ParallelBackendBase, register_parallel_backend
from runs import plan_of

from splinelib import parallel
from splinelib.__main__ import main
from splinelib.experiments import Ticket, command, read_record, run, runner, sweeps
from splinelib.experiments.store import locked
from splinelib.experiments.sweeps import sweep
from splinelib.scores.criteria import CRITERIA


def timeless(record):
    """What does not depend on when and where a record was made."""
    results = [record["dense"], *record["tickets"]]
    return [
        [(row["loss"], row["test_accuracy"]) for row in result["history"]] for result in results
    ]


def test_a_sweep_through_dask_makes_the_same_records(tmp_path):
    sweep(plan_of(), folder=tmp_path / "here", progress=False)
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), joblib.parallel_config(backend="dask"):
        outcomes = sweep(plan_of(), folder=tmp_path / "dask", progress=False)
    assert [outcome.state for outcome in outcomes] == ["made", "made"]
    for protocol in plan_of():
        records = (
            read_record(tmp_path / way / f"{protocol.name}.json") for way in ("here", "dask")
        )
        here, dask = map(timeless, records)
        assert here == dask


def backwards(context, group):
    """A criterion that only this process knows."""
    return torch.arange(group.units, 0, -1, dtype=torch.float64)


@pytest.mark.timeout(300)
def test_processes_share_the_work_and_one_failure_stops_no_other(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(CRITERIA, "backwards", backwards)
    plan = plan_of(criteria=("backwards",))
    before, after = plan
    run(before, ("backwards",), (0.5,), folder=tmp_path / "alone", progress=False)
    run(before, ("backwards",), (0.5,), folder=tmp_path / "two", progress=False)
    hopeless = replace(before, seed=7)
    plan = {hopeless: [Ticket("bn", 0.5)], **plan}
    outcomes = sweep(plan, jobs=2, folder=tmp_path / "two")
    assert [outcome.name for outcome in outcomes] == [protocol.name for protocol in plan]
    assert [outcome.state for outcome in outcomes] == ["failed", "recorded", "made"]
    assert "'bn' can judge no layer" in outcomes[0].error and outcomes[0].record is None
    text = sweeps.summary(outcomes)
    assert "1 made" in text and "1 recorded before" in text and "1 failed" in text
    assert f"failed: {hopeless.name}" in text and "backwards" in text
    assert "4/6" in capsys.readouterr().err.split("\r")[-1]  # networks recorded, of those asked for

    made = outcomes[2].record
    assert made == read_record(tmp_path / "two" / f"{after.name}.json")
    hardware = made["dense"]["provenance"]["hardware"]
    assert hardware["threads"] == max(1, torch.get_num_threads() // 2)
    alone = run(after, ("backwards",), (0.5,), folder=tmp_path / "alone", progress=False)
    assert timeless(alone) == timeless(made)
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.timeout(300)
def test_a_run_whose_process_is_killed_fails_alone(tmp_path, monkeypatch):
    def deadly(context, group):
        os._exit(9)

    monkeypatch.setitem(CRITERIA, "deadly", deadly)
    (lost,) = plan_of(seeds=(7,))
    plan = {lost: [Ticket("deadly", 0.5)], **plan_of()}
    outcomes = sweep(plan, jobs=2, folder=tmp_path, progress=False)
    assert [outcome.state for outcome in outcomes] == ["failed", "made", "made"]
    assert "killed" in outcomes[0].error and "\n" not in outcomes[0].error


def test_what_another_process_records_is_not_called_failed(tmp_path, capsys):
    first, second = plan_of()
    words = shlex.split(command(first, [Ticket("magnitude", 0.5)]))[4:]
    words += ["--folder", str(tmp_path)]
    words[words.index("--seed") + 1 : words.index("--seed") + 2] = ["0", "1"]
    with locked(tmp_path, first.name):
        assert main(["sweep", *words]) == 3
    shown = capsys.readouterr().out
    assert "2 runs: 1 made" in shown and "0 failed, 1 being recorded elsewhere" in shown
    assert f"elsewhere: {first.name}: Another process is writing" in shown
    assert not (tmp_path / f"{first.name}.json").exists()
    assert (tmp_path / f"{second.name}.json").exists()
    assert main(["sweep", *words]) == 0


@pytest.mark.parametrize(
    "options", [{"threads": -1}, {"threads": 0}, {"threads": 2**70}, {"jobs": 0}]
)
def test_numbers_of_jobs_and_threads_are_checked_first(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        sweep(plan_of(), folder=tmp_path, **options)
    assert not list(tmp_path.iterdir())


class OneAfterTheOther(ParallelBackendBase):
    """Stands for a cluster: told how many workers it has, and cannot give results as they come."""

    submitted = 0

    def effective_n_jobs(self, n_jobs):
        return n_jobs

    def submit(self, func, callback=None):
        type(self).submitted += 1
        result = func()
        callback(result)
        return SimpleNamespace(get=lambda: result)


def test_another_backend_takes_the_runs(tmp_path, monkeypatch):
    register_parallel_backend("one after the other", OneAfterTheOther)
    threads = torch.get_num_threads()
    try:
        with joblib.parallel_config("one after the other", n_jobs=2):
            outcomes = sweep(plan_of(), folder=tmp_path, progress=False)
    finally:
        torch.set_num_threads(threads)
    assert OneAfterTheOther.submitted == 2
    assert [outcome.state for outcome in outcomes] == ["made", "made"]

    def no_training(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(runner, "train", no_training)
    again = sweep(plan_of(), folder=tmp_path, progress=False)
    assert [outcome.state for outcome in again] == ["recorded", "recorded"]
    assert [o.record for o in again] == [o.record for o in outcomes]


def test_what_cannot_be_spread_is_refused_before_any_work(tmp_path, monkeypatch):
    with (
        joblib.parallel_config("threading", n_jobs=2),
        pytest.raises(ValueError, match="cannot share a process"),
    ):
        sweep(plan_of(), folder=tmp_path)
    monkeypatch.setattr(parallel, "processes", lambda: 2)
    with pytest.raises(ValueError, match="Under torchrun leave out --jobs"):
        sweep(plan_of(), jobs=2, folder=tmp_path)
    assert not list(tmp_path.iterdir())
