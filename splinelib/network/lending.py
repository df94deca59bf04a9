"""A model's own modules, run with other tensors for a while.

A `replica` for each of many runs is safe whatever a forward does, and takes as long as the run of a
deep network of thin layers. Of most networks all that a run can change is known: what stands in the
dictionaries of their modules, and their buffers. Those are brought back instead.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor, nn

from .replica import is_constant, replica, written_by_runs

# Where a module keeps its tensors and its parts.
_REGISTERED = ("_parameters", "_buffers", "_modules")
_DICTS = (dict, OrderedDict)
_CONTAINERS = frozenset({*_DICTS, set})


class Lender:
    """Runs a model with some of its tensors exchanged.

    Parameters
    ----------
    model : torch.nn.Module
        Between runs nothing but the modes of its modules should be changed. Nobody else may use it
        during one.

    Attributes
    ----------
    model : torch.nn.Module
    modules : dict of str to torch.nn.Module
        The model's, by name.
    plain : bool
        Whether the model itself is lent. If not it is a replica, since its modules keep something
        through which a run could leave more than we see.
    """

    def __init__(self, model: nn.Module):
        self.model, self.modules = model, dict(model.named_modules())
        modules = self.modules.values()
        self.plain = _is_plain(modules)
        if self.plain:
            states = [vars(module) for module in modules]
            self._modes = [state for state in states if "training" in state]
            self._saved = [(state, state.copy()) for state in states]
            registered = [state[key] for state in states for key in _REGISTERED if state[key]]
            self._registered = [(held, held.copy()) for held in registered]
            self._places: dict[int, list[tuple[dict, str]]] = {}
            for state in states:
                for key in ("_parameters", "_buffers"):
                    for name, tensor in state[key].items():
                        self._places.setdefault(id(tensor), []).append((state[key], name))
            values = (value for state in states for value in state.values())
            self._empty = [v for v in values if type(v) in _CONTAINERS and not v]
            held = (tensor for state in states for tensor in state["_buffers"].values())
            self._buffers = [tensor for tensor in held if tensor is not None]
            self._values = [tensor.clone() for tensor in self._buffers]

    @contextlib.contextmanager
    def __call__(self, new: Mapping[int, Tensor]) -> Iterator[nn.Module]:
        """A model that holds these tensors in place of those with these ids.

        It is the model itself, which afterwards is as it was, or a `replica`.
        """
        if not self.plain:
            yield replica(self.model, lambda tensor: new.get(id(tensor)))
            return
        modes = [state["training"] for state in self._modes]
        try:
            for key, tensor in new.items():
                for held, name in self._places.get(key, ()):
                    held[name] = tensor
            yield self.model
        finally:
            # an interruption may come here: what looks at a module then finds all that it has
            for state, before in self._saved:
                state.update(before)
                for key in state.keys() - before.keys() if len(state) > len(before) else ():
                    del state[key]
            for held, before in self._registered:
                held.clear()  # so that what comes back stands in its place
                held.update(before)
            for state, mode in zip(self._modes, modes, strict=True):
                state["training"] = mode
            for container in self._empty:  # of hooks, as a rule
                if container:
                    container.clear()
            # also those of which torch counts no versions, as of statistics of a batch norm
            if self._buffers:
                with torch.no_grad():
                    torch._foreach_copy_(self._buffers, self._values)


def _is_plain(modules: Collection[nn.Module]) -> bool:
    """Whether modules keep nothing but tensors, parts, and values that nobody can change."""
    if any(hasattr(kind, "__slots__") for kind in set(map(type, modules))):
        return False
    for module in modules:
        if isinstance(module, torch.jit.ScriptModule) or written_by_runs(module):
            return False
        for key, value in vars(module).items():
            empty = type(value) in _CONTAINERS and not value
            if not (empty or key in _REGISTERED or is_constant(value)):
                return False
    return True
