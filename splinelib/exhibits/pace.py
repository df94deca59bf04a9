"""The pace and the place: a recorded distance matrix under the rule on codes, at any threshold.

The rule asks whether an epoch is close to the last few before it, which is a pace. How far it is
from the last epoch of all is its place. Epochs are counted from 1.
"""

import numpy as np

from .. import plotting
from . import settling, wording

PUBLISHED = 0.16


def fired(record: dict, threshold: float, lookback: int = settling.LOOKBACK["codes"]) -> int | None:
    """The epoch at which the rule on codes would fire; None if it never does."""
    rows = [row[:epoch] for epoch, row in enumerate(record["early_bird"]["matrix"])]
    return settling.first_settled(rows, threshold, lookback)


def to_last(record: dict, epoch: int) -> float:
    """Distance of an epoch to the last one."""
    return record["early_bird"]["matrix"][epoch - 1][-1]


def still_to_go(record: dict, epoch: int) -> float:
    """Distance of an epoch to the last one, as a share of the first epoch's."""
    return to_last(record, epoch) / to_last(record, 1)


def by_threshold(record: dict, chance: float) -> plotting.Live:
    """The matrix, its pace and its place; the reader moves threshold and look-back.

    Parameters
    ----------
    record : dict
        A run whose distances of every two epochs are recorded.
    chance : float
        Distance of the codes of two networks of different seeds.
    """
    falls = settling.rate_falls(record)
    within = settling.mean_within(record["early_bird"]["matrix"], falls)
    means = ", ".join(
        f"{value:.2f} within epochs {first} to {last}" for (first, last), value in within.items()
    )
    epoch = fired(record, PUBLISHED)
    found = "never fires" if epoch is None else f"fires at epoch {epoch}"
    return plotting.early_bird(
        np.array(record["early_bird"]["matrix"]),
        alt=f"Distance of every two epochs; mean of two epochs: {means}. At the threshold "
        f"{PUBLISHED:g} the rule {found}. Two networks of different seeds are at {chance:.2f}.",
        threshold=PUBLISHED,
        lookback=settling.LOOKBACK["codes"],
        chance=chance,
        falls=falls,
        caption=f"{record['name']}, read from its record. Move the threshold by its slider, or "
        "drag its line. The paper's code looks back "
        f"{wording.number(settling.LOOKBACK['codes'])} epochs.",
    )
