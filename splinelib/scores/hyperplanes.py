"""Which units draw a boundary that another unit draws already?

The geometry: units whose hyperplanes nearly coincide, after PCA or not. Units are removed greedily:
after each removal the question is asked again of the units still kept, so of three units that draw
one line two can go, never all three.
"""

import heapq
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..calibration.moments import wide
from ..channels.axes import rows_first
from .removal import Removal

RHO = 0.1
# Sides of a matrix up to which PCA decomposes it whole.
MAX_EIGEN = 1024
_ALL_EIGEN = 64  # and up to which all of its eigenvectors take less time than a few
_BLOCK = 128  # rows whose products with all before them are taken at a time


def canonical(normals: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Unit normals and offsets: the same hyperplanes, whatever the scale of the unit.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)
    offsets : Tensor, shape (U,)

    Returns
    -------
    normals, offsets : Tensor, shapes (U, fan_in) and (U,)
        ``w / ||w||`` and ``b / ||w||``, the signed distance of the hyperplane from 0. Rows of
        norm zero have no hyperplane and come back as zeros. Half precision becomes float32.

    Raises
    ------
    ValueError
        For shapes that do not fit, or NaN or infinite values (or normals so long that their length
        is not finite).
    """
    if normals.ndim != 2 or offsets.shape != normals.shape[:1]:
        raise ValueError(
            "expected normals of shape (U, fan_in) and offsets of shape (U,), got "
            f"{tuple(normals.shape)} and {tuple(offsets.shape)}"
        )
    normals = wide(normals)
    return canonical_of(normals, wide(offsets), torch.linalg.vector_norm(normals, dim=1))


def canonical_of(normals: Tensor, offsets: Tensor, norm: Tensor) -> tuple[Tensor, Tensor]:
    """`canonical`, of normals (..., U, fan_in) whose lengths are known."""
    # A row with a NaN or an infinite value has such a norm, and they have such a sum.
    sound = torch.isfinite(norm.sum() + offsets.sum())
    if not sound and not (torch.isfinite(norm).all() and torch.isfinite(offsets).all()):
        raise ValueError(
            f"normals or offsets hold NaN or infinite values, or normals too long for {norm.dtype}"
        )
    scale = torch.where(norm > 0, norm.reciprocal(), 0)
    return normals * scale[..., None], offsets * scale


def hyperplane_distance(normals: Tensor, offsets: Tensor, rho: float = RHO) -> Tensor:
    """How far the hyperplanes of a layer's units are from coinciding, pair by pair.

    ``d(k, k') = 1 - |cos(n_k, n_k')| + rho * |o_k - sign(cos) o_k'|`` with ``n = w/||w||`` and
    ``o = b/||w||``. It does not change when a unit is rescaled or its sign flipped, since
    neither moves the hyperplane. (Ours; the formula of the paper, arXiv 2101.02338, was not
    released. At ``cos = 0`` the smaller of both signs is taken.)

    A row of norm zero has no hyperplane: it draws nothing, so everything it draws is drawn
    by others. Its distance to every unit is 0, which makes it the most redundant of all.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)
    offsets : Tensor, shape (U,)
    rho : float
        Weight of the offsets against the angles, in 1 / (input units).

    Returns
    -------
    Tensor, shape (U, U)
        Symmetric, zero on the diagonal.

    Raises
    ------
    ValueError
        For shapes that do not fit, NaN or infinite values, or a negative rho.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> normals = torch.tensor([[1.0, 0.0], [-3.0, 0.0], [0.0, 1.0]])
    >>> sl.hyperplane_distance(normals, torch.tensor([1.0, -3.0, 1.0]), rho=1.0)
    tensor([[0., 0., 1.],
            [0., 0., 1.],
            [1., 1., 0.]])
    """
    check_rho(rho)
    unit, offset = canonical(normals, offsets)
    distance = distance_rows(unit, offset, unit, offset, rho)
    return distance.fill_diagonal_(0)


def check_rho(rho: float) -> None:
    """Refuse what is no weight of offsets against angles."""
    if not (np.isfinite(rho) and rho >= 0):
        raise ValueError(f"rho should be a finite number of at least 0, not {rho}")


def distance_rows(unit: Tensor, offset: Tensor, units: Tensor, offsets: Tensor, rho: float):
    """Distances of some canonical hyperplanes (rows) to all of them (columns), layer by layer."""
    cosine = unit @ units.mT
    one, other = offset[..., None], offsets[..., None, :]
    shift = (one - torch.where(cosine > 0, other, -other)).abs_()
    if not cosine.all():
        smaller = torch.minimum((one - other).abs_(), (one + other).abs_())
        shift = torch.where(cosine == 0, smaller, shift)
    distance = cosine.abs_().neg_().add_(1).clamp_(min=0).add_(shift.mul_(rho))
    rows, columns = unit.any(dim=-1), units.any(dim=-1)
    if rows.all() and columns.all():
        return distance
    return distance.masked_fill_(~rows[..., None] | ~columns[..., None, :], 0)


def pca(normals: Tensor, components: int) -> Tensor:
    """Coordinates of the unit normals along their leading principal directions.

    The directions are those through the origin (no mean is taken off): a unit and its
    mirror image ``-w`` are one hyperplane, and a mean would depend on which of the two is
    given. Hyperplanes that coincide still do so afterwards, whatever the directions. Those that
    do not are compared within the directions only, their parts there brought to length 1 again
    by `hyperplane_distance`: what many units share weighs more, what one unit has for itself is
    not looked at, and a distance can fall as well as rise, by how much `truncation` bounds.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)
    components : int
        At least 1; more than min(U, fan_in) changes nothing.

    Returns
    -------
    Tensor, shape (U, min(components, U, fan_in))

    Notes
    -----
    Where both sides of the matrix are longer than `MAX_EIGEN`, and many times ``components``, the
    directions come from a seeded subspace iteration (Halko, Martinsson and Tropp, 2011) in
    place of a full decomposition, whose time grows with the cube.
    """
    unit, _ = canonical(normals, normals.new_zeros(len(normals)))
    return unit @ principal_directions(unit, components)


def principal_directions(unit: Tensor, components: int) -> Tensor:
    """The leading directions, as columns, of the unit normals of one layer or a stack; see `pca`.

    Parameters
    ----------
    unit : Tensor, shape (..., U, fan_in)
    components : int

    Returns
    -------
    Tensor, shape (..., fan_in, min(components, U, fan_in))
    """
    if components < 1:
        raise ValueError(f"PCA needs at least 1 component, got {components}")
    units, fan_in = unit.shape[-2:]
    if min(units, fan_in) > max(MAX_EIGEN, 8 * components):
        return _of_each(unit, _iterated_directions, components)
    if units > fan_in:  # decompose whichever second moment is smaller
        return _leading(_products(unit.mT), components)
    return torch.linalg.qr(unit.mT @ _leading(_products(unit), components)).Q


def _of_each(stack: Tensor, function: Callable, components: int) -> Tensor:
    """What a function of one matrix gives for each of a stack."""
    if stack.ndim == 2:
        return function(stack, components)
    return torch.stack([function(matrix, components) for matrix in stack])


def _products(rows: Tensor) -> Tensor:
    """Inner products of rows, on and below the diagonal; what is above it nobody reads."""
    count = rows.shape[-2]
    if count <= _BLOCK:
        return rows @ rows.mT
    products = rows.new_zeros(*rows.shape[:-1], count)
    for start in range(0, count, _BLOCK):
        stop = start + _BLOCK
        products[..., start:stop, :stop] = rows[..., start:stop, :] @ rows[..., :stop, :].mT
    return products


def _leading(moment: Tensor, components: int) -> Tensor:
    """Eigenvectors of the largest eigenvalues, as columns; the lower triangle is read."""
    if moment.shape[-1] <= _ALL_EIGEN:
        return torch.linalg.eigh(moment).eigenvectors[..., -components:].flip(-1)
    return _of_each(moment, _few_leading, components)


def _few_leading(moment: Tensor, components: int) -> Tensor:
    """The same, in less than half the time where they are a few of many."""
    from scipy.linalg import eigh

    size = len(moment)
    which = max(0, size - components), size - 1
    matrix = moment.cpu().numpy()
    vectors = eigh(matrix, lower=True, subset_by_index=which, check_finite=False)[1]
    return torch.from_numpy(vectors).to(moment).flip(1)


def _iterated_directions(unit: Tensor, components: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    guess = torch.randn(unit.shape[1], components + 16, generator=generator, dtype=unit.dtype)
    basis = guess.to(unit.device)
    for _ in range(8):
        basis = torch.linalg.qr(unit.T @ (unit @ basis)).Q
    inside = unit @ basis
    return basis @ _leading(inside.T @ inside, components)


def redundancy_order(
    normals: Tensor,
    offsets: Tensor,
    rho: float = RHO,
    strength: Tensor | None = None,
    block: int = 1024,
) -> Removal:
    """Remove, one after the other, a unit of the pair of hyperplanes that lie closest.

    Memory is bounded by ``block`` rows of distances, whatever the number of units.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)
    offsets : Tensor, shape (U,)
    rho : float
        See `hyperplane_distance`.
    strength : Tensor of shape (U,), optional
        Of a pair, the unit of smaller strength goes. Without it, the norm of the normals
        decides, which is how steep a unit bends the output across its boundary. Ties: the
        unit of the higher index goes.
    block : int
        Rows of distances held at a time.

    Returns
    -------
    Removal
        ``cost`` is the distance of the pair that the removal broke up.
    """
    check_rho(rho)
    normals, count = wide(normals), len(normals)
    strength = normals.norm(dim=1) if strength is None else strength
    if strength.shape != (count,):
        raise ValueError(f"strength should have shape ({count},), it has {tuple(strength.shape)}")
    hyperplanes = canonical(normals.detach().cpu(), offsets.detach().cpu())
    left = (_AllPairs if count <= block else _Left)(*hyperplanes, rho)
    power = strength.detach().cpu().tolist()
    gaps, partners = left.nearest_of_all(block)
    partner, gone = partners.tolist(), left.gone
    closest = list(zip(gaps.tolist(), range(count), strict=True))
    heapq.heapify(closest)
    order, costs = [], [0.0] * count
    for _ in range(count - 1):
        while gone[first := closest[0][1]] or gone[partner[first]]:
            if gone[first]:  # as the partner of another
                heapq.heappop(closest)
            else:
                # Its partner has gone. The gap to the next one can only be larger, so it is
                # enough to look for it now that this gap has become the smallest.
                gap, partner[first] = left.nearest_of(first)
                heapq.heapreplace(closest, (gap, first))
        other = partner[first]
        goes = first if (power[first], -first) < (power[other], -other) else other
        # A distance that is computed once more may come out a rounding step smaller.
        costs[goes] = max(closest[0][0], costs[order[-1]] if order else 0.0)
        order.append(goes)
        left.remove(goes)
    last, cost = gone.index(0), np.array(costs, dtype=gaps.dtype)
    cost[last] = np.nextafter(cost[order[-1]] if order else cost[last], cost.dtype.type(np.inf))
    return Removal(torch.tensor([*order, last]), torch.from_numpy(cost).to(normals))


class _AllPairs:
    """The hyperplanes that are still kept, with all their distances."""

    def __init__(self, unit: Tensor, offset: Tensor, rho: float):
        self.distance = distance_rows(unit, offset, unit, offset, rho).numpy()
        np.fill_diagonal(self.distance, np.inf)
        self.gone = bytearray(len(unit))  # quicker to look into than an array

    def remove(self, unit: int) -> None:
        self.gone[unit] = 1
        self.distance[:, unit] = np.inf

    def nearest_of(self, unit: int) -> tuple[float, int]:
        """Distance and number of the closest other hyperplane that is kept."""
        row = self.distance[unit]
        partner = int(row.argmin())
        return row.item(partner), partner

    def nearest_of_all(self, _) -> tuple[np.ndarray, np.ndarray]:
        partner = self.distance.argmin(1)
        return self.distance[np.arange(len(partner)), partner], partner


class _Left:
    """The same, a block of distances at a time.

    Tidied up each time an eighth of the hyperplanes has gone.
    """

    def __init__(self, unit: Tensor, offset: Tensor, rho: float):
        self.unit, self.offset, self.rho = unit, offset, rho
        self.gone = bytearray(len(unit))  # quicker to look into than an array
        self._tidy()

    def _tidy(self) -> None:
        self.index = torch.from_numpy(np.flatnonzero(np.frombuffer(self.gone, np.uint8) == 0))
        self.units, self.offsets = self.unit[self.index], self.offset[self.index]
        self.barrier = torch.zeros_like(self.offsets)  # infinite in front of those that went
        self.removed = 0

    def remove(self, unit: int) -> None:
        self.gone[unit] = 1
        self.barrier[torch.searchsorted(self.index, unit)] = torch.inf
        self.removed += 1
        if 8 * self.removed > len(self.index):
            self._tidy()

    def nearest_of(self, unit: int) -> tuple[float, int]:
        value, partner = self._nearest(torch.tensor([unit]))
        return value.item(0), int(partner[0])

    def nearest_of_all(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        parts = [self._nearest(rows) for rows in torch.arange(len(self.unit)).split(block)]
        return tuple(np.concatenate(values) for values in zip(*parts, strict=True))

    def _nearest(self, rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
        unit, offset = self.unit[rows], self.offset[rows]
        distance = distance_rows(unit, offset, self.units, self.offsets, self.rho)
        distance += self.barrier
        distance[torch.arange(len(rows)), torch.searchsorted(self.index, rows)] = torch.inf
        value, position = distance.min(dim=1)
        return value.numpy(), self.index[position].numpy()


def folded(layer: nn.Module, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Rows (out, F) and offsets (out,) of a layer with the batch norm that follows it, if any."""
    rows = wide(rows_first(layer)).flatten(1)
    offset = rows.new_zeros(len(rows)) if layer.bias is None else wide(layer.bias.detach())
    if norm is None or norm.running_var is None:
        return rows, offset
    scale = torch.rsqrt(wide(norm.running_var) + norm.eps)
    shift = torch.zeros_like(scale)
    if norm.affine:
        scale, shift = scale * wide(norm.weight.detach()), wide(norm.bias.detach())
    return rows * scale[:, None], (offset - wide(norm.running_mean)) * scale + shift


def spectrum(normals: Tensor) -> Tensor:
    """Share of the squared lengths of the unit normals that each PCA direction holds.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)

    Returns
    -------
    Tensor, shape (min(U, fan_in),)
        Falling, adding up to 1; zeros if all rows are zero.
    """
    coordinates = pca(normals, min(normals.shape))
    energy = coordinates.square().sum(0)
    total = energy.sum()
    return energy / total if total > 0 else energy


def directions_for(normals: Tensor, share: float) -> int:
    """Fewest PCA directions that hold a share of the squared lengths of the unit normals."""
    if not 0 < share <= 1:
        raise ValueError(f"components as a share lies in (0, 1], it is {share}")
    reached = spectrum(normals).cumsum(0) >= share - 1e-6
    return int(reached.int().argmax()) + 1 if reached.any() else len(reached)
