"""Layer and group norms, whose means and variances are taken over the channels that stay.

Without some of its channels a norm takes its statistics over the others. So that a masked network
computes what the smaller one does, its norms leave the silent channels out as well: they are of a
class of their own, which computes on the channels that stay and gives zeros for the rest.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

MIXING = (nn.LayerNorm, nn.GroupNorm)


class _OverKept(TorchFunctionMode):
    """Layer and group norms called inside work on some of the channels."""

    def __init__(self, kept: Tensor):
        super().__init__()
        self.kept = kept

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in (F.layer_norm, F.group_norm):
            return func(*args, **kwargs)
        names = ("input", "shape", "weight", "bias", "eps")
        given = dict(zip(names, args, strict=False)) | kwargs
        x, kept = given["input"], self.kept
        axis = x.ndim - 1 if func is F.layer_norm else 1
        weight, bias = (
            None if given.get(key) is None else given[key].index_select(0, kept)
            for key in ("weight", "bias")
        )
        seen, eps = x.index_select(axis, kept), given.get("eps", 1e-5)
        if func is F.layer_norm:
            normed = F.layer_norm(seen, (len(kept),), weight, bias, eps)
        else:
            groups = given.get("num_groups", given.get("shape"))
            normed = F.group_norm(seen, groups, weight, bias, eps)
        return torch.zeros_like(x).index_copy(axis, kept, normed)


@functools.cache
def _leaving_out(kind: type) -> type:
    """The class of norms of this kind that leave channels out."""

    def forward(self, x):
        with _OverKept(self.kept_channels):
            return kind.forward(self, x)

    def reduce(self):  # a class made here has no name by which pickle could find it
        return _restored, (kind,), self.__getstate__()

    members = {"forward": forward, "plain_class": kind, "__reduce__": reduce}
    return type(f"{kind.__name__}OverKept", (kind,), members)


def _restored(kind: type) -> nn.Module:
    """An empty norm of the class that leaves channels out, for pickle to fill."""
    made = _leaving_out(kind)
    return made.__new__(made)


def leave_out(norm: nn.Module, channels: Tensor) -> None:
    """Let a norm leave these channels out, in place; those that it leaves out already stay so."""
    kept = getattr(norm, "kept_channels", torch.arange(channels_of(norm)))
    kept = kept.cpu()[~torch.isin(kept.cpu(), channels.cpu())]
    if not hasattr(norm, "plain_class"):
        norm.__class__ = _leaving_out(type(norm))
    device = next((t.device for t in norm.parameters()), torch.device("cpu"))
    norm.register_buffer("kept_channels", kept.to(device), persistent=False)


def plain_again(model: nn.Module) -> nn.Module:
    """The model with all of its norms over all of their channels, in place."""
    for module in model.modules():
        if hasattr(module, "plain_class"):
            module.__class__ = module.plain_class
            del module.kept_channels
    return model


def channels_of(norm: nn.Module) -> int:
    """How many channels a norm has."""
    return norm.num_channels if isinstance(norm, nn.GroupNorm) else norm.normalized_shape[0]


def resize(norm: nn.Module, channels: Tensor, before: int) -> None:
    """Bring the record of its size up to date once only these channels of so many are left."""
    if isinstance(norm, nn.GroupNorm):
        norm.num_channels = len(channels)
    else:
        norm.normalized_shape = (len(channels),)
    if not hasattr(norm, "plain_class"):
        return
    stays = torch.zeros(before, dtype=torch.bool)
    stays[norm.kept_channels.cpu()] = True
    left = stays[channels.cpu()]
    norm.kept_channels = left.nonzero().flatten().to(norm.kept_channels.device)
    if left.all():
        norm.__class__ = norm.plain_class
        del norm.kept_channels
