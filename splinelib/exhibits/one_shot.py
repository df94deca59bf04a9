"""Networks pruned in many ways, with no training: curves, who earned them, and what they cost.

`runs` is everywhere what `oneshot.compare` returned, or the ``entries`` of a one-shot record, for
each network; `criteria` says which are shown, in which order, and is all that are there, as they
come, unless it is given. Accuracies are in [0, 1], what is shown of them in per cent or in points.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from .. import plotting
from ..experiments import earnings
from ..plotting import widgets
from ..plotting.svg import Figure
from ..plotting.tables import Cell, Table, table
from ..text import over_seeds
from . import wording

# What is done beside the cut: scope and compensation of each.
STAGES = {
    "just removed": ("layerwise", False),
    "refitted": ("layerwise", "refit"),
    "refit and share": ("residual", "refit"),
}
FIRST, *_, LAST = STAGES

Runs = Sequence[Sequence[dict]]
Curve = tuple[list[float], np.ndarray]  # ratios, accuracies of shape (networks, ratios)


def at_stage(runs: Runs, stage: str, criteria: Sequence[str] | None = None) -> dict[str, Curve]:
    """The curves of one of `STAGES`, criterion by criterion.

    Raises
    ------
    ValueError
        Nothing was recorded at this stage of any criterion that is asked for.
    """
    curves = earnings.series(runs, *STAGES[stage])
    shown = {
        name: curves[name] for name in (curves if criteria is None else criteria) if name in curves
    }
    if not shown:
        wanted = "" if criteria is None else f" of {', '.join(criteria)}"
        raise ValueError(f"there are no curves{wanted} at the stage {stage!r} in all networks.")
    return shown


def at_ratio(curves: Mapping[str, Curve], name: str, ratio: float) -> np.ndarray:
    """Accuracies of one criterion at one ratio, shape (networks,).

    Raises
    ------
    ValueError
        It was not pruned at this ratio in all networks.
    """
    ratios, accuracy = curves.get(name, ([], None))
    if ratio not in ratios:
        known = ", ".join(f"{one:g}" for one in ratios) or "none"
        raise ValueError(f"there is no result of {name} at {ratio:g}; known ratios: {known}.")
    return accuracy[:, ratios.index(ratio)]


def points_apart(curves: Mapping[str, Curve], ratio: float) -> float:
    """Points of accuracy between the best and the worst criterion, means over networks."""
    means = [at_ratio(curves, name, ratio).mean() for name in curves]
    return 100 * float(max(means) - min(means))


def fan(
    runs: Runs,
    dense: float,
    criteria: Sequence[str] | None = None,
    ratio: float = 0.5,
    strong: Collection[str] | None = None,
):
    """Accuracy against the share removed; a slider moves through the stages.

    Parameters
    ----------
    runs : sequence of list of dict
    dense : float
        Accuracy of the networks before the cut, mean over them.
    criteria : sequence of str, optional
    ratio : float
        Where the criteria are told to be so many points apart.
    strong : collection of str, optional
        Criteria drawn in their colours, the others in grey; all of them if it is not given.
    """
    curves = {stage: at_stage(runs, stage, criteria) for stage in STAGES}

    def gap(stage: str) -> str:
        return f"{stage}: {points_apart(curves[stage], ratio):.1f} points apart at {ratio:.0%}"

    def frame(stage: str) -> Figure:
        return plotting.accuracy_against(
            {
                name: ([100 * one for one in ratios], accuracy)
                for name, (ratios, accuracy) in curves[stage].items()
            },
            xlabel="units removed (%)",
            dense=dense,
            limits=(0, 1.02),
            strong=strong,
            alt="The curves of one stage.",
        )

    over = f". Mean and range over {len(runs)} networks." if len(runs) > 1 else "."
    return widgets.scrub(
        frame,
        values=list(curves),
        label="what is done",
        alt=lambda stage: f"Accuracy against the share removed, for each criterion; {gap(stage)}.",
        format=gap,
        caption="How far apart the best and the worst of "
        f"{wording.number(len(curves[FIRST]))} criteria are, stage by stage{over}",
    )


def points_earned(
    runs: Runs, criteria: Sequence[str] | None = None
) -> tuple[list[str], dict[float, dict[str, np.ndarray]]]:
    """Points of accuracy that order, refit and share earn, means over networks.

    Parameters
    ----------
    runs : sequence of list of dict
        With a random order, to start from.
    criteria : sequence of str, optional

    Returns
    -------
    names : list of str
        The criteria that have results at all stages.
    gains : dict
        ratio -> step -> array, shape (criteria,).

    Raises
    ------
    ValueError
        There is no such criterion, or no random order.
    """
    ratios, gained = earnings.contributions(runs)
    names = [name for name in (gained if criteria is None else criteria) if name in gained]
    if not names:
        raise ValueError("no criterion has results at all stages, so nothing can be shared out.")
    return names, {
        ratio: {
            step: np.array([100 * gained[name][step][:, at].mean() for name in names])
            for step in earnings.STEPS
        }
        for at, ratio in enumerate(ratios)
    }


def earned(runs: Runs, criteria: Sequence[str] | None = None, start: float = 0.5):
    """What order, refit and share earn, as bars; a slider moves through the shares removed.

    Parameters
    ----------
    runs, criteria
        As for `points_earned`.
    start : float
        Share removed that is shown first, or the first there is.
    """
    names, gains = points_earned(runs, criteria)
    ratios = list(gains)
    lefts = {ratio: stacked(list(steps.values())) for ratio, steps in gains.items()}
    ends = [
        left + gain
        for ratio in ratios
        for left, gain in zip(lefts[ratio], gains[ratio].values(), strict=True)
    ]
    limits = axis_range(ends)  # one for all ratios, so that they can be compared

    def told(ratio: float) -> str:
        ranges = [
            f"{step} {points.min():+.1f} to {points.max():+.1f}"
            for step, points in gains[ratio].items()
        ]
        return (
            f"For each criterion the points that order, refit and share earned, {ratio:.0%} "
            f"removed. Least to most over criteria: {', '.join(ranges)}."
        )

    def frame(ratio: float) -> Figure:
        draw = _bars(names, gains[ratio], lefts[ratio], limits)
        return plotting.figure(draw, alt="Contributions.", size=(5.2, 4.6))

    return widgets.scrub(
        frame,
        values=ratios,
        start=ratios.index(start) if start in ratios else 0,
        label="units removed",
        alt=told,
        format="{:.0%}",
        caption="What order, refit and share earn over units just removed, in a random order and "
        "an even share. Left of zero: worse than chance.",
    )


def stacked(gains: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Where each bar of a stack begins: gains go to the right of zero, losses to the left.

    Parameters
    ----------
    gains : sequence of array, each of shape (rows,)

    Examples
    --------
    >>> [left.tolist() for left in stacked([np.array([2.0, -1.0]), np.array([3.0, 4.0])])]
    [[0.0, 0.0], [2.0, 0.0]]
    """
    ends, lefts = {True: 0.0, False: 0.0}, []
    for gain in gains:
        lefts.append(np.where(gain > 0, ends[True], ends[False]) + np.zeros(len(gain)))
        ends = {sign: end + np.where((gain > 0) == sign, gain, 0) for sign, end in ends.items()}
    return lefts


def axis_range(ends: Sequence[float]) -> tuple[float, float]:
    """The range of the axis: the usual one, wider only where a bar would end beyond it.

    Examples
    --------
    >>> axis_range([-20.0, 90.0]), axis_range([-40.0, 90.0])
    ((-35.0, 100.0), (-42.0, 100.0))
    """
    least, most = float(np.min(ends)), float(np.max(ends))
    return -35.0 if least >= -35 else 1.05 * least, 100.0 if most <= 100 else 1.05 * most


def _bars(names: Sequence[str], gains: Mapping, lefts: Sequence, limits: tuple) -> Callable:
    def draw(ax, palette):
        places = np.arange(len(names))
        for number, (step, points) in enumerate(gains.items()):
            colour = palette.depth(number, len(gains))
            ax.barh(places, points, left=lefts[number], color=colour, label=step, height=0.72)
        ax.axvline(0, color=palette.ink, linewidth=1)
        ax.set_yticks(places, names)
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        ax.set(xlabel="points of accuracy gained", xlim=limits)
        plotting.legend(ax)

    return draw


def lead_of_order(runs: Runs, criteria: Sequence[str] | None = None, ratio: float = 0.5) -> Table:
    """Points that each order adds to a random one, of units just removed and after all else.

    Raises
    ------
    ValueError
        A random order was not recorded at this ratio, so there is nothing to start from.
    """
    first, last = (at_stage(runs, stage) for stage in (FIRST, LAST))

    def lead(curves: Mapping[str, Curve], name: str) -> str:
        gained = at_ratio(curves, name, ratio) - at_ratio(curves, "random", ratio)
        return over_seeds(100 * gained, "{:+.1f}")

    names = [name for name in (criteria or last) if name in last]
    return table(
        [[name, lead(first, name), lead(last, name)] for name in names],
        columns=["", "if the order comes first", "if it comes last"],
        caption=f"Points that the order adds to a random one, {ratio:.0%} removed: mean (least to "
        "most) over networks",
        format="{}",
    )


def side_by_side(
    runs: Runs, ways: Sequence[tuple[str, float]], criteria: Sequence[str], caption: str
) -> Table:
    """Accuracy in per cent of some criteria in some ways, as (stage, ratio): a column each."""
    columns = [(at_stage(runs, stage, criteria), ratio) for stage, ratio in ways]
    return table(
        [
            [
                name,
                *(
                    over_seeds(100 * at_ratio(curves, name, ratio), "{:.1f}")
                    for curves, ratio in columns
                ),
            ]
            for name in criteria
        ],
        columns=["", *(f"{ratio:.0%}, {stage}" for stage, ratio in ways)],
        caption=f"{caption}: mean (least to most)",
        format="{}",
    )


def tested(
    seen: Runs,
    unseen: Runs,
    dense: Sequence[float],
    ratios: Sequence[float],
    criteria: Sequence[str],
    stage: str = LAST,
) -> Table:
    """Accuracy on images that nothing has seen, with the choice that other images made.

    Parameters
    ----------
    seen : sequence of list of dict
        Judged by the images that one chooses by.
    unseen : sequence of list of dict
        The same networks judged by the test images.
    dense : sequence of float
        Test accuracy of each network before the cut.
    ratios, criteria
        Columns and rows.
    stage : str
        One of `STAGES`.
    """
    held, test = (at_stage(runs, stage, criteria) for runs in (seen, unseen))

    def cell(name: str, ratio: float) -> Cell:
        best = max(held, key=lambda other: at_ratio(held, other, ratio).mean())
        value = over_seeds(100 * at_ratio(test, name, ratio), "{:.1f}")
        return Cell(value, note="chosen" if name == best else None)

    whole = over_seeds([100 * accuracy for accuracy in dense], "{:.1f}")
    return table(
        [["dense", *[whole] * len(ratios)]]
        + [[name, *(cell(name, ratio) for ratio in ratios)] for name in criteria],
        columns=["", *(f"{100 * ratio:g} %" for ratio in ratios)],
        caption=f"Test accuracy in per cent, {stage}: mean (least to most) of {len(dense)} "
        "networks",
        format="{}",
    )
