"""One-shot records of one network, seed by seed: what a cut loses, and how long it takes.

A group is the one-shot records of a protocol over its seeds, as `earnings.across_seeds` gives them.
"""

from collections.abc import Sequence

import numpy as np

from .. import experiments
from ..experiments import earnings, oneshot
from ..plotting.tables import Cell, Table, table
from ..text import over_seeds
from . import one_shot, wording


def entries(group: Sequence[dict]) -> list[list[dict]]:
    """The results of every record of a group: the `runs` of `one_shot`."""
    return [record["entries"] for record in group]


def dense_accuracy(group: Sequence[dict]) -> float:
    """Test accuracy of the dense networks, in [0, 1]: mean over the records."""
    return float(np.mean([record["dense_accuracy"] for record in group]))


def is_complete(group: Sequence[dict], ratio: float = 0.5) -> bool:
    """Whether a random order was cut at all stages, so that others can be compared with it."""
    curves = [earnings.series(entries(group), *key) for key in one_shot.STAGES.values()]
    return all("random" in found and ratio in found["random"][0] for found in curves)


def heading(group: Sequence[dict]) -> str:
    """What the records of a group are called without their seeds."""
    return group[0]["name"].rpartition("-s")[0]


def points_lost(group: Sequence[dict]) -> dict[str, dict[float, np.ndarray]]:
    """Points of test accuracy that a cut loses at the last stage, refitted.

    Returns
    -------
    dict
        criterion -> ratio -> array, shape (networks,).
    """
    before = np.array([record["dense_accuracy"] for record in group])
    curves = earnings.series(entries(group), *one_shot.STAGES[one_shot.LAST])
    return {
        name: dict(zip(ratios, 100 * (before - accuracy.T), strict=True))
        for name, (ratios, accuracy) in curves.items()
    }


def in_all(groups: Sequence[Sequence[dict]], criteria: Sequence[str]) -> list[str]:
    """Those of some criteria that all groups have at the last stage."""
    lost = [points_lost(group) for group in groups]
    return [name for name in criteria if all(name in found for found in lost)]


def lost_table(
    group: Sequence[dict], criteria: Sequence[str], ratios: Sequence[float] = (0.3, 0.5, 0.7)
) -> Table:
    """Points of test accuracy that a refitted cut loses; what was not recorded is said to be so."""
    points = points_lost(group)
    read = wording.origins([record["name"] for record in group], "oneshot")

    def cell(name: str, ratio: float) -> Cell:
        lost = points.get(name, {}).get(ratio)
        if lost is None:
            return Cell(None)
        return Cell(over_seeds(lost, "{:.2f}"), "record", origins=read)

    return table(
        [[name, *(cell(name, ratio) for ratio in ratios)] for name in criteria],
        columns=["", *(f"{ratio:.0%}" for ratio in ratios)],
        caption=f"{heading(group)}: points of test accuracy lost, shares by least residual, "
        "refitted, no training; mean (least to most) over seeds",
        format="{}",
    )


def seconds(group: Sequence[dict], criterion: str) -> tuple[float, float] | None:
    """Least seconds that a cut by one criterion took: scored and cut, and cut and refitted.

    Scoring is part of a criterion's first cut, which is why the longest of its plain cuts counts;
    a refit comes when the scores are there already, and the shortest counts.

    Returns
    -------
    (float, float) or None
        Least over the networks; None where one of them has no such cut.
    """
    plain, refit = (_taken(group, criterion + variant) for variant in oneshot.VARIANTS[:2])
    if not (all(plain) and all(refit)):
        return None
    return min(map(max, plain)), min(map(min, refit))


def _taken(group: Sequence[dict], method: str) -> list[list[float]]:
    wanted = experiments.Ticket.parse(method, 0).method
    return [
        [
            entry["seconds"]
            for entry in record["entries"]
            if experiments.Ticket.of(entry).method == wanted
        ]
        for record in group
    ]


def price(group: Sequence[dict], criteria: Sequence[str]) -> Table:
    """Seconds that a cut by each criterion takes, and those of a cut that is refitted.

    Raises
    ------
    ValueError
        No criterion has both in all records.
    """
    read = wording.origins([record["name"] for record in group], "oneshot")
    spent = {name: seconds(group, name) for name in criteria}
    rows = [
        [name, *(Cell(taken, "record", origins=read) for taken in both)]
        for name, both in spent.items()
        if both
    ]
    if not rows:
        raise ValueError(f"{heading(group)}: no criterion was cut both plainly and with a refit.")
    return table(
        rows,
        columns=["", "score and cut (s)", "cut and refit (s)"],
        caption=f"{heading(group)}: least seconds on one CPU thread",
        format="{:.1f}",
    )


def is_refitted_only(record: dict) -> bool:
    """Whether all cuts are of the last stage: no earlier one measured a part of it already."""
    stages = {(entry["scope"], entry["compensate"]) for entry in record["entries"]}
    return stages == {one_shot.STAGES[one_shot.LAST]}


def first_cut(record: dict) -> str:
    """How long the first cut of a record took and how long those after it, as Markdown.

    Raises
    ------
    ValueError
        The record has fewer than two cuts.
    """
    if len(record["entries"]) < 2:
        raise ValueError(f"{record['name']} has no cut after its first.")
    first, *rest = record["entries"]
    times = [entry["seconds"] for entry in rest]
    hardware = record["provenance"]["hardware"]
    name, processor, criterion = map(
        wording.as_text, (record["name"], hardware["processor"], first["criterion"])
    )
    return (
        f"[{name}]({wording.link(record['name'], 'oneshot')}), {processor}, threads: "
        f"{hardware['threads']}. The first cut, *{criterion}* at {first['ratio']:.0%}, scoring "
        f"included: **{first['seconds']:.0f} s**. Each of the other orders and ratios after it: "
        f"**{min(times):.0f} to {max(times):.0f} s**."
    )
