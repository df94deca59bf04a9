"""Tensors that share memory, and memory that holds what was computed from the input.

Functions are seen as a model calls them; what happens below them (TorchScript, ``torch.vmap``, a
write through ``out=``) is not. So every operation that reaches torch's dispatcher passes marks on,
from the memory that it reads to the memory that it writes: a tensor of marked memory that nobody
saw being made is caught where it is used.
"""

import weakref

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def storage_of(tensor: Tensor):
    """The memory of a tensor, an object that is equal for views of each other; None if it has none.

    Held on to, it is not given to another tensor. A weak reference to it lives as long as the
    memory does, whoever holds that.
    """
    try:
        storage = tensor.untyped_storage()
        return storage if storage.nbytes() and storage.data_ptr() else None
    except (RuntimeError, NotImplementedError):  # sparse, or under a transform
        return None


def key_of(tensor: Tensor) -> int | None:
    """A number that is the same for tensors that share memory; None for one without memory."""
    storage = storage_of(tensor)
    return None if storage is None else storage.data_ptr()


def version_of(tensor: Tensor) -> int:
    """A number that changes when an operation in place changes the tensor or a view of it."""
    return -1 if tensor.is_inference() else tensor._version


class Marks(TorchDispatchMode):
    """Memory that holds numbers that were computed from the input."""

    def __init__(self):
        super().__init__()
        self.busy = False  # within an operation that the model called
        self._marked: dict[int, weakref.ref] = {}  # where memory is -> that memory

    def mark(self, tensor: Tensor) -> None:
        """Note that this tensor's memory depends on the input."""
        storage = storage_of(tensor)
        if storage is not None:
            self._marked[storage.data_ptr()] = weakref.ref(storage)

    def unmark(self, tensor: Tensor) -> None:
        """Note that it does not."""
        self._marked.pop(key_of(tensor), None)

    def marked(self, tensor: Tensor) -> bool:
        """Whether this tensor's memory depends on the input."""
        there = self._marked.get(key_of(tensor))
        # where memory was given back, and to another tensor, there is no mark
        return there is not None and there() is not None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise PyTorch imports its compiler for our sake, which takes seconds.
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        before, self.busy = self.busy, True
        try:
            result = func(*args, **kwargs)
            read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
            if any(map(self.marked, read)):
                changed = read if func._schema.is_mutable and not _names_one(func) else []
                for tensor in (*tree_leaves(result), *changed):
                    if isinstance(tensor, Tensor):
                        self.mark(tensor)
        finally:
            self.busy = before
        return result


def _names_one(func) -> bool:
    """Whether what an operation changes is among its results: ``add_``, ``add.out``."""
    return len(func._schema.returns) > 0


def assigned(x: Tensor, index, value) -> Tensor:
    """What ``x[index] = value`` leaves behind, as a copy."""
    x = x.clone()
    x[index] = value
    return x


def assigned_to_constant(x: Tensor, index, value: Tensor) -> Tensor:
    """`assigned` to a constant of one row, for as many rows as the value has."""
    return assigned(x.expand(len(value), *x.shape[1:]) if len(x) == 1 else x, index, value)
