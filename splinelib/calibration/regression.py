"""Least squares on rows that come in chunks: moments, and ridge regression."""

import torch
from torch import Tensor

# Products of this many columns or fewer are taken in float64: it costs little there.
_DOUBLE = 1024
# Rows for each column up to which a fit may follow chance more than what the columns say.
_FEW = 1.5
# Into how many stretches of rows those are divided.
_STRETCHES = 40
# Columns whose products with all before them are taken at a time.
_BLOCK = 256


def wide(values: Tensor) -> Tensor:
    """Values in float32 if they come in half precision, in which sums go wrong."""
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values


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
        offset = self.total / self.count
        square = self.square.tril()
        square += square.tril(-1).T
        return square / self.count - torch.outer(offset, offset)

    def cross_covariance(self) -> Tensor:
        """Covariance of rows and targets, shape (p, q), float64."""
        return self.cross / self.count - torch.outer(self.total / self.count, self.target_mean)


class Regression:
    """Ridge least squares of targets on rows that come in chunks.

    Solved through the covariance of the columns, or, where there are more columns than rows
    (a linear layer behind a flatten), through the inner products of the rows.
    """

    def __init__(self, columns: int, rows: int):
        self.moments = Moments() if columns <= rows else None
        self.few = rows < _FEW * columns
        self.chunks: list[tuple[Tensor, Tensor]] = []
        self.count = 0

    def add(self, rows: Tensor, targets: Tensor) -> None:
        """Add rows (r, p) and their targets (r, q)."""
        self.count += len(rows)
        if self.moments is not None:
            self.moments.add(rows, targets)
        if self.moments is None or self.few:
            self.chunks.append((rows, targets))

    def solve(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Coefficients (p, q) and constants (q,), float64.

        ``ridge`` is added to the covariance of the columns, as a share of its mean diagonal.
        """
        tiny = torch.finfo(torch.float64).tiny
        if self.moments is not None:
            covariance = self.moments.covariance()
            covariance.diagonal().add_((ridge * covariance.diagonal().mean()).clamp(min=tiny))
            step = _solve_positive(covariance, self.moments.cross_covariance())
            return step, self.moments.target_mean - self.moments.mean @ step
        rows = torch.cat([r for r, _ in self.chunks]).double()
        targets = torch.cat([t for _, t in self.chunks]).double()
        mean, target_mean = rows.mean(0), targets.mean(0)
        rows, targets = rows - mean, targets - target_mean
        inner = rows @ rows.T
        # The mean diagonal of the covariance is trace / (rows * columns).
        inner.diagonal().add_((ridge * inner.trace() / rows.shape[1]).clamp(min=tiny))
        step = rows.T @ _solve_positive(inner, targets)
        return step, target_mean - mean @ step

    def aside(self, ridge: float) -> tuple[float, float]:
        """Whether there is something in the fit that other rows have as well.

        Where there are few rows for the columns, a fit on three of four is tried on the others.
        They are taken in stretches, since the rows of one image follow one another and are alike.

        Returns
        -------
        error, without : float
            Sums of the squared errors there with the fit, and without any; zeros where there are
            rows enough, and where there are less than four.
        """
        if not self.few or self.count < 4:
            return 0.0, 0.0
        rows = wide(torch.cat([r for r, _ in self.chunks])).double()
        targets = wide(torch.cat([t for _, t in self.chunks])).double()
        stretch = max(1, len(rows) // _STRETCHES)
        tried = torch.arange(len(rows), device=rows.device) // stretch % 4 == 3
        fit = Regression(rows.shape[1], int((~tried).sum()))
        fit.add(rows[~tried], targets[~tried])
        step, constant = fit.solve(ridge)
        rest = targets[tried] - rows[tried] @ step - constant
        return float(rest.square().sum()), float(targets[tried].square().sum())


def _solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve a symmetric system that is positive definite, or was but for rounding.

    Where it is not, of all best solutions the shortest.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        return torch.linalg.pinv(matrix, hermitian=True) @ right
    return torch.cholesky_solve(right, factor)
