"""Local complexity over training, dense and pruned at the early bird: figures, tables, claims."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from .. import plotting
from ..experiments.slice_records import KINDS
from ..plotting import widgets
from ..plotting.tables import Table
from . import starts, wording
from .starts import Interval

# What is compared of a seed: a name, and (network, epoch) over (network, epoch).
BIRD, END = "bird", "end"
# A network and a kind of points; and what is counted around these.
Of = tuple[str, str]
COUNTS = ("regions", "units")


class Study:
    """A record of `experiments.slices`, with its entries at hand.

    Attributes
    ----------
    seeds : list of int
    birds : dict of int to int
        Epoch of the early bird of each seed, counted from 1.
    unsettled : int
        Seeds that were pruned because the rate fell.
    radii : list of float
    epochs : int
    falls : int
        Epoch after which the rate falls for the first time.
    """

    def __init__(self, record: dict):
        self.birds = {bird["seed"]: bird["epoch"] for bird in record["birds"]}
        self.unsettled = sum(not bird["settled"] for bird in record["birds"])
        self.seeds = sorted(self.birds)
        self.epochs = record["settings"]["epochs"]
        self.falls = record["settings"]["milestones"][0]
        self.radii = sorted({entry["radius"] for entry in record["entries"]})
        self.rows = record["entries"]
        names = ("seed", "network", "epoch", "kind", "radius")
        self._entries = {tuple(entry[name] for name in names): entry for entry in self.rows}

    def count(self, seed: int, network: str, epoch: int, kind: str, radius: float) -> float:
        """Regions around a seed's points of a kind, their geometric mean."""
        regions = self._entries[seed, network, epoch, kind, radius]["regions"]
        return float(np.exp(np.log(regions).mean()))

    def accuracy(self, network: str) -> np.ndarray:
        """Test accuracy of each seed at the end, (seeds,)."""
        last = (self.epochs, KINDS[0], self.radii[0])
        return np.array([self._entries[s, network, *last]["accuracy"] for s in self.seeds])

    def logs(self, network: str, when: str | int, kind: str, radius: float) -> np.ndarray:
        """Logarithms of all seeds' counts at an epoch, at the early bird or the end, (seeds,)."""
        at = {BIRD: self.birds, END: dict.fromkeys(self.seeds, self.epochs)}
        epochs = at[when] if when in at else dict.fromkeys(self.seeds, when)
        counts = [self.count(seed, network, epochs[seed], kind, radius) for seed in self.seeds]
        return np.log(counts)

    def after(self, network: str, kind: str, radius: float) -> Interval:
        """Change from the early bird to the end, in percent; of the pruned network from the cut."""
        ends = [self.logs(network, when, kind, radius) for when in (END, BIRD)]
        return percent(ends[0] - ends[1])

    def cut(self, kind: str, radius: float) -> Interval:
        """Change by the cut itself, in percent."""
        pruned, dense = (self.logs(n, BIRD, kind, radius) for n in ("pruned", "dense"))
        return percent(pruned - dense)

    def bend(self, kind: str, radius: float) -> Interval:
        """The pruned network's change after the cut over the dense one's, in percent."""
        courses = [
            self.logs(n, END, kind, radius) - self.logs(n, BIRD, kind, radius)
            for n in ("pruned", "dense")
        ]
        return percent(courses[0] - courses[1])

    def agreement(self, radius: float) -> dict[str, float]:
        """Spearman's rank correlation of exact and sampled counts.

        Over all networks, epochs and points together, and within a network and an epoch between
        its points, on average.
        """
        from scipy.stats import spearmanr  # takes long to load

        rows = [e for e in self.rows if e["radius"] == radius]
        both = [np.concatenate([e[part] for e in rows]) for part in ("regions", "units")]
        groups: dict[tuple, list[dict]] = {}
        for entry in rows:
            groups.setdefault((entry["seed"], entry["network"], entry["epoch"]), []).append(entry)
        within = [
            spearmanr(*(np.concatenate([e[p] for e in g]) for p in ("regions", "units")))[0]
            for g in groups.values()
        ]
        return {"together": float(spearmanr(*both)[0]), "within": float(np.mean(within))}

    def over(self, one: Of, other: Of, radius: float, part: str) -> Interval:
        """By how many percent there are more regions, or more units, of one than of another.

        Compared are means over points and over the epochs from the early bird on, seed by seed.

        Parameters
        ----------
        one, other : (str, str)
            Network and kind of points.
        radius : float
        part : {"regions", "units"}
        """
        found: dict[Of, dict[int, list[float]]] = {one: {}, other: {}}
        for entry in self.rows:
            of, seed = (entry["network"], entry["kind"]), entry["seed"]
            if of in found and entry["radius"] == radius and entry["epoch"] >= self.birds[seed]:
                found[of].setdefault(seed, []).extend(entry[part])
        logs = [[np.log(np.mean(found[of][seed])) for seed in self.seeds] for of in (one, other)]
        return percent(np.subtract(*logs))


def percent(logs: np.ndarray) -> Interval:
    """The interval of a mean of logarithms of factors, as a change in percent.

    Examples
    --------
    >>> percent(np.log([2.0, 2.0])).mean.__round__(6)
    100.0
    """
    return Interval(*(100 * float(np.expm1(value)) for value in starts.interval(logs)))


def averages(study: Study, radius: float) -> Table:
    """What averages over points say by either count: of noise, and of pruned networks."""
    pairs = [
        *((("dense", "noise"), ("dense", kind)) for kind in KINDS if kind != "noise"),
        *((("pruned", kind), ("dense", kind)) for kind in KINDS),
    ]

    def row(one: Of, other: Of) -> list[str]:
        compared = [a if a == b else f"{a} over {b}" for a, b in zip(one, other, strict=True)]
        counts = [str(study.over(one, other, radius, part)) for part in COUNTS]
        return [", ".join(compared), *counts]

    return wording.table(
        [row(*pair) for pair in pairs],
        ["what is compared", "regions on a plane", "units by sampling"],
        f"Differences in percent within {radius:g}, with 95 % intervals over {len(study.seeds)} "
        "seeds; means over points, and over epochs from the early bird on",
    )


def over_training(study: Study, radius: float):
    """Counts around each kind of points over training, every seed from its early bird on.

    A slider goes through the kinds of points.
    """
    before = min(study.birds.values())
    behind = study.epochs - max(study.birds.values())

    def values(network: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
        steps = np.arange(-before if network == "dense" else 0, behind + 1)
        rows = [
            [study.count(s, network, study.birds[s] + step, kind, radius) for step in steps]
            for s in study.seeds
        ]
        return steps, np.array(rows)

    def frame(kind: str):
        def draw(ax, palette):
            for network, colour in (("dense", palette.kept), ("pruned", palette.pruned)):
                steps, rows = values(network, kind)
                ax.plot(steps, rows.T, color=colour, linewidth=0.6, alpha=0.45)
                mean = np.exp(np.log(rows).mean(0))
                ax.plot(steps, mean, color=colour, linewidth=3, label=network)
            ax.axvline(0, color=palette.boundary, linestyle="--", linewidth=1.5)
            ax.set(xlabel="epochs since the early bird", ylabel="regions", yscale="log")
            plotting.legend(ax)

        return plotting.figure(draw, alt="Regions over epochs.", size=(5.8, 4.2))

    def told(kind: str) -> str:
        parts = []
        for network in ("dense", "pruned"):
            steps, rows = values(network, kind)
            mean = np.exp(np.log(rows).mean(0))
            first = mean[list(steps).index(0)]
            parts.append(f"{network} {first:,.0f} at the early bird, {mean[-1]:,.0f} at the end")
        return f"Regions within {radius:g} of {kind} points: {'; '.join(parts)}."

    return widgets.scrub(
        frame,
        list(KINDS),
        label="points",
        alt=told,
        format=lambda kind: f"{kind} points" if kind != "noise" else "noise",
        caption=f"Regions that a disc of radius {radius:g} meets on the plane of three inputs, "
        f"geometric mean of the points; {len(study.seeds)} seeds, thick their mean. Shown are "
        f"the {before} epochs before the early bird and the {behind} after it that every seed has.",
    )


def answers(study: Study, radius: float) -> Table:
    """Changes in percent with their intervals, for each kind of points."""
    changes = {
        "dense, bird to end": partial(study.after, "dense"),
        "by the cut": study.cut,
        "pruned, cut to end": partial(study.after, "pruned"),
        "pruned over dense": study.bend,
    }
    rows = [
        [name, *(str(change(kind, radius)) for kind in KINDS)] for name, change in changes.items()
    ]
    return wording.table(
        rows,
        ["change", *KINDS],
        f"Changes of the regions within {radius:g} of three kinds of points, in percent, with 95 % "
        f"intervals over {len(study.seeds)} seeds. The last row divides the third by the first",
    )


def claims(study: Study) -> Iterator[tuple[str, bool]]:
    """What chapter 17 says in words, and whether the record carries it."""
    yield (
        "the early bird comes before the rate falls, or with it",
        [epoch <= study.falls for epoch in study.birds.values()],
    )
    yield "it had settled in most seeds, not in all", 0 < study.unsettled < len(study.seeds) / 2
    cases = [(kind, radius) for kind in KINDS for radius in study.radii]
    near = ("training", study.radii[0])
    for network in ("dense", "pruned"):
        changes = {case: study.after(network, *case) for case in cases}
        yield (
            f"of the {network} network it falls near training points, by about a fifth",
            changes[near].sign < 0 and 15 < -changes[near].mean < 25,
        )
        yield (
            f"all other changes of the {network} network hold zero",
            [not change.sign for case, change in changes.items() if case != near],
        )
    dense = {case: study.after("dense", *case) for case in cases}
    yield (
        "around test points a change by a fifth or more is excluded",
        [max(-c.low, c.high) < 20 for (kind, _), c in dense.items() if kind == "test"],
    )
    yield (
        "around the others more than a fifth is not",
        [max(-c.low, c.high) > 20 for (kind, _), c in dense.items() if kind != "test"],
    )
    cuts = {case: study.cut(*case) for case in cases}
    yield "the cut takes regions, told from zero", [c.sign < 0 for c in cuts.values()]
    shares = [-c.mean for c in cuts.values()]
    yield "between a sixth and two fifths", min(shares) > 100 / 6 - 1 and max(shares) < 40
    yield (
        "most of them around noise",
        [cuts["noise", r].mean < min(cuts[k, r].mean for k in KINDS[:2]) for r in study.radii],
    )
    courses = {case: study.bend(*case) for case in cases}
    told = [case for case, course in courses.items() if course.sign]
    yield (
        "one course is told apart, around noise at the larger radius",
        (told == [("noise", study.radii[-1])] and -3 < courses[told[0]].high < 0),
    )
    yield from _of_averages(study)
    found = [value for r in study.radii for value in study.agreement(r).values()]
    yield "exact and sampled counts agree loosely", min(found) > 0.4 and max(found) < 0.8


def _of_averages(study: Study) -> Iterator[tuple[str, bool]]:
    """Where averages of exact and of sampled counts say the same, and where they do not."""
    noise, images = ("dense", KINDS[-1]), [("dense", kind) for kind in KINDS[:-1]]
    of = {
        part: [study.over(noise, other, r, part) for other in images for r in study.radii]
        for part in COUNTS
    }
    yield (
        "around noise sampling counts a fifth to a quarter more units than around images",
        [u.sign > 0 and 20 < u.mean < 27 for u in of["units"]],
    )
    yield "around noise no other number of regions can be told", [not o.sign for o in of["regions"]]
    less = [
        study.over(("pruned", kind), ("dense", kind), r, part).sign
        for kind in KINDS
        for r in study.radii
        for part in COUNTS
    ]
    yield "pruned networks have less of either, around all points", [sign < 0 for sign in less]
