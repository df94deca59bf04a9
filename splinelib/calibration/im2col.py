"""A layer's inputs and outputs as rows of a matrix.

A convolution is a linear map of patches. Its inputs become a matrix with one row for
each (image, position) and one column for each weight of a kernel (im2col); a linear
layer's inputs are such a matrix already.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

# Elements of the rows that are turned into patches at a time: 34 MB in float32.
CHUNK = 1 << 23


def columns(layer: nn.Module) -> int:
    """Weights of one kernel: the fan-in of one output."""
    return layer.weight[0].numel()


def rows_shape(layer: nn.Module, values: Tensor) -> tuple[int, ...]:
    """(inputs, *positions) of what a layer reads or says: (N, H, W) for images."""
    return (len(values), *(values.shape[2:] if isinstance(layer, _ConvNd) else values.shape[1:-1]))


def rows_made(layer: nn.Module, inputs: Tensor) -> int:
    """How many rows a layer makes of its inputs: one for each input and position."""
    if not isinstance(layer, _ConvNd):
        return math.prod(inputs.shape[:-1])
    pads = _padding(layer)
    sizes = [size + pads[-2 * i - 2] + pads[-2 * i - 1] for i, size in enumerate(inputs.shape[2:])]
    return len(inputs) * math.prod(output_size(layer, sizes))


def channels_at_the_end(layer: nn.Module, values: Tensor) -> Tensor:
    """What a layer reads or says with its channels as the last dimension."""
    return values.movedim(1, -1) if isinstance(layer, _ConvNd) else values


def applied(layer: nn.Module, inputs: Tensor, weight: Tensor) -> Tensor:
    """What a plain layer says of its inputs with another weight, and without a bias.

    The weight may have other numbers of outputs and channels than the layer's own.
    """
    if not isinstance(layer, _ConvNd):
        return F.linear(inputs, weight)
    run = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[weight.ndim]
    zeros = layer.padding_mode == "zeros"
    inputs, padding = (inputs, layer.padding) if zeros else (with_padding(layer, inputs), 0)
    return run(inputs, weight, None, layer.stride, padding, layer.dilation, layer.groups)


def output_rows(layer: nn.Module, output: Tensor, rows: Tensor) -> Tensor:
    """The given rows of a layer's output, shape (R, out)."""
    output = channels_at_the_end(layer, output)
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
    for part in read.split(max(1, CHUNK // (read.shape[1] * places.shape[1]))):
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
    inputs = channels_at_the_end(layer, inputs)
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
    padded = with_padding(layer, inputs)
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    positions = output_size(layer, padded.shape[2:])
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


def with_padding(layer: _ConvNd, inputs: Tensor) -> Tensor:
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return F.pad(inputs, _padding(layer), mode=mode)


def _padding(layer: _ConvNd) -> list[int]:
    """Padding in the order of `F.pad`, last dimension first, as the forward of the layer takes it.

    With zeros that is what ``padding`` says now, which may have been changed (as where a stride is
    exchanged for a dilation); in other modes what it was when the layer was made.
    """
    if layer.padding_mode != "zeros" or layer.padding == "valid":
        return list(layer._reversed_padding_repeated_twice)
    if layer.padding == "same":
        total = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [pad for both in reversed(total) for pad in (both // 2, both - both // 2)]
    return [pad for both in reversed(layer.padding) for pad in (both, both)]


def output_size(layer: _ConvNd, padded: Sequence[int]) -> tuple[int, ...]:
    """Positions along each dimension at which a padded image is looked at."""
    sides = zip(padded, layer.kernel_size, layer.stride, layer.dilation, strict=True)
    return tuple((size - d * (k - 1) - 1) // s + 1 for size, k, s, d in sides)


def _unravel(flat: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    index = []
    for size in reversed(shape):
        index.append(flat % size)
        flat = flat // size
    return tuple(reversed(index))
