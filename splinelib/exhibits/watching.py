"""A training run that the page itself makes, seen by the rules on codes and on masks.

What these show comes from detectors that have watched a run on the page; `settling` shows the same
from records. Epochs are counted from 1.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from .. import plotting
from ..codes.early_bird import EarlyBird, MaskEarlyBird
from ..plotting import widgets
from ..plotting.svg import Figure
from ..plotting.tables import Table, table
from . import settling, wording

Masks = Mapping[tuple[str, float], Sequence[MaskEarlyBird]]  # of a criterion, at a ratio


def partition_learned(
    snapshots: Mapping[int, object],
    loss: Mapping[int, float],
    epochs: Sequence[int],
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
    caption : str
    classes : (int, int)
        The two classes that the boundary separates.
    """

    def state(epoch: int) -> str:
        after = f"loss {loss[epoch]:.3f}" if epoch else "before training"
        return f"{len(snapshots[epoch])} regions, {after}"

    def draw(epoch: int) -> Figure:
        def picture(ax, palette):
            plotting.draw_partition(ax, palette, snapshots[epoch], color="code", classes=classes)
            ax.set_title(state(epoch), fontsize=10)

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


def matrix_so_far(detector: EarlyBird, caption: str, frames: int = 16, start: int = 3):
    """The distances of every two epochs as training goes on; a slider moves through it.

    Parameters
    ----------
    detector : EarlyBird
        What has watched the run.
    caption : str
    frames : int
        About how many positions the slider has.
    start : int
        Index of the one shown first.
    """
    distances, fired = detector.matrix, detector.epoch
    epochs = len(distances)

    def draw(epoch: int) -> Figure:
        seen = np.full_like(distances, np.nan)
        seen[:epoch, :epoch] = distances[:epoch, :epoch]
        mark = fired if fired is not None and epoch > fired else None
        limit = distances.max()
        return plotting.distance_matrix(seen, alt="Distances so far.", limit=limit, mark=mark)

    def reading(epoch: int) -> str:
        last = detector.distances[epoch - 1]
        return "too few" if np.isnan(last) else f"{last:.2f}"

    def told(epoch: int) -> str:
        words = f"Distances of the first {epoch} epochs"
        if np.isnan(detector.distances[epoch - 1]):
            return f"{words}: too few for the rule."
        fires = fired is not None and epoch > fired
        rule = f"the rule has fired at epoch {fired + 1}" if fires else "the rule has not fired"
        return (
            f"{words}: the newest is at most {reading(epoch)} from each of the last "
            f"{detector.lookback}, and {distances[0, epoch - 1]:.2f} from the first; {rule}."
        )

    return widgets.scrub(
        draw,
        values=range(1, epochs + 1, max(1, epochs // frames)),
        label=f"epoch: distance to the last {wording.number(detector.lookback)}",
        alt=told,
        format=lambda epoch: f"{epoch}: {reading(epoch)}",
        start=start,
        caption=caption,
    )


def layers_moved(detector: EarlyBird) -> Figure:
    """How far the codes of four layers, and of all, move from epoch to epoch.

    Parameters
    ----------
    detector : EarlyBird
        What has watched at least two epochs of a network of at least four layers.
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
        f"mask, {criterion}": found for (criterion, at), found in masks.items() if at == ratio
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
        rows.append([f"mask, {criterion}", *(_epochs(masks[criterion, ratio]) for ratio in ratios)])
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


def mask_change(one: Mapping, other: Mapping) -> float:
    """Share of units on which two masks differ.

    Parameters
    ----------
    one, other : mapping of group to bool array_like, shape (U,)
        As `pruning.select` gives them, of the same network.

    Raises
    ------
    ValueError
        They are of different groups.

    Examples
    --------
    >>> mask_change({"a": [True, True], "b": [True] * 2}, {"a": [True, False], "b": [True] * 2})
    0.25
    """
    if set(one) != set(other):
        raise ValueError(f"masks of different groups: {sorted(one)} and {sorted(other)}.")
    differing = [np.asarray(one[name]) != np.asarray(other[name]) for name in one]
    return float(np.mean(np.concatenate(differing)))
