"""Where the channels of a module lie in its tensors.

A role names one side of a module: the rows that make channels (``out``), the columns that read them
(``in``), the channels of a norm or PReLU (``channel``), one axis of any other parameter or buffer
(``scale:0``), or a number by which a module counts heads or their channels (``=num_heads``).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from .norms import MIXING, channels_of

_NORMS = (_BatchNorm, _InstanceNorm, nn.PReLU, *MIXING)
# Positions of a block with which a group of units is fine enough: any share of them to 1/32.
FINE = 16


def roles_of(module: nn.Module, key: str, shape: Sequence[int]) -> list[tuple[int, str]]:
    """(axis, role) of each axis of a module's parameter or buffer of this shape that is a side."""
    if is_layer(module) and key == "bias":
        return [(axis, "out") for axis in range(len(shape))]
    if is_layer(module) and key == "weight":
        rows, blocks, count = _row_axis(module), getattr(module, "groups", 1), 2
        # the second axis of a grouped convolution counts within its blocks
        if blocks > 1 and (rows or not by_position(shape, blocks)):
            count = 1
        axes = range(min(len(shape), count))
        return [(axis, "out" if axis == rows else "in") for axis in axes]
    # all of a norm's vectors, those of a mask of torch.nn.utils.prune included
    if len(shape) == 1 and isinstance(module, _NORMS):
        return [] if key == "kept_channels" else [(0, "channel")]
    return [(axis, f"{key}:{axis}") for axis, size in enumerate(shape) if size > 1]


def tensors_of_role(module: nn.Module, role: str) -> list[tuple[str, int]]:
    """The tensors that a side has a part in, (name, axis) each."""
    if role[0] == "=":
        return []
    if ":" in role:
        key, axis = role.rsplit(":", 1)
        return [(key, int(axis))]
    if role == "in":
        return [("weight", 1 - _row_axis(module))]
    if is_layer(module):
        sides = [("weight", _row_axis(module)), ("bias", 0)]
        return [(key, axis) for key, axis in sides if tensor_of(module, key) is not None]
    own = (*module._parameters.items(), *module._buffers.items())  # of a norm or PReLU
    return [(k, 0) for k, t in own if t is not None and t.ndim == 1 and k != "kept_channels"]


def tensor_of(module: nn.Module, key: str) -> Tensor | None:
    """A parameter or buffer of a module; as an attribute it takes several times as long to find."""
    own = module._parameters if key in module._parameters else module._buffers
    return own[key] if key in own else getattr(module, key, None)


def side(module: nn.Module, role: str) -> int:
    """Number of channels on one side of a module."""
    if role[0] == "=":
        return getattr(module, role[1:])
    if role in ("in", "out"):
        rows = _row_axis(module)
        return tensor_of(module, "weight").shape[rows if role == "out" else 1 - rows]
    for key, axis in tensors_of_role(module, role):
        return tensor_of(module, key).shape[axis]
    return channels_of(module) if isinstance(module, MIXING) else module.num_features


def rows_first(layer: nn.Module, values: Tensor | None = None) -> Tensor:
    """The weight of a layer with its rows along axis 0, those of a transposed convolution too.

    ``values`` of the weight's shape are turned in its place.
    """
    values = layer.weight.detach() if values is None else values
    return values.transpose(0, 1) if _row_axis(layer) else values


def is_layer(module: nn.Module) -> bool:
    """Whether rows of its weight make channels that may be pruned."""
    return isinstance(module, (_ConvNd, nn.Linear))


def by_position(shape: Sequence[int], blocks: int) -> bool:
    """Whether units of a grouped convolution are positions in its blocks, and not whole blocks.

    A position, of what it reads or of what it makes, goes from all blocks at once, which are as
    many as before. A block goes with all that it reads and makes. Units are positions where blocks
    are as wide as they are many, or wider, so that there are as many positions, and where there are
    `FINE` on each side, which is enough for any share: then both sides are cut for themselves.

    Parameters
    ----------
    shape : sequence of int
        Of its weight (out, in of one block, *kernel).
    blocks : int
    """
    return min(shape[0] // blocks, shape[1]) >= min(blocks, FINE)


def channels_read(module: nn.Module, columns: Tensor) -> Tensor:
    """Of columns (..., m) of a layer's weight, the channels of its inputs that they read.

    Shape (..., m * blocks): each column of a grouped convolution reads one channel in each block.
    """
    blocks = getattr(module, "groups", 1)
    first = torch.arange(blocks, device=columns.device) * module.weight.shape[1]
    return (columns[..., None] + first).flatten(-2)


def is_depthwise(module: nn.Module) -> bool:
    """Whether each channel is convolved for itself."""
    return isinstance(module, _ConvNd) and 1 < module.groups == module.out_channels


def _row_axis(module: nn.Module) -> int:
    return int(isinstance(module, _ConvTransposeNd))
