"""Which units draw a boundary that another unit draws already?

Two answers. Geometry: units whose hyperplanes nearly coincide (`hyperplane_distance`,
`redundancy_order`). Data: units whose activation the other units can rebuild by least
squares, weighted by what the next layer does with it (`least_squares_order`).

Both remove greedily: after each removal the question is asked again of the units still
kept, so of three units that draw one line two can go, never all three.
"""

import heapq
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .calibration import (
    Moments,
    Outputs,
    RowSample,
    observe,
    output_rows,
    patches,
    pixels,
    rows_needed,
    rows_shape,
    taps_first,
)
from .layout import Layout

RHO = 0.1
# Ridge of the greedy removal, as a share of the variance of each column. On the digits
# MLP at 90 % removed, 1e-2 keeps about a point more than 1e-4; convolutions do not care.
LSQ_RIDGE = 1e-2
# Sides of a matrix up to which PCA decomposes it whole.
MAX_EIGEN = 1024
# Columns up to which the least-squares residual keeps all kernel taps apart.
MAX_COLUMNS = 1536


class Removal(NamedTuple):
    """A greedy removal.

    Attributes
    ----------
    order : Tensor, shape (U,), int64
        Units in the order in which they go; the last entry is the one that stays longest.
    cost : Tensor, shape (U,)
        What the removal of each unit cost, indexed by unit, never falling along ``order``:
        higher is kept longer.
    """

    order: Tensor
    cost: Tensor


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
        norm zero have no hyperplane and come back as zeros.

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
    # A row with a NaN or an infinite value has such a norm: no second pass over the normals.
    norm = torch.linalg.vector_norm(normals, dim=1)
    if not (torch.isfinite(norm).all() and torch.isfinite(offsets).all()):
        raise ValueError(
            f"normals or offsets hold NaN or infinite values, or normals too long for {norm.dtype}"
        )
    scale = torch.where(norm > 0, norm.reciprocal(), 0)
    return normals * scale[:, None], offsets * scale


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
    _check_rho(rho)
    unit, offset = canonical(normals, offsets)
    distance = _distance_rows(unit, offset, unit, offset, rho)
    return distance.fill_diagonal_(0)


def _check_rho(rho: float) -> None:
    if not (np.isfinite(rho) and rho >= 0):
        raise ValueError(f"rho should be a finite number of at least 0, not {rho}")


def _distance_rows(unit: Tensor, offset: Tensor, units: Tensor, offsets: Tensor, rho: float):
    """Distances of some canonical hyperplanes (rows) to all of them (columns)."""
    cosine = unit @ units.T
    same = (offset[:, None] - offsets).abs()
    opposite = (offset[:, None] + offsets).abs()
    shift = torch.where(cosine > 0, same, opposite)
    shift = torch.where(cosine == 0, torch.minimum(same, opposite), shift)
    distance = (1 - cosine.abs()).clamp_(min=0) + rho * shift
    nothing = ~unit.any(dim=1)[:, None] | ~units.any(dim=1)
    return distance.masked_fill_(nothing, 0)


def pca(normals: Tensor, components: int) -> Tensor:
    """Coordinates of the unit normals along their leading principal directions.

    The directions are those through the origin (no mean is taken off): a unit and its
    mirror image ``-w`` are one hyperplane, and a mean would depend on which of the two is
    given. Hyperplanes that coincide still do so afterwards, whatever the directions. Those that
    do not are compared within the directions only, their parts there brought to length 1 again
    by `hyperplane_distance`: what many units share weighs more, what one unit has for itself
    (noise, for the most part) is not looked at, and a distance can fall as well as rise.

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
    """The leading directions, as columns (fan_in, components), of unit normals; see `pca`."""
    if components < 1:
        raise ValueError(f"PCA needs at least 1 component, got {components}")
    shorter = min(unit.shape)
    if shorter > MAX_EIGEN and shorter > 8 * components:
        return _iterated_directions(unit, components)
    if unit.shape[0] > unit.shape[1]:  # decompose whichever second moment is smaller
        return _leading(unit.T @ unit, components)
    return torch.linalg.qr(unit.T @ _leading(unit @ unit.T, components)).Q


def _leading(moment: Tensor, components: int) -> Tensor:
    return torch.linalg.eigh(moment).eigenvectors.flip(1)[:, :components]


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
    _check_rho(rho)
    count = len(normals)
    strength = normals.norm(dim=1) if strength is None else strength
    if strength.shape != (count,):
        raise ValueError(f"strength should have shape ({count},), it has {tuple(strength.shape)}")
    hyperplanes = canonical(normals.detach().cpu(), offsets.detach().cpu())
    left = (_AllPairs if count <= block else _Left)(*hyperplanes, rho)
    power = strength.detach().cpu().tolist()
    gap, partner = left.nearest_of_all(block)
    partner, gone = partner.tolist(), left.gone
    closest = list(zip(gap.tolist(), range(count), strict=True))
    heapq.heapify(closest)
    order, cost = [], np.zeros(count, dtype=gap.dtype)
    while len(order) < count - 1:
        distance, first = closest[0]
        if gone[first]:  # as the partner of another
            heapq.heappop(closest)
            continue
        other = partner[first]
        if gone[other]:
            # Its partner has gone. The gap to the next one can only be larger, so it is
            # enough to look for it now that this gap has become the smallest.
            distance, partner[first] = left.nearest_of(first)
            heapq.heapreplace(closest, (float(distance), first))
            continue
        goes = first if (power[first], -first) < (power[other], -other) else other
        cost[goes] = distance
        order.append(goes)
        left.remove(goes)
    last = gone.index(0)
    cost[last] = np.nextafter(cost[order[-1]] if order else cost[last], cost.dtype.type(np.inf))
    return Removal(torch.tensor([*order, last]), torch.from_numpy(cost).to(normals))


class _AllPairs:
    """The hyperplanes that are still kept, with all their distances."""

    def __init__(self, unit: Tensor, offset: Tensor, rho: float):
        self.distance = _distance_rows(unit, offset, unit, offset, rho).numpy()
        np.fill_diagonal(self.distance, np.inf)
        self.gone = bytearray(len(unit))  # quicker to look into than an array

    def remove(self, unit: int) -> None:
        self.gone[unit] = 1
        self.distance[:, unit] = np.inf

    def nearest_of(self, unit: int) -> tuple[float, int]:
        """Distance and number of the closest other hyperplane that is kept."""
        row = self.distance[unit]
        partner = int(row.argmin())
        return row[partner], partner

    def nearest_of_all(self, _) -> tuple[np.ndarray, np.ndarray]:
        return self.distance.min(1), self.distance.argmin(1)


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
        return value[0], int(partner[0])

    def nearest_of_all(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        parts = [self._nearest(rows) for rows in torch.arange(len(self.unit)).split(block)]
        return tuple(np.concatenate(values) for values in zip(*parts, strict=True))

    def _nearest(self, rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
        unit, offset = self.unit[rows], self.offset[rows]
        distance = _distance_rows(unit, offset, self.units, self.offsets, self.rho)
        distance += self.barrier
        distance[torch.arange(len(rows)), torch.searchsorted(self.index, rows)] = torch.inf
        value, position = distance.min(dim=1)
        return value.numpy(), self.index[position].numpy()


class Reader(NamedTuple):
    """What one layer that reads a group's units does with them, over calibration data.

    A unit may enter through several columns (kernel taps, a block of channels); they are
    consecutive.

    Attributes
    ----------
    gram : Tensor, shape (U * m, U * m), float64
        Covariance of the columns.
    mean : Tensor, shape (U * m,), float64
        Mean of the columns.
    outgoing : Tensor, shape (U * m, U * m), float64
        ``W^T W`` for the reader's weight W (out, U * m).
    energy : float
        Variance of the reader's output, summed over its channels.
    """

    gram: Tensor
    mean: Tensor
    outgoing: Tensor
    energy: float


@torch.no_grad()
def readers(
    model: nn.Module,
    layout: Layout,
    data: Tensor,
    seed: int = 0,
    outputs: Mapping[str, Outputs] | None = None,
) -> dict[str, list[Reader]]:
    """Run the calibration inputs once and note what the readers of each group see.

    Parameters
    ----------
    model : torch.nn.Module
    layout : Layout
    data : Tensor, shape (N, ...)
        A thousand training inputs or more.
    seed : int
        For the sample of positions of large images.
    outputs : dict of str to Outputs, optional
        By layer; they are filled in the same pass.

    Returns
    -------
    dict of str to list of Reader
        An entry per group. Where a layer reads more than `MAX_COLUMNS` columns of a group,
        the columns of one unit are taken as repeated observations of it, which leaves
        correlations between kernel taps out.
    """
    modules = dict(model.named_modules())
    names = {member.module for group in layout.groups.values() for member in group.consumers}
    watched = {name: _Watch(modules[name], len(data), seed) for name in layout.order}
    watched = {name: watcher for name, watcher in watched.items() if name in names}
    for group in layout.groups.values():
        for member in group.consumers:
            watched[member.module].follow(group.name, member.indices)
    observe(
        model,
        data,
        [(name, each.hook) for found in (watched, outputs or {}) for name, each in found.items()],
    )
    return {
        name: [watched[member.module].reader(name) for member in group.consumers]
        for name, group in layout.groups.items()
    }


class _Watch:
    """Collects the moments of one layer's inputs for each group that it reads."""

    def __init__(self, layer: nn.Module, images: int, seed: int):
        self.layer, self.sample = layer, RowSample(images, rows_needed(layer), seed)
        self.channels: dict[str, Tensor] = {}
        self.moments: dict[str, Moments] = {}
        self.output = Moments(products=False)

    def follow(self, group: str, indices: Tensor) -> None:
        self.channels[group] = indices.to(self.layer.weight.device)
        self.moments[group] = Moments()

    def hook(self, layer: nn.Module, inputs: tuple, output: Tensor) -> None:
        rows = self.sample.next(rows_shape(layer, output))
        if not len(rows):
            return
        self.output.add(output_rows(layer, output, rows))
        wide = [group for group in self.channels if self._is_wide(group)]
        narrow = [group for group in self.channels if group not in wide]
        if wide:
            values, counts = pixels(layer, inputs[0], rows)
            for group in wide:
                columns = self.channels[group].T
                mine = values[:, columns].flatten(0, 1)  # (p * m, U)
                self.moments[group].add(mine, counts=counts.repeat_interleave(len(columns)))
        if narrow:
            for patch in patches(layer, inputs[0], rows):
                for group in narrow:
                    self.moments[group].add(self._columns(patch, group))

    def _is_wide(self, group: str) -> bool:
        """Whether kernel taps and columns of one unit are taken as observations of it."""
        taps = self.layer.weight[0, 0].numel()
        return self.channels[group].numel() * taps > MAX_COLUMNS

    def _columns(self, patch: Tensor, group: str) -> Tensor:
        """(r, k, channels) -> (r, k * U * m)."""
        return patch[:, :, self.channels[group].flatten()].flatten(1)

    def reader(self, group: str) -> Reader:
        weight = taps_first(self.layer.weight.double())
        units, width = self.channels[group].shape
        gram, mean = self.moments[group].covariance(), self.moments[group].mean
        if self._is_wide(group):
            weight = weight[:, :, self.channels[group].T].reshape(-1, units)
        else:
            # The columns of one unit side by side.
            order = torch.arange(gram.shape[0]).view(-1, units, width).transpose(0, 1).flatten()
            order = order.to(gram.device)
            weight = self._columns(weight, group)[:, order]
            gram, mean = gram[order][:, order], mean[order]
        return Reader(gram, mean, weight.T @ weight, self.output.variance().sum().item())


def least_squares_order(readers: list[Reader], units: int, ridge: float = LSQ_RIDGE) -> Removal:
    """Remove, one after the other, the unit that the others can best stand in for.

    Let G be the second moment of what a layer reads and W its weight. When a unit with
    columns j goes and the weight of the columns that stay is fitted anew, the layer's
    output changes by ``tr(W_j [(G^-1)_jj]^-1 W_j^T)``: for one column the diagonal of the
    inverse Gram matrix times the squared norm of the outgoing weights. Then G^-1 and W are
    brought up to date by a low-rank step, and the next unit is chosen. (Optimal brain
    surgeon, Hassibi and Stork 1993; optimal brain compression, Frantar and Alistarh,
    NeurIPS 2022.)

    Parameters
    ----------
    readers : list of Reader
        The layers that read the units. Their shares add up.
    units : int
    ridge : float
        Added to the diagonal of G, as a share of each entry.

    Returns
    -------
    Removal
        ``cost`` is the cumulative squared error of all removals so far as a share of the
        readers' energy, so that layers can be compared; see `prices`.
    """
    state = [_Downdate(reader, units, ridge) for reader in readers]
    alive = torch.ones(units, dtype=torch.bool)
    cost, order, total = torch.zeros(units, dtype=torch.float64), [], 0.0
    for _ in range(units):
        residual = sum((s.residuals() for s in state), torch.zeros(units, dtype=torch.float64))
        goes = int(residual.masked_fill_(~alive, torch.inf).argmin())
        total += max(float(residual[goes]), 0.0)
        cost[goes] = total
        order.append(goes)
        alive[goes] = False
        for s in state:
            s.remove(goes)
    return Removal(torch.tensor(order), cost)


def residual_along(readers: list[Reader], order: Tensor, ridge: float = LSQ_RIDGE) -> Tensor:
    """Cumulative least-squares residual when units go in a given order, indexed by unit.

    The same measure as `least_squares_order`'s cost, for an order that some other criterion
    has chosen: with `prices` it makes the layers of any criterion comparable.
    """
    state = [_Downdate(reader, len(order), ridge) for reader in readers]
    cost, total = torch.zeros(len(order), dtype=torch.float64), 0.0
    for unit in order.tolist():
        total += max(sum(float(s.residuals()[unit]) for s in state), 0.0)
        cost[unit] = total
        for s in state:
            s.remove(unit)
    return cost


def prices(removal: Removal) -> Tensor:
    """What each unit adds to the residual, in a form that one threshold can cut all groups by.

    Let r(n) be the residual when the first n units of the order have gone. Of all ways to take
    so many units from several groups, each in its order, the sum of the residuals is least where
    the next unit of every group would add the same. So the increments of r are the scores,
    once they rise along the order: where a dear unit stands before cheap ones, nobody would
    stop between them, and all of that stretch have its mean. These are the slopes of the
    greatest convex function below r (pool adjacent violators; Barlow et al. 1972).

    Parameters
    ----------
    removal : Removal
        With a cumulative cost, as from `least_squares_order`.

    Returns
    -------
    Tensor, shape (U,), float64
        Indexed by unit, rising along the order: by a rounding step at least, so that the
        order can be read off.

    Examples
    --------
    >>> order, cumulative = torch.tensor([1, 0, 2]), torch.tensor([4.0, 1.0, 6.0])
    >>> prices(Removal(order, cumulative)).tolist()
    [2.5, 1.0, 2.5]
    """
    cost = removal.cost[removal.order].double().cpu().numpy()
    runs: list[list[float]] = []  # [sum, length] of stretches with one mean
    for step in np.diff(cost, prepend=0):
        runs.append([float(step), 1])
        while len(runs) > 1 and runs[-2][0] * runs[-1][1] >= runs[-1][0] * runs[-2][1]:
            total, length = runs.pop()
            runs[-1] = [runs[-1][0] + total, runs[-1][1] + length]
    rising = np.concatenate([np.full(length, total / length) for total, length in runs])
    for at in range(1, len(rising)):
        rising[at] = max(rising[at], np.nextafter(rising[at - 1], np.inf))
    result = torch.empty(len(rising), dtype=torch.float64)
    result[removal.order.cpu()] = torch.from_numpy(rising)
    return result


def least_damage_order(readers: list[Reader], units: int) -> Removal:
    """Remove, one after the other, the unit whose going changes the next layers least.

    The weights of the units that stay are left alone. When the units of a set T go, a layer's
    output changes by the sum of their contributions, of squared norm ``sum over j, k in T of
    tr(W_j M_jk W_k^T)``, M being the second moment of what the layer reads (not centred). T
    grows by the unit that keeps this smallest. (ThiNet, Luo, Wu and Lin, ICCV 2017, eq. 6;
    `least_squares_order` answers the same question when the weights may be fitted anew.)

    Parameters
    ----------
    readers : list of Reader
        The layers that read the units. Their shares add up.
    units : int

    Returns
    -------
    Removal
        ``cost`` is the squared norm of what has gone so far as a share of the readers' energy.
        Contributions may cancel, so it can fall; where it would, the largest value so far
        is kept, and raised by one rounding step, so that the order can be read off.
    """
    pairs = torch.zeros(units, units, dtype=torch.float64)
    for reader in readers:
        moment = reader.gram + torch.outer(reader.mean, reader.mean)
        width = len(moment) // units
        joint = (moment * reader.outgoing).view(units, width, units, width).sum((1, 3)).cpu()
        pairs += joint / reader.energy if reader.energy > 0 else joint
    # What each unit would add: its own share, and twice what it has in common with T.
    adds = pairs.diagonal().clone()
    cost, order = torch.zeros(units, dtype=torch.float64), []
    alive = torch.ones(units, dtype=torch.bool)
    damage, level = 0.0, 0.0
    for _ in range(units):
        goes = int(adds.masked_fill(~alive, torch.inf).argmin())
        damage += float(adds[goes])
        level = max(damage, float(np.nextafter(level, np.inf)))
        cost[goes] = level
        order.append(goes)
        alive[goes] = False
        adds += 2 * pairs[goes]
    return Removal(torch.tensor(order), cost)


@torch.no_grad()
def activity(
    model: nn.Module, layout: Layout, data: Tensor, seed: int = 0, places: int = 8192
) -> dict[str, Tensor]:
    """On which side of its hyperplane each unit finds the calibration inputs.

    Parameters
    ----------
    model : torch.nn.Module
    layout : Layout
    data : Tensor, shape (N, ...)
    seed : int
        For the sample of inputs and positions.
    places : int
        Inputs and positions to look at for each layer that makes the units, at most.

    Returns
    -------
    dict of str to Tensor, shape (U, R), float32, on the CPU
        +1 where the unit's output, batch norm included, is > 0, -1 elsewhere; where several
        layers make a unit, their places follow one another. A unit that never changes has a
        row of zeros: it draws no boundary there.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in layout.groups}
    hooks = []

    def hook(group: str, indices: Tensor, sample: RowSample):
        def look(layer: nn.Module, _, output: Tensor) -> None:
            channels_first = output.ndim > 2 and not isinstance(layer, nn.Linear)
            seen = output.movedim(1, -1) if channels_first else output
            rows = sample.next(seen.shape[:-1]).to(seen.device)
            rows = seen.reshape(-1, seen.shape[-1])[rows]
            side = rows[:, indices.to(rows.device)] > 0  # (r, U, m)
            parts[group].append(side.transpose(0, 1).flatten(1).cpu())

        return look

    for name, group in layout.groups.items():
        for member in group.producers:
            behind = layout.batch_norms.get(member.module, member.module)
            sample = RowSample(len(data), places, seed)
            hooks.append((behind, hook(name, member.indices, sample)))
    observe(model, data, hooks)
    result = {}
    for name, found in parts.items():
        sides = torch.cat(found, 1)
        changes = (sides.any(1) & ~sides.all(1)).float()
        result[name] = (2 * sides.float() - 1) * changes[:, None]
    return result


class _Downdate:
    """Inverse Gram and outgoing weights of one reader while units are taken out."""

    def __init__(self, reader: Reader, units: int, ridge: float):
        self.width = len(reader.gram) // units
        self.energy = reader.energy
        # In proportion to each column's own variance, so that the scale of a unit does not
        # matter; a column that is always 0 gets next to nothing, and costs next to nothing.
        variance = reader.gram.diagonal()
        floor = 1e-12 * variance.max().clamp(min=1)
        gram = reader.gram + torch.diag((ridge * variance).clamp(min=floor))
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        self.outgoing = reader.outgoing.clone()

    def _blocks(self, matrix: Tensor) -> Tensor:
        """The diagonal (m, m) blocks, shape (U, m, m)."""
        units = len(matrix) // self.width
        grid = matrix.view(units, self.width, units, self.width)
        return grid.diagonal(dim1=0, dim2=2).permute(2, 0, 1)

    def residuals(self) -> Tensor:
        """Squared error of removing each unit, as a share of the energy, on the CPU."""
        inverse, outgoing = self._blocks(self.inverse), self._blocks(self.outgoing)
        if self.width == 1:
            error = outgoing.flatten() / inverse.flatten()
        else:
            error = torch.linalg.solve(inverse, outgoing).diagonal(dim1=1, dim2=2).sum(1)
        return (error / self.energy if self.energy > 0 else error * 0).cpu()

    def remove(self, unit: int) -> None:
        """Take a unit out: its columns become unreachable, the others' weights take over."""
        cut = slice(unit * self.width, (unit + 1) * self.width)
        inverse, outgoing = self.inverse[cut].clone(), self.outgoing[cut].clone()
        step = torch.linalg.solve(inverse[:, cut], inverse).T  # (U m, m)
        # W <- W - W_j step^T, so that W^T W loses step K + K^T step^T.
        half = outgoing - outgoing[:, cut] @ step.T / 2
        left, right = torch.cat([step, half.T], 1), torch.cat([half, step.T])
        self.outgoing.addmm_(left, right, alpha=-1)
        self.inverse.addmm_(step, inverse, alpha=-1)
        self.outgoing[cut], self.outgoing[:, cut] = 0, 0
        self.inverse[cut], self.inverse[:, cut] = 0, 0
        self.inverse[cut, cut].fill_diagonal_(1)
