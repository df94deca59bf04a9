"""The exact partition of a plane through input space.

The network runs once, layer by layer, on the vertices of a growing subdivision. Between two
activations it is affine, so its values along an edge follow from those at the edge's ends:
where a pre-activation changes sign a vertex is put, and every cell in which it does is cut.
All units of a layer cut all cells at once (`subdivision.Mesh.cut`).
"""

import copy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from .codes import RegionCodes
from .errors import NotPiecewiseAffine
from .layers import layers_of
from .subdivision import Births, Mesh, Signs, reduce_or
from .trace import Graph, Node, Value, check_weights, record

# A pre-activation counts as zero within this many units in the last place of the terms that
# it is the sum of. Rounding moves it by a few; the vertex it is read at by some hundreds.
_ULPS = 2.0**14
_MAX_REGIONS = 5_000_000


@dataclass(frozen=True)
class Plane:
    """A plane through input space: (u, v) -> origin + u * right + v * up.

    Attributes
    ----------
    origin, right, up : Tensor, float64, shape of one input
    """

    origin: Tensor
    right: Tensor
    up: Tensor

    @classmethod
    def through(cls, x0: Tensor, x1: Tensor, x2: Tensor) -> "Plane":
        """The plane with (0, 0) -> x0, (1, 0) -> x1 and (0, 1) -> x2.

        Parameters
        ----------
        x0, x1, x2 : Tensor, shape of one input, without a batch dimension

        Raises
        ------
        ValueError
            If the shapes differ, a value is not finite, or the points lie on one line.
        """
        points = [torch.as_tensor(x).detach().double().cpu() for x in (x0, x1, x2)]
        if len({tuple(p.shape) for p in points}) != 1:
            shapes = ", ".join(str(tuple(p.shape)) for p in points)
            raise ValueError(f"the three points must have one shape, not {shapes}")
        if not all(torch.isfinite(p).all() for p in points):
            raise ValueError("the three points must be finite")
        right, up = points[1] - points[0], points[2] - points[0]
        gram = torch.stack([right.flatten(), up.flatten()])
        singular = torch.linalg.svdvals(gram)
        if len(singular) < 2 or singular[1] <= 1e-7 * singular[0]:
            raise ValueError("the three points lie on one line: they span no plane")
        return cls(points[0], right, up)

    def __call__(self, uv) -> Tensor:
        """Inputs at plane coordinates, float64, shape (N, *input_shape), for uv (N, 2)."""
        uv = torch.as_tensor(np.asarray(uv, np.float64))
        shape = (-1, *[1] * self.origin.dim())
        u, v = uv[:, 0].reshape(shape), uv[:, 1].reshape(shape)
        return self.origin + u * self.right + v * self.up


_IDENTITY = Plane(
    torch.zeros(2).double(), torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]).double()
)


@dataclass
class Partition:
    """The regions of a network on a rectangle of a plane.

    A region is a full-dimensional cell on which the code is constant; an edge separates two
    codes or lies on the rectangle's border. V - E + R = 1 and the areas add up.

    Attributes
    ----------
    vertices : ndarray of float64, shape (V, 2)
        In plane coordinates.
    edges : ndarray of int, shape (E, 2)
    edge_source : ndarray of int, shape (E, 2)
        Index of the spline layer and of the unit (flat index into its pre-activation) that
        drew the edge, the first of them where several coincide; ``(-1, side)`` on the
        border, sides numbered 0 below, 1 right, 2 above, 3 left.
    codes : RegionCodes
        One row per region.
    outputs : ndarray of float64, shape (V, C)
        The network's output at the vertices; it is affine on each region.
    layers : list of str
        Names of the spline layers, for `edge_source`.
    domain : tuple
    plane : Plane or None
    """

    vertices: np.ndarray
    edges: np.ndarray
    edge_source: np.ndarray
    codes: RegionCodes
    outputs: np.ndarray
    layers: list[str]
    domain: tuple[tuple[float, float], tuple[float, float]]
    plane: Plane | None
    _mesh: Mesh = field(repr=False)

    def __len__(self) -> int:
        return len(self._mesh)

    def __repr__(self) -> str:
        return (
            f"Partition({len(self)} regions, {len(self.vertices)} vertices, "
            f"{len(self.edges)} edges)"
        )

    @cached_property
    def regions(self) -> list[np.ndarray]:
        """For each region the indices of its vertices, counter-clockwise."""
        return np.split(self._mesh.corners(), self._mesh.ptr[1:-1])

    @cached_property
    def areas(self) -> np.ndarray:
        """Area of each region in plane coordinates, float64, shape (R,)."""
        return self._mesh.areas()

    @cached_property
    def neighbours(self) -> np.ndarray:
        """Region left and right of each edge, int, shape (E, 2); -1 outside the domain."""
        return self._mesh.owner().reshape(-1, 2)

    @cached_property
    def centroids(self) -> np.ndarray:
        """Mean of each region's vertices, which lies inside it, float64, shape (R, 2)."""
        points = self.vertices[self._mesh.corners()]
        sizes = np.diff(self._mesh.ptr)
        return np.add.reduceat(points, self._mesh.ptr[:-1], axis=0) / sizes[:, None]

    def affine_maps(self) -> tuple[np.ndarray, np.ndarray]:
        """The affine map of every region in plane coordinates: output = A @ (u, v) + b.

        Fitted to the exact outputs at all corners of the region, relative to its centroid.

        Returns
        -------
        A : ndarray of float64, shape (R, C, 2)
        b : ndarray of float64, shape (R, C)
        """
        ptr, corners = self._mesh.ptr[:-1], self._mesh.corners()
        cell, sizes = self._mesh.cell_of_entry(), np.diff(self._mesh.ptr)
        p = self.vertices[corners] - self.centroids[cell]
        mean = np.add.reduceat(self.outputs[corners], ptr, axis=0) / sizes[:, None]
        f = self.outputs[corners] - mean[cell]
        gram = np.add.reduceat(p[:, :, None] * p[:, None, :], ptr, axis=0)
        moment = np.add.reduceat(f[:, :, None] * p[:, None, :], ptr, axis=0)
        A = np.linalg.solve(gram, moment.transpose(0, 2, 1)).transpose(0, 2, 1)
        return A, mean - np.einsum("rcd,rd->rc", A, self.centroids)

    def decision_boundary(self, classes: tuple[int, int] | None = None) -> np.ndarray:
        """Segments on which the network does not decide.

        Parameters
        ----------
        classes : (int, int) or None
            Two outputs: where they are equal. None for a network of one output: where it is
            zero, or of two: where they are equal.

        Returns
        -------
        ndarray of float64, shape (S, 2, 2)
            S segments, each with two ends, in plane coordinates.

        Raises
        ------
        ValueError
            If the network has several outputs and no pair is given, or an index is wrong.
        """
        count = self.outputs.shape[1]
        if classes is None and count > 2:
            raise ValueError(f"the network has {count} outputs: say which two, classes=(i, j)")
        if classes is None and count == 1:
            f = self.outputs[:, 0]
        else:
            i, j = (0, 1) if classes is None else classes
            if not (0 <= i < count and 0 <= j < count and i != j):
                raise ValueError(f"classes must be two different outputs below {count}")
            f = self.outputs[:, i] - self.outputs[:, j]
        mesh = Mesh(
            *(a.copy() for a in (self.vertices, self.edges, self.edge_source)),
            *(a.copy() for a in (self._mesh.loops, self._mesh.ptr)),
        )
        tolerance = np.array(
            [_ULPS * np.finfo(float).eps * np.abs(self.outputs).max(initial=1e-300)]
        )
        values = np.where(np.abs(f) <= tolerance, 0.0, f)[:, None]
        signs = Signs.of(values, tolerance)
        drawn = len(self.layers)
        mesh.cut(values, signs, tolerance, drawn)
        chords = mesh.edges[mesh.source[:, 0] == drawn]
        # An edge of the partition itself on which f vanishes, without vanishing beside it.
        zero = values[:, 0] == 0
        along = np.flatnonzero(zero[self.edges].all(1))
        flat = ~(
            reduce_or(signs.pos[self._mesh.corners()], self._mesh.ptr)
            | reduce_or(signs.neg[self._mesh.corners()], self._mesh.ptr)
        ).any(1)
        beside = self.neighbours[along]
        solid = ((beside < 0) | ~flat[beside]).all(1)
        return np.concatenate([mesh.xy[chords], self.vertices[self.edges[along[solid]]]])

    def locate(self, points) -> np.ndarray:
        """The region that each point lies in, int, shape (M,); -1 outside the domain.

        Parameters
        ----------
        points : array, shape (M, 2)
            Plane coordinates. A point on an edge gets one of the regions beside it.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise ValueError("points must be finite, of shape (M, 2)")
        return _walk(self, points)


def _walk(part: Partition, points: np.ndarray) -> np.ndarray:
    """From the region with the nearest centroid, step over the edge most in the way."""
    from scipy.spatial import cKDTree

    mesh, (xs, ys) = part._mesh, part.domain
    owner, sizes = mesh.owner(), np.diff(mesh.ptr)
    slack = 1e-12 * max(np.ptp(xs), np.ptp(ys))
    low, high = np.array([xs[0], ys[0]]), np.array([xs[1], ys[1]])
    inside = ((points >= low - slack) & (points <= high + slack)).all(1)
    found = np.where(inside, cKDTree(part.centroids).query(points)[1], -1)
    todo = np.flatnonzero(inside)
    for _ in range(len(part) + 8):
        if not len(todo):
            break
        cell = found[todo]
        many = sizes[cell]
        ptr = np.concatenate([[0], np.cumsum(many)])
        entry = np.repeat(mesh.ptr[cell] - ptr[:-1], many) + np.arange(ptr[-1])
        half = mesh.loops[entry]
        a = mesh.xy[mesh.start(half)]
        b = mesh.xy[mesh.start(half ^ 1)]
        p = np.repeat(points[todo], many, axis=0)
        along = b - a
        side = along[:, 0] * (p[:, 1] - a[:, 1]) - along[:, 1] * (p[:, 0] - a[:, 0])
        side /= np.hypot(along[:, 0], along[:, 1])
        worst = np.minimum.reduceat(side, ptr[:-1])
        out = worst < -slack
        which = np.flatnonzero(side == np.repeat(worst, many))
        which = which[np.searchsorted(which, ptr[:-1])]
        beyond = owner[half[which] ^ 1]
        out &= beyond >= 0
        found[todo[out]] = beyond[out]
        todo = todo[out]
    return found


def _check_domain(domain) -> tuple[tuple[float, float], tuple[float, float]]:
    try:
        (x0, x1), (y0, y1) = ((float(a), float(b)) for a, b in domain)
    except (TypeError, ValueError) as error:
        raise ValueError("domain must be ((u_min, u_max), (v_min, v_max))") from error
    if not all(map(np.isfinite, (x0, x1, y0, y1))) or x0 >= x1 or y0 >= y1:
        raise ValueError(
            f"the domain {domain} is empty or not finite: each minimum must be smaller"
        )
    return (x0, x1), (y0, y1)


def partition(
    model: nn.Module,
    domain=((-1, 1), (-1, 1)),
    plane: Plane | None = None,
    max_regions: int = _MAX_REGIONS,
) -> Partition:
    """The exact partition that a network makes of a rectangle of a plane.

    Parameters
    ----------
    model : torch.nn.Module
        Piecewise affine: linear and convolution layers, batch norm, residual adds,
        concatenation, average pooling, with ReLU, LeakyReLU, PReLU, ReLU6, hardtanh, abs or
        maxima of two values. A float64 copy in evaluation mode is used; the model is untouched.
    domain : ((float, float), (float, float))
        Range of the two plane coordinates.
    plane : Plane or None
        None for a network of two inputs.
    max_regions : int
        Refuse to make more.

    Returns
    -------
    Partition

    Raises
    ------
    NotPiecewiseAffine
        Names the module that is not.
    UndecidablePartition
        Where float64 cannot tell how lines meet; the message names the place.
    RegionLimitExceeded
    ValueError
        For a degenerate plane, an empty domain, NaN weights.

    Notes
    -----
    Signs are decided at a tolerance of a few thousand units in the last place of the terms
    summed. Lines that meet in one point, coincide, run along the border or through a corner,
    dead and duplicated units are all treated as what they are.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> part = sl.partition(net)
    >>> len(part.vertices) - len(part.edges) + len(part)
    1
    """
    domain = _check_domain(domain)
    check_weights(model)
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters()):
        raise ValueError("a half-precision model: partition its float32 original instead")
    exact = copy.deepcopy(model).cpu().double().eval()
    surface = _IDENTITY if plane is None else plane
    mesh = Mesh.rectangle(domain)
    corners = surface(mesh.xy)
    try:
        graph = record(exact, corners)
    except RuntimeError as error:
        shape = tuple(corners.shape[1:])
        hint = "" if plane is not None else "; without a plane the model must take 2 inputs"
        raise ValueError(
            f"the model does not take inputs of shape {shape}{hint}: {error}"
        ) from error
    graph.check_piecewise_affine()
    layers = layers_of(graph)
    with torch.no_grad():
        outputs, codes = _subdivide(graph, corners, mesh, max_regions)
    return Partition(
        vertices=mesh.xy,
        edges=mesh.edges,
        edge_source=mesh.source,
        codes=RegionCodes(
            {la.name: la.unit_shape for la in layers},
            dict(zip([la.name for la in layers], codes, strict=True)),
        ),
        outputs=outputs,
        layers=[la.name for la in layers],
        domain=domain,
        plane=plane,
        _mesh=mesh,
    )


def _subdivide(graph: Graph, corners: Tensor, mesh: Mesh, max_regions: int):
    """Run the graph on the mesh's vertices, cutting at each activation."""
    env = {0: corners}
    scale = {0: corners.abs().amax(0, keepdim=True)}
    last_use, codes, parents = graph.last_use(), [], []
    for position, node in enumerate(graph.nodes):
        if node.activation is not None:
            words, parent = _cut_at(node, env, scale, mesh, len(codes), max_regions)
            codes.append(words)
            parents.append(parent)
        node.run(env, len(mesh.xy))
        for index in node.outputs:
            if node.activation is not None:
                scale[index] = env[index].abs().amax(0, keepdim=True)
        if node.activation is None:
            _propagate_scale(node, env, scale)
        for index in [i for i in env if last_use.get(i, -1) <= position]:
            del env[index], scale[index]
    lineage = np.arange(len(mesh))
    for i in range(len(codes) - 1, -1, -1):
        codes[i] = codes[i][lineage]
        lineage = parents[i][lineage]
    outputs = env[graph.output]
    return outputs.reshape(len(outputs), -1).numpy(), codes


def _cut_at(node: Node, env, scale, mesh: Mesh, layer: int, max_regions: int):
    """Cut the mesh where an activation bends; extend every live value to the new vertices."""
    activation = node.activation
    if activation.pool is not None:
        raise NotPiecewiseAffine(f"module {node.module!r}: max-pooling is not supported here yet")
    operands = [a for a in node.activation_inputs if isinstance(a, Value)]
    pre = activation.pre_activation(*_fill(node, env))
    size = scale[operands[0].index] if len(node.activation_inputs) == 1 else None
    if size is None:
        size = sum(
            scale[a.index] if isinstance(a, Value) else torch.as_tensor(a).abs()
            for a in node.activation_inputs
        )
    flat = pre.reshape(len(pre), -1)
    size = size.expand(1, *pre.shape[1:]).reshape(-1)
    values = torch.cat([flat - b for b in activation.breakpoints], dim=1).numpy()
    size = torch.cat([size + abs(b) for b in activation.breakpoints]).numpy()
    tolerance = _ULPS * np.finfo(np.float64).eps * size
    zero = np.abs(values) <= tolerance
    values[zero] = 0.0
    signs = Signs.of(values, np.zeros(1))
    births, parent = mesh.cut(values, signs, tolerance, layer, max_regions)
    for index, value in env.items():
        env[index] = _extended(value, births)
    if len(operands) == 1 and len(node.activation_inputs) == 1:
        # A unit is exactly at its breakpoint on its own line: no noise from there on.
        _snap(env, operands[0].index, activation.breakpoints, signs)
    return reduce_or(signs.pos[mesh.corners()], mesh.ptr), parent


def _fill(node: Node, env) -> list[Tensor]:
    return [env[a.index] if isinstance(a, Value) else a for a in node.activation_inputs]


def _extended(value: Tensor, births: list[Births]) -> Tensor:
    for born in births:
        if len(born.t):
            t = torch.from_numpy(born.t).reshape(-1, *[1] * (value.dim() - 1))
            start = value[torch.from_numpy(born.a)]
            value = torch.cat([value, torch.lerp(start, value[torch.from_numpy(born.b)], t)])
    return value


def _snap(env, index: int, breakpoints, signs: Signs) -> None:
    value = env[index]
    flat = value.reshape(len(value), -1)
    units = flat.shape[1]
    zero = np.unpackbits(
        ~(signs.pos | signs.neg).view(np.uint8),
        axis=1,
        count=units * len(breakpoints),
        bitorder="little",
    ).view(bool)
    for i, breakpoint_ in enumerate(breakpoints):
        mask = torch.from_numpy(np.ascontiguousarray(zero[:, i * units : (i + 1) * units]))
        flat = flat.masked_fill(mask, breakpoint_)
    env[index] = flat.reshape(value.shape)


def _propagate_scale(node: Node, env, scale) -> None:
    """How large the terms are that each value is a sum of: bounds what rounding can do to it.

    The same operation on absolute values: |W| |x| + |b| for a linear layer.
    """
    rows = {i: scale[i] for i in node.inputs}
    absolute = Node(
        func=_ABSOLUTE.get(node.name, node.func),
        args=_abs_constants(node.args, node.name),
        kwargs=_abs_constants(node.kwargs, node.name),
        name=node.name,
        module=node.module,
        inputs=node.inputs,
        outputs=node.outputs,
        several=node.several,
    )
    absolute.run(rows, 1)
    for index in node.outputs:
        scale[index] = rows[index].abs()


_ABSOLUTE = {
    "sub": torch.add,
    "subtract": torch.add,
    "rsub": torch.add,
    "neg": torch.clone,
}


def _abs_constants(arguments, name: str):
    from torch.utils._pytree import tree_map

    def positive(item):
        return item.abs() if isinstance(item, Tensor) and item.is_floating_point() else item

    if name == "batch_norm" and isinstance(arguments, tuple):
        x, mean, *rest = arguments
        # (x - mean) * gamma / sigma + beta: the mean is subtracted, so its size is added
        return (x, None if mean is None else -mean.abs(), *map(positive, rest))
    return tree_map(positive, arguments)
