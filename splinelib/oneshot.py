"""One-shot curves: accuracy against the share of units removed, with no retraining.

What a criterion earns by itself shows only before any training makes up for it. A curve takes
the dense network of a recorded run, removes units by each criterion at each ratio, compensates
or not, and tests what is left. It is one JSON record, beside the runs, in ``oneshot/``.
"""

import os
import shlex
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from . import experiments, pruning
from .data import Dataset
from .experiments import Protocol, Ticket
from .progress import bar
from .records import NUMBER, PROVENANCE, folders, locked, provenance, read_json, write_json
from .training import evaluate, forward_flops, read_checkpoint

SCHEMA = 1
FOLDER = "oneshot"
RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
# An even share per layer without and with a refit, then one common residual with a refit:
# what the order, the refit and the share earn can be told apart.
VARIANTS = ("@layerwise", "@layerwise+refit", "@residual+refit")


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
    tickets = [Ticket.parse(text, ratio) for text in methods for ratio in ratios]
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
        pruner = _Pruner(protocol, dataset, dense.eval())
        label = f"{run} one shot"
        with bar(total=len(todo), desc=label, unit="network", disable=not progress) as shown:
            for ticket in todo:
                shown.set_postfix_str(ticket.name)
                record["entries"].append(pruner.entry(ticket))
                record["provenance"] = provenance()
                _write(path, record)
                shown.update()
    return record


class _Pruner:
    """Prunes one dense network in many ways; scores are computed once for each criterion."""

    def __init__(self, protocol: Protocol, dataset: Dataset, dense: nn.Module):
        self.dataset, self.dense, self.seed = dataset, dense, protocol.seed
        self.test = dataset.test_images, dataset.test_labels
        count = protocol.calibration
        self.data, self.labels = experiments.sample(dataset, count, protocol.seed)
        self.scores: dict[tuple[str, bool], pruning.Scores] = {}

    def entry(self, ticket: Ticket) -> dict:
        """Prune, test; what the record keeps of it."""
        began = time.perf_counter()
        scores = self._scores(ticket.criterion, ticket.scope == "residual")
        scope = "layerwise" if ticket.scope == "layerwise" else "global"
        with warnings.catch_warnings():
            # At high ratios whole layers would go; that each keeps a unit is what is recorded.
            warnings.filterwarnings("ignore", message="groups .* would have lost all")
            masks = pruning.select(scores, ticket.ratio, scope)
        small = pruning.shrink(
            self.dense, masks, data=self.data, compensate=ticket.compensate, seed=self.seed
        )
        seconds = time.perf_counter() - began
        return {
            "criterion": ticket.criterion,
            "scope": ticket.scope,
            "compensate": ticket.compensate,
            "ratio": ticket.ratio,
            "test_accuracy": evaluate(small, *self.test, transform=self.dataset.to_float),
            "parameters": sum(p.numel() for p in small.parameters()),
            "macs": forward_flops(small, self.data[:1]) // 2,
            "seconds": seconds,
        }

    def _scores(self, criterion: str, residual: bool) -> pruning.Scores:
        key = criterion, residual
        if key not in self.scores:
            if residual:
                order = self._scores(criterion, False)
                self.scores[key] = pruning.common_residual(self.dense, order, self.data, self.seed)
            else:
                self.scores[key] = pruning.score(
                    self.dense, criterion, data=self.data, seed=self.seed, labels=self.labels
                )
        return self.scores[key]


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


def series(
    record: dict, scope: str = "global", compensate: bool | str = False
) -> dict[str, tuple[list[float], list[float]]]:
    """Curves of a record: criterion -> (ratios, accuracies), for one scope and compensation."""
    found: dict[str, dict[float, float]] = {}
    for entry in record["entries"]:
        if (entry["scope"], entry["compensate"]) == (scope, compensate):
            found.setdefault(entry["criterion"], {})[entry["ratio"]] = entry["test_accuracy"]
    return {
        name: (sorted(curve), [curve[r] for r in sorted(curve)]) for name, curve in found.items()
    }


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
