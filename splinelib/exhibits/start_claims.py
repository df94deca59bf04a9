"""What chapter 5 says in words, as sentences and whether the values carry them."""

from collections.abc import Iterator, Mapping

import numpy as np

from . import fits, start_lines, starts
from .starts import Study

PLANE = ("cross", "spiral", "moons")
DIGITS = ("digits",)
Claims = Iterator[tuple[str, bool]]


def count(study: Study, way: str, over: str, budget: str, data=(*PLANE, *DIGITS)) -> tuple:
    """Conditions of some data sets in which a way is ahead, behind, and not told apart."""
    every = starts.verdicts(study, way, over, budget)
    return starts.tally({c: one for c, one in every.items() if c.data in data})


def of_fits(line: Mapping, plane: Mapping, least: Mapping[str, float]) -> Claims:
    """Of a curve and a surface; `line` and `plane` as `fits.compared` gives them."""
    curved = {name: fits.typical(way) / least["the curve"] for name, way in line.items()}
    few, even, greedy, twice, fourfold, again = curved.values()
    yield "k-means does not do better than chance", even > 0.9 * few
    yield "from four times as many they come close to the best", fourfold < 1.2
    yield "twice as many get part of the way", fourfold < twice < 0.85 * few
    yield "so does a start that adds lines where they are missed", greedy < 1.2
    yield "the best of four starts ends behind both", again > max(fourfold, greedy) + 0.03
    cost = {name: fits.mean_cost(way) for name, way in line.items()}
    cut = cost["cut down from 4 times as many"]
    yield (
        "the detour is cheap, and starts are paid",
        cut < min(2 * cost["random start"], cost["best of 4 random starts"]),
    )
    surface = [fits.typical(way) / least["a surface"] for way in plane.values()]
    yield "on the surface all ways are within a fifth of the least", max(surface) < 1.2


def of_clusters(relative: Mapping[str, Mapping[str, np.ndarray]]) -> Claims:
    """Of k-means, from distances as multiples of the least."""
    mean = {name: [v.mean() for v in ways.values()] for name, ways in relative.items()}
    random, plus, *cut = mean["20 clouds"]
    yield "random centres lose clouds", random > 1.3
    yield "k-means++ loses fewer", plus < 0.9 * random
    yield "cut down, hardly any are lost", max(cut) < min(plus, 1.05)
    yield "on digits all are within a twentieth", max(mean["digits"]) < 1.05


def of_map(study: Study) -> Claims:
    """Of the map: who is ahead where."""
    for budget in starts.COSTS:
        ahead, behind, same = count(study, "pruned: lsq", "random", budget)
        yield "cut by lsq, never behind a random start", behind == 0
        yield "ahead in about half or more", ahead > 0.4 * (ahead + same)
        yield "layerwise is never ahead", count(study, "layerwise", "random", budget)[0] == 0
        for way, times in (("pruned: spline", 5), ("pruned: random", 3)):
            won, lost, _ = count(study, way, "random", budget)
            yield f"{way} is behind more often than ahead", lost > times * won
        lottery = count(study, "lottery", "random", budget)[0]
        yield "the lottery keeps less than half of the wins", lottery < 0.5 * ahead
        plane = count(study, "pruned: lsq", "spread", budget, PLANE)
        yield "in the plane lsq is mostly not told from spread lines", plane[2] > 0.7 * sum(plane)
        won, lost, same = count(study, "pruned: lsq", "spread", budget, DIGITS)
        yield "on digits it is mostly ahead of them", won > 0.75 * (won + same) and not lost
        digits = count(study, "spread", "random", budget, DIGITS)
        yield "on digits spread lines are never ahead", digits[0] == 0
    won, lost, same = count(study, "spread", "random", "epochs", PLANE)
    yield "spread lines are ahead in half of the plane", won > same and not lost
    yield from _of_restarts(study)


def _of_restarts(study: Study) -> Claims:
    paid = starts.verdicts(study, "pruned: lsq", "restarts", "flops")
    most, twice = (
        starts.tally({c: one for c, one in paid.items() if c.factor == f}) for f in (16, 2)
    )
    yield "at 16 times restarts mostly catch up", most[2] > 0.7 * sum(most)
    yield "at 2 times cutting is often ahead", twice[0] > 0.4 * sum(twice) and not twice[1]
    number = {c: study.entry(c, "restarts", "flops")["restarts"] for c in study.conditions}
    wide = [n for c, n in number.items() if c.factor == 16]
    yield "twice pays for one or two", max(n for c, n in number.items() if c.factor == 2) <= 2
    yield "16 times pays for nine and more, then for dozens", min(wide) == 9 and max(wide) > 60


def of_lines(study: Study) -> Claims:
    """Of lines as a predictor, and of how wide is wide enough."""
    found = {
        budget: [
            start_lines.rank_correlation(*start_lines.points_of(study, predictor, budget))
            for predictor in start_lines.PREDICTORS.values()
        ]
        for budget in starts.COSTS
    }
    yield "at equal epochs no interval leaves zero out", not any(o.sign for o in found["epochs"])
    first, *others = found["flops"]
    barely = first.sign == 1 and first.low < 0.05 and not any(one.sign for one in others)
    yield "at equal FLOPs one does, barely", barely
    every = [abs(one.mean) for both in found.values() for one in both]
    yield "no correlation is above a third", max(every) < 0.33
    shallow = [c for c in study.conditions if c.data == "digits" and c.depth == 1]
    idle = [start_lines.idle_units(study, c) for c in shallow]
    yield "on digits no unit of a single layer is idle", max(idle) == 0
    digits = starts.verdicts(study, "pruned: lsq", "random", "epochs", "digits")
    gained = [one.sign == 1 for c, one in digits.items() if c.depth == 1]
    yield "and all of these gain but one", sum(gained) == len(gained) - 1
    factors = np.concatenate([*starts.enough(study).values()])
    yield (
        "twice is mostly enough, four times but once",
        (np.mean(factors == 2) > 0.6 and np.sum(factors > 4) == 1),
    )


def of_images(record: dict, study: Study) -> Claims:
    """Of the point on images, against the map."""
    images = Study(record)
    (at,) = images.conditions
    even, paid = (
        starts.interval(starts.gain(images, at, "pruned: lsq", budget)) for budget in starts.COSTS
    )
    yield "at equal epochs lsq is not told from a random start", even.sign == 0
    yield "at equal FLOPs it is clearly behind", paid.high < -5
    for way in starts.NAMES:
        if way.startswith("pruned") or way == "lottery":
            cut = starts.interval(starts.gain(images, at, way, "flops"))
            yield f"{way} is behind at equal FLOPs", cut.sign == -1
            means = [np.mean(images.entry(at, w, "epochs")["test"]) for w in ("pruned: lsq", way)]
            yield f"lsq is at least {way} on average", means[0] >= means[1]
    best = max(max(entry["test"]) for entry in record["entries"])
    yield "all networks are far from trained", best < 0.4
    longer = [
        np.subtract(*(np.mean(study.entry(c, "random", b)["test"]) for b in ("flops", "epochs")))
        for c in study.conditions
        if c.factor == 16
    ]
    yield "on the map more steps bring less than a point", np.mean(longer) < 0.01
