"""Small networks for clusters of inputs, chosen by a router, against one ticket of their cost.

A dense perceptron learns digits. Its training inputs are grouped, by k-means on the bits of their
codes or on their pixels; of each cluster's inputs a small network is cut out of the dense one and
trained on. At the same cost stand one static ticket and a wider ticket with an early exit.
"""

import os
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ..codes.clusters import code_clusters
from ..codes.extraction import region_codes
from ..codes.regioncodes import RegionCodes
from ..cost.flops import FlopCounter
from ..cost.footprint import latencies
from ..data import load
from ..errors import warn
from ..models import EarlyExit, Routed, mlp
from ..network.modes import evaluating
from ..progress import bar
from ..pruning.pruner import prune
from ..randomness import generator_of
from ..training.loop import train
from .protocol import check_name
from .route_records import opened, path_of, write
from .store import locked

DENSE, HIDDEN = 256, 3  # units of each hidden layer, and how many layers
WIDTHS, CLUSTERS, SEEDS = (16, 32, 64), (4, 8), 10
CODED = "linear3"  # whose bits are grouped: the last hidden layer
IMAGES = 1152  # training images; the others of the training part set the exits
EPOCHS, TUNED = 15, 10  # of the dense network, and of what is cut out of it
RATE, TUNED_RATE, BATCH = 0.05, 0.02, 32

Labelled = tuple[Tensor, Tensor]


class Parts:
    """Digits for one seed: to train on, to set exits by, and to test on; inputs are flat."""

    def __init__(self, seed: int):
        digits = load("digits")
        order = torch.randperm(len(digits.train_images), generator=generator_of(seed))
        images = digits.to_float(digits.train_images).flatten(1)[order]
        labels = digits.train_labels[order]
        self.train: Labelled = images[:IMAGES], labels[:IMAGES]
        self.held: Labelled = images[IMAGES:], labels[IMAGES:]
        self.test: Labelled = digits.to_float(digits.test_images).flatten(1), digits.test_labels


def dense_network(parts: Parts, seed: int, epochs: int = EPOCHS, width: int = DENSE) -> nn.Module:
    """A perceptron that has learned the digits."""
    model = mlp([parts.train[0].shape[1], *[width] * HIDDEN, 10], seed=seed)
    return _trained(model, parts.train, epochs, RATE, seed)


def ticket(
    dense: nn.Module, width: int, data: Labelled, epochs: int = TUNED, seed: int = 0
) -> nn.Module:
    """As many units of each hidden layer of the dense network, refitted and trained on some data.

    With fewer inputs than there are units of a layer to fit, nothing is refitted.
    """
    wide = dense.linear1.out_features
    compensate = len(data[0]) > wide
    kind = "lsq" if compensate else "magnitude"
    small = prune(
        dense, 1 - width / wide, kind, scope="layerwise", data=data[0], compensate=compensate
    )
    return _trained(small, data, epochs, TUNED_RATE, seed)


def _trained(model: nn.Module, data: Labelled, epochs: int, rate: float, seed: int) -> nn.Module:
    settings = {"epochs": epochs, "lr": rate, "batch_size": BATCH, "seed": seed}
    return train(model, data, progress=False, **settings).model


def routed(
    dense: nn.Module,
    width: int,
    clusters: Tensor,
    data: Labelled,
    epochs: int = TUNED,
    seed: int = 0,
) -> Routed:
    """A small network for each cluster, and the router to the nearest mean of their inputs.

    Each network is made from the inputs that the router gives it, which are not quite those of its
    cluster. A centre that no input is nearest to is left out, with a warning.

    Parameters
    ----------
    dense : torch.nn.Module
    width : int
        Of each hidden layer of the small networks.
    clusters : Tensor of int64, shape (N,)
        Of the inputs of `data`.
    data : (Tensor, Tensor)
        Inputs (N, F) and labels (N,).
    epochs, seed
        Of the training of each.
    """
    if len(clusters) != len(data[0]):
        raise ValueError(
            f"there are {len(clusters)} numbers of clusters for {len(data[0])} inputs: give one "
            "for each"
        )
    inputs, labels = data
    centres = torch.stack([inputs[clusters == number].mean(0) for number in clusters.unique()])
    given = Routed(centres, [nn.Identity()] * len(centres)).chosen(inputs)
    used = given.unique()
    if len(used) < len(centres):
        warn(
            f"{len(centres) - len(used)} of {len(centres)} clusters are left without members, as "
            "no input is nearest to their mean: they get no network"
        )
    experts = []
    for number in used:
        rows = given == number
        experts.append(ticket(dense, width, (inputs[rows], labels[rows]), epochs, seed))
    return Routed(centres[used], experts)


def early_exit(
    wide: nn.Module, parts: Parts, macs: float, epochs: int = TUNED, seed: int = 0
) -> EarlyExit | None:
    """A ticket with an exit behind its first hidden layer, at a given cost on average.

    The exit is a linear layer, trained on the training inputs. Its threshold is the one at which
    the held-out inputs cost as much; None if even the exit alone costs more.
    """
    layers = list(wide.children())
    first, rest = nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:])
    with torch.no_grad(), evaluating(first):
        features = first(parts.train[0])
    head = mlp([features.shape[1], 10], seed=seed)
    head = _trained(head, (features, parts.train[1]), epochs, RATE, seed)
    made = EarlyExit(first, head, rest, 0.0)
    sure, unsure = (cost(made_at(made, at), parts.held[0]) for at in (0.0, 2.0))
    if sure > macs:
        return None
    share = min(1.0, (macs - sure) / (unsure - sure))  # of inputs that may go on
    with torch.no_grad(), evaluating(made):
        confidence = made.confidence(parts.held[0])
    return made_at(made, float(confidence.quantile(share)))


def made_at(exit_: EarlyExit, threshold: float) -> EarlyExit:
    """The same network with another threshold."""
    return EarlyExit(exit_.first, exit_.head, exit_.rest, threshold)


def cost(model: nn.Module, inputs: Tensor) -> float:
    """Multiply-accumulates of one input, on average."""
    with torch.no_grad(), evaluating(model), FlopCounter() as counter:
        model(inputs.clone())
    return counter.total / 2 / len(inputs)


def static(
    dense: nn.Module, width: int, parts: Parts, macs: float, epochs: int = TUNED, seed: int = 0
) -> nn.Module:
    """The ticket of least width, at least this, that costs no less than so many MACs."""
    fan_in, outputs = parts.train[0].shape[1], 10
    while fan_in * width + (HIDDEN - 1) * width**2 + width * outputs < macs:
        width += 1
    return ticket(dense, width, parts.train, epochs, seed)


def networks(
    seed: int,
    widths: Sequence[int] = WIDTHS,
    clusters: Sequence[int] = CLUSTERS,
    epochs: int = EPOCHS,
    tuned: int = TUNED,
) -> Iterator[tuple[str, int, nn.Module]]:
    """Every network of a seed: its way, its width and itself, the dense one first."""
    parts = Parts(seed)
    inputs = parts.train[0]
    dense = dense_network(parts, seed, epochs)
    yield "dense", DENSE, dense
    codes = region_codes(dense, inputs)
    pixels = RegionCodes.from_bool({"pixels": inputs > inputs.mean(0)})
    groups = {f"codes {count}": code_clusters(codes, count, [CODED], seed) for count in clusters}
    groups[f"pixels {max(clusters)}"] = code_clusters(pixels, max(clusters), seed=seed)
    wider = {DENSE: dense}
    for width in sorted(widths, reverse=True):
        most = 0.0
        for way, group in groups.items():
            network = routed(dense, width, group, parts.train, tuned, seed)
            most = max(most, cost(network, parts.test[0]))
            yield way, width, network
        many = max(clusters)  # as many steps for each network as the ticket has
        longer = routed(dense, width, groups[f"codes {many}"], parts.train, many * tuned, seed)
        yield f"codes {many} longer", width, longer
        one = static(dense, width, parts, most, tuned, seed)
        yield "static", width, one
        twice = 2 * width
        if twice not in wider:
            wider[twice] = ticket(dense, twice, parts.train, tuned, seed)
        leaving = early_exit(wider[twice], parts, cost(one, parts.test[0]), tuned, seed)
        if leaving is not None:
            yield "early exit", width, leaving


def compare(
    widths: Sequence[int] = WIDTHS,
    clusters: Sequence[int] = CLUSTERS,
    *,
    seeds: int = SEEDS,
    name: str = "digits",
    folder: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Make every network for each seed, and record its accuracy, its cost and its latency.

    Latencies of a seed's networks are measured in turns on one thread: of all test images at
    once, and of one image by itself. A second call with more seeds adds them.

    Parameters
    ----------
    widths, clusters : sequence of int
        Of the small networks, and how many of them the router chooses among.
    seeds : int
        Networks, and orders of the data.
    name : str
        Of the record.
    folder, progress
        As for `run`.

    Returns
    -------
    dict
        The record, as written to ``routes/NAME.json``.

    Raises
    ------
    ValueError
        Something is out of range, or the record was made with other settings.
    """
    if not widths or not all(0 < width <= DENSE // 2 for width in widths):
        raise ValueError(f"widths should lie between 1 and {DENSE // 2}, not {list(widths)}")
    if not clusters or min(clusters) < 1 or seeds < 1:
        raise ValueError("there should be at least one cluster and one seed")
    check_name("record", name)
    path = path_of(name, folder)
    settings = {"dense": DENSE, "hidden": HIDDEN, "epochs": EPOCHS, "tuned": TUNED}
    with locked(path.parent, name):
        record = opened(path, name, settings, entries=[])
        done = {entry["seed"] for entry in record["entries"]}
        todo = [seed for seed in range(seeds) if seed not in done]
        with bar(total=len(todo), desc=name, unit="seed", disable=not progress) as shown:
            for seed in todo:
                began = time.perf_counter()
                record["entries"] += entries(seed, widths, clusters)
                record["seconds"] += time.perf_counter() - began
                write(path, record, _words(record, seeds))
                shown.update()
    return record


def entries(seed: int, widths: Sequence[int], clusters: Sequence[int]) -> list[dict]:
    """What is recorded of one seed."""
    made = list(networks(seed, widths, clusters))
    inputs, labels = Parts(seed).test
    models = [model for _, _, model in made]
    together, alone = latencies(models, inputs, 21), latencies(models, inputs[:1], 101)
    found = []
    for (way, width, model), batch, single in zip(made, together, alone, strict=True):
        with torch.no_grad(), evaluating(model):
            right = (model(inputs).argmax(1) == labels).double().mean()
        entry = {"seed": seed, "way": way, "width": width, "test": float(right)}
        entry |= {"macs": cost(model, inputs), "batch": batch / len(inputs), "single": single}
        found.append(entry)
    return found


def _words(record: dict, seeds: int) -> list[str]:
    words = [] if seeds == SEEDS else ["--seeds", f"{seeds}"]
    return words if record["name"] == "digits" else [*words, "--name", record["name"]]
