"""Bits into bytes: pack signs as they are computed, count differing bits, name inputs by a number.

One layout everywhere: a row of bits per input, the first unit in the lowest bit of the first
byte, padded with zeros to whole 64-bit words. On a CPU, NumPy packs a comparison's result. On a
CUDA device one kernel reads the pre-activations and writes bytes, where triton is there and the
case is common; else a few torch operations do the same, and they are the reference.
"""

import functools
import importlib.util
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .trace import Activation

WORD = 8  # bytes

_FUSED_TYPES = {torch.float32, torch.float16, torch.bfloat16}
_COMPARED_BY_NUMPY = {torch.float32, torch.float64, torch.int64}
_IN_CACHE = 1 << 19  # bools
_AT_ONCE = 1 << 22  # numbers of an intermediate result


def words(shape: tuple[int, ...]) -> int:
    """64-bit words that one input's code of this shape takes."""
    return -(-math.prod(shape) // (8 * WORD))


def pack_array(bits: np.ndarray) -> np.ndarray:
    """Pack bool (N, ...) to uint64 (N, words)."""
    flat = np.ascontiguousarray(bits).reshape(len(bits), math.prod(bits.shape[1:]))
    packed = np.packbits(flat, axis=1, bitorder="little")
    room = words(bits.shape[1:]) * WORD - packed.shape[1]
    if room:
        packed = np.pad(packed, ((0, 0), (0, room)))
    return packed.view(np.uint64)


def unpack_array(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo `pack_array`: bool, shape (N, *shape)."""
    raw = packed.view(np.uint8)
    bits = np.unpackbits(raw, axis=1, count=math.prod(shape), bitorder="little")
    return bits.view(bool).reshape(len(raw), *shape)


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
    weights = 2 ** torch.arange(8, device=bits.device, dtype=torch.uint8)
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


# --- comparison --------------------------------------------------------------------------


def differing(a: np.ndarray, b: np.ndarray) -> int:
    """How many bits differ between packed codes of one shape (N, words), by popcount."""
    total, step = 0, max(1, _AT_ONCE // 8 // max(1, a.shape[1]))
    for start in range(0, len(a), step):  # blocks that stay in the cache
        rows = slice(start, start + step)
        total += int(np.bitwise_count(a[rows] ^ b[rows]).sum(dtype=np.int64))
    return total


def differing_pairs(a: np.ndarray) -> np.ndarray:
    """How many bits differ between every two rows of (N, words): int64, shape (N, N)."""
    count = np.zeros((len(a), len(a)), np.int64)
    step = max(1, _AT_ONCE // 64 // max(1, len(a)))
    for start in range(0, a.shape[1], step):  # columns whose rows all stay in the cache
        block = np.ascontiguousarray(a[:, start : start + step])
        for row in range(len(a) - 1):
            count[row, row + 1 :] += np.bitwise_count(block[row] ^ block[row + 1 :]).sum(
                1, dtype=np.int64
            )
    return count + count.T


# --- which inputs were coded -------------------------------------------------------------


def digests(batch: Tensor) -> Tensor:
    """A 64-bit number for each row, of its bytes: int64, shape (N,), on the batch's device.

    Each 32-bit word times a 64-bit odd number of its own, summed modulo 2^64 (Dietzfelbinger's
    multilinear hashing). Equal on every device, whatever the batch, and a few operations
    that no one has to wait for. It guards against mistakes, not against forgery.
    """
    flat = batch.detach().contiguous().reshape(len(batch), -1)
    if flat.stride(1) != 1:  # a single column may have any stride and still count as contiguous
        flat = flat.clone(memory_format=torch.contiguous_format)
    flat = flat.view(torch.uint8)
    if flat.shape[1] % 4:
        flat = F.pad(flat, (0, 4 - flat.shape[1] % 4))
    numbers = flat.contiguous().view(torch.int32)
    total = torch.zeros(len(batch), dtype=torch.int64, device=batch.device)
    step = max(1, _AT_ONCE // max(1, len(batch)))
    for start in range(0, numbers.shape[1], step):
        part = numbers[:, start : start + step]
        multipliers = _multipliers(start, part.shape[1], batch.device)
        total += (part.to(torch.int64) * multipliers).sum(1)
    return total


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


@functools.lru_cache(maxsize=8)
def _multipliers(start: int, count: int, device: torch.device) -> Tensor:
    """Odd 64-bit numbers that look random: splitmix64 of the position."""
    x = (torch.arange(start + 1, start + count + 1, device=device)) * _signed(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * _signed(factor)
    return (x ^ ((x >> 31) & ((1 << 33) - 1))) | 1
