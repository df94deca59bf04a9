"""Products with the patches of a convolution, without the patches.

The matrix of all patches (`im2col`) holds each input once for every tap of the kernel. What it says
of a kernel is a correlation with the inputs, and what its transpose says is another one, so both
are products of Fourier transforms: for a kernel of 64 taps a fortieth of the time.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .im2col import CHUNK, columns, output_size, with_padding
from .moments import precise


class FourierPatches:
    """The patches that make some rows of a convolution's output, as their Fourier transform.

    It holds about twice the bytes of the inputs.

    Parameters
    ----------
    layer : torch.nn.Module
        A plain convolution; its groups are not looked at.
    inputs : Tensor, shape (N, channels, *size)
        What the layer reads, in the precision in which products are wanted.
    rows : Tensor, shape (R,), int64
        Output rows, in the order (input, *position).
    """

    def __init__(self, layer: _ConvNd, inputs: Tensor, rows: Tensor):
        from scipy.fft import next_fast_len  # takes longer to load than this package

        self.layer, image = layer, with_padding(layer, inputs)
        self.channels, self.places = image.shape[1], output_size(layer, image.shape[2:])
        self.size = tuple(next_fast_len(size, real=True) for size in image.shape[2:])
        every = tuple(range(len(self.size)))
        # Whatever a channel is lifted by has no effect on products about the mean, and without it
        # less is lost to rounding.
        image = image - image.mean((0, *(d + 2 for d in every)), keepdim=True)
        image = torch.fft.rfftn(image.movedim((0, 1), (-2, -1)), self.size, dim=every)
        self.frequencies = image.shape[: len(every)]
        self.image, self.every = image.flatten(0, -3).contiguous(), every
        taken = torch.zeros(len(inputs), *self.places, dtype=torch.bool, device=inputs.device)
        taken.view(-1)[rows.to(inputs.device)] = True
        self.taken = taken.movedim(0, -1)[..., None]

    def centred_products(self, values: Tensor, tried: Tensor | None = None) -> Tensor:
        """``P.T @ C @ P @ values``, of patches P and what takes off the mean of the rows, C.

        Parameters
        ----------
        values : Tensor, shape (taps * channels, q)
            In the order of `im2col.taps_first`.
        tried : Tensor of bool, shape (R,), optional
            Only these of the rows.

        Returns
        -------
        Tensor, shape (taps * channels, q), float64
        """
        taken = self.taken
        if tried is not None:
            taken = taken.clone()
            in_order = taken.movedim(-2, 0)  # (N, *positions, 1), a view
            in_order[in_order.clone()] = tried
        values = values.to(self.image.real.dtype)
        width = max(1, CHUNK // (math.prod(self.frequencies) * self.channels))
        made = [self._products(part, taken) for part in values.split(width, 1)]
        return torch.cat(made, 1).double()

    def _products(self, values: Tensor, taken: Tensor) -> Tensor:
        layer, outputs = self.layer, values.shape[1]
        taps = tuple(
            slice(0, d * (k - 1) + 1, d)
            for k, d in zip(layer.kernel_size, layer.dilation, strict=True)
        )
        kernel = values.new_zeros(*self.size, self.channels, outputs)
        kernel[taps] = values.view(*layer.kernel_size, self.channels, outputs)
        said = self._back(self.image @ self._there(kernel).conj())
        at = tuple(
            slice(0, s * (n - 1) + 1, s) for n, s in zip(self.places, layer.stride, strict=True)
        )
        rows = torch.where(taken, said[at], 0)
        every = tuple(range(rows.ndim - 1))
        rows = torch.where(taken, rows - rows.sum(every) / taken.sum(), 0)
        said = torch.zeros_like(said)
        said[at] = rows
        made = self._back(self.image.mT @ self._there(said).conj())
        return made[taps].reshape(values.shape)

    def _there(self, values: Tensor) -> Tensor:
        return torch.fft.rfftn(values, dim=self.every).flatten(0, -3)

    def _back(self, values: Tensor) -> Tensor:
        values = values.view(*self.frequencies, *values.shape[1:])
        return torch.fft.irfftn(values, s=self.size, dim=self.every)


def fourier_products(layer: nn.Module, inputs: Tensor, rows: Tensor) -> list[Callable | None]:
    """For each group of a layer its `FourierPatches.centred_products`.

    None where products with the patches themselves take fewer operations: for kernels of one tap,
    for large strides, where few of the rows are asked for, for linear layers.
    """
    groups = getattr(layer, "groups", 1)
    if not _pays(layer, inputs, len(rows)):
        return [None] * groups
    inputs = precise(inputs, columns(layer))
    return [
        FourierPatches(layer, part, rows).centred_products for part in inputs.chunk(groups, dim=1)
    ]


def _pays(layer: nn.Module, inputs: Tensor, rows: int) -> bool:
    if not isinstance(layer, _ConvNd):
        return False
    size = with_padding(layer, inputs[:1]).shape[2:]
    frequencies = math.prod(size[:-1]) * (size[-1] // 2 + 1)
    # Transforms are of whole inputs, and a product of complex numbers takes four of real ones.
    return rows * math.prod(layer.kernel_size) > 4 * len(inputs) * frequencies
