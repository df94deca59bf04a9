"""From ties between channels to groups of units."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd

from .attention import original_kind
from .axes import is_layer
from .fields import flattened
from .following import Block, Followed
from .layout import Group, Member

# What modules call the number of their heads, and that of the channels of all heads together.
_COUNTS = (
    *("num_heads", "n_heads", "heads", "num_attention_heads", "n_head", "nhead"),
    *("all_head_size", "attn_dim", "inner_dim"),
)

_UNREAD = "no layer reads it"


@dataclass(frozen=True)
class _Kind:
    """Units that own as many channels of the same blocks.

    Attributes
    ----------
    channels : dict of Block to ndarray of int, shape (U, m)
        The channels of each block that each unit owns.
    why : str or None
        Why they must stay, if they must.
    heads : bool
        Whether they are heads of attention.
    """

    channels: dict[Block, np.ndarray]
    why: str | None
    heads: bool

    @property
    def makers(self) -> list[str]:
        return [name for name, role in self.channels if role == "out"]


def groups_of(followed: Followed, modules: dict[str, nn.Module]) -> tuple[dict, dict[str, str]]:
    """Groups of units with the same members, and the layers that stay, with the reason.

    Parameters
    ----------
    followed : Followed
    modules : dict of str to torch.nn.Module
        All modules of the network.

    Returns
    -------
    groups : dict of str to Group
        In order of execution.
    fixed : dict of str to str
        Every layer of which some rows are in no group, and every other module with weights.
    """
    usable: list[_Kind] = []
    fixed: dict[str, str] = {}
    once = frozenset(followed.order)
    for kind in _kinds(followed):
        why = kind.why or _unusable(kind.makers, followed, once)
        if why is None:
            usable.append(kind)
        else:
            for name in kind.makers:
                fixed.setdefault(name, why)
    groups: dict[str, Group] = {}
    for group in _ordered(usable, followed, modules):
        if group.units == 1 and max(m.indices.shape[1] for m in group.producers) > 1:
            why = "its channels are tied to each other: they could only go together"
            fixed.update((member.module, why) for member in group.members if member.role == "out")
            continue
        name, k = group.name, 2
        while name in groups:
            name, k = f"{group.name}#{k}", k + 1
        members = (*group.members, *_counts(group, modules)) if group.heads else group.members
        groups[name] = replace(group, name=name, members=members)
    for name, why in _others(followed, modules, groups).items():
        fixed.setdefault(name, why)
    return groups, fixed


def _counts(group: Group, modules: dict[str, nn.Module]) -> Iterator[Member]:
    """Numbers of heads, and of their channels, that the modules around them keep.

    Whether a number so named means these heads, the trial shows.
    """
    around = dict.fromkeys(member.module.rpartition(".")[0] for member in group.producers)
    size = max((member.indices.shape[1] for member in group.consumers), default=1)
    for name in around:
        for key in _COUNTS:
            value = vars(modules[name]).get(key)
            if type(value) is int and value in (group.units, group.units * size):
                indices = torch.arange(value).view(group.units, -1)
                yield Member(name, f"={key}", indices)


def _kinds(followed: Followed) -> list[_Kind]:
    """Components of tied channels, in the order of their first channel."""
    ties = followed.ties
    component = ties.components()
    reasons: dict[int, str] = {}
    for channel, why in sorted(ties.barred.items(), key=lambda item: item[0] == 0):
        reasons.setdefault(int(component[channel]), why)
    read, heads = (_marked(component, noted) for noted in (ties.read, ties.attending))
    blocks, numbers = list(followed.blocks), [n.numpy() for n in followed.blocks.values()]
    if not blocks:
        return []
    label = component[np.concatenate(numbers)]
    block = np.repeat(np.arange(len(blocks)), [len(n) for n in numbers])
    index = np.concatenate([np.arange(len(n)) for n in numbers])
    order = np.argsort(label, kind="stable")  # the channels of one unit behind one another
    label, block, index = label[order], block[order], index[order]
    starts = np.flatnonzero(np.diff(label, prepend=-1))
    sizes = np.diff(starts, append=len(label))
    sequence = np.argsort(order[starts])
    starts, sizes, units = starts[sequence], sizes[sequence], label[starts[sequence]]
    whys = list(dict.fromkeys((None, _UNREAD, *reasons.values())))
    numbers, why = {reason: at for at, reason in enumerate(whys)}, np.where(read, 0, 1)
    for unit, reason in reasons.items():
        why[unit] = numbers[reason]
    alike: dict[tuple, list[np.ndarray]] = {}
    for size in np.unique(sizes):
        places = np.flatnonzero(sizes == size)
        owners = block[starts[places, None] + np.arange(size)]
        marks = np.column_stack([owners, why[units[places]], heads[units[places]]])
        # most units have the same owners as the one before
        new = np.flatnonzero((marks[1:] != marks[:-1]).any(axis=1)) + 1
        for first, rows in zip((0, *new.tolist()), np.split(places, new), strict=True):
            alike.setdefault(tuple(marks[first].tolist()), []).append(rows)
    kinds = []
    for marks, parts in sorted(alike.items(), key=lambda item: item[1][0][0]):
        owned, rows = np.array(marks[:-2]), np.concatenate(parts)
        rows = index[starts[rows, None] + np.arange(len(owned))]
        channels = {blocks[b]: rows[:, owned == b] for b in np.unique(owned)}
        kinds.append(_Kind(channels, whys[marks[-2]], bool(marks[-1])))
    return kinds


def _marked(component: np.ndarray, channels: Sequence[torch.Tensor]) -> np.ndarray:
    """Whether some channel of each component is among these."""
    marked = np.zeros(component.max() + 1, dtype=bool)
    marked[component[flattened(channels)]] = True
    return marked


def _unusable(makers: list[str], followed: Followed, once: frozenset[str]) -> str | None:
    """Why a unit that might go cannot be judged, unless some that make it are called once."""
    if any(name in once for name in makers):
        return None
    if any(name in followed.hidden for name in makers):
        return "it runs inside torch.func, where scores and fits cannot look"
    counts = [followed.calls[name] for name in makers if name in followed.calls]
    if counts:
        return f"it runs {counts[0]} times in one pass, which scores and fits do not understand"
    return "its module is not called in evaluation mode, so that its units cannot be judged"


def _ordered(kinds: list[_Kind], followed: Followed, modules: dict) -> list[Group]:
    """The groups, by the first layer that makes their units."""
    position = {name: i for i, name in enumerate(modules)}
    called = followed.order
    position.update((name, i - len(called)) for i, name in enumerate(called))
    once = frozenset(called)
    groups = []
    for kind in kinds:
        name = min((n for n in kind.makers if n in position), key=position.__getitem__)
        order = np.argsort(kind.channels[name, "out"][:, 0])
        alike: dict[tuple[bytes, int], torch.Tensor] = {}  # most members number channels alike
        members = []
        for block in sorted(kind.channels, key=lambda block: (position[block[0]], block)):
            indices = kind.channels[block][order]
            key = indices.tobytes(), len(indices)
            if key not in alike:
                alike[key] = torch.from_numpy(indices)
            members.append(Member(*block, alike[key], _judged(block, once, modules)))
        groups.append(Group(name, len(order), tuple(members), kind.heads))
    groups.sort(key=lambda g: (position[g.name], g.producers[0].indices[0, 0].item()))
    return groups


def _judged(block: Block, once: frozenset[str], modules: dict[str, nn.Module]) -> bool:
    """Whether scores and fits can look at this side of a module."""
    name, role = block
    if role not in {"in", "out"}:
        return True
    turned = role == "in" and isinstance(modules[name], _ConvTransposeNd)
    return name in once and not turned


def _others(
    followed: Followed, modules: dict[str, nn.Module], groups: dict[str, Group]
) -> dict[str, str]:
    """Modules with weights of their own that no group cuts, and layers that did not run."""
    seen = {name for name, _ in followed.blocks}
    cut = {(m.module, m.role.split(":")[0]) for group in groups.values() for m in group.members}
    others = {}
    for name, module in modules.items():
        own = module._parameters.items()
        if not any(
            tensor is not None and tensor.ndim > 1 and (name, key) not in cut for key, tensor in own
        ):
            continue
        if is_layer(module):
            if name not in seen:
                others[name] = "it does not run"
        else:
            kind = original_kind(module).__name__
            others[name or "the model"] = (
                f"its weights are those of a {kind}: only the rows of convolutions and linear "
                "layers are pruned"
            )
    return others
