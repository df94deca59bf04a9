"""One-shot curves: accuracy against the share of units removed, with no retraining.

What a criterion earns by itself shows only before any training makes up for it. `compare`
removes units from one network by each criterion at each ratio, compensates or not, and judges what
is left; `curves` does so with the dense network of a recorded run and keeps one JSON record of
it, beside the runs, in ``oneshot/``. `contributions` says how much of the accuracy the order, the
refit and the share of each layer earned.
"""

import itertools
import os
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from . import experiments, pruning
from .experiments import Protocol, Ticket
from .progress import bar
from .protocol import RULES
from .records import NUMBER, PROVENANCE, folders, locked, provenance, read_json, write_json
from .training import evaluate, forward_flops, read_checkpoint

SCHEMA = 1
FOLDER = "oneshot"
RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
# An even share per layer without and with a refit, then the share of least residual with a refit:
# what the order, the refit and the share earn can be told apart.
VARIANTS = ("@layerwise", "@layerwise+refit", "@residual+refit")
STEPS = ("order", "refit", "share")
# (scope, compensate) of each variant -> the steps that it takes beside the order. The share
# comes after the refit, since the residual that it makes least is what a refit would leave.
_TAKEN = {
    ("layerwise", False): (),
    ("layerwise", "refit"): ("refit",),
    ("residual", "refit"): ("refit", "share"),
}


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
    tickets = [Ticket.parse(method, ratio) for method in methods for ratio in ratios]
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
        As for `experiments.run`.

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
    records_folder, checkpoints = folders(folder)
    source = records_folder / f"{run}.json"
    if not source.exists():
        known = ", ".join(path.stem for path in experiments.record_files(folder)) or "none yet"
        raise ValueError(f"There is no recorded run {run!r}. Recorded: {known}.")
    recorded = experiments.read_record(source)
    path = records_folder / FOLDER / f"{run}.json"
    with locked(path.with_suffix(".lock")):
        record = read(path) if path.exists() else _new(recorded)
        done = {Ticket.of(entry) for entry in record["entries"]}
        todo = [ticket for ticket in tickets if ticket not in done]
        if not todo:
            return record
        checkpoint = checkpoints / run / "dense.pt"
        if not checkpoint.exists():
            raise ValueError(
                f"The dense network of {run} is not on this machine. This makes it again: "
                f"{recorded['command']}"
            )
        protocol = Protocol(**recorded["protocol"])
        dataset, _ = experiments.prepare(protocol, root)
        dense = experiments.build(protocol, dataset)
        dense.load_state_dict(read_checkpoint(checkpoint)["model"])
        data, labels = experiments.sample(dataset, protocol.calibration, protocol.seed)

        def judge(small: nn.Module) -> float:
            test = dataset.test_images, dataset.test_labels
            return evaluate(small, *test, transform=dataset.to_float)

        make = partial(pruning.Pruner, dense.eval(), data, seed=protocol.seed, labels=labels)
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
        It is not JSON, of another schema version, or lacks something; the message names it.
    """
    return read_json(path, SCHEMA, _RECORD)


def records(folder: str | os.PathLike | None = None) -> list[dict]:
    """Every one-shot record of a folder (default: ``data/runs`` of the checkout), by name."""
    return [read(path) for path in record_files(folder)]


def record_files(folder: str | os.PathLike | None = None) -> list[Path]:
    """Paths of the one-shot records, by name."""
    return sorted((folders(folder)[0] / FOLDER).glob("*.json"))


def across_seeds(records: Sequence[dict]) -> list[list[dict]]:
    """Group one-shot records that differ in their seed alone, by name; each group by seed."""
    groups: dict[str, list[dict]] = {}
    for record in records:
        groups.setdefault(record["name"].rpartition("-s")[0], []).append(record)
    return list(groups.values())


def series(
    runs: Sequence[Sequence[dict]], scope: str = "global", compensate: bool | str = False
) -> dict[str, tuple[list[float], np.ndarray]]:
    """Curves of one or several networks for one scope and compensation.

    Parameters
    ----------
    runs : sequence of list of dict
        What `compare` returned, or the ``entries`` of a record, for each network (seed).
    scope, compensate
        As for `Ticket`.

    Returns
    -------
    dict
        criterion -> (ratios, accuracies of shape (networks, ratios)): for the criteria and
        ratios that all networks have been pruned with.
    """
    found: dict[str, list[dict[float, float]]] = {}
    for number, entries in enumerate(runs):
        for entry in entries:
            if (entry["scope"], entry["compensate"]) == (scope, compensate):
                curve = found.setdefault(entry["criterion"], [{} for _ in runs])[number]
                curve[entry["ratio"]] = entry.get("accuracy", entry.get("test_accuracy"))
    shared = {name: sorted(set.intersection(*map(set, many))) for name, many in found.items()}
    return {
        name: (ratios, np.array([[curve[ratio] for ratio in ratios] for curve in found[name]]))
        for name, ratios in shared.items()
        if ratios
    }


def split(accuracy: Mapping[frozenset[str], float | np.ndarray]) -> dict[str, float | np.ndarray]:
    """Share what several steps reached together among the steps.

    What a step adds depends on the steps taken before it. Its contribution is the mean of what it
    adds over all sequences of the steps in which every intermediate result is known (the Shapley
    value, where all are). Contributions add up to the whole gain exactly.

    Parameters
    ----------
    accuracy : mapping of frozenset to float or array
        Result after a set of steps, in any order; the empty set and the full one included.

    Returns
    -------
    dict
        step -> its contribution.

    Raises
    ------
    ValueError
        If no sequence of steps is known from nothing to everything.

    Examples
    --------
    >>> nothing, a, b, both = map(frozenset, ["", "a", "b", "ab"])
    >>> split({nothing: 0.1, a: 0.2, b: 0.5, both: 0.9})["b"]
    0.55
    """
    steps = sorted(max(accuracy, key=len, default=frozenset()))
    paths = [
        path
        for path in itertools.permutations(steps)
        if all(frozenset(path[:taken]) in accuracy for taken in range(len(path) + 1))
    ]
    if not steps or not paths:
        known = ", ".join("+".join(sorted(taken)) or "nothing" for taken in accuracy)
        raise ValueError(f"no sequence leads from nothing to all steps; known: {known or 'none'}")
    gains = {step: [] for step in steps}
    for path in paths:
        for taken, step in enumerate(path):
            before = frozenset(path[:taken])
            gains[step].append(accuracy[before | {step}] - accuracy[before])
    return {step: sum(gain) / len(paths) for step, gain in gains.items()}


def contributions(
    runs: Sequence[Sequence[dict]],
) -> tuple[list[float], dict[str, dict[str, np.ndarray]]]:
    """What the order, the refit and the share per layer earn over an even cut at random.

    The starting point is a random order, the same share of every layer, and nothing mended. The
    three `STEPS` are the criterion's order, the refit, and the share of least residual in place of
    the even share; see `split` for how the gain is shared out.

    Parameters
    ----------
    runs : sequence of list of dict
        As for `series`, with "random" among the criteria and at least the methods of `VARIANTS`.

    Returns
    -------
    ratios : list of float
    earned : dict
        criterion -> step -> accuracy gained, shape (networks, ratios); for the criteria whose
        results are all there.

    Raises
    ------
    ValueError
        If no results of a random order are there to start from.
    """
    found = {taken: series(runs, *key) for key, taken in _TAKEN.items()}
    if not all("random" in one for one in found.values()):
        needed = ", ".join(f"random{variant}" for variant in VARIANTS)
        raise ValueError(f"contributions start from a random order: compare {needed} too")
    ratios = sorted(set.intersection(*(set(one["random"][0]) for one in found.values())))
    earned = {}
    for name in found[()]:
        known = {}
        for taken, one in found.items():
            if name in one and set(ratios) <= set(one[name][0]):
                known[frozenset(taken)] = _at(one["random"], ratios)
                known[frozenset(("order", *taken))] = _at(one[name], ratios)
        if len(known) == 2 * len(found):
            earned[name] = split(known)
    return ratios, earned


def _at(curve: tuple[list[float], np.ndarray], ratios: list[float]) -> np.ndarray:
    """The accuracies of a curve at some of its ratios, shape (networks, ratios)."""
    return curve[1][:, [curve[0].index(ratio) for ratio in ratios]]


def summary(record: dict) -> str:
    """A record as a small text table: a row per method, a column per ratio."""
    ratios = sorted({entry["ratio"] for entry in record["entries"]})
    rows: dict[str, dict[float, float]] = {}
    for entry in record["entries"]:
        rows.setdefault(Ticket.of(entry).method, {})[entry["ratio"]] = entry["test_accuracy"]
    width = max(map(len, rows), default=0)
    lines = [
        f"{record['name']}  one shot, no retraining (dense {100 * record['dense_accuracy']:.2f} %)",
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
    write_json(path, record, SCHEMA, _RECORD)


# As types; see `records.mismatches`.
_RECORD = {
    "schema": int,
    "kind": str,
    "name": str,
    "command": str,
    "run": {"command": str, "commit": (str, None)},
    "calibration": int,
    "dense_accuracy": NUMBER,
    "entries": [
        {
            "criterion": str,
            "scope": str,
            "compensate": (bool, str),
            "ratio": NUMBER,
            "test_accuracy": NUMBER,
            "parameters": int,
            "macs": int,
            "seconds": NUMBER,
        }
    ],
    "provenance": PROVENANCE,
}
