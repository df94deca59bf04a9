"""Values of a network on the rectangle, as combinations of few basis functions.

The basis functions are the two coordinates and the outputs of units that bend on the rectangle.
All other units are affine in those that came before.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor, from_numpy

from .interpolation import NewVertices, extended


@dataclass
class Combination:
    """A value of the network on the rectangle: a constant plus a combination of functions.

    Attributes
    ----------
    functions : ndarray of int, shape (n,)
        Numbers of basis functions, increasing.
    rows : Tensor of float64, shape (1 + n, *shape)
        The constant, and the coefficient of each function.
    size : Tensor of float64, shape (1, *shape)
        How large the terms are that the value is a sum of: bounds what rounding can do.
    """

    functions: np.ndarray
    rows: Tensor
    size: Tensor

    def over(self, functions: np.ndarray) -> Tensor:
        """The rows for more functions, shape (1 + m, *shape); zero for those that do not occur."""
        if len(functions) == len(self.functions):
            return self.rows
        rows = self.rows.new_zeros(1 + len(functions), *self.rows.shape[1:])
        rows[0] = self.rows[0]
        rows[from_numpy(1 + np.searchsorted(functions, self.functions))] = self.rows[1:]
        return rows

    def minus(self, other: "Combination") -> "Combination":
        """The difference of two values."""
        functions = np.union1d(self.functions, other.functions)
        rows = self.over(functions) - other.over(functions)
        return Combination(functions, rows, self.size + other.size)

    def flat_rows(self) -> np.ndarray:
        """The rows, float64, shape (1 + n, U)."""
        return self.rows.reshape(len(self.rows), -1).numpy()

    def flat_size(self) -> np.ndarray:
        """The sizes, float64, shape (U,)."""
        return self.size.expand(1, *self.rows.shape[1:]).reshape(-1).numpy()


class Basis:
    """The functions that values are combined of, at the vertices of the mesh.

    Attributes
    ----------
    numbers : ndarray of int, shape (n,)
        Increasing; those of functions that are no longer needed are not used again.
    values : ndarray of float64, shape (V, n)
    largest : ndarray of float64, shape (n,)
        Largest absolute value of each on the rectangle.
    """

    def __init__(self):
        """The two coordinates of the rectangle, from -1 to 1."""
        self.numbers = np.arange(2)
        self.values = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        self.largest = np.ones(2)
        self._made = 2

    def grow(self, values: np.ndarray) -> np.ndarray:
        """Add functions.

        Parameters
        ----------
        values : ndarray of float64, shape (V, n + k)
            Those that there are, and k new ones, at the vertices of today.

        Returns
        -------
        ndarray of int, shape (k,)
            Numbers of the new functions.
        """
        new = values[:, len(self.numbers) :]
        numbers = self._made + np.arange(new.shape[1])
        self._made += new.shape[1]
        self.values, self.numbers = values, np.concatenate([self.numbers, numbers])
        # Between vertices a function is smaller than at one of them.
        self.largest = np.concatenate([self.largest, np.maximum(new.max(0), -new.min(0))])
        return numbers

    def keep(self, used: Iterable[np.ndarray]) -> None:
        """Drop the functions that are in none of several arrays of numbers."""
        kept = np.isin(self.numbers, np.concatenate(list(used)))
        if not kept.all():
            self.values, self.numbers = self.values[:, kept], self.numbers[kept]
            self.largest = self.largest[kept]

    def extend(self, added: list[NewVertices]) -> None:
        """Follow the mesh, which has new vertices."""
        self.values = extended(added, self.values)

    def columns(self, functions: np.ndarray) -> np.ndarray:
        """Values of some functions at the vertices, float64, shape (V, m)."""
        if len(functions) == len(self.numbers):
            return self.values
        return self.values[:, np.searchsorted(self.numbers, functions)]

    def evaluate(self, functions: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Values at the vertices, float64 (V, U), of combinations with rows (1 + m, U)."""
        out = self.columns(functions) @ rows[1:]
        out += rows[0]
        return out

    def bound(self, functions: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Bounds of the terms' absolute values, float64 (U,), of combinations (1 + m, U)."""
        largest = self.largest[np.searchsorted(self.numbers, functions)]
        size = np.abs(rows[0])
        for start in range(1, len(rows), 64):
            size += largest[start - 1 : start + 63] @ np.abs(rows[start : start + 64])
        return size
