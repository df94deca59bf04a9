"""A pruned network in the shape of the dense one, with zeros where channels went."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .attention import closed, opened
from .axes import tensors_of_role
from .norms import MIXING
from .saving import shapes_of
from .surgery import duplicate, shell


@torch.no_grad()
def filled(small: nn.Module, dense: nn.Module) -> nn.Module:
    """What a pruned network computes, as a network of the dense one's shape.

    Parameters
    ----------
    small : torch.nn.Module
        From `shrink` or `prune`; its weights may have been changed since.
    dense : torch.nn.Module
        The network that it was pruned from, of which only the shapes matter.

    Returns
    -------
    torch.nn.Module
        A copy of ``dense`` with the weights of ``small``. Channels that went are zero, and nobody
        reads them.

    Raises
    ------
    ValueError
        If ``small`` carries no record of what was kept, was pruned from another network, or has
        layer or group norms over channels that went.
    """
    record = getattr(small, "pruning_record", None)
    if record is None or record["shapes"] != shapes_of(dense):
        why = "carries no record of what was kept" if record is None else "is of another network"
        raise ValueError(
            f"the pruned network {why}: give what shrink or prune made of this model, or a network "
            "of the same shape"
        )
    result = opened(duplicate(dense))
    parts = dict(opened(shell(small)).named_modules())
    for name, module in result.named_modules():
        sides = record["kept"].get(name, {})
        if isinstance(module, MIXING) and sides:
            raise ValueError(
                f"module {name!r} normalises over channels that went, which no zeros stand for"
            )
        if name in record["added_biases"]:
            module.bias = nn.Parameter(module.weight.new_zeros(len(module.weight)))
        _fill(module, parts[name], sides)
    return closed(result)


def _fill(module: nn.Module, part: nn.Module, sides: Mapping[str, Tensor]) -> None:
    """Put a module's kept values where they were."""
    places: dict[str, dict[int, Tensor]] = {}
    for role, indices in sides.items():
        for key, axis in tensors_of_role(module, role):
            places.setdefault(key, {})[axis] = indices
    own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    for key, tensor in own:
        values = getattr(part, key).detach()
        if key in places:
            tensor.fill_(1 if key.endswith("var") else 0)
            where = [
                places[key].get(axis, torch.arange(size)) for axis, size in enumerate(tensor.shape)
            ]
            tensor[torch.meshgrid(*where, indexing="ij")] = values.to(tensor)
        else:
            tensor.copy_(values)
