"""Take units out of a network, or silence them where they are.

A `Layout` says which rows, columns and channels a unit owns. Masks become the channels that go
(`dropped_channels`) or stay (`kept_channels`), and those a copy of the network: with the units at
zero (`silenced`, `held`) or without them (`removed`, `cut`).
"""

import copy
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import prune

from ..network.modes import evaluating
from .layout import Layout

# How far the outputs of a shrunk and of a masked copy may lie apart, relative to the
# largest output. Summation order alone gives about 1e-6 in float32.
_AGREEMENT = 1e-3


def disagreement(masked: nn.Module, small: nn.Module, example: Tensor) -> str | None:
    """None if both models give the same outputs on the example, else what is wrong."""
    try:
        with torch.no_grad(), evaluating(masked), evaluating(small):
            expected, found = _first(masked(example)), _first(small(example))
    except (RuntimeError, ValueError, IndexError) as error:
        return f"the smaller network fails ({str(error).splitlines()[0]})"
    if expected.shape != found.shape:
        return f"outputs of shape {tuple(found.shape)} instead of {tuple(expected.shape)}"
    scale = expected.abs().max().item()
    error = (expected - found).abs().max().item() if expected.numel() else 0.0
    if not error <= _AGREEMENT * max(scale, 1e-12):
        return f"outputs differ by {error:.3g} where the largest is {scale:.3g}"
    return None


def _first(output) -> Tensor:
    while not isinstance(output, Tensor):
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    return output.float()


def dropped_channels(layout: Layout, masks: dict[str, Tensor]) -> dict[tuple[str, str], Tensor]:
    """(module, role) -> sorted indices of the channels that the masks take away."""
    dropped: dict[tuple[str, str], list[Tensor]] = {}
    for name, mask in masks.items():
        for member in layout.groups[name].members:
            indices = member.indices[~mask.cpu()].flatten()
            if len(indices):
                dropped.setdefault((member.module, member.role), []).append(indices)
    return {side: torch.cat(parts).unique() for side, parts in dropped.items()}


@torch.no_grad()
def silenced(model: nn.Module, layout: Layout, masks: dict[str, Tensor]) -> nn.Module:
    """A copy in which the masked units are 0 throughout and nobody reads them.

    Rows of the layers that make a unit, scale and shift of its normalisations and the
    columns that read it are set to zero.
    """
    result = copy.deepcopy(model)
    modules = dict(result.named_modules())
    for (name, role), indices in dropped_channels(layout, masks).items():
        module = modules[name]
        if role == "in":
            module.weight[:, indices] = 0
        elif not isinstance(module, nn.PReLU):  # PReLU maps 0 to 0 as it is
            for key in ("weight", "bias", "running_mean"):
                if (tensor := getattr(module, key, None)) is not None:
                    tensor[indices] = 0
    return result


def held(model: nn.Module, layout: Layout, masks: dict[str, Tensor]) -> nn.Module:
    """A copy that computes what `silenced`'s does, through masks of `torch.nn.utils.prune`."""
    result = copy.deepcopy(model)
    modules = dict(result.named_modules())
    ones: dict[tuple[str, str], Tensor] = {}
    for (name, role), indices in dropped_channels(layout, masks).items():
        module = modules[name]
        if isinstance(module, nn.PReLU):  # PReLU maps 0 to 0 as it is
            continue
        for key in ("weight",) if role == "in" else ("weight", "bias"):
            parameter = getattr(module, key, None)
            if parameter is not None:
                mask = ones.setdefault((name, key), torch.ones_like(parameter))
                mask.index_fill_(1 if role == "in" else 0, indices.to(mask.device), 0)
        if role == "channel" and module.weight is None:
            module.running_mean.index_fill_(0, indices.to(module.running_mean.device), 0)
    for (name, key), mask in ones.items():
        prune.custom_from_mask(modules[name], key, mask)
    return result


@torch.no_grad()
def removed(model: nn.Module, layout: Layout, masks: dict[str, Tensor]) -> nn.Module:
    """A copy without the masked units' rows, columns and channels."""
    return cut_copy(model, kept_channels(model, dropped_channels(layout, masks)))


def kept_channels(
    model: nn.Module, dropped: dict[tuple[str, str], Tensor]
) -> dict[str, dict[str, Tensor]]:
    """Module -> role -> indices of the channels that stay, for the modules that lose some."""
    modules, kept = dict(model.named_modules()), {}
    for (name, role), indices in dropped.items():
        stays = torch.ones(_side(modules[name], role), dtype=torch.bool)
        stays[indices] = False
        kept.setdefault(name, {})[role] = stays.nonzero().flatten()
    return kept


def _side(module: nn.Module, role: str) -> int:
    """Number of channels on one side of a module."""
    return module.weight.shape[1] if role == "in" else _rows(module)


def _rows(module: nn.Module) -> int:
    return len(module.weight) if module.weight is not None else module.num_features


@torch.no_grad()
def cut(model: nn.Module, kept: dict[str, dict[str, Tensor]]) -> None:
    """Keep only the given channels of the given modules, in place."""
    modules = dict(model.named_modules())
    for name, sides in kept.items():
        for key, tensor in _selected(modules[name], sides):
            setattr(modules[name], key, tensor)
        _resize(modules[name], sides)


@torch.no_grad()
def cut_copy(model: nn.Module, kept: dict[str, dict[str, Tensor]]) -> nn.Module:
    """A copy with only the given channels; what goes is not copied first."""
    modules, memo = dict(model.named_modules()), {}
    for name, sides in kept.items():
        for key, tensor in _selected(modules[name], sides):
            memo[id(getattr(modules[name], key))] = tensor
    for tensor in (*model.parameters(), *model.buffers()):
        if id(tensor) not in memo and type(tensor) in (Tensor, nn.Parameter):
            new = tensor.detach().clone()  # much faster than deepcopy, which goes by storages
            if isinstance(tensor, nn.Parameter):
                new = nn.Parameter(new, requires_grad=tensor.requires_grad)
            memo[id(tensor)] = new
    small = _deepcopy(model, memo)
    modules = dict(small.named_modules())
    for name, sides in kept.items():
        _resize(modules[name], sides)
    return small


def _deepcopy(model: nn.Module, memo: dict) -> nn.Module:
    """What `copy.deepcopy` gives, in a fraction of the time for networks of many modules.

    A module holds some twenty attributes, most of them empty containers for hooks, and deepcopy
    asks each how it wants to be copied. Modules that bring their own way of copying keep it.
    """
    plain = [module for module in model.modules() if _copies_plainly(type(module))]
    for module in plain:
        memo[id(module)] = type(module).__new__(type(module))
    for module in plain:
        state = memo[id(module)].__dict__
        for key, value in module.__getstate__().items():
            kind = type(value)
            if value is None or kind in (bool, int, float, str):
                state[key] = value
            elif kind in (dict, OrderedDict, list, set) and not value:
                state[key] = memo.setdefault(id(value), kind())
            else:
                state[key] = copy.deepcopy(value, memo)
    return copy.deepcopy(model, memo)


def _copies_plainly(kind: type) -> bool:
    """Whether instances are copied by copying their attributes."""
    return (
        not hasattr(kind, "__deepcopy__")
        and kind.__new__ is object.__new__
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__getstate__ in (object.__getstate__, nn.Module.__getstate__)
        and kind.__setstate__ in (nn.Module.__setstate__, _ConvNd.__setstate__)
    )


def _selected(module: nn.Module, sides: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    """The tensors that a module will have, by name."""
    tensors = []
    for key in ("weight", "bias", "running_mean", "running_var"):
        old = getattr(module, key, None)
        if old is None:
            continue
        new = old.detach()
        for role, indices in sides.items():
            if role != "in" or key == "weight":
                new = new.index_select(int(role == "in"), indices.to(old.device))
        if new.shape == old.shape:
            continue
        if new.ndim == 4 and not old.is_contiguous():
            new = new.contiguous(memory_format=torch.channels_last)
        if isinstance(old, nn.Parameter):
            new = nn.Parameter(new, requires_grad=old.requires_grad)
        tensors.append((key, new))
    return tensors


def _resize(module: nn.Module, sides: dict[str, Tensor]) -> None:
    """Bring a module's own record of its size up to date."""
    for role, indices in sides.items():
        _resize_side(module, role, len(indices))


def _resize_side(module: nn.Module, role: str, size: int) -> None:
    if isinstance(module, nn.Linear):
        setattr(module, "in_features" if role == "in" else "out_features", size)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = size
    elif not isinstance(module, _ConvNd):
        module.num_features = size
    elif role == "in":
        module.in_channels = size
    elif module.groups == 1:
        module.out_channels = size
    else:  # whole blocks of a grouped convolution went, with their inputs
        blocks = size // (module.out_channels // module.groups)
        module.in_channels = module.in_channels // module.groups * blocks
        module.out_channels, module.groups = size, blocks
