"""Where a run of the network on the rectangle stands: the mesh, and the values still needed."""

import numpy as np
import torch

from ..network.graph import Node, Value
from .basis import Basis, Combination
from .bounds import survey
from .cell_codes import LayerCode
from .cutting import cut
from .interpolation import NewVertices
from .mesh import Mesh
from .plane import Plane
from .rounding import tolerance_of, vertex_signs
from .signs import Signs


class State:
    """The network's values and the mesh that they are affine on.

    Attributes
    ----------
    mesh : Mesh
    max_regions : int
    basis : Basis
        At the vertices of the mesh.
    values : dict of int to Combination
        Those that are still needed, by their number in the recorded run.
    codes : list of LayerCode
        Of the layers so far, each on the cells of its time.
    parents : list of ndarray of int
        For each layer the cell before it that each cell after it was part of.
    """

    def __init__(self, mesh: Mesh, plane: Plane, max_regions: int):
        """The input on the rectangle that the mesh is to begin with."""
        self.mesh, self.max_regions = mesh, max_regions
        self.basis = Basis()
        half = (mesh.xy[2] - mesh.xy[0]) / 2
        centre = plane(mesh.xy[:1] / 2 + mesh.xy[2:3] / 2)[0]
        rows = torch.stack([centre, half[0] * plane.right, half[1] * plane.up])
        start = Combination(np.arange(2), rows, rows.abs().sum(0, keepdim=True))
        self.values = {0: start}
        self.codes: list[LayerCode] = []
        self.parents: list[np.ndarray] = []

    def operands(self, node: Node) -> list[Combination]:
        """The inputs of an activation; a constant has no functions."""
        operands = [a for a in node.activation_inputs if isinstance(a, Value)]
        combinations = [self.values[operand.index] for operand in operands]
        shape = combinations[0].rows.shape[1:]
        result = []
        for item in node.activation_inputs:
            if isinstance(item, Value):
                result.append(self.values[item.index])
                continue
            item = torch.as_tensor(item, dtype=torch.float64)
            item = torch.broadcast_to(item[:1] if item.dim() > len(shape) else item, (1, *shape))
            result.append(Combination(np.arange(0), item, item.abs()))
        return result

    def survey(self, functions: np.ndarray, rows: np.ndarray, size: np.ndarray, at: float = 0.0):
        """`bounds.survey` of combinations whose terms have these sizes."""
        columns = self.basis.columns(functions)
        return survey(columns, self.mesh.xy, rows, tolerance_of(size + abs(at)), at)

    def cut(
        self, values: np.ndarray, size: np.ndarray, units: np.ndarray
    ) -> tuple[Signs, list[NewVertices], np.ndarray]:
        """Cut the mesh where functions change sign; the basis stays as it is.

        Parameters
        ----------
        values : ndarray of float64, shape (V, K)
            Those that are zero up to rounding are set to zero.
        size : ndarray of float64, shape (K,)
            Of the terms that they are sums of.
        units : ndarray of int, shape (K,)
            Number of each function's unit in the layer.

        Returns
        -------
        signs : Signs
            At all vertices, new ones included.
        added : list of NewVertices
        parent : ndarray of int, shape (R,)
            Cell that each new cell was part of.
        """
        tolerance = tolerance_of(size)
        signs = vertex_signs(self.mesh, values, tolerance)
        if not len(units):
            return signs, [], np.arange(len(self.mesh))
        layer = len(self.codes)
        added, parent = cut(self.mesh, values, signs, tolerance, layer, self.max_regions, units)
        return signs, added, parent

    def forget(self, functions: np.ndarray) -> None:
        """Drop basis functions that neither these nor any value is made of."""
        self.basis.keep([functions, *(value.functions for value in self.values.values())])

    def set_output(self, node: Node, functions: np.ndarray, rows: np.ndarray, shape) -> None:
        """Make combinations with rows (1 + n, U) the output of a node, of that shape."""
        self.values[node.outputs[0]] = Combination(
            functions,
            torch.from_numpy(rows).reshape(len(rows), *shape),
            torch.from_numpy(self.basis.bound(functions, rows)).reshape(1, *shape),
        )

    def finish_layer(self, code: LayerCode, parent: np.ndarray) -> None:
        """Note the code of a layer that has cut the mesh, and where its cells come from."""
        self.codes.append(code)
        self.parents.append(parent)
