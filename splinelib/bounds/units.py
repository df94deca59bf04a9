"""What is proven of the units of each layer in a box: always on, always off, or neither."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..network.layers import layers_of
from ..network.surroundings import undisturbed
from .box import Box
from .forwards import walk
from .pair import FIRST, Pair
from .recorded import recorded
from .state import State

UNITS = 256  # pre-activations that are bounded backwards; others by intervals


@dataclass(frozen=True)
class UnitBounds:
    """Bounds of the pre-activations of one layer on each box.

    Attributes
    ----------
    name, kind : str
        Of the layer, as `spline_layers` has it, and of its activation.
    breakpoints : tuple of float
        Where the activation bends; empty for max-pooling.
    low, high : Tensor of float64, shape (N, *unit_shape)
        No pre-activation leaves this range anywhere in the box.
    """

    name: str
    kind: str
    breakpoints: tuple[float, ...]
    low: Tensor = field(repr=False)
    high: Tensor = field(repr=False)

    @property
    def on(self) -> Tensor:
        """Units that are on the last piece all over the box, bool, (N, *unit_shape)."""
        if not self.breakpoints:
            return torch.zeros_like(self.low, dtype=torch.bool)
        return self.low >= self.breakpoints[-1]

    @property
    def off(self) -> Tensor:
        """Units that are on the first piece all over the box; one that is on as well is not off."""
        if not self.breakpoints:
            return torch.zeros_like(self.low, dtype=torch.bool)
        return (self.high <= self.breakpoints[0]) & ~self.on

    @property
    def unstable(self) -> Tensor:
        """Units of which neither is proven."""
        return ~(self.on | self.off)


@undisturbed("model")
def unit_bounds(
    model: nn.Module, box: tuple[Tensor, Tensor], *, units: int = UNITS
) -> tuple[UnitBounds, ...]:
    """Bounds of all pre-activations of a network on boxes of inputs.

    Parameters
    ----------
    model : torch.nn.Module
    box : (Tensor, Tensor)
    units : int
        As for `change_bound`.

    Returns
    -------
    tuple of UnitBounds
        In order of execution.

    Raises
    ------
    NotPiecewiseAffine, TypeError, ValueError
        As `change_bound`.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU())
    >>> net[0].weight.data[:], net[0].bias.data[:] = torch.tensor([[1.0], [-1.0]]), 0.0
    >>> layer = unit_bounds(net, (torch.tensor([0.5]), torch.tensor([1.0])))[0]
    >>> layer.on.tolist(), layer.off.tolist()
    ([[True, False]], [[False, True]])
    """
    return of_state(bounded(model, Box.checked(box), units), FIRST)


def bounded(model: nn.Module, box: Box, units: int) -> State:
    """Ranges of all values of one network; errors as for `unit_bounds`."""
    graph = recorded(model, box)
    with torch.no_grad():
        return walk(Pair(graph, graph), box, units, (FIRST,))


def of_state(state: State, kind: int) -> tuple[UnitBounds, ...]:
    """What has been found of the units of one of two networks."""
    graph = state.pair.graphs[kind]
    found = []
    for layer in layers_of(graph):
        z = state.compared(layer.node, kind)
        phi = layer.node.activation
        found.append(UnitBounds(layer.name, phi.kind, phi.breakpoints, z.low, z.high))
    return tuple(found)
