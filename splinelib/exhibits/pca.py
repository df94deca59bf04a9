"""Pruning after a PCA, from records of `experiments.truncations`: better or worse, and why.

Differences are in points of test accuracy, paired network by network; intervals are Student's.
"""

from collections.abc import Sequence

import numpy as np

from .. import plotting
from ..experiments.truncated_orders import DIRECTIONS, GOES, LOT, METRICS
from ..plotting import widgets
from ..plotting.tables import Table
from ..scores.truncation import BY
from . import wording
from .starts import Interval, interval

NAMES = {
    "identity": "weights",
    "implied": "implied moments",
    "data": "data",
}
MADE_UP = {"nothing": "gone", "merge": "merged", "refit": "refitted"}
ENDS = {"nothing": "nothing made up for", "merge": "merged", "refit": "refitted"}


class Study:
    """A record of `experiments.truncations`, with its entries at hand.

    Attributes
    ----------
    ends : list of (float, str)
        Share of each layer that goes and what makes up for it, in the order of the record.
    metrics : list of str
    components : list of int
        Directions kept, the last of them all that there are.
    networks : int
    """

    def __init__(self, record: dict):
        parts = ("metric", "directions", "components", "goes", "ratio", "compensate")
        orders = record["orders"]
        self._tests = {tuple(e[part] for part in parts): e["test"] for e in orders}
        self._rivals = {
            (e["criterion"], e["ratio"], e["compensate"]): e["test"] for e in record["rivals"]
        }
        self.views, self.needs = record["views"], record["needs"]
        self.networks = len(record["dense"])
        self.dense = 100 * np.array(record["dense"])
        self.ends = list(dict.fromkeys((e["ratio"], e["compensate"]) for e in orders))
        found = {e["metric"] for e in orders}
        self.metrics = [metric for metric in METRICS if metric in found]
        self.components = sorted({e["components"] for e in orders if e["metric"] != LOT})
        self.whole = self.components[-1]

    def test(self, end, metric, directions, components, goes=GOES[0]) -> np.ndarray:
        """Percent right of each network, (seeds,); all directions are the same, whichever lead."""
        if components == self.whole:
            directions = DIRECTIONS[0]
        return 100 * np.array(self._tests[metric, directions, components, goes, *end])

    def lot(self, end, goes=GOES[0]) -> np.ndarray:
        """Percent right where the pairs are those of lines drawn by lot."""
        return 100 * np.array(self._tests[LOT, LOT, 0, goes, *end])

    def rival(self, end, criterion: str) -> np.ndarray:
        """Percent right of a criterion of the library."""
        return 100 * np.array(self._rivals[criterion, *end])


def named(end: tuple[float, str]) -> str:
    """What goes, and what makes up for it."""
    return f"{end[0]:.0%} removed, {ENDS[end[1]]}"


def by_components(study: Study, goes: str = GOES[0]):
    """Accuracy against the directions kept; a slider goes through metrics and what is made up."""
    values = [(end, metric) for end in study.ends for metric in study.metrics]
    ticks = [f"{count}" for count in study.components[:-1]] + ["all"]
    where = range(len(ticks))
    limits = {}  # the same for all metrics, so that frames can be compared
    for end in study.ends:
        found = [
            interval(study.test(end, metric, directions, count, goes))
            for metric in study.metrics
            for directions in DIRECTIONS
            for count in study.components
        ]
        found.append(interval(study.lot(end, goes)))
        limits[end] = min(one.low for one in found) - 1, max(one.high for one in found) + 1

    def told(value) -> str:
        end, metric = value
        means = {
            directions: [
                study.test(end, metric, directions, count, goes).mean()
                for count in study.components
            ]
            for directions in DIRECTIONS
        }
        return (
            f"{named(end)}, metric {NAMES[metric]}; percent right with 1 direction and with all: "
            f"{wording.first_to_last(means, '{:.1f}')}; by lot {study.lot(end, goes).mean():.1f}."
        )

    def frame(value):
        end, metric = value

        def draw(ax, palette):
            for position, directions in enumerate(DIRECTIONS):
                found = [
                    interval(study.test(end, metric, directions, count, goes))
                    for count in study.components
                ]
                color = palette.series("", position)
                mean, low, high = np.transpose(found)
                ax.fill_between(where, low, high, color=color, alpha=0.18, linewidth=0)
                ax.plot(where, mean, "os^"[position] + "-", color=color, label=directions)
            lot = interval(study.lot(end, goes))
            ax.axhspan(lot.low, lot.high, color=palette.muted, alpha=0.2, linewidth=0)
            ax.axhline(lot.mean, color=palette.ink, linestyle="--", linewidth=1.5, label="by lot")
            ax.set_xticks(where, ticks)
            ax.set(ylim=limits[end], xlabel="directions kept", ylabel="test images right, %")
            plotting.legend(ax)

        return plotting.figure(draw, alt="Accuracy.", size=(5.6, 4.2))

    return widgets.scrub(
        frame,
        values,
        label="what goes, and the metric",
        alt=told,
        format=lambda value: f"{named(value[0])}; {NAMES[value[1]]}",
        caption=f"Mean of {study.networks} networks and its 95 % interval. Dashed: the pairs are "
        "those of lines drawn by lot.",
    )


# What is compared with what: the directions and number of two orders; None stands for the lot.
COMPARISONS = {
    "whole − lot": (("leading", None), None),
    "PCA − whole": (("leading", 16), ("leading", None)),
    "PCA − lot": (("leading", 16), None),
    "random − PCA": (("random", 16), ("leading", 16)),
    "trailing − PCA": (("trailing", 16), ("leading", 16)),
}


def difference(study: Study, end, metric: str, which: str, goes: str = GOES[0]) -> Interval:
    """The interval of one of `COMPARISONS`."""
    values = []
    for side in COMPARISONS[which]:
        if side is None:
            values.append(study.lot(end, goes))
        else:
            directions, count = side
            values.append(study.test(end, metric, directions, count or study.whole, goes))
    return interval(values[0] - values[1])


def differences_table(study: Study, metric: str = METRICS[0], goes: str = GOES[0]) -> Table:
    """Every comparison in a metric, at each end."""
    what = {"weaker": "the weaker unit of a pair goes", "either": "a lot says which of a pair goes"}
    return wording.table(
        [
            [which, *(f"{difference(study, end, metric, which, goes)}" for end in study.ends)]
            for which in COMPARISONS
        ],
        ["", *(f"{ratio:.0%} {MADE_UP[compensate]}" for ratio, compensate in study.ends)],
        f"Points of accuracy, mean and 95 % interval of {study.networks} networks, metric of "
        f"{NAMES[metric]}; PCA, random and trailing keep 16 directions; {what[goes]}",
        format="{}",
    )


def loudness(study: Study, layer: int | None = None) -> dict[str, np.ndarray]:
    """Metric -> rank correlation of a unit's norm and the distance to its nearest line.

    Returns
    -------
    dict of str to ndarray, shape (seeds, components)
        The mean over layers, unless one is named.
    """
    found = {}
    for metric in study.metrics:
        rows = [e for e in study.views if e["metric"] == metric and layer in (None, e["layer"])]
        found[NAMES[metric]] = np.mean(
            [
                [e["loud"] for e in rows if e["layer"] == own]
                for own in sorted({e["layer"] for e in rows})
            ],
            axis=0,
        ).T
    return found


def loud_figure(study: Study) -> plotting.Figure:
    """`loudness` against the directions kept."""
    found = loudness(study)
    ticks = [f"{count}" for count in study.components[:-1]] + ["all"]

    def draw(ax, palette):
        for position, (name, values) in enumerate(found.items()):
            color, where = palette.series("", position), range(len(ticks))
            mean, low, high = np.transpose([interval(column) for column in values.T])
            ax.fill_between(where, low, high, color=color, alpha=0.18, linewidth=0)
            ax.plot(where, mean, "os^"[position] + "-", color=color, label=name)
        ax.axhline(0, color=palette.ink, linewidth=1)
        ax.set_xticks(range(len(ticks)), ticks)
        ax.set(xlabel="directions kept", ylabel="rank correlation")
        plotting.legend(ax)

    means = {name: values.mean(0).round(2) + 0.0 for name, values in found.items()}  # no -0.00
    return plotting.figure(
        draw,
        "Rank correlation of norm and distance to the nearest line, with one direction and with "
        f"all: {wording.first_to_last(means, '{:+.2f}')}.",
        "Norm of a unit against the distance to its nearest line, mean over both layers and "
        f"{study.networks} networks. Below zero the long ones lie close to others.",
        (5.6, 4.0),
    )


def needed(study: Study, metric: str, layer: int, accuracy: float, by: str) -> Sequence[int]:
    """Directions that an accuracy of all pairs needs, for each network."""
    (entry,) = (
        e
        for e in study.needs
        if (e["metric"], e["layer"], e["accuracy"], e["by"]) == (metric, layer, accuracy, by)
    )
    return entry["components"]


def needs_table(study: Study, accuracy: float = 0.1) -> Table:
    """Directions that an accuracy of all pairs needs, by what is known of them."""
    layers = sorted({e["layer"] for e in study.needs})
    rows = [
        [
            f"{NAMES[metric]}, layer {layer}",
            *(
                plotting.over_seeds(needed(study, metric, layer, accuracy, by), "{:.0f}")
                for by in reversed(BY[:-1])
            ),
            plotting.over_seeds(needed(study, metric, layer, accuracy, "truth"), "{:.0f}"),
        ]
        for metric in study.metrics
        for layer in layers
    ]
    return wording.table(
        rows,
        ["", "from eigenvalues", "from units", "from pairs", "in truth"],
        f"Directions needed for every cosine to be right within {accuracy:g}, mean (least to most) "
        f"of {study.networks} networks of two layers of 128 units",
        format="{}",
    )


def explained(study: Study, end: tuple[float, str]) -> dict[str, np.ndarray]:
    """Metric -> loudness and points over the lot of each number of leading directions.

    Returns
    -------
    dict of str to ndarray, shape (2, components)
    """
    loud = loudness(study)
    return {
        NAMES[metric]: np.array(
            [
                loud[NAMES[metric]].mean(0),
                [
                    (study.test(end, metric, DIRECTIONS[0], count) - study.lot(end)).mean()
                    for count in study.components
                ],
            ]
        )
        for metric in study.metrics
    }


def explained_figure(study: Study):
    """Points over the lot against loudness; a slider goes through what makes up for the cut."""

    def told(end) -> str:
        worst = {
            name: values[:, values[0].argmin()] for name, values in explained(study, end).items()
        }
        said = ", ".join(f"{name} {at:+.2f}, {over:+.1f}" for name, (at, over) in worst.items())
        return f"{named(end)}. Least correlation of each metric, and points over the lot: {said}."

    def frame(end):
        def draw(ax, palette):
            for position, (name, (loud, over)) in enumerate(explained(study, end).items()):
                color, mark = palette.series("", position), "os^"[position]
                ax.plot(loud, over, color=color, linewidth=0.8, alpha=0.6)
                ax.plot(loud[1:-1], over[1:-1], mark, color=color, label=name)
                ax.plot(loud[0], over[0], mark, color=color, fillstyle="none", markersize=8)
                ax.plot(loud[-1], over[-1], mark, color=color, markersize=9)
            ax.axhline(0, color=palette.ink, linewidth=1)
            ax.set(xlabel="rank correlation of norm and distance", ylabel="points over the lot")
            plotting.legend(ax)

        return plotting.figure(draw, alt="What explains it.", size=(5.6, 4.2))

    return widgets.scrub(
        frame,
        study.ends,
        label="what goes",
        alt=told,
        format=named,
        caption="A point is a number of leading directions in a metric, from one (hollow) to all "
        "(large).",
    )
