"""From scores to masks to a smaller network.

    scores = score(model, "spline", data=images)     # dict: group of units -> (U,)
    masks = select(scores, ratio=0.5)                # dict: group of units -> bool (U,)
    small = shrink(model, masks)

or ``prune(model, 0.5, data=images)`` for all of it, compensation included. A criterion is a
function ``criterion(context, group) -> (U,)`` in `criteria.CRITERIA`: higher is kept longer.
"""

import math
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from . import compensation
from .criteria import CRITERIA, Context, lsq
from .groups import check_inputs, find_groups
from .layout import Layout
from .redundancy import Removal, prices, residual_along
from .saving import remembered
from .surgery import cut_copy, dropped_channels, held, kept_channels, silenced
from .trace import check_weights

SCOPES = ("global", "layerwise", "residual")
COMPENSATION = (False, "fold", "refit", "distil")
_NEEDS_DATA = (
    "{} fits least squares on calibration inputs: pass data=, for instance 2,048 training images"
)


class Scores(dict[str, Tensor]):
    """Scores by group; ``layout`` says which channels the units own."""

    def __init__(self, values: Mapping[str, Tensor] = (), layout: Layout | None = None):
        super().__init__(values)
        self.layout = layout


class Masks(dict[str, Tensor]):
    """Masks by group, True for units that stay; ``layout`` as in `Scores`."""

    def __init__(self, values: Mapping[str, Tensor] = (), layout: Layout | None = None):
        super().__init__(values)
        self.layout = layout

    @property
    def kept(self) -> int:
        """Units that stay."""
        return sum(int(mask.sum()) for mask in self.values())

    @property
    def units(self) -> int:
        """Units that there were."""
        return sum(len(mask) for mask in self.values())


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
        Calibration inputs; `lsq`, `thinet`, `codes` and `snip` need them.
    example : Tensor, shape (1, ...), optional
        An input to trace the model with; ``data[:1]`` if it is not given.
    seed : int
    labels : Tensor, shape (N,), int64, optional
        Classes of the calibration inputs; `snip` needs them.
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
    _check_choice("criterion", criterion, CRITERIA)
    return _score(_context(model, data, example, seed, labels, layout), criterion)


def _context(model, data, example, seed, labels, layout=None) -> Context:
    if data is None and example is None and layout is None:
        raise ValueError("pass data= (calibration inputs) or example= (one input of the model)")
    if data is not None:
        data = check_inputs(model, data)
    if labels is not None:
        labels = _checked_labels(labels, data)
    if layout is None:
        layout = find_groups(model, data if example is None else example)
    else:
        layout.check_model(model)
        check_weights(model)
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
def _score(context: Context, criterion: str) -> Scores:
    scores = Scores(layout=context.layout)
    for name, group in context.layout.groups.items():
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
        raise ValueError(f"criterion {criterion!r} can judge no layer of this network")
    return scores


def common_residual(model: nn.Module, scores: Scores, data: Tensor, seed: int = 0) -> Scores:
    """Scores in the same order within each group, comparable between groups.

    Each unit's score becomes what it adds to the least-squares residual: the part of the next
    layers' outputs, as a share of them, that is lost when it and all units below it are gone and
    those layers' weights are fitted anew. A global cut then makes the sum of all groups'
    residuals least (`redundancy.prices`): it takes most where most can be spared, whatever
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
    layout = _layout_for(model, scores, data)
    return _common_residual(Context(model, layout, check_inputs(model, data), seed), scores)


@torch.no_grad()
def _common_residual(context: Context, scores: Scores) -> Scores:
    values = {}
    for name, group_scores in scores.items():
        order = group_scores.sort(stable=True).indices
        residual = residual_along(context.readers(context.layout.groups[name]), order)
        values[name] = prices(Removal(order, residual))
    return Scores(values, context.layout)


def select(
    scores: Mapping[str, Tensor], ratio: float, scope: str = "global", round_to: int = 1
) -> Masks:
    """Choose the units that stay.

    Parameters
    ----------
    scores : mapping of str to Tensor (U,)
        As `score` returns them, or any other.
    ratio : float in [0, 1)
        Share of all scored units that goes, rounded to the nearest unit, halves up.
    scope : {"global", "layerwise"}
        ``"global"``: the lowest scores of the whole network go. ``"layerwise"``: every group
        loses its share; what rounding leaves over goes to the groups with the largest
        remainders, so that the total is the same.
    round_to : int
        Each group keeps a multiple of so many units, or all of its units: hardware runs 8 or
        16 channels in the time of one. Every group goes to a multiple beside the number that
        it would keep otherwise, those nearest to the multiple above going up, such that the
        total kept comes as close to the ratio as such steps allow: within half a step.

    Returns
    -------
    Masks
        dict of str to bool Tensor (U,), True for units that stay. Each group keeps at least
        its best unit; where a group would have been emptied a warning says so and the next
        lowest unit of another group goes instead. Equal scores: the earlier unit goes.

    Raises
    ------
    ValueError
        For a ratio outside [0, 1) or one that would empty a group, an unknown scope, scores
        that are not vectors of numbers, or a ``round_to`` at which so few units cannot be kept.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> sl.select({"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([2.0, 4.0])}, 0.5)
    {'a': tensor([ True, False]), 'b': tensor([False,  True])}
    """
    _check_ratio(ratio)
    _check_round_to(round_to)
    _check_choice("scope", scope, ("global", "layerwise"))
    _check_scores(scores)
    sizes = [len(values) for values in scores.values()]
    total = sum(sizes)
    count = math.floor(ratio * total + 0.5)
    if count > total - len(sizes):
        raise ValueError(
            f"a ratio of {ratio} would take {count} of {total} units, but each of the "
            f"{len(sizes)} groups keeps at least one: at most {total - len(sizes)} can go "
            f"(a ratio of {(total - len(sizes)) / total:.4f})"
        )
    choose = _lowest_overall if scope == "global" else _lowest_of_each
    values = [value.detach().double().cpu() for value in scores.values()]
    masks = choose(values, count, scores)
    if round_to > 1:
        kept = _whole_steps([int(mask.sum()) for mask in masks], sizes, round_to)
        masks = [_best(value, number) for value, number in zip(values, kept, strict=True)]
    return Masks(zip(scores, masks, strict=True), getattr(scores, "layout", None))


def _best(scores: Tensor, number: int) -> Tensor:
    """Mask of the highest scores; of equal ones the later stay."""
    mask = torch.ones(len(scores), dtype=torch.bool)
    mask[scores.sort(stable=True).indices[: len(scores) - number]] = False
    return mask


def _whole_steps(kept: list[int], sizes: list[int], step: int) -> list[int]:
    """Numbers near ``kept``, each a multiple of the step or the whole size, of nearly its sum."""
    allowed = [[*range(step, size, step), size] for size in sizes]
    result = [
        min(a, key=lambda n, k=k: (abs(n - k), -n)) for a, k in zip(allowed, kept, strict=True)
    ]
    while gap := sum(kept) - sum(result):
        moves = []
        for i, (choices, now) in enumerate(zip(allowed, result, strict=True)):
            at = choices.index(now) + (1 if gap > 0 else -1)
            if 0 <= at < len(choices) and abs(gap - (choices[at] - now)) < abs(gap):
                farther = abs(choices[at] - kept[i]) - abs(now - kept[i])
                moves.append((farther, i, choices[at]))
        if not moves:
            break
        _, i, number = min(moves)
        result[i] = number
    if -gap > step / 2:
        raise ValueError(
            f"with round_to={step} every group keeps at least {step} units, or all that it has: "
            f"{sum(result)} of {sum(sizes)}, but the ratio leaves {sum(kept)} (the highest ratio "
            f"here is {1 - sum(result) / sum(sizes):.4f})"
        )
    return result


def _lowest_overall(scores: list[Tensor], count: int, names) -> list[Tensor]:
    order = torch.cat(scores).sort(stable=True).indices
    start, best = 0, []
    for values in scores:
        # The last in sorted order, so that ties fall as they do for the other units.
        best.append(start + int(values.sort(stable=True).indices[-1]))
        start += len(values)
    spared = set(best) & set(order[:count].tolist())
    if spared:
        kept = [name for name, unit in zip(names, best, strict=True) if unit in spared]
        warnings.warn(
            f"groups {kept} would have lost all their units; each keeps its best one",
            stacklevel=3,
        )
    protected = torch.zeros(len(order), dtype=torch.bool)
    protected[best] = True
    mask = torch.ones(len(order), dtype=torch.bool)
    mask[order[~protected[order]][:count]] = False
    return list(mask.split([len(values) for values in scores]))


def _lowest_of_each(scores: list[Tensor], count: int, names) -> list[Tensor]:
    sizes = torch.tensor([len(values) for values in scores])
    # In integers: count * size / total has no rounding to go wrong.
    share, rest = count * sizes // sizes.sum(), count * sizes % sizes.sum()
    goes = torch.minimum(share, sizes - 1)
    if (share > goes).any():
        kept = [name for name, s, g in zip(names, share, goes, strict=True) if s > g]
        warnings.warn(
            f"groups {kept} would have lost all their units; each keeps its best one",
            stacklevel=3,
        )
    by_remainder = rest.sort(descending=True, stable=True).indices
    while goes.sum() < count:
        for group in by_remainder.tolist():
            if goes.sum() < count and goes[group] < sizes[group] - 1:
                goes[group] += 1
    masks = []
    for values, number in zip(scores, goes.tolist(), strict=True):
        mask = torch.ones(len(values), dtype=torch.bool)
        mask[values.sort(stable=True).indices[:number]] = False
        masks.append(mask)
    return masks


def apply_masks(
    model: nn.Module, masks: Mapping[str, Tensor], example: Tensor | None = None
) -> nn.Module:
    """A copy of the model in which the masked units are silent.

    Parameters
    ----------
    model : torch.nn.Module
    masks : mapping of str to bool Tensor (U,)
        As `select` returns them; groups that are not named stay whole.
    example : Tensor, shape (1, ...), optional
        Needed for a plain dict of masks, which does not say which channels belong together.

    Returns
    -------
    torch.nn.Module
        Same shapes and mode as the model. The rows that make a masked unit, its batch-norm
        scale and shift, and the columns that read it are zero.

    Raises
    ------
    ValueError
        For masks with unknown names, wrong lengths or an emptied group, or of another model.
    """
    layout = _layout_for(model, masks, example)
    return silenced(model, layout, _checked_masks(layout, masks))


def attach_masks(
    model: nn.Module, masks: Mapping[str, Tensor], example: Tensor | None = None
) -> nn.Module:
    """A copy whose masked units are held at zero by masks of `torch.nn.utils.prune`.

    It computes what `apply_masks` gives, and goes on doing so in training: the masks are
    applied in every pass, and the weights under them get no gradient. What was there is kept
    as ``weight_orig``; ``torch.nn.utils.prune.remove(module, "weight")`` makes a mask final,
    after which `shrink` takes the network.

    Parameters
    ----------
    model : torch.nn.Module
    masks : mapping of str to bool Tensor (U,)
    example : Tensor, shape (1, ...), optional
        As for `apply_masks`.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        As for `apply_masks`.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> masks = sl.select(sl.score(net, "magnitude", example=torch.zeros(1, 2)), 0.5)
    >>> sl.attach_masks(net, masks)[0].weight_mask.sum(1)
    tensor([...])
    """
    layout = _layout_for(model, masks, example)
    return held(model, layout, _checked_masks(layout, masks))


def shrink(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    example: Tensor | None = None,
    *,
    data: Tensor | None = None,
    compensate: bool | str = False,
    seed: int = 0,
) -> nn.Module:
    """A physically smaller copy of the model, with the outputs of the masked copy.

    Parameters
    ----------
    model : torch.nn.Module
    masks : mapping of str to bool Tensor (U,)
        As `select` returns them; groups that are not named stay whole.
    example : Tensor, shape (1, ...), optional
        Needed for a plain dict of masks, which does not say which channels belong together.
    data : Tensor, shape (N, ...), optional
        Calibration inputs for the compensation.
    compensate : {False, True, "fold", "refit", "distil"}
        As in `prune`; the outputs are then closer to the dense network's than the masked
        copy's are.
    seed : int
        For the sample of positions that the compensation fits.

    Returns
    -------
    torch.nn.Module
        It remembers what was kept, so that `save_pruned` can write it down; it can be
        pruned again.

    Raises
    ------
    ValueError
        For masks with unknown names, wrong lengths or an emptied group, or of another model;
        for compensation without data.
    """
    compensate = _checked_compensation(compensate, data)
    layout = _layout_for(model, masks, example)
    masks = _checked_masks(layout, masks)
    data = None if data is None else check_inputs(model, data)
    return _compensated(model, layout, masks, data, compensate, seed)


def _checked_compensation(compensate: bool | str, data: Tensor | None) -> bool | str:
    compensate = "refit" if compensate is True else compensate
    _check_choice("compensate", compensate, COMPENSATION)
    if compensate and data is None:
        raise ValueError(_NEEDS_DATA.format(f"compensate={compensate!r}"))
    return compensate


def _compensated(
    model, layout: Layout, masks: dict, data, compensate, seed: int, outputs=None
) -> nn.Module:
    if compensate == "distil":
        compensation.check_classifier(model, layout, data)
    small, kept = _shrink(model, layout, masks)
    given = model, small, layout, kept, data, seed
    if compensate == "fold":
        small.pruning_record["added_biases"] += compensation.fold(*given)
    elif compensate:
        work = getattr(compensation, compensate)
        small.pruning_record["added_biases"] += work(*given, outputs=outputs)
    return small


def _shrink(model: nn.Module, layout: Layout, masks: dict) -> tuple[nn.Module, dict]:
    kept = kept_channels(model, dropped_channels(layout, masks))
    small = cut_copy(model, kept)
    small.pruning_record = remembered(model, kept)
    return small, kept


def prune(
    model: nn.Module,
    ratio: float,
    criterion: str = "spline",
    scope: str = "global",
    data: Tensor | None = None,
    example: Tensor | None = None,
    compensate: bool | str = False,
    seed: int = 0,
    labels: Tensor | None = None,
    round_to: int = 1,
) -> nn.Module:
    """Score, select, shrink, and compensate if asked to.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    ratio : float in [0, 1)
        Share of all units that goes.
    criterion : str
        A name in `CRITERIA`.
    scope : {"global", "layerwise", "residual"}
        As in `select`; ``"residual"`` keeps the criterion's order within each group and takes
        from each so many units that the sum of the residuals is least (`common_residual`),
        which needs data.
    data : Tensor, shape (N, ...), optional
        Calibration inputs: training inputs, a thousand or two.
    example : Tensor, shape (1, ...), optional
        An input to trace the model with; ``data[:1]`` if it is not given.
    compensate : {False, True, "fold", "refit", "distil"}
        Fits on the data, without labels: ``"fold"`` folds dropped channels into kept ones;
        ``"refit"`` solves the kernels anew by least squares, layer after layer; ``"distil"``
        does so and then matches the class probabilities of a classifier, which pays where much
        is removed. True is the best known for a network of any kind, now ``"refit"``.
    seed : int
    labels : Tensor, shape (N,), int64, optional
        Classes of the calibration inputs, for criteria that need them.
    round_to : int
        As in `select`: 8 or 16 for speed.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        As for `score` and `select`; also if compensation is asked for without data.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> sl.prune(net, 0.5, data=torch.randn(100, 2), compensate=True)[0]
    Linear(in_features=2, out_features=4, bias=True)
    """
    compensate = _checked_request(ratio, criterion, scope, compensate, round_to, data)
    pruner = Pruner(model, data, example, seed, labels)
    return pruner.prune(ratio, criterion, scope, compensate, round_to)


def _checked_request(ratio, criterion, scope, compensate, round_to, data) -> bool | str:
    """The compensation asked for; a clear error for what cannot be done, before any work."""
    _check_choice("criterion", criterion, CRITERIA)
    _check_ratio(ratio)
    _check_round_to(round_to)
    _check_choice("scope", scope, SCOPES)
    if data is None and scope == "residual":
        raise ValueError(_NEEDS_DATA.format("scope='residual'"))
    return _checked_compensation(compensate, data)


class Pruner:
    """One network, pruned in many ways: what these share is measured once.

    The network is traced once; scores are kept; and what the dense network does on the
    calibration inputs is noted in one pass, for the criteria that look at it as for every refit
    after it (a second, if the first criterion that looks comes after a refit). `prune` does the
    same for one way.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is. It should not change while the pruner is in use.
    data, example, seed, labels
        As for `prune`.

    Attributes
    ----------
    layout : Layout
        The groups of units that go together.

    Raises
    ------
    ValueError, PruningError
        As for `score`.

    Notes
    -----
    For a compensation by ``"refit"`` or ``"distil"`` the outputs of every layer are held at the
    positions that are fitted, 16,384 and more for each: 300 MB for VGG-16 on CIFAR-10.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> pruner = sl.Pruner(net, data=torch.randn(100, 2))
    >>> [pruner.prune(ratio, "lsq", compensate="refit")[0].out_features for ratio in (0.25, 0.5)]
    [6, 4]
    """

    def __init__(
        self,
        model: nn.Module,
        data: Tensor | None = None,
        example: Tensor | None = None,
        seed: int = 0,
        labels: Tensor | None = None,
    ):
        self._context = _context(model, data, example, seed, labels)
        self._scores: dict[tuple[str, bool], Scores] = {}

    @property
    def layout(self) -> Layout:
        return self._context.layout

    def scores(self, criterion: str = "spline", scope: str = "global") -> Scores:
        """As `score`; for the scope ``"residual"`` brought to a `common_residual`.

        Raises
        ------
        ValueError
            As for `score`; for an unknown scope.
        """
        _check_choice("criterion", criterion, CRITERIA)
        _check_choice("scope", scope, SCOPES)
        key = criterion, scope == "residual"
        if key not in self._scores:
            if scope != "residual":
                found = _score(self._context, criterion)
            elif CRITERIA[criterion] is lsq:
                found = self.scores(criterion)  # which are prices of that residual already
            else:
                found = _common_residual(self._context, self.scores(criterion))
            self._scores[key] = found
        return self._scores[key]

    def prune(
        self,
        ratio: float,
        criterion: str = "spline",
        scope: str = "global",
        compensate: bool | str = False,
        round_to: int = 1,
    ) -> nn.Module:
        """Select, shrink, and compensate if asked to; everything as for the function `prune`."""
        context = self._context
        compensate = _checked_request(ratio, criterion, scope, compensate, round_to, context.data)
        refits = compensate in ("refit", "distil")
        if refits:
            context.expect_outputs()
        scores = self.scores(criterion, scope)
        masks = select(scores, ratio, "layerwise" if scope == "layerwise" else "global", round_to)
        return _compensated(
            context.model,
            context.layout,
            masks,
            context.data,
            compensate,
            context.seed,
            context.outputs() if refits else None,
        )


def _layout_for(model: nn.Module, values: Mapping, example: Tensor | None) -> Layout:
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


def _checked_masks(layout: Layout, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    checked = {}
    for name, mask in masks.items():
        if name not in layout.groups:
            known = ", ".join(layout.groups)
            raise ValueError(f"there is no prunable group {name!r}; the groups are {known}")
        mask = torch.as_tensor(mask)
        units = layout.groups[name].units
        if mask.dtype != torch.bool or tuple(mask.shape) != (units,):
            raise ValueError(
                f"the mask of {name!r} should be bool of shape ({units},), it is {mask.dtype} of "
                f"shape {tuple(mask.shape)}"
            )
        if not mask.any():
            raise ValueError(f"the mask of {name!r} leaves no unit; keep at least one")
        checked[name] = mask.cpu()
    return checked


def _check_scores(scores: Mapping[str, Tensor]) -> None:
    if not isinstance(scores, Mapping) or not scores:
        raise ValueError("scores should be a non-empty dict of group name to tensor (U,)")
    for name, values in scores.items():
        if not isinstance(values, Tensor) or values.ndim != 1 or not len(values):
            raise ValueError(f"the scores of {name!r} should be a tensor of shape (U,), U >= 1")
        if values.isnan().any():
            raise ValueError(f"the scores of {name!r} hold NaN")


def _check_ratio(ratio: float) -> None:
    if not isinstance(ratio, (int, float)) or isinstance(ratio, bool):
        raise TypeError(f"ratio should be a number in [0, 1), not {ratio!r}")
    if not 0 <= ratio < 1:
        raise ValueError(
            f"ratio should be in [0, 1), it is {ratio}: it is the share of units that goes, and "
            "a network without units is none"
        )


def _check_round_to(round_to: int) -> None:
    if not isinstance(round_to, int) or isinstance(round_to, bool) or round_to < 1:
        raise ValueError(f"round_to should be a whole number of at least 1, not {round_to!r}")


def _check_choice(what: str, value, known) -> None:
    if value not in known:
        listed = ", ".join(repr(choice) for choice in known)
        raise ValueError(f"unknown {what} {value!r}; choose one of {listed}")
