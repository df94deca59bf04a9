"""Two recorded networks of one layout, and what is known of their values and differences.

Of every value of the first network and of the second, and of their difference, a range is known
for each of several boxes of inputs. The two must call the same functions in the same order, as a
network and its pruned version do; a value that has another shape in the second has no difference.
"""

import math
from collections.abc import Iterator

from ..network.graph import Graph, Node
from .maps import AffineMap, affine_map, alike, difference

# What a value can be of, and what coefficients can stand before.
FIRST, SECOND, CHANGE = 0, 1, 2


class Pair:
    """Two graphs, node by node.

    Attributes
    ----------
    graphs : (Graph, Graph)
    comparable : set of int
        Values that have one shape in both.
    terms : int
        Numbers in the largest value, so that no sum has more terms.
    """

    def __init__(self, first: Graph, second: Graph):
        self.graphs = first, second
        self.comparable = {i for i, shape in first.shapes.items() if second.shapes.get(i) == shape}
        self.nodes = list(zip(first.nodes, second.nodes, strict=True))
        self.needed = first.needed()
        self.terms = max(math.prod(s[1:]) for g in self.graphs for s in g.shapes.values())
        self.maps: dict[int, tuple[AffineMap, AffineMap]] = {}
        self.changed: dict[int, AffineMap | None] = {}
        self.alike: set[int] = set()
        for at, (one, two) in enumerate(self.nodes):
            if self.needed[at] and one.activation is None:
                dims = len(first.shapes[one.inputs[0]])
                maps = affine_map(one, dims), affine_map(two, dims)
                self.maps[at] = maps
                if alike(*maps):
                    self.alike.add(at)
                else:
                    self.changed[at] = difference(*maps)

    def steps(self) -> Iterator[tuple[int, Node, Node]]:
        """Position and nodes of what leads to the output or an activation, in order."""
        for at, (one, two) in enumerate(self.nodes):
            if self.needed[at]:
                yield at, one, two

    def shapes(self, kind: int) -> dict[int, tuple[int, ...]]:
        """Of the values of one kind, in the recorded run."""
        return self.graphs[1 if kind == SECOND else 0].shapes


def mismatch(first: Graph, second: Graph) -> str:
    """Why two graphs are not of one layout; empty where they are."""
    for one, two in zip(first.nodes, second.nodes, strict=False):
        if (one.name, one.inputs, one.outputs) != (two.name, two.inputs, two.outputs):
            return f"where the first calls {one.name!r}, the second calls {two.name!r}"
        if _kind(one) != _kind(two):
            return f"{one.name!r} bends at other places in the second network"
    if len(first.nodes) != len(second.nodes) or first.output != second.output:
        return f"they make {len(first.nodes)} and {len(second.nodes)} calls"
    return ""


def _kind(node: Node) -> tuple:
    phi = node.activation
    return () if phi is None else (phi.kind, phi.breakpoints, len(node.activation_inputs))
