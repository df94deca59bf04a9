"""A copy of a model's modules that has its parameters in common with the model.

Whatever a run needs of a model that is not a weight (its mode, hooks, names, buffers that a
forward writes) is put on such a copy. So nothing is left on the user's model when a run is
interrupted, and several threads can look at one model.
"""

import copy
import functools
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .belonging import check_belongs

# What holds no module, whatever its value.
_ATOMS = {
    *(bool, int, float, complex, str, bytes, type(None), type, types.ModuleType, Tensor),
    *(types.BuiltinFunctionType, torch.dtype, torch.device, torch.Size, torch.Generator),
    *(np.ndarray, nn.Parameter),
}
# Those of which nothing is copied.
_PLAIN = frozenset(_ATOMS - {Tensor, nn.Parameter, np.ndarray})
_DICTS = frozenset({dict, OrderedDict})
_SEQUENCES = (list, tuple, set, frozenset, deque)
_MAPPINGS = (dict, OrderedDict, defaultdict, Counter)
# How many attributes, and what they hold, are looked through for modules: more is no network.
_LIMIT = 200_000


def _unchanged(tensor: Tensor) -> None:
    """No other tensor takes its place."""


def replica(model: nn.Module, changed: Callable[[Tensor], Tensor | None] = _unchanged) -> nn.Module:
    """A copy of the tree of modules, in the same modes, that shares parameters with the model.

    Parameters
    ----------
    model : torch.nn.Module
        Of any class, whether torch can copy its attributes or not.
    changed : callable, optional
        Makes the tensor that takes the place of a parameter or buffer. Where it gives None,
        parameters are the model's own, but for those that a run writes (embeddings with
        ``max_norm``) and those made in inference mode, which are copied, as buffers are.

    Returns
    -------
    torch.nn.Module
        Containers, functions and objects through which the model reaches its modules, or tensors
        that were copied, lead to the copies. Other containers, tensors and arrays, in which a
        forward may keep something, are copied. All else is shared: what a forward writes into
        its parameters or into objects of other classes, it writes into the model's.

    Raises
    ------
    ValueError
        For a lazy module that has not run yet, and where a forward runs modules with weights
        that are not part of the model (`check_belongs`).

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> copied = replica(net).eval()
    >>> net.training, copied[0].weight is net[0].weight
    (True, True)
    """
    if isinstance(model, torch.jit.ScriptModule) or not isinstance(model, nn.Module):
        return model  # whoever runs it says what is wrong with it
    modules = [m for m in model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    _check_made(model, modules)
    check_belongs(model)
    tensors, waiting = _tensors(modules, changed), []
    copies = tensors | {id(module): _blank(module) for module in modules}
    slotted: dict[type, list[str]] = {}
    for module in modules:
        state = copies[id(module)].__dict__
        state.update(module.__dict__)
        for key, value in state.items():
            kind = type(value)
            if kind in _PLAIN:
                continue
            if kind in _DICTS and not value:  # hooks, to which a run adds its own
                state[key] = kind()
            elif key in ("_parameters", "_buffers"):
                state[key] = {n: tensors.get(id(t), t) for n, t in list(value.items())}
            elif kind is nn.Parameter:
                state[key] = tensors.get(id(value), value)
            elif (new := _simple(key, kind, value, copies)) is not None:
                state[key] = new
            else:
                waiting.append((state, key, value))
        if "_compiled_call_impl" in state:  # which runs the module that was compiled
            state["_compiled_call_impl"] = None
        if type(module) not in slotted:
            slotted[type(module)] = _slots(type(module))
        names = [name for name in slotted[type(module)] if hasattr(module, name)]
        waiting += [(module, name, getattr(module, name)) for name in names]
    own: dict[int, object] = {}
    held = Held([value for _, _, value in waiting], copies)
    for place, key, value in waiting:
        new = held.moved(value) if held.reaches(value) else _own(value, own)
        if isinstance(place, dict):
            place[key] = new
        else:  # a slot
            object.__setattr__(copies[id(place)], key, new)
    return copies[id(model)]


def _simple(key: str, kind: type, value, copies: dict):
    """What takes the place of most values: modules of a module, sizes; None for all else.

    `Held`, which finds its way through any value, takes longer.
    """
    if kind is tuple:
        return value if _PLAIN.issuperset(map(type, value)) else None
    if key == "_non_persistent_buffers_set" and kind is set:
        return value.copy()
    if key == "_modules" and kind is dict:
        parts = list(value.items())
        if all(part is None or id(part) in copies for _, part in parts):
            new = copies[id(value)] = {name: copies.get(id(part)) for name, part in parts}
            return new
    return None


def is_constant(value) -> bool:
    """Whether a run can change nothing in a value, and it leads to no module or tensor."""
    kind = type(value)
    return kind in _PLAIN or (kind is tuple and _PLAIN.issuperset(map(type, value)))


def _own(value, memo: dict[int, object]):
    """What a run may write to as the copy's own: hooks, or what a forward keeps in attributes."""
    if id(value) in memo:  # one container stays one, also where it holds itself
        return memo[id(value)]
    kind = type(value)
    if kind is np.ndarray or (kind is Tensor and value.is_leaf and not value.requires_grad):
        copy.deepcopy(value, memo)  # of tensors on one storage, one storage
    elif kind is set:
        memo[id(value)] = set(value)
    elif kind in _MAPPINGS:
        new = memo[id(value)] = copy.copy(value)
        new.clear()
        new.update({key: _own(item, memo) for key, item in list(value.items())})
    elif kind in (list, deque):
        new = memo[id(value)] = copy.copy(value)
        new.clear()
        new.extend([_own(item, memo) for item in list(value)])
    return memo.get(id(value), value)


def _blank(module: nn.Module) -> nn.Module:
    kind = type(module)
    try:
        return object.__new__(kind)
    except TypeError:  # a class that is partly in C
        return kind.__new__(kind)


def _slots(kind: type) -> list[str]:
    """What modules of a class keep in slots, of which their `__dict__` knows nothing."""
    named = [vars(each).get("__slots__", ()) for each in kind.__mro__]
    names = [n for slots in named for n in ([slots] if isinstance(slots, str) else slots)]
    return [n for n in names if n not in ("__dict__", "__weakref__")]


def _tensors(modules: list[nn.Module], changed: Callable) -> dict[int, Tensor]:
    """id of a tensor -> what takes its place in the copy."""
    tensors: dict[int, Tensor] = {}
    for module in modules:
        written = written_by_runs(module)
        for tensor in _held_by(module._parameters) if module._parameters else ():
            if id(tensor) in tensors:
                continue
            new = changed(tensor)
            if new is None and (written or tensor.is_inference()):
                new = tensor.detach().clone()
            if new is not None:
                grad = tensor.requires_grad
                kept = isinstance(new, nn.Parameter)
                tensors[id(tensor)] = new if kept else nn.Parameter(new.detach(), grad)
        for tensor in _held_by(module._buffers) if module._buffers else ():
            if id(tensor) not in tensors:
                new = changed(tensor)
                tensors[id(tensor)] = tensor.detach().clone() if new is None else new
    return tensors


def written_by_runs(module: nn.Module) -> bool:
    """Whether a run writes a module's parameters, as of embeddings whose rows it shortens."""
    own = module.__dict__.get("max_norm", getattr(type(module), "max_norm", None))
    return own is not None


def _held_by(registered: dict) -> list[Tensor]:
    return [tensor for tensor in list(registered.values()) if tensor is not None]


def _check_made(model: nn.Module, modules: list[nn.Module]) -> None:
    """Refuse parameters that a first run would make: it would make them on a copy."""
    if not any(
        is_lazy(t) for m in modules for t in (*_held_by(m._parameters), *_held_by(m._buffers))
    ):
        return
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise ValueError(
                f"{name!r} of this network is not made yet: it belongs to a lazy module. Run the "
                "network once on inputs of the shape that it is for, model(inputs)"
            )


class Held:
    """What some values hold, and which of it leads to something that is copied.

    Parameters
    ----------
    values : list
    copies : dict of int to Module or Tensor
        By the id of what is copied, the copy.
    """

    def __init__(self, values: list, copies: dict[int, nn.Module | Tensor]):
        self._copies = copies
        self._memo: dict[int, object] = dict(copies)
        self._alive: list = []  # so that no id is used twice
        holders: dict[int, list[int]] = {}
        seen, waiting, reached = set(copies), [*values], set()
        while waiting and len(seen) < _LIMIT:
            value = waiting.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            self._alive.append(value)
            for part in _parts(value):
                if id(part) in copies:
                    reached.add(id(value))
                elif type(part) not in _ATOMS:
                    holders.setdefault(id(part), []).append(id(value))
                    waiting.append(part)
        self._reaching = set(reached)
        while reached:
            new = {h for item in reached for h in holders.get(item, ())} - self._reaching
            self._reaching |= new
            reached = new

    def reaches(self, value) -> bool:
        """Whether a value is copied, or holds what is."""
        return id(value) in self._reaching or id(value) in self._copies

    def moved(self, value):
        """The value, leading to the copies where it led to what they are of."""
        if not self.reaches(value):
            return value
        if id(value) not in self._memo:
            self._make(value)
        return self._memo[id(value)]

    def _make(self, value) -> None:
        new: object
        if isinstance(value, list | deque | set):
            new = self._memo[id(value)] = copy.copy(value)
            new.clear()
            (new.update if isinstance(value, set) else new.extend)(map(self.moved, list(value)))
        elif isinstance(value, tuple | frozenset):
            parts = map(self.moved, value)
            new = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        elif isinstance(value, dict):
            new = self._memo[id(value)] = copy.copy(value)
            new.clear()
            new.update({self.moved(k): self.moved(v) for k, v in list(value.items())})
        elif isinstance(value, functools.partial):
            keywords = {k: self.moved(v) for k, v in value.keywords.items()}
            new = type(value)(self.moved(value.func), *map(self.moved, value.args), **keywords)
        elif isinstance(value, types.MethodType):
            new = types.MethodType(self.moved(value.__func__), self.moved(value.__self__))
        elif isinstance(value, types.CellType):
            new = self._memo[id(value)] = types.CellType()
            new.cell_contents = self.moved(value.cell_contents)
        elif isinstance(value, types.FunctionType):
            new = self._function(value)
        elif hasattr(value, "cache_parameters"):  # of functools: empty: it remembers the model's
            new = functools.lru_cache(**value.cache_parameters())(self.moved(value.__wrapped__))
        else:
            new = self._memo[id(value)] = copy.copy(value)
            new.__dict__.update({k: self.moved(v) for k, v in list(value.__dict__.items())})
        self._memo[id(value)] = new

    def _function(self, function: types.FunctionType) -> types.FunctionType:
        new = types.FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            self.moved(function.__defaults__),
            tuple(map(self.moved, function.__closure__ or ())) or None,
        )
        new.__kwdefaults__ = self.moved(function.__kwdefaults__)
        new.__dict__.update({k: self.moved(v) for k, v in function.__dict__.items()})
        new.__doc__, new.__qualname__ = function.__doc__, function.__qualname__
        return new


def _parts(value) -> list:
    """What a value holds."""
    if isinstance(value, Tensor):
        return []
    if isinstance(value, _SEQUENCES):
        return list(value)
    if isinstance(value, dict):
        return [part for pair in list(value.items()) for part in pair]
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.CellType):
        return [value.cell_contents] if value != types.CellType() else []
    if isinstance(value, types.FunctionType):
        held = [*(value.__closure__ or ()), value.__defaults__, value.__kwdefaults__]
        return [*held, *value.__dict__.values()]
    return list(getattr(value, "__dict__", {}).values())
