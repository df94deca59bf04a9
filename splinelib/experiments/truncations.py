"""Does pruning get better where units are compared after a PCA, and why?

Networks are trained on digits. Their units are put in orders of removal by the distance of their
lines along some directions of a metric, and by lines drawn by lot; the same share of every layer
goes, something or nothing makes up for it, and nothing is trained afterwards.
"""

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import product

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..channels.cuts import cut_by
from ..data import load
from ..models import build
from ..progress import bar
from ..pruning.masking import compensated
from ..pruning.scoring import Scores, context_for, group_scores
from ..pruning.selection import select
from ..scores.context import Context
from ..scores.truncation import BY, components_for, truncate
from ..text import check_choice
from ..training import evaluate, train
from . import truncation_records as records
from .protocol import check_name
from .store import locked
from .study_records import extend
from .truncated_orders import (
    DIRECTIONS,
    GOES,
    LOT,
    METRICS,
    Order,
    hyperplanes_in,
    moments,
    removal,
)

# Network -> its width, epochs and rate, the metrics that are known of what its layers read, the
# components tried, and what goes: a share of each layer, and what makes up for it.
ALL = 4096  # components that no layer here has
SETTINGS = {
    "mlp": {
        **{"width": 1.0, "epochs": 20, "lr": 0.1, "metrics": METRICS},
        **{"components": (1, 2, 4, 8, 16, 32, 64, ALL)},
        "ends": ((0.5, records.NOTHING), (0.7, "merge"), (0.9, "refit")),
    },
    "vgg16": {
        **{"width": 0.25, "epochs": 12, "lr": 0.05, "metrics": ("identity",)},
        **{"components": (1, 4, 16, 64, ALL), "ends": ((0.1, records.NOTHING), (0.8, "refit"))},
    },
}
SEEDS, WEIGHT_DECAY, HELD_OUT = 20, 1e-3, 0.2
PARTS = ("orders", "rivals", "views", "needs")  # of a record
ACCURACIES = (0.5, 0.2, 0.1, 0.05)


class Trained:
    """A network trained on digits, what its layers read, and the images it is judged on."""

    def __init__(self, network: str, seed: int, width: float, epochs: int):
        digits = load("digits")
        chosen, _ = digits.split(HELD_OUT, seed=0)
        self.seed, self.inputs = seed, digits.to_float(digits.train_images[chosen])
        self.test = digits.to_float(digits.test_images), digits.test_labels
        self.model = train(
            build(network, digits, width=width, seed=seed),
            (self.inputs, digits.train_labels[chosen]),
            epochs=epochs,
            lr=SETTINGS[network]["lr"],
            weight_decay=WEIGHT_DECAY,
            seed=seed,
            progress=False,
        ).model
        self.context = context_for(self.model, self.inputs, None, seed, None)
        self.context.note(outputs=True)
        if network == "mlp":
            self.metrics = {
                metric: moments(self.model, self.inputs, metric)
                for metric in SETTINGS[network]["metrics"]
            }
        else:  # what a convolution reads is not of one position, as `moments` takes it
            self.metrics = {"identity": dict.fromkeys(self.context.layout.groups)}

    def accuracy(self, scores: Scores, ratio: float, compensate: str) -> float:
        """On the test images, the units of the lowest scores gone from each layer."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers that keep one unit
            masks = select(scores, ratio, "layerwise")
        known = {}
        if compensate == "refit":
            known = {"outputs": self.context.outputs(), "answers": self.context.answers()}
        elif compensate == "merge":
            known = {"reads": self.context.implied_reads}
        method = False if compensate == records.NOTHING else compensate
        cut = cut_by(self.context.model, self.context.layout, masks)
        given = self.context.model, self.context.layout, cut, self.inputs, method, self.seed
        with torch.no_grad():
            return evaluate(compensated(*given, **known), *self.test)

    def scores(self, order: Order) -> Scores:
        """What each unit's removal cost in an order."""
        groups = self.context.layout.groups
        known = self.metrics.get(order.metric, {})
        costs = {
            name: removal(hyperplanes_in(self.context, group, known.get(name)), order, self.seed)
            for name, group in groups.items()
        }
        values = {name: found.cost for name, found in costs.items()}
        return Scores(values, self.context.layout)


def compare(
    network: str = "mlp",
    *,
    seeds: int = SEEDS,
    epochs: int | None = None,
    width: float | None = None,
    name: str | None = None,
    folder: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Prune networks in orders that see some directions of a metric, and record what is left.

    Recorded after each network. What is recorded is not done again: a second call with more seeds
    adds them, and one that was interrupted goes on.

    Parameters
    ----------
    network : {"mlp", "vgg16"}
        Of the first all three metrics are compared, of the second the identity.
    seeds : int
        Networks, at least 2.
    epochs, width : optional
        The network's own if not given.
    name : str, optional
        Of the record; the network's if not given.
    folder, progress
        As for `run`.

    Returns
    -------
    dict
        The record, as written to ``pca/NAME.json``.

    Raises
    ------
    ValueError
        For an unknown network, fewer than two seeds, or a record made with other settings.
    DamagedFile
        The record cannot be read.
    RunLocked
        Another process is writing the record.
    """
    check_choice("network", network, SETTINGS)
    if seeds < 2:
        raise ValueError(f"an interval needs two networks or more, not {seeds}.")
    own = SETTINGS[network]
    settings = {"network": network, "width": own["width"] if width is None else width}
    settings["epochs"] = own["epochs"] if epochs is None else epochs
    name = network if name is None else name
    check_name("record", name)
    path = records.path_of(name, folder)
    with locked(path.parent, name):
        record = records.opened(path, name, settings, **{p: [] for p in PARTS}, dense=[])
        todo = range(len(record["dense"]), seeds)
        for seed in bar(todo, desc=name, unit="network", disable=not progress):
            began = time.perf_counter()
            trained = Trained(network, seed, settings["width"], settings["epochs"])
            record["dense"].append(evaluate(trained.model, *trained.test))
            for part, about, values in _found(trained, network):
                extend(record[part], about, values)
            record["settings"]["seeds"] = seed + 1
            record["seconds"] += time.perf_counter() - began
            words = ["--network", network, "--seeds", f"{seed + 1}"]
            words += ["--epochs", f"{settings['epochs']}", "--width", f"{settings['width']:g}"]
            records.write(path, record, [*words, "--name", name])
    return record


Found = Iterator[tuple[str, tuple, dict[str, float]]]


def _found(trained: Trained, network: str) -> Found:
    """All that one network says: the part of the record, what it is about, and numbers."""
    own = SETTINGS[network]
    for ratio, compensate in own["ends"]:
        end = (("ratio", ratio), ("compensate", compensate))
        for criterion in records.RIVALS:
            scores = group_scores(trained.context, criterion)
            value = {"test": trained.accuracy(scores, ratio, compensate)}
            yield "rivals", (("criterion", criterion), *end), value
        for order in orders(own["metrics"], own["components"]):
            value = {"test": trained.accuracy(trained.scores(order), ratio, compensate)}
            yield "orders", (*asdict(order).items(), *end), value
    for metric, known in trained.metrics.items():
        for layer, (group, second) in enumerate(known.items(), 1):
            yield from _of_layer(trained.context, metric, layer, group, second, own["components"])


def orders(metrics: Sequence[str], components: Sequence[int]) -> list[Order]:
    """Every order that is compared; all directions are the same, whichever come first."""
    found = [Order(LOT, LOT, 0, goes) for goes in GOES]
    for metric, directions, count, goes in product(metrics, DIRECTIONS, components, GOES):
        if count < ALL or directions == DIRECTIONS[0]:
            found.append(Order(metric, directions, count, goes))
    return found


def _of_layer(
    context: Context, metric: str, layer: int, group: str, second: Tensor | None, components
) -> Found:
    """What the leading directions show of a layer, and how many a wanted accuracy needs."""
    unit, _, length = hyperplanes_in(context, context.layout.groups[group], second)
    exact = unit @ unit.T
    about = (("metric", metric), ("layer", layer))
    for count in components:
        view = truncate(unit, count)
        nearest = (1 - view.cosines.abs()).fill_diagonal_(torch.inf).min(1).values
        yield (
            "views",
            (*about, ("components", count)),
            {
                "left_out": float(view.left_out.mean()),
                "bound": view.largest,
                "error": float((view.cosines - exact).abs().fill_diagonal_(0).max()),
                "loud": correlation(length, nearest),
            },
        )
    for accuracy, by in product(ACCURACIES, BY):
        value = {"components": components_for(unit, accuracy, by)}
        yield "needs", (*about, ("accuracy", accuracy), ("by", by)), value


def correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's; 0 where one of the two is the same for all."""
    if np.ptp(np.asarray(one)) == 0 or np.ptp(np.asarray(other)) == 0:
        return 0.0
    from scipy.stats import spearmanr  # takes long to load

    return float(spearmanr(one, other).statistic)
