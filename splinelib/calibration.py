"""Rows for least squares: what a layer reads and says on calibration inputs.

A convolution is a linear map of patches. Its inputs become a matrix with one row for
each (image, position) and one column for each weight of a kernel (im2col); a linear
layer's inputs are such a matrix already. Where there are more rows than a regression
needs, a seeded sample of them is taken.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .trace import evaluating

# Rows of a regression for each of its columns, and at least this many altogether. With twice as
# many a full-width VGG-16 comes no closer: the squared error of the logits of held-out images is
# the same at 30 and 50 % removed, and lower by half a percent of itself at 70 %.
_ROWS_PER_COLUMN = 4
_MIN_ROWS = 16384
# Products of this many columns or fewer are taken in float64: it costs little there.
_DOUBLE = 1024
# Columns whose products with all before them are taken at a time.
_BLOCK = 256
# Rows that are turned into patches at a time, in float32 elements.
_CHUNK = 1 << 25
# Inputs that pass through a network at a time; of images on a CPU so few that what one layer
# hands to the next stays in the cache.
_BATCH, _BATCH_OF_IMAGES = 256, 64


def batches(data: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """A batch of the data at a time, and the rows of the other tensors that go with it."""
    images = data.ndim > 2 and data.device.type == "cpu"
    size = _BATCH_OF_IMAGES if images else _BATCH
    return zip(*(tensor.split(size) for tensor in (data, *others)), strict=True)


def channels_last(model: nn.Module, data: Tensor) -> Tensor:
    """Images with their channels side by side in memory, where the model takes them so.

    On a CPU a network of convolutions is then faster by a third, and a patch is a few runs of
    memory. A model that calls ``view`` on its activations refuses: it gets the data as they are.
    """
    if data.ndim != 4 or data.device.type != "cpu":
        return data
    try:
        with evaluating(model), torch.no_grad():
            model(data[:1].contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        return data
    return data.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def observe(model: nn.Module, data: Tensor, hooks: Iterable[tuple[str, Callable]]) -> None:
    """Run the model on all data, in batches, with forward hooks on modules that are named."""
    data, modules = channels_last(model, data), dict(model.named_modules())
    handles = [modules[name].register_forward_hook(hook) for name, hook in hooks]
    try:
        with evaluating(model):
            for (batch,) in batches(data):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()


def columns(layer: nn.Module) -> int:
    """Weights of one kernel: the fan-in of one output."""
    return layer.weight[0].numel()


def rows_needed(layer: nn.Module) -> int:
    """Enough rows for a stable regression on all columns of a layer."""
    return max(_MIN_ROWS, _ROWS_PER_COLUMN * columns(layer))


def sample_rows(available: int, needed: int, seed: int) -> Tensor:
    """Sorted row numbers, all of them or a seeded sample without repetition, int64."""
    if available <= needed:
        return torch.arange(available)
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(available, generator=generator)[:needed].sort().values


class RowSample:
    """A seeded sample of rows, one for each (input, position), that pass by in batches.

    Parameters
    ----------
    inputs : int
        How many there are in all batches.
    needed : int
        Rows to choose; all are taken if there are no more.
    seed : int

    Attributes
    ----------
    rows : Tensor, int64
        Row numbers, sorted; known from the first batch on.
    """

    def __init__(self, inputs: int, needed: int, seed: int):
        self.inputs, self.needed, self.seed = inputs, needed, seed
        self.rows, self._start = None, 0

    def next(self, shape: Sequence[int]) -> Tensor:
        """Chosen rows of the next batch, counted within it; ``shape`` is (n, *positions)."""
        if self.rows is None:
            available = self.inputs * math.prod(shape[1:])
            self.rows = sample_rows(available, self.needed, self.seed)
        start, self._start = self._start, self._start + math.prod(shape)
        first, last = torch.searchsorted(self.rows, torch.tensor([start, self._start])).tolist()
        return self.rows[first:last] - start


class Outputs:
    """What a layer says at a sample of rows, enough for a regression on what it reads.

    Parameters
    ----------
    layer : torch.nn.Module
    inputs : int
        How many there are in all batches.
    seed : int
    channels : Tensor, int64, optional
        Those to keep; all if it is not given.
    """

    def __init__(self, layer: nn.Module, inputs: int, seed: int, channels: Tensor | None = None):
        self.sample, self.channels = RowSample(inputs, rows_needed(layer), seed), channels
        self._parts: list[Tensor] = []

    def hook(self, layer: nn.Module, _, output: Tensor) -> None:
        """A forward hook for the layer: note the chosen rows of this batch."""
        said = output_rows(layer, output, self.sample.next(rows_shape(layer, output)))
        self._parts.append(_chosen(said, self.channels))

    def values(self, channels: Tensor | None = None) -> Tensor:
        """What was said in those of the channels, shape (R, channels)."""
        self._parts = [torch.cat(self._parts)]
        return _chosen(self._parts[0], channels)


def _chosen(rows: Tensor, channels: Tensor | None) -> Tensor:
    return rows if channels is None else rows[:, channels.to(rows.device)]


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
    """Solve a symmetric system that is positive definite, or was but for rounding.

    Where it is not, of all best solutions the shortest.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        return torch.linalg.pinv(matrix, hermitian=True) @ right
    return torch.cholesky_solve(right, factor)


def rows_shape(layer: nn.Module, values: Tensor) -> tuple[int, ...]:
    """(inputs, *positions) of what a layer reads or says: (N, H, W) for images."""
    return (len(values), *(values.shape[2:] if isinstance(layer, _ConvNd) else values.shape[1:-1]))


def output_rows(layer: nn.Module, output: Tensor, rows: Tensor) -> Tensor:
    """The given rows of a layer's output, shape (R, out)."""
    if isinstance(layer, _ConvNd):
        output = output.movedim(1, -1)
    if output.ndim == 2:
        return output[rows.to(output.device)]
    index = _unravel(rows.to(output.device), output.shape[:-1])
    return output[index]


def patches(layer: nn.Module, inputs: Tensor, rows: Tensor) -> Iterator[Tensor]:
    """The patches that make the given output rows, in chunks of shape (r, k, channels).

    ``k`` is the number of kernel taps (1 for a linear layer). `taps_first` brings the layer's
    weight into the same order, so that it maps a patch to the output row, bias aside.
    """
    places = _places(layer, inputs)
    read = _places_read(layer, inputs, rows)
    for part in read.split(max(1, _CHUNK // (read.shape[1] * places.shape[1]))):
        patch = places.index_select(0, part.flatten().clamp(min=0))
        yield patch.masked_fill_(part.view(-1, 1) < 0, 0).view(*part.shape, -1)


def pixels(layer: nn.Module, inputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """What the patches of the given output rows hold, every place of the input but once.

    Returns
    -------
    values : Tensor, shape (p, channels)
        The places that are read; padding, if any is, comes last, as a row of zeros.
    counts : Tensor, shape (p,), int64
        By how many kernel taps, over all rows, each is read.
    """
    places = _places(layer, inputs)
    counts = torch.bincount(_places_read(layer, inputs, rows).flatten() + 1)
    padding, counts = counts[0], counts[1:]
    used = counts.nonzero().flatten()
    values, counts = places[used], counts[used]
    if padding:
        values = torch.cat([values, values.new_zeros(1, values.shape[1])])
        counts = torch.cat([counts, padding[None]])
    return values, counts


def taps_first(weight: Tensor) -> Tensor:
    """A layer's weight (out, channels, *kernel) as (out, k, channels), the order of `patches`."""
    return weight.reshape(*weight.shape[:2], -1).transpose(1, 2)


def _places(layer: nn.Module, inputs: Tensor) -> Tensor:
    """A layer's inputs as one row of channels for each place."""
    if isinstance(layer, _ConvNd):
        inputs = inputs.movedim(1, -1)
    return inputs.reshape(-1, inputs.shape[-1])


def _places_read(layer: nn.Module, inputs: Tensor, rows: Tensor) -> Tensor:
    """Which place each kernel tap reads for the given output rows, (R, k); -1 for padding."""
    rows = rows.to(inputs.device)
    if not isinstance(layer, _ConvNd):
        return rows[:, None]
    # Numbers as the pixels of an image with one channel, which is padded and cut into windows
    # like any other; as floats, since padding by reflection takes no integers.
    shape = (len(inputs), 1, *inputs.shape[2:])
    number = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64, device=inputs.device)
    view, positions = _windows(layer, number.view(shape))
    image, *place = _unravel(rows, (len(inputs), *positions))
    return view[(image, *place)].flatten(1).long() - 1


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
