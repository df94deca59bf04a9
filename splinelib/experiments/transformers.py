"""What of pruning carries over to a transformer: units, whole heads, the residual stream.

Small vision transformers learn digits. Of one part of each, the same share of every layer goes in
the orders of several criteria; a refit or nothing makes up for it, and nothing is trained
afterwards.
"""

import os
import time
import warnings
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ..channels.cuts import cut_by
from ..channels.layout import Group
from ..codes.early_bird import EarlyBird
from ..codes.extraction import region_codes
from ..data import load
from ..models import build
from ..network.affine import affine_map
from ..network.modes import evaluating
from ..progress import bar
from ..pruning.masking import compensated
from ..pruning.scoring import Scores, context_for, group_scores
from ..pruning.selection import select
from ..scores.context import Context
from ..scores.least_squares import residual_along
from ..training import evaluate, train
from . import transformer_records as records
from .protocol import check_name
from .store import locked
from .study_records import extend

WIDTH, EPOCHS, SEEDS = 0.25, 20, 10
RATE, BATCH, PROBE, MAPS = 0.1, 64, 256, 8

# Part -> the orders in which it goes, and the shares of each of its layers that go.
ORDERS = {
    "units": (
        ("spline", "bend", "codes", "magnitude", "thinet", "lsq", "random"),
        (0.5, 0.75, 0.9),
    ),
    "heads": (("magnitude", "thinet", "lsq", "random"), (0.25, 0.5, 0.75)),
    "stream": (("magnitude", "thinet", "lsq", "random"), (0.25, 0.5)),
}


def part_of(group: Group) -> str:
    """Which part of a transformer a group of units is: heads, the stream, or units of an MLP.

    Of a head not one row of queries, keys and values can go without the others; the stream is
    what several layers write to.
    """
    if group.heads:
        return "heads"
    return "stream" if group.is_stream else "units"


class Trained:
    """A transformer trained on digits, when its codes settled, and what pruning looks at.

    Attributes
    ----------
    start, model : torch.nn.Module
        Before and after training.
    detector : EarlyBird
        Of the codes of some training images after each epoch.
    context : Context
        Of the training images.
    """

    def __init__(self, seed: int, width: float = WIDTH, epochs: int = EPOCHS):
        digits = load("digits")
        self.inputs = digits.to_float(digits.train_images)
        self.test = digits.to_float(digits.test_images), digits.test_labels
        self.start = build("vit", digits, width=width, seed=seed)
        self.detector = EarlyBird()

        def watch(epoch: int, model: nn.Module) -> None:
            self.detector.update(region_codes(model, self.inputs[:PROBE], smooth="freeze"))

        self.model = train(
            self.start,
            (self.inputs, digits.train_labels),
            on_epoch=watch,
            **{"epochs": epochs, "lr": RATE, "batch_size": BATCH, "seed": seed},
            progress=False,
        ).model
        self.seed = seed
        self.context = context_for(self.model, self.inputs, None, seed, None)
        self.context.note(outputs=True)

    def groups(self, part: str) -> dict[str, Group]:
        """The groups of a part, in order of execution."""
        every = self.context.layout.groups
        return {name: group for name, group in every.items() if part_of(group) == part}

    def scores(self, criterion: str, part: str) -> Scores:
        """What the units of a part are worth."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that lines are not compared of heads
            every = group_scores(self.context, criterion)
        return Scores({name: every[name] for name in self.groups(part)}, self.context.layout)

    def pruned(self, scores: Scores, ratio: float, compensate: str = records.NOTHING) -> nn.Module:
        """The network without the units of the lowest scores of each layer that has scores."""
        masks: Mapping[str, Tensor] = select(scores, ratio, "layerwise")
        known = {"outputs": self.context.outputs(), "answers": self.context.answers()}
        method = False if compensate == records.NOTHING else compensate
        cut = cut_by(self.context.model, self.context.layout, masks)
        given = self.context.model, self.context.layout, cut, self.inputs, method, self.seed
        with torch.no_grad():
            return compensated(*given, **(known if method else {}))

    def accuracy(self, model: nn.Module) -> float:
        """On the test images."""
        return evaluate(model, *self.test)


def lost_with_heads(context: Context, group: Group) -> Tensor:
    """The share of what follows each head that is lost with it once the others are refitted.

    Returns
    -------
    Tensor, shape (heads,)
        Of the output of the layers that read the heads, in its square; 0 where the others can
        rebuild the head.
    """
    readers, every = context.readers(group), torch.arange(group.units)
    first = [torch.cat([every[h:], every[:h]]) for h in range(group.units)]
    return torch.stack([residual_along(readers, order)[order[0]] for order in first])


def brought_by_heads(context: Context, group: Group) -> Tensor:
    """The share of what follows each head that is lost with it if nothing is refitted.

    What heads bring may cancel or go together, so the shares need not add up to one.

    Returns
    -------
    Tensor, shape (heads,)
        As for `lost_with_heads`, which is never more.
    """
    heads, brought = group.units, torch.zeros(group.units, dtype=torch.float64)
    for reader in context.readers(group):
        joint = (reader.gram * reader.outgoing).view(heads, -1, heads, len(reader.mean) // heads)
        own = joint.sum((1, 3)).diagonal().cpu()
        brought += own / reader.energy if reader.energy > 0 else own
    return brought


def gap(model: nn.Module, x: Tensor) -> float:
    """How far the map with held factors is from the Jacobian, as a share of the Jacobian."""
    with evaluating(model):
        held, _ = affine_map(model, x, smooth="freeze")
        true = torch.autograd.functional.jacobian(lambda z: model(z[None])[0], x).flatten(1)
    return float((held - true).norm() / true.norm())


def compare(
    *,
    seeds: int = SEEDS,
    width: float = WIDTH,
    epochs: int = EPOCHS,
    name: str = "digits",
    folder: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Prune the parts of transformers in several orders, and record what is left.

    Recorded after each network. What is recorded is not done again: a second call with more seeds
    adds them, and one that was interrupted goes on.

    Parameters
    ----------
    seeds : int
        Networks, at least 2.
    width, epochs
        Of the networks.
    name : str
        Of the record.
    folder, progress
        As for `run`.

    Returns
    -------
    dict
        The record, as written to ``vit/NAME.json``.

    Raises
    ------
    ValueError
        For fewer than two seeds, or a record made with other settings.
    DamagedFile
        The record cannot be read.
    RunLocked
        Another process is writing the record.
    """
    if seeds < 2:
        raise ValueError(f"an interval needs two networks or more, not {seeds}.")
    check_name("record", name)
    settings = {"width": width, "epochs": epochs}
    path = records.path_of(name, folder)
    with locked(path.parent, name):
        empty = {part: [] for part in ("entries", "maps", "heads", "dense", "settled")}
        record = records.opened(path, name, settings, **empty)
        todo = range(len(record["dense"]), seeds)
        for seed in bar(todo, desc=name, unit="network", disable=not progress):
            began = time.perf_counter()
            trained = Trained(seed, width, epochs)
            record["dense"].append(trained.accuracy(trained.model))
            record["settled"].append(trained.detector.epoch)
            for part, about, value, number in found(trained):
                extend(record[part], about, {value: number})
            record["settings"]["seeds"] = seed + 1
            record["seconds"] += time.perf_counter() - began
            words = ["--seeds", f"{seed + 1}", "--width", f"{width:g}", "--epochs", f"{epochs}"]
            records.write(path, record, [*words, "--name", name])
    return record


def found(trained: Trained) -> Iterator[tuple[str, tuple, str, float]]:
    """All that one network says: the part of the record, what it is about, and a number."""
    for part, (orders, ratios) in ORDERS.items():
        for order in orders:
            scores = trained.scores(order, part)
            for ratio in ratios:
                for compensate in records.COMPENSATIONS:
                    about = {"part": part, "order": order, "ratio": ratio}
                    about["compensate"] = compensate
                    small = trained.pruned(scores, ratio, compensate)
                    yield "entries", tuple(about.items()), "test", trained.accuracy(small)
    for when, model in zip(records.WHEN, (trained.start, trained.model), strict=True):
        gaps = [gap(model, x) for x in trained.test[0][:MAPS]]
        yield "maps", (("when", when),), "gap", sum(gaps) / len(gaps)
    for layer, group in enumerate(trained.groups("heads").values(), 1):
        for head, lost in enumerate(lost_with_heads(trained.context, group).tolist(), 1):
            yield "heads", (("layer", layer), ("head", head)), "lost", min(max(lost, 0.0), 1.0)
