"""A number for each input, to notice when codes of different inputs are compared."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

_AT_ONCE = 1 << 22  # numbers of an intermediate result


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
