"""Networks at stages of their way, several ways beside each other, under one slider.

The page holds the networks, and its scripts cut the plane anew at every stage. A stage that differs
from the one before in few numbers, as where a unit has been silenced, is written down as these.
"""

import html
from collections.abc import Mapping, Sequence

import numpy as np

from .live import (
    Live,
    checked_layers,
    checked_square,
    colouring,
    figure_html,
    outputs,
    square_html,
)
from .stills import still
from .svg import check_alt


def stages(
    ways: Mapping[str, Sequence[str]],
    parts: Mapping[str, object],
    values: Sequence[str],
    label: str,
    alt: str,
    start: int = 0,
    points=None,
    labels=None,
    dense=None,
    color: str = "layer",
    caption: str | None = None,
) -> Live:
    """Partitions that follow a slider, computed in the page: one network for each position.

    Parameters
    ----------
    ways : mapping of name to sequence of str
        For each way the networks of its stages, as many for each, as `splinelib.models.to_json`
        writes them; of the kind that `explorer` takes.
    parts : mapping of name to splinelib.Partition
        For each way the partition of its network at `start`, all on one square.
    values : sequence of str
        What stands beside the slider at each stage, at least two.
    label : str
        Says what the slider changes.
    alt : str
        What the still pictures show, those at `start`.
    start : int
        The stage shown first.
    points, labels : array_like, shapes (N, 2) and (N,), optional
        Inputs and their classes, 0 and 1: the page then says how many are on the right side.
    dense : splinelib.Partition, optional
        Whose decision boundary is dashed in every picture, and which fixes the colours.
    color : {"slope", "code", "layer"}
        What fills the regions, as for `explorer`; hues stay the same over all stages. For
        ``"code"`` all networks have the same layers, units that have gone being silent.
    caption : str, optional

    Returns
    -------
    Live

    Raises
    ------
    ValueError
        If the numbers of stages differ, or a network is not of the kind that the page can draw, or
        a partition not that of its network.

    Examples
    --------
    >>> import splinelib as sl
    >>> models = [sl.models.mlp([2, 4, 1], seed=seed).double() for seed in (0, 1)]
    >>> ways = {"one": [sl.models.to_json(model) for model in models]}
    >>> stages(ways, {"one": sl.partition(models[0])}, ["0", "1"], "seed", "Four lines.")
    Live('Four lines.')
    """
    alt, values = check_alt(alt), [str(value) for value in values]
    counts = {len(texts) for texts in ways.values()}
    if counts != {len(values)} or len(values) < 2:
        raise ValueError(
            f"each way needs a network for each of the {len(values)} values, at least two; there "
            f"are {sorted(counts)}."
        )
    if list(parts) != list(ways):
        raise ValueError(f"parts must name the same ways: {list(ways)}, not {list(parts)}.")
    if not 0 <= start < len(values):
        raise ValueError(f"start is the index of one of {len(values)} values, got {start}.")
    networks = {name: [checked_layers(text) for text in texts] for name, texts in ways.items()}
    squares = {checked_square(parts[name], networks[name][start]) for name in ways}
    if len(squares) > 1:
        raise ValueError(f"all partitions must lie on one square; these lie on {sorted(squares)}.")
    (square,) = squares
    reference = next(iter(parts.values())) if dense is None else dense
    places = _points(points, labels)
    given = {"kind": "stages", "square": square, "values": values, "label": label, "start": start}
    given |= {"points": places, **colouring(reference, color)}
    dashed = None if dense is None else dense.decision_boundary()
    given["dashed"] = [] if dashed is None else dashed.ravel().tolist()
    given["ways"] = [
        {"name": name, "stages": [_written(one, two) for one, two in _pairs(layers)]}
        for name, layers in networks.items()
    ]
    views = ""
    for name, part in parts.items():
        drawn = still(part, f"{alt} {name}.", color, dashed=dashed, widest=given.get("widest"))
        told = _told(part, networks[name][start], places)
        views += (
            f'<div class="sl-view"><p class="sl-title">{html.escape(name)}</p>'
            f'{square_html(drawn, square)}<p class="sl-facts">{told}</p></div>'
        )
    return Live(figure_html(given, f'<div class="sl-views">{views}</div>', "", caption), alt)


Layers = list[tuple[np.ndarray, np.ndarray]]


def _pairs(layers: Sequence[Layers]) -> list[tuple[Layers | None, Layers]]:
    """Each network behind the one before it, the first behind nothing."""
    return list(zip([None, *layers[:-1]], layers, strict=True))


def _flat(layers: Layers) -> np.ndarray:
    return np.concatenate([values.ravel() for layer in layers for values in layer])


def _written(before: Layers | None, layers: Layers) -> dict:
    """A network for the page: what differs from the one before, or all of it."""
    shapes = [weight.shape for weight, _ in layers]
    if before is not None and [weight.shape for weight, _ in before] == shapes:
        old, new = _flat(before), _flat(layers)
        at = np.flatnonzero(old != new)
        if 2 * len(at) < len(new):
            return {"at": at.tolist(), "to": new[at].tolist()}
    return {"layers": [{"weight": w.tolist(), "bias": b.tolist()} for w, b in layers]}


def _points(points, labels) -> list[list[float]]:
    if points is None:
        return []
    points, labels = np.asarray(points, float), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != (len(points),):
        raise ValueError(
            f"points and labels must have the shapes (N, 2) and (N,), not {points.shape} and "
            f"{labels.shape}."
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 or 1, the classes of two outputs.")
    return [[x, y, int(label)] for (x, y), label in zip(points.tolist(), labels, strict=True)]


def _told(part, layers: Layers, places: list[list[float]]) -> str:
    """How many regions there are, and how many points are on the right side."""
    told = f"{len(part):,} regions"
    if not places:
        return told
    values = outputs(layers, np.array([place[:2] for place in places]))
    out = values[:, 0] if values.shape[1] == 1 else values[:, 1] - values[:, 0]
    right = np.mean((out > 0) == [place[2] == 1 for place in places])
    return f"{told}, {right:.1%} right"
