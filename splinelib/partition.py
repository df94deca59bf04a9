"""The exact partition of a plane through input space.

The network runs once, layer by layer, on the vertices of a growing subdivision. Between two
activations it is affine, so its values along an edge follow from those at the edge's ends:
where a pre-activation changes sign a vertex is put, and every cell in which it does is cut.
All units of a layer cut all cells at once (`subdivision.Mesh.cut`).
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from .codes.regioncodes import RegionCodes
from .network.layers import layers_of
from .network.modes import check_weights
from .network.trace import record
from .propagation import EPS, ULPS, LayerCode, Propagation
from .subdivision import Mesh, extended, reduce_or

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


class _Codes(Mapping):
    """Packed codes of all layers, each written out when it is asked for.

    On a plane most units of a convolutional network never change sign: their bits are kept once.
    """

    def __init__(self, layers: dict[str, LayerCode]):
        self.layers = layers

    def __getitem__(self, name: str) -> np.ndarray:
        return self.layers[name].packed()

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


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
        Index of the spline layer and of the unit (flat index into its pre-activation; of
        max-pooling the window, flat index into its output) that drew the edge, where several
        coincide one of the first layer; ``(-1, side)`` on the border, sides numbered 0 below,
        1 right, 2 above, 3 left.
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
    _sizes: np.ndarray = field(repr=False)  # of the terms that each output sums, as for tolerances

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
        for name in self.layers:
            varying = self.codes._packed.layers[name]
            layer = RegionCodes({name: varying.bits.shape}, {name: varying.words}).labels()
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
            return self._zero_lines(0)[0]
        i, j = (0, 1) if classes is None else classes
        if not (0 <= i < count and 0 <= j < count and i != j):
            raise ValueError(f"classes must be two different outputs below {count}")
        return self._zero_lines(i, j)[0]

    def decision_polylines(self, classes: tuple[int, int] | str | None = None) -> list[np.ndarray]:
        """The decision boundary as polylines, each as long as it goes without a fork.

        Parameters
        ----------
        classes : (int, int), "top" or None
            As for `decision_boundary`, and with the same errors.

        Returns
        -------
        list of ndarray of float64, shape (K, 2)
            In plane coordinates. A closed polyline ends with its first point.

        Examples
        --------
        >>> import torch, splinelib as sl
        >>> layer = torch.nn.Linear(2, 2, bias=False)
        >>> layer.weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> net = torch.nn.Sequential(layer, torch.nn.ReLU(), torch.nn.Linear(2, 1))
        >>> net[2].weight.data, net[2].bias.data = torch.ones(1, 2), torch.tensor([-0.5])
        >>> part = sl.partition(net)  # |x| = 0.5: two lines from below to above
        >>> [len(line) for line in part.decision_polylines()], part.decision_length()
        ([2, 2], 4.0)
        """
        slack = 1e-12 * max(map(np.ptp, self.domain))
        return _joined(self.decision_boundary(classes), slack)

    def decision_length(self, classes: tuple[int, int] | str | None = None) -> float:
        """Length of the decision boundary in plane coordinates; `classes` as above."""
        lines = self.decision_polylines(classes)
        return float(sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in lines))

    def varying_codes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Bits of a layer's code that are not the same in all regions.

        On a plane through a convolutional network they are few: of tens of thousands of units
        some dozens change sign on it.

        Parameters
        ----------
        name : str
            One of `layers`.

        Returns
        -------
        units : ndarray of int, shape (K,)
            Flat indices into the layer's code; a unit more may be among them.
        bits : ndarray of bool, shape (R, K)

        Raises
        ------
        KeyError
            If there is no such layer.
        """
        if name not in self.layers:
            raise KeyError(f"no spline layer {name!r}; there are {', '.join(self.layers)}")
        code = self.codes._packed.layers[name]
        return code.bits, code.varying()

    def _top(self, i: int, j: int) -> np.ndarray:
        """Where outputs i and j are equal and no other is larger."""
        segments, values = self._zero_lines(i, j)
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

    def _zero_lines(self, *which: int) -> tuple[np.ndarray, np.ndarray]:
        """Segments where an output is zero, or two are equal; and all outputs at their ends."""
        mesh = Mesh(
            *(a.copy() for a in (self.vertices, self._mesh.drift, self.edges, self.edge_source)),
            *(a.copy() for a in (self._mesh.loops, self._mesh.ptr)),
        )
        tolerance = ULPS * EPS * self._sizes[list(which)].sum(keepdims=True)
        values = self.outputs[:, which[:1]].copy()
        if len(which) == 2:
            values -= self.outputs[:, which[1:]]
        signs = mesh.signs(values, tolerance)
        drawn = len(self.layers)
        births, _ = mesh.cut(values, signs, tolerance, drawn)
        outputs = extended(births, self.outputs)
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


def _joined(segments: np.ndarray, slack: float) -> list[np.ndarray]:
    """Polylines of segments (S, 2, 2); ends that are closer than slack are one point."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    ends = segments.reshape(-1, 2)
    if not len(ends):
        return []
    one, two = cKDTree(ends).query_pairs(slack, output_type="ndarray").T
    near = coo_array((np.ones(len(one)), (one, two)), shape=(len(ends), len(ends)))
    _, point = connected_components(near, directed=False)
    place = ends[np.unique(point, return_index=True)[1]]
    sides = np.unique(np.sort(point.reshape(-1, 2), axis=1), axis=0)
    sides = sides[sides[:, 0] != sides[:, 1]]
    at: list[list[int]] = [[] for _ in place]
    for side, (a, b) in enumerate(sides.tolist()):
        at[a].append(side)
        at[b].append(side)
    left, lines = [True] * len(sides), []
    # From ends and forks first; what is left then are closed curves.
    starts = sorted(range(len(at)), key=lambda p: len(at[p]) == 2)
    for start in starts:
        for side in at[start]:
            line, here = [start], start
            while left[side]:
                left[side] = False
                here = int(sides[side].sum()) - here
                line.append(here)
                following = [s for s in at[here] if left[s]]
                if len(at[here]) == 2 and following:
                    side = following[0]
            if len(line) > 1:
                lines.append(place[line])
    return lines


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
    Lines that meet in one point, coincide, run along the border or through a corner, dead and
    duplicated units are all treated as what they are. A pre-activation counts as zero within 16
    units in the last place of the terms that it sums, as far as rounding may take it; where lines
    meet at a small angle, within as much as the vertex itself may be off. Up to 4 times as far
    nothing is decided, and `UndecidablePartition` says where; beyond, lines are apart. So what is
    smaller than some 1e-14 of the domain is not told from a point or a line.

    Memory grows with the vertices times the units that bend on the domain, not with all units.

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
        outputs, sizes, codes = Propagation(mesh, surface, max_regions).run(graph)
    return Partition(
        vertices=mesh.xy,
        edges=mesh.edges,
        edge_source=mesh.source,
        codes=RegionCodes(
            {la.name: la.unit_shape for la in layers},
            _Codes(dict(zip([la.name for la in layers], codes, strict=True))),
        ),
        outputs=outputs,
        layers=[la.name for la in layers],
        domain=domain,
        plane=plane,
        _mesh=mesh,
        _sizes=sizes,
    )
