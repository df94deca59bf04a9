"""The exact difference of two networks on a rectangle of a plane.

Both networks are affine on each cell of the common refinement of their partitions, and so is
their difference. An affine function on a convex polygon is largest at a corner, so the largest
change over the whole rectangle is found at the vertices of the refinement: no sampling. One
module that runs both networks on the same input is piecewise affine itself, and its partition
is that refinement.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..network.outputs import as_rows
from ..network.replica import replica
from ..network.surroundings import undisturbed
from .limits import MAX_REGIONS
from .partition import Partition, partition
from .plane import Plane


@dataclass(frozen=True)
class Difference:
    """How far two networks are apart on a rectangle of a plane.

    Attributes
    ----------
    largest : float
        The largest absolute change of any output, anywhere in the rectangle.
    output : int
        The output that changes so much, as an index into the flattened outputs.
    where : ndarray of float64, shape (2,)
        Where it does, in plane coordinates.
    before, after : ndarray of float64, shape (C,)
        Outputs of the first and of the second network at that place.
    change : ndarray of float64, shape (V, C)
        Second network minus first at the vertices of the refinement. Any convex measure of the
        change (a norm, a margin between two outputs) is largest at one of them.
    refinement : Partition
        Regions on which both networks are affine. Its layers are called ``first.*`` and
        ``second.*`` after the network that they belong to.
    """

    largest: float
    output: int
    where: np.ndarray
    before: np.ndarray
    after: np.ndarray
    change: np.ndarray
    refinement: Partition

    def __repr__(self) -> str:
        u, v = self.where
        return (
            f"Difference(largest={self.largest:.6g} in output {self.output} at ({u:.6g}, {v:.6g}), "
            f"{len(self.refinement)} regions)"
        )


class _Both(nn.Module):
    """Two networks on one input, outputs side by side."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        # What both have in common would have the name of the first only.
        self.first, self.second = first, replica(second)

    def forward(self, x: Tensor) -> Tensor:
        # Each gets an input of its own: the first may begin with an operation in place.
        first, second = as_rows(self.first(x.clone())), as_rows(self.second(x.clone()))
        if first.shape[1] != second.shape[1]:
            raise ValueError(
                f"the networks have {first.shape[1]} and {second.shape[1]} outputs: only "
                "networks with the same outputs can be compared"
            )
        return torch.cat([first, second], 1)


@undisturbed()
def difference(
    model: nn.Module,
    other: nn.Module,
    domain=((-1, 1), (-1, 1)),
    plane: Plane | None = None,
    max_regions: int = MAX_REGIONS,
) -> Difference:
    """The exact largest change of the outputs from one network to another.

    Parameters
    ----------
    model, other : torch.nn.Module
        Piecewise affine, as `partition` takes them, with the same inputs and outputs: a dense
        network and its pruned version, for instance. Both are left as they are.
    domain : ((float, float), (float, float))
        Range of the two plane coordinates.
    plane : Plane or None
        None for networks of two inputs.
    max_regions : int
        Refuse to make more regions in the common refinement.

    Returns
    -------
    Difference

    Raises
    ------
    TypeError
        If either is not a module.
    ValueError
        If the networks have different numbers of outputs, or as for `partition`.
    NotPiecewiseAffine, UndecidablePartition, RegionLimitExceeded
        As for `partition`.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> pruned = sl.prune(net, 0.5, example=torch.zeros(1, 2))
    >>> bool(sl.difference(net, pruned).largest > 0)
    True
    >>> sl.difference(net, net).largest < 1e-12
    True
    """
    for network in (model, other):
        if not isinstance(network, nn.Module):
            raise TypeError(
                f"difference compares two torch.nn.Modules, not a {type(network).__name__}"
            )
    refinement = partition(_Both(model, other), domain, plane, max_regions)
    before, after = np.split(refinement.outputs, 2, axis=1)
    change = after - before
    vertex, output = np.unravel_index(np.abs(change).argmax(), change.shape)
    return Difference(
        largest=float(abs(change[vertex, output])),
        output=int(output),
        where=refinement.vertices[vertex].copy(),
        before=before[vertex].copy(),
        after=after[vertex].copy(),
        change=change,
        refinement=refinement,
    )
