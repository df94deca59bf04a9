"""Ways of others to a smaller network without training, beside ours on the same dense networks.

Networks are trained on digits, or one of a recorded run is read. Each way takes the same share of
every layer from it, but for the defaults of `prune`, which choose how much each layer gives, and
what is left is judged as it is. Nothing is chosen by what it is judged on.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..cost.footprint import measure
from ..data import load
from ..models import build
from ..progress import bar
from ..pruning.masking import shrink
from ..pruning.pruner import Pruner
from ..pruning.selection import select
from ..rivals import folding, gram, neuron_merging, renewed_statistics
from ..text import check_choice
from ..training import evaluate, train
from . import rival_records as records
from .oneshot import recorded_dense, recorded_run
from .protocol import check_name
from .setting import sample
from .store import locked
from .truncations import HELD_OUT, SETTINGS, WEIGHT_DECAY

RATIOS, SEEDS = (0.3, 0.5, 0.7), 3
_HELD_OUT, _TEST = "held-out training images", "test images"


@dataclass(frozen=True)
class Subject:
    """A dense network that is pruned in every way.

    Attributes
    ----------
    model : torch.nn.Module
    data : Tensor
        Unlabelled training images, for ways that look at some.
    judge : callable
        Gives the accuracy of a network, in [0, 1].
    seed : int
    """

    model: nn.Module
    data: Tensor
    judge: Callable[[nn.Module], float]
    seed: int


def trained(network: str, seed: int, width: float, epochs: int) -> Subject:
    """A network trained on four fifths of the training digits, judged on the others."""
    digits = load("digits")
    chosen, held_out = digits.split(HELD_OUT, seed=0)
    inputs, labels = digits.to_float(digits.train_images), digits.train_labels
    model = train(
        build(network, digits, width=width, seed=seed),
        (inputs[chosen], labels[chosen]),
        epochs=epochs,
        lr=SETTINGS[network]["lr"],
        weight_decay=WEIGHT_DECAY,
        seed=seed,
        progress=False,
    ).model.eval()
    judge = lambda small: evaluate(small, inputs[held_out], labels[held_out])  # noqa: E731
    return Subject(model, inputs[chosen], judge, seed)


def networks(subject: Subject) -> Iterator[tuple[str, bool, float, nn.Module]]:
    """Every network: its way, whether statistics were renewed, the ratio, and itself."""
    model, data, example = subject.model, subject.data, subject.data[:1]
    seeing = Pruner(model, data, seed=subject.seed)
    blind = Pruner(model, example=example, seed=subject.seed)
    normed = any(isinstance(module, _BatchNorm) for module in model.modules())
    yield records.DENSE, False, 0.0, model
    for ratio in RATIOS:
        masks = select(blind.scores("magnitude"), ratio, "layerwise")
        made = {
            "magnitude": lambda masks=masks: shrink(model, masks),
            "folding": lambda ratio=ratio: folding(model, ratio, example, subject.seed),
            "neuron merging": lambda masks=masks: neuron_merging(model, masks),
            "neuron merging as coded": lambda masks=masks: neuron_merging(
                model, masks, formula="code"
            ),
            "GRAIL": lambda masks=masks: gram(model, masks, data),
            "bend merged": lambda ratio=ratio: blind.prune(ratio, "bend", "layerwise", "merge"),
            "magnitude refitted": lambda ratio=ratio: seeing.prune(
                ratio, "magnitude", "layerwise", "refit"
            ),
            "lsq refitted": lambda ratio=ratio: seeing.prune(ratio, "lsq", "layerwise", "refit"),
            "default without data": lambda ratio=ratio: blind.prune(ratio),
            "default with data": lambda ratio=ratio: seeing.prune(ratio),
        }
        if not normed:  # the formula is of batch norms
            del made["neuron merging as coded"]
        for way, make in made.items():
            small = make()
            yield way, False, ratio, small
            if normed and way in records.RENEWED:
                yield way, True, ratio, renewed_statistics(small, data)


def entries(subject: Subject) -> list[dict]:
    """What is recorded of one dense network."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that would have gone, and keep one unit
        for way, renewed, ratio, network in networks(subject):
            size = measure(network, subject.data[:1], repeats=1)
            found.append(
                {
                    **{"seed": subject.seed, "way": way, "renewed": renewed, "ratio": ratio},
                    **{"accuracy": subject.judge(network), "channels": size.channels},
                    **{"parameters": size.parameters, "macs": size.macs},
                }
            )
    return found


def compare(
    network: str = "mlp",
    run: str | None = None,
    *,
    seeds: int = SEEDS,
    name: str | None = None,
    folder: str | os.PathLike | None = None,
    root: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Prune dense networks in every way, and record the accuracy and the size of what is left.

    Parameters
    ----------
    network : {"mlp", "vgg16"}
        Trained on digits as `truncations.SETTINGS` says. Judged on held-out training images.
    run : str, optional
        Name of a recorded run, whose dense network is taken in their place. Its checkpoint has to
        be on this machine. Judged on the test images.
    seeds : int
        Networks trained on digits; those that the record has not are added.
    name : str, optional
        Of the record; ``digits-NETWORK``, or the run's name.
    folder, root, progress
        As for `run`.

    Returns
    -------
    dict
        The record, as written to ``rivals/NAME.json``.

    Raises
    ------
    ValueError
        Something is out of range, there is no such run or its checkpoint is not here, or the
        record was made with other settings.
    DamagedFile
        A record or checkpoint cannot be read.
    RunLocked
        Another process is writing the record.
    """
    check_choice("network", network, SETTINGS)
    if seeds < 1:
        raise ValueError(f"there should be at least one seed, not {seeds}")
    name = name or run or f"digits-{network}"
    check_name("record", name)
    settings, words = _settings(network, run, folder)
    path = records.path_of(name, folder)
    with locked(path.parent, name):
        record = records.opened(path, name, settings, entries=[])
        done = {entry["seed"] for entry in record["entries"]}
        wanted = range(seeds) if run is None else [recorded_run(run, folder)["protocol"]["seed"]]
        todo = [seed for seed in wanted if seed not in done]
        for seed in bar(todo, desc=name, unit="network", disable=not progress):
            began = time.perf_counter()
            if run is None:
                subject = trained(network, seed, settings["width"], settings["epochs"])
            else:
                subject = _recorded(run, folder, root)
            record["entries"] += entries(subject)
            record["seconds"] += time.perf_counter() - began
            told = words if run else [*words, "--seeds", f"{seed + 1}"]
            records.write(path, record, [*told, "--name", name])
    return record


def _settings(
    network: str, run: str | None, folder: str | os.PathLike | None
) -> tuple[dict, list[str]]:
    """What a record says of its networks, and the words of its command."""
    if run is None:
        own = SETTINGS[network]
        digits = load("digits")
        settings = {"data": "digits", "network": network, "judged_on": _HELD_OUT}
        settings |= {"width": own["width"], "epochs": own["epochs"]}
        settings |= {"calibration": len(digits.split(HELD_OUT, seed=0)[0])}
        return settings, ["--network", network]
    protocol = recorded_run(run, folder)["protocol"]
    kept = ("network", "width", "epochs", "calibration")
    settings = {part: protocol[part] for part in kept}
    return settings | {"data": protocol["dataset"], "judged_on": _TEST}, ["--run", run]


def _recorded(
    run: str, folder: str | os.PathLike | None, root: str | os.PathLike | None
) -> Subject:
    model, dataset, protocol = recorded_dense(recorded_run(run, folder), folder, root)
    test = dataset.test_images, dataset.test_labels
    judge = lambda small: evaluate(small, *test, transform=dataset.to_float)  # noqa: E731
    data, _ = sample(dataset, protocol.calibration, protocol.seed)
    return Subject(model, data, judge, protocol.seed)
