"""A network that others trained, pruned: CREPE, which hears the pitch of a tone.

Its weights come with a package of others (`models.pitch_estimator`), the tones are synthesised, and
nothing is trained. Tones to score and to fit on are not those by which a network is judged.
"""

import os
import time
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..cost.footprint import latencies, measure
from ..data import tones
from ..models.pitch import CHANNELS, FRAME, hertz, pitch_estimator
from ..network.modes import evaluating
from ..progress import bar
from ..pruning.choices import check_ratio
from ..pruning.pruner import Pruner
from ..text import check_choice
from . import pitch_records as records
from .protocol import check_name
from .store import locked

RATIOS, SEEDS = (0.1, 0.3, 0.5, 0.7), 3
FRAMES, JUDGED, NOISE = 1024, 2048, 0.05
CENTS = 50.0  # a quarter tone, within which a pitch counts as heard
_BATCH = 64  # frames whose time is taken


@torch.no_grad()
def heard(model: nn.Module, frames: Tensor, pitch: Tensor, cents: float = CENTS) -> float:
    """The share of tones whose pitch a network hears.

    Parameters
    ----------
    model : torch.nn.Module
        Takes frames (N, 1024), gives logits (N, 360). It is asked in evaluation mode, and keeps
        its own.
    frames : Tensor, shape (N, 1024)
        At least one.
    pitch : Tensor, shape (N,)
        In hertz, above 0.
    cents : float
        How far off a pitch may be, at least 0; 100 are a semitone.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        Frames, pitches or cents are not as said.
    """
    if frames.ndim != 2 or not len(frames) or pitch.shape != frames.shape[:1]:
        raise ValueError(
            f"there should be frames, (N, {FRAME}), and as many pitches, (N,), not "
            f"{tuple(frames.shape)} and {tuple(pitch.shape)}"
        )
    if not (torch.isfinite(pitch) & (pitch > 0)).all():
        raise ValueError("a pitch is in hertz, finite and above 0")
    if not cents >= 0:
        raise ValueError(f"cents should be at least 0, not {cents}")
    with evaluating(model):
        told = torch.cat([hertz(model(some)) for some in frames.split(256)])
    return ((1200 * (told / pitch).log2()).abs() <= cents).float().mean().item()


def ways_of(
    model: nn.Module, data: Tensor, seed: int = 0
) -> dict[str, Callable[[float], nn.Module]]:
    """Every way of `pitch_records.WAYS`, as a function of the share of units to remove.

    What a way needs of the dense network is worked out once, when its first network is made.
    """
    pruners = {}

    def pruner(sees: bool) -> Pruner:
        if sees not in pruners:
            given = {"data": data} if sees else {"example": data[:1]}
            pruners[sees] = Pruner(model, seed=seed, **given)
        return pruners[sees]

    def cut(criterion: str) -> Callable[[float], nn.Module]:
        return lambda ratio: pruner(True).prune(ratio, criterion, "global", False)

    def refitted(criterion: str) -> Callable[[float], nn.Module]:
        return lambda ratio: pruner(True).prune(ratio, criterion, "residual", "refit")

    return {
        **{criterion: cut(criterion) for criterion in records.CUT},
        "spline merged": lambda ratio: pruner(False).prune(ratio, "spline", "global", "merge"),
        "default without data": lambda ratio: pruner(False).prune(ratio),
        "random refitted": refitted("random"),
        "spline refitted": refitted("spline"),
        "default with data": lambda ratio: pruner(True).prune(ratio),
    }


def compare(
    size: str = "tiny",
    *,
    ratios: Sequence[float] = RATIOS,
    ways: Sequence[str] = records.WAYS,
    seeds: int = SEEDS,
    frames: int = FRAMES,
    name: str | None = None,
    folder: str | os.PathLike | None = None,
    weights: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Prune CREPE in several ways, and record how many pitches what is left still hears.

    What is recorded already is not done again, so a second call can add ways, ratios and seeds.

    Parameters
    ----------
    size : {"tiny", "full"}
        As for `models.pitch_estimator`.
    ratios : sequence of float
        Shares of units to remove.
    ways : sequence of str
        Of `pitch_records.WAYS`.
    seeds : int
        Draws of those in which units go by lot.
    frames : int
        Tones to score and to fit on.
    name : str, optional
        Of the record; the size.
    folder, progress
        As for `run`.
    weights : path, optional
        As for `models.pitch_estimator`.

    Returns
    -------
    dict
        The record, as written to ``pitch/NAME.json``.

    Raises
    ------
    ValueError
        Something is out of range, or the record was made with other settings.
    MissingPackage
        The weights are not installed.
    DamagedFile
        The record or the weights cannot be read.
    RunLocked
        Another process is writing the record.
    """
    check_choice("size", size, CHANNELS)
    for way in ways:
        check_choice("way", way, records.WAYS)
    for ratio in ratios:
        check_ratio(ratio)
        if not ratio:
            raise ValueError("A ratio is above 0 here; the dense network is recorded anyway.")
    for number, what in ((seeds, "seed"), (frames, "frame")):
        if number < 1:
            raise ValueError(f"there should be at least one {what}, not {number}")
    name = size if name is None else name
    check_name("record", name)
    settings = {"size": size, "calibration": frames, "judged_on": JUDGED, "noise": NOISE}
    settings |= {"cents": CENTS, "batch": _BATCH}
    path = records.path_of(name, folder)
    with locked(path.parent, name):
        record = records.opened(path, name, settings, entries=[])
        done = {(entry["way"], entry["ratio"], entry["seed"]) for entry in record["entries"]}
        # What is named twice is done once.
        wanted = [(records.DENSE, 0.0, 0)] + [
            (way, ratio, seed)
            for seed in range(seeds)
            for way in ways
            for ratio in ratios
            if not seed or way in records.BY_LOT
        ]
        todo = [key for key in dict.fromkeys(wanted) if key not in done]
        if not todo:
            return record
        data, _ = tones(frames, seed=0, noise=NOISE)
        study = _Study(pitch_estimator(size, weights), data)
        for key in bar(todo, desc=f"pitch {name}", unit="network", disable=not progress):
            began = time.perf_counter()
            record["entries"].append(study.entry(*key))
            record["seconds"] += time.perf_counter() - began
            records.write(path, record, _words(record))
    return record


class _Study:
    """A dense network, its tones, and what was made of it."""

    def __init__(self, dense: nn.Module, data: Tensor):
        self.dense, self.data = dense, data
        self.test = tones(JUDGED, seed=1, noise=NOISE)
        self._ways: dict[int, dict] = {}

    def entry(self, way: str, ratio: float, seed: int) -> dict:
        """What is recorded of one network."""
        small = self.dense if way == records.DENSE else self._pruned(way, ratio, seed)
        size = measure(small, self.data[:1], repeats=1)
        ours, dense = latencies([small, self.dense], self.data[:_BATCH])
        return {
            **{"way": way, "ratio": ratio, "seed": seed, "accuracy": heard(small, *self.test)},
            **{"channels": size.channels, "parameters": size.parameters, "macs": size.macs},
            **{"latency": ours, "dense_latency": dense},
        }

    def _pruned(self, way: str, ratio: float, seed: int) -> nn.Module:
        if seed not in self._ways:
            self._ways[seed] = ways_of(self.dense, self.data, seed)
        with warnings.catch_warnings():
            # Layers that would have gone and keep a unit; the one behind which nothing is known.
            warnings.simplefilter("ignore")
            return self._ways[seed][way](ratio)


def _words(record: dict) -> list[str]:
    """What the command says, so that it makes all that is recorded."""
    entries = [entry for entry in record["entries"] if entry["way"] != records.DENSE]
    words = ["--size", record["settings"]["size"]]
    if entries:
        words += ["--ways", *dict.fromkeys(entry["way"] for entry in entries)]
        words += ["--ratios", *dict.fromkeys(f"{entry['ratio']:g}" for entry in entries)]
    seeds = 1 + max((entry["seed"] for entry in record["entries"]), default=0)
    words += ["--seeds", f"{seeds}", "--frames", f"{record['settings']['calibration']}"]
    return [*words, "--name", record["name"]]
