"""When codes and masks settle, read from the readings that records keep of every epoch.

A rule looks at the distances of each epoch to some epochs before it. Records keep these distances,
so any threshold can be tried without a new run. Epochs are counted from 1 here, as the chapters
do; in records they are counted from 0.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .. import experiments, plotting
from ..plotting.svg import Figure
from ..plotting.tables import Cell, Table, table
from . import wording

# Of the released code of the paper, and of Early-Bird Tickets: how many epochs a rule looks back.
LOOKBACK = {"codes": 3, "mask": 4}
TWO_SEEDS = "two seeds"  # what chance gives, in legends
LIMITS = (0.05, 0.1, 0.16, 0.3)


@dataclass(frozen=True)
class Settling:
    """What the rules looked at, in runs that differ in their seed alone.

    Attributes
    ----------
    title : str
        Network, width and epochs.
    names : list of str
        Of the records, one for each seed.
    epochs : int
    distances : dict
        ``"codes"``, or the (criterion, ratio) of a mask -> for each record a row per epoch with
        the distances to earlier epochs, the oldest first: of codes to all of them, of masks to
        the last four at most.
    """

    title: str
    names: list[str]
    epochs: int
    distances: dict[str | tuple[str, float], list[list[list[float]]]]

    def at(self, ratio: float) -> dict[str, list[list[list[float]]]]:
        """The codes, and the masks at one ratio, by what a table calls them."""
        return {
            "codes" if key == "codes" else f"{key[0]} mask": rows
            for key, rows in self.distances.items()
            if key == "codes" or key[1] == ratio
        }


def title(record: dict) -> str:
    """Network, width and epochs of a record, as headings name it."""
    made = record["protocol"]
    return f"{made['network']}, width {made['width']:g}, {made['epochs']} epochs"


def rate_falls(record: dict) -> list[int]:
    """After which epochs, counted from 1, the learning rate of the dense network fell."""
    rates = [row["learning_rate"] for row in record["dense"]["history"]]
    return [epoch for epoch in range(1, len(rates)) if rates[epoch] < rates[epoch - 1]]


def longest(records: Sequence[dict]) -> dict:
    """The record of most epochs; of several the last.

    Raises
    ------
    ValueError
        There is no record.
    """
    if not records:
        raise ValueError("there is no record to choose the longest from.")
    return sorted(records, key=lambda record: record["protocol"]["epochs"])[-1]


def settlings(records: Sequence[dict]) -> list[Settling]:
    """What the rules looked at in each protocol whose masks were watched.

    Parameters
    ----------
    records : sequence of dict
        As `experiments.records` gives them. Those from before masks were watched are left out.

    Returns
    -------
    list of Settling
        One for each protocol, in order of first appearance, with the masks that all its seeds have.
    """
    watched = [record for record in records if record["early_bird"]["masks"]]
    by_name = {record["name"]: record for record in watched}
    collected = []
    for dense, *_ in experiments.across_seeds(watched):
        same = [by_name[name] for name in dense.names]
        read = [_distances(record) for record in same]
        shared = [key for key in read[0] if all(key in rows for rows in read)]
        distances = {key: [rows[key] for rows in read] for key in shared}
        epochs = len(read[0]["codes"])
        collected.append(Settling(title(same[0]), dense.names, epochs, distances))
    return collected


def _distances(record: dict) -> dict:
    """Rows of distances to earlier epochs, by rule: all that any threshold needs."""
    matrix = record["early_bird"]["matrix"]
    rows = {"codes": [row[:epoch] for epoch, row in enumerate(matrix)]}
    for mask in record["early_bird"]["masks"]:
        rows[mask["criterion"], mask["ratio"]] = mask["rows"]
    return rows


def typical(settlings: Sequence[Settling]) -> list[Settling]:
    """The protocol of most seeds and that of most epochs; one if they are the same.

    Between protocols of as many seeds the longer one is taken, and of as many epochs the last.
    """
    if not settlings:
        return []
    most_seeds = sorted(settlings, key=lambda one: (len(one.names), one.epochs))[-1]
    most_epochs = sorted(settlings, key=lambda one: one.epochs)[-1]
    return [most_seeds] if most_seeds is most_epochs else [most_seeds, most_epochs]


def detector_table(records: Sequence[dict]) -> Table:
    """What the rule on codes found in each run, and what it cost.

    Parameters
    ----------
    records : sequence of dict
        A row each: the epoch at which the codes settled, that after which tickets were drawn, and
        the detector's time as a share of an epoch's. Without records one row says so.
    """
    rows = [
        [
            Cell(record["name"], "record"),
            record["protocol"]["epochs"],
            said(_from_one(record["early_bird"]["settled_epoch"])),
            f"{record['early_bird']['drawn_after'] + 1}",
            _detection(record["dense"]["history"]),
        ]
        for record in records
    ]
    return table(
        rows or [["no record yet", "", "", "", ""]],
        columns=["record", "epochs", "early bird after", "tickets drawn after", "detector's time"],
        caption="The detector on CIFAR-10",
        format="{}",
    )


def _detection(history: Sequence[dict]) -> Cell:
    """Mean time of the detector as a share of the epoch's; records need not have it."""
    if any("detection_seconds" not in row for row in history):
        return Cell(None)
    shares = [row["detection_seconds"] / row["seconds"] for row in history]
    return Cell(f"{np.mean(shares):.2%}")


def movement(settling: Settling, ratio: float = 0.5, chance: float | None = None) -> Figure:
    """How far codes and masks move from one epoch to the next.

    Parameters
    ----------
    settling : Settling
    ratio : float
        Share of units that the masks remove.
    chance : float, optional
        Distance of the codes of two networks of different seeds, as a line.

    Raises
    ------
    ValueError
        The runs have a single epoch, which has none before it.
    """
    if settling.epochs < 2:
        raise ValueError(f"{settling.title}: one epoch has none before it to move from.")
    steps = {
        name: [[row[-1] for row in run[1:]] for run in runs]
        for name, runs in settling.at(ratio).items()
    }
    return plotting.curves(
        {_in_legend(name): runs for name, runs in steps.items()},
        x=np.arange(2, settling.epochs + 1),
        xlabel="epoch",
        ylabel="distance to the epoch before",
        levels=None if chance is None else {TWO_SEEDS: chance},
        alt=f"{settling.title}: distance to the epoch before, epochs 2 to {settling.epochs}: "
        f"{wording.first_to_last(steps)}. {_most_and_least(steps)}",
        caption=f"{settling.title}; seeds: {len(settling.names)}. Codes, and masks at "
        f"{100 * ratio:g} %. Read from the records.",
    )


def _in_legend(name: str) -> str:
    criterion = name.removesuffix(" mask")
    return name if criterion == name else f"{criterion} (mask)"


def _most_and_least(steps: Mapping[str, Sequence]) -> str:
    """Which masks move most and least over all epochs, as a sentence; none for fewer than two."""
    means = {name: np.mean(runs) for name, runs in steps.items() if name != "codes"}
    if len(means) < 2:
        return ""
    most, least = max(means, key=means.get), min(means, key=means.get)
    return f"Over all epochs the {most} moves most, the {least} least."


def mean_within(matrix: Sequence, falls: Sequence[int]) -> dict[tuple[int, int], float]:
    """Mean distance of two epochs between which the learning rate did not fall.

    Parameters
    ----------
    matrix : array_like, shape (T, T)
    falls : sequence of int
        After which epochs, counted from 1, the rate falls.

    Returns
    -------
    dict
        (first, last) epoch of each stretch, counted from 1 -> mean distance; stretches of one
        epoch have no pairs and are left out.

    Examples
    --------
    >>> mean_within([[0, 0.4, 0.5], [0.4, 0, 0.6], [0.5, 0.6, 0]], [2])
    {(1, 2): 0.4}
    """
    matrix, bounds = np.asarray(matrix, float), [0, *falls, len(matrix)]
    means = {}
    for start, end in itertools.pairwise(bounds):
        above = np.triu_indices(end - start, k=1)
        if len(above[0]):
            means[start + 1, end] = float(matrix[start:end, start:end][above].mean())
    return means


def first_settled(
    rows: Sequence[Sequence[float]], threshold: float, back: int, strictly: bool = True
) -> int | None:
    """The first epoch, counted from 1, that is close to each of the last so many.

    Parameters
    ----------
    rows : sequence of sequence of float
        For each epoch the distances to earlier ones, the oldest first.
    threshold : float
    back : int
        How many earlier epochs must all be close.
    strictly : bool
        Whether a distance must lie below the threshold, as the rule on codes has it, or may
        equal it, as in the rule on masks.

    Returns
    -------
    int or None
        None if the rule never fires.

    Examples
    --------
    >>> first_settled([[], [0.5], [0.4, 0.1], [0.3, 0.1, 0.1]], 0.2, back=2)
    4
    """
    if back < 1:
        raise ValueError(f"a rule looks back one epoch at least, not {back}.")
    for epoch, row in enumerate(rows, 1):
        largest = max(row[-back:]) if len(row) >= back else float("inf")
        if largest < threshold or (not strictly and largest == threshold):
            return epoch
    return None


def thresholds(
    settling: Settling, limits: Sequence[float] = LIMITS, shorter: float = 0.16, ratio: float = 0.5
) -> Table:
    """The epoch at which a rule would fire, for several thresholds.

    Parameters
    ----------
    settling : Settling
    limits : sequence of float
        A column each, with the number of epochs that the rules look back as published.
    shorter : float
        Threshold of a last column, in which two epochs back are enough.
    ratio : float
        Share of units that the masks remove.
    """
    rows = []
    for name, runs in settling.at(ratio).items():
        codes = name == "codes"
        back = LOOKBACK["codes" if codes else "mask"]
        settings = [*((limit, back) for limit in limits), (shorter, 2)]
        epochs = [[first_settled(run, *setting, codes) for run in runs] for setting in settings]
        rows.append([name, *map(over_runs, epochs)])
    return table(
        rows,
        columns=["rule", *map(str, limits), "back 2"],
        caption=f"{settling.title}; seeds: {len(settling.names)}. The epoch at which a rule would "
        f"fire, by threshold, first to last where seeds differ; masks at {100 * ratio:g} %; the "
        f"last column, at {shorter:g}, looks back two epochs only",
    )


def over_runs(epochs: Sequence[int | None]) -> str:
    """One epoch if the runs agree, else the first and the last; never comes last.

    Examples
    --------
    >>> over_runs([9, 12, 11]), over_runs([9, None]), over_runs([9, 9])
    ('9 to 12', '9 to never', '9')
    """
    ordered = sorted(epochs, key=lambda epoch: float("inf") if epoch is None else epoch)
    return " to ".join(dict.fromkeys((said(ordered[0]), said(ordered[-1]))))


def said(epoch: int | None) -> str:
    """An epoch in words: never where there is none."""
    return "never" if epoch is None else f"{epoch}"


def _from_one(epoch: int | None) -> int | None:
    return None if epoch is None else epoch + 1
