"""Networks without the channels that go: copies, the model itself, or what it is for a run.

A `Cut` says what goes and what stays, from masks (`cut_by`).
"""

import contextlib
import copy
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..network.lending import Lender
from .axes import side, tensor_of, tensors_of_role
from .layout import Layout
from .sizes import resize_all, sizes_asked_for
from .surgery import as_parameter, dropped_channels, duplicate


@dataclass(frozen=True)
class Cut:
    """One way in which a network becomes smaller.

    Attributes
    ----------
    masks : dict of str to bool Tensor (U,)
        By group, the units that stay.
    dropped : dict of (module, role) to Tensor
        See `dropped_channels`.
    kept : dict of module to dict of role to Tensor
        See `kept_channels`.
    made : dict of int to Parameter
        By the id of the model's own, what is left of parameters, once the model has been lent.
    """

    masks: dict[str, Tensor]
    dropped: dict[tuple[str, str], Tensor]
    kept: dict[str, dict[str, Tensor]]
    made: dict[int, nn.Parameter] = field(default_factory=dict)


def cut_by(model: nn.Module, layout: Layout, masks: dict[str, Tensor]) -> Cut:
    """The cut that masks make in a model."""
    dropped = dropped_channels(layout, masks)
    return Cut(masks, dropped, kept_channels(dict(model.named_modules()), dropped))


def kept_channels(
    modules: Mapping[str, nn.Module], dropped: Mapping[tuple[str, str], Tensor]
) -> dict[str, dict[str, Tensor]]:
    """Module -> role -> indices of the channels that stay, for the modules that lose some."""
    kept: dict[str, dict[str, Tensor]] = {}
    alike: dict[tuple[int, int], Tensor] = {}
    for (name, role), indices in dropped.items():
        key = id(indices), side(modules[name], role)
        if key not in alike:
            stays = np.ones(key[1], dtype=bool)
            stays[indices.numpy()] = False
            alike[key] = torch.from_numpy(np.flatnonzero(stays))
        kept.setdefault(name, {})[role] = alike[key]
    return kept


@torch.no_grad()
def removed(model: nn.Module, layout: Layout, masks: dict[str, Tensor]) -> nn.Module:
    """A copy without the masked units' rows, columns and channels."""
    return cut_copy(model, cut_by(model, layout, masks).kept)


def cut_copy(model: nn.Module, kept: dict[str, dict[str, Tensor]]) -> nn.Module:
    """A copy with only the given channels; what goes is not copied first."""
    modules = dict(model.named_modules())
    before = sizes_asked_for(modules, kept)
    small = duplicate(model, _cut(modules, kept))
    resize_all(dict(small.named_modules()), kept, before)
    return small


@torch.no_grad()
def used_up(model: nn.Module, cut: Cut) -> nn.Module:
    """The model itself with only the channels that stay, for good.

    For a `replica` that nobody else has, and that holds nothing but tensors and constants. What is
    left of its parameters has been made; the others, which it shares with a model, are copied.
    """
    modules = dict(model.named_modules())
    before = sizes_asked_for(modules, cut.kept)
    new = _cut(modules, cut.kept, cut.made) | cut.made
    for module in modules.values():
        for parameter in module._parameters.values():
            if parameter is not None and id(parameter) not in new:
                new[id(parameter)] = copy.deepcopy(parameter)
        for held in (module._parameters, module._buffers):
            held.update({key: new.get(id(tensor), tensor) for key, tensor in held.items()})
    resize_all(modules, cut.kept, before)
    return model


@contextlib.contextmanager
def cut_for_a_while(
    kept: dict[str, dict[str, Tensor]],
    lend: Lender,
    made: dict[int, nn.Parameter] | None = None,
) -> Iterator[nn.Module]:
    """What `cut_copy` makes, of a model that is lent for a run.

    If it is the model itself, parameters of what it is then go into ``made``.
    """
    before, new = sizes_asked_for(lend.modules, kept), _cut(lend.modules, kept)
    if made is not None and lend.plain:
        made |= {key: tensor for key, tensor in new.items() if isinstance(tensor, nn.Parameter)}
    with lend(new) as small:
        modules = lend.modules if lend.plain else dict(small.named_modules())
        resize_all(modules, kept, before)
        yield small


@torch.no_grad()
def cut(model: nn.Module, kept: dict[str, dict[str, Tensor]]) -> None:
    """Keep only the given channels of the given modules, in place."""
    modules = dict(model.named_modules())
    before = sizes_asked_for(modules, kept)
    for name, sides in kept.items():
        for key, _, tensor in _selected(modules[name], sides):
            setattr(modules[name], key, tensor)
    resize_all(modules, kept, before)


@torch.no_grad()
def _cut(
    modules: dict[str, nn.Module],
    kept: dict[str, dict[str, Tensor]],
    made: Container[int] = frozenset(),
) -> dict[int, Tensor]:
    """By the id of each tensor that is cut, what is left of it; without those made already."""
    return {
        id(old): tensor
        for name, sides in kept.items()
        for _, old, tensor in _selected(modules[name], sides, made)
    }


def _selected(
    module: nn.Module, sides: dict[str, Tensor], left_out: Container[int] = frozenset()
) -> list[tuple[str, Tensor, Tensor]]:
    """The tensors of a module that are cut: the name of each, the tensor, and what is left."""
    left: dict[str, tuple[Tensor, Tensor]] = {}
    # rows first: fewer are left then of which to take columns
    for role in sorted(sides, key="in".__eq__) if len(sides) > 1 else sides:
        indices = sides[role]
        size = indices.shape[0]
        for key, axis in tensors_of_role(module, role):
            old, tensor = left[key] if key in left else (tensor_of(module, key),) * 2
            if tensor.shape[axis] != size and id(old) not in left_out:
                left[key] = old, tensor.index_select(axis, indices.to(tensor.device))
    result = []
    for key, (old, new) in left.items():
        if new.ndim == 4 and not old.is_contiguous():
            new = new.contiguous(memory_format=torch.channels_last)
        result.append((key, old, as_parameter(old, new)))
    return result
