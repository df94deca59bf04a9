"""Whether what a model runs is part of it.

A `replica` leads to the copies of a model's modules through the attributes of its modules. A
forward method can also reach modules through global names and class attributes, as in

    HEAD = nn.Linear(8, 2)
    class Net(nn.Module):
        def forward(self, x):
            return HEAD(self.body(x))

No run can put those into evaluation mode, name their layers, or prune them.
"""

import dis
import functools
import inspect
import itertools
import types
from collections.abc import Iterator

from torch import nn

# Classes and functions of these hold nothing of the user's.
_LIBRARIES = ("torch", "torchvision", "numpy", "builtins", "splinelib")


def check_belongs(model: nn.Module) -> None:
    """Refuse a model whose forward runs modules which are none of its own.

    Modules without parameters, buffers and modes, such as a ReLU, may stand anywhere.

    Raises
    ------
    ValueError
        Naming the global name or class attribute, and the module whose forward uses it.
    """
    foreign = {kind for kind in set(map(type, model.modules())) if not _of_a_library(kind)}
    for name, module in model.named_modules() if foreign else ():
        kind = type(module)
        if kind not in foreign:
            continue
        foreign.remove(kind)
        for place in _places(kind.forward, kind, set()):
            whose = f"{name!r} ({kind.__name__})" if name else kind.__name__
            raise ValueError(
                f"{whose} runs a module with weights, statistics or a mode of its own that is not "
                f"part of the network: {place}. Make it an attribute of the module that uses it, "
                "in __init__, so that it is among model.modules()"
            )


def _of_a_library(value) -> bool:
    return (getattr(value, "__module__", None) or "").split(".")[0] in _LIBRARIES


def _places(value, kind: type, looked_at: set[int]) -> Iterator[str]:
    """Where a method of a class, or what it calls, finds modules with state outside of `self`."""
    value = getattr(value, "fget", None) or getattr(value, "func", value)  # of a property
    function = inspect.unwrap(getattr(value, "__func__", value))
    if not isinstance(function, types.FunctionType) or id(function) in looked_at:
        return
    looked_at.add(id(function))
    global_names, attributes = _names(function.__code__)
    reached = [
        *((f"the global name {n}", function.__globals__.get(n)) for n in global_names),
        *((f"the class attribute {n}", inspect.getattr_static(kind, n, None)) for n in attributes),
    ]
    for place, found in reached:
        if _has_state(found):
            yield place
        elif found is not None and not _of_a_library(found):
            yield from _places(found, kind, looked_at)


def _has_state(value) -> bool:
    """Whether a value is a module whose outputs depend on more than its inputs, or holds one."""
    if isinstance(value, nn.Module):
        if any(True for _ in itertools.chain(value.parameters(), value.buffers())):
            return True
        return any(hasattr(module, "p") for module in value.modules())  # how much a dropout drops
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, list | tuple) and any(
        isinstance(item, nn.Module) and _has_state(item) for item in value
    )


@functools.cache
def _names(code: types.CodeType) -> tuple[list[str], list[str]]:
    """Global names that a function looks up, and attributes, of functions within it as well."""
    global_names, attributes = [], []
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            global_names.append(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.append(step.argval)
        elif isinstance(step.argval, types.CodeType):
            inner = _names(step.argval)
            global_names += inner[0]
            attributes += inner[1]
    return global_names, attributes
