"""Ridge regression on rows that come in chunks.

What a regression holds grows with the square of its columns. Where that would be more than
`HELD` bytes, `StreamedRegression` finds the same by conjugate gradients, which take products with
the rows in each step and hold four matrices of the size of the result.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .moments import Moments, mirrored, precise
from .parts import in_part, parts_tried

# Rows for each column up to which a fit may follow chance more than what the columns say, and rows
# that are few of however few columns.
_FEW, _FEW_ROWS = 1.5, 64
# Bytes that a regression may hold.
HELD = 1_200_000_000
# Conjugate gradients stop once what is left to solve is such a share of what was there, or after
# so many steps. The products of rows are taken in float32, as those of `Moments` are.
_LEFT, _STEPS = 1e-6, 400


class Regression:
    """Ridge least squares of targets on rows that come in chunks.

    Solved through the covariance of the columns, or, where there are more columns than rows
    (a linear layer behind a flatten), through the inner products of the rows.
    """

    def __init__(self, columns: int, rows: int):
        self.moments = Moments() if columns <= rows else None
        self.few = _are_few(columns, rows)
        self.chunks: list[tuple[Tensor, Tensor]] = []
        self.count = 0

    def add(self, rows: Tensor, targets: Tensor) -> None:
        """Add rows (r, p) and their targets (r, q)."""
        self.count += len(rows)
        if self.moments is not None:
            self.moments.add(rows, targets)
        if self.moments is None or self.few:
            self.chunks.append((rows, targets))

    def spread(self) -> Tensor:
        """Mean variance of the columns, float64."""
        if self.moments is not None:
            return self.moments.variance().mean()
        return self._doubles(0).var(0, correction=0).mean()

    def solve(self, ridge: float, spread: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Coefficients (p, q) and constants (q,), float64.

        ``ridge`` is added to the covariance of the columns, as a share of a mean variance: that of
        these columns, unless a ``spread`` is given.
        """
        tiny = torch.finfo(torch.float64).tiny
        if self.moments is not None:
            covariance = self.moments.lower_covariance()
            spread = covariance.diagonal().mean() if spread is None else spread
            covariance.diagonal().add_((ridge * spread).clamp(min=tiny))
            step = _solve_positive(covariance, self.moments.cross_covariance())
            return step, self.moments.target_mean - self.moments.mean @ step
        rows, targets = self._doubles(0), self._doubles(1)
        mean, target_mean = rows.mean(0), targets.mean(0)
        rows -= mean
        targets -= target_mean
        inner = rows @ rows.T
        if spread is None:
            spread = inner.trace() / rows.numel()
        inner.diagonal().add_((ridge * spread * len(rows)).clamp(min=tiny))
        step = rows.T @ _solve_positive(inner, targets)
        return step, target_mean - mean @ step

    def constant(self) -> tuple[Tensor, Tensor]:
        """As `solve`, of a fit that does not look at the rows: the mean of the targets."""
        if self.moments is not None:
            mean, columns = self.moments.target_mean, len(self.moments.total)
        else:
            columns, mean = self.chunks[0][0].shape[1], self._doubles(1).mean(0)
        return mean.new_zeros(columns, len(mean)), mean

    def aside(self, ridge: float, spread: Tensor | None = None) -> tuple[float, float, float]:
        """Whether there is something in the fit that other rows have as well.

        Where there are few rows for the columns, fits on three of four are tried on the others:
        each of the four `parts` is left out once, or of many rows one part. Of a single row there
        is none to try a fit on: see `solved`.

        Returns
        -------
        error, shifted, without : float
            Sums of the squared errors there with the fits, with their `constant` and without any;
            zeros where there are rows enough.
        """
        error = shifted = without = 0.0
        if not self.few:
            return error, shifted, without
        for part in parts_tried(self.count):
            tried = in_part(part, self.count, self.count)
            fit = Regression(self.chunks[0][0].shape[1], int((~tried).sum()))
            for rows, targets in self._where(~tried):
                fit.add(rows, targets)
            (step, constant), (_, mean) = fit.solve(ridge, spread), fit.constant()
            for rows, targets in self._where(tried):
                missing = targets.double()
                error += float((missing - rows.double() @ step - constant).square().sum())
                shifted += float((missing - mean).square().sum())
                without += float(missing.square().sum())
        return error, shifted, without

    def _where(self, which: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The chunks of these rows."""
        lengths = [len(rows) for rows, _ in self.chunks]
        for (rows, targets), here in zip(self.chunks, which.split(lengths), strict=True):
            if here.any():
                yield rows[here.to(rows.device)], targets[here.to(rows.device)]

    def _doubles(self, side: int) -> Tensor:
        """All rows, or all targets, in float64. They are not held a third time in between."""
        first = self.chunks[0][side]
        whole = first.new_empty(self.count, first.shape[1], dtype=torch.float64)
        torch.cat([chunk[side] for chunk in self.chunks], out=whole)
        return whole


class _Apart(NamedTuple):
    """The rows of a part, which a fit is `tried` on, or all others, which it is made of."""

    part: int
    tried: bool


class StreamedRegression:
    """The same as `Regression`, of rows that are not held.

    Parameters
    ----------
    pairs : callable
        Gives the chunks of rows (r, p) and targets (r, q), the same each time.
    columns, rows : int
        How many there are in all.
    products : callable, optional
        ``products(values, tried)``, as `fourier.FourierPatches.centred_products` of the same rows.
        Without it the rows are gone through, chunk by chunk.
    """

    def __init__(
        self,
        pairs: Callable[[], Iterator[tuple[Tensor, Tensor]]],
        columns: int,
        rows: int,
        products: Callable[[Tensor, Tensor | None], Tensor] | None = None,
    ):
        self.pairs, self.columns, self.count, self.products = pairs, columns, rows, products
        self.few = _are_few(columns, rows)

    def spread(self) -> Tensor:
        """As `Regression.spread`."""
        moments = Moments(products=False)
        for rows, _ in self.pairs():
            moments.add(rows)
        return moments.variance().mean()

    def solve(self, ridge: float, spread: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `Regression.solve`: the same to about 1e-5 of what the rows say.

        The normal equations are solved to a millionth of their right-hand side.
        """
        return self._solved(ridge, spread, None)

    def constant(self) -> tuple[Tensor, Tensor]:
        """As `Regression.constant`."""
        return self._constant(None)

    def _constant(self, apart: _Apart | None) -> tuple[Tensor, Tensor]:
        parts = [(len(each), each.sum(0, dtype=torch.float64)) for _, each in self._part(apart)]
        mean = sum(total for _, total in parts) / sum(count for count, _ in parts)
        return mean.new_zeros(self.columns, len(mean)), mean

    def aside(self, ridge: float, spread: Tensor | None = None) -> tuple[float, float, float]:
        """As `Regression.aside`."""
        error = shifted = without = 0.0
        if not self.few:
            return error, shifted, without
        for part in parts_tried(self.count):
            step, constant = self._solved(ridge, spread, _Apart(part, False))
            _, mean = self._constant(_Apart(part, False))
            for rows, targets in self._part(_Apart(part, True)):
                error += float((targets - rows.double() @ step - constant).square().sum())
                shifted += float((targets - mean).square().sum())
                without += float(targets.double().square().sum())
        return error, shifted, without

    def _part(self, apart: _Apart | None) -> Iterator[tuple[Tensor, Tensor]]:
        """The chunks of all rows, or of those that a fit is tried on, or of the others."""
        if apart is None:
            yield from self.pairs()
            return
        start = 0
        for rows, targets in self.pairs():
            which = in_part(apart.part, len(rows), self.count, start).to(rows.device) == apart.tried
            start += len(rows)
            if which.any():
                yield rows[which], targets[which]

    def _centred_products(self, values: Tensor, mean: Tensor, apart: _Apart | None) -> Tensor:
        """The products of the rows about their mean with themselves, times the values."""
        if self.products is not None:
            which = None
            if apart is not None:
                which = in_part(apart.part, self.count, self.count) == apart.tried
            return self.products(values, which)
        made = torch.zeros_like(values)
        for rows, _ in self._part(apart):
            rows = precise(rows, self.columns)
            rows = rows - mean.to(rows)
            made += (rows.T @ (rows @ values.to(rows))).double()
        return made

    def _solved(
        self, ridge: float, spread: Tensor | None, apart: _Apart | None
    ) -> tuple[Tensor, Tensor]:
        """Conjugate gradients on the normal equations, all targets side by side."""
        moments, total, cross = Moments(products=False), 0.0, 0.0
        for rows, targets in self._part(apart):
            moments.add(rows)
            rows, targets = precise(rows, self.columns), precise(targets, self.columns)
            total = total + targets.sum(0, dtype=torch.float64)
            cross = cross + ((rows - moments.origin).T @ targets.to(rows)).double()
        mean, target_mean, count = moments.mean, total / moments.count, moments.count
        right = cross / count - torch.outer(moments.total / count, target_mean)
        spread = moments.variance().mean() if spread is None else spread
        weight = (ridge * spread).clamp(min=torch.finfo(torch.float64).tiny)
        step = torch.zeros_like(right)
        left, way, square = right.clone(), right.clone(), right.square().sum(0)
        enough = _LEFT**2 * square
        for _ in range(_STEPS):
            if (square <= enough).all():
                break
            made = self._centred_products(way, mean, apart) / count + weight * way
            length = square / (way * made).sum(0).clamp(min=torch.finfo(torch.float64).tiny)
            step += length * way
            left -= length * made
            before, square = square, left.square().sum(0)
            way = left + way * torch.where(before > 0, square / before, 0)
        return step, target_mean - mean @ step


def solved(
    fits: Sequence[Regression | StreamedRegression], ridge: float, wanted: Tensor
) -> list[tuple[Tensor, Tensor]] | None:
    """What the fits of a layer's blocks find: coefficients (p, q) and constants (q,) of each.

    Where rows are so few that a fit does harm to those that it has not seen, it is the constants
    alone, without coefficients; and None where these do harm as well, or where a single row leaves
    nothing that either could be tried on.

    ``ridge`` is a share of the mean variance of a block's columns. These may hardly vary on the
    inputs that it is fitted on, as a channel whose unit is off on all of them: such a ridge would
    hold back nothing, and on inputs that switch the unit on its coefficients would be of any size.
    So in its place may be ``wanted`` (blocks,), the variance of columns from which weights as they
    are would make the targets, though not more than the mean variance over all blocks.
    """
    if fits[0].count < 2:
        return None
    spreads: Sequence[Tensor | None] = [None] * len(fits)
    if len(fits) > 1:
        own = torch.stack([fit.spread() for fit in fits])
        spreads = own.maximum(own.mean().minimum(wanted.to(own).nan_to_num(nan=torch.inf)))
    each = [fit.aside(ridge, spread) for fit, spread in zip(fits, spreads, strict=True)]
    error, shifted, without = map(sum, zip(*each, strict=True))
    if min(error, shifted) > without:
        return None
    if error > shifted:
        return [fit.constant() for fit in fits]
    return [fit.solve(ridge, spread) for fit, spread in zip(fits, spreads, strict=True)]


def held(columns: int, rows: int, each: int = 4) -> int:
    """Bytes that a `Regression` needs at most: what it holds, and what solving it takes.

    Besides what its targets take, of which `StreamedRegression` has more copies. ``each`` is the
    bytes of a number of the rows.
    """
    kept, doubles = each * rows * columns, 8 * rows * columns
    part, inner, normal = 0.75 * kept, 16 * rows**2, 24 * columns**2
    if not _are_few(columns, rows):
        return normal
    # of few rows a part is fitted aside: either that or the fit of all takes most
    if 3 * rows < 4 * columns:  # a part through inner products
        aside = kept + part + 0.75 * doubles + 0.75**2 * inner
    else:
        aside = kept + part + normal
    if columns > rows:
        return int(max(aside, kept + doubles + inner))
    return int(max(aside + 8 * columns**2, kept + normal))  # beside the moments of all


def _are_few(columns: int, rows: int) -> bool:
    """Whether a fit has to be tried on rows that it has not seen."""
    return rows < max(_FEW * columns, _FEW_ROWS)


def _solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve a symmetric system that is positive definite, or was but for rounding.

    Where it is not, of all best solutions the shortest. The lower triangle is read.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        return torch.linalg.pinv(mirrored(matrix), hermitian=True) @ right
    return torch.cholesky_solve(right, factor)
