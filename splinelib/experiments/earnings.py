"""Who earned the accuracy of one-shot curves: the order, the refit, or the share of each layer."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from .oneshot import VARIANTS

STEPS = ("order", "refit", "share")
# (scope, compensate) of each variant -> the steps that it takes beside the order. The share
# comes after the refit, since the residual that it makes least is what a refit would leave.
_TAKEN = {
    ("layerwise", False): (),
    ("layerwise", "refit"): ("refit",),
    ("residual", "refit"): ("refit", "share"),
}


def across_seeds(records: Sequence[dict]) -> list[list[dict]]:
    """Group records that differ in their seed alone, by name; each group by seed."""
    groups: dict[str, list[dict]] = {}
    for record in records:
        name, _, seed = record["name"].rpartition("-s")
        groups.setdefault(name if seed.isdigit() else record["name"], []).append(record)
    return list(groups.values())


def entries_by_seed(group: Sequence[dict]) -> dict[int, list[dict]]:
    """The entries of records of one network, by its seed.

    Parameters
    ----------
    group : sequence of dict
        Records that differ in their seeds alone, as `across_seeds` gives them.

    Raises
    ------
    ValueError
        There is no record, or they have different settings, or a seed is in two of them.
    """
    if not group:
        raise ValueError("there must be a record at least.")
    found: dict[int, list[dict]] = {}
    for record in group:
        if record["settings"] != group[0]["settings"]:
            raise ValueError(f"{record['name']} and {group[0]['name']} have different settings.")
        if twice := sorted({entry["seed"] for entry in record["entries"]} & found.keys()):
            raise ValueError(f"{record['name']} has the seeds {twice} of another record.")
        for entry in record["entries"]:
            found.setdefault(entry["seed"], []).append(entry)
    return found


def series(
    runs: Sequence[Sequence[dict]], scope: str = "global", compensate: bool | str = False
) -> dict[str, tuple[list[float], np.ndarray]]:
    """Curves of one or several networks for one scope and compensation.

    Parameters
    ----------
    runs : sequence of list of dict
        What `compare` returned, or the ``entries`` of a record, for each network (seed).
    scope, compensate
        As for `Ticket`.

    Returns
    -------
    dict
        criterion -> (ratios, accuracies of shape (networks, ratios)): for the criteria and
        ratios that all networks have been pruned with.
    """
    curves: dict[str, list[dict[float, float]]] = {}
    for number, entries in enumerate(runs):
        for entry in entries:
            if (entry["scope"], entry["compensate"]) == (scope, compensate):
                curve = curves.setdefault(entry["criterion"], [{} for _ in runs])[number]
                curve[entry["ratio"]] = entry.get("accuracy", entry.get("test_accuracy"))
    shared = {name: sorted(set.intersection(*map(set, many))) for name, many in curves.items()}
    return {
        name: (ratios, np.array([[curve[ratio] for ratio in ratios] for curve in curves[name]]))
        for name, ratios in shared.items()
        if ratios
    }


def split(accuracy: Mapping[frozenset[str], float | np.ndarray]) -> dict[str, float | np.ndarray]:
    """Share what several steps reached together among the steps.

    What a step adds depends on the steps taken before it. Its contribution is the mean of what it
    adds over all sequences of the steps in which every intermediate result is known (the Shapley
    value, where all are). Contributions add up to the whole gain exactly.

    Parameters
    ----------
    accuracy : mapping of frozenset to float or array
        Result after a set of steps, in any order; the empty set and the full one included.

    Returns
    -------
    dict
        step -> its contribution.

    Raises
    ------
    ValueError
        If no sequence of steps is known from nothing to everything.

    Examples
    --------
    >>> nothing, a, b, both = map(frozenset, ["", "a", "b", "ab"])
    >>> split({nothing: 0.1, a: 0.2, b: 0.5, both: 0.9})["b"]
    0.55
    """
    steps = sorted(max(accuracy, key=len, default=frozenset()))
    paths = [
        path
        for path in itertools.permutations(steps)
        if all(frozenset(path[:taken]) in accuracy for taken in range(len(path) + 1))
    ]
    if not steps or not paths:
        known = ", ".join("+".join(sorted(taken)) or "nothing" for taken in accuracy)
        raise ValueError(f"no sequence leads from nothing to all steps; known: {known or 'none'}")
    gains = {step: [] for step in steps}
    for path in paths:
        for taken, step in enumerate(path):
            before = frozenset(path[:taken])
            gains[step].append(accuracy[before | {step}] - accuracy[before])
    return {step: sum(gain) / len(paths) for step, gain in gains.items()}


def contributions(
    runs: Sequence[Sequence[dict]],
) -> tuple[list[float], dict[str, dict[str, np.ndarray]]]:
    """What the order, the refit and the share per layer earn over an even cut at random.

    The starting point is a random order, the same share of every layer, units just removed. The
    three `STEPS` are the criterion's order, the refit, and the share of least residual in place of
    the even share; see `split` for how the gain is shared out.

    Parameters
    ----------
    runs : sequence of list of dict
        As for `series`, with "random" among the criteria and at least the methods of `VARIANTS`.

    Returns
    -------
    ratios : list of float
    earned : dict
        criterion -> step -> accuracy gained, shape (networks, ratios); for the criteria whose
        results are all there.

    Raises
    ------
    ValueError
        If no results of a random order are there to start from.
    """
    stages = {taken: series(runs, *key) for key, taken in _TAKEN.items()}
    if not all("random" in one for one in stages.values()):
        needed = ", ".join(f"random{variant}" for variant in VARIANTS)
        raise ValueError(f"contributions start from a random order: compare {needed} too")
    ratios = sorted(set.intersection(*(set(one["random"][0]) for one in stages.values())))
    earned = {}
    for name in stages[()]:
        known = {}
        for taken, one in stages.items():
            if name in one and set(ratios) <= set(one[name][0]):
                known[frozenset(taken)] = _at(one["random"], ratios)
                known[frozenset(("order", *taken))] = _at(one[name], ratios)
        if len(known) == 2 * len(stages):
            earned[name] = split(known)
    return ratios, earned


def _at(curve: tuple[list[float], np.ndarray], ratios: list[float]) -> np.ndarray:
    """The accuracies of a curve at some of its ratios, shape (networks, ratios)."""
    return curve[1][:, [curve[0].index(ratio) for ratio in ratios]]
