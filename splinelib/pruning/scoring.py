"""Scores of every group of units, by a criterion."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..channels.attention import opened
from ..channels.cuts import Cut
from ..channels.groups import find_groups, groups_of_own
from ..channels.layout import Layout
from ..errors import warn
from ..network.inputs import check_dtype
from ..network.modes import check_inputs, check_weights
from ..network.surroundings import undisturbed
from ..scores.context import Context
from ..scores.criteria import CRITERIA, facts
from ..scores.least_squares import residual_along
from ..scores.removal import Removal, prices
from ..text import check_choice
from .choices import check_needs


class Scores(dict[str, Tensor]):
    """Scores by group; ``layout`` says which channels the units own."""

    def __init__(self, values: Mapping[str, Tensor] = (), layout: Layout | None = None):
        super().__init__(values)
        self.layout = layout


@undisturbed("model")
def score(
    model: nn.Module,
    criterion: str = "spline",
    data: Tensor | None = None,
    example: Tensor | None = None,
    seed: int = 0,
    labels: Tensor | None = None,
    layout: Layout | None = None,
) -> Scores:
    """Score the units of every group that can be pruned.

    Parameters
    ----------
    model : torch.nn.Module
        Taken as it is and left as it is.
    criterion : str
        A name in `CRITERIA`.
    data : Tensor, shape (N, ...), optional
        Calibration inputs; some criteria need them (`criteria.facts`).
    example : Tensor, shape (1, ...), optional
        An input to trace the model with; ``data[:1]`` if it is not given.
    seed : int
    labels : Tensor, shape (N,), int64, optional
        Classes of the calibration inputs, for criteria that need them.
    layout : Layout, optional
        What `find_groups` found, or ``layout`` of earlier scores: the model is then not traced
        again, which is what takes longest for a criterion that needs no data.

    Returns
    -------
    Scores
        dict of group name to Tensor (U,) on the CPU, in order of execution; higher is kept
        longer. A group is named after its first layer; channels that are tied to each other
        count as one unit. The network's outputs are in no group.

    Raises
    ------
    ValueError
        For an unknown criterion, missing or bad inputs, or a model with NaN weights.
    PruningError
        If layers share weights or nothing can be pruned.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> {name: len(s) for name, s in sl.score(net, example=torch.zeros(1, 2)).items()}
    {'0': 8}
    """
    check_choice("criterion", criterion, CRITERIA)
    check_needs(criterion, data, labels)
    return group_scores(context_for(model, data, example, seed, labels, layout), criterion)


def context_for(
    model: nn.Module,
    data: Tensor | None,
    example: Tensor | None,
    seed: int,
    labels: Tensor | None,
    layout: Layout | None = None,
    asked: Callable[[Context], Cut] | None = None,
) -> Context:
    """What criteria look at, from what a caller gave; all of it is checked.

    The model is a replica of the caller's. ``asked`` gives the one cut that will be made, beyond
    which the layout then need not be right.
    """
    if data is None and example is None and layout is None:
        raise ValueError("pass data= (calibration inputs) or example= (one input of the model)")
    if data is not None:
        data = check_inputs(model, data)
        check_dtype(model, data)
    if labels is not None:
        labels = _checked_labels(labels, data)
    model = opened(model)
    if layout is not None:
        layout.check_model(model)
        check_weights(model)
        return Context(model, layout, data, seed, labels)
    tried: list[Context] = []

    def cut(layout: Layout) -> Cut | None:
        tried.append(Context(model, layout, data, seed, labels))
        try:
            return asked(tried[0])
        except ValueError:  # which may come from a group that a trial refuses
            return None

    shown = data if example is None else example
    layout = groups_of_own(model, shown, cut if asked else None)
    if tried and tried[0].layout is layout:
        return tried[0]
    return Context(model, layout, data, seed, labels)


def _checked_labels(labels: Tensor, data: Tensor | None) -> Tensor:
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
        what = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else labels
        raise TypeError(f"labels should be an int64 tensor of shape (N,), not {what!r}")
    if data is None or len(labels) != len(data):
        inputs = 0 if data is None else len(data)
        raise ValueError(f"there are {len(labels)} labels for {inputs} calibration inputs")
    return labels.to(data.device)


@torch.no_grad()
def group_scores(context: Context, criterion: str) -> Scores:
    """`score`, of a context."""
    scores, known = Scores(layout=context.layout), facts(CRITERIA[criterion])
    groups = context.layout.groups
    heads = [name for name, group in groups.items() if group.heads and known.compares_lines]
    for name, group in groups.items():
        if name in heads:
            continue
        values = CRITERIA[criterion](context, group)
        if values is None:
            continue
        if tuple(values.shape) != (group.units,):
            raise ValueError(
                f"criterion {criterion!r} gave scores of shape {tuple(values.shape)} for group "
                f"{name!r}; expected ({group.units},), one for each unit"
            )
        scores[name] = values.detach().cpu()
    if not scores:
        raise ValueError(
            f"criterion {criterion!r} can judge no layer of this network"
            f"{_why_none(criterion, bool(heads))}"
        )
    if heads:
        warn(
            f"criterion {criterion!r} compares the lines along which activations bend, and heads "
            f"of attention draw none: groups {heads} stay whole. Others, such as 'lsq' with data= "
            "or 'magnitude', judge them"
        )
    left = [name for name in groups if name not in scores and name not in heads]
    if left and "images" in known.looks_at:
        warn(
            f"criterion {criterion!r} cannot look at the layers that make or read groups {left}: "
            "they stay whole. A criterion without data, such as 'spline', judges them"
        )
    return scores


def _why_none(criterion: str, heads: bool) -> str:
    looks_at = facts(CRITERIA[criterion]).looks_at
    if heads:
        return (
            ": it compares the lines along which activations bend, and heads of attention draw "
            "none; take another criterion, such as 'lsq' with data= or 'magnitude'"
        )
    if looks_at == {"batch norm"}:
        return (
            ": it looks at the scales of batch norms, and none of the layers that can be pruned "
            "has a batch norm with a scale behind it; take another criterion, such as 'spline'"
        )
    if "images" in looks_at:
        return (
            ": none of the layers that make or read its units can be looked at on the "
            "calibration inputs; take a criterion without data, such as 'spline'"
        )
    return ""


@undisturbed("model")
def common_residual(model: nn.Module, scores: Scores, data: Tensor, seed: int = 0) -> Scores:
    """Scores in the same order within each group, comparable between groups.

    Each unit's score becomes what it adds to the least-squares residual: the part of the next
    layers' outputs, as a share of them, that is lost when it and all units below it are gone and
    those layers' weights are fitted anew. A global cut then makes the sum of all groups'
    residuals least (`removal.prices`): it takes most where most can be spared, whatever
    criterion made the order.

    Parameters
    ----------
    model : torch.nn.Module
    scores : Scores
    data : Tensor, shape (N, ...)
        Calibration inputs.
    seed : int

    Returns
    -------
    Scores
    """
    layout = layout_for(opened(model), scores, data)
    return residual_scores(Context(model, layout, check_inputs(model, data), seed), scores)


@torch.no_grad()
def residual_scores(context: Context, scores: Scores) -> Scores:
    """`common_residual`, of a context."""
    values = {}
    for name, group_scores in scores.items():
        readers = context.readers(context.layout.groups[name])
        if not readers:  # nothing is known of what the group is worth: it is left whole
            continue
        order = group_scores.sort(stable=True).indices
        values[name] = prices(Removal(order, residual_along(readers, order)))
    if not values:
        raise ValueError(
            "scope='residual' can judge no layer of this network: none of the layers that read "
            "its units can be looked at on the calibration inputs; take scope='global'"
        )
    return Scores(values, context.layout)


def layout_for(model: nn.Module, values: Mapping, example: Tensor | None) -> Layout:
    """The layout that scores or masks bring along, or that of the model run on an example."""
    if not isinstance(values, Mapping):
        raise TypeError(
            "scores or masks are a dict of group name to tensor, as sl.score and sl.select give "
            f"them, not {type(values).__name__}"
        )
    layout = getattr(values, "layout", None)
    if layout is None:
        if example is None:
            raise ValueError(
                "a plain dict does not say which channels belong together: pass example= (one "
                "input of the model), or what sl.score and sl.select returned"
            )
        return find_groups(model, example)
    layout.check_model(model)
    return layout
