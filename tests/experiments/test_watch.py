"""What a run watches, and what that decides."""

import copy
from dataclasses import replace

import pytest
import torch
from runs import TINY, Killed
from tape import Tape

from splinelib import experiments, training
from splinelib.codes import packing, probe
from splinelib.errors import DamagedFile
from splinelib.experiments import Ticket, check_record, run, runner, watch
from splinelib.network import capturing

# The masks of FPGM and magnitude settle at different epochs here, those of the spline criterion too
# late, and the codes never.
SETTLING = replace(TINY, epochs=9, lr=0.02, latest_draw=7, threshold=1e-9)


def test_masks_decide_when_the_tickets_that_ask_for_it_are_drawn(tmp_path, monkeypatch):
    """Also where the run was killed after some masks had settled and before others had."""
    evaluate, calls, methods = runner.evaluate, [], ("fpgm", "masks:fpgm", "masks:magnitude")

    def deadly(*arguments, **options):
        calls.append(None)
        if len(calls) == 6:
            raise Killed
        return evaluate(*arguments, **options)

    monkeypatch.setattr(runner, "evaluate", deadly)
    arguments = {"folder": tmp_path, "progress": False}
    with pytest.raises(Killed):
        run(SETTLING, methods, (0.3, 0.5, 0.7), **arguments)
    record = run(SETTLING, methods, (0.3, 0.5, 0.7), **arguments)
    record = run(SETTLING, ("masks:spline",), (0.3,), **arguments)  # added afterwards
    assert check_record(record) == []

    states = []
    dataset, _ = experiments.prepare(SETTLING)
    settings = ("epochs", "lr", "batch_size", "momentum", "weight_decay", "l1", "seed")
    training.train(
        experiments.build(SETTLING, dataset),
        dataset,
        **{name: getattr(SETTLING, name) for name in settings},
        on_epoch=lambda _, model: states.append(copy.deepcopy(model.state_dict())),
        progress=False,
    )
    settled = {
        (m["criterion"], m["ratio"]): m["settled_epoch"] for m in record["early_bird"]["masks"]
    }
    drawn, work = set(), tmp_path / "checkpoints" / SETTLING.name
    for entry in record["tickets"]:
        ticket = Ticket.of(entry)
        after = entry["drawn_after"]
        found = settled[ticket.criterion, ticket.ratio] if ticket.rule == "masks" else None
        assert after == (7 if found is None else min(found, 7))
        assert len(entry["history"]) == 9 - after - 1
        assert (entry["flops"]["detection"] > 0) == (ticket.rule == "codes")
        path = work / watch.source(ticket, record["early_bird"], SETTLING)[0]
        held = torch.load(path, weights_only=True)
        assert held["epoch"] == after
        assert all(torch.equal(held["model"][name], states[after][name]) for name in states[after])
        drawn.add(after)
    assert len(drawn) > 2  # before and after the kill, and where nothing settled
    with pytest.raises(ValueError, match=r"not watched.*spline at 0\.3"):
        run(SETTLING, ("masks:random",), (0.5,), folder=tmp_path / "other", progress=False)


def test_masks_are_watched_in_the_same_run(tiny):
    """Every criterion that applies, at every ratio, an epoch a row; no ticket here asks them."""
    watched = tiny[0]["early_bird"]["masks"]
    keys = [(entry["criterion"], entry["ratio"]) for entry in watched]
    criteria = [name for name in watch.CRITERIA if name != "bn"]  # the MLP has no batch norm
    assert keys == [(name, ratio) for name in criteria for ratio in watch.RATIOS]
    for entry in watched:
        assert [len(row) for row in entry["rows"]] == [0, 1, 2, 3]
        assert all(0 <= value <= 1 for row in entry["rows"] for value in row)
        assert entry["settled_epoch"] is None  # a queue of five is not full in four epochs
    assert max(value for entry in watched for row in entry["rows"] for value in row) > 0


def test_the_early_bird_decides_when_to_draw(tmp_path):
    early = replace(TINY, threshold=1.0, lookback=1, epochs=6)
    bird = run(early, (), folder=tmp_path, progress=False)["early_bird"]
    assert bird["settled_epoch"] == bird["drawn_after"] == 1
    assert bird["reason"] == "early bird"
    assert len(bird["distances"]) == len(bird["matrix"]) == 6
    assert bird["distances"][0] is None


@pytest.mark.parametrize(("latest", "expected"), [(None, 1), (2, 2)])
def test_a_bird_that_never_comes_is_recorded_as_such(tmp_path, latest, expected):
    never = replace(TINY, threshold=1e-9, latest_draw=latest)
    bird = run(never, (), folder=tmp_path, progress=False)["early_bird"]
    assert bird["settled_epoch"] is None
    assert bird["drawn_after"] == expected
    assert bird["reason"] == "latest epoch allowed"


def test_codes_of_another_epoch_are_refused(tmp_path):
    """A run that goes on with them would draw its tickets at another epoch."""
    dataset, _ = experiments.prepare(TINY)
    model = experiments.build(TINY, dataset)

    def fresh():
        sample = dataset.to_float(dataset.train_images)
        return watch.Watch(TINY, tmp_path, lambda count: sample[:count], lambda _: {}, {})

    watching = fresh()
    for epoch in range(2):
        with torch.no_grad():
            next(model.parameters()).add_(0.1 * epoch)
        watching(epoch, model)
    state = watching.state_dict()
    again = fresh()
    again.load_state_dict(state)
    assert again.state_dict()["codes"] == state["codes"]
    assert again.detector.matrix.tolist() == watching.detector.matrix.tolist()
    older = {key: value for key, value in state.items() if key != "codes"}
    fresh().load_state_dict(older)  # from before they had digests
    first, second = (tmp_path / f"codes-00{epoch}.npz" for epoch in range(2))
    first.write_bytes(second.read_bytes())
    with pytest.raises(DamagedFile, match=r"epoch 0 cannot be used .*of another epoch"):
        fresh().load_state_dict(state)


def test_a_run_on_a_gpu_replays_the_codes_that_it_watches(tmp_path, monkeypatch):
    """As it is there, but for the graph: the same distances, and the same epoch."""
    eager = run(TINY, (), folder=tmp_path / "eager", progress=False)
    tape = Tape()
    monkeypatch.setattr(probe, "on_a_gpu", lambda model: True)
    monkeypatch.setattr(capturing, "cuda_graph", lambda work, device: tape(work))
    monkeypatch.setattr(packing, "_in_numpy", lambda z: False)
    monkeypatch.setattr(packing, "pack", packing.pack_with_torch)
    replayed = run(TINY, (), folder=tmp_path / "replayed", progress=False)
    assert (tape.recorded, tape.replayed) == (1, TINY.epochs)
    both = [record["early_bird"] for record in (eager, replayed)]
    for bird in both:
        del bird["seconds"]
    assert both[0] == both[1]
    monkeypatch.setattr(runner, "CAPTURE", False)
    run(TINY, (), folder=tmp_path / "asked", progress=False)
    assert tape.recorded == 1
