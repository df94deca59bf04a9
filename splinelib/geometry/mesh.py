"""A rectangle cut into convex cells: vertices, edges, and cells as loops of half-edges.

Half-edge ``2 * e`` runs along edge ``e`` as stored and ``2 * e + 1`` against it; a cell lies
to the left of its half-edges.
"""

from dataclasses import dataclass

import numpy as np

from .interpolation import NewVertices
from .signs import reduce_or


@dataclass
class Mesh:
    """A subdivision of a rectangle into convex cells.

    Attributes
    ----------
    xy : ndarray of float64, shape (V, 2)
        The first four are the rectangle's corners, from the lower left one counter-clockwise.
    drift : ndarray of float64, shape (V, 2)
        How far rounding may have moved each vertex along the edge that it was put on, in
        halves of the rectangle's sides: far where lines meet at a small angle.
    edges : ndarray of int, shape (E, 2)
        Start and end vertex.
    source : ndarray of int, shape (E, 2)
        (layer, unit) that drew the edge; (-1, side) on the border.
    loops : ndarray of int, shape (entries,)
        Half-edges of all cells, counter-clockwise, one cell after another.
    ptr : ndarray of int, shape (R + 1,)
        Cell i has ``loops[ptr[i]:ptr[i + 1]]``.
    """

    xy: np.ndarray
    drift: np.ndarray
    edges: np.ndarray
    source: np.ndarray
    loops: np.ndarray
    ptr: np.ndarray

    @classmethod
    def rectangle(cls, domain) -> "Mesh":
        """One cell, ``((x_min, x_max), (y_min, y_max))``.

        Its sides are numbered 0 below, 1 right, 2 above, 3 left.
        """
        (x0, x1), (y0, y1) = domain
        xy = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
        corner = np.arange(4)
        edges = np.stack([corner, (corner + 1) % 4], 1)
        source = np.stack([np.full(4, -1), corner], 1)
        return cls(xy, np.zeros((4, 2)), edges, source, 2 * corner, np.array([0, 4]))

    def copy(self) -> "Mesh":
        """A mesh that can be cut without changing this one."""
        arrays = (self.xy, self.drift, self.edges, self.source, self.loops, self.ptr)
        return Mesh(*(array.copy() for array in arrays))

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def start(self, half_edges: np.ndarray) -> np.ndarray:
        """Vertex that each half-edge leaves."""
        return self.edges.ravel()[half_edges]

    def corners(self) -> np.ndarray:
        """Vertices of all cells, int, in the order of `loops`."""
        return self.start(self.loops)

    def owner(self) -> np.ndarray:
        """Cell left of each half-edge, int, shape (2 E,); -1 outside the rectangle."""
        owner = np.full(2 * len(self.edges), -1)
        owner[self.loops] = self.cell_of_entry()
        return owner

    def cell_of_entry(self) -> np.ndarray:
        """Cell of every entry of `loops`, int, shape (entries,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.ptr))

    def next_entry(self) -> np.ndarray:
        """For every entry of `loops` the one that follows in its cell, int, shape (entries,)."""
        following = np.arange(1, len(self.loops) + 1)
        following[self.ptr[1:] - 1] = self.ptr[:-1]
        return following

    def any_corner(self, words: np.ndarray) -> np.ndarray:
        """Bits that are set at a corner of each cell, for masks (V, words): uint64, (R, words)."""
        return reduce_or(words[self.corners()], self.ptr)

    def areas(self) -> np.ndarray:
        """Area of each cell, float64, by the shoelace formula around its first corner."""
        corners = self.corners()
        origin = np.repeat(self.xy[corners[self.ptr[:-1]]], np.diff(self.ptr), axis=0)
        p = self.xy[corners] - origin
        q = self.xy[self.edges.ravel()[self.loops ^ 1]] - origin
        return np.add.reduceat(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0], self.ptr[:-1]) / 2

    def steps(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """From vertices to vertices, in halves of the rectangle's sides, float64, shape (N, 2)."""
        return (self.xy[b] - self.xy[a]) / ((self.xy[2] - self.xy[0]) / 2)

    def append(self, new: NewVertices) -> None:
        """Add new vertices, which no edge has yet."""
        drift = new.slack[:, None] * self.steps(new.a, new.b)
        self.xy = np.concatenate([self.xy, new.interpolate(self.xy)])
        self.drift = np.concatenate([self.drift, drift])
