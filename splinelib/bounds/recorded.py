"""Networks recorded in float64 for bounding."""

import torch
from torch import Tensor, nn

from ..errors import NotPiecewiseAffine
from ..network.graph import Graph
from ..network.modes import check_weights
from ..network.operations import where
from ..network.replica import replica
from ..network.trace import record
from .box import Box

OVERFLOW = (
    "the values of the network overflow on the box, so nothing can be bounded: take a smaller box, "
    "or look for weights that are far too large"
)

_APART = (
    "the network, run again function by function, gives other outputs, or does not keep the rows "
    "of a batch apart: make its forward a function of each input alone"
)


def recorded(model: nn.Module, box: Box) -> Graph:
    """The graph of a float64 copy, on the CPU, checked to be what the model computes.

    Raises
    ------
    NotPiecewiseAffine, TypeError, ValueError
        As `change_bound`.
    """
    check_weights(model)
    model = replica(model, in_float64)
    try:
        graph = record(model, box.range.low)
    except ValueError as error:
        raise ValueError(
            f"{error}. The box is read as (low, high) of shape (N, ...), a row for each box: "
            "give low[None] and high[None] for one"
        ) from error
    graph.check_output()
    for node, needed in zip(graph.nodes, graph.needed(), strict=True):
        for index in node.outputs:
            if needed and graph.shapes[index][:1] != (graph.rows,):
                raise NotPiecewiseAffine(
                    f"{where(node.module)}: {node.name!r} makes a value whose first dimension is "
                    "not that of the inputs, or holds several of each, which bounds do not follow. "
                    "Keep the inputs in the first dimension throughout (unflatten for a view that "
                    "joins it with others, movedim only between other dimensions)"
                )
            dtype = graph.dtypes[index]
            if dtype.is_floating_point and dtype != torch.float64:
                raise ValueError(
                    f"module {node.module!r} computes in {dtype} whatever its input is, which "
                    "bounds in float64 do not cover: take the cast out of its forward"
                )
    first = box.range.centre()[:1]
    # rows that are not all the same, and more of them than were recorded
    x = torch.cat(
        [first, box.range.low[:1], *(0.5 * first + 0.1 * i for i in range(1, graph.rows))]
    )
    model.eval()
    with torch.no_grad():
        truth = torch.cat([model(row.clone()) for row in x.split(1)])  # each by itself
        if not truth.isfinite().all():
            raise ValueError(OVERFLOW)
        try:
            output, one = graph.replay(x), graph.replay(x[:1])
        except (RuntimeError, LookupError, TypeError, ValueError) as error:
            raise NotPiecewiseAffine(f"{_APART} ({error})") from error
    same = output.shape == truth.shape and one.shape == truth[:1].shape
    if not same or not (torch.allclose(output, truth) and torch.allclose(one, truth[:1])):
        raise NotPiecewiseAffine(_APART)
    return graph


def in_float64(tensor: Tensor) -> Tensor:
    """A copy on the CPU, of numbers with a point in float64."""
    dtype = torch.float64 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True)
