"""Which units are removed when a layout is tried out (`trial`)."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from .layout import Group

_COINCIDENCES = 2  # numbers of channels at which all groups are tried
_ENOUGH = 8  # channels that `at_once` leaves in every group, so that something passes through


def halves(
    groups: dict[str, Group], spared: dict[str, int] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Masks that keep about half of each group's units, and then the others.

    The numbers differ from group to group, so that sizes which agree by chance show; of more than
    three units the first and the last go in one of the two. No mask of several units is the same
    from back to front. ``spared`` says how many units the first leaves at least.
    """
    generator = np.random.default_rng(0)  # which takes a fraction of the time that torch's does
    masks = {}
    for name, group in groups.items():
        share = 0.35 + 0.3 * generator.random()
        order = generator.permutation(group.units)
        most = group.units - (spared[name] if spared else 1)
        keep = order < max(1, min(int(share * group.units), most))
        turn = bool(len(masks) % 2)  # not the same units of all groups
        if group.units > 3:
            keep[0] = keep[-2] = keep[-1] = turn
            keep[1] = not turn
        elif group.units > 1:
            keep[0], keep[-1] = turn, not turn
        masks[name] = keep
    for kept in (masks, {name: ~keep for name, keep in masks.items()}):
        yield {n: torch.from_numpy(keep if keep.any() else ~keep) for n, keep in kept.items()}


def equal(groups: dict[str, Group], sizes: Iterable[int]) -> Iterator[dict[str, Tensor]]:
    """Masks that leave all groups so many channels, or all if they have fewer."""
    for size in sizes:
        left = {name: max(1, size // width) for name, width in _widths(groups).items()}
        yield {n: torch.arange(group.units) < left[n] for n, group in groups.items()}


def _widths(groups: dict[str, Group]) -> dict[str, int]:
    """Channels of a unit, by group."""
    return {
        name: max(m.indices.shape[1] for m in group.producers) for name, group in groups.items()
    }


def coincidences(groups: dict[str, Group], stay: set[int]) -> list[int]:
    """Numbers of channels at which groups are as wide as the smallest, or a layer that stays."""
    sizes = {groups[name].units * width for name, width in _widths(groups).items()}
    return [n for n in sorted({min(sizes)} | stay)[:_COINCIDENCES] if n < max(sizes)]


def at_once(groups: dict[str, Group], stay: set[int]) -> list[dict[str, Tensor]] | None:
    """Masks that show together all that `halves` and `equal` show; None for small groups.

    Every unit goes in one of the first two, of which the second leaves as many channels in every
    group: as many as a layer has that stays, if there is one with fewer than all groups.
    """
    widths = _widths(groups)
    smallest = min(groups[name].units * width for name, width in widths.items())
    common = [n for n in coincidences(groups, stay) if n in stay]
    size = max((n for n in common if _ENOUGH <= n < smallest), default=None)
    spared = {name: -(-(size or 0) // width) + 3 for name, width in widths.items()}
    both = [*halves(groups, spared)]
    rest = {name: np.flatnonzero(mask.numpy()) for name, mask in both[1].items()}
    size = size or min(len(units) * widths[name] for name, units in rest.items())
    counts = {name: max(1, size // width) for name, width in widths.items()}
    if size < _ENOUGH or any(counts[name] > len(units) for name, units in rest.items()):
        return None
    for name, units in rest.items():
        few = np.zeros(groups[name].units, dtype=bool)
        few[units[np.linspace(0, len(units) - 1, counts[name]).round().astype(int)]] = True
        both[1][name] = torch.from_numpy(few)
    return [*both, *equal(groups, (n for n in common if n != size))]
