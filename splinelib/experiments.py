"""The paper's protocol, run once and recorded for good.

A run trains a dense network while watching its region codes, draws tickets at the early bird,
and trains each ticket to the end of the same schedule. What came out, and how, is one JSON
record. A run can be killed at any moment; the same call goes on where it stopped.
"""

import json
import os
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from . import data, models, parallel, pruning, saving, watch
from .data import Dataset
from .files import replacing
from .protocol import COMPENSATIONS, SCOPES, Protocol, Ticket, command
from .records import (
    NUMBER,
    PROVENANCE,
    RunLocked,
    check,
    differences,
    folders,
    locked,
    provenance,
    public_name,
    published,
    read_json,
    write_json,
)
from .reports import Spread, across_seeds, compare, paired, summary
from .training import (
    FlopCounter,
    FlopsLedger,
    evaluate,
    forward_flops,
    latencies,
    measure,
    read_checkpoint,
    train,
)
from .watch import READINGS, Watch

__all__ = [
    "COMPENSATIONS",
    "SCOPES",
    "Protocol",
    "RunLocked",
    "Spread",
    "Ticket",
    "across_seeds",
    "check_record",
    "command",
    "compare",
    "paired",
    "provenance",
    "published",
    "read_record",
    "record_files",
    "records",
    "run",
    "summary",
]

SCHEMA = 1
# Inputs of the latency measurement and of the rehearsal.
_FEW = 16


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
        per layer, then ``+fold`` or ``+refit`` for compensation; ``masks:`` before one to draw
        when its own masks have settled, ``lottery:`` for a lottery ticket.
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
    tickets = [Ticket.parse(text, ratio) for text in criteria for ratio in ratios]
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
    name = name or protocol.name
    records_folder, checkpoints = folders(folder)
    path, work = records_folder / f"{name}.json", checkpoints / name
    with ExitStack() as held:
        lock = locked(records_folder / f"{name}.lock")
        parallel.first(lambda: held.enter_context(lock))
        record = parallel.first(lambda: read_record(path) if path.exists() else None)
        if record is not None:
            _check_same(path, record, protocol)
            done = {Ticket.of(entry) for entry in record["tickets"]}
            tickets = [ticket for ticket in tickets if ticket not in done]
            if not tickets:
                return record
            _check_drawable(name, tickets, record, protocol, work)
        runner = _Runner(protocol, work, root, progress)
        parallel.first(partial(runner.rehearse, tickets))
        if record is None:
            record = runner.dense(name)
            record = parallel.first(partial(_write, path, record, name, protocol))
            _check_drawable(name, tickets, record, protocol, work)
        for ticket in tickets:
            record["tickets"].append(runner.ticket(ticket, record["early_bird"]))
            record = parallel.first(partial(_write, path, record, name, protocol))
    return record


def _check_drawable(
    name: str, tickets: Sequence[Ticket], record: dict, protocol: Protocol, work: Path
) -> None:
    """Refuse tickets whose dense network is not among the run's checkpoints.

    They may have been deleted, or be of before a run kept what this rule draws from.
    """
    files = {watch.source(ticket, record["early_bird"], protocol) for ticket in tickets}
    missing = parallel.first(lambda: sorted(f for f in files if not (work / f).exists()))
    if missing:
        raise ValueError(
            f"The dense network of {name} is recorded, but not the checkpoint that these tickets "
            f"are drawn from ({', '.join(missing)}). To add tickets, make a record of another name "
            "(--name)."
        )


def prepare(
    protocol: Protocol, root: str | os.PathLike | None = None
) -> tuple[Dataset, tuple[Tensor, Tensor] | None]:
    """The images of a run, on its device if they fit there, and what it holds out of training.

    Returns
    -------
    dataset : Dataset
        Without the images that are held out.
    held_out : pair of Tensor, or None
        Images and labels, where `Protocol.validation` asks for some.
    """
    loaded: list[Dataset] = []
    load = partial(data.load, protocol.dataset, root, protocol.image_size)
    # What has to be downloaded or decoded first, one process gets for all.
    parallel.first(lambda: loaded.append(load()))
    whole = loaded[0] if loaded else load()
    whole = whole.subset(protocol.train_size, protocol.test_size)
    held_out = None
    if protocol.validation:
        kept, out = whole.split(protocol.validation, protocol.seed)
        held_out = (whole.train_images[out], whole.train_labels[out])
        whole = whole.subset(train=kept)
    return whole.near(device()), held_out


def device() -> torch.device:
    """Where runs are computed: this process' GPU if there is one."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def build(protocol: Protocol, dataset: Dataset) -> nn.Module:
    """The run's network as it is before training, on the device of runs."""
    return models.build(protocol.network, dataset, protocol.width, protocol.seed).to(device())


def sample(dataset: Dataset, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """A fixed sample of training images, normalised but not augmented, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(len(dataset.train_images), generator=generator)[:count]
    index = index.to(dataset.train_images.device)
    images, labels = dataset.train_images[index], dataset.train_labels[index]
    return dataset.to_float(images.to(device())), labels.to(device())


class _Runner:
    """One run's data, places and settings."""

    def __init__(self, protocol: Protocol, work: Path, root, progress: bool):
        self.protocol, self.work, self.progress = protocol, work, progress
        self.dataset, self.held_out = prepare(protocol, root)
        work.mkdir(parents=True, exist_ok=True)

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

    def train(self, model: nn.Module, checkpoint: str, label: str, on_epoch, start: int = 0):
        protocol = self.protocol
        return train(
            model,
            self.dataset,
            epochs=protocol.epochs,
            lr=protocol.lr,
            batch_size=protocol.batch_size,
            momentum=protocol.momentum,
            weight_decay=protocol.weight_decay,
            l1=protocol.l1,
            seed=protocol.seed,
            start=start,
            checkpoint=self.work / checkpoint,
            on_epoch=on_epoch,
            progress=self.progress,
            label=label,
        )

    def size(self, model: nn.Module) -> dict:
        return asdict(measure(_as_trained(model), self.inputs(_FEW)))

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
        model = self.build()
        watcher = Watch(self.protocol, self.work, self.inputs, self.accuracy)
        trained = self.train(model, "dense.pt", f"{name} dense", watcher)
        ledger = FlopsLedger({"dense": trained.flops})
        # Only rank 0 has watched, and it alone takes the time.
        return parallel.first(
            lambda: {
                "dataset": {
                    "train": len(self.dataset.train_images),
                    "validation": 0 if self.held_out is None else len(self.held_out[0]),
                    "test": len(self.dataset.test_images),
                    "classes": len(self.dataset.classes),
                    "shape": list(self.dataset.shape),
                },
                "dense": _result(trained.history, self.size(trained.model), ledger),
                "early_bird": watcher.report(trained.history),
                "tickets": [],
            }
        )

    def ticket(self, ticket: Ticket, readings: dict) -> dict:
        """Draw one ticket from the dense network at the epoch that its rule chose, and train it.

        Only the rule on codes passes inputs through the network; masks are read off its weights.
        """
        file = self.work / watch.source(ticket, readings, self.protocol)
        draw = parallel.first(lambda: read_checkpoint(file))
        dense = self.build()
        dense.load_state_dict(draw["model"])
        small, drawn = parallel.first(lambda: self.draw(dense, ticket))
        small = small.to(device())
        spent = self.protocol.epochs if ticket.lottery else draw["epoch"] + 1
        start = 0 if ticket.lottery else spent
        label = f"{self.protocol.name} {ticket.name}"
        trained = self.train(
            small, f"{ticket.name}.pt", label, lambda _, model: self.accuracy(model), start
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

        def entry() -> dict:
            size = self.size(trained.model)
            both = [_as_trained(dense), _as_trained(trained.model)]
            dense_latency, size["latency"] = latencies(both, self.inputs(_FEW))
            result = _result(trained.history, size, ledger)
            timing = {"dense_latency": dense_latency, "timed_in_turns": True}
            return {**asdict(ticket), "drawn_after": spent - 1, **drawn, **timing, **result}

        return parallel.first(entry)

    def draw(self, dense: nn.Module, ticket: Ticket) -> tuple[nn.Module, dict]:
        """The pruned network before training, on the CPU; from its file if it was drawn before."""
        path, notes = self.work / f"{ticket.name}.drawn.pt", self.work / f"{ticket.name}.json"
        if not (path.exists() and notes.exists()):
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
            drawn = {
                "scoring_seconds": time.perf_counter() - began,
                "scoring_flops": counter.total,
                "accuracy_before_training": self.accuracy(small)["test_accuracy"],
                "widths": _widths(dense, small),
            }
            saving.save_pruned(small, path)
            with replacing(notes) as temporary:
                temporary.write_text(json.dumps(drawn))
        return saving.load_pruned(self.build, path).cpu(), json.loads(notes.read_text())


def read_record(path: str | os.PathLike) -> dict:
    """Read the record of a run and check it; raises as `records.read_json` does."""
    record = read_json(path, SCHEMA, _RECORD)
    record["protocol"] = _LATER | record["protocol"]
    return record


def records(folder: str | os.PathLike | None = None) -> list[dict]:
    """Every record of a folder (default: ``data/runs`` of the checkout), by name.

    Raises
    ------
    DamagedFile
        A record cannot be used.
    """
    return [read_record(path) for path in record_files(folder)]


def record_files(folder: str | os.PathLike | None = None) -> list[Path]:
    """Paths of the records in a folder (default: ``data/runs`` of the checkout), by name."""
    return sorted(folders(folder)[0].glob("*.json"))


def check_record(record: object) -> list[str]:
    """What is wrong with a record, one sentence each; an empty list if nothing is."""
    return check(record, SCHEMA, _RECORD)


def _as_trained(model: nn.Module) -> nn.Module:
    """The network in the layout that training gives it, for what is timed to lie alike."""
    return model.to(memory_format=torch.channels_last)


def _result(history: list[dict], size: dict, ledger: FlopsLedger) -> dict:
    """What dense networks and tickets have in common in a record."""
    return {
        "test_accuracy": history[-1]["test_accuracy"],
        "history": history,
        "size": size,
        "flops": ledger.entries,
        "pflop": ledger.pflop,
        "units": ledger.units,
        "seconds": sum(row["seconds"] for row in history),
        "provenance": provenance(),
    }


def _widths(dense: nn.Module, small: nn.Module) -> dict[str, list[int]]:
    """Outputs of each weight layer before and after pruning."""
    after = dict(small.named_modules())
    return {
        name: [len(module.weight), len(after[name].weight)]
        for name, module in dense.named_modules()
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    }


def _write(path: Path, record: dict, name: str, protocol: Protocol) -> dict:
    """Complete a record with its head, check it, and write it in one go; the whole record."""
    head = {
        "schema": SCHEMA,
        "name": name,
        "command": command(protocol, [Ticket.of(entry) for entry in record["tickets"]], name),
        "protocol": asdict(protocol) | {"dataset": public_name(protocol.dataset)},
    }
    whole = head | {key: value for key, value in record.items() if key not in head}
    write_json(path, whole, SCHEMA, _RECORD)
    return whole


def _check_same(path: Path, record: dict, protocol: Protocol) -> None:
    wanted = asdict(protocol) | {"dataset": public_name(protocol.dataset)}
    different = differences(record["protocol"], wanted)
    if different:
        raise ValueError(
            f"The record {path.name} was made with other settings: {different}. Repeat "
            "them to add tickets, or give the new record another name (--name)."
        )


# Settings that records from before there were any do not name, and what they ran with.
_LATER = {"image_size": 64}

# The schema, as types; see `records.mismatches`.
_SIZE = {
    "channels": int,
    "parameters": int,
    "macs": int,
    "latency": NUMBER,
    "batch_size": int,
}
_ROW = {
    "epoch": int,
    "learning_rate": NUMBER,
    "loss": NUMBER,
    "train_accuracy": NUMBER,
    "test_accuracy": NUMBER,
    "seconds": NUMBER,
}
_RESULT = {
    "test_accuracy": NUMBER,
    "history": [_ROW],
    "size": _SIZE,
    "flops": {str: NUMBER},
    "pflop": NUMBER,
    "units": NUMBER,
    "seconds": NUMBER,
    "provenance": PROVENANCE,
}
_RECORD = {
    "schema": int,
    "name": str,
    "command": str,
    "protocol": {
        option.name: (*NUMBER, None) if option.default is None else type(option.default)
        for option in fields(Protocol)
        if option.name not in _LATER
    },
    "dataset": {"train": int, "validation": int, "test": int, "classes": int, "shape": [int]},
    "dense": _RESULT,
    "early_bird": READINGS,
    "tickets": [
        {
            "criterion": str,
            "scope": str,
            "compensate": (bool, str),
            "ratio": NUMBER,
            "scoring_seconds": NUMBER,
            "accuracy_before_training": NUMBER,
            "widths": {str: [int]},
            "dense_latency": NUMBER,
            **_RESULT,
        }
    ],
}
