"""The affine function of each cell of a mesh, from its values at the cell's corners."""

import numpy as np

from .mesh import Mesh


def affine_fits(mesh: Mesh, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Functions that are affine on every cell, as ``slope @ (u, v) + intercept``.

    Least squares over the corners of each cell, along its longest direction and across. Both are
    measured in the cell's own length and width, so that cells of any shape have a solution, and
    corners are taken relative to the first one, where differences of near numbers are exact.

    Parameters
    ----------
    mesh : Mesh
        Of R cells.
    values : ndarray of float64, shape (V, C)
        At its vertices.

    Returns
    -------
    slopes : ndarray of float64, shape (R, C, 2)
        Of a cell whose corners all lie on one line as float64 has them, zero across it.
    intercepts : ndarray of float64, shape (R, C)
    """
    ptr, corners = mesh.ptr[:-1], mesh.corners()
    cell, counts = mesh.cell_of_entry(), np.diff(mesh.ptr)[:, None]

    def centred(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first = rows[ptr]
        rows = rows - first[cell]
        mean = np.add.reduceat(rows, ptr, axis=0) / counts
        return rows - mean[cell], first + mean

    (steps, middle), (rises, heights) = centred(mesh.xy[corners]), centred(values[corners])
    along = _directions(steps, ptr, cell)
    axes = np.stack([along, np.stack([-along[:, 1], along[:, 0]], 1)], 1)  # (R, 2 axes, 2)
    places = np.einsum("eak,ek->ea", axes[cell], steps)
    reach = np.maximum.reduceat(np.abs(places), ptr, axis=0)
    reach[reach == 0] = 1.0
    places /= reach[cell]
    gram = np.add.reduceat(places[:, :, None] * places[:, None, :], ptr, axis=0)
    gram[:, 1, 1] += gram[:, 1, 1] == 0
    moment = np.add.reduceat(places[:, :, None] * rises[:, None, :], ptr, axis=0)
    slopes = np.linalg.solve(gram, moment) / reach[:, :, None]
    slopes = np.einsum("rac,rak->rck", slopes, axes)
    return slopes, heights - np.einsum("rck,rk->rc", slopes, middle)


def _directions(steps: np.ndarray, ptr: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Unit vectors from the middle of each cell to the corner that is farthest from it, (R, 2)."""
    size = np.hypot(*steps.T)
    farthest = np.flatnonzero(size == np.maximum.reduceat(size, ptr)[cell])
    farthest = farthest[np.searchsorted(farthest, ptr)]
    return steps[farthest] / size[farthest, None]
