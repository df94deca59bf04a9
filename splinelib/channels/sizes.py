"""A module's own record of its size, brought up to date when channels go."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .axes import side
from .norms import MIXING, resize

# What modules call the number of channels that parameters of their own have.
_WIDTHS = ("hidden_dim", "embed_dim", "dim")


def resize_all(
    modules: Mapping[str, nn.Module],
    kept: Mapping[str, Mapping[str, Tensor]],
    before: Mapping[str, Mapping[str, int]],
) -> None:
    """Bring up to date what modules say of their sizes, in place.

    Parameters
    ----------
    modules : mapping of str to torch.nn.Module
        By name, with tensors that are cut already.
    kept : mapping of str to mapping of str to Tensor
        By module and role, the channels that stay: see `cuts.kept_channels`.
    before : mapping of str to mapping of str to int
        By module and role, how many channels there were: see `sizes_asked_for`.
    """
    for name, sides in kept.items():
        _resize(modules[name], sides, before.get(name, {}))


def sizes_asked_for(
    modules: Mapping[str, nn.Module], kept: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, dict[str, int]]:
    """By module and role, how many channels there are, where `resize_all` asks for it."""
    sizes: dict[str, dict[str, int]] = {}
    for name, sides in kept.items():
        module = modules[name]
        blocks = isinstance(module, MIXING) or (isinstance(module, _ConvNd) and module.groups > 1)
        for role in sides:
            if blocks or ":" in role:
                sizes.setdefault(name, {})[role] = side(module, role)
    return sizes


def _resize(module: nn.Module, sides: Mapping[str, Tensor], before: Mapping[str, int]) -> None:
    """Bring a module's own record of its size up to date; it had so many channels before."""
    if isinstance(module, MIXING) and "channel" in sides:
        resize(module, sides["channel"], before["channel"])
        return
    for role, indices in sides.items():
        _resize_side(module, role, indices, before.get(role))


def _resize_side(module: nn.Module, role: str, indices: Tensor, before: int | None) -> None:
    size = indices.shape[0]
    if role[0] == "=":
        setattr(module, role[1:], size)
        return
    if ":" in role:  # a parameter of its own: that a width so named means it, the trial shows
        for key in _WIDTHS:
            value = vars(module).get(key)
            if type(value) is int and value == before:
                setattr(module, key, size)
        return
    if isinstance(module, nn.Linear):
        setattr(module, "in_features" if role == "in" else "out_features", size)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = size
    elif not isinstance(module, _ConvNd):
        module.num_features = size
    elif role == "in":  # a column reads one channel of each block
        module.in_channels = size * module.groups
    elif module.groups == 1:
        module.out_channels = size
    else:
        _resize_blocks(module, indices, before)


def _resize_blocks(module: nn.Module, rows: Tensor, before: int) -> None:
    """A grouped convolution of which these rows stay: some of each block, or blocks as they are."""
    width = before // module.groups
    blocks = len((rows // width).unique())
    if blocks < module.groups:  # whole blocks went, with their inputs
        module.in_channels = module.in_channels // module.groups * blocks
        module.groups = blocks
    module.out_channels = len(rows)
