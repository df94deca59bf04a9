"""Boxes of inputs: checked, and the largest value of linear functions on them."""

import torch
from torch import Tensor

from .ranges import Range


class Box:
    """Inputs between a lowest and a highest one, element by element; several boxes at once.

    Parameters
    ----------
    low, high : Tensor, shape (B, ...)

    Raises
    ------
    TypeError
        If they are not two tensors of real numbers.
    ValueError
        If they differ in shape, are empty, hold NaN or infinity, or low lies above high.
    """

    def __init__(self, low: Tensor, high: Tensor):
        self.range = Range(low, high)
        self._centre = self.range.centre()
        self._radius = self.range.radius(self._centre)

    @classmethod
    def checked(cls, box: tuple[Tensor, Tensor]) -> "Box":
        """A box from what a caller gives."""
        if not isinstance(box, tuple | list) or len(box) != 2:
            raise TypeError(
                "box should be two tensors, (low, high): for a ball of radius r in the largest "
                "norm around x, (x - r, x + r)"
            )
        if not all(isinstance(end, Tensor) and end.is_floating_point() for end in box):
            kinds = " and ".join(
                str(end.dtype) if isinstance(end, Tensor) else type(end).__name__ for end in box
            )
            raise TypeError(f"box should be two floating point tensors, not {kinds}")
        low, high = (end.detach().to("cpu", torch.float64) for end in box)
        if low.shape != high.shape:
            raise ValueError(
                f"low has shape {tuple(low.shape)} and high {tuple(high.shape)}: they should have "
                "the same, (N, ...), a row for each box"
            )
        if low.dim() == 1:
            low, high = low[None], high[None]
        if low.numel() == 0 or low.dim() == 0:
            raise ValueError(
                f"the box is empty, of shape {tuple(low.shape)}: give a row for each box, (N, ...)"
            )
        if not (low.isfinite().all() and high.isfinite().all()):
            raise ValueError(
                "the box holds NaN or infinite ends: the change of a network is bounded on "
                "bounded boxes only"
            )
        above = low > high
        if above.any():
            place = tuple(above.nonzero()[0].tolist())
            raise ValueError(
                f"low lies above high at {place}: {low[place].item():g} > {high[place].item():g}"
            )
        return cls(low, high)

    def __len__(self) -> int:
        return len(self.range.low)

    def part(self, start: int, stop: int) -> "Box":
        """Some of the boxes."""
        return Box(self.range.low[start:stop], self.range.high[start:stop])

    def most(self, coefficients: Tensor) -> Tensor:
        """The largest value of linear functions (B, R, ...), up to rounding, (B, R)."""
        c = coefficients.flatten(2)
        centre, radius = self._centre.flatten(1), self._radius.flatten(1)
        return torch.einsum("brn,bn->br", c, centre) + torch.einsum("brn,bn->br", c.abs(), radius)
