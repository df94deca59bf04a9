"""Means and covariances of rows that come in chunks, and in which precision they are taken."""

import torch
from torch import Tensor

# Products of this many columns or fewer are taken in float64: it costs little there.
_DOUBLE = 1024
# Columns whose products with all before them are taken at a time.
_BLOCK = 256


def wide(values: Tensor) -> Tensor:
    """Values in float32 if they come in half precision, in which sums go wrong."""
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values


def precise(values: Tensor, columns: int) -> Tensor:
    """Values in the precision in which products of so many columns are taken."""
    return values.double() if columns <= _DOUBLE else wide(values)


class Moments:
    """Means and covariances of rows that come in chunks, summed in float64.

    The first chunk's mean is taken off beforehand, so that nothing is lost to cancellation.

    Parameters
    ----------
    products : bool
        Whether covariances are wanted; without them there are means and variances only.
    """

    def __init__(self, products: bool = True):
        self.count, self.products = 0, products

    def add(
        self, rows: Tensor, targets: Tensor | None = None, counts: Tensor | None = None
    ) -> None:
        """Add rows (r, p), and targets (r, q) if a regression on them is wanted.

        With ``counts`` (r,) each row stands for so many that are equal.
        """
        if not len(rows):
            return
        rows, targets = wide(rows), None if targets is None else wide(targets)
        width = rows.shape[1]
        if not self.count:
            self.origin = rows.mean(0)
            self.total = torch.zeros_like(self.origin, dtype=torch.float64)
            self.square = self.total.new_zeros((width, width) if self.products else width)
            if targets is not None:
                self.target_total = self.total.new_zeros(targets.shape[1])
                self.cross = self.total.new_zeros(width, targets.shape[1])
        rows = rows - self.origin
        if width <= _DOUBLE:
            rows = rows.double()
            targets = None if targets is None else targets.double()
        counted = rows if counts is None else rows * counts.to(rows)[:, None]
        self.count += len(rows) if counts is None else int(counts.sum())
        self.total += counted.sum(0)
        if not self.products:
            self.square += (counted * rows).sum(0)
            return
        # On and below the diagonal only; what lies above it is the same.
        for start in range(0, width, _BLOCK):
            stop = start + _BLOCK
            self.square[start:stop, :stop] += counted[:, start:stop].T @ rows[:, :stop]
        if targets is not None:
            self.cross += counted.T @ targets
            if counts is not None:
                targets = targets * counts.to(targets)[:, None]
            self.target_total += targets.sum(0, dtype=torch.float64)

    @property
    def mean(self) -> Tensor:
        return self.origin.double() + self.total / self.count

    @property
    def target_mean(self) -> Tensor:
        return self.target_total / self.count

    def variance(self) -> Tensor:
        """Variance of each column, shape (p,), float64."""
        square = self.square.diagonal() if self.products else self.square
        return square / self.count - (self.total / self.count).square()

    def covariance(self) -> Tensor:
        """Covariance of the rows, shape (p, p), float64."""
        return mirrored(self.lower_covariance())

    def lower_covariance(self) -> Tensor:
        """The same on and below the diagonal; what is above it has no meaning."""
        offset = self.total / self.count
        return (self.square / self.count).addr_(offset, offset, alpha=-1)

    def cross_covariance(self) -> Tensor:
        """Covariance of rows and targets, shape (p, q), float64."""
        return self.cross / self.count - torch.outer(self.total / self.count, self.target_mean)


def with_ridge(moment: Tensor, ridge: float) -> Tensor:
    """Second moments that can be solved, every diagonal entry larger by a share of itself.

    In proportion to each column's own, so that the scale of a column does not matter. One that is
    always 0 gets next to nothing beside the largest, whatever the scale of all.
    """
    own = moment.diagonal()
    floor = 1e-12 * torch.where(own.max() > 0, own.max(), 1)
    return moment + torch.diag((ridge * own).clamp(min=floor))


def mirrored(lower: Tensor) -> Tensor:
    """The symmetric matrix of which this is right on and below the diagonal."""
    lower = lower.tril()
    return lower + lower.tril(-1).T
