"""Routed small networks beside one ticket of their cost and an early exit: tables and figures."""

from collections.abc import Iterator, Sequence

import numpy as np

from .. import plotting
from ..plotting import widgets
from ..plotting.tables import Table
from ..text import over_seeds
from . import starts, wording
from .starts import Interval

# What a cost is called, and by how much it is multiplied to be shown.
COSTS = {
    "macs": ("multiply-accumulates of an image", 1.0),
    "batch": ("µs for an image, all at once", 1e6),
    "single": ("µs for an image by itself", 1e6),
}


class Study:
    """A record of `experiments.routes`, with its entries at hand.

    Attributes
    ----------
    seeds : list of int
    ways : list of str
        But the dense network, in the order of the record.
    widths : list of int
        Of the small networks, the widest first.
    """

    def __init__(self, record: dict):
        self._entries = {(e["way"], e["width"], e["seed"]): e for e in record["entries"]}
        self.seeds = sorted({seed for *_, seed in self._entries})
        kinds = list(dict.fromkeys((way, width) for way, width, _ in self._entries))
        self.ways = list(dict.fromkeys(way for way, _ in kinds if way != "dense"))
        self.widths = sorted({width for way, width in kinds if way != "dense"}, reverse=True)
        self.dense = next(width for way, width in kinds if way == "dense")

    def values(self, way: str, width: int, part: str) -> np.ndarray | None:
        """What each seed has of a way, (seeds,), or None where one has nothing."""
        found = [self._entries.get((way, width, seed)) for seed in self.seeds]
        return None if None in found else np.array([entry[part] for entry in found])

    def cost(self, way: str, width: int, part: str) -> float:
        """One of `COSTS` of a way, median over seeds: a busy machine spoils some latencies."""
        return COSTS[part][1] * float(np.median(self.values(way, width, part)))

    def gain(self, way: str, over: str, width: int) -> Interval | None:
        """Points of test accuracy of one way over another, paired seed by seed."""
        both = [self.values(name, width, "test") for name in (way, over)]
        if any(values is None for values in both):
            return None
        return starts.interval(100 * np.subtract(*both))


def against_cost(study: Study, ways: Sequence[str] | None = None):
    """Mean accuracy of each way against its cost; a slider goes through the costs."""
    ways = study.ways if ways is None else list(ways)

    def points(way: str, part: str) -> tuple[list[float], list[float]]:
        kinds = [w for w in study.widths if study.values(way, w, "test") is not None]
        cost = [study.cost(way, w, part) for w in kinds]
        return cost, [100 * study.values(way, w, "test").mean() for w in kinds]

    def frame(part: str):
        def draw(ax, palette):
            for position, way in enumerate(ways):
                style = "-" if way in ("static", "early exit") else "--"
                colour, marker = palette.series(way, position), "os^Dvx"[position % 6]
                ax.plot(*points(way, part), style, marker=marker, color=colour, label=way)
            ax.set(xscale="log", xlabel=COSTS[part][0], ylabel="right, %")
            plotting.legend(ax)

        return plotting.figure(draw, alt="Accuracy against cost.", size=(5.8, 4.2))

    def told(part: str) -> str:
        last = {way: points(way, part)[1] for way in ways}
        ends = ", ".join(f"{way} {found[-1]:.1f}" for way, found in last.items())
        return f"Accuracy against {COSTS[part][0]}; at the least width of each way, in %: {ends}."

    return widgets.scrub(
        frame,
        list(COSTS),
        label="cost",
        alt=told,
        format=lambda part: COSTS[part][0],
        caption=f"Test accuracy, mean over {len(study.seeds)} seeds. Dashed: a router and a small "
        f"network for each cluster. A point is a width.",
    )


def table(study: Study) -> Table:
    """Accuracy, cost and latency of every way at every width."""
    rows = []
    for way, width in [("dense", study.dense), *((y, w) for w in study.widths for y in study.ways)]:
        test = study.values(way, width, "test")
        if test is None:
            continue
        gain = study.gain(way, "static", width) if way not in ("dense", "static") else None
        costs = [study.cost(way, width, part) for part in COSTS]
        right = over_seeds(list(100 * test), "{:.1f}")
        rows.append([f"{way}, {width}", right, "" if gain is None else str(gain), *costs])
    return wording.table(
        rows,
        ["way, width", "right, %", "points over static", "MACs", "µs, all", "µs, one"],
        f"Accuracy: mean (least to most) of {len(study.seeds)} seeds; points over the static "
        "ticket of that row's width, paired, with their interval. That ticket is a little wider "
        "than its row says: it costs no less than the dearest routed network of that width. Costs "
        "of an image: medians; latency on one thread, of all test images at once and of one by "
        "itself",
        format=["{}", "{}", "{}", "{:,.0f}", "{:.2f}", "{:.0f}"],
    )


def claims(study: Study) -> Iterator[tuple[str, bool]]:
    """What chapter 16 says in words, and whether the record carries it."""
    few, many, pixels, longer = "codes 4", "codes 8", "pixels 8", "codes 8 longer"
    routed, widths = (few, many, pixels, longer), study.widths  # the widest first
    over = {way: [study.gain(way, "static", w) for w in widths] for way in routed}
    every = [gain for gains in over.values() for gain in gains]
    yield "no routed network is ahead of the static ticket", all(g.sign <= 0 for g in every)
    yield "at the least width each is behind", all(gains[-1].sign < 0 for gains in over.values())
    falls = [gains[-1].mean < gains[0].mean - 1 for way, gains in over.items() if way != longer]
    yield "at the same training the loss grows as networks get smaller", all(falls)
    less = [a.mean < b.mean for a, b in zip(over[many], over[few], strict=True)]
    yield "eight clusters lose more than four", all(less)
    mended = [study.gain(longer, many, w) for w in widths]
    shares = [-g.mean / lost.mean for g, lost in zip(mended, over[many], strict=True)]
    yield "as many steps mend about half of it at the largest width", 0.4 < shares[0] < 0.6
    yield "and nine tenths at the others", all(0.85 < share < 0.95 for share in shares[1:])
    apart = [study.gain(many, pixels, w) for w in widths]
    yield "codes and pixels are within two points", all(abs(g.mean) < 2 for g in apart)
    told = [g.sign != 0 for g in apart]
    yield "codes and pixels are told apart only at the least width", told[-1] and not any(told[:-1])
    exits = [study.gain("early exit", "static", w) for w in widths]
    yield "the early exit is ahead or not told apart", all(g is None or g.sign >= 0 for g in exits)
    yield "at the least width it cannot be", exits[-1] is None and any(g and g.sign for g in exits)
    yield from _of_costs(study, few, many)
    yield from _of_latencies(study, routed)


def _of_costs(study: Study, few: str, many: str) -> Iterator[tuple[str, bool]]:
    """What the static ticket costs more than routed networks, in every seed, in whole percent."""

    def dearer(way: str) -> tuple[int, int]:
        times = [
            study.values("static", w, "macs") / study.values(way, w, "macs") for w in study.widths
        ]
        percent = 100 * (np.concatenate(times) - 1)
        return round(percent.min()), round(percent.max())

    yield "the ticket costs 3 to 17 % more than networks for four clusters", dearer(few) == (3, 17)
    yield "the ticket costs 1 to 3 % more than networks for eight", dearer(many) == (1, 3)
    exits = [study.values("early exit", w, "macs") for w in study.widths]
    near = [
        np.median(found) / study.cost("static", w, "macs")
        for found, w in zip(exits, study.widths, strict=True)
        if found is not None
    ]
    yield "the early exit costs about as much as the ticket", all(0.9 < n < 1.1 for n in near)


def _of_latencies(study: Study, routed: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for part, times in (("batch", 2.0), ("single", 1.2)):
        slower = [
            study.cost(way, w, part) > times * study.cost("static", w, part)
            for way in (*routed, "early exit")
            for w in study.widths
            if study.values(way, w, part) is not None and (way, part) != ("early exit", "batch")
        ]
        yield f"the ticket is faster, {part}", all(slower)
    ratio = {
        part: study.cost("dense", study.dense, part) / study.cost("static", study.widths[-1], part)
        for part in COSTS
    }
    yield (
        "with 50 times fewer operations a single image is about twice as fast",
        (ratio["macs"] > 50 and 1.5 < ratio["single"] < 2.5),
    )
