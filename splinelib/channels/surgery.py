"""Copies of a network, and copies in which units are silent where they are.

A `Layout` says which rows, columns and channels a unit owns. Masks become the channels that go
(`dropped_channels`), and those a copy of the network with the units at zero (`silenced`, `held`).
Without them it is made by `cuts`.
"""

import contextlib
import copy
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from types import FunctionType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import prune

from ..errors import PruningError
from ..network.lending import Lender
from ..network.outputs import tensors_of
from ..network.replica import Held, replica
from .axes import tensors_of_role
from .layout import Layout
from .norms import MIXING, leave_out, plain_again

# Where a module keeps its tensors and its parts, which are copied by then.
_REGISTERED = ("_parameters", "_buffers", "_modules")
# What is never copied, and what is copied by making another one where it is empty.
_ATOMS = frozenset({type(None), bool, int, float, str, torch.dtype, torch.Size})
_CONTAINERS = frozenset({dict, OrderedDict, list, set})


def dropped_channels(layout: Layout, masks: dict[str, Tensor]) -> dict[tuple[str, str], Tensor]:
    """(module, role) -> sorted indices of the channels that the masks take away."""
    # numpy takes a fraction of the time that torch takes to begin an operation
    dropped: dict[tuple[str, str], list[Tensor]] = {}
    for name, mask in masks.items():
        units = np.flatnonzero(~mask.cpu().numpy())
        taken: dict[int, Tensor] = {}  # most members of a group number their channels alike
        for member in layout.groups[name].members if len(units) else ():
            key = id(member.indices)
            if key not in taken:
                taken[key] = torch.from_numpy(np.sort(member.indices.numpy()[units].ravel()))
            dropped.setdefault((member.module, member.role), []).append(taken[key])
    return {
        side: parts[0] if len(parts) == 1 else torch.cat(parts).sort().values
        for side, parts in dropped.items()
    }


@torch.no_grad()
def silenced(
    model: nn.Module, layout: Layout, masks: dict[str, Tensor], share: bool = False
) -> nn.Module:
    """A copy in which the masked units are 0 throughout and nobody reads them.

    Rows of the layers that make a unit, scale and shift of its normalisations and the
    columns that read it are set to zero. Layer and group norms leave it out. With ``share``
    it is a `replica`, which has its other parameters in common with the model.
    """
    return silenced_at(model, dropped_channels(layout, masks), share)


@torch.no_grad()
def silenced_at(
    model: nn.Module, dropped: dict[tuple[str, str], Tensor], share: bool = False
) -> nn.Module:
    """`silenced`, of what `dropped_channels` gave."""
    result = _with(model, _zeroed(dict(model.named_modules()), dropped), share)
    _leave_out(result, dropped)
    return result


@contextlib.contextmanager
def silenced_for_a_while(
    dropped: dict[tuple[str, str], Tensor], lend: Lender
) -> Iterator[nn.Module]:
    """What `silenced_at` makes, of a model that is lent for a run."""
    if any(isinstance(lend.modules[name], MIXING) for name, _ in dropped):  # of other classes then
        yield silenced_at(lend.model, dropped, share=True)
        return
    with lend(_zeroed(lend.modules, dropped)) as model:
        yield model


def _with(model: nn.Module, new: dict[int, Tensor], share: bool) -> nn.Module:
    """A copy with other tensors, given by the ids of the model's own."""
    if share:
        return replica(model, lambda tensor: new.get(id(tensor)))
    return duplicate(model, new)


@torch.no_grad()
def _zeroed(
    modules: dict[str, nn.Module], dropped: dict[tuple[str, str], Tensor]
) -> dict[int, Tensor]:
    """By the id of each tensor that holds some of these channels, one with zeros there."""
    new: dict[int, Tensor] = {}
    for (name, role), indices in dropped.items():
        for key, axis in silencing(modules[name], role):
            old = getattr(modules[name], key)
            there, made = indices.to(old.device), new.get(id(old))
            if axis and isinstance(old, nn.Parameter):
                # a product is several times as fast as filling columns; a buffer may hold infinity
                kept = old.new_ones(old.shape[axis]).index_fill_(0, there, 0)
                values = _times(old if made is None else made, kept, axis, made is not None)
            elif made is None:
                values = old.detach().index_fill(axis, there, 0)
            else:
                values = made.detach().index_fill_(axis, there, 0)
            if made is None:
                new[id(old)] = as_parameter(old, values)
    return new


def _times(tensor: Tensor, factors: Tensor, axis: int, in_place: bool) -> Tensor:
    """Each channel along an axis times its factor."""
    tensor, shape = tensor.detach(), tensor.shape
    inner = shape[axis + 1 :].numel()
    if tensor.is_contiguous():  # one long row for each of the short ones of a kernel
        tensor, factors = tensor.flatten(axis), factors.repeat_interleave(inner)
    else:
        factors = factors.view(-1, *(1,) * (len(shape) - axis - 1))
    return (tensor.mul_(factors) if in_place else tensor * factors).view(shape)


def _leave_out(model: nn.Module, dropped: dict[tuple[str, str], Tensor]) -> None:
    for name, module in model.named_modules():
        if isinstance(module, MIXING) and (name, "channel") in dropped:
            leave_out(module, dropped[name, "channel"])


def silencing(module: nn.Module, role: str) -> list[tuple[str, int]]:
    """The tensors whose entries are 0 for a silent unit."""
    if isinstance(module, nn.PReLU):  # it maps 0 to 0 as it is
        return []
    # a variance of 0 would be divided by
    return [(key, axis) for key, axis in tensors_of_role(module, role) if not key.endswith("var")]


def held(model: nn.Module, layout: Layout, masks: dict[str, Tensor]) -> nn.Module:
    """A copy that computes what `silenced`'s does, through masks of `torch.nn.utils.prune`."""
    result = duplicate(model)
    modules = dict(result.named_modules())
    ones: dict[tuple[str, str], Tensor] = {}
    for (name, role), indices in dropped_channels(layout, masks).items():
        module = modules[name]
        affine = getattr(module, "weight", None) is not None
        for key, axis in silencing(module, role):
            tensor = getattr(module, key)
            if isinstance(tensor, nn.Parameter):
                mask = ones.setdefault((name, key), torch.ones_like(tensor))
                mask.index_fill_(axis, indices.to(mask.device), 0)
            elif not (role == "channel" and affine):  # scale and shift are 0 already
                tensor.index_fill_(axis, indices.to(tensor.device), 0)
        if isinstance(module, MIXING):
            leave_out(module, indices)
    for (name, key), mask in ones.items():
        prune.custom_from_mask(modules[name], key, mask)
    return result


@torch.no_grad()
def duplicate(model: nn.Module, memo: dict | None = None) -> nn.Module:
    """A copy of the model; much faster than deepcopy, which goes by storages."""
    memo = memo or {}
    for module in model.modules():
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if type(tensor) in (Tensor, nn.Parameter) and id(tensor) not in memo:
                memo[id(tensor)] = as_parameter(tensor, tensor.detach().clone())
    return _deepcopy(model, memo)


def as_parameter(old: Tensor, new: Tensor) -> Tensor:
    """New values as a parameter, if the old ones are one."""
    if type(old) is Tensor or not isinstance(old, nn.Parameter):
        return new
    return nn.Parameter(new, requires_grad=old.requires_grad)


def shell(model: nn.Module) -> nn.Module:
    """A copy of the tree of modules that shares parameters with the model.

    It is a `replica` whose norms are over all channels.
    """
    return plain_again(replica(model))


def _is_atom(value) -> bool:
    """Whether a value need not be copied."""
    kind = type(value)
    return kind in _ATOMS or (kind is tuple and _ATOMS.issuperset(map(type, value)))


def _deepcopy(model: nn.Module, memo: dict) -> nn.Module:
    """What `copy.deepcopy` gives, in a fraction of the time for networks of many modules.

    A module holds some twenty attributes, most of them empty containers for hooks, and deepcopy
    asks each how it wants to be copied. Modules that bring their own way of copying keep it.
    Tensors that a forward pass left on a module, and that torch does not copy, are copied without
    their history.
    """
    modules = dict(model.named_modules())
    kinds = {kind: _copies_plainly(kind) for kind in set(map(type, modules.values()))}
    plain = {name: module for name, module in modules.items() if kinds[type(module)]}
    for module in plain.values():
        memo[id(module)] = type(module).__new__(type(module))
    led = _functions(plain.values(), memo)
    for name, module in plain.items():
        state = memo[id(module)].__dict__
        for key, value in module.__getstate__().items():
            kind = type(value)
            if kind in _ATOMS:
                state[key] = value
            elif kind in _CONTAINERS and not value:  # of hooks, as most are
                state[key] = memo.setdefault(id(value), kind())
            elif _is_atom(value):
                state[key] = value
            elif id(value) in led:
                state[key] = led[id(value)]
            elif key in _REGISTERED and kind is dict:
                state[key] = {
                    name: memo[id(item)] if id(item) in memo else copy.deepcopy(item, memo)
                    for name, item in value.items()
                }
            else:
                state[key] = _copied(value, memo, f"{name}.{key}" if name else key)
    return copy.deepcopy(model, memo)


def _functions(modules: Iterable[nn.Module], memo: dict) -> dict[int, object]:
    """By id, functions and dicts of hooks that reach a module, leading to its copy.

    deepcopy hands functions on as they are, and what they close over with them.
    """
    found = [
        value
        for module in modules
        for key, value in vars(module).items()
        if isinstance(value, FunctionType)
        or (isinstance(value, dict) and value and key.endswith("_hooks"))
    ]
    held = Held(found, {id(module): memo[id(module)] for module in modules})
    return {id(value): held.moved(value) for value in found if held.reaches(value)}


def _copied(value, memo: dict, name: str):
    """A copy of one attribute, for which torch's refusals are said in words."""
    for tensor in tensors_of(value) if isinstance(value, Tensor | list | tuple | dict) else ():
        if tensor.grad_fn is not None:
            memo.setdefault(id(tensor), tensor.detach().clone())
    try:
        return copy.deepcopy(value, memo)
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise PruningError(
            f"the attribute {name!r} of the network ({type(value).__name__}) cannot be copied: "
            f"{error}. Pruning returns a copy: take the attribute off first, or give its class a "
            "__deepcopy__"
        ) from error


def copies_plainly(model: nn.Module) -> bool:
    """Whether all of a model's modules are copied by copying their attributes."""
    return all(_copies_plainly(kind) for kind in set(map(type, model.modules())))


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
