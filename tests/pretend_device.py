"""A device that is not there, to find out without a GPU where tensors of two devices meet.

`There` is a tensor that says it lies on `DEVICE` and keeps its numbers on the CPU. Under `device()`
tensors come to and from it as with any device (``.to``, ``.cpu()``, ``device=``), and what a GPU
would refuse is refused: an operation on tensors of both devices, an index on the device for a
tensor on the CPU, random numbers there from a generator of the CPU.

What it cannot see is anything that asks for CUDA by name; the tests marked ``cuda`` are for that.
"""

from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

# A device type that every build of PyTorch knows and that nothing has to be initialised for.
DEVICE = torch.device("lazy", 0)

_aten = torch.ops.aten
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
_COPYING = {_aten.copy_, _aten._to_copy}


class There(Tensor):
    """A tensor on `DEVICE`."""

    @staticmethod
    def __new__(cls, held: Tensor):
        return Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
        )

    def __init__(self, held: Tensor):
        self.held = held

    def __repr__(self) -> str:
        return f"There({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _dispatch(func, args, kwargs or {})


def _held(value):
    return value.held if isinstance(value, There) else value


def _dispatch(func, args, kwargs):
    """Run one operation on what the tensors hold; the result lies where a device would put it."""
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)]
    there = [t for t in tensors if isinstance(t, There)]
    here = [t for t in tensors if not isinstance(t, There) and t.ndim]
    packet = func.overloadpacket
    if packet in _INDEXING:
        values = [t for t in args[2:3] if isinstance(t, Tensor) and t.ndim]
        moved = [t for t in (args[0], *values) if isinstance(t, There)]
        mixed = bool(there) and len(moved) < 1 + len(values)
    else:
        mixed = bool(there and here) and packet not in _COPYING
    asked = kwargs.get("device")
    goes_there = bool(there) if asked is None else torch.device(asked).type == DEVICE.type
    generator = kwargs.get("generator")
    if mixed or (goes_there and generator is not None):
        raise RuntimeError(f"{func}: not all on one device")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    # An operation in place gives back the very tensors that it was given, wherever they lie.
    given = {id(_held(t)): t for t in tensors}
    return tree_map(
        lambda t: given.get(id(t), There(t) if goes_there else t) if isinstance(t, Tensor) else t,
        result,
    )


class _Dispatched(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _dispatch(func, args, kwargs or {})


class _Made(TorchFunctionMode):
    """Tensors from Python numbers and back, which happens below what a dispatch mode sees."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is Tensor.new_tensor and isinstance(args[0], There):
            kwargs = {"dtype": args[0].dtype, "device": DEVICE} | kwargs
            func, args = torch.tensor, args[1:]
        if func is Tensor.tolist:
            return args[0].cpu().tolist()
        numbers = func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], Tensor)
        if numbers and kwargs.get("device") == DEVICE:
            del kwargs["device"]
            return func(*args, **kwargs).to(DEVICE)
        return func(*args, **kwargs)


@contextmanager
def device():
    """`DEVICE` is there."""
    with _Dispatched(), _Made():
        yield DEVICE
