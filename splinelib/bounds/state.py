"""What is known of a pair of networks on several boxes, value by value."""

import torch
from torch import Tensor

from ..network.graph import Node, Value
from .box import Box
from .pair import CHANGE, Pair
from .ranges import EPS, Range
from .relaxation import Planes
from .twins import Twins


class State:
    """Ranges of the values of two networks, and what they imply.

    Attributes
    ----------
    pair : Pair
    box : Box
        B boxes.
    kinds : tuple of int
        Of what ranges are kept: `FIRST`, `SECOND`, `CHANGE`, or some of them.
    networks : list of int
        The first two, as far as they are among them.
    ranges : tuple of three dicts of int to Range
        Of each kind, by value.
    sizes : tuple of three dicts of int to Tensor
        Bounds of the terms that a value is a sum of.
    constants : dict of (int, int) to dict of int to Tensor
        What the map of a node and a kind gives at zero, by value.
    planes : dict of (int, int) to Planes
        By node and kind, what bounds an activation.
    twins : dict of int to Twins
        By node.
    unit : float
        `unit_of` the longest sums that there are.
    """

    def __init__(self, pair: Pair, box: Box, kinds: tuple[int, ...]):
        self.pair, self.box, self.kinds = pair, box, kinds
        self.networks = [kind for kind in kinds if kind != CHANGE]
        zero = torch.zeros_like(box.range.low)
        self.ranges: tuple[dict[int, Range], ...] = (
            {0: box.range},
            {0: box.range},
            {0: Range(zero, zero)},
        )
        self.sizes: tuple[dict[int, Tensor], ...] = ({}, {}, {})
        self.constants: dict[tuple[int, int], dict[int, Tensor]] = {}
        self.planes: dict[tuple[int, int], Planes] = {}
        self.twins: dict[int, Twins] = {}
        self.unit = self.unit_of(pair.terms)

    def unit_of(self, terms: int) -> float:
        """How far rounding may take sums of so many terms, relative to the terms' sizes."""
        return self.terms_with(terms) * EPS

    def terms_with(self, terms: int) -> float:
        """How many roundings sums of so many terms are charged with."""
        return (terms + 2 * len(self.pair.nodes) + 64) * 1.01

    def passes(self, at: int) -> bool:
        """Whether differences go through an affine node as differences."""
        known = at in self.pair.alike or self.pair.changed.get(at) is not None
        return known and all(i in self.ranges[CHANGE] for i in self.pair.maps[at][1].inputs)

    def operand(self, item: Value | Tensor, kind: int) -> Range:
        """Of one operand of an activation, a constant one included."""
        return self.ranges[kind][item.index] if isinstance(item, Value) else Range(item, item)

    def compared(self, node: Node, kind: int) -> Range:
        """Of what an activation compares with its breakpoints."""
        found = [self.operand(item, kind) for item in node.activation_inputs]
        return found[0].minus(found[1]) if len(found) == 2 else found[0]

    def operand_changes(self, one: Node, two: Node) -> list[Range] | None:
        """Of each operand of an activation, how it changes; None where shapes differ."""
        found = []
        for a, b in zip(one.activation_inputs, two.activation_inputs, strict=True):
            if isinstance(a, Value):
                found.append(self.ranges[CHANGE].get(a.index))
            else:
                found.append(Range(b, b).minus(Range(a, a)) if a.shape == b.shape else None)
        return None if None in found else found


def difference_of(changes: list[Range]) -> Range:
    """How what an activation compares with its breakpoints changes."""
    return changes[0].minus(changes[1]) if len(changes) == 2 else changes[0]
