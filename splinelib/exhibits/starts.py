"""Ways to a small network, compared: who wins where, by how much, and what predicts it.

A *condition* is a data set, a depth, a final width and a factor by which the pruned network was
wider. Gains are in points of test accuracy, paired seed by seed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .. import plotting
from ..experiments.start_records import BUDGETS, WIDE
from ..plotting import widgets
from ..plotting.tables import Cell, Table
from ..text import over_seeds
from . import wording

# What each way is called.
NAMES = {
    "random": "random start",
    "spread": "spread lines",
    "layerwise": "layer by layer",
    "restarts": "best of restarts",
    "pruned: lsq": "pruned, lsq",
    "pruned: magnitude": "pruned, magnitude",
    "pruned: spline": "pruned, spline",
    "pruned: random": "pruned at random",
    "lottery": "lottery",
}
COSTS = {"epochs": "equal epochs", "flops": "equal training FLOPs"}
LEVEL = 0.95


class Condition(NamedTuple):
    """Where ways are compared."""

    data: str
    depth: int
    width: int
    factor: int

    def at(self, factor: int) -> "Condition":
        """The same data and final network at another factor."""
        return Condition(self.data, self.depth, self.width, factor)

    @property
    def small(self) -> str:
        """The data and the final network."""
        return f"{self.data}, {self.depth} × {self.width}"


class Interval(NamedTuple):
    """A mean, and where 95 of 100 such intervals hold what it estimates."""

    mean: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 above zero, -1 below, 0 if it cannot be told."""
        return int(self.low > 0) - int(self.high < 0)

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


class Study:
    """A record of `experiments.starts`, with its entries at hand.

    Attributes
    ----------
    conditions : list of Condition
        In the order of the record.
    networks : int
        Networks that were trained to the end, those among which restarts choose included.
    """

    def __init__(self, record: dict):
        parts = ("data", "depth", "width", "factor", "way", "budget")
        entries = record["entries"]
        self._entries = {tuple(entry[part] for part in parts): entry for entry in entries}
        keys = [Condition(*key[:4]) for key in self._entries]
        self.conditions = list(dict.fromkeys(key for key in keys if key.factor > 1))
        self.networks = sum(len(entry["test"]) * entry["restarts"] for entry in entries)

    def entry(self, condition: Condition, way: str, budget: str) -> dict | None:
        """The entry of a way at a cost, or None if there is none.

        What is pruned has one cost, to which the others are brought; a small network at equal
        epochs is the same whatever the factor.
        """
        if way in (WIDE, "lottery") or way.startswith("pruned"):
            budget = "epochs"
        elif budget == "epochs":
            condition = condition.at(1)
        return self._entries.get((*condition, way, budget))


def gain(
    study: Study, condition: Condition, way: str, budget: str, over: str = "random"
) -> np.ndarray | None:
    """Points of test accuracy that one way has over another, (seeds,), or None without both."""
    both = [study.entry(condition, name, budget) for name in (way, over)]
    if None in both:
        return None
    return 100 * np.subtract(*(entry["test"] for entry in both))


def interval(values: Sequence[float]) -> Interval:
    """Student's interval of a mean.

    Raises
    ------
    ValueError
        For fewer than two values.

    Examples
    --------
    >>> str(interval([1.0, 2.0, 3.0]))
    '+2.0 (-0.5 to +4.5)'
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        raise ValueError(f"an interval needs two values or more, not {len(values)}.")
    from scipy import stats  # takes long to load

    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    mean = float(values.mean())
    return Interval(mean, mean - float(half), mean + float(half))


def verdicts(
    study: Study, way: str, over: str, budget: str, data: str | None = None
) -> dict[Condition, Interval]:
    """The interval of a gain in each condition that has both ways, of one data set or of all."""
    found = {}
    for condition in study.conditions:
        points = gain(study, condition, way, budget, over)
        if points is not None and data in (None, condition.data):
            found[condition] = interval(points)
    return found


def tally(found: dict[Condition, Interval]) -> tuple[int, int, int]:
    """In how many conditions a way is ahead, behind, and not told apart."""
    signs = [one.sign for one in found.values()]
    return signs.count(1), signs.count(-1), signs.count(0)


def gains_table(study: Study, budget: str, over: str = "random") -> Table:
    """Mean gain of each way for each data set, and in how many conditions it is ahead."""
    sets = list(dict.fromkeys(condition.data for condition in study.conditions))
    rows = []
    for way, name in NAMES.items():
        found = [verdicts(study, way, over, budget, data) for data in sets]
        if way == over or not all(found):
            continue
        cells = []
        for one in found:
            ahead, behind, _ = tally(one)
            mean = np.mean([verdict.mean for verdict in one.values()])
            cells.append(Cell(f"{mean:+.1f}", note=f"{ahead} : {behind}"))
        rows.append([name, *cells])
    return wording.table(
        rows,
        ["", *sets],
        f"Points over a {NAMES[over]} at {COSTS[budget]}: mean over conditions, and in how many of "
        "them the interval of all seeds lies above zero : below zero",
        format="{}",
    )


def by_factor(study: Study, ways: Sequence[str], over: str = "random"):
    """Mean gain over depths and widths against the factor; a slider goes through data and costs."""
    sets = list(dict.fromkeys(condition.data for condition in study.conditions))
    factors = sorted({condition.factor for condition in study.conditions})
    values = [(data, budget) for budget in BUDGETS for data in sets]
    means = {value: _means(study, ways, over, *value, factors) for value in values}
    ends = np.concatenate([rows.mean(0) for found in means.values() for rows in found.values()])
    limits = float(ends.min()) - 2, float(ends.max()) + 2

    def named(value) -> str:
        return f"{value[0]}, {COSTS[value[1]]}"

    def told(value) -> str:
        mean = {NAMES[way]: rows.mean(0) for way, rows in means[value].items()}
        return (
            f"Points over a {NAMES[over]}, {named(value)}, at factor {factors[0]} and at "
            f"{factors[-1]}: {wording.first_to_last(mean, '{:+.1f}')}."
        )

    def frame(value):
        def draw(ax, palette):
            for position, (way, rows) in enumerate(means[value].items()):
                colour = palette.series(way.removeprefix("pruned: "), position)
                style = "-" if way.startswith("pruned") or way == "lottery" else "--"
                ax.plot(factors, rows.mean(0), style, marker="o", color=colour, label=NAMES[way])
            ax.axhline(0, color=palette.ink, linewidth=1)
            ax.set(xscale="log", ylim=limits, xlabel="width of the pruned network / final width")
            ax.set(ylabel=f"points over a {NAMES[over]}")
            ax.set_xticks(factors, [f"{factor}" for factor in factors])
            ax.set_xticks([], minor=True)
            plotting.legend(ax)

        return plotting.figure(draw, alt="Gains.", size=(5.8, 4.4))

    return widgets.scrub(
        frame,
        values,
        label="data and cost",
        alt=told,
        format=named,
        caption="Means over depths and widths. Dashed: small from the first step.",
    )


def _means(study, ways, over, data, budget, factors) -> dict[str, np.ndarray]:
    """Way -> mean gains over seeds, (depths and widths, factors)."""
    shapes = list(dict.fromkeys((c.depth, c.width) for c in study.conditions if c.data == data))
    found = {}
    for way in ways:
        rows = [
            [gain(study, Condition(data, *shape, factor), way, budget, over) for factor in factors]
            for shape in shapes
        ]
        if all(points is not None for row in rows for points in row):
            found[way] = np.array([[points.mean() for points in row] for row in rows])
    return found


def winners(study: Study, way: str, rivals: Sequence[str]):
    """The map: where one way is ahead of its rivals; a slider goes through rivals and costs."""
    rows = list(dict.fromkeys(condition.small for condition in study.conditions))
    factors = sorted({condition.factor for condition in study.conditions})
    values = [
        (over, budget)
        for budget in BUDGETS
        for over in rivals
        if verdicts(study, way, over, budget)
    ]

    def named(value) -> str:
        return f"{NAMES[value[0]]}, {COSTS[value[1]]}"

    def told(value) -> str:
        ahead, behind, open_ = tally(verdicts(study, way, *value))
        return (
            f"{NAMES[way]} against {named(value)}: ahead in {ahead} conditions, behind in "
            f"{behind}, not told apart in {open_}."
        )

    def frame(value):
        found = verdicts(study, way, *value)

        def draw(ax, palette):
            colours = {1: palette.kept, -1: palette.pruned, 0: palette.axis}
            labels = {1: "ahead", -1: "behind", 0: "not told apart"}
            for condition, one in found.items():
                at = factors.index(condition.factor), rows.index(condition.small)
                marker = {1: "^", -1: "v", 0: "o"}[one.sign]
                ax.plot(*at, marker, color=colours[one.sign], markersize=4 if one.sign == 0 else 8)
            for sign, marker in ((1, "^"), (-1, "v"), (0, "o")):
                ax.plot([], [], marker, color=colours[sign], label=labels[sign])
            ax.set_yticks(range(len(rows)), rows)
            ax.set_xticks(range(len(factors)), [f"{factor}" for factor in factors])
            ax.set(xlabel="factor", xlim=(-0.5, len(factors) - 0.5), ylim=(len(rows) - 0.5, -0.5))
            plotting.legend(ax)

        return plotting.figure(draw, alt="The map.", size=(4.6, 0.22 * len(rows) + 1.4))

    return widgets.scrub(
        frame,
        values,
        label="against",
        alt=told,
        format=named,
        caption=f"{NAMES[way]}: ahead or behind where the interval of ten paired seeds says so. "
        "Rows are data and final network, depth × width.",
    )


def enough(study: Study, budget: str = "epochs", way: str = "pruned: lsq") -> dict[str, list[int]]:
    """For each data set and final network the least factor that is not told from the best one.

    The best is the factor of the largest mean accuracy; a smaller one is enough if the interval of
    the difference, seed by seed, reaches zero.
    """
    found: dict[str, list[int]] = {}
    for small in dict.fromkeys(c.at(0) for c in study.conditions):
        tests = {
            c.factor: np.array(study.entry(c, way, budget)["test"])
            for c in study.conditions
            if c.at(0) == small
        }
        best = max(tests, key=lambda factor: tests[factor].mean())
        least = next(
            factor
            for factor in sorted(tests)
            if factor == best or interval(tests[best] - tests[factor]).low <= 0
        )
        found.setdefault(small.data, []).append(least)
    return found


def one_point(record: dict) -> Table:
    """Every way of a record of a single condition: accuracy, what it took, and its lines."""
    entries = record["entries"]
    least = min(entry["flops"] for entry in entries)
    rows = [
        [
            f"{NAMES.get(entry['way'], entry['way'])}, {COSTS[entry['budget']]}"
            if entry["way"] == "random"
            else NAMES.get(entry["way"], entry["way"]),
            over_seeds([100 * share for share in entry["test"]], "{:.1f}"),
            f"{entry['flops'] / least:.1f}",
            f"{np.mean(entry['lines']):,.0f}",
        ]
        for entry in entries
    ]
    return wording.table(
        rows,
        ["", "right, %", "training FLOPs", "lines"],
        f"Test accuracy, mean (least to most) of {len(entries[0]['test'])} seeds; FLOPs as a "
        "multiple of the least; distinct lines of all positions across the images",
        format="{}",
    )
