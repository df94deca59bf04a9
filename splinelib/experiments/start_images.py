"""One point of the comparison of `starts` on images: VGG-16 for CIFAR-10, cut out or started small.

A network as wide as the final one times a factor is trained for half of the epochs, cut and
trained for the other half; the final network is trained from random weights for as many epochs, and
for as many as the same FLOPs pay for. Batch norm stands behind every convolution here, and puts
each line through its batch: there is no start of lines outside the data to mend.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..codes.lines import distinct_lines
from ..cost.flops import FORWARDS_PER_STEP, forward_flops
from ..data import load
from ..data.dataset import Dataset
from ..models import build
from ..training import evaluate, train
from . import start_records
from .protocol import check_name
from .start_ways import cuts_of
from .store import folders, locked

NETWORK, DEPTH, BATCH, RATE = "vgg16", 13, 32, 0.05
SHOWN = 256  # images by which lines are counted; cuts look at twice as many


def confirm(
    name: str = "cifar10",
    *,
    dataset: str = "cifar10",
    width: float = 0.0625,
    factor: int = 2,
    epochs: int = 4,
    images: int = 2_000,
    tested: int = 2_000,
    seeds: int = 3,
    folder: str | os.PathLike | None = None,
    root: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Reach a narrow VGG-16 by pruning a wider one, and from random weights at its cost.

    An interrupted call goes on from the last epoch that was finished; what is recorded is not done
    again.

    Parameters
    ----------
    name : str
        Of the record.
    dataset : str
        As for `data.load`.
    width : float
        Of the final network, as a multiple of VGG-16's channels.
    factor : int
        How many times as wide the network is that is pruned.
    epochs : int
        In all, at equal epochs: an even number.
    images, tested : int
        Images to train on (a quarter as many more to validate by) and to test on.
    seeds : int
    folder, root, progress
        As for `run`.

    Returns
    -------
    dict
        The record, as `starts.compare` gives it.

    Raises
    ------
    ValueError
        A setting is out of range, or the record was made with others.
    """
    if epochs < 2 or epochs % 2 or factor < 2 or seeds < 2:
        raise ValueError(
            f"epochs is an even number, factor and seeds are at least 2; got epochs={epochs}, "
            f"factor={factor}, seeds={seeds}."
        )
    check_name("record", name)
    path, checkpoints = start_records.path_of(name, folder), folders(folder)[1]
    channels = max(1, round(64 * width))
    settings = {"seeds": seeds, "epochs": epochs, "images": images, "tested": tested}
    settings |= {"channels": channels, "factor": factor}
    with locked(path.parent, name):
        record = start_records.opened(path, name, settings, entries=[])
        if record["entries"]:
            return record
        began, found = time.perf_counter(), {}
        data = load(dataset, root).subset(train=images + images // 4, test=tested)
        for seed in range(seeds):
            kept = checkpoints / f"{start_records.RECORDS.kind}-{name}" / f"seed{seed}"
            told = (settings | {"dataset": dataset}).items()
            context = {"comparison": ", ".join(f"{key} {value}" for key, value in told)}
            trained = partial(_trained, data, images, seed, kept, context, progress)
            for key, values in _ways(data, images, width, factor, epochs, seed, trained):
                found.setdefault(key, []).append(values)
        about = {"data": dataset, "depth": DEPTH, "width": channels}
        for (way, budget, of), rows in found.items():
            entry = about | {
                "factor": of,
                "way": way,
                "budget": budget,
                "restarts": 1,
                "rate": RATE,
            }
            entry |= {part: rows[0][part] for part in ("steps", "flops")}
            for part in ("validation", "test", "lines_before", "lines"):
                entry[part] = [row[part] for row in rows]
            record["entries"].append(entry)
        record["seconds"] += time.perf_counter() - began
        start_records.write(path, record, ["--images", "--name", name])
    return record


Train = Callable[[str, nn.Module, int], nn.Module]


def _ways(data: Dataset, images: int, width, factor, epochs, seed, trained: Train):
    """Of one seed: (way, budget, factor) and what came out."""
    inputs = data.to_float(data.train_images[:images])
    shown, steps = inputs[:SHOWN], -(-images // BATCH)
    untrained = build(NETWORK, data, width * factor, seed)
    small = build(NETWORK, data, width, seed)
    half = epochs // 2
    per_image = [FORWARDS_PER_STEP * forward_flops(net, shown) for net in (untrained, small)]

    def result(start: nn.Module, end: nn.Module, count: int, flops: float) -> dict:
        held = data.train_images[images:], data.train_labels[images:]
        test = data.test_images, data.test_labels
        return {
            "steps": count * steps,
            "flops": flops,
            "validation": evaluate(end, *held, transform=data.to_float),
            "test": evaluate(end, *test, transform=data.to_float),
            "lines_before": sum(distinct_lines(start, shown).values()),
            "lines": sum(distinct_lines(end, shown).values()),
        }

    end = trained("random", small, epochs)
    yield ("random", "epochs", 1), result(small, end, epochs, epochs * images * per_image[1])
    wide = trained("wide", untrained, half)
    flops = half * images * per_image[0]
    yield (start_records.WIDE, "epochs", factor), result(untrained, wide, half, flops)
    cuts, counted = cuts_of(wide, untrained, inputs[: 2 * SHOWN], factor, seed)
    budget = flops + counted + half * images * per_image[1]
    for way, cut in cuts.items():
        end = trained(way, cut, half)
        yield (way, "epochs", factor), result(cut, end, half, budget)
    count = int(budget // (images * per_image[1]))
    end = trained("random at its cost", small, count)
    yield ("random", "flops", factor), result(small, end, count, count * images * per_image[1])


def _trained(
    data: Dataset,
    images: int,
    seed: int,
    kept: Path,
    context: dict,
    progress: bool,
    way: str,
    model: nn.Module,
    epochs: int,
) -> nn.Module:
    """A copy of the model, trained; its checkpoint says how far it has come, and of what."""
    order = torch.arange(images)
    part = data.to_float(data.train_images[order]), data.train_labels[order]
    kept.mkdir(parents=True, exist_ok=True)
    file = kept / f"{way.replace(': ', '-').replace(' ', '-')}.pt"
    settings = {"epochs": epochs, "batch_size": BATCH, "lr": RATE, "seed": seed}
    return train(
        model,
        part,
        checkpoint=file,
        context=context,
        progress=progress,
        label=f"{way}, seed {seed}",
        **settings,
    ).model
