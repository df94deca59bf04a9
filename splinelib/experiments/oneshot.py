"""One-shot curves: accuracy against the share of units removed, with no retraining.

What a criterion earns by itself shows only before any training makes up for it. `compare`
removes units from one network by each criterion at each ratio, compensates or not, and judges what
is left; `curves` does so with the dense network of a recorded run and keeps one JSON record of
it, beside the runs, in ``oneshot/``.
"""

import os
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from .. import pruning
from ..cost.flops import forward_flops
from ..data.dataset import Dataset
from ..progress import bar
from ..schemas import AMOUNT, COUNT, SHARE
from ..text import printable
from ..training.evaluation import evaluate
from .origin import provenance
from .protocol import RULES, Protocol, Ticket, asked_for, check_name
from .resuming import check_images, read_dense, settings_of
from .run_records import check_file_name, read_record
from .run_records import record_files as run_files
from .setting import build, located, prepare, sample
from .store import PROVENANCE, folders, locked, read_json, write_json

SCHEMA = 1
FOLDER = "oneshot"
RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
# An even share per layer without and with a refit, then the share of least residual with a refit:
# what the order, the refit and the share earn can be told apart.
VARIANTS = ("@layerwise", "@layerwise+refit", "@residual+refit")


def compare(
    model: nn.Module,
    methods: Sequence[str],
    ratios: Sequence[float],
    *,
    data: Tensor,
    judge: Callable[[nn.Module], float],
    labels: Tensor | None = None,
    seed: int = 0,
) -> list[dict]:
    """Prune one network in many ways, with no training, and judge what is left each time.

    As `pruning.prune` for each method and ratio, but what a criterion's methods share is computed
    once. Nothing is shared between criteria, so that the seconds of each are its own.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    methods : sequence of str
        As for `Ticket.parse`: ``"spline"``, ``"magnitude@layerwise+refit"``, ...
    ratios : sequence of float
        Shares of units to remove, in [0, 1).
    data : Tensor, shape (N, ...)
        Calibration inputs, for scores and compensation.
    judge : callable
        Gives the accuracy, in [0, 1], of a pruned network. Choose by held-out images, and keep
        the test images for what was chosen.
    labels : Tensor, shape (N,), int64, optional
        Classes of the calibration inputs, for criteria that need them.
    seed : int

    Returns
    -------
    list of dict
        Per method and ratio: ``criterion``, ``scope``, ``compensate``, ``ratio``, ``accuracy``,
        ``parameters``, ``macs`` per input, and the ``seconds`` that the pruning took. The
        first entry of a criterion includes its scoring, and its first that needs it the pass
        of the dense network over the data.

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> made = compare(net, ["random", "random+refit"], [0.5], data=torch.randn(64, 2),
    ...     judge=lambda small: small[0].out_features / 8)
    >>> [(entry["compensate"], entry["accuracy"]) for entry in made]
    [(False, 0.5), ('refit', 0.5)]
    """
    tickets = _tickets(methods, ratios)
    make = partial(pruning.Pruner, model, data, seed=seed, labels=labels)
    made = {
        ticket: _entry(pruner, ticket, data[:1], judge)
        for ticket, pruner in _by_criterion(tickets, make)
    }
    return [made[ticket] for ticket in tickets]


def _by_criterion(
    tickets: Sequence[Ticket], make: Callable[[], pruning.Pruner]
) -> Iterator[tuple[Ticket, pruning.Pruner]]:
    """The tickets of one criterion after those of another, each criterion with its own pruner."""
    for criterion in dict.fromkeys(ticket.criterion for ticket in tickets):
        pruner = make()
        for ticket in tickets:
            if ticket.criterion == criterion:
                yield ticket, pruner


def _tickets(methods: Sequence[str], ratios: Sequence[float]) -> list[Ticket]:
    tickets = asked_for(methods, ratios)
    if drawn := [ticket for ticket in tickets if ticket.rule != "codes"]:
        prefix = RULES[drawn[0].rule]
        raise ValueError(
            f"{drawn[0].method!r} is a ticket to train; here nothing is trained. "
            f"Leave out {prefix!r}."
        )
    return tickets


def curves(
    run: str,
    methods: Sequence[str] | None = None,
    ratios: Sequence[float] = RATIOS,
    *,
    folder: str | os.PathLike | None = None,
    root: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Prune the dense network of a recorded run in every way asked for; record the accuracies.

    What is recorded already is not done again, so a second call with more methods adds them.
    Scores see `Protocol.calibration` training images, compensation the same. Nothing is chosen
    on the test images.

    Parameters
    ----------
    run : str
        Name of a run in ``data/runs``. Its dense checkpoint, of the last epoch, has to be on
        this machine.
    methods : sequence of str, optional
        As for `Ticket.parse`. Default: every criterion with each of `VARIANTS`.
    ratios : sequence of float
        Shares of units to remove, in [0, 1).
    folder, root, progress
        As for `run`.

    Returns
    -------
    dict
        The record, as written to ``oneshot/RUN.json``.

    Raises
    ------
    ValueError
        There is no such run, or its dense checkpoint is not here.
    DamagedFile
        A record or checkpoint cannot be read.
    RunLocked
        Another process is writing the same record.
    """
    if methods is None:
        methods = [name + variant for name in pruning.CRITERIA for variant in VARIANTS]
    tickets = _tickets(methods, ratios)
    recorded = recorded_run(run, folder)
    path = folders(folder)[0] / FOLDER / f"{run}.json"
    with locked(path.parent, run):
        record = read(path) if path.exists() else _new(recorded)
        done = {Ticket.of(entry).name for entry in record["entries"]}
        todo = [ticket for ticket in tickets if ticket.name not in done]
        if not todo:
            return record
        dense, dataset, protocol = recorded_dense(recorded, folder, root)
        data, labels = sample(dataset, protocol.calibration, protocol.seed)

        def judge(small: nn.Module) -> float:
            test = dataset.test_images, dataset.test_labels
            return evaluate(small, *test, transform=dataset.to_float)

        make = partial(pruning.Pruner, dense, data, seed=protocol.seed, labels=labels)
        label = f"{run} one shot"
        with bar(total=len(todo), desc=label, unit="network", disable=not progress) as shown:
            for ticket, pruner in _by_criterion(todo, make):
                shown.set_postfix_str(ticket.name)
                entry = _entry(pruner, ticket, data[:1], judge)
                entry["test_accuracy"] = entry.pop("accuracy")
                record["entries"].append(entry)
                record["provenance"] = provenance()
                _write(path, record)
                shown.update()
    return record


def recorded_run(run: str, folder: str | os.PathLike | None = None) -> dict:
    """The record of a run by its name; ValueError if there is none."""
    check_name("record", run)
    source = folders(folder)[0] / f"{run}.json"
    if not source.exists():
        known = ", ".join(path.stem for path in run_files(folder)) or "none yet"
        raise ValueError(f"There is no recorded run {run!r}. Recorded: {known}.")
    return read_record(source)


def recorded_dense(
    recorded: dict, folder: str | os.PathLike | None = None, root: str | os.PathLike | None = None
) -> tuple[nn.Module, Dataset, Protocol]:
    """The dense network of a recorded run, in evaluation mode, its images and its protocol.

    Raises
    ------
    ValueError
        Its dense checkpoint is not on this machine, or was trained on other images.
    DamagedFile
        The checkpoint cannot be read.
    """
    records_folder, checkpoints = folders(folder)
    work = checkpoints / recorded["name"]
    if not (work / "dense.pt").exists():
        raise ValueError(
            f"The dense network of {recorded['name']} is not on this machine. This makes it "
            f"again: {recorded['command']}"
        )
    protocol = located(Protocol(**recorded["protocol"]), work)
    dataset, held_out = prepare(protocol, root)
    settings = settings_of(protocol, dataset, held_out)
    check_images(records_folder / f"{recorded['name']}.json", recorded, settings)
    dense = build(protocol, dataset)
    dense.load_state_dict(read_dense(work / "dense.pt", settings))
    return dense.eval(), dataset, protocol


def _entry(pruner: pruning.Pruner, ticket: Ticket, example: Tensor, judge) -> dict:
    """Prune, judge; what there is to say of it."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        # At high ratios whole layers would go; that each keeps a unit is what is recorded.
        warnings.filterwarnings("ignore", message="groups .* would have lost all")
        small = pruner.prune(ticket.ratio, ticket.criterion, ticket.scope, ticket.compensate)
    seconds = time.perf_counter() - began
    return {
        "criterion": ticket.criterion,
        "scope": ticket.scope,
        "compensate": ticket.compensate,
        "ratio": ticket.ratio,
        "accuracy": judge(small),
        "parameters": sum(p.numel() for p in small.parameters()),
        "macs": forward_flops(small, example) // 2,
        "seconds": seconds,
    }


def read(path: str | os.PathLike) -> dict:
    """Read a one-shot record and check it.

    Raises
    ------
    DamagedFile
        It is not JSON, of another schema version, named otherwise than its file, or lacks
        something; the message names it.
    """
    record = read_json(path, SCHEMA, _RECORD, _inconsistencies)
    check_file_name(path, record)
    return record


def records(folder: str | os.PathLike | None = None) -> list[dict]:
    """Every one-shot record of a folder (default: ``data/runs`` of the checkout), by name."""
    return [read(path) for path in record_files(folder)]


def record_files(folder: str | os.PathLike | None = None) -> list[Path]:
    """Paths of the one-shot records, by name."""
    return sorted((folders(folder)[0] / FOLDER).glob("*.json"))


def summary(record: dict) -> str:
    """A record as a small text table: a row per method, a column per ratio."""
    ratios = sorted({entry["ratio"] for entry in record["entries"]})
    rows: dict[str, dict[float, float]] = {}
    for entry in record["entries"]:
        rows.setdefault(Ticket.of(entry).method, {})[entry["ratio"]] = entry["test_accuracy"]
    width = max(map(len, rows), default=0)
    title = f"{record['name']}  one shot, no retraining"
    lines = [
        printable(f"{title} (dense {100 * record['dense_accuracy']:.2f} %)"),
        "  " + " " * width + "".join(f"{100 * ratio:>8g} %" for ratio in ratios),
    ]
    for method, accuracy in rows.items():
        cells = [f"{100 * accuracy[r]:10.2f}" if r in accuracy else " " * 10 for r in ratios]
        lines.append(f"  {method:<{width}}" + "".join(cells))
    return "\n".join(lines)


def _new(recorded: dict) -> dict:
    return {
        "schema": SCHEMA,
        "kind": "one-shot",
        "name": recorded["name"],
        "run": {
            "command": recorded["command"],
            "commit": recorded["dense"]["provenance"]["commit"],
        },
        "calibration": recorded["protocol"]["calibration"],
        "dense_accuracy": recorded["dense"]["test_accuracy"],
        "entries": [],
    }


def _write(path: Path, record: dict) -> None:
    tickets = [Ticket.of(entry) for entry in record["entries"]]
    words = ["python", "-m", "splinelib", "oneshot", record["name"]]
    words += ["--methods", *dict.fromkeys(ticket.method for ticket in tickets)]
    words += ["--ratios", *dict.fromkeys(f"{ticket.ratio:g}" for ticket in tickets)]
    record["command"] = shlex.join(words)
    write_json(path, record, SCHEMA, _RECORD, _inconsistencies)


def _inconsistencies(record: dict) -> Iterator[str]:
    for entry in record["entries"]:
        try:
            Ticket.of(entry)
        except ValueError as error:
            yield f"{error}"


# As types and ranges; see `schemas.mismatches`.
_RECORD = {
    "schema": int,
    "kind": str,
    "name": str,
    "command": str,
    "run": {"command": str, "commit": (str, None)},
    "calibration": COUNT,
    "dense_accuracy": SHARE,
    "entries": [
        {
            "criterion": str,
            "scope": str,
            "compensate": (bool, str),
            "ratio": SHARE,
            "test_accuracy": SHARE,
            "parameters": COUNT,
            "macs": COUNT,
            "seconds": AMOUNT,
        }
    ],
    "provenance": PROVENANCE,
}
