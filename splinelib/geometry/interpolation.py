"""New vertices between old ones, and values there of functions that are affine in between."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass
class NewVertices:
    """New vertices, each at ``(1 - t) * a + t * b`` for two older vertices.

    Attributes
    ----------
    a, b : ndarray of int, shape (N,)
    t : ndarray of float64 in (0, 1), shape (N,)
    slack : ndarray of float64, shape (N,)
        How far rounding may have moved t.
    """

    a: np.ndarray
    b: np.ndarray
    t: np.ndarray
    slack: np.ndarray

    def interpolate(self, values: np.ndarray) -> np.ndarray:
        """Values at the new vertices, shape (N, ...), from values (V, ...) at the old ones."""
        t = self.t.reshape(-1, *[1] * (values.ndim - 1))
        start = values[self.a]
        return start + t * (values[self.b] - start)

    def look_up(self, values: np.ndarray, vertex: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Value of one function at one vertex, for each of several pairs.

        Parameters
        ----------
        values : ndarray of float64, shape (V, U)
            At the old vertices.
        vertex : ndarray of int, shape (K,)
            Old vertices; from V on the new ones.
        unit : ndarray of int, shape (K,)

        Returns
        -------
        ndarray of float64, shape (K,)
        """
        new = vertex >= len(values)
        if not new.any():
            return values[vertex, unit]
        at = np.where(new, vertex - len(values), 0)
        low = np.where(new, self.a[at], vertex)
        high = np.where(new, self.b[at], vertex)
        t = np.where(new, self.t[at], 0.0)
        start = values[low, unit]
        return start + t * (values[high, unit] - start)


def extended(added: list[NewVertices], *values: np.ndarray) -> np.ndarray:
    """Values side by side, at the old vertices and at the new ones.

    Parameters
    ----------
    added : list of NewVertices
        Later ones may lie between earlier ones.
    values : ndarrays of float64, shape (V, U) each
        At the old vertices, affine along the edges.

    Returns
    -------
    ndarray of float64, shape (V + new, sum of U)
        Where nothing is to be done, the array that was given.
    """
    values = [v for v in values if v.shape[1]] or list(values[:1])
    if len(values) == 1 and not added:
        return values[0]
    end, columns = len(values[0]), np.cumsum([0, *(v.shape[1] for v in values)])
    out = np.empty((end + sum(len(new.t) for new in added), columns[-1]))
    for start, part in zip(columns, values, strict=False):
        out[:end, start : start + part.shape[1]] = part
    whole = torch.from_numpy(out)
    for new in added:
        begin, end = end, end + len(new.t)
        start, stop = (whole[torch.from_numpy(i)] for i in (new.a, new.b))
        # faster than NumPy's four passes
        torch.lerp(start, stop, torch.from_numpy(new.t)[:, None], out=whole[begin:end])
    return out
