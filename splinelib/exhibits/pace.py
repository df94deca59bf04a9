"""The pace and the place: a recorded distance matrix under the rule on codes, at any threshold.

The rule asks whether an epoch is close to the last few before it, which is a pace. How far it is
from the last epoch of all is its place. Epochs are counted from 1.
"""

from collections.abc import Sequence

import numpy as np

from .. import plotting
from ..plotting import widgets
from ..plotting.svg import Figure
from . import settling, wording

THRESHOLDS = (0.05, 0.1, 0.13, 0.16, 0.2, 0.3)
PUBLISHED = 0.16


def looked_at(record: dict) -> np.ndarray:
    """Largest distance of each epoch to the last three before it; NaN where there are fewer."""
    back = settling.LOOKBACK["codes"]
    rows = enumerate(record["early_bird"]["matrix"])
    return np.array([max(row[at - back : at]) if at >= back else np.nan for at, row in rows])


def fired(record: dict, threshold: float) -> int | None:
    """The epoch at which the rule on codes would fire; None if it never does."""
    rows = [row[:epoch] for epoch, row in enumerate(record["early_bird"]["matrix"])]
    return settling.first_settled(rows, threshold, settling.LOOKBACK["codes"])


def to_last(record: dict, epoch: int) -> float:
    """Distance of an epoch to the last one."""
    return record["early_bird"]["matrix"][epoch - 1][-1]


def still_to_go(record: dict, epoch: int) -> float:
    """Distance of an epoch to the last one, as a share of the first epoch's."""
    return to_last(record, epoch) / to_last(record, 1)


def by_threshold(record: dict, chance: float, thresholds: Sequence[float] = THRESHOLDS):
    """The matrix and what the rule looks at; a slider moves the threshold.

    Parameters
    ----------
    record : dict
        A run whose distances of every two epochs are recorded.
    chance : float
        Distance of the codes of two networks of different seeds: the top of both scales.
    thresholds : sequence of float
        With the published one among them, which is shown first.
    """
    matrix, values = np.array(record["early_bird"]["matrix"]), looked_at(record)
    epochs = np.arange(1, len(values) + 1)

    def told(threshold: float) -> str:
        epoch = fired(record, threshold)
        if epoch is None:
            return f"{threshold:g}: never fires"
        return f"{threshold:g}: epoch {epoch}, {still_to_go(record, epoch):.0%} of the way to go"

    def alt(threshold: float) -> str:
        epoch = fired(record, threshold)
        if epoch is None:
            return f"At the threshold {threshold:g} the rule never fires."
        return (
            f"At the threshold {threshold:g} the rule fires at epoch {epoch} of {len(values)}, at "
            f"distance {to_last(record, epoch):.2f} from the last epoch; the first is at "
            f"{to_last(record, 1):.2f}, two networks of different seeds at {chance:.2f}."
        )

    def frame(threshold: float) -> plotting.Row:
        epoch = fired(record, threshold)
        left = plotting.distance_matrix(
            matrix,
            alt=_matrix_alt(record),
            label="distance (top: two seeds)",
            mark=None if epoch is None else epoch - 1,
            limit=chance,
        )
        return plotting.beside(left, _rule(epochs, values, threshold, epoch, chance))

    return widgets.scrub(
        frame,
        values=thresholds,
        label="threshold",
        alt=alt,
        format=told,
        start=list(thresholds).index(PUBLISHED),
        caption=f"{record['name']}. Left: distance of every two epochs, dashed where the rule "
        "fires. Right: what the rule looks at, the largest distance to the last "
        f"{wording.number(settling.LOOKBACK['codes'])} epochs.",
    )


def _matrix_alt(record: dict) -> str:
    within = settling.mean_within(record["early_bird"]["matrix"], settling.rate_falls(record))
    means = ", ".join(
        f"{value:.2f} within epochs {first} to {last}" for (first, last), value in within.items()
    )
    return f"Distance of every two epochs; mean of two epochs: {means}."


def _rule(epochs, values, threshold: float, epoch: int | None, chance: float) -> Figure:
    def draw(ax, palette) -> None:
        ax.plot(epochs, values, color=palette.series("codes"), linewidth=1.2)
        ax.axhline(threshold, color=palette.boundary, label="threshold")
        ax.axhline(chance, color=palette.muted, linestyle=":", label=settling.TWO_SEEDS)
        if epoch is not None:
            ax.axvline(epoch, color=palette.boundary, linestyle="--")
        ax.set(xlabel="epoch", ylabel="largest distance", ylim=(0, 1.1 * chance))
        plotting.legend(ax)

    low, high = np.nanmin(values), np.nanmax(values)
    alt = f"What the rule looks at, between {low:.2f} and {high:.2f}; threshold {threshold:g}."
    return plotting.figure(draw, alt, size=(4.4, 3.9))
