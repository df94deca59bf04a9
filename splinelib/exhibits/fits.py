"""Maxima of a few planes: many planes cut down against few from a good start."""

from collections.abc import Mapping, Sequence

import numpy as np

from .. import plotting
from ..calibration.max_affine import MaxAffine, drop_planes, fit_max_affine
from ..plotting import widgets

ALONE = {"random": "random start", "k-means": "k-means start", "one by one": "one by one"}


def compared(
    x: np.ndarray, y: np.ndarray, lines: int, factors: Sequence[int], seeds: int
) -> dict[str, list[MaxAffine]]:
    """Fits of so many planes, by way: from each start, cut down, and the best of many starts.

    Parameters
    ----------
    x, y : array
        As for `calibration.max_affine.fit_max_affine`.
    lines : int
        Planes of every final fit.
    factors : sequence of int
        How many times as many planes there are before some are dropped.
    seeds : int
        Fits of each way; those that are not random are made once.

    Returns
    -------
    dict of str to list of MaxAffine
        The last way takes the best of as many random starts as the last factor says.
    """
    found = {}
    for start, name in ALONE.items():
        tries = 1 if start == "one by one" else seeds
        found[name] = [fit_max_affine(x, y, lines, start, seed) for seed in range(tries)]
    for factor in factors:
        wide = [fit_max_affine(x, y, factor * lines, "random", seed) for seed in range(seeds)]
        found[f"cut down from {factor} times as many"] = [
            drop_planes(fit, x, y, lines) for fit in wide
        ]
    count = factors[-1]
    name = f"best of {count} random starts"
    found[name] = []
    for seed in range(seeds):
        tries = [fit_max_affine(x, y, lines, "random", seed + seeds * n) for n in range(count)]
        best = min(tries, key=lambda fit: fit.error)
        cost = sum(fit.cost for fit in tries)
        found[name].append(MaxAffine(best.planes, best.error, cost))
    return found


def mean_cost(fits: Sequence[MaxAffine]) -> float:
    """Mean number of products of a plane with a point."""
    return float(np.mean([fit.cost for fit in fits]))


def typical(fits: Sequence[MaxAffine]) -> float:
    """Median error."""
    return float(np.median([fit.error for fit in fits]))


def best_possible(bend: np.ndarray, length: float, lines: int) -> float:
    """RMS error of the best fit by many lines to a curve, from its second derivative.

    Parameters
    ----------
    bend : array
        Second derivative at evenly spaced places of an interval.
    length : float
        Of the interval.
    lines : int

    Examples
    --------
    >>> round(best_possible(np.full(9, 2.0), 2.0, 8) * 8**2, 3)  # the parabola of chapter 1
    0.298
    """
    total = np.mean(np.abs(bend) ** 0.4) * length
    return float(np.sqrt(total**5 / (720 * length)) / lines**2)


def errors(problems: Mapping[str, Mapping[str, Sequence[MaxAffine]]], floors: Mapping[str, float]):
    """Median and greatest error of each way, as multiples of a floor, and what it costs.

    Parameters
    ----------
    problems : mapping of name to what `compared` gives
        The same ways in the same order.
    floors : mapping of name to float
        The error that is 1 in the table.
    """
    rows = []
    for row in zip(*(found.items() for found in problems.values()), strict=True):
        cells = [row[0][0]]
        for (_, fits), (problem, found) in zip(row, problems.items(), strict=True):
            values = np.array([fit.error for fit in fits]) / floors[problem]
            one = mean_cost(found[ALONE["random"]])
            cells.append(f"{np.median(values):.2f} ({values.max():.2f})")
            cells.append(f"{mean_cost(fits) / one:.1f}")
        rows.append(cells)
    heads = [head for name in problems for head in (name, "cost")]
    return plotting.table(
        rows,
        ["", *heads],
        "Error as a multiple of the least: median (worst) over seeds. Cost as a multiple of one "
        "random start",
        format="{}",
    )


def dropping(x: np.ndarray, y: np.ndarray, wide: MaxAffine, keeps: Sequence[int]):
    """A maximum of lines while lines are taken away; a slider goes through how many stay."""
    fits = {keep: drop_planes(wide, x, y, keep) for keep in keeps}
    room = 0.1 * np.ptp(y)

    def told(keep: int) -> str:
        return f"{keep} lines, error {fits[keep].error:.4f}"

    def frame(keep: int):
        return plotting.max_affine(
            *fits[keep].planes.T,
            alt="Lines and their maximum.",
            points=(x[:: max(1, len(x) // 60)], y[:: max(1, len(x) // 60)]),
            limits=(y.min() - room, y.max() + room),
        )

    return widgets.scrub(
        frame,
        keeps,
        label="lines that stay",
        alt=lambda keep: f"The maximum of {told(keep)}, along a curve that bends at its right end.",
        format=told,
        caption="The line that is missed least goes, again and again; those that stay are fitted "
        "anew.",
    )
