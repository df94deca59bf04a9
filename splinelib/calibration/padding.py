"""Where the taps of a kernel fall: on a value's own positions, or on zeros that pad it.

Along each axis of positions the two are told apart by a mask of its own, and what holds for the
taps of a kernel with several axes is the product over them.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# For each axis of positions, which are a value's own: (size,), float64, 0 or 1.
Masks = tuple[Tensor, ...]


def own(sizes: Sequence[int]) -> Masks:
    """Masks of a value that nothing pads."""
    return tuple(torch.ones(size, dtype=torch.float64) for size in sizes)


def padded(masks: Masks, widths: Sequence[int]) -> Masks:
    """Masks behind `torch.nn.functional.pad` with zeros.

    Parameters
    ----------
    masks : tuple of Tensor
        Of the value before.
    widths : sequence of int
        As that function takes them: before and behind the last axis first. Negative ones crop.
    """
    pairs = [(0, 0)] * len(masks)
    for place in range(0, len(widths), 2):
        pairs[-1 - place // 2] = tuple(widths[place : place + 2])
    return tuple(F.pad(mask, pair) for mask, pair in zip(masks, pairs, strict=True))


def taps_inside(
    masks: Masks, kernel: Sequence[int], stride: object, padding: object, dilation: object
) -> Tensor:
    """How often two taps of a kernel are both on a value's own positions.

    Parameters
    ----------
    masks : tuple of Tensor
        Of what the convolution reads.
    kernel : sequence of int
        Taps along each axis.
    stride, padding, dilation : int, str or sequence
        As for `torch.nn.functional.conv1d` and its kin.

    Returns
    -------
    Tensor, shape (k, k), float64
        For the k taps in the order of the weight: the share of output positions at which both are
        inside; on the diagonal that of one.

    Examples
    --------
    >>> taps_inside(own([2]), [3], 1, 1, 1).diagonal().tolist()  # of two places, three taps wide
    [0.5, 1.0, 0.5]
    """
    result = torch.ones(1, 1, dtype=torch.float64)
    settings = (each_axis(setting, len(masks)) for setting in (stride, padding, dilation))
    for mask, taps, step, around, apart in zip(masks, kernel, *settings, strict=True):
        each = torch.eye(taps, dtype=torch.float64)[:, None]
        widths = _widths(around, apart * (taps - 1))
        hits = F.conv1d(F.pad(mask, widths)[None, None], each, stride=step, dilation=apart)[0]
        result = torch.kron(result, hits @ hits.T / hits.shape[1])
    return result


def each_axis(setting: int | str | Sequence, axes: int) -> list:
    """A setting of a convolution for each of its axes."""
    if isinstance(setting, (int, str)):
        return [setting] * axes
    return [*setting] * (axes if len(setting) == 1 else 1)


def _widths(padding: int | str, reach: int) -> tuple[int, int]:
    """Zeros before and behind an axis along which a kernel reaches so far."""
    if padding == "same":
        return reach // 2, reach - reach // 2
    return (0, 0) if padding == "valid" else (padding, padding)
