"""The exact partition of a plane through input space.

The network runs once, layer by layer, on the vertices of a growing subdivision. Between two
activations it is affine, so its values along an edge follow from those at the edge's ends:
where a pre-activation changes sign a vertex is put, and every cell in which it does is cut.
All units of a layer cut all cells at once (`subdivision.Mesh.cut`).
"""

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from .codes import RegionCodes
from .layers import layers_of
from .subdivision import Births, Mesh, Signs, find_bits, pack_bits, reduce_or
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

    @cached_property
    def degrees(self) -> np.ndarray:
        """Neighbours of each region, int, shape (R,): as many as it has edges off the border."""
        return np.bincount(
            self.neighbours[(self.neighbours >= 0).all(1)].ravel(), minlength=len(self)
        )

    def regions_after(self) -> dict[str, int]:
        """Regions that the layers up to each one make together, by name of the layer.

        The last number is the number of all regions; the steps say what each layer adds.
        """
        labels, counts = np.zeros(len(self), np.int64), {}
        for name, shape in self.codes.layers.items():
            words = self.codes._packed[name]
            layer = RegionCodes({name: shape}, {name: words}).labels()
            _, labels = np.unique(labels * (layer.max() + 1) + layer, return_inverse=True)
            counts[name] = int(labels.max()) + 1
        return counts

    def local_complexity(self, centre, radii) -> np.ndarray:
        """Regions that a disc around a point meets, for each of several radii.

        How finely the network cuts the surroundings of an input (Humayun, Balestriero and
        Baraniuk, "Deep networks always grok", 2024, estimate it by sampling). A region meets the
        disc if its distance to the centre is at most the radius.

        Parameters
        ----------
        centre : array, shape (2,)
            In plane coordinates, inside the domain.
        radii : array, shape (K,)
            In plane coordinates. What lies outside the domain is not counted.

        Returns
        -------
        ndarray of int, shape (K,)

        Raises
        ------
        ValueError
            If the centre lies outside the domain or a radius is negative or not finite.

        Examples
        --------
        >>> import torch, splinelib as sl
        >>> layer = torch.nn.Linear(2, 1, bias=False)
        >>> part = sl.partition(torch.nn.Sequential(layer, torch.nn.ReLU()))
        >>> part.local_complexity((0, 0), [0.1, 2.0]).tolist()
        [2, 2]
        """
        centre, radii = np.asarray(centre, np.float64), np.asarray(radii, np.float64)
        if centre.shape != (2,):
            raise ValueError(f"centre must be one point of the plane, not of shape {centre.shape}")
        if radii.ndim != 1 or not (np.isfinite(radii) & (radii >= 0)).all():
            raise ValueError("radii must be a list of finite numbers that are not negative")
        home = self.locate(centre[None])[0]
        if home < 0:
            raise ValueError(f"the centre {tuple(centre.tolist())} lies outside {self.domain}")
        start, end = self.vertices[self.edges[:, 0]], self.vertices[self.edges[:, 1]]
        along = end - start
        t = ((centre - start) * along).sum(1) / (along * along).sum(1)
        nearest = start + np.clip(t, 0, 1)[:, None] * along
        to_edge = np.hypot(*(nearest - centre).T)
        distance = np.minimum.reduceat(to_edge[self._mesh.loops >> 1], self._mesh.ptr[:-1])
        distance[home] = 0.0
        return np.searchsorted(np.sort(distance), radii, side="right")

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

    def decision_boundary(self, classes: tuple[int, int] | str | None = None) -> np.ndarray:
        """Segments on which the network does not decide.

        Parameters
        ----------
        classes : (int, int), "top" or None
            Two outputs: where they are equal. ``"top"``: where the largest output changes. None
            for a network of one output: where it is zero, or of two: where they are equal.

        Returns
        -------
        ndarray of float64, shape (S, 2, 2)
            S segments, each with two ends, in plane coordinates.

        Raises
        ------
        ValueError
            If the network has several outputs and no classes are given, or an index is wrong.
        """
        count = self.outputs.shape[1]
        if isinstance(classes, str) and classes == "top" and count > 1:
            pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
            return np.concatenate([self._top(i, j) for i, j in pairs])
        if classes is None and count > 2:
            raise ValueError(
                f"the network has {count} outputs: say which two, classes=(i, j), or 'top'"
            )
        if classes is None and count == 1:
            return self._zero_lines(self.outputs[:, 0])[0]
        i, j = (0, 1) if classes is None else classes
        if not (0 <= i < count and 0 <= j < count and i != j):
            raise ValueError(f"classes must be two different outputs below {count}")
        return self._zero_lines(self.outputs[:, i] - self.outputs[:, j])[0]

    def _top(self, i: int, j: int) -> np.ndarray:
        """Where outputs i and j are equal and no other is larger."""
        segments, values = self._zero_lines(self.outputs[:, i] - self.outputs[:, j])
        lead = values[:, :, [i]] - np.delete(values, [i, j], axis=2)  # (S, 2, others)
        start, end = lead[:, 0], lead[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            root = start / (start - end)
        low = np.where((start < 0) & (end >= 0), root, 0.0).max(1, initial=0.0)
        high = np.where((start >= 0) & (end < 0), root, 1.0).min(1, initial=1.0)
        high[((start < 0) & (end < 0)).any(1)] = 0.0
        along = segments[:, 1] - segments[:, 0]
        clipped = np.stack(
            [segments[:, 0] + low[:, None] * along, segments[:, 0] + high[:, None] * along], 1
        )
        return clipped[low < high]

    def _zero_lines(self, f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Segments where f, given at the vertices, is zero; and all outputs at their ends."""
        mesh = Mesh(
            *(a.copy() for a in (self.vertices, self.edges, self.edge_source)),
            *(a.copy() for a in (self._mesh.loops, self._mesh.ptr)),
        )
        largest = np.abs(self.outputs).max(initial=np.finfo(float).tiny)
        tolerance = np.array([_ULPS * np.finfo(float).eps * largest])
        values = np.where(np.abs(f) <= tolerance, 0.0, f)[:, None]
        signs = Signs.of(values, tolerance)
        drawn = len(self.layers)
        births, _ = mesh.cut(values, signs, tolerance, drawn)
        outputs = _extended(torch.from_numpy(self.outputs), births).numpy()
        chords = mesh.edges[mesh.source[:, 0] == drawn]
        # An edge of the partition itself on which f vanishes, without vanishing beside it.
        along = np.flatnonzero((values[self.edges, 0] == 0).all(1))
        corners = self._mesh.corners()
        anywhere = reduce_or(signs.pos[corners] | signs.neg[corners], self._mesh.ptr).any(1)
        beside = self.neighbours[along]
        solid = ((beside < 0) | anywhere[beside]).all(1)
        ends = np.concatenate([chords, self.edges[along[solid]]])
        return mesh.xy[ends], outputs[ends]

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
        concatenation, average pooling, with ReLU, LeakyReLU, PReLU, ReLU6, hardtanh, abs, maxima
        of two values or max-pooling. A float64 copy in evaluation mode is used; the model is
        untouched.
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
        outputs, codes = _Subdivision(mesh, corners, max_regions).run(graph)
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


class _Subdivision:
    """A recorded network run on the vertices of a mesh that grows at every activation."""

    def __init__(self, mesh: Mesh, corners: Tensor, max_regions: int):
        self.mesh, self.max_regions = mesh, max_regions
        self.values = {0: corners}  # what is still needed, at every vertex
        self.size = {0: _largest(corners)}  # how large the terms are that each is a sum of
        self.codes: list[np.ndarray] = []
        self.parents: list[np.ndarray] = []

    def run(self, graph: Graph) -> tuple[np.ndarray, list[np.ndarray]]:
        """Outputs at the vertices, and the packed codes of every layer."""
        last_use = graph.last_use()
        for position, node in enumerate(graph.nodes):
            if node.activation is not None:
                words, parent = self._pool(node) if node.activation.pool else self._bend(node)
                self.codes.append(words)
                self.parents.append(parent)
            node.run(self.values, len(self.mesh.xy))
            if node.activation is None:
                self._measure(node)
            else:
                self.size |= {i: _largest(self.values[i]) for i in node.outputs}
            for index in [i for i in self.values if last_use.get(i, -1) <= position]:
                del self.values[index], self.size[index]
        lineage = np.arange(len(self.mesh))
        for i in range(len(self.codes) - 1, -1, -1):
            self.codes[i] = self.codes[i][lineage]
            lineage = self.parents[i][lineage]
        outputs = self.values[graph.output]
        return outputs.reshape(len(outputs), -1).numpy(), self.codes

    def _bend(self, node: Node) -> tuple[np.ndarray, np.ndarray]:
        """Cut where a pointwise activation bends; return the code and each cell's parent."""
        activation = node.activation
        operands = [self._operand(a) for a in node.activation_inputs]
        before = activation.pre_activation(*(value for value, _ in operands))
        flat = before.reshape(len(before), -1)
        size = sum(size for _, size in operands).expand(1, *before.shape[1:]).reshape(-1)
        at = activation.breakpoints
        if at == (0.0,):
            values = flat.numpy()
        else:
            values, size = torch.cat([flat - b for b in at], 1).numpy(), size.repeat(len(at))
            size += torch.tensor(at).abs().repeat_interleave(flat.shape[1])
        signs, parent = self._cut(values, size.numpy())
        if len(operands) == 1:
            # On its own line a unit is exactly at its breakpoint: no rounding from there on.
            new = slice(len(flat), None)
            row, bit = find_bits(~(signs.pos[new] | signs.neg[new]))
            row, bit = row[bit < values.shape[1]], bit[bit < values.shape[1]]
            after = self.values[node.activation_inputs[0].index]
            after = after.reshape(len(after), -1).numpy()
            after[len(flat) + row, bit % flat.shape[1]] = np.take(at, bit // flat.shape[1])
        return reduce_or(signs.pos[self.mesh.corners()], self.mesh.ptr), parent

    def _pool(self, node: Node) -> tuple[np.ndarray, np.ndarray]:
        """Cut where the winner of a max-pooling window changes.

        The candidates of each window enter one after another, each cutting where it overtakes
        the best so far. That cuts too much, where a later candidate beats both; cells with the
        same winners everywhere are merged again.
        """
        before, size = self._operand(node.activation_inputs[0])
        candidates = _windows(node.activation, before.shape)
        units, cells = len(candidates), len(self.mesh)
        winner = np.zeros((cells, units), np.int64)
        winner[:] = candidates[:, 0] >> _PLACE
        best_size = size.reshape(-1)[candidates[:, 0] & _INPUT][None]
        key = -1  # the best so far is a value of its own while it lasts
        self.values[key] = before.reshape(len(before), -1)[:, candidates[:, 0] & _INPUT]
        self.size[key] = best_size
        origin = np.arange(cells)
        for column in candidates.T[1:]:
            open_ = np.flatnonzero(column >= 0)
            pixel = torch.from_numpy(column[open_] & _INPUT)
            entering = self._operand(node.activation_inputs[0])[0]
            entering = entering.reshape(len(entering), -1)[:, pixel]
            lead = (entering - self.values[key][:, open_]).numpy()
            scale = (size.reshape(-1)[pixel] + best_size[0, open_]).numpy()
            signs, parent = self._cut(lead, scale)
            origin, winner = origin[parent], winner[parent]
            overtakes = reduce_or(signs.pos[self.mesh.corners()], self.mesh.ptr)
            cell, unit = find_bits(overtakes)
            winner[cell, open_[unit]] = column[open_[unit]] >> _PLACE
            entering = self._operand(node.activation_inputs[0])[0]
            entering = entering.reshape(len(entering), -1)[:, pixel]
            self.values[key][:, open_] = torch.maximum(self.values[key][:, open_], entering)
            best_size[0, open_] = torch.maximum(best_size[0, open_], size.reshape(-1)[pixel])
        del self.values[key], self.size[key]
        bits = [(winner >> b) & 1 == 1 for b in range(node.activation.bits)]
        words = pack_bits(np.concatenate(bits, axis=1))
        kept_cells, kept_vertices = self.mesh.merge(np.column_stack([origin, words.view(np.int64)]))
        rows = torch.from_numpy(kept_vertices)
        self.values = {i: value[rows] for i, value in self.values.items()}
        return words[kept_cells], origin[kept_cells]

    def _operand(self, item) -> tuple[Tensor, Tensor]:
        """A value and the size of its terms, or a constant and its own size."""
        if isinstance(item, Value):
            return self.values[item.index], self.size[item.index]
        item = torch.as_tensor(item, dtype=torch.float64)
        return item, item.abs()[None] if item.dim() else item.abs()

    def _cut(self, values: np.ndarray, size: np.ndarray) -> tuple[Signs, np.ndarray]:
        """Cut the mesh, and extend every value to the new vertices. Zeroes rounding in values."""
        tolerance = _ULPS * np.finfo(np.float64).eps * size
        signs = Signs.of(values, tolerance)
        row, bit = find_bits(~(signs.pos | signs.neg))
        values[row[bit < values.shape[1]], bit[bit < values.shape[1]]] = 0.0
        layer = len(self.codes)
        births, parent = self.mesh.cut(values, signs, tolerance, layer, self.max_regions)
        self.values = {i: _extended(value, births) for i, value in self.values.items()}
        return signs, parent

    def _measure(self, node: Node) -> None:
        """How large the terms are that each value is a sum of: bounds what rounding can do.

        The same operation on absolute values: |W| |x| + |b| for a linear layer.
        """
        rows = {i: self.size[i] for i in node.inputs}
        absolute = replace(
            node,
            func=_ABSOLUTE.get(node.name, node.func),
            args=_absolute_constants(node.args, node.name),
            kwargs=_absolute_constants(node.kwargs, node.name),
        )
        absolute.run(rows, 1)
        self.size |= {i: rows[i].abs() for i in node.outputs}


def _largest(values: Tensor) -> Tensor:
    array = values.numpy()  # reduces over rows several times faster than torch
    return torch.from_numpy(np.maximum(array.max(0), -array.min(0))[None])


def _extended(value: Tensor, births: list[Births]) -> Tensor:
    total = len(value) + sum(len(born.t) for born in births)
    out = value.new_empty(total, *value.shape[1:])
    out[: len(value)] = value
    end = len(value)
    for born in births:
        begin, end = end, end + len(born.t)
        t = torch.from_numpy(born.t).reshape(-1, *[1] * (value.dim() - 1))
        start, stop = (out[torch.from_numpy(i)] for i in (born.a, born.b))
        torch.lerp(start, stop, t, out=out[begin:end])
    return out


# A pooling candidate: its place in the window above, its index in the flat input below.
_PLACE = 40
_INPUT = (1 << _PLACE) - 1


def _windows(activation, shape) -> np.ndarray:
    """Candidates of each pooling window, int64 (units, largest window); -1 where there is none."""
    pool = activation.pool
    dims = pool["dims"]
    outer = int(np.prod(shape[1 : len(shape) - dims]))
    sizes = shape[len(shape) - dims :]
    starts, places = [], []
    example = activation.call(torch.zeros(1, *shape[1:], dtype=torch.float64))
    example = example[0] if isinstance(example, tuple) else example
    for axis, (length, out) in enumerate(zip(sizes, example.shape[-dims:], strict=True)):
        at = np.arange(out)
        if pool["adaptive"]:
            start, stop, step = at * length // out, -(-(at + 1) * length // out), 1
        else:
            step = pool["dilation"][axis]
            start = at * pool["stride"][axis] - pool["padding"][axis]
            stop = np.minimum(start + step * pool["window"][axis], length)
        place = np.arange(pool["window"][axis])
        position = start[:, None] + step * place
        starts.append(np.where((position >= 0) & (position < stop[:, None]), position, -1))
        places.append(place)
    index, place = np.zeros((1, 1), np.int64), np.zeros(1, np.int64)
    for position, length, within in zip(starts, sizes, places, strict=True):
        joined = index[:, None, :, None] * length + position[None, :, None, :]
        missing = (index[:, None, :, None] < 0) | (position[None, :, None, :] < 0)
        index = np.where(missing, -1, joined).reshape(len(index) * len(position), -1)
        place = (place[:, None] * len(within) + within).ravel()
    valid = index >= 0
    candidates = np.where(valid, index | (place << _PLACE), -1)
    order = np.argsort(~valid, axis=1, kind="stable")  # what there is first, in window order
    candidates = np.take_along_axis(candidates, order, 1)
    channel = np.arange(outer)[:, None, None] * int(np.prod(sizes))
    return np.where(candidates < 0, -1, candidates + channel).reshape(-1, candidates.shape[1])


_ABSOLUTE = {
    "sub": torch.add,
    "subtract": torch.add,
    "rsub": torch.add,
    "neg": torch.clone,
}


def _absolute_constants(arguments, name: str):
    def positive(item):
        return item.abs() if isinstance(item, Tensor) and item.is_floating_point() else item

    if name == "batch_norm" and isinstance(arguments, tuple):
        x, mean, *rest = arguments
        # (x - mean) * gamma / sigma + beta: the mean is subtracted, so its size is added
        return (x, None if mean is None else -mean.abs(), *map(positive, rest))
    return tree_map(positive, arguments)
