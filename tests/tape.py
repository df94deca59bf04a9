"""A CUDA graph that is not there: what a GPU would replay, and refuse to capture, on the CPU.

`Tape` writes down each operation that PyTorch hands to a device while some work runs, with the very
tensors, and does these again, into the same memory, without the Python that called for them. So
what Python decided stays as it was, and tensors that were replaced are not seen. What a capture
refuses is refused: waiting for a value, a shape that depends on values, tensors from the host.

What NumPy does is not seen.
"""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten
# Values that go to the host, and shapes that follow from them.
_WAITING = {_aten._local_scalar_dense, _aten.nonzero, _aten.masked_select, _aten.equal}
_FROM_HOST = {_aten.lift_fresh}  # torch.tensor, Tensor.new_tensor
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
_EMPTY = {_aten.empty, _aten.empty_like, _aten.empty_strided, _aten.new_empty}


class Tape(TorchDispatchMode):
    """Records work and replays it: ``tape(work)`` gives what replays it, as a CUDA graph does.

    Attributes
    ----------
    recorded, replayed : int
        How often.
    """

    def __init__(self):
        super().__init__()
        self.recorded = self.replayed = 0
        self._calls: list[tuple] = []
        self._before: list[tuple[Tensor, Tensor]] = []

    def __call__(self, work):
        self._calls, self._before = calls, before = [], []
        try:
            with self:
                work()
        finally:
            with torch.no_grad():
                for tensor, value in reversed(before):  # a capture computes nothing
                    tensor.copy_(value)
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            with torch.no_grad():
                for call in calls:
                    _again(*call)

        return replay

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs, packet = kwargs or {}, function.overloadpacket
        if packet in _WAITING or (packet in _INDEXING and _by_mask(args[1])):
            raise RuntimeError(f"{function}: operation not permitted when stream is capturing")
        if packet in _FROM_HOST:
            raise RuntimeError(f"{function}: the host's memory is not pinned")
        for tensor in _written(function, args, kwargs):
            self._before.append((tensor.detach(), tensor.detach().clone()))
        results = function(*args, **kwargs)
        self._calls.append((function, args, kwargs, results))
        return results


def _by_mask(indices) -> bool:
    kinds = (torch.bool, torch.uint8)
    return any(isinstance(index, Tensor) and index.dtype in kinds for index in indices)


def _written(function, args, kwargs) -> list[Tensor]:
    """The tensors that an operation writes to; some norms do not say so of their statistics."""
    found = []
    for place, argument in enumerate(function._schema.arguments):
        value = args[place] if place < len(args) else kwargs.get(argument.name)
        named = argument.alias_info is not None and argument.alias_info.is_write
        if named or argument.name.startswith("running_"):
            found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return found


def _again(function, args, kwargs, results) -> None:
    """Do one operation again, into the memory of what it gave."""
    aliases = [returned.alias_info for returned in function._schema.returns]
    views = any(alias is not None and not alias.is_write for alias in aliases)
    if views or function.overloadpacket in _EMPTY:
        return  # of memory that is still there
    new = function(*args, **kwargs)
    if all(alias is None for alias in aliases):
        for old, value in zip(tree_leaves(results), tree_leaves(new), strict=True):
            if isinstance(old, Tensor):
                old.copy_(value)
