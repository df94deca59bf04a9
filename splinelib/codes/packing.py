"""Signs into bits on the device that computes them.

On a CPU, NumPy packs a comparison's result. On a CUDA device one kernel reads the pre-activations
and writes bytes, where triton is there and the case is common; else a few torch operations do the
same, and they are the reference. The layout is that of `bits`.
"""

import functools
import importlib.util
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.activations import Activation
from .bits import WORD, pack_array, words

_FUSED_TYPES = {torch.float32, torch.float16, torch.bfloat16}
_COMPARED_BY_NUMPY = {torch.float32, torch.float64, torch.int64}
_IN_CACHE = 1 << 19  # bools


def pack(bits: Tensor) -> Tensor:
    """Pack bits on the device that they are on.

    Parameters
    ----------
    bits : Tensor of bool, shape (N, ...), in any memory format

    Returns
    -------
    Tensor of uint8, shape (N, 8 * words), on the same device

    Examples
    --------
    >>> pack(torch.tensor([[True, False, False, True]]))[0, :2]
    tensor([9, 0], dtype=torch.uint8)
    """
    if bits.device.type == "cpu":
        # torch turns channels_last into rows faster than NumPy does
        return torch.from_numpy(pack_array(bits.contiguous().numpy()).view(np.uint8))
    return pack_with_torch(bits)


def pack_with_torch(bits: Tensor) -> Tensor:
    """`pack`, in operations that every device has."""
    flat = bits.reshape(len(bits), math.prod(bits.shape[1:]))
    room = words(bits.shape[1:]) * 8 * WORD - flat.shape[1]
    flat = (F.pad(flat, (0, room)) if room else flat.contiguous()).view(torch.uint8)
    weights = torch.pow(2, torch.arange(8, device=bits.device, dtype=torch.uint8))
    return (flat.reshape(len(flat), flat.shape[1] // 8, 8) * weights).sum(-1, dtype=torch.uint8)


def pack_above(z: Tensor, threshold: float) -> Tensor:
    """Pack ``z > threshold``, in one kernel where there is one for this device and type.

    Parameters
    ----------
    z : Tensor, floating point, shape (N, ...), in any memory format
    threshold : float

    Returns
    -------
    Tensor of uint8, shape (N, 8 * words), the same as ``pack(z > threshold)``
    """
    if z.is_cuda and z.dtype in _FUSED_TYPES and fused_available():
        return fused().pack_above(z, threshold, words(tuple(z.shape[1:])) * WORD)
    if _in_numpy(z) and z.is_contiguous():
        return torch.from_numpy(_pack_above_in_blocks(z.detach().numpy(), threshold))
    return pack(_above(z, threshold))


def _pack_above_in_blocks(z: np.ndarray, threshold: float) -> np.ndarray:
    """`pack_above` of a contiguous array, a few rows at a time: their bits stay in the cache."""
    width, units = words(z.shape[1:]) * WORD, math.prod(z.shape[1:])
    flat, filled = z.reshape(len(z), units), -(-units // 8)
    packed = np.empty((len(z), width), np.uint8)
    packed[:, filled:] = 0
    step = max(1, _IN_CACHE // max(1, units))
    bits = np.empty((step, units), bool)
    for start in range(0, len(z), step):
        rows = flat[start : start + step]
        above = np.greater(rows, threshold, out=bits[: len(rows)])
        packed[start : start + step, :filled] = np.packbits(above, axis=1, bitorder="little")
    return packed


def _above(z: Tensor, threshold: float | Tensor) -> Tensor:
    """``z > threshold``, in NumPy where it can be: on a CPU it compares much faster than torch."""
    if not _in_numpy(z):
        return z > threshold
    threshold = threshold.numpy() if isinstance(threshold, Tensor) else threshold
    return torch.from_numpy(np.asarray(z.detach().numpy() > threshold))


def _in_numpy(z: Tensor) -> bool:
    return z.device.type == "cpu" and z.dtype in _COMPARED_BY_NUMPY


@functools.cache
def fused_available() -> bool:
    """Whether triton is installed, which the kernel is written in."""
    return importlib.util.find_spec("triton") is not None


def fused():
    """The module with the kernel. It imports triton, so it is loaded on first use."""
    from . import packing_triton

    return packing_triton


def pack_activation(activation: Activation, operands: tuple[Tensor, ...]) -> Tensor:
    """Pack the code of one activation call, without the bits in between where that can be.

    The same as ``pack(activation.code(*operands))``.
    """
    if activation.pool is None and len(activation.breakpoints) == 1:
        return pack_above(activation.pre_activation(*operands), activation.breakpoints[0])
    return pack(activation.code(*operands))


def pool_and_pack(activation: Activation, x: Tensor) -> tuple[Tensor, Tensor]:
    """Run a max-pooling once for both its value and the packed code of its winners.

    Returns
    -------
    value : Tensor
        What the pooling gives.
    packed : Tensor of uint8, shape (N, 8 * words)
    """
    if not _halves_a_plane(activation.pool, x):
        return activation.call(x), pack(activation.code(x))
    arguments = activation.pool["args"]
    if x.device.type == "cpu" and x.is_contiguous():
        # torch pools side by side over the channels of channels_last, and one by one here
        value, index = F.max_pool2d_with_indices(
            x.contiguous(memory_format=torch.channels_last), *arguments
        )
        value = value.contiguous()
    else:
        value, index = F.max_pool2d_with_indices(x, *arguments)
    # Windows of 2 x 2 begin at even rows and columns: the winner is in the lower row if its
    # index is past the end of the upper one, and on the right if its column is odd.
    width = x.shape[-1]
    ends = (2 * torch.arange(index.shape[-2], device=x.device) + 1) * width - 1
    lower = _above(index, ends[:, None])
    right = (index.to(torch.uint8) & 1).view(torch.bool)
    if width % 2:
        right = right ^ lower
    return value, pack(torch.stack([right, lower], dim=1))


def _halves_a_plane(pool: dict, x: Tensor) -> bool:
    """Whether a pooling is the usual one: 2 x 2 windows side by side, none over the edge."""
    return (
        pool["dims"] == 2
        and not pool["adaptive"]
        and tuple(pool["window"]) == tuple(pool["stride"]) == (2, 2)
        and tuple(pool["padding"]) == (0, 0)
        and tuple(pool["dilation"]) == (1, 1)
        and x.dim() == 4
    )
