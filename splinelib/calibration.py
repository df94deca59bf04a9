"""Rows for least squares: what a layer reads and says on calibration inputs.

A convolution is a linear map of patches. Its inputs become a matrix with one row for
each (image, position) and one column for each weight of a kernel (im2col); a linear
layer's inputs are such a matrix already. Where there are more rows than a regression
needs, a seeded sample of them is taken.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .trace import evaluating

# Rows of a regression for each of its columns, and at least this many altogether.
_ROWS_PER_COLUMN = 8
_MIN_ROWS = 16384
# Products of this many columns or fewer are taken in float64: it costs little there.
_DOUBLE = 1024
# Columns whose products with all before them are taken at a time.
_BLOCK = 256
# Rows that are turned into patches at a time, in float32 elements.
_CHUNK = 1 << 25


def batches(data: Tensor, size: int = 256) -> tuple[Tensor, ...]:
    """The data, ``size`` rows at a time."""
    return data.split(size)


def observe(model: nn.Module, data: Tensor, hooks: Iterable[tuple[str, Callable]]) -> None:
    """Run the model on all data, in batches, with forward hooks on modules that are named."""
    modules = dict(model.named_modules())
    handles = [modules[name].register_forward_hook(hook) for name, hook in hooks]
    try:
        with evaluating(model):
            for batch in batches(data):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()


def columns(layer: nn.Module) -> int:
    """Weights of one kernel: the fan-in of one output."""
    return layer.weight[0].numel()


def output_positions(layer: nn.Module, output: Tensor) -> tuple[int, ...]:
    """Positions that one image has in a layer's output: () for (N, F), (H, W) for images."""
    return tuple(output.shape[2:] if isinstance(layer, _ConvNd) else output.shape[1:-1])


def sample_rows(available: int, needed: int, seed: int) -> Tensor:
    """Sorted row numbers, all of them or a seeded sample without repetition, int64."""
    if available <= needed:
        return torch.arange(available)
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(available, generator=generator)[:needed].sort().values


def rows_between(rows: Tensor, start: int, stop: int) -> Tensor:
    """Those of the sorted rows that lie in [start, stop), counted from start."""
    first, last = torch.searchsorted(rows, torch.tensor([start, stop])).tolist()
    return rows[first:last] - start


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

    def add(self, rows: Tensor, targets: Tensor | None = None) -> None:
        """Add rows (r, p), and targets (r, q) if a regression on them is wanted."""
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
        self.count += len(rows)
        self.total += rows.sum(0)
        if not self.products:
            self.square += rows.square().sum(0)
            return
        # On and below the diagonal only; what lies above it is the same.
        for start in range(0, width, _BLOCK):
            stop = start + _BLOCK
            self.square[start:stop, :stop] += rows[:, start:stop].T @ rows[:, :stop]
        if targets is not None:
            self.target_total += targets.sum(0, dtype=torch.float64)
            self.cross += rows.T @ targets

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
        self.chunks: list[tuple[Tensor, Tensor]] = []

    def add(self, rows: Tensor, targets: Tensor) -> None:
        """Add rows (r, p) and their targets (r, q)."""
        if self.moments is not None:
            self.moments.add(rows, targets)
        else:
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


def _solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve a symmetric system that is positive definite, unless by a rounding step."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        return torch.linalg.solve(matrix, right)
    return torch.cholesky_solve(right, factor)


def rows_needed(layer: nn.Module) -> int:
    """Enough rows for a stable regression on all columns of a layer."""
    return max(_MIN_ROWS, _ROWS_PER_COLUMN * columns(layer))


def output_rows(layer: nn.Module, output: Tensor, rows: Tensor) -> Tensor:
    """The given rows of a layer's output, shape (R, out)."""
    if isinstance(layer, _ConvNd):
        output = output.movedim(1, -1)
    if output.ndim == 2:
        return output[rows.to(output.device)]
    index = _unravel(rows.to(output.device), output.shape[:-1])
    return output[index]


def patches(layer: nn.Module, inputs: Tensor, rows: Tensor) -> Iterator[Tensor]:
    """The patches that make the given output rows, in chunks of shape (r, channels, k).

    ``k`` is the number of kernel taps (1 for a linear layer). ``layer.weight`` flattened
    to (out, channels / groups, k) maps a patch to the output row, bias aside.
    """
    rows = rows.to(inputs.device)
    if not isinstance(layer, _ConvNd):
        flat = inputs.reshape(-1, inputs.shape[-1])
        for part in rows.split(max(1, _CHUNK // flat.shape[1])):
            yield flat[part].unsqueeze(-1)
        return
    view, positions = _windows(layer, inputs)
    taps = layer.weight[0, 0].numel()
    for part in rows.split(max(1, _CHUNK // (inputs.shape[1] * taps))):
        image, *place = _unravel(part, (len(inputs), *positions))
        yield view[(image, *place)].flatten(2)


def _windows(layer: _ConvNd, inputs: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """A view (N, *positions, channels, *kernel) of the padded inputs; nothing is copied."""
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(inputs, layer._reversed_padding_repeated_twice, mode=mode)
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    positions = tuple(
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip(padded.shape[2:], kernel, stride, dilation, strict=True)
    )
    steps = padded.stride()
    view = padded.as_strided(
        (len(padded), *positions, padded.shape[1], *kernel),
        (
            steps[0],
            *(a * s for a, s in zip(steps[2:], stride, strict=True)),
            steps[1],
            *(a * d for a, d in zip(steps[2:], dilation, strict=True)),
        ),
    )
    return view, positions


def _unravel(flat: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    index = []
    for size in reversed(shape):
        index.append(flat % size)
        flat = flat // size
    return tuple(reversed(index))
