"""Which units a criterion keeps, and what the next layer misses without the others."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .. import plotting
from ..plotting import widgets
from ..plotting.svg import Figure

_SHAPES = "xo<^vDPX*s"
_TICKS = [0.3, 0.5, 0.7, 1, 1.4]
_LEAST, _MOST = 0.28, 1.7  # of both axes, unless a mark lies beyond


def missed_by_next(losses: Mapping[str, np.ndarray], ratios: Sequence[float], start: float = 0.5):
    """Criteria on a plane: what the next layer misses at once, and after a refit.

    Parameters
    ----------
    losses : mapping of criterion to array, shape (ratios, 2)
        What is missing if units are just removed, and after a refit; ``"random"`` among them, which
        the others are divided by.
    ratios : sequence of float
        Shares of units removed, a position of the slider each.
    start : float
        The one shown first, if it is among them.

    Raises
    ------
    ValueError
        There is no random order to compare with.
    """
    if "random" not in losses:
        raise ValueError(f"losses of a random order are needed too; there are {list(losses)}.")
    places = {name: np.asarray(loss) / losses["random"] for name, loss in losses.items()}
    # The same axes for all ratios, so that they can be compared.
    limits = axis_range(np.concatenate(list(places.values())))
    at = {ratio: number for number, ratio in enumerate(ratios)}

    def told(ratio: float) -> str:
        here = {name: place[at[ratio]] for name, place in places.items()}
        left, low = (min(here, key=lambda name, side=side: here[name][side]) for side in (0, 1))
        return (
            f"What the next layer misses at once and after a refit, by criterion, {ratio:.0%} "
            f"removed, random = 1. Furthest left {left}, {here[left][0]:.2f}; lowest {low}, "
            f"{here[low][1]:.2f}."
        )

    def frame(ratio: float) -> Figure:
        draw = _marks({name: place[at[ratio]] for name, place in places.items()}, limits)
        return plotting.figure(draw, alt="Criteria on a plane.", size=(5.0, 5.2))

    return widgets.scrub(
        frame,
        values=list(at),
        start=at.get(start, 0),
        label="units removed",
        alt=told,
        format="{:.0%}",
        caption="Each mark is a criterion. Further left is better for units just removed, "
        "lower is better after a refit; right of or above the lines is worse than chance.",
    )


def axis_range(values: np.ndarray) -> tuple[float, float]:
    """The range of both axes: the usual one, wider only where a mark would lie beyond it.

    Examples
    --------
    >>> axis_range(np.array([0.5, 1.2])), axis_range(np.array([0.5, 10.0]))
    ((0.28, 1.7), (0.28, 11.0))
    """
    least, most = float(np.min(values)), float(np.max(values))
    return _LEAST if least >= _LEAST else least / 1.1, _MOST if most <= _MOST else most * 1.1


def _marks(places: Mapping[str, np.ndarray], limits: tuple[float, float]) -> Callable:
    def draw(ax, palette):
        ax.axhline(1, color=palette.muted, linewidth=1)
        ax.axvline(1, color=palette.muted, linewidth=1)
        for position, (name, (lost, left)) in enumerate(places.items()):
            colour, shape = palette.series(name, position), _SHAPES[position % len(_SHAPES)]
            ax.plot(lost, left, shape, markersize=9, color=colour, label=name)
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_ticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
        ax.minorticks_off()
        ax.set(xlim=limits, ylim=limits)
        ax.set(xlabel="missing if just removed, random = 1")
        ax.set(ylabel="missing after a refit, random = 1")
        plotting.legend(ax)

    return draw


def places_in_order(scores: Sequence[float]) -> np.ndarray:
    """Place of each unit in the order of a criterion, from 0, the first to go.

    Examples
    --------
    >>> places_in_order([0.5, 0.1, 0.9]).tolist()
    [1, 0, 2]
    """
    places = np.empty(len(scores), dtype=int)
    places[np.argsort(scores, kind="stable")] = np.arange(len(scores))
    return places


def along_order(
    scores: Sequence[float], values: Sequence[float], criterion: str, value: str, ratio: float = 0.9
) -> Figure:
    """A number of each unit against its place in the order of a criterion.

    Parameters
    ----------
    scores : array_like, shape (U,)
        Of the criterion, higher being kept longer.
    values : array_like, shape (U,)
    criterion, value : str
        What they are called.
    ratio : float
        Share of units that go.

    Raises
    ------
    ValueError
        They are not one number for each unit.
    """
    scores, values = np.asarray(scores, float), np.asarray(values, float)
    if scores.ndim != 1 or scores.shape != values.shape:
        raise ValueError(f"one number per unit is needed: {scores.shape} and {values.shape}.")
    places = places_in_order(scores)
    stays = places >= round(ratio * len(places))

    def draw(ax, palette):
        for units, colour, label in (
            (~stays, palette.pruned, "goes"),
            (stays, palette.kept, f"stays when {100 * ratio:g} % go"),
        ):
            order = np.flatnonzero(units)[places[units].argsort()]
            ax.plot(places[order], values[order], "o", color=colour, label=label, markersize=4)
        ax.set(xlabel=f"place in the order of {criterion}", ylabel=value, ylim=(0, None))
        plotting.legend(ax)

    return plotting.figure(
        draw,
        alt=f"The {value} of {len(places)} units against their place in the order of {criterion}. "
        f"On average {values[stays].mean():.3g} of the {stays.sum()} that stay when "
        f"{100 * ratio:g} % go, {values[~stays].mean():.3g} of the others.",
        size=(4.4, 3.8),
    )
