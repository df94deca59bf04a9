"""Which units are removed when a layout is tried out (`trial`)."""

import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from .layout import Group

_COINCIDENCES = 2  # numbers of channels at which all groups are tried
_FEW = 12  # units of groups that are tried a third time
_ENOUGH = 8  # channels that `at_once` leaves in every group, so that something passes through


def halves(
    groups: dict[str, Group], spared: dict[str, int] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Masks that keep about half of each group's units, and then the others.

    How many stay differs from group to group, so that sizes which agree by chance show, and has no
    divisor in common with how many there are: code that divides channels into a number of parts
    then fails in one of the two. Of more than three units the first and the last go in one of the
    two. No mask of several units is the same from back to front. A group has the same masks
    whichever others are tried with it, so that what is wrong with it shows alone as well.
    ``spared`` says how many units the first leaves at least.
    """
    masks = {}
    for name, group in groups.items():
        # which takes a fraction of the time that torch's generator does
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        most = group.units - (spared[name] if spared else 1)
        masks[name] = _half(group.units, most, generator)
    for kept in (masks, {name: ~keep for name, keep in masks.items()}):
        yield {n: torch.from_numpy(keep if keep.any() else ~keep) for n, keep in kept.items()}


def _half(units: int, most: int, generator: np.random.Generator) -> np.ndarray:
    """Which of so many units stay; not more than so many, but one in any case."""
    if units == 1:
        return np.ones(1, dtype=bool)
    edge, share = int(units > 3), 0.35 + 0.3 * generator.random()
    counts = np.arange(1, units)
    counts = counts[(np.gcd(counts, units) == 1) & (counts <= max(1, most))]
    count = counts[np.abs(counts - share * units).argmin()]
    both = [ends for ends in (0, 1) if 0 < count - 2 * edge * ends < units - 2 * edge]
    ends = both[generator.integers(len(both))]
    keep = np.full(units, bool(ends))
    inner = keep[edge : units - edge]
    while True:
        inner[:] = generator.permutation(len(inner)) < count - 2 * edge * ends
        if (keep != keep[::-1]).any():
            return keep


def turned(groups: dict[str, Group]) -> Iterator[dict[str, Tensor]]:
    """A third mask for groups of few units, for which those of `halves` may not do.

    It is the one of the two that keeps more, which tells more of the units' order, turned round
    until the first or the last unit stays and not the other.
    """
    few = {name: group for name, group in groups.items() if 2 < group.units <= _FEW}
    if few:
        both = zip(*(masks.values() for masks in halves(few)), strict=True)
        yield {
            name: _turned(max(pair, key=torch.sum)) for name, pair in zip(few, both, strict=True)
        }


def _turned(mask: Tensor) -> Tensor:
    turns = (mask.roll(by) for by in range(1, len(mask)))
    return next(turn for turn in turns if turn[0] != turn[-1])


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
    group: as many as a layer has that stays, if there is one with fewer than all groups. None is
    the same from back to front.
    """
    widths = _widths(groups)
    smallest = min(groups[name].units * width for name, width in widths.items())
    common = [n for n in coincidences(groups, stay) if n in stay]
    size = max((n for n in common if _ENOUGH <= n < smallest), default=None)
    spared = {name: -(-(size or 1) // width) for name, width in widths.items()}
    both = [*halves(groups, spared)]
    rest = {name: np.flatnonzero(mask.numpy()) for name, mask in both[1].items()}
    size = size or min(len(units) * widths[name] for name, units in rest.items())
    counts = {name: max(1, size // width) for name, width in widths.items()}
    if size < _ENOUGH or any(counts[name] > len(units) for name, units in rest.items()):
        return None
    for name, units in rest.items():
        few = _thinned(units, counts[name], groups[name].units)
        if few is None:
            return None
        both[1][name] = torch.from_numpy(few)
    return [*both, *turned(groups), *equal(groups, (n for n in common if n != size))]


def _thinned(units: np.ndarray, count: int, of: int) -> np.ndarray | None:
    """A mask of so many of these units, not the same from back to front; None if none is found."""
    spread = np.linspace(0, len(units) - 1, count).round().astype(int)
    for chosen in (units[spread], units[:count], units[-count:]):
        few = np.zeros(of, dtype=bool)
        few[chosen] = True
        if (few != few[::-1]).any():
            return few
    return None
