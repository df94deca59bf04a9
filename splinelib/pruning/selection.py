"""Scores to masks: which units stay."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..channels.layout import Layout
from ..errors import warn
from ..text import check_choice
from .choices import check_ratio, check_round_to


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
    check_ratio(ratio)
    check_round_to(round_to)
    check_choice("scope", scope, ("global", "layerwise"))
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
    if ratio > 0 and all(mask.all() for mask in masks):
        warn(_nothing_goes(ratio, total, max(sizes), round_to))
    return Masks(zip(scores, masks, strict=True), getattr(scores, "layout", None))


def _nothing_goes(ratio: float, total: int, largest: int, round_to: int) -> str:
    if round_to > 1 and ratio * total >= 0.5:
        return (
            f"nothing goes: with round_to={round_to} every group keeps a multiple of {round_to} "
            f"units or all that it has, and the largest has {largest}; take a smaller step"
        )
    return f"nothing goes: a ratio of {ratio} of {total} units is less than half a unit"


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
        start += len(values)
        best.append(start - 1 - int(values.numpy()[::-1].argmax()))
    spared = set(best) & set(order[:count].tolist())
    if spared:
        kept = [name for name, unit in zip(names, best, strict=True) if unit in spared]
        warn(f"groups {kept} would have lost all their units; each keeps its best one")
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
        warn(f"groups {kept} would have lost all their units; each keeps its best one")
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


def _check_scores(scores: Mapping[str, Tensor]) -> None:
    if not isinstance(scores, Mapping) or not scores:
        raise ValueError("scores should be a non-empty dict of group name to tensor (U,)")
    for name, values in scores.items():
        if not isinstance(values, Tensor) or values.ndim != 1 or not len(values):
            raise ValueError(f"the scores of {name!r} should be a tensor of shape (U,), U >= 1")
        if values.isnan().any():
            raise ValueError(f"the scores of {name!r} hold NaN")
