"""A recorded network run on a whole rectangle of a plane at once.

On the rectangle every value inside the network is a constant plus a combination of a few basis
functions: the two coordinates, and the output of each unit that bends there. Of a convolution's
tens of thousands of units few do; all others are affine in those that came before. So a value is
kept as its coefficients, which go through the network's layers like a few more inputs, and only
the basis functions are kept at the vertices. Where a unit's sign is the same all over the
rectangle is decided from bounds first, and at the vertices only where those do not tell.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ..errors import NotPiecewiseAffine
from ..network.graph import Graph, Node
from ..network.operations import where
from ..network.outputs import as_rows
from .affine_layers import apply_affine
from .cell_codes import LayerCode
from .mesh import Mesh
from .plane import Plane
from .pointwise import apply_pointwise
from .pooling import apply_pooling
from .state import State


def propagate(
    graph: Graph, mesh: Mesh, plane: Plane, max_regions: int
) -> tuple[np.ndarray, np.ndarray, list[LayerCode]]:
    """Cut a mesh until a network is affine on every cell.

    Parameters
    ----------
    graph : Graph
        The recorded network, in float64 and piecewise affine.
    mesh : Mesh
        A rectangle of one cell, in plane coordinates; it is cut in place.
    plane : Plane
    max_regions : int
        Refuse to make more cells.

    Returns
    -------
    outputs : ndarray of float64, shape (V, C)
        The network's flattened output at the vertices.
    sizes : ndarray of float64, shape (C,)
        Bounds of the absolute values of the terms that each output sums, for tolerances.
    codes : list of LayerCode
        One for each layer with an activation, on the final cells.

    Raises
    ------
    UndecidablePartition, RegionLimitExceeded
    """
    state = State(mesh, plane, max_regions)
    last_use = graph.last_use()
    for position, (node, needed) in enumerate(zip(graph.nodes, graph.needed(), strict=True)):
        dead = [i for i in node.inputs if last_use.get(i, -1) <= position]
        if needed:
            _apply(state, node, dead)
        for index in [i for i in state.values if last_use.get(i, -1) <= position]:
            del state.values[index]
    _spread_codes(state)
    outputs = state.values[graph.output]
    values = state.basis.evaluate(outputs.functions, outputs.flat_rows())
    return values, outputs.flat_size(), state.codes


def _apply(state: State, node: Node, dead: list[int]) -> None:
    """Compute what a node makes."""
    with row_by_row(node):
        if node.activation is None:
            apply_affine(state, node)
        elif node.activation.pool:
            apply_pooling(state, node)
        else:
            apply_pointwise(state, node, dead)


@contextlib.contextmanager
def row_by_row(node: Node) -> Iterator[None]:
    """What torch cannot compute for some rows alone is refused, naming the node and its module."""
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError) as error:
        raise NotPiecewiseAffine(
            f"{where(node.module)}: {node.name!r} cannot be computed for each input by itself: it "
            "mixes or moves the rows of a batch, or depends on their number. Keep the inputs in "
            f"the first dimension throughout ({error})"
        ) from error


def check_precision(model: nn.Module) -> None:
    """Refuse a model in half precision, which rounds what it computes so much that lines move.

    Raises
    ------
    ValueError
    """
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters()):
        raise ValueError("a half-precision model: take its float32 original instead")


def check_outputs(
    model: nn.Module, plane: Plane, mesh: Mesh, outputs: np.ndarray, sizes: np.ndarray
) -> None:
    """Refuse outputs that are not the network's, at some vertices.

    Raises
    ------
    NotPiecewiseAffine
        If they are not: something happened in the model that was not recorded.
    """
    some = np.unique(np.linspace(0, len(mesh.xy) - 1, 16).astype(int))
    truth = as_rows(model(plane(mesh.xy[some]))).numpy()
    if (
        truth.shape != outputs[some].shape
        or not (
            np.abs(truth - outputs[some]) <= 1e-6 * (sizes + np.abs(truth).max(initial=0)) + 1e-12
        ).all()
    ):
        raise NotPiecewiseAffine(
            "the network, run again function by function, gives other outputs: it is random in "
            "evaluation mode, keeps a state, mixes the rows of a batch, rounds to a precision "
            "below float64, or changes its tensors in a way that cannot be followed. Make its "
            "forward a function of the input alone, in float64 for a model in float64"
        )


def _spread_codes(state: State) -> None:
    """Give every final cell the code that each layer gave to the cell it was part of."""
    ancestor = np.arange(len(state.mesh))
    for code, parent in zip(reversed(state.codes), reversed(state.parents), strict=True):
        code.words = code.words[ancestor]
        ancestor = parent[ancestor]
