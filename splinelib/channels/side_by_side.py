"""Two smaller networks in one masked one, side by side.

Two halves of the units have no unit in common. So one network of the full size holds both: what
makes a unit of one half reads nothing of the other, and nobody reads a unit of neither half. Its
rows of a half have the very weights that they have where all but this half is masked. They say the
same, unless some operation lets them feel the other units, which are loud here and would be silent
there: what a smaller network, that has no other units at all, then says is not the same either.

A layer that reads units and makes none (the last one) belongs to both. What it is given is doubled
along axis 0: first as the one half would give it, then as the other.
"""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ..network.lending import Lender
from .axes import side, tensors_of_role
from .norms import MIXING
from .saying import Lengths
from .surgery import as_parameter

_BOTH, _FIRST, _SECOND, _NEITHER = range(4)  # whose a channel is
# By whose a row is, the columns that it reads.
_READS = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32)
# To leave out a column of one of these is to be given a 0 there.
_PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

Dropped = dict[tuple[str, str], Tensor]  # module and role -> channels


@contextlib.contextmanager
def side_by_side(
    first: Dropped, second: Dropped, lengths: Lengths, lend: Lender
) -> Iterator[nn.Module | None]:
    """A model in which both halves run without each other.

    Parameters
    ----------
    first, second : dict of (module, role) to Tensor
        From `dropped_channels`: what goes where the first half stays, and where the second does.
    lengths : dict of str to list of int
        From `said_by`: how long axis 0 is of what each layer says, each time that it is called.
    lend : Lender
        Of the whole model.

    Yields
    ------
    torch.nn.Module or None
        None where halves cannot be told apart: in norms over several channels, heads of attention,
        layers of which some rows only are units, and parameters that have units along two axes.
    """
    halved = _halved(lend.modules, _whose(lend.modules, first, second))
    if halved is None:
        yield None
        return
    new, split = halved
    with lend(new) as both:
        parts = lend.modules if lend.plain else dict(both.named_modules())
        for name, owners in split.items():
            hook = _split(parts[name], owners, iter(lengths.get(name, ())))
            parts[name].register_forward_pre_hook(hook)
        yield both


@torch.no_grad()
def _halved(
    modules: dict[str, nn.Module], whose: dict[str, dict[str, np.ndarray]]
) -> tuple[dict[int, Tensor], dict[str, np.ndarray]] | None:
    """By the id of each tensor, its values; and the layers that read both halves."""
    new: dict[int, Tensor] = {}
    split: dict[str, np.ndarray] = {}
    seen: set[int] = set()
    for name, sides in whose.items():
        module, rows = modules[name], sides.get("out")
        if isinstance(module, MIXING) or any(role[0] == "=" for role in sides):
            return None
        if "in" in sides and rows is None:
            if type(module) not in _PLAIN or "forward" in vars(module):
                return None
            split[name] = sides["in"]
            continue
        whole = module.weight if "in" in sides else None
        if whole is not None:
            if (rows == _BOTH).any():
                return None
            new[id(whole)] = as_parameter(whole, _apart(module, rows, sides["in"]))
        for role in sides:
            for key, _ in tensors_of_role(module, role):
                tensor = getattr(module, key)
                if tensor is not whole and id(tensor) in seen:
                    return None
                seen.add(id(tensor))
    return new, split


def _whose(
    modules: dict[str, nn.Module], first: Dropped, second: Dropped
) -> dict[str, dict[str, np.ndarray]]:
    """Module -> role -> whose each of its channels is."""
    whose: dict[str, dict[str, np.ndarray]] = {}
    alike: dict[tuple, np.ndarray] = {}  # most members of a group lose the same channels
    for name, role in {**first, **second}:
        size, gone = side(modules[name], role), [first.get((name, role)), second.get((name, role))]
        key = size, *map(id, gone)
        if key not in alike:
            alike[key] = owners = np.full(size, _BOTH)
            # what goes with the second half only is the first one's
            for dropped, owner in zip(gone, (_SECOND, _FIRST), strict=True):
                if dropped is not None:
                    owners[dropped.numpy()] += owner
        whose.setdefault(name, {})[role] = alike[key]
    return whose


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
