"""Units whose work another one does in the second network.

Merging removes a unit and gives its outgoing weights to one that computes nearly the same, its
heir. What changes is ``phi(z_j) - r phi(z_k)``, small where the pre-activations nearly agree,
``z_j = r z_k + e``. Bounded by itself each of the two could be anywhere in its range. So before
both are replaced by lines, as much of j's coefficient as pays is moved to the heir:
``phi(z_j) = r phi(z_k) + (phi(r z_k + e) - phi(r z_k))``, which holds for ``r > 0`` and any
activation that is homogeneous, and whose last term lies between the planes of a change.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..network.affine_parts import affine_parts
from ..network.graph import Node, Value
from .pair import FIRST, SECOND
from .ranges import Range
from .relaxation import Plane, Planes, change_planes

HOMOGENEOUS = {"relu", "leaky_relu", "abs"}
_ALIKE = 0.5  # cosine of two hyperplanes' rows from which on one may be the other's heir


@dataclass(frozen=True)
class Twins:
    """P units of one layer that are gone in the second network, each with an heir.

    Attributes
    ----------
    value : int
        Their pre-activations, whose dimension 1 they are in.
    gone, heirs : Tensor of int, shape (P,)
    ratios : Tensor, shape (P,)
        The row of the unit that is gone over that of its heir.
    error : Range
        Of e, shape (B, P, ...).
    planes : Planes
        Of what is left when the heir takes over, as functions of ``r z_k`` and of e.
    """

    value: int
    gone: Tensor
    heirs: Tensor
    ratios: Tensor
    error: Range
    planes: Planes

    def shaped_ratios(self) -> Tensor:
        """To be multiplied with what has shape (B, P, ...)."""
        return self.ratios.reshape(-1, *(1,) * (self.error.low.dim() - 2))


def pairs(state, one: Node, two: Node) -> tuple[Tensor, Tensor, Tensor] | None:
    """Units that are gone, their heirs, and ratios; None where there are none."""
    phi, o = one.activation, one.outputs[0]
    z = one.activation_inputs[0]
    fit = phi.kind in HOMOGENEOUS and phi.breakpoints == (0.0,) and isinstance(z, Value)
    if not fit or len(one.activation_inputs) != 1 or o not in state.pair.comparable:
        return None
    after = state.ranges[SECOND][o].largest()
    silent = after.flatten(2).amax(2) if after.dim() > 2 else after
    before = state.ranges[FIRST][o].largest()
    alive = before.flatten(2).amax(2) if before.dim() > 2 else before
    silent = (silent == 0).all(0) & (alive > 0).any(0)
    if not silent.any() or silent.all():
        return None
    second = 1 - after.dim()
    parts, offset = affine_parts(state.pair.graphs[0], z.index, len(silent), second)
    rows = torch.cat([*parts, offset[:, None]], 1)
    gone, kept = silent.nonzero().flatten(), (~silent).nonzero().flatten()
    sizes = rows.norm(dim=1).clamp(min=1e-300)
    cosines = (rows[gone] @ rows[kept].T) / sizes[gone, None] / sizes[kept]
    cosine, best = cosines.max(1)
    near = cosine > _ALIKE
    gone, heirs, cosine = gone[near], kept[best[near]], cosine[near]
    return (gone, heirs, cosine * sizes[gone] / sizes[heirs]) if len(gone) else None


def made(state, one: Node, found: tuple[Tensor, Tensor, Tensor], error: Range) -> Twins:
    """Twins with the planes of what is left when the heir takes over."""
    gone, heirs, ratios = found
    value = one.activation_inputs[0].index
    z = state.ranges[FIRST][value]
    r = ratios.reshape(-1, *(1,) * (z.low.dim() - 2))
    scaled = Range(r * z.low[:, heirs], r * z.high[:, heirs]).outward()
    own = Range(z.low[:, gone], z.high[:, gone])
    planes = change_planes(one.activation, one.activation, scaled, own, error)
    return Twins(value, gone, heirs, ratios, error, planes)


def hand_over(twins: Twins, c: Tensor, lines: Planes, z: Range) -> tuple[Tensor, Tensor]:
    """Move coefficients of units that are gone to their heirs where that leaves less unknown.

    Parameters
    ----------
    twins : Twins
    c : Tensor, shape (B, R, U, ...)
        Coefficients of the layer's values.
    lines, z : Planes, Range
        Of the layer's activation and pre-activations, (B, U, ...).

    Returns
    -------
    c : Tensor, shape (B, R, U, ...)
    moved : Tensor, shape (B, R, P, ...)
        What was moved, and stands before the change from the heir's value to the own.
    """
    c, moved = c.clone(), []
    gap = _gap(lines, z.centre(), torch.zeros_like(z.low))
    scaled = twins.shaped_ratios() * z.centre()[:, twins.heirs]
    left = _gap(twins.planes, scaled, twins.error.centre())
    for p, (j, k, r) in enumerate(zip(twins.gone, twins.heirs, twins.ratios, strict=True)):
        own, heir = c[:, :, j], c[:, :, k]
        together = own.abs() * left[:, None, p] + (heir + r * own).abs() * gap[:, None, k]
        apart = own.abs() * gap[:, None, j] + heir.abs() * gap[:, None, k]
        taken = torch.where(together < apart, own, 0)
        c[:, :, k] = heir + r * taken
        c[:, :, j] = own - taken
        moved.append(taken)
    return c, torch.stack(moved, 2)


def _gap(planes: tuple[Plane, Plane], z: Tensor, d: Tensor) -> Tensor:
    above, below = planes
    return above.at(z, d) - below.at(z, d)
