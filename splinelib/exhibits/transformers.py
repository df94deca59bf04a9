"""Transformers of which parts were pruned: a figure that goes through the parts, tables, claims."""

from collections.abc import Iterator

import numpy as np

from .. import plotting
from ..experiments import Ticket
from ..experiments.transformer_records import NOTHING, PARTS
from ..plotting import widgets
from ..plotting.tables import Table
from ..text import over_seeds
from . import starts, wording
from .starts import Interval

# What a part is called on the page.
NAMES = {
    "units": "units of the perceptrons",
    "heads": "heads of attention",
    "stream": "channels of the residual stream",
}


class Study:
    """A record of `experiments.transformers`, with its entries at hand.

    Attributes
    ----------
    record : dict
    dense : ndarray, shape (seeds,)
        Test accuracy before pruning.
    heads : ndarray, shape (layers, heads, seeds)
        The share of what follows a head that is lost with it once the others are refitted.
    """

    def __init__(self, record: dict):
        self.record, self.dense = record, np.array(record["dense"])
        keys = ("part", "order", "ratio", "compensate")
        self._tests = {tuple(e[k] for k in keys): np.array(e["test"]) for e in record["entries"]}
        layers = max(entry["layer"] for entry in record["heads"])
        lost = np.array([entry["lost"] for entry in record["heads"]])
        self.heads = lost.reshape(layers, -1, len(self.dense))

    def orders(self, part: str) -> list[str]:
        """Criteria that a part went by."""
        return list(dict.fromkeys(order for p, order, *_ in self._tests if p == part))

    def ratios(self, part: str) -> list[float]:
        """Shares of each layer that went, rising."""
        return sorted({ratio for p, _, ratio, _ in self._tests if p == part})

    def test(self, part: str, order: str, ratio: float, compensate: str = NOTHING) -> np.ndarray:
        """Test accuracy of each seed, (seeds,)."""
        return self._tests[part, order, ratio, compensate]

    def lost(self, part: str, order: str, ratio: float, compensate: str = NOTHING) -> float:
        """Points of accuracy lost against the dense networks, mean over seeds."""
        return 100 * float((self.dense - self.test(part, order, ratio, compensate)).mean())

    def lead(self, part: str, order: str, over: str, ratio: float, compensate: str) -> Interval:
        """Points of one order over another, paired seed by seed."""
        tests = [self.test(part, name, ratio, compensate) for name in (order, over)]
        return starts.interval(100 * np.subtract(*tests))

    def gap(self, when: str) -> np.ndarray:
        """Distance of the map with held factors from the Jacobian, share of it, (seeds,)."""
        (entry,) = [entry for entry in self.record["maps"] if entry["when"] == when]
        return np.array(entry["gap"])


def against_ratio(study: Study):
    """Accuracy of each order against the share that went; a slider goes through the parts."""

    def frame(part: str):
        ratios = study.ratios(part)
        series = {
            f"{order}{how}": (ratios, np.transpose([study.test(part, order, r, c) for r in ratios]))
            for c, how in ((NOTHING, ""), ("refit", ", refitted"))
            for order in shown(part, c)
        }
        # Third, it has the colour that no order has: the one of tickets with compensation.
        names = sorted(series, key=lambda name: "refitted" in name)
        names.insert(2, names.pop())
        series = {name: series[name] for name in names}
        return plotting.accuracy_against(
            series,
            f"share of the {NAMES[part]} that went from each layer",
            alt=told(part),
            dense=float(study.dense.mean()),
            limits=(0.0, 1.0),
        )

    def shown(part: str, compensate: str) -> list[str]:
        chosen = ("magnitude", "lsq", "random") if compensate == NOTHING else ("lsq",)
        return [order for order in study.orders(part) if order in chosen]

    def told(part: str) -> str:
        most = study.ratios(part)[-1]
        ends = [
            f"{order} {100 * study.test(part, order, most).mean():.1f}"
            for order in shown(part, NOTHING)
        ]
        refitted = 100 * study.test(part, "lsq", most, "refit").mean()
        return (
            f"{NAMES[part]}, {most:.0%} gone from each layer, accuracy in %: {', '.join(ends)}; "
            f"lsq with a refit {refitted:.1f}; dense {100 * study.dense.mean():.1f}."
        )

    return widgets.scrub(
        frame,
        list(PARTS),
        label="part",
        alt=told,
        format=lambda part: NAMES[part],
        caption=f"Test accuracy without training afterwards, mean and range of "
        f"{len(study.dense)} seeds.",
        start=1,
    )


def table(study: Study, part: str) -> Table:
    """Accuracy of every order of a part, with nothing and with a refit."""
    ratios = study.ratios(part)
    rows = [
        [
            order,
            *(
                over_seeds(list(100 * study.test(part, order, ratio, compensate)), "{:.1f}")
                for ratio in ratios
                for compensate in (NOTHING, "refit")
            ),
        ]
        for order in study.orders(part)
    ]
    dense = over_seeds(list(100 * study.dense), "{:.1f}")
    return wording.table(
        rows,
        ["order", *(f"{ratio:.0%} gone{how}" for ratio in ratios for how in ("", ", refit"))],
        f"{NAMES[part].capitalize()}: test accuracy in %, mean (least to most) of "
        f"{len(study.dense)} seeds. Dense: {dense}",
    )


def heads_table(study: Study) -> Table:
    """Of each layer, the head that the others rebuild best, and the one that they rebuild worst."""
    rows = []
    for layer, lost in enumerate(study.heads, 1):
        ends = (100 * lost.min(0), 100 * lost.mean(0), 100 * lost.max(0))
        rows.append([f"{layer}", *(over_seeds(list(values), "{:.0f}") for values in ends)])
    return wording.table(
        rows,
        ["layer", "best rebuilt", "mean", "worst rebuilt"],
        "What is lost of the attention's output, in % of its square, when a head goes and the "
        f"others are refitted. Mean (least to most) of {len(study.dense)} seeds",
    )


def one_shot_table(record: dict) -> Table:
    """Accuracy of the dense network of a run after each cut of all its parts at once.

    Parameters
    ----------
    record : dict
        As `experiments.oneshot.read` gives it.
    """
    tests = {(Ticket.of(e).method, e["ratio"]): e["test_accuracy"] for e in record["entries"]}
    ratios = sorted({ratio for _, ratio in tests})
    rows = [
        [wording.in_tables(method), *(100 * tests[method, ratio] for ratio in ratios)]
        for method in dict.fromkeys(method for method, _ in tests)
    ]
    return wording.table(
        rows,
        ["method", *(f"{ratio:.0%} gone" for ratio in ratios)],
        f"Test accuracy in % of {record['name']}, {100 * record['dense_accuracy']:.1f} before; "
        "units, heads and stream under one threshold, nothing trained afterwards. One seed",
        format=["{}", *["{:.1f}"] * len(ratios)],
    )


def claims(study: Study) -> Iterator[tuple[str, bool]]:
    """What chapter 15 says of the record in words, and whether it carries that."""

    def lost(part: str, ratio: float, compensate: str = NOTHING) -> list[float]:
        return [study.lost(part, order, ratio, compensate) for order in study.orders(part)]

    def ahead(part: str, ratio: float, compensate: str, order: str = "lsq") -> int:
        return study.lead(part, order, "random", ratio, compensate).sign

    yield "nine in ten units cost less than two and a half points", max(lost("units", 0.9)) < 2.5
    yield "after a refit less than half a point", max(lost("units", 0.9, "refit")) < 0.5
    leads = [
        study.lead("units", order, "random", ratio, how)
        for order in study.orders("units")
        for ratio in study.ratios("units")
        for how in (NOTHING, "refit")
    ]
    yield "no order of units is a point ahead of chance", all(abs(g.mean) < 1 for g in leads)
    heads, stream = lost("heads", 0.5), lost("stream", 0.5)
    yield (
        "half of the heads cost 29 to 36 points",
        [round(f(heads)) for f in (min, max)] == [29, 36],
    )
    yield "half of the stream costs more than 60", min(stream) > 60
    heads, stream = lost("heads", 0.5, "refit"), lost("stream", 0.5, "refit")
    yield "after a refit the heads cost 8 to 12", 7.5 < min(heads) < max(heads) < 12.5
    yield "and the stream less than five", max(stream) < 5
    chosen = [study.lost("heads", o, 0.5, "refit") for o in ("magnitude", "thinet", "lsq")]
    yield "three orders of heads are within half a point", max(chosen) - min(chosen) < 0.5
    yield (
        "at three quarters, refitted, all three are ahead of chance",
        all(ahead("heads", 0.75, "refit", order) > 0 for order in ("magnitude", "thinet", "lsq")),
    )
    yield (
        "of the stream lsq is ahead of chance at both shares, and refitted at the larger",
        all(ahead("stream", *how) > 0 for how in ((0.25, NOTHING), (0.5, NOTHING), (0.5, "refit"))),
    )
    means = study.heads.mean((1, 2))
    yield (
        "a layer loses 8 to 16 % with a head, the first most",
        (0.07 < means[2] < means[1] < means[0] < 0.17),
    )
    yield "no head of any network can be rebuilt to one part in a hundred", study.heads.min() > 0.01
    yield "held maps are off by more than three quarters", study.gap("trained").min() > 0.75
