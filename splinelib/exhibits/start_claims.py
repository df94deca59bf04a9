"""What chapter 5 says in words, as sentences and whether the values carry them."""

from collections.abc import Iterator, Mapping

import numpy as np

from ..experiments.start_ways import CUTS
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
    yield "adding lines where they are missed comes as close", greedy < min(fourfold + 0.05, 1.2)
    yield "the best of four starts ends behind both", again > max(fourfold, greedy) + 0.03
    *_, detour, restarts = _costs(line)
    yield "on the curve the detour is cheap, and starts are paid", detour < min(2, restarts)
    surface = [fits.typical(way) / least["a surface"] for way in plane.values()]
    *_, twice, fourfold, again = surface
    *_, price, detour, restarts = _costs(plane)
    yield "on the surface four times as many cost more than four starts", detour > 1.2 * restarts
    yield "there they end no better than twice as many", fourfold > twice - 0.005
    yield "twice as many cost less than four starts", price < 0.9 * restarts
    yield "and end ahead of the best of four", twice < again - 0.01
    yield "on the surface all ways are within a fifth of the least", max(surface) < 1.2


def _costs(found: Mapping) -> list[float]:
    """Of each way, in random starts."""
    one, *others = (fits.mean_cost(way) for way in found.values())
    return [1.0, *(cost / one for cost in others)]


def of_clusters(relative: Mapping[str, Mapping[str, np.ndarray]]) -> Claims:
    """Of k-means, from distances as multiples of the least."""
    mean = {name: [v.mean() for v in ways.values()] for name, ways in relative.items()}
    random, plus, *cut = mean["20 clouds"]
    yield "random centres lose clouds", random > 1.3
    yield "k-means++ loses fewer", plus < 0.9 * random
    yield "cut down, hardly any are lost", max(cut) < min(plus, 1.05)
    yield "on digits all are within a twentieth", max(mean["digits"]) < 1.05


def of_map(study: Study) -> Claims:
    """Of the map: what it is made of, and who is ahead where."""
    sizes = [
        len({c.data for c in study.conditions}),
        len({(c.depth, c.width) for c in study.conditions}),
        len({c.factor for c in study.conditions}),
    ]
    yield (
        "data sets, final networks and factors make 4 x 4 x 4 conditions",
        sizes == [4, 4, 4] and len(study.conditions) == 64,
    )
    first = study.conditions[0]
    reached = [way for way in starts.NAMES if study.entry(first, way, "flops")]
    yield "a network is reached in nine ways", len(reached) == len(starts.NAMES) == 9
    yield from _of_cuts(study)
    yield from _of_lottery(study)
    yield from _of_spread(study)
    for budget in starts.COSTS:
        yield "layerwise is never ahead", count(study, "layerwise", "random", budget)[0] == 0
    yield from _of_restarts(study)


def _of_cuts(study: Study) -> Claims:
    refitted = {way for way, (_, compensate) in CUTS.items() if compensate == "refit"}
    yield "lsq and spline are refitted, no other", refitted == {"pruned: lsq", "pruned: spline"}
    won = {"pruned: lsq": (40, 29), "pruned: magnitude": (27, 13)}
    for way, numbers in won.items():
        for budget, number in zip(starts.COSTS, numbers, strict=True):
            ahead, behind, _ = count(study, way, "random", budget)
            yield f"{way} is ahead of a random start in {number}, {budget}", ahead == number
            yield f"{way} is never behind a random start, {budget}", behind == 0
    for way, times in (("pruned: spline", 5), ("pruned: random", 3)):
        for budget in starts.COSTS:
            ahead, behind, _ = count(study, way, "random", budget)
            yield f"{way} is behind more often than ahead, {budget}", behind > times * ahead
    # Two cuts with the same compensation have one cost, and differ in their choice alone.
    for way, over, number in (
        ("pruned: lsq", "pruned: spline", 53),
        ("pruned: magnitude", "pruned: random", 43),
    ):
        ahead, behind, _ = count(study, way, over, "epochs")
        yield f"{way} is ahead of {over} in {number}, never behind", (ahead, behind) == (number, 0)


def _of_lottery(study: Study) -> Claims:
    for budget, number in zip(starts.COSTS, (7, 5), strict=True):
        ahead = count(study, "lottery", "random", budget)[0]
        yield f"the lottery is ahead of a random start in {number}, {budget}", ahead == number
    ahead, behind, _ = count(study, "lottery", "pruned: magnitude", "epochs")
    yield "it is behind magnitude's cut in 20, never ahead", (ahead, behind) == (0, 20)
    steps = [
        [study.entry(c, way, "epochs")["steps"] for way in ("lottery", "random")]
        for c in study.conditions
    ]
    yield "its weights have half of the training", all(2 * own == full for own, full in steps)


def _of_spread(study: Study) -> Claims:
    """Of spread lines, in the plane and on digits."""
    signs: dict[str, list[int]] = {}
    for c, one in starts.verdicts(study, "spread", "random", "epochs").items():
        if c.data in PLANE:
            signs.setdefault(c.small, []).append(one.sign)
    yield "at equal epochs the factor plays no part", all(len({*s}) == 1 for s in signs.values())
    ahead = [max(s) for s in signs.values()].count(1)
    yield "spread lines are ahead for 7 of 12 final networks", (ahead, len(signs)) == (7, 12)
    paid = count(study, "spread", "random", "flops", PLANE)
    yield "at equal FLOPs ahead in 16 of 48, behind in one", paid == (16, 1, 31)
    for budget in starts.COSTS:
        plane = count(study, "pruned: lsq", "spread", budget, PLANE)
        yield "in the plane lsq is mostly not told from spread lines", plane[2] > 0.7 * sum(plane)
        won, lost, same = count(study, "pruned: lsq", "spread", budget, DIGITS)
        yield "on digits it is mostly ahead of them", won > 0.75 * (won + same) and not lost
        digits = count(study, "spread", "random", budget, DIGITS)
        yield "on digits spread lines are never ahead", digits[0] == 0


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
    means = sorted(round(one.mean, 2) for one in found["epochs"])
    yield "at equal epochs they are +0.11 to +0.17", (means[0], means[-1]) == (0.11, 0.17)
    yield "at equal epochs every interval reaches zero", not any(o.sign for o in found["epochs"])
    first, *others = found["flops"]
    yield "at equal FLOPs the wide network's lines have +0.21", round(first.mean, 2) == 0.21
    yield "this interval just misses zero", 0 < first.low < 0.05
    yield "the others reach it", not any(one.sign for one in others)
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
