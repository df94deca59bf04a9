"""Two smaller networks in one masked one, side by side.

Two halves of the units have no unit in common. So one network of the full size holds both: what
makes a unit of one half reads nothing of the other, and a unit of neither half is silent. Its rows
of a half have the very weights that they have where all but this half is masked. They say the same,
unless some operation lets them feel the other half, which is loud here and would be silent there:
what a smaller network, that has no other half at all, then says is not the same either.

A layer that reads units and makes none (the last one) belongs to both. What it is given is doubled
along axis 0: first as the one half would give it, then as the other.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ..network.replica import replica
from .axes import is_layer, side, tensors_of_role
from .norms import MIXING
from .saying import Lengths
from .surgery import silencing

_BOTH, _FIRST, _SECOND, _NEITHER = range(4)  # whose a channel is
# By whose a row is, the columns that it reads.
_READS = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32)
# To leave out a column of one of these is to be given a 0 there.
_PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

Dropped = dict[tuple[str, str], Tensor]  # module and role -> channels


@torch.no_grad()
def side_by_side(
    model: nn.Module, first: Dropped, second: Dropped, lengths: Lengths
) -> nn.Module | None:
    """A `replica` in which both halves run without each other.

    Parameters
    ----------
    model : torch.nn.Module
    first, second : dict of (module, role) to Tensor
        From `dropped_channels`: what goes where the first half stays, and where the second does.
    lengths : dict of str to list of int
        From `said_by`: how long axis 0 is of what each layer says, each time that it is called.

    Returns
    -------
    torch.nn.Module or None
        None where halves cannot be told apart: in norms over several channels, heads of attention,
        layers of which some rows only are units, and parameters that have units along two axes.
    """
    modules = dict(model.named_modules())
    whose = _whose(modules, first, second)
    new: dict[int, Tensor] = {}
    split: dict[str, np.ndarray] = {}
    for name, sides in whose.items():
        module = modules[name]
        if isinstance(module, MIXING) or any(role[0] == "=" for role in sides):
            return None
        if is_layer(module) and "in" in sides:
            rows = sides.get("out")
            if rows is None:
                if type(module) not in _PLAIN or "forward" in vars(module):
                    return None
                split[name] = sides["in"]
                continue
            if (rows == _BOTH).any():
                return None
            new[id(module.weight)] = _apart(module, rows, sides["in"])
            if module.bias is not None:
                new[id(module.bias)] = module.bias.index_fill(
                    0, _silent(rows).to(module.bias.device), 0
                )
            continue
        for role, owners in sides.items():
            gone = _silent(owners)
            for key, axis in silencing(module, role):
                tensor = getattr(module, key)
                if id(tensor) in new:
                    return None
                new[id(tensor)] = tensor.index_fill(axis, gone.to(tensor.device), 0)
    both = replica(model, lambda tensor: new.get(id(tensor)))
    parts = dict(both.named_modules())
    for name, owners in split.items():
        parts[name].register_forward_pre_hook(
            _split(parts[name], owners, iter(lengths.get(name, ())))
        )
    return both


def _whose(
    modules: dict[str, nn.Module], first: Dropped, second: Dropped
) -> dict[str, dict[str, np.ndarray]]:
    """Module -> role -> whose each of its channels is."""
    whose: dict[str, dict[str, np.ndarray]] = {}
    for name, role in {**first, **second}:
        owners = np.full(side(modules[name], role), _BOTH)
        # what goes with the second half only is the first one's
        for dropped, owner in ((second, _FIRST), (first, _SECOND)):
            if (name, role) in dropped:
                owners[dropped[name, role].numpy()] += owner
        whose.setdefault(name, {})[role] = owners
    return whose


def _silent(owners: np.ndarray) -> Tensor:
    """The channels that are in neither half."""
    return torch.from_numpy(np.flatnonzero(owners == _NEITHER))


def _apart(module: nn.Module, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """The weight of a layer whose rows read their own half."""
    weight = module.weight.detach()
    turned = tensors_of_role(module, "in")[0][1] == 0  # a transposed convolution
    rows, columns = (columns, rows) if turned else (rows, columns)
    # numpy takes a fraction of the time that torch takes to begin an operation
    reads = _READS[:, columns].repeat(weight.shape[2:].numel(), axis=1)
    factors = torch.from_numpy(reads[rows]).to(weight.device, weight.dtype)
    return factors.view(weight.shape).mul_(weight)


def _split(layer: nn.Module, owners: np.ndarray, lengths: Iterator[int]) -> Callable:
    """A hook that gives a layer what it reads of the first half, and then of the second."""
    reads = [torch.from_numpy(_READS[half][owners]) for half in (_FIRST, _SECOND)]

    def hook(module, args):
        x, length = args[0], next(lengths)
        shape = (-1, *(1,) * (layer.weight.ndim - 2)) if isinstance(layer, _ConvNd) else (-1,)
        here = [factors.to(x).view(shape) for factors in reads]
        one, other = (x, x) if len(x) == length else x.split(length)
        return torch.cat([one * here[0], other * here[1]]), *args[1:]

    return hook
