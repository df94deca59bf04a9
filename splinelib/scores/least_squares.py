"""Which units can the others rebuild?

Units whose activation the other units can rebuild by least squares, weighted by what the next
layers do with it. Units are removed greedily, and the kept ones are asked again after each
removal.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..calibration.im2col import CHUNK, output_rows, patches, pixels, rows_shape, taps_first
from ..calibration.layer_maps import LayerMap, has_rows, warn_text
from ..calibration.moments import Moments
from ..calibration.observing import Call, Outputs, RowSample, observe, rows_needed
from ..channels.layout import Group, Layout
from ..errors import warn
from .downdate import Downdate
from .removal import Removal

# Ridge of the greedy removal, as a share of the variance of each column. On the digits
# MLP at 90 % removed, 1e-2 keeps about a point more than 1e-4; convolutions do not care.
LSQ_RIDGE = 1e-2
# Columns up to which the least-squares residual keeps all kernel taps apart.
MAX_COLUMNS = 1536


class Reader(NamedTuple):
    """What a layer that reads a group's units does with them, over calibration data.

    Of a grouped convolution it is one block.

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
        Variance of the layer's output, summed over its channels.
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
        An entry per group. A layer that reads no row of the calibration inputs is left out, and so,
        with a warning, is one that does not compute its weight times what it reads: it says nothing
        of the units. Each block of a grouped convolution is a reader of its own, whose energy is
        that of the whole layer. Where a layer reads more than `MAX_COLUMNS` columns of a group,
        the columns of one unit are taken as repeated observations of it, which leaves
        correlations between kernel taps out; those of heads of attention are kept apart.
    """
    modules = dict(model.named_modules())
    names = {member.module for group in layout.groups.values() for member in group.consumers}
    watched = {name: _Watch(modules[name], len(data), seed) for name in layout.order}
    watched = {name: watcher for name, watcher in watched.items() if name in names}
    for group in layout.groups.values():
        for member in group.consumers:
            watched[member.module].follow(group, member.indices)
    observe(
        model,
        data,
        [(name, each.look) for found in (watched, outputs or {}) for name, each in found.items()],
    )
    if unknown := [name for name, watcher in watched.items() if watcher.unknown]:
        warn(warn_text(unknown, "what they read is not looked at when units are judged"))
    return {
        name: [
            reader
            for member in group.consumers
            if watched[member.module].is_known
            for reader in watched[member.module].readers(name)
        ]
        for name, group in layout.groups.items()
    }


class _Watch:
    """Collects the moments of one layer's inputs for each group that it reads."""

    def __init__(self, layer: nn.Module, images: int, seed: int):
        self.layer, self.sample = layer, RowSample(images, rows_needed(layer), seed)
        self.columns: dict[str, Tensor] = {}  # (U, m), within a block
        self.heads: set[str] = set()
        self.moments: dict[str, list[Moments]] = {}  # one for each block
        self.output = Moments(products=False)
        self.map: LayerMap | None = None
        self.unknown = False

    @property
    def is_known(self) -> bool:
        """Whether rows were seen, and the layer is a linear map of all of them."""
        return self.map is not None and not self.unknown

    @property
    def blocks(self) -> int:
        return getattr(self.layer, "groups", 1)

    def follow(self, group: Group, indices: Tensor) -> None:
        self.columns[group.name] = indices.to(self.layer.weight.device)
        self.moments[group.name] = [Moments() for _ in range(self.blocks)]
        if group.heads:
            self.heads.add(group.name)

    def look(self, call: Call) -> None:
        if not has_rows(call.layer, call.output):
            self.unknown = True
            return
        rows = self.sample.next(rows_shape(call.layer, call.output), call.batch)
        if not len(rows) or self.unknown:
            return
        self.map = call.map()
        if self.map is None or getattr(self.map.layer, "groups", 1) != self.blocks:
            self.unknown = True
            return
        layer, inputs = self.map.layer, self.map.inputs
        self.output.add(output_rows(layer, call.output, rows))
        wide = [group for group in self.columns if self._is_wide(group)]
        narrow = [group for group in self.columns if group not in wide]
        if wide:
            values, counts = pixels(layer, inputs, rows)
            for group in wide:
                columns = self.columns[group].T
                size = max(1, CHUNK // columns.numel())
                for part, count in zip(values.split(size), counts.split(size), strict=True):
                    count = count.repeat_interleave(len(columns))
                    for block, moments in zip(self._parts(part), self.moments[group], strict=True):
                        observations = block[:, columns].flatten(0, 1)  # (p * m, U)
                        moments.add(observations, counts=count)
        if narrow:
            for patch in patches(layer, inputs, rows):
                for group in narrow:
                    for block, moments in zip(self._parts(patch), self.moments[group], strict=True):
                        moments.add(self._picked(block, group))

    def _parts(self, read: Tensor) -> tuple[Tensor, ...]:
        """What each block reads, of values (..., channels)."""
        return read.chunk(self.blocks, dim=-1)

    def _is_wide(self, group: str) -> bool:
        """Whether kernel taps and columns of one unit are taken as observations of it.

        Those of a head never are: each of its columns says something else.
        """
        if group in self.heads:
            return False
        taps = self.layer.weight[0, 0].numel()
        return self.columns[group].numel() * self.blocks * taps > MAX_COLUMNS

    def _picked(self, values: Tensor, group: str) -> Tensor:
        """(r, k, channels of a block) -> (r, k * U * m)."""
        return values[:, :, self.columns[group].flatten()].flatten(1)

    def readers(self, group: str) -> list[Reader]:
        """What each block does with the units."""
        weights = taps_first(self.map.layer.weight.double()).chunk(self.blocks)
        energy = self.output.variance().sum().item()
        return [
            self._reader(group, weight, moments, energy)
            for weight, moments in zip(weights, self.moments[group], strict=True)
        ]

    def _reader(self, group: str, weight: Tensor, moments: Moments, energy: float) -> Reader:
        units, width = self.columns[group].shape
        gram, mean = moments.covariance(), moments.mean
        if self._is_wide(group):
            weight = weight[:, :, self.columns[group].T].reshape(-1, units)
        else:
            # The columns of one unit side by side.
            order = torch.arange(gram.shape[0]).view(-1, units, width).transpose(0, 1).flatten()
            order = order.to(gram.device)
            weight = self._picked(weight, group)[:, order]
            gram, mean = gram[order][:, order], mean[order]
        return Reader(gram, mean, weight.T @ weight, energy)


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
    state = [Downdate(r.gram, r.outgoing, r.energy, units, ridge) for r in readers]
    alive = torch.ones(units, dtype=torch.bool)
    cost, order, total = torch.zeros(units, dtype=torch.float64), [], 0.0
    for _ in range(units):
        residual = sum(s.residuals() for s in state) if state else torch.zeros(units)
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
    state = [Downdate(r.gram, r.outgoing, r.energy, len(order), ridge) for r in readers]
    cost, total = torch.zeros(len(order), dtype=torch.float64), 0.0
    for unit in order.tolist():
        total += max(sum(float(s.residuals()[unit]) for s in state), 0.0)
        cost[unit] = total
        for s in state:
            s.remove(unit)
    return cost


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
