"""Finding the cells of a mesh around points of the plane."""

import numpy as np

from .indexing import offsets
from .mesh import Mesh


def locate(mesh: Mesh, centroids: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The cell that each point lies in.

    From the cell with the nearest centroid, steps over the edge most in the way.

    Parameters
    ----------
    mesh : Mesh
    centroids : ndarray of float64, shape (R, 2)
        A point inside each cell.
    points : ndarray of float64, shape (M, 2)

    Returns
    -------
    ndarray of int, shape (M,)
        -1 outside the rectangle. A point on an edge gets one of the cells beside it.
    """
    from scipy.spatial import cKDTree  # takes long to load

    owner, sizes = mesh.owner(), np.diff(mesh.ptr)
    low, high = mesh.xy[0], mesh.xy[2]
    slack = 1e-12 * max(high - low)
    inside = ((points >= low - slack) & (points <= high + slack)).all(1)
    cell_of_point = np.where(inside, cKDTree(centroids).query(points)[1], -1)
    todo = np.flatnonzero(inside)
    for _ in range(len(mesh) + 8):
        if not len(todo):
            break
        cell = cell_of_point[todo]
        many = sizes[cell]
        ptr = offsets(many)
        entry = np.repeat(mesh.ptr[cell] - ptr[:-1], many) + np.arange(ptr[-1])
        half = mesh.loops[entry]
        side = _left_of(mesh, half, np.repeat(points[todo], many, axis=0))
        worst = np.minimum.reduceat(side, ptr[:-1])
        out = worst < -slack
        which = np.flatnonzero(side == np.repeat(worst, many))
        which = which[np.searchsorted(which, ptr[:-1])]
        beyond = owner[half[which] ^ 1]
        out &= beyond >= 0
        cell_of_point[todo[out]] = beyond[out]
        todo = todo[out]
    return cell_of_point


def _left_of(mesh: Mesh, half_edges: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How far each point lies to the left of a half-edge, negative on its right."""
    a, b = mesh.xy[mesh.start(half_edges)], mesh.xy[mesh.start(half_edges ^ 1)]
    along = b - a
    side = along[:, 0] * (points[:, 1] - a[:, 1]) - along[:, 1] * (points[:, 0] - a[:, 0])
    side /= np.hypot(along[:, 0], along[:, 1])
    return side


def border_distances(mesh: Mesh, point: np.ndarray) -> np.ndarray:
    """Distance of a point (2,) to the border of each cell, float64, shape (R,)."""
    start, end = mesh.xy[mesh.edges[:, 0]], mesh.xy[mesh.edges[:, 1]]
    along = end - start
    t = ((point - start) * along).sum(1) / (along * along).sum(1)
    nearest = start + np.clip(t, 0, 1)[:, None] * along
    to_edge = np.hypot(*(nearest - point).T)
    return np.minimum.reduceat(to_edge[mesh.loops >> 1], mesh.ptr[:-1])
