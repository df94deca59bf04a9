"""At which distance does a unit's hyperplane merge into another's? The score of `spline`.

All layers of one shape at once: a deep network has many narrow layers, and to begin an operation on
one of them takes longer than to do it.
"""

from collections.abc import Sequence

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
            for at, cost in zip(here, _stacked(normals, offsets, rho, kept), strict=True):
                result[at] = cost
    return result


def _stacked(normals: Tensor, offsets: Tensor, rho: float, components: int) -> Sequence[Tensor]:
    """The scores of a stack of layers, from normals (L, U, F) and offsets (L, U)."""
    strength = torch.linalg.vector_norm(normals, dim=2)
    unit, offset = canonical_of(normals, offsets, strength)
    reduced = unit  # as many directions as there are only turn the coordinates
    if components < min(unit.shape[1:]):
        reduced = _with_what_is_outside(unit, unit @ principal_directions(unit, components))
    spread = offset.square().mean(1, keepdim=True).sqrt()
    scaled = torch.where(spread > 0, offset / spread, offset)
    # distances divide offsets by the length of the normals; these are scaled already
    length = torch.linalg.vector_norm(reduced, dim=2)
    scaled = scaled * length
    if unit.shape[1] > _UNITS:
        layers = zip(reduced, scaled, strength, strict=True)
        return [redundancy_order(*layer[:2], rho=rho, strength=layer[2]).cost for layer in layers]
    shown, offset = canonical_of(reduced, scaled, length)
    distance = distance_rows(shown, offset, shown, offset, rho).cpu().numpy()
    cost, sure = merging_costs(distance, strength.cpu().numpy())
    costs = torch.from_numpy(cost).to(normals)
    return [
        costs[at]
        if sure[at]
        else redundancy_order(reduced[at], scaled[at], rho=rho, strength=strength[at]).cost
        for at in range(len(costs))
    ]


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
    ranked = np.minimum(distance, distance.transpose(0, 2, 1))[
        np.arange(layers)[:, None, None], ranks[:, :, None], ranks[:, None, :]
    ]
    infinite = distance.dtype.type(np.inf)
    cost = np.full((layers, units), infinite, dtype=distance.dtype)
    for at in range(1, units):
        before, there = ranked[:, at, :at], cost[:, :at]
        cost[:, at] = before.min(axis=1, where=before < there, initial=infinite)
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
