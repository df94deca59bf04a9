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
