"""Dense networks that several studies prune: trained on digits, or read from a recorded run."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..data import load
from ..models import build
from ..progress import bar
from ..text import check_choice
from ..training import evaluate, train
from .oneshot import recorded_dense, recorded_run
from .protocol import check_name
from .setting import sample
from .store import locked
from .study_records import StudyRecords
from .truncations import HELD_OUT, SETTINGS, WEIGHT_DECAY

_HELD_OUT, _TEST = "held-out training images", "test images"


@dataclass(frozen=True)
class Subject:
    """A dense network that is pruned.

    Attributes
    ----------
    model : torch.nn.Module
    data : Tensor
        Unlabelled training images, for what looks at some.
    judge : callable
        Gives the accuracy of a network, in [0, 1].
    seed : int
    """

    model: nn.Module
    data: Tensor
    judge: Callable[[nn.Module], float]
    seed: int

    @property
    def normed(self) -> bool:
        """Whether the model has batch norms, whose statistics can be renewed."""
        return any(isinstance(module, _BatchNorm) for module in self.model.modules())


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


def recorded(
    run: str,
    folder: str | os.PathLike | None,
    root: str | os.PathLike | None,
    judged: int | None = None,
) -> Subject:
    """The dense network of a recorded run; fails as `recorded_dense`.

    It is judged on the test images, or on so many, the first of them: they come in no order.
    """
    model, dataset, protocol = recorded_dense(recorded_run(run, folder), folder, root)
    test = dataset.test_images[:judged], dataset.test_labels[:judged]
    judge = lambda small: evaluate(small, *test, transform=dataset.to_float)  # noqa: E731
    data, _ = sample(dataset, protocol.calibration, protocol.seed)
    return Subject(model, data, judge, protocol.seed)


def pruned_in_all_ways(
    records: StudyRecords,
    entries_of: Callable[[Subject], list[dict]],
    network: str = "mlp",
    run: str | None = None,
    *,
    seeds: int,
    judged: int | None = None,
    name: str | None = None,
    folder: str | os.PathLike | None = None,
    root: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Take dense networks one after the other, and record what becomes of each.

    Parameters
    ----------
    records : StudyRecords
    entries_of : callable
        What is recorded of one dense network.
    network : {"mlp", "vgg16"}
        Trained on digits as `truncations.SETTINGS` says. Judged on held-out training images.
    run : str, optional
        Name of a recorded run, whose dense network is taken in their place. Its checkpoint has to
        be on this machine. Judged on the test images.
    seeds : int
        Networks trained on digits; those that the record has not are added.
    judged : int, optional
        Test images that one of a recorded run is judged on; all of them.
    name : str, optional
        Of the record; ``digits-NETWORK``, or the run's name.
    folder, root, progress
        As for `run`.

    Returns
    -------
    dict
        The record, as written.

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
    if name is None:
        name = f"digits-{network}" if run is None else run
    check_name("record", name)
    settings, words = _settings(network, run, folder, judged)
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
                subject = recorded(run, folder, root, judged)
            record["entries"] += entries_of(subject)
            record["seconds"] += time.perf_counter() - began
            told = words if run else [*words, "--seeds", f"{seed + 1}"]
            records.write(path, record, [*told, "--name", name])
    return record


def _settings(
    network: str, run: str | None, folder: str | os.PathLike | None, judged: int | None
) -> tuple[dict, list[str]]:
    """What a record says of its networks, and the words of its command."""
    if run is None:
        own = SETTINGS[network]
        settings = {"data": "digits", "network": network, "judged_on": _HELD_OUT}
        settings |= {"width": own["width"], "epochs": own["epochs"]}
        settings |= {"calibration": len(load("digits").split(HELD_OUT, seed=0)[0])}
        return settings, ["--network", network]
    protocol = recorded_run(run, folder)["protocol"]
    kept = ("network", "width", "epochs", "calibration")
    settings = {part: protocol[part] for part in kept}
    judged_on = _TEST if judged is None else f"{judged:,} {_TEST}"
    return settings | {"data": protocol["dataset"], "judged_on": judged_on}, ["--run", run]
