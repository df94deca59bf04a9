"""Local complexity over training, dense and pruned at the early bird.

A narrow VGG-16 learns digits. After every epoch the regions that a disc around some points meets
are counted, exactly, on a plane through three images, and beside them the units that cut the
surroundings in all directions, by sampling. At the early bird a copy is pruned, trained on by what
is left of the schedule, and counted alike.
"""

import os
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..codes.early_bird import EarlyBird
from ..codes.extraction import region_codes
from ..codes.neighbourhoods import cutting_units
from ..data import Dataset, load
from ..data.probes import canvas
from ..geometry.partition import partition
from ..geometry.plane import Plane
from ..models import build
from ..progress import bar
from ..pruning.pruner import prune
from ..randomness import generator_of
from ..training.evaluation import evaluate
from ..training.loop import train
from .protocol import check_name
from .slice_records import KINDS, opened, path_of, write
from .store import locked

NETWORK, WIDTH, EPOCHS, SEEDS = "vgg16", 1 / 16, 20, 10
MILESTONES = 14, 17  # epochs after which the rate falls: late, so that the early bird comes before
RATE, BATCH, RATIO = 0.05, 64, 0.5
POINTS, RADII, DIRECTIONS = 3, (0.25, 0.5), 16
PROBES, CALIBRATED = 20, 512  # steps along each side of the canvas; images that pruning looks at


def surroundings(digits: Dataset, seed: int, points: int = POINTS) -> dict[str, Tensor]:
    """Three times as many inputs as there are points, of each kind; see `regions_around`.

    Noise is Gaussian, with the mean and the deviation that pixels have.
    """
    generator = generator_of(seed)
    found = {}
    for kind, images in (("training", digits.train_images), ("test", digits.test_images)):
        chosen = torch.randperm(len(images), generator=generator)[: 3 * points]
        found[kind] = digits.to_float(images[chosen])
    whole = digits.to_float(digits.train_images)
    drawn = torch.randn(3 * points, *whole.shape[1:], generator=generator)
    return found | {"noise": whole.mean() + whole.std() * drawn}


def regions_around(model: nn.Module, inputs: Tensor, radii: Sequence[float]) -> list[list[int]]:
    """Regions that discs around some inputs meet, each on the plane of three inputs.

    Parameters
    ----------
    model : torch.nn.Module
    inputs : Tensor, shape (3 K, ...)
        Discs lie around the first of each three, on the plane of these three.
    radii : sequence of float
        Distances in input space.

    Returns
    -------
    list of list of int
        For each radius, one number for each of the K points.
    """
    reach, found = max(radii), []
    for three in inputs.split(3):
        plane = Plane.orthonormal(*three)
        part = partition(model, ((-reach, reach), (-reach, reach)), plane)
        found.append(part.local_complexity((0, 0), radii).tolist())
    return [list(counts) for counts in zip(*found, strict=True)]


class Course:
    """What is counted of one network after each of its epochs.

    Attributes
    ----------
    entries : list of dict
        As the record holds them.
    """

    def __init__(self, digits: Dataset, seed: int, network: str):
        self.digits, self.head = digits, {"seed": seed, "network": network}
        self.points = surroundings(digits, seed)
        self.entries: list[dict] = []

    def look(self, model: nn.Module, epoch: int) -> None:
        """Count around all points; epochs from 1, 0 being before training."""
        test = self.digits.to_float(self.digits.test_images)
        accuracy = evaluate(model, test, self.digits.test_labels)
        for kind in KINDS:
            inputs = self.points[kind]
            regions = regions_around(model, inputs, RADII)
            for radius, counts in zip(RADII, regions, strict=True):
                cut = cutting_units(model, inputs[::3], radius, DIRECTIONS, self.head["seed"])
                entry = self.head | {"epoch": epoch, "kind": kind, "radius": radius}
                entry |= {"accuracy": accuracy, "regions": counts}
                self.entries.append(entry | {"units": sum(cut.values()).tolist()})


def course(
    seed: int, epochs: int = EPOCHS, milestones: Sequence[int] = MILESTONES
) -> tuple[dict, list[dict]]:
    """The early bird of a seed, and what is counted of its dense and its pruned network.

    If the partition has not settled when the rate falls, the network is pruned there.
    """
    digits = load("digits")
    detector, dense = EarlyBird(), Course(digits, seed, "dense")
    probes, drawn = canvas(digits, PROBES, seed), {}
    recipe = {"epochs": epochs, "lr": RATE, "batch_size": BATCH, "milestones": milestones}
    recipe |= {"augment": False, "seed": seed}
    images = digits.to_float(digits.train_images)

    def look(epoch: int, model: nn.Module) -> None:
        dense.look(model, epoch + 1)
        settled = detector.update(region_codes(model, probes))
        if not drawn and (settled or epoch + 1 == milestones[0]):
            small = prune(model, RATIO, data=images[:CALIBRATED])
            drawn.update(small=small, epoch=epoch + 1, settled=settled)

    start = build(NETWORK, digits, width=WIDTH, seed=seed)
    dense.look(start, 0)
    train(start, digits, on_epoch=look, progress=False, **recipe)
    pruned, epoch = Course(digits, seed, "pruned"), drawn["epoch"]
    pruned.look(drawn["small"], epoch)

    def go_on(epoch: int, model: nn.Module) -> None:
        pruned.look(model, epoch + 1)

    train(drawn["small"], digits, on_epoch=go_on, start=epoch, progress=False, **recipe)
    bird = {"seed": seed, "epoch": epoch, "settled": bool(drawn["settled"])}
    return bird, dense.entries + pruned.entries


def compare(
    *,
    seeds: int = SEEDS,
    name: str = "digits",
    folder: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Count over the training of each seed, dense and pruned, and record it.

    A second call with more seeds adds them.

    Parameters
    ----------
    seeds : int
        Networks, and choices of points.
    name : str
        Of the record.
    folder, progress
        As for `run`.

    Returns
    -------
    dict
        The record, as written to ``slices/NAME.json``.

    Raises
    ------
    ValueError
        There is no seed, or the record was made with other settings.
    """
    if seeds < 1:
        raise ValueError(f"there should be at least one seed, not {seeds}")
    check_name("record", name)
    path = path_of(name, folder)
    settings = {"network": NETWORK, "width": WIDTH, "epochs": EPOCHS, "points": POINTS}
    settings |= {
        "milestones": list(MILESTONES),
        "rate": RATE,
        "batch": BATCH,
        "ratio": RATIO,
        "directions": DIRECTIONS,
    }
    with locked(path.parent, name):
        record = opened(path, name, settings, birds=[], entries=[])
        done = {bird["seed"] for bird in record["birds"]}
        todo = [seed for seed in range(seeds) if seed not in done]
        with bar(total=len(todo), desc=name, unit="seed", disable=not progress) as shown:
            for seed in todo:
                began = time.perf_counter()
                bird, entries = course(seed)
                record["birds"].append(bird)
                record["entries"] += entries
                record["seconds"] += time.perf_counter() - began
                write(path, record, _words(record, seeds))
                shown.update()
    return record


def _words(record: dict, seeds: int) -> list[str]:
    words = [] if seeds == SEEDS else ["--seeds", f"{seeds}"]
    return words if record["name"] == "digits" else [*words, "--name", record["name"]]
