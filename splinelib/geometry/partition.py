"""The exact partition of a plane through input space.

The network runs once, layer by layer, on the vertices of a growing subdivision. Between two
activations it is affine, so its values along an edge follow from those at the edge's ends:
where a pre-activation changes sign a vertex is put, and every cell in which it does is cut.
All units of a layer cut all cells at once (`cutting.cut`).
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from ..codes.regioncodes import RegionCodes
from ..network.layers import layers_of
from ..network.modes import check_weights
from ..network.replica import replica
from ..network.surroundings import undisturbed
from ..network.trace import record
from .boundary import decision_segments, join_segments
from .cell_codes import CellCodes
from .fitting import affine_fits
from .limits import MAX_REGIONS
from .locating import border_distances, locate
from .mesh import Mesh
from .plane import Plane
from .propagation import check_outputs, check_precision, propagate

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
        Index of the spline layer and of the unit (flat index into its pre-activation; of
        max-pooling the window, flat index into its output) that drew the edge, where several
        coincide one of the first layer; ``(-1, side)`` on the border, sides numbered 0 below,
        1 right, 2 above, 3 left.
    codes : RegionCodes
        One row per region; its `packed` is a `CellCodes`.
    outputs : ndarray of float64, shape (V, C)
        The network's output at the vertices; it is affine on each region.
    layers : list of str
        Names of the spline layers, for `edge_source`.
    domain : ((float, float), (float, float))
        Range of the two plane coordinates.
    plane : Plane or None
    mesh : Mesh
        Vertices, edges and regions with their half-edges.
    output_sizes : ndarray of float64, shape (C,)
        Bounds of the absolute values of the terms that each output sums, for tolerances.
    """

    vertices: np.ndarray
    edges: np.ndarray
    edge_source: np.ndarray
    codes: RegionCodes
    outputs: np.ndarray
    layers: list[str]
    domain: tuple[tuple[float, float], tuple[float, float]]
    plane: Plane | None
    mesh: Mesh = field(repr=False)
    output_sizes: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.mesh)

    def __repr__(self) -> str:
        return (
            f"Partition({len(self)} regions, {len(self.vertices)} vertices, "
            f"{len(self.edges)} edges)"
        )

    @cached_property
    def regions(self) -> list[np.ndarray]:
        """For each region the indices of its vertices, counter-clockwise."""
        return np.split(self.mesh.corners(), self.mesh.ptr[1:-1])

    @cached_property
    def areas(self) -> np.ndarray:
        """Area of each region in plane coordinates, float64, shape (R,)."""
        return self.mesh.areas()

    @cached_property
    def neighbours(self) -> np.ndarray:
        """Region left and right of each edge, int, shape (E, 2); -1 outside the domain."""
        return self.mesh.owner().reshape(-1, 2)

    @cached_property
    def centroids(self) -> np.ndarray:
        """Mean of each region's vertices, which lies inside it, float64, shape (R, 2)."""
        points, ptr = self.vertices[self.mesh.corners()], self.mesh.ptr
        return np.add.reduceat(points, ptr[:-1], axis=0) / np.diff(ptr)[:, None]

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
            varying = self.codes.packed.layers[name]
            if len(varying.bits):  # else the layer cuts nothing
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
        distance = border_distances(self.mesh, centre)
        distance[home] = 0.0
        return np.searchsorted(np.sort(distance), radii, side="right")

    def affine_maps(self) -> tuple[np.ndarray, np.ndarray]:
        """The affine map of every region in plane coordinates: output = A @ (u, v) + b.

        Fitted to the exact outputs at all corners of the region. Of a sliver that is no wider than
        its corners are exact, nothing tells the slope across it.

        Returns
        -------
        A : ndarray of float64, shape (R, C, 2)
        b : ndarray of float64, shape (R, C)
        """
        return affine_fits(self.mesh, self.outputs)

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
        return decision_segments(self.mesh, self.outputs, self.output_sizes, classes)

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
        return join_segments(self.decision_boundary(classes), slack)

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
            Flat indices into the layer's code; a few that do not vary may be among them.
        bits : ndarray of bool, shape (R, K)

        Raises
        ------
        KeyError
            If there is no such layer.
        """
        if name not in self.layers:
            raise KeyError(f"no spline layer {name!r}; there are {', '.join(self.layers)}")
        code = self.codes.packed.layers[name]
        return code.bits, code.varying()

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
        return locate(self.mesh, self.centroids, points)


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


def _in_float64(tensor: Tensor) -> Tensor:
    dtype = torch.float64 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True)


@undisturbed()
def partition(
    model: nn.Module,
    domain=((-1, 1), (-1, 1)),
    plane: Plane | None = None,
    max_regions: int = MAX_REGIONS,
) -> Partition:
    """The exact partition that a network makes of a rectangle of a plane.

    Parameters
    ----------
    model : torch.nn.Module
        Piecewise affine: linear and convolution layers, batch norm, residual adds,
        concatenation, average pooling, with ReLU, LeakyReLU, PReLU, ReLU6, hardtanh, abs,
        softshrink, the same written by hand, maxima of two values or max-pooling. A float64 copy
        in evaluation mode is used; the model is untouched.
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
        Names the module that is not, or that looks at several inputs at once.
    TypeError
        If the model returns something else than one tensor.
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
    check_precision(model)
    exact = replica(model, _in_float64).eval()
    surface = _IDENTITY if plane is None else plane
    mesh = Mesh.rectangle(domain)
    corners = surface(mesh.xy)
    try:
        graph = record(exact, corners)
    except ValueError as error:
        hint = "" if plane is not None else "; without a plane the model must take 2 inputs"
        raise ValueError(f"{error}{hint}") from error
    graph.check_output()
    layers = layers_of(graph)
    with torch.no_grad():
        outputs, sizes, codes = propagate(graph, mesh, surface, max_regions)
        check_outputs(exact, surface, mesh, outputs, sizes)
    return Partition(
        vertices=mesh.xy,
        edges=mesh.edges,
        edge_source=mesh.source,
        codes=RegionCodes(
            {la.name: la.unit_shape for la in layers},
            CellCodes(dict(zip([la.name for la in layers], codes, strict=True))),
        ),
        outputs=outputs,
        layers=[la.name for la in layers],
        domain=domain,
        plane=plane,
        mesh=mesh,
        output_sizes=sizes,
    )
