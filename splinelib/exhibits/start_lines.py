"""Whether the number of lines that cross the data predicts what pruning a wide network gains."""

from collections.abc import Callable, Sequence

import numpy as np

from .. import plotting
from ..experiments.start_records import WIDE
from ..plotting import widgets
from . import starts
from .starts import COSTS, LEVEL, Condition, Interval, Study


def rank_correlation(
    x: Sequence[float], y: Sequence[float], groups: Sequence | None = None, draws: int = 500
) -> Interval:
    """Spearman's rank correlation, with its bootstrap interval.

    Parameters
    ----------
    x, y : sequence of float, length N
    groups : sequence, length N, optional
        Pairs of one group are drawn together, since they are not independent.
    draws : int
        Of the bootstrap.

    Examples
    --------
    >>> rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]).mean
    1.0
    """
    from scipy import stats  # takes long to load

    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) != len(y) or len(x) < 3:
        raise ValueError(f"a correlation needs three pairs or more, got {len(x)} and {len(y)}.")
    if not (np.ptp(x) and np.ptp(y)):
        raise ValueError("values that are all the same have no ranks to correlate.")
    generator, found = np.random.default_rng(0), []
    labels = list(range(len(x)) if groups is None else groups)
    rows_of = [
        [row for row, label in enumerate(labels) if label == group]
        for group in dict.fromkeys(labels)
    ]
    for _ in range(draws):
        taken = generator.integers(len(rows_of), size=len(rows_of))
        rows = [row for group in taken for row in rows_of[group]]
        if np.ptp(x[rows]) and np.ptp(y[rows]):
            ranks = stats.rankdata(x[rows]), stats.rankdata(y[rows])
            found.append(np.corrcoef(*ranks)[0, 1])
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(stats.spearmanr(x, y).statistic), float(low), float(high))


def wide_lines(study: Study, condition: Condition) -> float:
    """Distinct lines of the wide network that cross the data, for each unit that stays."""
    lines = np.mean(study.entry(condition, WIDE, "epochs")["lines"])
    return float(lines) / (condition.depth * condition.width)


def idle_units(study: Study, condition: Condition) -> float:
    """Share of the units of a random start that draw no line of their own through the data."""
    lines = np.mean(study.entry(condition, "random", "epochs")["lines_before"])
    return 1 - float(lines) / (condition.depth * condition.width)


def lines_gained(study: Study, condition: Condition, way: str = "pruned: lsq") -> float:
    """Lines that the cut network has more than a random start, for each unit."""
    lines = [
        np.mean(study.entry(condition, name, "epochs")["lines_before"]) for name in (way, "random")
    ]
    return float(lines[0] - lines[1]) / (condition.depth * condition.width)


def points_of(
    study: Study,
    predictor: Callable[[Study, Condition], float],
    budget: str,
    way: str = "pruned: lsq",
    data: str | None = None,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A predictor, the gain over a random start and the final network, in each condition."""
    found = starts.verdicts(study, way, "random", budget, data)
    return (
        np.array([predictor(study, condition) for condition in found]),
        np.array([one.mean for one in found.values()]),
        [condition.small for condition in found],
    )


# What is said of each predictor, and what it is.
PREDICTORS = {
    "lines of the wide network, for each unit that stays": wide_lines,
    "share of a random start's units without a line of their own": idle_units,
    "lines that the cut has more than a random start, for each unit": lines_gained,
}


def against_gain(study: Study, budget: str):
    """Gain over a random start against each of `PREDICTORS`; a slider goes through them."""
    found = {name: points_of(study, predictor, budget) for name, predictor in PREDICTORS.items()}
    sets = [condition.data for condition in starts.verdicts(study, "pruned: lsq", "random", budget)]

    ranked = {name: _two(rank_correlation(*points)) for name, points in found.items()}

    def told(name: str) -> str:
        return f"rank correlation {ranked[name]}"

    def frame(name: str):
        def draw(ax, palette):
            x, y, _ = found[name]
            for position, data in enumerate(dict.fromkeys(sets)):
                own = np.array(sets) == data
                colour, marker = palette.series(data, position), "os^D"[position % 4]
                ax.plot(x[own], y[own], marker, color=colour, label=data, alpha=0.8)
            ax.axhline(0, color=palette.ink, linewidth=1)
            ax.set(xlabel=name, ylabel="points over a random start")
            plotting.legend(ax)

        return plotting.figure(draw, alt="Gains against lines.", size=(5.8, 4.2))

    return widgets.scrub(
        frame,
        list(PREDICTORS),
        label="predictor",
        alt=lambda name: f"Gain of each condition against {name}: {told(name)}.",
        format=told,
        caption=f"A point is a condition: what pruning a wide network by lsq gains at "
        f"{COSTS[budget]}.",
    )


def correlations(study: Study) -> plotting.Table:
    """The rank correlation of each predictor with the gain, at both costs."""
    return plotting.table(
        [
            [
                name,
                *(_two(rank_correlation(*points_of(study, predictor, b))) for b in COSTS),
            ]
            for name, predictor in PREDICTORS.items()
        ],
        ["", *COSTS.values()],
        "Rank correlation with the gain over a random start, over conditions; bootstrap interval, "
        "final networks drawn whole",
        format="{}",
    )


def _two(one: Interval) -> str:
    return f"{one.mean:+.2f} ({one.low:+.2f} to {one.high:+.2f})"
