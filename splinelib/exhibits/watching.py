"""A training run that the page itself makes, seen by the rules on codes and on masks.

What these show comes from detectors that have watched a run on the page; `settling` shows the same
from records. Epochs are counted from 1.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from .. import plotting
from ..codes.early_bird import EarlyBird, MaskEarlyBird
from ..codes.extraction import region_codes
from ..plotting import widgets
from ..plotting.svg import Figure
from ..plotting.tables import Table, table
from ..pruning import score, select
from ..training import evaluate
from . import settling, wording

Masks = Mapping[tuple[str, float], Sequence[MaskEarlyBird]]  # of a criterion, at a ratio


def partition_learned(
    snapshots: Mapping[int, object],
    loss: Mapping[int, float],
    epochs: Sequence[int],
    left: Mapping[int, float],
    caption: str,
    classes: tuple[int, int] = (0, 1),
):
    """A partition of the plane while it is learned; a slider moves through the epochs.

    Parameters
    ----------
    snapshots : mapping of int to Partition
        By epoch, 0 before training.
    loss : mapping of int to float
        Training loss of each epoch but 0.
    epochs : sequence of int
        Positions of the slider.
    left : mapping of int to float
        Distance of each epoch's codes to those of the last.
    caption : str
    classes : (int, int)
        The two classes that the boundary separates.
    """

    def state(epoch: int) -> str:
        after = f"loss {loss[epoch]:.3f}" if epoch else "before training"
        return f"{len(snapshots[epoch])} regions, {after}, {left[epoch]:.3f} from the last"

    def draw(epoch: int) -> Figure:
        def picture(ax, palette):
            seen = list(snapshots.values())
            plotting.draw_partition(ax, palette, snapshots[epoch], classes=classes, among=seen)
            ax.set_title(state(epoch))

        return plotting.figure(picture, alt="The partition at one epoch.", size=(4.6, 4.9))

    return widgets.scrub(
        draw,
        values=epochs,
        label="epochs of training",
        alt=lambda epoch: (
            f"After {epoch} epoch{'s' * (epoch != 1)}: lines of all layers and the decision "
            f"boundary on the square; {state(epoch)}."
        ),
        caption=caption,
    )


def layers_moved(detector: EarlyBird, chance: float | None = None) -> Figure:
    """How far the codes of four layers, and of all, move from epoch to epoch.

    Parameters
    ----------
    detector : EarlyBird
        What has watched at least two epochs of a network of at least four layers.
    chance : float, optional
        Distance of the codes of two networks of different seeds, as a line.
    """
    steps = detector.per_layer[1:]
    if not steps:
        raise ValueError("one epoch has none before it: watch two or more.")
    names = list(steps[0])
    chosen = sorted({0, len(names) // 3, 2 * len(names) // 3, len(names) - 1})
    moved = {f"layer {place + 1}": [row[names[place]] for row in steps] for place in chosen}
    moved["mean of all"] = [float(np.mean(list(row.values()))) for row in steps]
    means = ", ".join(f"{name} {np.mean(curve):.2f}" for name, curve in moved.items())
    settled = detector.epoch
    return plotting.curves(
        moved,
        x=np.arange(2, len(steps) + 2),
        xlabel="epoch",
        ylabel="distance to the epoch before",
        marks={"early bird": settled + 1} if settled is not None else None,
        levels=None if chance is None else {settling.TWO_SEEDS: chance},
        alt=f"Distance to the epoch before by layer, epochs 2 to {len(steps) + 1}: "
        f"{wording.first_to_last(moved)}. Mean over these epochs: {means}.",
        caption="How far the codes move in one epoch, in four of the layers.",
    )


def against_threshold(codes: Sequence[EarlyBird], masks: Masks, ratio: float = 0.5) -> Figure:
    """What each rule looks at, in units of its threshold: it fires below one.

    Parameters
    ----------
    codes : sequence of EarlyBird
        One for each seed.
    masks : mapping of (criterion, ratio) to the detectors of each seed
    ratio : float
        The ratio whose masks are shown.

    Raises
    ------
    ValueError
        There are too few epochs for a rule to look back.
    """
    rules = {"codes": codes} | {
        f"{criterion} (mask)": found for (criterion, at), found in masks.items() if at == ratio
    }
    looked = {
        name: np.array([rule.distances for rule in found]) / found[0].threshold
        for name, found in rules.items()
    }
    epochs = len(codes[0].distances)
    # A rule has nothing to say before it has as many epochs as it looks back.
    first = max(int(np.isnan(values).sum(1).max()) for values in looked.values())
    if first >= epochs:
        raise ValueError(f"{epochs} epochs are too few: a rule looks back {first}.")
    looked = {name: values[:, first:] for name, values in looked.items()}
    below = {name: _first_below(values.mean(0), first + 1) for name, values in looked.items()}
    return plotting.curves(
        looked | {"threshold": np.ones(epochs - first)},
        x=np.arange(first + 1, epochs + 1),
        xlabel="epoch",
        ylabel="largest distance / threshold",
        alt="Largest distance in units of the threshold, mean over seeds; the first epoch at which "
        f"it is one at most: {'; '.join(f'{name}: {epoch}' for name, epoch in below.items())}.",
        caption=f"What each rule looks at, in units of its threshold; masks at {100 * ratio:g} %, "
        f"{len(codes)} seeds.",
    )


def _first_below(shares: np.ndarray, start: int) -> str:
    within = np.flatnonzero(shares <= 1)
    return settling.said(start + int(within[0]) if len(within) else None)


def firing(codes: Sequence[EarlyBird], masks: Masks) -> Table:
    """The epoch at which each rule fires, one number for each seed.

    Parameters
    ----------
    codes : sequence of EarlyBird
        One for each seed.
    masks : mapping of (criterion, ratio) to the detectors of each seed
        Every criterion at the same ratios.
    """
    ratios = sorted({ratio for _, ratio in masks})
    criteria = dict.fromkeys(criterion for criterion, _ in masks)
    rows = [["codes", *[_epochs(codes)] * len(ratios)]]
    for criterion in criteria:
        rows.append(
            [f"{criterion} (mask)", *(_epochs(masks[criterion, ratio]) for ratio in ratios)]
        )
    epochs = len(codes[0].distances)
    return table(
        rows,
        columns=["rule", *(f"{ratio:.0%} removed" for ratio in ratios)],
        caption=f"The epoch at which each rule fires, one number per seed, of {epochs} epochs",
    )


def _epochs(rules: Sequence[EarlyBird | MaskEarlyBird]) -> str:
    return ", ".join(
        settling.said(None if rule.epoch is None else rule.epoch + 1) for rule in rules
    )


class Watcher:
    """What sees a training run after each epoch: the rule on codes, and those on masks.

    It is called as ``on_epoch`` of `training.train`.

    Parameters
    ----------
    probe : Tensor, shape (N, ...)
        Inputs whose codes are compared.
    held_out : (Tensor, Tensor)
        Inputs and labels on which each epoch's network is evaluated.
    criteria : sequence of str
        Those that look at weights alone.
    ratios : sequence of float

    Attributes
    ----------
    codes : EarlyBird
    rules : dict of (criterion, ratio) to MaskEarlyBird
    masks : dict of (criterion, ratio, epoch) to masks
    models : list of dict
        The state of the network after each epoch.
    accuracy : list of float
    """

    def __init__(self, probe, held_out, criteria: Sequence[str], ratios: Sequence[float]):
        self.probe, self.held_out = probe, held_out
        self.criteria, self.ratios = criteria, ratios
        self.codes = EarlyBird()
        self.rules = {(name, ratio): MaskEarlyBird() for name in criteria for ratio in ratios}
        self.masks, self.models, self.accuracy = {}, [], []
        self._layout = None

    def __call__(self, epoch: int, model: nn.Module) -> None:
        self.codes.update(region_codes(model, self.probe))
        for criterion in self.criteria:
            scores = score(model, criterion, example=self.probe[:1], layout=self._layout)
            self._layout = scores.layout  # the next need not trace the model again
            for ratio in self.ratios:
                masks = select(scores, ratio)
                self.rules[criterion, ratio].update(masks)
                self.masks[criterion, ratio, epoch + 1] = masks
        self.models.append({name: value.clone() for name, value in model.state_dict().items()})
        self.accuracy.append(evaluate(model, *self.held_out))
