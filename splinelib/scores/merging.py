"""At which distance does a unit's hyperplane merge into another's? The score of `spline`.

All layers of one shape at once: a deep network has many narrow layers, and to begin an operation on
one of them takes longer than to do it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..calibration.moments import wide
from .hyperplanes import (
    RHO,
    canonical_of,
    check_rho,
    directions_for,
    distance_rows,
    principal_directions,
    redundancy_order,
)

# PCA directions of the spline criterion. With a global cut and a refit, a quarter-width VGG-16
# on CIFAR-10 prefers 16 to 32, and loses ten points without PCA; the digits MLP prefers 8.
COMPONENTS = 16
# Length within the kept directions, in roundings of 1, up to which a unit normal has none there.
_UNSEEN = 64
# Units of a layer, and values of a stack of layers or of its distances, up to which all distances
# are held at once.
_UNITS = 1024
_VALUES = 2**22


def merging_distance(
    normals: Tensor, offsets: Tensor, rho: float = RHO, components: int | float | None = None
) -> Tensor:
    """The score of `spline`, shape (U,), from normals (U, F) and offsets (U,)."""
    return merging_distances([(normals, offsets)], rho, [components])[0]


def merging_distances(
    layers: Sequence[tuple[Tensor, Tensor]],
    rho: float = RHO,
    components: Sequence[int | float | None] | None = None,
) -> list[Tensor]:
    """`merging_distance` of each of several layers.

    Parameters
    ----------
    layers : sequence of (Tensor, Tensor), shapes (U, F) and (U,)
        Normals and offsets.
    rho : float
    components : sequence of int, float or None, optional
        For each layer; see `spline`.

    Returns
    -------
    list of Tensor, shape (U,)
    """
    check_rho(rho)
    components = [None] * len(layers) if components is None else components
    stacks: dict[tuple, list[int]] = {}
    for at, ((normals, _), kept) in enumerate(zip(layers, components, strict=True)):
        kept = COMPONENTS if kept is None else kept
        if isinstance(kept, float):
            kept = directions_for(normals, kept)
        key = normals.shape, normals.dtype, normals.device, kept
        stacks.setdefault(key, []).append(at)
    result: list[Tensor] = [None] * len(layers)
    alike: dict[tuple, list[_Stack]] = {}  # of as many units, whatever they read
    for (shape, *_, kept), places in stacks.items():
        largest = max(1, *shape) * max(1, shape[0])
        step = max(1, _VALUES // largest) if shape[0] <= _UNITS else 1
        for start in range(0, len(places), step):
            here = places[start : start + step]
            parts = ([wide(layers[at][which]) for at in here] for which in (0, 1))
            # a wide layer comes alone, and need not be copied
            normals, offsets = (
                torch.stack(part) if len(part) > 1 else part[0][None] for part in parts
            )
            stack = _stacked(here, normals, offsets, kept)
            if shape[0] > _UNITS:
                result[here[0]] = stack.cost_in_order(0, rho)
                continue
            waiting = alike.setdefault((shape[0], stack.normals.dtype, normals.device), [])
            waiting.append(stack)
            if sum(len(each.places) for each in waiting) * shape[0] ** 2 > _VALUES:
                _judge(waiting, rho, result)
                waiting.clear()
    for waiting in alike.values():
        _judge(waiting, rho, result)
    return result


@dataclass(frozen=True)
class _Stack:
    """Layers of one shape as they are compared.

    Attributes
    ----------
    places : list of int
        Which layers these are.
    strength : Tensor, shape (L, U)
    normals : Tensor, shape (L, U, K)
        Within the directions that are kept.
    offsets : Tensor, shape (L, U)
    """

    places: list[int]
    strength: Tensor
    normals: Tensor
    offsets: Tensor

    def distance(self, rho: float) -> np.ndarray:
        """Of each two units, (L, U, U)."""
        length = torch.linalg.vector_norm(self.normals, dim=2)
        shown, offset = canonical_of(self.normals, self.offsets, length)
        return distance_rows(shown, offset, shown, offset, rho).cpu().numpy()

    def cost_in_order(self, at: int, rho: float) -> Tensor:
        """The scores of one of the layers, whose units are removed one after the other."""
        strength = self.strength[at]
        return redundancy_order(self.normals[at], self.offsets[at], rho, strength).cost


def _judge(stacks: list[_Stack], rho: float, result: list) -> None:
    """Put the scores of layers of as many units where they belong."""
    if not stacks:
        return
    distance = np.concatenate([stack.distance(rho) for stack in stacks])
    strength = torch.cat([stack.strength for stack in stacks]).cpu().numpy()
    cost, sure = merging_costs(distance, strength)
    costs, sure = iter(torch.from_numpy(cost).to(stacks[0].normals)), iter(sure)
    for stack in stacks:
        for at, place in enumerate(stack.places):
            found = next(costs)
            result[place] = found if next(sure) else stack.cost_in_order(at, rho)


def _stacked(places: list[int], normals: Tensor, offsets: Tensor, components: int) -> _Stack:
    """Layers as they are compared, from normals (L, U, F) and offsets (L, U)."""
    strength = torch.linalg.vector_norm(normals, dim=2)
    unit, offset = canonical_of(normals, offsets, strength)
    reduced = unit  # as many directions as there are only turn the coordinates
    if components < min(unit.shape[1:]):
        reduced = _with_what_is_outside(unit, unit @ principal_directions(unit, components))
    spread = offset.square().mean(1, keepdim=True).sqrt()
    scaled = torch.where(spread > 0, offset / spread, offset)
    # distances divide offsets by the length of the normals; these are scaled already
    length = torch.linalg.vector_norm(reduced, dim=2)
    return _Stack(places, strength, reduced, scaled * length)


def merging_costs(distance: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`redundancy_order`'s costs, without the order.

    There the weaker unit of the closest pair goes, again and again. So a unit goes at its distance
    to the nearest of the stronger ones that are there still: those that go at a larger distance.
    The strongest stays, and from there on each is found from those before it.

    Parameters
    ----------
    distance : ndarray, shape (L, U, U)
        Of each two units of each of L layers.
    strength : ndarray, shape (L, U)
        Of equals, the unit of the higher index is the weaker one.

    Returns
    -------
    cost : ndarray, shape (L, U)
        In the dtype of the distances. The strongest unit has the next number after the largest.
    sure : ndarray of bool, shape (L,)
        False where equal distances leave open who is there still: the order of removal decides.
    """
    layers, units = strength.shape
    ranks = np.argsort(-strength, axis=1, kind="stable")
    ranked = np.minimum(distance, distance.transpose(0, 2, 1))
    for at, order in enumerate(ranks):  # in a fraction of the time that all indices at once take
        ranked[at] = ranked[at].take(order, axis=0).take(order, axis=1)
    infinite, least = distance.dtype.type(np.inf), np.minimum.reduce
    cost = np.full((layers, units), infinite, dtype=distance.dtype)
    for at in range(1, units):
        before = ranked[:, at, :at]
        # what `before.min` does, without its two calls of Python
        least(before, 1, None, cost[:, at], False, infinite, before < cost[:, :at])
    weaker = np.tri(units, k=-1, dtype=bool)
    loosely = ranked.min(axis=2, where=weaker & (ranked <= cost[:, None, :]), initial=infinite)
    sure = (loosely == cost).all(axis=1)
    largest = cost[:, 1:].max(axis=1, initial=0)
    cost[:, 0] = np.nextafter(largest, infinite)
    result = np.empty_like(cost)
    np.put_along_axis(result, ranks, cost, axis=1)
    return result, sure


def _with_what_is_outside(unit: Tensor, reduced: Tensor) -> Tensor:
    """Coordinates in which units that no kept direction sees are compared by their whole normals.

    What is left of such a unit is nothing, or rounding. Brought to length 1 it would be a direction
    by chance; left at nothing it would draw no line, and go first though no other unit is like it.
    """
    length = torch.linalg.vector_norm(reduced, dim=-1)
    unseen = length <= _UNSEEN * torch.finfo(unit.dtype).eps
    if not unseen.any() or not (unseen := unseen & unit.any(dim=-1)).any():
        return reduced
    parts = reduced.masked_fill(unseen[..., None], 0), unit.masked_fill(~unseen[..., None], 0)
    return torch.cat(parts, dim=-1)
