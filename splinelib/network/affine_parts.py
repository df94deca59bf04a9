"""A value of a recorded run as an affine map of what the layers below it read.

Weights and offsets are collected backwards from the value, through batch norm and sums, down to the
nearest convolutions and linear layers.
"""

import torch
from torch import Tensor

from .activations import argument
from .graph import Graph, Node, Value

_LINEAR = {"linear", "conv1d", "conv2d", "conv3d"}
_SAME = {"dropout", "dropout1d", "dropout2d", "dropout3d", "contiguous", "clone", "alpha_dropout"}
_SUMS = {"add", "radd", "sub"}


def affine_parts(
    graph: Graph, value: int, units: int, axis: int | None = None
) -> tuple[list[Tensor], Tensor]:
    """Weights (a list of (U, F) blocks) and offset (U,) of a value as a map of what is below.

    Parameters
    ----------
    graph : Graph
    value : int
    units : int
        Its size along `axis`.
    axis : int, optional
        Which the units lie along, counted from the last one, which is -1; `unit_axis` if not given.
        A layer that makes units along another axis is not read: its value enters as it is.
    """
    axis = unit_axis(graph, value) if axis is None else axis
    node, second = graph.maker.get(value), 1 - len(graph.shapes[value])
    name = node.name if node else ""
    if name in _LINEAR and axis == (-1 if name == "linear" else second):
        weight = argument(node.args, node.kwargs, 1, "weight").detach()
        bias = argument(node.args, node.kwargs, 2, "bias")
        groups = argument(node.args, node.kwargs, 6, "groups", 1) if name != "linear" else 1
        if isinstance(weight, Tensor) and weight.shape[0] == units:
            rows = weight.reshape(units, -1)
            if groups > 1:
                fan, each = rows.shape[1], units // groups
                wide = rows.new_zeros(units, fan * groups)
                columns = torch.arange(units, device=rows.device) // each * fan
                columns = columns[:, None] + torch.arange(fan, device=rows.device)
                rows = wide.scatter_(1, columns, rows)
            offset = rows.new_zeros(units) if bias is None else bias.detach()
            return [rows], offset
    if name == "batch_norm" and axis == second:
        return _normalised(graph, node, units, axis)
    terms = _terms(node) if name in _SUMS else []
    if terms and all(isinstance(item, Value) for item, _ in terms):
        (left, a), (right, b) = (_term(graph, units, axis, *term) for term in terms)
        return left + right, a + b
    if name in _SAME:
        return affine_parts(graph, node.inputs[0], units, axis)
    device = _device(node)
    return [torch.eye(units, device=device)], torch.zeros(units, device=device)


def _normalised(graph: Graph, node: Node, units: int, axis: int) -> tuple[list[Tensor], Tensor]:
    """`affine_parts` of what batch norm makes."""
    mean, variance, gamma, beta = (
        argument(node.args, node.kwargs, i, n)
        for i, n in enumerate(("running_mean", "running_var", "weight", "bias"), start=1)
    )
    scale = torch.rsqrt(variance + argument(node.args, node.kwargs, 7, "eps", 1e-5))
    scale = scale if gamma is None else scale * gamma.detach()
    parts, offset = affine_parts(graph, node.inputs[0], units, axis)
    shift = -mean * scale if beta is None else beta.detach() - mean * scale
    return [p * scale[:, None] for p in parts], offset * scale + shift


def _operands(node: Node) -> list[int]:
    """The values that a sum, or what leaves its input as it is, is made of, the first first."""
    items = (argument(node.args, node.kwargs, i, n) for i, n in enumerate(("input", "other")))
    return [item.index for item in items if isinstance(item, Value)]


def _terms(node: Node) -> list[tuple]:
    """The two operands of a sum or a difference, each with the factor that stands before it."""
    sign, factor = -1 if node.name == "sub" else 1, node.kwargs.get("alpha", 1)
    one, two = (argument(node.args, node.kwargs, i, n) for i, n in enumerate(("input", "other")))
    return [(one, 1), (two, sign * factor)]


def _term(
    graph: Graph, units: int, axis: int, item: Value, factor: float
) -> tuple[list[Tensor], Tensor]:
    """`affine_parts` of a term of a sum, which may be one number for all units."""
    shape = graph.shapes[item.index]
    if units > 1 and (len(shape) < -axis or shape[axis] == 1):
        device = _device(graph.maker.get(item.index))
        parts, offset = [torch.ones(units, 1, device=device)], torch.zeros(units, device=device)
    else:
        parts, offset = affine_parts(graph, item.index, units, axis)
    return [part * factor for part in parts], offset * factor


def _device(node: Node | None):
    reference = argument(node.args, node.kwargs, 1, "weight") if node else None
    return reference.device if isinstance(reference, Tensor) else None


def unit_axis(graph: Graph, value: int) -> int:
    """The axis of a value that its units lie along, counted from the last one, which is -1.

    Of a linear layer it is the last one, else the second. Dropout leaves it where it is, and a sum
    where it is in the first of its terms that has the sum's shape.
    """
    node, shape = graph.maker.get(value), graph.shapes[value]
    if node is not None and node.name == "linear":
        return -1
    if node is not None and node.name in _SAME | _SUMS:
        first = next((i for i in _operands(node) if graph.shapes[i] == shape), None)
        if first is not None:
            return unit_axis(graph, first)
    return min(1 - len(shape), -1)


def maker_name(graph: Graph, value: int) -> str:
    """Name of the module that made a value: its layer, behind a batch norm as well."""
    node = graph.maker.get(value)
    if node is None:
        return "input"
    if node.name in _LINEAR:
        return node.module or node.name
    if node.name == "batch_norm":
        below = graph.maker.get(node.inputs[0])
        while below is not None and below.name in _SAME:
            below = graph.maker.get(below.inputs[0])
        if below is not None and below.name in _LINEAR:
            return below.module or below.name
        return node.module or node.name
    if node.name in _SAME | _SUMS:
        return maker_name(graph, _operands(node)[0])
    return node.module or node.name
