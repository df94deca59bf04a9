"""Means and covariances of the channels of a value, and what a layer's taps see of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from .moments import mirrored
from .padding import Masks

# Of more columns, such as a linear layer behind a flatten reads, products are taken in float32.
_DOUBLE = 8192
# Rows of a product that are taken at a time where it is symmetric.
_ROWS = 512


class Implied(NamedTuple):
    """Moments of the channels of a value.

    Attributes
    ----------
    mean : Tensor, shape (C,), float64
    covariance : Tensor, shape (C, C), float64
    repeat : int
        Columns that a linear layer reads of each channel, behind a flatten; else 1.
    masks : tuple of Tensor, or None
        Along each axis which positions are the value's own and which are zeros that pad it; None:
        all are its own.
    inside : Tensor, shape (k, k), or None
        Of what a layer with k taps reads: how often two taps are both on its own positions, as
        `padding.taps_inside` gives it. None: always.
    alike : Tensor, shape (k, k), or None
        Correlation of what two taps read of a channel, as `neighbours.taps_alike` gives it. None:
        they have nothing in common.
    dim : int
        The dimension of the value along which its channels lie.
    by_place : bool
        Behind a flatten: whether the columns are all channels of one place, then all of the next.
        Else they are all places of one channel, then all of the next.
    """

    mean: Tensor
    covariance: Tensor
    repeat: int = 1
    masks: Masks | None = None
    inside: Tensor | None = None
    alike: Tensor | None = None
    dim: int = 1
    by_place: bool = False

    def become(self, mean: Tensor, covariance: Tensor) -> "Implied":
        """Other moments of the same channels, of whose positions nothing more is known."""
        return Implied(mean, covariance, self.repeat, dim=self.dim, by_place=self.by_place)

    def channels(self, columns: Tensor) -> Tensor:
        """The channel of each column that a layer reads."""
        return columns % len(self.mean) if self.by_place else columns // self.repeat

    def seen_through(self, weight: Tensor) -> "Implied":
        """The same with the covariance by which a layer that reads it misses a rebuilt channel.

        A bias takes over what a channel is on average, but where taps fall on padding that is not
        the same at all positions. Let r_t be 1 where tap t is inside and else 0, and s_tu how much
        alike taps t and u are. For one channel and the weight w of one output, the error is
        ``sum_tu E[r_t r_u] s_tu w_t w_u`` times the variance that is not rebuilt, and
        ``Var(sum_t r_t w_t)`` times the square of the mean that is not: so a covariance in which
        means count by the ratio of these two says both.

        Parameters
        ----------
        weight : Tensor, shape (out, channels, k), float64
            Of the layer, for the channels that are rebuilt.
        """
        if self.inside is None or not (size := self.counted(weight).square().sum()):
            return self
        ratio = torch.einsum("oct,ts,ocs->", weight, self._comes_and_goes(), weight) / size
        means = torch.outer(self.mean, self.mean)
        return self._replace(covariance=self.covariance + ratio * means)

    def counted(self, weight: Tensor) -> Tensor:
        """A weight (out, channels, k) with which independent taps give outputs of the same moments.

        It is the weight times a square root of what two taps have in common, which makes of
        independent taps such as lie on neighbouring positions, some on padding.
        """
        common = self._in_common(weight.shape[2])
        if common is None:
            return weight
        values, vectors = torch.linalg.eigh(common)
        return weight @ (vectors * values.clamp(min=0).sqrt()) @ vectors.T

    def total(self, weight: Tensor) -> Tensor:
        """Of a weight (out, channels, k), what its taps add to a constant, (out, channels)."""
        return weight.sum(2) if self.inside is None else weight @ self.inside.diagonal()

    def constant(self, weight: Tensor) -> Tensor:
        """What the means add to the outputs of a weight, (out,).

        The weight is (out, channels of a block, k), here and below: with fewer channels than there
        are it is that of a grouped convolution.
        """
        total = self.total(weight)
        blocks = len(self.mean) // weight.shape[1]
        return (total.unflatten(0, (blocks, -1)) @ self.mean.view(blocks, -1, 1)).flatten()

    def from_means(self, weight: Tensor) -> Tensor | None:
        """Covariance over positions of what means add to the outputs of a weight, (out, out).

        None where no tap ever falls on padding, so that they add the same everywhere.
        """
        if self.inside is None:
            return None
        blocks = len(self.mean) // weight.shape[1]
        means = torch.einsum(
            "gowt,gw->got", weight.unflatten(0, (blocks, -1)), self.mean.view(blocks, -1)
        ).flatten(0, 1)
        return means @ self._comes_and_goes() @ means.T

    def _in_common(self, taps: int) -> Tensor | None:
        """Second moments of what k taps read of a channel of variance 1 and mean 0."""
        if self.inside is None:
            return self.alike
        same = torch.eye(taps).to(self.inside) if self.alike is None else self.alike
        return self.inside * same

    def _comes_and_goes(self) -> Tensor:
        """Covariance over positions of whether taps are inside."""
        share = self.inside.diagonal()
        return self.inside - torch.outer(share, share)


def taps(layer_weight: Tensor, read: Implied) -> Tensor:
    """A weight as (out, channels, k), k taps of a kernel or places behind a flatten, float64."""
    weight = layer_weight.detach().double()
    if weight.ndim == 2:
        if read.by_place:
            return weight.reshape(len(weight), read.repeat, len(read.mean)).transpose(1, 2)
        return weight.reshape(len(weight), len(read.mean), read.repeat)
    return weight.reshape(*weight.shape[:2], -1)


def output_covariance(weight: Tensor, covariance: Tensor) -> Tensor:
    """Covariance of the outputs of a weight on independent taps, shape (out, out).

    Parameters
    ----------
    weight : Tensor, shape (out, channels of a block, k)
    covariance : Tensor, shape (channels, channels)
    """
    outputs, width, taps = weight.shape
    blocks = len(covariance) // width
    if blocks == 1:
        precision = torch.float64 if width * taps <= _DOUBLE else torch.float32
        weight = weight.to(precision)
        read = torch.einsum("oct,cd->odt", weight, covariance.to(precision))
        return _symmetric(read.flatten(1), weight.flatten(1)).double()
    if width == 1 and outputs == blocks:  # each channel for itself
        return covariance * (weight[:, 0] @ weight[:, 0].T)
    result = weight.new_zeros(outputs, outputs)
    for tap in range(taps):
        rows = weight[:, :, tap].view(blocks, -1, width)
        read = (rows @ covariance.view(blocks, width, -1)).flatten(0, 1)
        read = read.view(outputs, blocks, width).transpose(0, 1) @ rows.mT
        result += read.transpose(0, 1).flatten(1)
    return result


def _symmetric(one: Tensor, other: Tensor) -> Tensor:
    """``one @ other.T`` where that is symmetric: on and below the diagonal, and mirrored."""
    if len(one) <= _ROWS:
        return one @ other.T
    product = one.new_zeros(len(one), len(one))
    for start in range(0, len(one), _ROWS):
        stop = start + _ROWS
        product[start:stop, :stop] = one[start:stop] @ other[:stop].T
    return mirrored(product)


def output_variance(weight: Tensor, covariance: Tensor) -> Tensor:
    """Variance of each output of a weight (out, channels, k) on independent taps, shape (out,)."""
    return torch.einsum("oct,cd,odt->o", weight, covariance, weight)
