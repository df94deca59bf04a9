"""Where the channels of a module lie in its tensors.

A role names one side of a module: the rows that make channels (``out``), the columns that read them
(``in``), the channels of a norm or PReLU (``channel``), one axis of any other parameter or buffer
(``scale:0``), or a number by which a module counts heads or their channels (``=num_heads``).
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from .norms import MIXING, channels_of

_NORMS = (_BatchNorm, _InstanceNorm, nn.PReLU, *MIXING)


def roles_of(module: nn.Module, key: str, shape: Sequence[int]) -> list[tuple[int, str]]:
    """(axis, role) of each axis of a module's parameter or buffer of this shape that is a side."""
    if is_layer(module) and key == "bias":
        return [(axis, "out") for axis in range(len(shape))]
    if is_layer(module) and key == "weight":
        # the columns of a grouped convolution count within its blocks, and so does one of the axes
        # of a transposed one: they stay
        axes = range(min(len(shape), 1 if getattr(module, "groups", 1) > 1 else 2))
        rows = _row_axis(module)
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
        return [(key, axis) for key, axis in sides if getattr(module, key, None) is not None]
    own = (*module._parameters.items(), *module._buffers.items())  # of a norm or PReLU
    return [(k, 0) for k, t in own if t is not None and t.ndim == 1 and k != "kept_channels"]


def side(module: nn.Module, role: str) -> int:
    """Number of channels on one side of a module."""
    if role[0] == "=":
        return getattr(module, role[1:])
    if role in ("in", "out"):
        return module.weight.shape[_row_axis(module) if role == "out" else 1 - _row_axis(module)]
    for key, axis in tensors_of_role(module, role):
        return getattr(module, key).shape[axis]
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


def is_depthwise(module: nn.Module) -> bool:
    """Whether each channel is convolved for itself."""
    return isinstance(module, _ConvNd) and 1 < module.groups == module.out_channels


def _row_axis(module: nn.Module) -> int:
    return int(isinstance(module, _ConvTransposeNd))
