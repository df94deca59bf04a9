"""The paper's protocol, run once and recorded for good.

A run trains a dense network while watching its region codes, draws tickets at the early bird,
and trains each ticket to the end of the same schedule. What came out, and how, is one JSON
record. A run can be killed at any moment; the same call goes on where it stopped.
"""

import os
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import parallel, pruning
from ..channels import saving
from ..cost.flops import FlopCounter, FlopsLedger, forward_flops
from ..cost.footprint import latencies, measure
from ..data.loading import public_name
from ..text import differences
from ..training.evaluation import evaluate
from ..training.loop import Trained, train
from . import watch
from .protocol import Protocol, Ticket, asked_for, check_criteria, check_name, command, each_once
from .results import as_trained, result, widths
from .resuming import (
    adopt,
    check_images,
    discard_foreign,
    read_dense,
    read_draw,
    read_drawn,
    settings_of,
    settings_of_ticket,
    write_drawn,
)
from .run_records import RECORD, SCHEMA, inconsistencies, read_record
from .setting import build, device, keep_place, located, prepare, sample
from .store import folders, locked, write_json
from .watch import Watch

# Inputs of the latency measurement and of the rehearsal.
_FEW = 16
# Whether a GPU replays training steps, and codes of the probe, as CUDA graphs; all networks here
# allow it.
CAPTURE = True


def run(
    protocol: Protocol,
    criteria: Sequence[str] = ("spline",),
    ratios: Sequence[float] = (0.3, 0.5, 0.7),
    *,
    name: str | None = None,
    folder: str | os.PathLike | None = None,
    root: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Train dense, draw tickets at the early bird, train them, and record it all.

    What is recorded already is not run again, so a second call with more criteria or ratios adds
    their tickets to the record.

    Under ``torchrun``, inside `parallel.launched`, every process makes the same call, and all train
    together; rank 0 alone prunes, tests and writes, and every process returns the record.

    Parameters
    ----------
    protocol : Protocol
    criteria : sequence of str
        Names in `pruning.CRITERIA`; ``@layerwise`` or ``@residual`` behind one for another share
        per layer, then ``+merge``, ``+fold``, ``+refit`` or ``+distil``; ``masks:`` before one to
        draw when its own masks have settled, ``lottery:`` for a lottery ticket.
    ratios : sequence of float
        Shares of units to remove; each criterion draws a ticket at each.
    name : str, optional
        Name of the record. Default: `Protocol.name`.
    folder : path, optional
        Where the record goes, with checkpoints in ``checkpoints/`` beside it. Default:
        ``data/runs`` of the checkout, with checkpoints in ``data/cache/runs``.
    root : path, optional
        Folder of cached datasets, as for `data.load`.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    dict
        The record, as written; `data/runs/README.md` says what is in it.

    Raises
    ------
    ValueError
        A setting is out of range, or the record or a checkpoint belongs to another run.
    DamagedFile
        A record or checkpoint cannot be read.
    RunLocked
        Another process is at the same run.
    """
    tickets = asked_for(criteria, ratios)
    return run_tickets(protocol, tickets, name=name, folder=folder, root=root, progress=progress)


def run_tickets(
    protocol: Protocol,
    tickets: Sequence[Ticket],
    *,
    name: str | None = None,
    folder: str | os.PathLike | None = None,
    root: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """As `run`, for tickets that are no product of criteria and ratios."""
    name = protocol.name if name is None else name
    check_name("record", name)
    check_criteria(tickets)
    for ticket in tickets:
        check_name("criterion", ticket.criterion)  # which is in the names of its files
    tickets = each_once(tickets)
    records_folder, checkpoints = folders(folder)
    path, work = records_folder / f"{name}.json", checkpoints / name
    with ExitStack() as held:
        _enter(held, records_folder, name)
        record = _read_if_there(path)
        if record is not None:
            _check_same(path, record, protocol)
            done = {Ticket.of(entry).name for entry in record["tickets"]}
            tickets = [ticket for ticket in tickets if ticket.name not in done]
            # The name of a folder does not say which images it holds.
            compares = protocol.dataset.startswith("folder:") and "images" in record["dataset"]
            if not tickets and not compares:
                return record
            _check_drawable(name, tickets, record, protocol, work)
        runner = _Runner(protocol, work, root, progress)
        if record is not None:
            check_images(path, record, runner.settings)
        runner.rehearse(tickets)
        if record is None:
            record = runner.dense(name)
            record = _write(path, record, name, protocol)
            _check_drawable(name, tickets, record, protocol, work)
        keep_place(runner.protocol, work)
        for ticket in tickets:
            record["tickets"].append(runner.ticket(ticket, record["early_bird"]))
            record = _write(path, record, name, protocol)
    return record


@parallel.first_only
def _enter(held: ExitStack, folder: Path, name: str) -> None:
    """Hold the lock of a run until `held` is left."""
    held.enter_context(locked(folder, name))


@parallel.first_only
def _read_if_there(path: Path) -> dict | None:
    return read_record(path) if path.exists() else None


def _check_drawable(
    name: str, tickets: Sequence[Ticket], record: dict, protocol: Protocol, work: Path
) -> None:
    """Refuse tickets whose dense network is not among the run's checkpoints.

    They may have been deleted, or be of before a run kept what this rule draws from.
    """
    files = {watch.source(ticket, record["early_bird"], protocol)[0] for ticket in tickets}
    if missing := _missing(work, files):
        raise ValueError(
            f"The dense network of {name} is recorded, but not the checkpoint that these tickets "
            f"are drawn from ({', '.join(missing)}). To add tickets, make a record of another name "
            "(--name)."
        )


@parallel.first_only
def _missing(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of some files that a folder lacks."""
    return sorted(name for name in names if not (folder / name).exists())


class _Runner:
    """One run's data, places and settings."""

    def __init__(self, protocol: Protocol, work: Path, root, progress: bool):
        self.protocol, self.work, self.progress = located(protocol, work), work, progress
        self.dataset, self.held_out = prepare(self.protocol, root)
        self.settings = settings_of(self.protocol, self.dataset, self.held_out)

    def build(self) -> nn.Module:
        return build(self.protocol, self.dataset)

    def inputs(self, count: int) -> Tensor:
        """A fixed sample of training images, normalised, not augmented."""
        return sample(self.dataset, count, self.protocol.seed)[0]

    def labels(self, count: int) -> Tensor:
        """Classes of the images that `inputs` gives."""
        return sample(self.dataset, count, self.protocol.seed)[1]

    def accuracy(self, model: nn.Module) -> dict[str, float]:
        transform = self.dataset.to_float
        test = self.dataset.test_images, self.dataset.test_labels
        result = {"test_accuracy": evaluate(model, *test, transform=transform)}
        if self.held_out is not None:
            result["validation_accuracy"] = evaluate(model, *self.held_out, transform=transform)
        return result

    def train(self, model, checkpoint: str, label: str, on_epoch, settings: dict, start: int = 0):
        if device().type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        return train(
            model,
            self.dataset,
            self.protocol.recipe(start),
            checkpoint=self.work / checkpoint,
            context=settings,
            on_epoch=on_epoch,
            capture=CAPTURE,
            progress=self.progress,
            label=label,
        )

    def size(self, model: nn.Module) -> dict:
        return asdict(measure(as_trained(model), self.inputs(_FEW)))

    @parallel.first_only
    def rehearse(self, tickets: Sequence[Ticket]) -> None:
        """Score and select on the untrained network: what cannot work says so before training."""
        watch.check_watched(tickets)
        model, few, labels = self.build(), self.inputs(_FEW), self.labels(_FEW)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for criterion in dict.fromkeys(ticket.criterion for ticket in tickets):
                scores = pruning.score(model, criterion, data=few, labels=labels)
                for ticket in tickets:
                    if ticket.criterion == criterion:
                        scope = "layerwise" if ticket.scope == "layerwise" else "global"
                        pruning.select(scores, ticket.ratio, scope)

    def dense(self, name: str) -> dict:
        """Train the dense network with the detector on; the record, without tickets yet."""
        own, count = name == self.protocol.name, len(self.dataset.test_images)
        adopt(self.work / "dense.pt", self.settings, own, count)
        watcher = Watch(
            *(self.protocol, self.work, self.inputs, self.accuracy, self.settings), capture=CAPTURE
        )
        trained = self.train(self.build(), "dense.pt", f"{name} dense", watcher, self.settings)
        return self._dense_record(trained, watcher)

    @parallel.first_only  # it alone has watched, and takes the time
    def _dense_record(self, trained: Trained, watcher: Watch) -> dict:
        ledger = FlopsLedger({"dense": trained.flops})
        return {
            "dataset": {
                "train": len(self.dataset.train_images),
                "validation": 0 if self.held_out is None else len(self.held_out[0]),
                "test": len(self.dataset.test_images),
                "classes": len(self.dataset.classes),
                "shape": list(self.dataset.shape),
                "images": self.settings["images"],
            },
            "dense": result(trained.history, self.size(trained.model), ledger),
            "early_bird": watcher.report(trained.history),
            "tickets": [],
        }

    def ticket(self, ticket: Ticket, readings: dict) -> dict:
        """Draw one ticket from the dense network at the epoch that its rule chose, and train it.

        Only the rule on codes passes inputs through the network; masks are read off its weights.
        """
        draw = self._read_draw(*watch.source(ticket, readings, self.protocol))
        dense = self.build()
        dense.load_state_dict(draw["model"])
        settings = settings_of_ticket(self.settings, ticket, draw["model"])
        small, drawn = self.draw(dense, ticket, settings)
        small = small.to(device())
        spent = self.protocol.epochs if ticket.lottery else draw["epoch"] + 1
        start = 0 if ticket.lottery else spent
        label = f"{self.protocol.name} {ticket.name}"
        checkpoint = f"{ticket.name}.pt"
        discard_foreign(self.work / checkpoint, settings)
        trained = self.train(
            small, checkpoint, label, lambda _, model: self.accuracy(model), settings, start
        )
        images = len(self.dataset.train_images)
        example = self.inputs(1)
        per_probe = forward_flops(dense, example)
        ledger = FlopsLedger()
        ledger.add("dense", 3 * per_probe * images * spent)
        detection = per_probe * draw["probe"] * spent if ticket.rule == "codes" else 0
        ledger.add("detection", detection)
        ledger.add("scoring", drawn.pop("scoring_flops"))
        ledger.add("ticket", trained.flops)
        head = {**asdict(ticket), "drawn_after": spent - 1, **drawn}
        return head | self._ticket_result(dense, trained, ledger)

    @parallel.first_only
    def _read_draw(self, file: str, epoch: int) -> dict:
        path = self.work / file
        if file == "dense.pt":
            return {"model": read_dense(path, self.settings)}
        return read_draw(path, self.settings, epoch)

    @parallel.first_only
    def _ticket_result(self, dense: nn.Module, trained: Trained, ledger: FlopsLedger) -> dict:
        size = self.size(trained.model)
        both = [as_trained(dense), as_trained(trained.model)]
        dense_latency, size["latency"] = latencies(both, self.inputs(_FEW))
        timing = {"dense_latency": dense_latency, "timed_in_turns": True}
        return timing | result(trained.history, size, ledger)

    @parallel.first_only
    def draw(self, dense: nn.Module, ticket: Ticket, settings: dict) -> tuple[nn.Module, dict]:
        """The pruned network before training, on the CPU; from its file if it was drawn before."""
        path = self.work / f"{ticket.name}.drawn.pt"
        drawn = read_drawn(path, self.build, settings)
        if drawn is None:
            write_drawn(path, *self._drawn(dense, ticket), settings)
            drawn = read_drawn(path, self.build, settings)
        return drawn

    def _drawn(self, dense: nn.Module, ticket: Ticket) -> tuple[nn.Module, dict]:
        calibration = self.inputs(self.protocol.calibration)
        began = time.perf_counter()
        with FlopCounter() as counter:
            small = pruning.prune(
                dense,
                ticket.ratio,
                criterion=ticket.criterion,
                scope=ticket.scope,
                data=calibration,
                labels=self.labels(self.protocol.calibration),
                compensate=ticket.compensate,
            )
            if ticket.lottery:
                small = saving.rewind(small, self.build())
        return small, {
            "scoring_seconds": time.perf_counter() - began,
            "scoring_flops": counter.total,
            "accuracy_before_training": self.accuracy(small)["test_accuracy"],
            "widths": widths(dense, small),
        }


@parallel.first_only
def _write(path: Path, record: dict, name: str, protocol: Protocol) -> dict:
    """Complete a record with its head, check it, and write it in one go; the whole record."""
    head = {
        "schema": SCHEMA,
        "name": name,
        "command": command(protocol, [Ticket.of(entry) for entry in record["tickets"]], name),
        "protocol": asdict(protocol) | {"dataset": public_name(protocol.dataset)},
    }
    whole = head | {key: value for key, value in record.items() if key not in head}
    write_json(path, whole, SCHEMA, RECORD, inconsistencies)
    return whole


def _check_same(path: Path, record: dict, protocol: Protocol) -> None:
    wanted = asdict(protocol) | {"dataset": public_name(protocol.dataset)}
    different = differences(record["protocol"], wanted)
    if different:
        raise ValueError(
            f"The record {path.name} was made with other settings: {different}. Repeat "
            "them to add tickets, or give the new record another name (--name)."
        )
