"""How much memory tensors hold at most while something runs."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak(TorchDispatchMode):
    """The most bytes that tensors made within it hold at a time."""

    def __init__(self):
        super().__init__()
        self.most, self._alive = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self._alive += [weakref.ref(tensor.untyped_storage()) for tensor in tensors]
        storages = {ref().data_ptr(): ref() for ref in self._alive if ref() is not None}
        self._alive = [weakref.ref(storage) for storage in storages.values()]
        self.most = max(self.most, sum(storage.nbytes() for storage in storages.values()))
        return result
