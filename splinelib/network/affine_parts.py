"""A value of a recorded run as an affine map of what the layers below it read.

Weights and offsets are collected backwards from the value, through batch norm and sums, down to the
nearest convolutions and linear layers.
"""

import torch
from torch import Tensor

from .activations import argument
from .graph import Graph

_LINEAR = {"linear", "conv1d", "conv2d", "conv3d"}
_SAME = {"dropout", "dropout1d", "dropout2d", "dropout3d", "contiguous", "clone", "alpha_dropout"}


def affine_parts(graph: Graph, value: int, units: int) -> tuple[list[Tensor], Tensor]:
    """Weights (a list of (U, F) blocks) and offset (U,) of a value as a map of what is below."""
    node = graph.maker.get(value)
    name = node.name if node else ""
    if name in _LINEAR:
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
    if name == "batch_norm":
        mean, variance, gamma, beta = (
            argument(node.args, node.kwargs, i, n)
            for i, n in enumerate(("running_mean", "running_var", "weight", "bias"), start=1)
        )
        eps = argument(node.args, node.kwargs, 7, "eps", 1e-5)
        scale = torch.rsqrt(variance + eps)
        scale = scale if gamma is None else scale * gamma.detach()
        parts, offset = affine_parts(graph, node.inputs[0], units)
        shift = -mean * scale if beta is None else beta.detach() - mean * scale
        return [p * scale[:, None] for p in parts], offset * scale + shift
    if name in {"add", "radd", "sub"} and len(node.inputs) == 2:
        (left, a), (right, b) = (affine_parts(graph, i, units) for i in node.inputs)
        if name == "sub":
            right, b = [-p for p in right], -b
        return left + right, a + b
    if name in _SAME:
        return affine_parts(graph, node.inputs[0], units)
    reference = argument(node.args, node.kwargs, 1, "weight") if node else None
    device = reference.device if isinstance(reference, Tensor) else None
    return [torch.eye(units, device=device)], torch.zeros(units, device=device)


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
    if node.inputs and node.name in _SAME | {"add", "radd", "sub"}:
        return maker_name(graph, node.inputs[0])
    return node.module or node.name
