"""From ties between channels to groups of units."""

import numpy as np
import torch
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd

from .axes import is_layer
from .following import Block, Followed
from .layout import Group, Member

Unit = dict[Block, list[int]]  # the channels of each block that one unit owns


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
    reasons, units = _sorted_out(followed)
    alike: dict[tuple, list[Unit]] = {}
    fixed: dict[str, str] = {}
    for label, unit in units.items():
        makers = [name for name, role in unit if role == "out"]
        why = reasons.get(label) or _unusable(makers, followed)
        if why is None:
            key = tuple(sorted((block, len(indices)) for block, indices in unit.items()))
            alike.setdefault(key, []).append(unit)
        else:
            for name in makers:
                fixed.setdefault(name, why)
    groups: dict[str, Group] = {}
    for group in _ordered(alike, followed, modules):
        if group.units == 1 and max(m.indices.shape[1] for m in group.producers) > 1:
            why = "its channels are tied to each other: they could only go together"
            fixed.update((member.module, why) for member in group.members if member.role == "out")
            continue
        name, k = group.name, 2
        while name in groups:
            name, k = f"{group.name}#{k}", k + 1
        groups[name] = Group(name, group.units, group.members)
    for name, why in _others(followed, modules).items():
        fixed.setdefault(name, why)
    return groups, fixed


def _sorted_out(followed: Followed) -> tuple[dict[int, str], dict[int, Unit]]:
    """Why components of tied channels must stay, and the channels of each by block."""
    ties = followed.ties
    component = ties.components()
    reasons: dict[int, str] = {}
    for channel, why in sorted(ties.barred.items(), key=lambda item: item[0] == 0):
        reasons.setdefault(int(component[channel]), why)
    read = np.zeros(component.max() + 1, dtype=bool)
    if ties.read:
        read[component[np.concatenate(ties.read)]] = True
    units: dict[int, Unit] = {}
    for block, numbers in followed.blocks.items():
        for index, label in enumerate(component[numbers.numpy()].tolist()):
            units.setdefault(label, {}).setdefault(block, []).append(index)
            if not read[label]:
                reasons.setdefault(label, "no layer reads it")
    return reasons, units


def _unusable(makers: list[str], followed: Followed) -> str | None:
    """Why a unit that might go cannot be judged."""
    if any(name in followed.order for name in makers):
        return None
    if any(name in followed.hidden for name in makers):
        return "it runs inside torch.func, where scores and fits cannot look"
    counts = [followed.calls[name] for name in makers if name in followed.calls]
    if counts:
        return f"it runs {counts[0]} times in one pass, which scores and fits do not understand"
    return "its module is not called in evaluation mode, so that its units cannot be judged"


def _ordered(alike: dict[tuple, list[Unit]], followed: Followed, modules: dict) -> list[Group]:
    """The groups, by the first layer that makes their units."""
    position = {name: i for i, name in enumerate(modules)}
    position.update((name, i - len(followed.order)) for i, name in enumerate(followed.order))
    groups = []
    for key, units in alike.items():
        makers = [name for (name, role), _ in key if role == "out" and name in position]
        name = min(makers, key=position.__getitem__)
        units.sort(key=lambda unit, name=name: unit[name, "out"])
        members = [
            Member(
                *block, torch.tensor([u[block] for u in units]), _judged(block, followed, modules)
            )
            for block, _ in sorted(key, key=lambda item: position[item[0][0]])
        ]
        groups.append(Group(name, len(units), tuple(members)))
    groups.sort(key=lambda g: (position[g.name], g.producers[0].indices[0, 0].item()))
    return groups


def _judged(block: Block, followed: Followed, modules: dict[str, nn.Module]) -> bool:
    """Whether scores and fits can look at this side of a module."""
    name, role = block
    if role not in {"in", "out"}:
        return True
    turned = role == "in" and isinstance(modules[name], _ConvTransposeNd)
    return name in followed.order and not turned


def _others(followed: Followed, modules: dict[str, nn.Module]) -> dict[str, str]:
    """Modules with weights of their own that are no layers, and layers that did not run."""
    seen = {name for name, _ in followed.blocks}
    others = {}
    for name, module in modules.items():
        wide = any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))
        if not wide:
            continue
        if is_layer(module):
            if name not in seen:
                others[name] = "it does not run"
        else:
            kind = type(module).__name__
            others[name or "the model"] = (
                f"its weights are those of a {kind}: only the rows of convolutions and linear "
                "layers are pruned"
            )
    return others
