"""A plane through input space, and its coordinates."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


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
        origin, right, up = _spanning(x0, x1, x2)
        return cls(origin, right, up)

    @classmethod
    def orthonormal(cls, x0: Tensor, x1: Tensor, x2: Tensor) -> "Plane":
        """The plane of three points with coordinates that are distances in input space.

        (0, 0) is x0, x1 lies on the first axis, and x2 above it. A disc in these coordinates is a
        disc of inputs.

        Parameters
        ----------
        x0, x1, x2 : Tensor, shape of one input, without a batch dimension

        Raises
        ------
        ValueError
            As for `through`.

        Examples
        --------
        >>> import torch
        >>> plane = Plane.orthonormal(torch.zeros(2), torch.tensor([2.0, 0]), torch.ones(2))
        >>> plane.right.tolist(), plane.up.tolist()
        ([1.0, 0.0], [0.0, 1.0])
        """
        origin, right, up = _spanning(x0, x1, x2)
        right = right / right.norm()
        for _ in range(2):  # once more for what rounding leaves where the points nearly line up
            up = up - (up * right).sum() * right
        return cls(origin, right, up / up.norm())

    def coordinates(self, inputs: Tensor) -> np.ndarray:
        """Coordinates of the nearest points of the plane, float64 (N, 2), for inputs (N, ...)."""
        axes = torch.stack([self.right.flatten(), self.up.flatten()])
        offsets = (torch.as_tensor(inputs).detach().double().cpu() - self.origin).flatten(1)
        return torch.linalg.solve(axes @ axes.T, axes @ offsets.T).T.numpy()

    def __call__(self, uv) -> Tensor:
        """Inputs at plane coordinates, float64, shape (N, *input_shape), for uv (N, 2)."""
        uv = torch.as_tensor(np.asarray(uv, np.float64))
        shape = (-1, *[1] * self.origin.dim())
        u, v = uv[:, 0].reshape(shape), uv[:, 1].reshape(shape)
        return self.origin + u * self.right + v * self.up


def _spanning(*points) -> tuple[Tensor, Tensor, Tensor]:
    """The first of three points, and the steps from it to the others; checked, in float64."""
    points = [torch.as_tensor(x).detach().double().cpu() for x in points]
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
    return points[0], right, up
