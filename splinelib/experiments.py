"""The paper's protocol, run once and recorded for good.

A run trains a dense network while watching its region codes, draws tickets at the early bird,
and trains each ticket to the end of the same schedule. What came out, and how, is one JSON
record. A run can be killed at any moment; the same call goes on where it stopped.
"""

import json
import os
import re
import shlex
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from . import data, models, pruning
from .data import Dataset
from .files import replacing
from .records import (
    NUMBER,
    PROVENANCE,
    RunLocked,
    check,
    folders,
    locked,
    provenance,
    public_name,
    published,
    read_json,
    write_json,
)
from .training import (
    FlopCounter,
    FlopsLedger,
    evaluate,
    forward_flops,
    measure,
    read_checkpoint,
    train,
)
from .watch import READINGS, Watch

__all__ = [
    "Protocol",
    "RunLocked",
    "Spread",
    "Ticket",
    "across_seeds",
    "check_record",
    "command",
    "provenance",
    "published",
    "read_record",
    "record_files",
    "records",
    "run",
    "summary",
]

SCHEMA = 1
SCOPES = ("global", "layerwise", "residual")
COMPENSATIONS = (False, "fold", "refit")

# Inputs of the latency measurement and of the rehearsal.
_FEW = 16


def _option(default, text: str):
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Protocol:
    """Everything that decides a run, but for its tickets.

    The defaults are the paper's, arXiv 2101.02338, for CIFAR: 160 epochs of SGD, learning rate
    0.1 divided by 10 at epochs 80 and 120. Batch size, momentum, weight decay, threshold and
    lookback are those of its released code (GATECH-EIC/Spline-EB); the ticket goes on with
    inherited weights to the end of the schedule, as in Early-Bird Tickets (arXiv 1909.11957). A
    shorter run keeps the shape of the schedule: the rate falls at half and three quarters.

    Attributes
    ----------
    network, dataset, width
        As for `models.build` and `data.load`.
    epochs, lr, batch_size, momentum, weight_decay, l1, seed
        As for `training.train`. Early-Bird Tickets trains with batches of 256 and l1 = 1e-4.
    threshold, lookback
        As for `EarlyBird`.
    probe : int
        Training images whose region codes are watched. The released code watches a canvas of two
        *test* images instead; a result that is reported on the test set should not depend on them.
    latest_draw : int or None
        Epoch after which tickets are drawn if the early bird has not come by then, counted
        from 0. None: the last epoch before the rate first falls. Ours, for short runs.
    calibration : int
        Training images for criteria and compensation that look at data. Ours.
    validation : float
        Share of the training images held out for choices; 0 to train on all, as the paper does.
    train_size, test_size : int or None
        Use so many images only, drawn with seed 0; None for all.
    """

    network: str = _option("vgg16", "mlp, vgg16, resnet18 or preresnetDEPTH")
    dataset: str = _option("digits", "digits, cifar10, cifar100 or folder:PATH")
    width: float = _option(1.0, "multiplier of every layer's channels")
    epochs: int = _option(160, "epochs of the whole schedule")
    lr: float = _option(0.1, "learning rate, divided by 10 at half and three quarters")
    batch_size: int = _option(128, "training images per step")
    momentum: float = _option(0.9, "momentum of SGD")
    weight_decay: float = _option(1e-4, "weight decay on every parameter")
    l1: float = _option(0.0, "L1 penalty on batch-norm scales")
    threshold: float = _option(0.16, "early bird: largest distance that counts as settled")
    lookback: int = _option(3, "early bird: earlier epochs that must all be close")
    probe: int = _option(256, "training images whose region codes are watched")
    latest_draw: int | None = _option(None, "epoch (from 0) after which to draw at the latest")
    calibration: int = _option(2048, "training images for scoring and compensation")
    validation: float = _option(0.0, "share of the training images to hold out")
    train_size: int | None = _option(None, "use so many training images only")
    test_size: int | None = _option(None, "use so many test images only")
    seed: int = _option(0, "seed of weights, order and augmentation")

    def __post_init__(self):
        if self.epochs < 2:
            raise ValueError(
                f"epochs is at least 2, one before the draw and one after, not {self.epochs}."
            )
        if self.latest_draw is not None and not 0 <= self.latest_draw < self.epochs - 1:
            raise ValueError(
                f"latest_draw lies in 0 .. {self.epochs - 2}, so that a ticket has an epoch left, "
                f"not {self.latest_draw}."
            )
        for name in ("probe", "calibration"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a number of images, at least 1.")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation is a share in [0, 1), not {self.validation}.")

    @property
    def last_draw(self) -> int:
        """`latest_draw`, or what it stands for."""
        return -(-self.epochs // 2) - 1 if self.latest_draw is None else self.latest_draw

    @property
    def name(self) -> str:
        """Name of the record: what people ask for first when they look for one."""
        parts = [public_name(self.dataset), self.network, f"w{self.width:g}", f"e{self.epochs}"]
        if self.train_size is not None:
            parts.append(f"n{self.train_size}")
        return re.sub(r"[^\w.-]+", "-", "-".join([*parts, f"s{self.seed}"]))


@dataclass(frozen=True)
class Ticket:
    """One pruned network to draw: which criterion, how much to remove, how to make up for it.

    Attributes
    ----------
    criterion : str
        A name in `pruning.CRITERIA`: the order in which units go within a layer.
    ratio : float
        Share of the units to remove, in [0, 1).
    scope : str
        ``"global"``, ``"layerwise"`` or ``"residual"``: how much each layer gives, as for
        `pruning.prune`.
    compensate : False, "fold" or "refit"
        What makes up for the units that went, as for `pruning.prune`.

    Examples
    --------
    >>> Ticket.parse("spline@residual+refit", 0.5)
    Ticket(criterion='spline', ratio=0.5, scope='residual', compensate='refit')
    """

    criterion: str
    ratio: float
    scope: str = "global"
    compensate: bool | str = False

    def __post_init__(self):
        if self.criterion not in pruning.CRITERIA:
            raise ValueError(
                f"There is no criterion {self.criterion!r}. Known: {', '.join(pruning.CRITERIA)}."
            )
        if not 0 <= self.ratio < 1:
            raise ValueError(f"A ratio is a share of units in [0, 1), not {self.ratio}.")
        if self.scope not in SCOPES:
            raise ValueError(f"A scope is one of {', '.join(SCOPES)}, not {self.scope!r}.")
        if self.compensate not in COMPENSATIONS:
            raise ValueError(f"compensate is False, 'fold' or 'refit', not {self.compensate!r}.")

    @classmethod
    def parse(cls, text: str, ratio: float) -> "Ticket":
        """From ``"criterion@scope+compensate"``, of which all but the criterion may be left out."""
        text, _, compensate = text.partition("+")
        criterion, _, scope = text.partition("@")
        return cls(criterion, float(ratio), scope or "global", compensate or False)

    @property
    def method(self) -> str:
        """What `parse` reads: ``"spline"``, ``"spline@residual+refit"``, ..."""
        scope = "" if self.scope == "global" else f"@{self.scope}"
        return f"{self.criterion}{scope}" + (f"+{self.compensate}" if self.compensate else "")

    @property
    def name(self) -> str:
        """Method and ratio, as in ``"spline+refit-0.5"``."""
        return f"{self.method}-{self.ratio:g}"


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

    Parameters
    ----------
    protocol : Protocol
    criteria : sequence of str
        Names in `pruning.CRITERIA`; ``@layerwise`` or ``@residual`` behind one for another share
        per layer, then ``+fold`` or ``+refit`` for compensation.
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
    name = name or protocol.name
    records_folder, checkpoints = folders(folder)
    path, work = records_folder / f"{name}.json", checkpoints / name
    with locked(records_folder / f"{name}.lock"):
        record = read_record(path) if path.exists() else None
        if record is not None:
            _check_same(path, record, protocol)
            done = {_ticket_of(entry) for entry in record["tickets"]}
            tickets = [ticket for ticket in tickets if ticket not in done]
            if not tickets:
                return record
            if not (work / "draw.pt").exists():
                raise ValueError(
                    f"The record {path.name} is here, but not the checkpoint that its tickets were "
                    "drawn from. To add tickets, make a record of another name (--name)."
                )
        runner = _Runner(protocol, work, root, progress)
        runner.rehearse(tickets)
        if record is None:
            record = runner.dense(name)
            _write(path, record, name, protocol)
        for ticket in tickets:
            record["tickets"].append(runner.ticket(ticket))
            _write(path, record, name, protocol)
    return record


def prepare(
    protocol: Protocol, root: str | os.PathLike | None = None
) -> tuple[Dataset, tuple[Tensor, Tensor] | None]:
    """The images of a run, on the device that it uses, and what it holds out of training.

    Returns
    -------
    dataset : Dataset
        Without the images that are held out.
    held_out : pair of Tensor, or None
        Images and labels, where `Protocol.validation` asks for some.
    """
    whole = data.load(protocol.dataset, root)
    whole = whole.subset(protocol.train_size, protocol.test_size)
    held_out = None
    if protocol.validation:
        kept, out = whole.split(protocol.validation, protocol.seed)
        held_out = (whole.train_images[out], whole.train_labels[out])
        whole = whole.subset(train=kept)
    return whole.to("cuda" if torch.cuda.is_available() else "cpu"), held_out


def build(protocol: Protocol, dataset: Dataset) -> nn.Module:
    """The run's network as it is before training, on the device of the dataset."""
    model = models.build(protocol.network, dataset, protocol.width, protocol.seed)
    return model.to(dataset.train_images.device)


def sample(dataset: Dataset, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """A fixed sample of training images, normalised but not augmented, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(len(dataset.train_images), generator=generator)[:count]
    index = index.to(dataset.train_images.device)
    return dataset.to_float(dataset.train_images[index]), dataset.train_labels[index]


class _Runner:
    """One run's data, places and settings."""

    def __init__(self, protocol: Protocol, work: Path, root, progress: bool):
        self.protocol, self.work, self.progress = protocol, work, progress
        self.dataset, self.held_out = prepare(protocol, root)
        self.device = self.dataset.train_images.device
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
        return asdict(measure(model, self.inputs(_FEW)))

    def rehearse(self, tickets: Sequence[Ticket]) -> None:
        """Score and select on the untrained network: what cannot work says so before training."""
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
        watch = Watch(self.protocol, self.work, self.inputs, self.accuracy)
        trained = self.train(model, "dense.pt", f"{name} dense", watch)
        ledger = FlopsLedger({"dense": trained.flops})
        return {
            "dataset": {
                "train": len(self.dataset.train_images),
                "validation": 0 if self.held_out is None else len(self.held_out[0]),
                "test": len(self.dataset.test_images),
                "classes": len(self.dataset.classes),
                "shape": list(self.dataset.shape),
            },
            "dense": _result(trained.history, self.size(trained.model), ledger),
            "early_bird": watch.report(trained.history),
            "tickets": [],
        }

    def ticket(self, ticket: Ticket) -> dict:
        """Draw one ticket from the dense network at the early bird, and train it."""
        draw = read_checkpoint(self.work / "draw.pt")
        dense = self.build()
        dense.load_state_dict(draw["model"])
        small, drawn = self.draw(dense, ticket)
        start = draw["epoch"] + 1
        label = f"{self.protocol.name} {ticket.name}"
        trained = self.train(
            small, f"{ticket.name}.pt", label, lambda _, model: self.accuracy(model), start
        )
        images = len(self.dataset.train_images)
        example = self.inputs(1)
        per_probe = forward_flops(dense, example)
        ledger = FlopsLedger()
        ledger.add("dense", 3 * per_probe * images * start)
        ledger.add("detection", per_probe * draw["probe"] * start)
        ledger.add("scoring", drawn.pop("scoring_flops"))
        ledger.add("ticket", trained.flops)
        # Dense and ticket are timed one after the other, on a machine in one and the same mood.
        dense_latency = self.size(dense)["latency"]
        return {
            "criterion": ticket.criterion,
            "scope": ticket.scope,
            "compensate": ticket.compensate,
            "ratio": ticket.ratio,
            **drawn,
            "dense_latency": dense_latency,
            **_result(trained.history, self.size(trained.model), ledger),
        }

    def draw(self, dense: nn.Module, ticket: Ticket) -> tuple[nn.Module, dict]:
        """The pruned network before training, from its file if it was drawn before."""
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
            drawn = {
                "scoring_seconds": time.perf_counter() - began,
                "scoring_flops": counter.total,
                "accuracy_before_training": self.accuracy(small)["test_accuracy"],
                "widths": _widths(dense, small),
            }
            pruning.save_pruned(small, path)
            with replacing(notes) as temporary:
                temporary.write_text(json.dumps(drawn))
        return pruning.load_pruned(self.build, path).to(self.device), json.loads(notes.read_text())


def read_record(path: str | os.PathLike) -> dict:
    """Read the record of a run and check it; raises as `records.read_json` does."""
    return read_json(path, SCHEMA, _RECORD)


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


@dataclass(frozen=True)
class Spread:
    """One network of a protocol over several seeds; see `across_seeds`.

    Attributes
    ----------
    method : str
        ``"dense"``, or a ticket's `Ticket.method`.
    ratio : float
        Share of units removed, 0 for the dense network.
    seeds : list of int
    names : list of str
        Name of each seed's record.
    accuracy, accuracy_before : list of float
        On the test images, in [0, 1]: at the end, and right after the cut.
    points : list of float
        Percentage points above the same seed's dense network.
    channels, parameters, macs : list of int
    latency : list of float
        As a share of the dense network's, measured beside it.
    cost : list of float
        Training FLOPs as a share of the dense run's.
    """

    method: str
    ratio: float
    seeds: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    accuracy_before: list[float] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    channels: list[int] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    macs: list[int] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)

    def add(self, record: dict, result: dict) -> None:
        """Add the result of one seed."""
        dense, size = record["dense"], result["size"]
        self.seeds.append(record["protocol"]["seed"])
        self.names.append(record["name"])
        self.accuracy.append(result["test_accuracy"])
        before = result.get("accuracy_before_training", result["test_accuracy"])
        self.accuracy_before.append(before)
        self.points.append(100 * (result["test_accuracy"] - dense["test_accuracy"]))
        for key in ("channels", "parameters", "macs"):
            getattr(self, key).append(size[key])
        beside = result.get("dense_latency", size["latency"])
        self.latency.append(size["latency"] / beside)
        self.cost.append(result["pflop"] / dense["pflop"])


def across_seeds(records: Sequence[dict]) -> list[list[Spread]]:
    """Group records that differ in nothing but their seed.

    Parameters
    ----------
    records : sequence of dict
        As `records` gives them.

    Returns
    -------
    list of list of Spread
        A list for each protocol, in order of first appearance: the dense network first, then
        every method and ratio that any of its seeds has, in order of first appearance. Seeds may
        be missing from a ticket.
    """

    def but_for_the_seed(record: dict) -> str:
        return json.dumps({k: v for k, v in record["protocol"].items() if k != "seed"})

    groups: dict[str, dict[tuple[str, float], Spread]] = {
        but_for_the_seed(record): {} for record in records
    }
    for record in sorted(records, key=lambda record: record["protocol"]["seed"]):
        found = groups[but_for_the_seed(record)]
        entries = [("dense", 0.0, record["dense"])]
        entries += [(_ticket_of(t).method, t["ratio"], t) for t in record["tickets"]]
        for method, ratio, result in entries:
            found.setdefault((method, ratio), Spread(method, ratio)).add(record, result)
    for found in groups.values():
        first = list(dict.fromkeys(method for method, _ in found))
        for key in sorted(found, key=lambda key: (first.index(key[0]), key[1])):
            found[key] = found.pop(key)
    return [list(found.values()) for found in groups.values()]


def summary(record: dict) -> str:
    """A record as a small text table: dense first, then its tickets."""
    lines = [
        f"{record['name']}  (drawn after epoch {record['early_bird']['drawn_after']}, "
        f"{record['early_bird']['reason']})"
    ]
    heading = ("", "removed", "accuracy", "channels", "parameters", "MACs", "latency", "PFLOP")
    rows = [heading]
    for entry in (record["dense"], *record["tickets"]):
        ratio = entry.get("ratio")
        rows.append(
            (
                "dense" if ratio is None else _ticket_of(entry).method,
                "" if ratio is None else f"{100 * ratio:g} %",
                f"{100 * entry['test_accuracy']:.2f} %",
                f"{entry['size']['channels']:,}",
                f"{entry['size']['parameters'] / 1e6:.3f} M",
                f"{entry['size']['macs'] / 1e6:.1f} M",
                f"{1e3 * entry['size']['latency']:.1f} ms",
                f"{entry['pflop']:.4f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells))
    return "\n".join(lines)


def command(protocol: Protocol, tickets: Sequence[Ticket], name: str | None = None) -> str:
    """The command line that makes a record with these tickets."""
    always = ("network", "dataset", "width", "epochs", "seed")
    words = ["python", "-m", "splinelib", "run"]
    for option in fields(Protocol):
        value = getattr(protocol, option.name)
        if option.name in always or value != option.default:
            shown = public_name(value) if option.name == "dataset" else value
            words += [f"--{option.name.replace('_', '-')}", f"{shown}"]
    words += ["--criteria", *dict.fromkeys(ticket.method for ticket in tickets)]
    if tickets:
        words += ["--ratios", *dict.fromkeys(f"{ticket.ratio:g}" for ticket in tickets)]
    if name is not None and name != protocol.name:
        words += ["--name", name]
    return shlex.join(words)


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


def _ticket_of(entry: dict) -> Ticket:
    return Ticket(entry["criterion"], entry["ratio"], entry["scope"], entry["compensate"])


def _write(path: Path, record: dict, name: str, protocol: Protocol) -> None:
    """Complete a record with its head, check it, and write it in one go."""
    head = {
        "schema": SCHEMA,
        "name": name,
        "command": command(protocol, [_ticket_of(entry) for entry in record["tickets"]], name),
        "protocol": asdict(protocol) | {"dataset": public_name(protocol.dataset)},
    }
    whole = head | {key: value for key, value in record.items() if key not in head}
    write_json(path, whole, SCHEMA, _RECORD)
    record.update(head)


def _check_same(path: Path, record: dict, protocol: Protocol) -> None:
    wanted = asdict(protocol) | {"dataset": public_name(protocol.dataset)}
    different = [
        f"{key} {record['protocol'].get(key)} (now {value})"
        for key, value in wanted.items()
        if record["protocol"].get(key) != value
    ]
    if different:
        raise ValueError(
            f"The record {path.name} was made with other settings: {', '.join(different)}. Repeat "
            "them to add tickets, or give the new record another name (--name)."
        )


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
