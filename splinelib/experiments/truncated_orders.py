"""Orders of removal in which units are compared along some directions of a metric only."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..calibration.implied import implied_reads
from ..calibration.implied_moments import Implied
from ..calibration.moments import wide
from ..channels.layout import Group
from ..network.layers import spline_layers
from ..randomness import generator_of
from ..scores.context import Context
from ..scores.hyperplanes import RHO, canonical, redundancy_order
from ..scores.removal import Removal
from ..scores.truncation import in_metric

METRICS = ("identity", "implied", "data")
DIRECTIONS = ("leading", "trailing", "random")
# Lines drawn by lot in place of the network's, which no metric is about.
LOT = "by lot"
# Which unit of a close pair goes: the one that bends the function less, or a lot decides.
GOES = ("weaker", "either")


@dataclass(frozen=True)
class Order:
    """How the lines of a layer are compared, and which of a close pair goes.

    Attributes
    ----------
    metric : str
        One of `METRICS`, or `LOT`.
    directions : str
        Of `DIRECTIONS`, or `LOT`.
    components : int
        Directions kept; more than there are keep all.
    goes : str
        One of `GOES`.
    """

    metric: str
    directions: str
    components: int
    goes: str


Hyperplanes = tuple[Tensor, Tensor, Tensor]


def hyperplanes_in(context: Context, group: Group, metric: Tensor | None) -> Hyperplanes:
    """Rows of length 1 and offsets of a group in a metric, and the lengths of its normals.

    In the identity (None) the offsets stand beside the normals, in units of their root mean square,
    as in the criterion `spline`; in another metric they are the last column of the rows.
    """
    normals, offsets = (value.double() for value in context.hyperplanes(group))
    length = wide(normals).norm(dim=1)
    if metric is not None:
        rows = in_metric(torch.cat([normals, offsets[:, None]], 1), metric)
        unit, offset = canonical(rows, torch.zeros_like(offsets))
        return unit, offset, length
    unit, offset = canonical(normals, offsets)
    spread = offset.square().mean().sqrt()
    return unit, offset / spread if spread > 0 else offset, length


def removal(given: Hyperplanes, order: Order, seed: int) -> Removal:
    """The greedy removal of the closest lines, as some directions show them."""
    unit, offset, length = given
    generator = generator_of(seed)
    strength = length
    if order.goes == "either":
        strength = torch.rand(len(unit), generator=generator, dtype=length.dtype)
    if order.directions == LOT:
        shown = torch.randn(unit.shape, generator=generator, dtype=unit.dtype)
        offset = torch.zeros_like(offset)
    else:
        shown = along(unit, order.directions, order.components, generator)
    # `redundancy_order` divides offsets by the norm of the normals; these are scaled already.
    return redundancy_order(shown, offset * shown.norm(dim=1), RHO, strength)


def along(unit: Tensor, directions: str, components: int, generator: torch.Generator) -> Tensor:
    """Coordinates of unit normals along some directions; of too many, along all."""
    if components >= min(unit.shape):
        return unit
    if directions == "random":
        shape = unit.shape[1], components
        return unit @ torch.randn(shape, generator=generator, dtype=unit.dtype)
    left, values, _ = torch.linalg.svd(unit, full_matrices=False)
    whole = left * values
    return whole[:, :components] if directions == "leading" else whole[:, -components:]


@torch.no_grad()
def moments(model: nn.Module, inputs: Tensor, metric: str) -> dict[str, Tensor | None]:
    """Second moments of what each layer of a perceptron reads, a constant input of 1 the last.

    Parameters
    ----------
    model : torch.nn.Module
        Linear layers with ReLUs between them.
    inputs : Tensor, shape (N, ...)
    metric : str
        One of `METRICS`: ``"identity"`` gives None for each layer, ``"implied"`` what the weights
        say of it without an input, ``"data"`` what the layer reads on these inputs.
    """
    layers = spline_layers(model, inputs[:1])
    if metric == "identity":
        return {layer.name: None for layer in layers}
    if metric == "implied":
        reads = implied_reads(model, inputs[:1])
        return {layer.name: _of_implied(reads[layer.name]) for layer in layers}
    found, read = {}, inputs.flatten(1).double()
    for layer in layers:
        known = torch.cat([read, read.new_ones(len(read), 1)], 1)
        found[layer.name] = known.T @ known / len(known)
        normals, offsets = (value.double() for value in layer.hyperplanes())
        read = (read @ normals.T + offsets).relu()
    return found


def _of_implied(read: Implied) -> Tensor:
    """With a constant input; the columns of one channel, behind a flatten, are uncorrelated."""
    places = torch.eye(read.repeat, dtype=torch.float64)
    pair = (places, read.covariance) if read.by_place else (read.covariance, places)
    covariance = torch.kron(*(matrix.contiguous() for matrix in pair))
    columns = read.channels(torch.arange(len(covariance)))
    mean = torch.cat([read.mean[columns], read.mean.new_ones(1)])
    return nn.functional.pad(covariance, (0, 1, 0, 1)) + mean.outer(mean)
