"""Sweeps: every combination once, whatever fails, through any backend; records side by side."""

import os
import shlex
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import joblib
import pytest
import torch
from distributed import Client, LocalCluster
from joblib.parallel import ParallelBackendBase, register_parallel_backend
from runs import SETTINGS, plan_of

from splinelib import parallel
from splinelib.__main__ import main
from splinelib.experiments import Protocol, Ticket, command, read_record, run, runner, sweeps
from splinelib.experiments.store import locked
from splinelib.experiments.sweeps import PRESETS, Grid, merged, sweep
from splinelib.scores.criteria import CRITERIA


def timeless(record):
    """What does not depend on when and where a record was made."""
    results = [record["dense"], *record["tickets"]]
    return [
        [(row["loss"], row["test_accuracy"]) for row in result["history"]] for result in results
    ]


def test_a_grid_is_every_combination_in_order():
    grid = Grid({"seed": (0, 1), "network": ("mlp", "vgg16")}, ("spline", "bn+refit"), (0.3, 0.5))
    plan = grid.plan()
    assert [(p.seed, p.network) for p in plan] == [
        (0, "mlp"),
        (0, "vgg16"),
        (1, "mlp"),
        (1, "vgg16"),
    ]
    for tickets in plan.values():
        names = " ".join(ticket.name for ticket in tickets)
        assert names == "spline-0.3 spline-0.5 bn+refit-0.3 bn+refit-0.5"
    with pytest.raises(ValueError, match="no setting 'layers'"):
        Grid({"layers": [1]}, (), ()).plan()
    with pytest.raises(ValueError, match="no criterion 'best'"):
        Grid({}, ("best",), (0.5,)).plan()


def test_runs_that_two_grids_share_are_made_once_with_the_tickets_of_both():
    one, two = Grid(SETTINGS, ("spline",), (0.3, 0.5)), Grid(SETTINGS, ("spline", "fpgm"), (0.5,))
    (tickets,) = merged([one, two]).values()
    assert [t.name for t in tickets] == ["spline-0.3", "spline-0.5", "fpgm-0.5"]


def test_presets_are_the_runs_to_record():
    cpu, rules, schedule, paper = (merged(grids) for grids in PRESETS.values())
    assert {p.name for p in cpu} == {
        *(f"cifar10-vgg16-w0.25-e8-s{seed}" for seed in range(3)),
        "cifar10-preresnet20-w0.5-e8-s0",
        "cifar10-vgg16-w1-e8-s0",
    }
    assert [p.latest_draw for p in rules] == [20] * 6
    for protocol, tickets in rules.items():  # each is drawn twice
        ratios = {0.5, 0.7} if protocol.seed < 3 else {0.3}
        assert {t.ratio for t in tickets} == ratios
        each = 4 * len(ratios)
        assert Counter(t.rule for t in tickets) == {"codes": each, "masks": each}
        assert len({replace(t, rule="codes") for t in tickets}) == each
    assert len({p.name for p in paper}) == len(paper) == 12
    first = next(iter(paper))
    for protocol, tickets in schedule.items():  # as the paper, but for the width; or half of it
        assert replace(protocol, width=1.0, seed=0, epochs=160) == first
        drawn = {"codes", "masks", "end"} if tickets else set()
        assert {t.rule for t in tickets} == drawn
    assert {(p.width, p.epochs) for p, tickets in schedule.items() if tickets} == {(0.125, 160)}
    assert first == Protocol(dataset="cifar10", network="vgg16")  # nothing but the defaults
    assert all(replace(p, dataset="cifar10", network="vgg16", seed=0) == first for p in paper)
    assert [len(tickets) for tickets in cpu.values()] == [18, 18, 18, 21, 0]
    assert {len(tickets) for tickets in paper.values()} == {21}
    assert main(["sweep", "--preset", "paper", "--epochs", "1"]) == 2  # refused before any work


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
