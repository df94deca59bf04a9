"""Smallest and largest values, elementwise, in float64, and how far rounding may take them."""

from dataclasses import dataclass

import torch
from torch import Tensor

EPS = torch.finfo(torch.float64).eps / 2  # of one rounding to the nearest, relative


@dataclass(frozen=True)
class Range:
    """Every value lies between two: ``low <= value <= high``, elementwise.

    Attributes
    ----------
    low, high : Tensor of float64, shape (B, ...)
        A row for each box.
    """

    low: Tensor
    high: Tensor

    def largest(self) -> Tensor:
        """The largest absolute value."""
        return torch.maximum(self.low.abs(), self.high.abs())

    def within(self, other: "Range") -> "Range":
        """What two ranges have in common; both hold the value."""
        return Range(torch.maximum(self.low, other.low), torch.minimum(self.high, other.high))

    def minus(self, other: "Range") -> "Range":
        """The range of a difference, rounded outward."""
        return Range(down(self.low - other.high), up(self.high - other.low))

    def plus(self, other: "Range") -> "Range":
        """The range of a sum, rounded outward."""
        return Range(down(self.low + other.low), up(self.high + other.high))

    def outward(self) -> "Range":
        """The range of what was rounded once."""
        return Range(down(self.low), up(self.high))

    def centre(self) -> Tensor:
        return self.low + (self.high - self.low) / 2

    def radius(self, centre: Tensor) -> Tensor:
        """How far from its centre a value may be, rounded up."""
        return up(torch.maximum(self.high - centre, centre - self.low))


def hull(one: Range, other: Range) -> Range:
    """The range of a value that lies in one range or in the other."""
    return Range(torch.minimum(one.low, other.low), torch.maximum(one.high, other.high))


def up(x: Tensor) -> Tensor:
    """The next larger numbers, but for zeros, which stay: a sum that is zero is not rounded."""
    return torch.where(x == 0, x, torch.nextafter(x, torch.full_like(x, torch.inf)))


def down(x: Tensor) -> Tensor:
    """The next smaller numbers, but for zeros."""
    return torch.where(x == 0, x, torch.nextafter(x, torch.full_like(x, -torch.inf)))
