"""One CUDA kernel from pre-activations to packed signs; of use only where triton is there."""

import math

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # not on this platform: `packing.fused_available` says so
    triton = None
if triton is not None:

    @triton.jit
    def _pack_above(
        z,
        out,
        threshold,
        channels,
        positions,
        row_bytes,
        channel_bytes,
        z_row,
        z_channel,
        z_position,
        CHANNELS: tl.constexpr,
        BYTES: tl.constexpr,
    ):
        """A tile of CHANNELS x BYTES bytes of one row, each from 8 positions in a row."""
        row = tl.program_id(0).to(tl.int64)
        channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
        position = tl.program_id(2) * BYTES * 8 + tl.arange(0, BYTES * 8)
        inside = (channel[:, None] < channels) & (position[None, :] < positions)
        where = row * z_row + channel[:, None] * z_channel + position[None, :] * z_position
        values = tl.load(z + where, mask=inside, other=0.0).to(tl.float32)
        bits = tl.where(inside & (values > threshold), 1, 0)
        weights = (1 << tl.arange(0, 8))[None, None, :]
        packed = tl.sum(tl.reshape(bits, (CHANNELS, BYTES, 8)) * weights, axis=2)
        byte = tl.program_id(2) * BYTES + tl.arange(0, BYTES)
        inside = (channel[:, None] < channels) & (byte[None, :] < channel_bytes)
        where = row * row_bytes + channel[:, None] * channel_bytes + byte[None, :]
        tl.store(out + where, packed.to(tl.uint8), mask=inside)


def pack_above(z: Tensor, threshold: float, width: int) -> Tensor:
    """Pack ``z > threshold`` with one kernel; see `packing.pack_above`.

    A dense tensor is read in the order in which it lies in memory, channels_last too: a
    channel's bits fill whole bytes wherever it has a multiple of 8 positions, so channels
    can be read side by side. Where it has not, the tensor is made contiguous first. A row is
    filled up with zeros to `width` bytes.
    """
    rows, units = len(z), math.prod(z.shape[1:])
    channels, positions, strides = _plan(z)
    if strides is None:
        z = z.contiguous()
        channels, positions, strides = 1, units, (units, units, 1)
    channel_bytes = -(-positions // 8)
    filled = channels * channel_bytes == width
    out = (torch.empty if filled else torch.zeros)(rows, width, dtype=torch.uint8, device=z.device)
    if not units or not rows:
        return out
    # What torch compares with is the threshold in the tensor's own type.
    threshold = torch.tensor(threshold, dtype=z.dtype).item()
    many = min(32, triton.next_power_of_2(channels))
    few = min(256 // many, triton.next_power_of_2(channel_bytes))
    grid = (rows, triton.cdiv(channels, many), triton.cdiv(channel_bytes, few))
    _pack_above[grid](
        *(z, out, threshold, channels, positions, width, channel_bytes, *strides),
        CHANNELS=many,
        BYTES=few,
    )
    return out


def _plan(z: Tensor) -> tuple[int, int, tuple[int, int, int] | None]:
    """Channels, positions and their strides, if the positions of a channel are evenly spaced."""
    if z.is_contiguous():
        units = math.prod(z.shape[1:])
        return 1, units, (units, units, 1)
    if z.dim() < 3:
        return 1, 0, None
    channels, positions = z.shape[1], math.prod(z.shape[2:])
    even = all(
        z.stride(axis) == z.stride(axis + 1) * z.shape[axis + 1] for axis in range(2, z.dim() - 1)
    )
    if not even or positions % 8:
        return channels, positions, None
    return channels, positions, (z.stride(0), z.stride(1), z.stride(-1))
