"""How alike the values at neighbouring positions are, as running statistics tell it.

A kernel adds up what its taps read. Where neighbouring positions hold nearly the same, taps of one
sign add up, and taps of two signs cancel; where they have nothing in common, it is their squares
that add up. So how much an output varies depends on how alike neighbours are, and a batch norm
behind the layer has recorded how much each output varies.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..network.activations import Activation
from .gaussian import function_moments
from .implied_moments import Implied

# Correlation of neighbours where nothing tells it.
UNTOLD = 0.7
# What is tried: of 1 a kernel would only see sums.
_TRIED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
# By how much it counts, against how far outputs are off beside each other, that all of them are
# off by one factor: that the moments of channels are only implied is a reason for such a factor.
# Of 0, 0.1, 0.3 and 1 it left most of three VGG-16 for CIFAR-10 and CIFAR-100 without half of their
# units, on training images.
_LEVEL = 0.1
# Of kernels with more taps the (k, k) matrices would be too large, and are not asked for.
MOST_TAPS = 1024
# Numbers that are held at a time, of outputs times taps times taps: 64 MB.
_HELD = 8_000_000


def taps_alike(kernel: Sequence[int], dilation: Sequence[int], neighbours: float) -> Tensor:
    """Correlation of what two taps of a kernel read of a channel.

    Parameters
    ----------
    kernel : sequence of int
        Taps along each axis.
    dilation : sequence of int
        Positions from one tap to the next, along each axis.
    neighbours : float
        Correlation of two neighbouring positions, in [0, 1]. At a distance of d positions, along
        a straight line, it is that to the power of d.

    Returns
    -------
    Tensor, shape (k, k), float64
        For the k taps in the order of the weight.

    Examples
    --------
    >>> taps_alike([3], [1], 0.5)[0].tolist()
    [1.0, 0.5, 0.25]
    """
    axes = [
        apart * torch.arange(size, dtype=torch.float64)
        for size, apart in zip(kernel, dilation, strict=True)
    ]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1).T
    distance = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.tensor(neighbours, dtype=torch.float64) ** distance


def told_by_statistics(
    read: Implied,
    weight: Tensor,
    bias: Tensor | None,
    kernel: Sequence[int],
    dilation: Sequence[int],
    recorded: Tensor,
    activation: Activation | None = None,
) -> float:
    """The correlation of neighbours under which a layer's outputs vary as recorded.

    Of several that are tried it is the one for which the logarithm of recorded over implied
    variance differs least between outputs; that it is far from 0 for all of them counts a little.

    Parameters
    ----------
    read : Implied
        What the layer reads.
    weight : Tensor, shape (out, channels of a block, k), float64
    bias : Tensor, shape (out,), or None
    kernel, dilation : sequence of int
        Of the layer, along each axis.
    recorded : Tensor, shape (out,)
        Variance of each output over inputs and positions: running statistics of a batch norm.
    activation : Activation, optional
        What lies between the layer and the batch norm.

    Returns
    -------
    float
        In [0, 1); `UNTOLD` where the variances tell nothing: of fewer than two outputs, or all the
        same, as before training.
    """
    recorded = recorded.double().to(weight.device)
    if len(recorded) != len(weight) or bool((recorded == recorded[0]).all()):
        return UNTOLD
    variances = _variances(read, weight, [taps_alike(kernel, dilation, r) for r in _TRIED])
    if activation is not None:
        mean = read.constant(weight) + (0 if bias is None else bias.detach().double())
        slopes = activation_slopes(activation)
        for variance in variances:
            first, second = function_moments(
                mean, variance.clamp(min=0).sqrt(), activation.breakpoints, slopes
            )
            variance.copy_(second - first.square())
    best, found = math.inf, UNTOLD
    for tried, variance in zip(_TRIED, variances, strict=True):
        known = (recorded > 0) & (variance > 0)
        off = (recorded[known] / variance[known]).log()
        if len(off) < 2:
            continue
        cost = float(off.var(correction=0) + _LEVEL * off.mean().square())
        if cost < best:
            best, found = cost, tried
    return found


def activation_slopes(activation: Activation) -> list[float | Tensor]:
    """Slopes of an activation for each channel, shape (C,) or (1,) where they are learned."""
    return [
        slope.detach().double().flatten() if isinstance(slope, Tensor) else slope
        for slope in activation.slopes
    ]


def _variances(read: Implied, weight: Tensor, alike: Sequence[Tensor]) -> Tensor:
    """Variance of each output, for each way in which taps may be alike: (ways, out)."""
    width, taps = weight.shape[1:]
    blocks = len(read.mean) // width
    inside = torch.ones(taps, taps).to(weight) if read.inside is None else read.inside
    ways = torch.stack([each.to(weight.device) * inside for each in alike]).flatten(1)
    # blocks of a grouped convolution have no input in common
    own = read.covariance.view(blocks, width, blocks, width).diagonal(dim1=0, dim2=2)
    through = torch.einsum("gowt,wvg->govt", weight.unflatten(0, (blocks, -1)), own).flatten(0, 1)
    rows = max(1, _HELD // taps**2)
    found = torch.cat(
        [
            (some.transpose(1, 2) @ other).flatten(1) @ ways.T
            for some, other in zip(through.split(rows), weight.split(rows), strict=True)
        ]
    ).T
    moved = read.from_means(weight)
    return found if moved is None else found + moved.diagonal()
