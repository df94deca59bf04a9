"""What a box decides: units that keep to one piece of their activation, and what is silent."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bounds.pair import FIRST
from ..bounds.ranges import Range
from ..bounds.state import State
from ..calibration.layer_maps import is_plain
from ..channels.axes import channels_read
from ..channels.layout import Group, Layout
from ..network.graph import Graph, Node, Value
from ..network.layers import layers_of

_LAYERS = {"linear", "conv1d", "conv2d", "conv3d"}
_LAYERS |= {f"conv_transpose{dims}d" for dims in (1, 2, 3)}


@dataclass(frozen=True)
class Pieces:
    """On which piece of their activation the units of a layer are, all over the box.

    A unit of a convolution is a channel, on a piece if it is there at all positions.

    Attributes
    ----------
    known : bool Tensor, shape (U,)
    slopes, intercepts : Tensor of float64, shape (U,)
        Of the piece: ``slope * z + intercept``; of no meaning where it is not known.
    """

    known: Tensor
    slopes: Tensor
    intercepts: Tensor

    @property
    def flat(self) -> Tensor:
        """Units that are constant."""
        return self.known & (self.slopes == 0)

    @property
    def linear(self) -> Tensor:
        """Units that are affine, and not constant."""
        return self.known & (self.slopes != 0)


@dataclass(frozen=True)
class LinearPair:
    """Two plain linear layers between which there is one activation and nothing else.

    Attributes
    ----------
    group, producer, consumer : str
        Of the units; the layer whose rows they are, and the one whose columns they are.
    read, made : int
        Values: what the first layer reads, and what the second makes.
    node : Node
        The activation.
    pieces : Pieces
    """

    group: str
    producer: str
    consumer: str
    read: int
    made: int
    node: Node
    pieces: Pieces


def layer_pieces(state: State) -> Iterator[tuple[str, str, Pieces]]:
    """Of each spline layer that compares with breakpoints, its name, its maker, and its pieces.

    The maker is the convolution or linear layer whose channels its units are, or one of several
    that are added; empty where there is none.
    """
    graph = state.pair.graphs[FIRST]
    for layer in layers_of(graph):
        if layer.node.activation.breakpoints:
            pieces = _pieces(state, layer.node)
            yield layer.name, _maker(graph, layer.node, len(pieces.known)), pieces


def _maker(graph: Graph, node: Node, units: int) -> str:
    while node is not None and node.name not in _LAYERS:
        node = graph.maker.get(node.inputs[0])
    if node is None or graph.shapes[node.outputs[0]][-1 if node.name == "linear" else 1] != units:
        return ""
    return node.module


def _pieces(state: State, node: Node) -> Pieces:
    z, phi = state.compared(node, FIRST), node.activation
    ends = [-torch.inf, *phi.breakpoints, torch.inf]
    piece = torch.full_like(z.low, -1)
    slope = torch.zeros_like(z.low)
    for at, own in enumerate(phi.slopes):
        here = (piece < 0) & (z.low >= ends[at]) & (z.high <= ends[at + 1])
        piece = torch.where(here, at, piece)
        slope = torch.where(here, torch.as_tensor(own, dtype=slope.dtype), slope)
    middle = z.centre()
    operands = [middle] * len(node.activation_inputs)
    intercept = phi.call(*operands) - slope * middle
    maker = state.pair.graphs[FIRST].maker.get(node.inputs[0])
    dim = -1 if maker is not None and maker.name == "linear" else min(1, z.low.dim() - 1)
    rows = [t.movedim(dim, 0).flatten(1) for t in (piece, slope, intercept)]
    piece, slope, intercept = rows
    known = (piece == piece[:, :1]).all(1) & (piece[:, 0] >= 0)
    known &= (slope == slope[:, :1]).all(1)
    return Pieces(known, slope[:, 0], intercept[:, 0])


def silent_units(state: State, layout: Layout, model: nn.Module) -> dict[str, Tensor]:
    """By group, the units of which every layer reads zeros only, all over the box, bool (U,)."""
    modules, graph = dict(model.named_modules()), state.pair.graphs[FIRST]
    found = {}
    for group in layout.groups.values():
        readers = [m for m in group.members if m.role == "in"]
        silent = torch.full((group.units,), bool(readers))
        for member in readers:
            node = _run_of(graph, member.module)
            if node is None:
                silent[:] = False
                break
            zero = _zero_channels(state.ranges[FIRST][node.inputs[0]], node.name == "linear")
            silent &= zero[channels_read(modules[member.module], member.indices)].all(1)
        found[group.name] = silent
    return found


def _zero_channels(read: Range, last: bool) -> Tensor:
    largest = read.largest().movedim(-1 if last else 1, 0)
    return (largest.flatten(1) == 0).all(1)


def _run_of(graph: Graph, module: str) -> Node | None:
    """The one call of a layer; None where there is none, or several."""
    runs = [n for n in graph.nodes if n.module == module and n.name in _LAYERS]
    return runs[0] if len(runs) == 1 and runs[0].inputs else None


def linear_pairs(state: State, layout: Layout, model: nn.Module) -> list[LinearPair]:
    """All pairs of linear layers with an activation between them, in order of execution."""
    modules, graph = dict(model.named_modules()), state.pair.graphs[FIRST]
    found = (_pair(state, graph, group, modules) for group in layout.groups.values())
    return [pair for pair in found if pair is not None]


def _pair(state: State, graph: Graph, group: Group, modules: dict) -> LinearPair | None:
    sides = [
        (m.role, m.module) for m in group.members if not isinstance(modules[m.module], nn.PReLU)
    ]
    if sorted(role for role, _ in sides) != ["in", "out"]:
        return None
    producer, consumer = dict(sides)["out"], dict(sides)["in"]
    layers = [modules[name] for name in (producer, consumer)]
    whole = len(layers[0].weight) == group.units == layers[1].weight.shape[1]
    if not (whole and all(isinstance(m, nn.Linear) and is_plain(m) for m in layers)):
        return None
    made, read = _run_of(graph, producer), _run_of(graph, consumer)
    if made is None or read is None:
        return None
    node = graph.maker.get(_before_dropout(graph, read.inputs[0]))
    if node is None or node.activation is None or node.composed or not node.activation.breakpoints:
        return None
    operands = node.activation_inputs
    if len(operands) != 1 or not isinstance(operands[0], Value):
        return None
    if operands[0].index != made.outputs[0] or len(graph.shapes[made.outputs[0]]) != 2:
        return None
    ends = made.inputs[0], read.outputs[0]
    return LinearPair(group.name, producer, consumer, *ends, node, _pieces(state, node))


def _before_dropout(graph: Graph, value: int) -> int:
    """The value that a dropout, which does nothing in evaluation mode, was given."""
    node = graph.maker.get(value)
    while node is not None and "dropout" in node.name:
        value = node.inputs[0]
        node = graph.maker.get(value)
    return value
