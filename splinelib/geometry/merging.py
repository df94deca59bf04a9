"""Merging cells of a mesh: the edges between them go, and vertices at which nothing meets."""

import numpy as np

from .indexing import trace_cycles
from .mesh import Mesh


def merge(mesh: Mesh, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge cells that have the same row of labels, in place; their union must be convex.

    Parameters
    ----------
    mesh : Mesh
    labels : ndarray, shape (R, K)

    Returns
    -------
    cells : ndarray of int, shape (new R,)
        One of the old cells that each cell was made of.
    vertices : ndarray of int, shape (new V,)
        The old vertices kept.
    """
    _, label = np.unique(labels, axis=0, return_inverse=True)
    label = label.ravel()
    owner = mesh.owner()
    beside = np.where(owner >= 0, label[owner], -1)
    inner = (beside[0::2] == beside[1::2]).repeat(2)
    _trace_outlines(mesh, inner)
    cells = owner[mesh.loops[mesh.ptr[:-1]]]
    _drop_flat_vertices(mesh)
    return cells, _drop_unused(mesh)


def _trace_outlines(mesh: Mesh, inner: np.ndarray) -> None:
    """Make cells of the half-edges that are left when the inner ones, bool (2 E,), are gone."""
    # Straight on at the end of every half-edge; where that edge goes, around its vertex.
    ahead = np.full(len(inner), -1)
    ahead[mesh.loops] = mesh.loops[mesh.next_entry()]
    following = ahead.copy()
    while True:
        blocked = np.flatnonzero((following >= 0) & inner[following])
        blocked = blocked[~inner[blocked]]
        if not len(blocked):
            break
        following[blocked] = ahead[following[blocked] ^ 1]
    kept = np.sort(mesh.loops[~inner[mesh.loops]])
    place = np.full(len(inner), -1)
    place[kept] = np.arange(len(kept))
    cycle, mesh.ptr = trace_cycles(place[following[kept]])
    mesh.loops = kept[cycle]


def _drop_flat_vertices(mesh: Mesh) -> None:
    """Join the two edges at vertices where only two are left, the rectangle's corners apart."""
    used = np.unique(mesh.loops >> 1)
    degree = np.bincount(mesh.edges[used].ravel(), minlength=len(mesh.xy))
    flat = degree == 2
    flat[:4] = False
    while True:
        # One of each run of flat vertices at a time, so that no edge is joined twice at once.
        ends = mesh.edges[used]
        both = flat[ends].all(1)
        now = flat.copy()
        now[ends[both].max(1)] = False
        vertices = np.flatnonzero(now)
        if not len(vertices):
            return
        at = np.full(len(mesh.xy), -1)
        at[vertices] = np.arange(len(vertices))
        edge, side = np.nonzero(at[ends] >= 0)
        which = at[ends[edge, side]]
        order = np.argsort(which, kind="stable")
        edge, side = used[edge[order]], side[order]
        stay, go = edge[0::2], edge[1::2]
        far = mesh.edges[go, 1 - side[1::2]]
        mesh.edges[stay, side[0::2]] = far
        gone = np.zeros(len(mesh.edges), bool)
        gone[go] = True
        keep = ~gone[mesh.loops >> 1]
        cell = mesh.cell_of_entry()[keep]
        mesh.loops = mesh.loops[keep]
        mesh.ptr = np.searchsorted(cell, np.arange(len(mesh) + 1))
        flat[vertices] = False
        used = used[~gone[used]]


def _drop_unused(mesh: Mesh) -> np.ndarray:
    """Drop edges that no cell has, and vertices that no edge has; the old vertices kept."""
    used = np.unique(mesh.loops >> 1)
    renumber = np.full(len(mesh.edges), -1)
    renumber[used] = np.arange(len(used))
    mesh.loops = 2 * renumber[mesh.loops >> 1] + (mesh.loops & 1)
    mesh.source = mesh.source[used]
    vertices, flat = np.unique(mesh.edges[used], return_inverse=True)
    mesh.edges = flat.reshape(-1, 2)
    mesh.xy, mesh.drift = mesh.xy[vertices], mesh.drift[vertices]
    return vertices
