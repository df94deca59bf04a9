"""The decision boundary of a network on a mesh: segments on which outputs are equal, or zero."""

import operator

import numpy as np

from .cutting import cut
from .indexing import connected, offsets
from .interpolation import extended
from .mesh import Mesh
from .rounding import UNSURE, tolerance_of, vertex_signs
from .signs import Signs


def decision_segments(
    mesh: Mesh, outputs: np.ndarray, sizes: np.ndarray, classes: tuple[int, int] | str | None
) -> np.ndarray:
    """Segments on which a network does not decide.

    Parameters
    ----------
    mesh : Mesh
        On whose cells the network is affine; it stays as it is.
    outputs : ndarray of float64, shape (V, C)
        At the vertices.
    sizes : ndarray of float64, shape (C,)
        Of the terms that each output sums.
    classes : (int, int), "top" or None
        Two outputs: where they are equal. ``"top"``: where the largest output changes. None
        for a network of one output: where it is zero, or of two: where they are equal.

    Returns
    -------
    ndarray of float64, shape (S, 2, 2)
        S segments, each with two ends.

    Raises
    ------
    ValueError
        If the network has several outputs and no classes are given, or an index is wrong.
    """
    count = outputs.shape[1]
    if isinstance(classes, str) and classes == "top" and count > 1:
        mesh, outputs = _undecided(mesh, outputs, sizes)
        if not len(mesh):
            return np.empty((0, 2, 2))
        pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
        return np.concatenate([top_segments(mesh, outputs, sizes, i, j) for i, j in pairs])
    if classes is None and count > 2:
        raise ValueError(
            f"the network has {count} outputs: say which two, classes=(i, j), or 'top'"
        )
    if classes is None and count == 1:
        return zero_lines(mesh, outputs, sizes, (0,))[0]
    pair = (0, 1) if classes is None else _pair(classes, count)
    return zero_lines(mesh, outputs, sizes, pair)[0]


def _pair(classes, count: int) -> tuple[int, int]:
    """Two different outputs, of so many."""
    try:
        i, j = map(operator.index, classes)
    except (TypeError, ValueError):
        i = j = 0
    if not (0 <= i < count and 0 <= j < count and i != j):
        known = (
            f"be two different outputs below {count}, (i, j), or 'top'"
            if count > 1
            else "not be given for a network of one output"
        )
        raise ValueError(f"classes must {known}; they are {classes!r}")
    return i, j


def _undecided(mesh: Mesh, outputs, sizes) -> tuple[Mesh, np.ndarray]:
    """The cells on which no output is the largest all over, and the outputs at their vertices."""
    corners, ptr = mesh.corners(), mesh.ptr
    cell, mean = mesh.cell_of_entry(), np.add.reduceat(outputs[corners], ptr[:-1], axis=0)
    at, top = outputs[corners], mean.argmax(1)[cell]
    lead = at[np.arange(len(at)), top].copy()
    at[np.arange(len(at)), top] = -np.inf
    lead -= at.max(1)
    kept = np.minimum.reduceat(lead, ptr[:-1]) <= UNSURE * tolerance_of(2 * sizes.max())
    loops, sizes_of = mesh.loops[kept[cell]], np.diff(ptr)[kept]
    edges, place = np.unique(loops >> 1, return_inverse=True)
    # the corners of the rectangle stay the first four vertices
    vertices = np.union1d(np.arange(4), mesh.edges[edges])
    part = Mesh(
        mesh.xy[vertices],
        mesh.drift[vertices],
        np.searchsorted(vertices, mesh.edges[edges]),
        mesh.source[edges],
        2 * place + (loops & 1),
        offsets(sizes_of),
    )
    return part, outputs[vertices]


def crossed_edges(part) -> np.ndarray:
    """Edges over which the decision boundary passes from one region to the next.

    Parameters
    ----------
    part : Partition

    Returns
    -------
    ndarray of int, shape (K,)
        Edges at whose ends another output is the largest; of one output, has another sign.
    """
    outputs = part.outputs
    top = outputs.argmax(1) if outputs.shape[1] > 1 else outputs[:, 0] > 0
    ends = top[part.edges]
    return np.flatnonzero((ends[:, 0] != ends[:, 1]) & (part.neighbours >= 0).all(1))


def turns(part, edges: np.ndarray) -> np.ndarray:
    """By how much the decision boundary turns at edges over which it passes.

    Parameters
    ----------
    part : Partition
        On a plane with orthonormal coordinates, so that angles are those of the input space.
    edges : ndarray of int, shape (K,)
        As `crossed_edges` gives them.

    Returns
    -------
    ndarray of float64, shape (K,)
        In radians, from 0 to pi: between the boundary's normals in the two regions, the normal
        being the gradient of one of the two largest outputs minus the other.
    """
    slopes = part.affine_maps()[0]
    ends, sides = part.edges[edges], part.neighbours[edges]
    if slopes.shape[1] == 1:
        normals = [slopes[side, 0] for side in sides.T]
    else:
        one, two = part.outputs[ends].argmax(2).T
        normals = [slopes[side, one] - slopes[side, two] for side in sides.T]
    (x0, y0), (x1, y1) = (normal.T for normal in normals)
    return np.abs(np.arctan2(x0 * y1 - y0 * x1, x0 * x1 + y0 * y1))


def top_segments(mesh: Mesh, outputs, sizes, i: int, j: int) -> np.ndarray:
    """Where outputs i and j are equal and no other is larger, (S, 2, 2)."""
    segments, values = zero_lines(mesh, outputs, sizes, (i, j))
    lead = values[:, :, [i]] - np.delete(values, [i, j], axis=2)  # (S, 2, others)
    start, end = lead[:, 0], lead[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        root = start / (start - end)
    low = np.where((start < 0) & (end >= 0), root, 0.0).max(1, initial=0.0)
    high = np.where((start >= 0) & (end < 0), root, 1.0).min(1, initial=1.0)
    high[((start < 0) & (end < 0)).any(1)] = 0.0
    along = segments[:, 1] - segments[:, 0]
    ends = [segments[:, 0] + low[:, None] * along, segments[:, 0] + high[:, None] * along]
    return np.stack(ends, 1)[low < high]


def zero_lines(
    mesh: Mesh, outputs: np.ndarray, sizes: np.ndarray, which: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Segments where an output is zero, or two are equal.

    Parameters
    ----------
    mesh, outputs, sizes
        As for `decision_segments`.
    which : tuple of int
        One output, or two.

    Returns
    -------
    segments : ndarray of float64, shape (S, 2, 2)
    values : ndarray of float64, shape (S, 2, C)
        All outputs at their ends.
    """
    tolerance = tolerance_of(sizes[list(which)].sum(keepdims=True))
    values = outputs[:, which[:1]].copy()
    if len(which) == 2:
        values -= outputs[:, which[1:]]
    finer, drawn = mesh.copy(), mesh.source[:, 0].max() + 1
    signs = vertex_signs(finer, values, tolerance)
    added, _ = cut(finer, values, signs, tolerance, drawn)
    outputs = extended(added, outputs)
    chords = finer.edges[finer.source[:, 0] == drawn]
    ends = np.concatenate([chords, mesh.edges[_zero_edges(mesh, values, signs)]])
    return finer.xy[ends], outputs[ends]


def _zero_edges(mesh: Mesh, values: np.ndarray, signs: Signs) -> np.ndarray:
    """Edges on which a function with values (V, 1) vanishes, without vanishing beside them."""
    along = np.flatnonzero((values[mesh.edges, 0] == 0).all(1))
    if not len(along):
        return along
    anywhere = mesh.any_corner(signs.pos | signs.neg).any(1)
    beside = mesh.owner().reshape(-1, 2)[along]
    return along[((beside < 0) | anywhere[beside]).all(1)]


def join_segments(segments: np.ndarray, slack: float) -> list[np.ndarray]:
    """Polylines of segments, each as long as it goes without a fork.

    Parameters
    ----------
    segments : ndarray of float64, shape (S, 2, 2)
    slack : float
        Ends that are closer than this are one point.

    Returns
    -------
    list of ndarray of float64, shape (K, 2)
        A closed polyline ends with its first point.
    """
    from scipy.spatial import cKDTree  # takes long to load

    ends = segments.reshape(-1, 2)
    if not len(ends):
        return []
    one, two = cKDTree(ends).query_pairs(slack, output_type="ndarray").T
    point = connected(one, two, len(ends))
    place = ends[np.unique(point, return_index=True)[1]]
    sides = np.unique(np.sort(point.reshape(-1, 2), axis=1), axis=0)
    sides = sides[sides[:, 0] != sides[:, 1]]
    return [place[line] for line in _trace_lines(len(place), sides)]


def _trace_lines(points: int, sides: np.ndarray) -> list[list[int]]:
    """Paths through the points of a graph with sides (K, 2) that use each side once."""
    at: list[list[int]] = [[] for _ in range(points)]
    for side, (a, b) in enumerate(sides.tolist()):
        at[a].append(side)
        at[b].append(side)
    left, lines = [True] * len(sides), []
    # From ends and forks first; what is left then are closed curves.
    starts = sorted(range(points), key=lambda p: len(at[p]) == 2)
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
                lines.append(line)
    return lines
