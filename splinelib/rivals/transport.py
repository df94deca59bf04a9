"""Intra-Fusion: all units of a group are fused into those that stay, by optimal transport."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..channels.attention import opened
from ..channels.axes import is_layer, rows_first, tensors_of_role
from ..channels.layout import Group, Layout
from ..channels.surgery import duplicate
from ..errors import PruningError
from ..network.modes import check_weights
from ..network.surroundings import undisturbed
from ..pruning.changing import own_norms
from ..pruning.masking import checked_masks, shrink
from ..pruning.scoring import layout_for
from ..pruning.selection import Masks
from ..text import check_choice

FORMULAS = ("exact", "code")


@undisturbed("model")
@torch.no_grad()
def intra_fusion(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    example: Tensor | None = None,
    importance: Mapping[str, Tensor] | None = None,
    formula: str = "exact",
) -> nn.Module:
    """Fuse all units of each group into those that stay, without any data.

    Batch norms are folded into the layer that they alone read. Then, from the last group to the
    first, a unit is one point of length 1: the rows of all layers that make it and the columns that
    read it, side by side, without biases. Each unit u has a mass of 1, and the kept units k take
    all of it in equal parts, or in parts like their importance, by the plan T whose sum of mass
    times L1 distance is least. A fused unit has the mean of the rows and biases that it was given,
    and the sum of the columns,

        rows_k = sum_u T_uk rows_u / sum_u T_uk,    columns_k = sum_u T_uk columns_u,

    so that twins fuse without a trace where the plan moves mass among twins only. All layers of a
    group have one plan. (Theus et al., Towards meta-pruning via optimal transport, ICLR 2024, arXiv
    2402.07839; public code: github.com/alexandertheus/Intra-Fusion, commit 82a2871, whose default
    is the L1 distance and equal masses.)

    The public code adds up the rows as well as the columns. If half of the units go, what they say
    together is then twice as loud as it was, group after group: ``formula="code"`` does as it does.

    Each batch norm that was folded comes back for `renewed_statistics`: its scale and shift are
    what the plan makes of the absolute scales and the shifts, its mean and variance such that it
    says what the fused rows say. One that reads the sum of several layers keeps its numbers of the
    kept units.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    masks : mapping of str to bool Tensor (U,)
        As `select` returns them: True for units that stay. The paper's order is the L1 norm, the
        criterion ``"magnitude"``, among others.
    example : Tensor, shape (1, ...), optional
        Needed for a plain dict of masks.
    importance : mapping of str to Tensor (U,), optional
        As `score` returns them, more than 0 for units that stay. Default: equal parts.
    formula : {"exact", "code"}
        Of the rows.

    Returns
    -------
    torch.nn.Module
        Like `shrink`'s.

    Raises
    ------
    ValueError
        As for `shrink`; for weights or an importance that hold no plan, or an unknown formula.
    PruningError
        For a group whose units are not made and read by plain layers alone, such as heads of
        attention, what a depthwise convolution passes on, or the channels of a layer norm.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1, bias=False))
    >>> for tensor, values in ((net[0].weight, [1.0, 3.0]), (net[0].bias, [0.0, 4.0])):
    ...     _ = tensor.data.copy_(torch.tensor(values).view_as(tensor))
    >>> _ = net[2].weight.data.copy_(torch.tensor([[1.0, 2.0]]))
    >>> small = intra_fusion(net, {"0": torch.tensor([False, True])}, torch.zeros(1, 1))
    >>> small[0].weight.item(), small[0].bias.item(), small[2].weight.item()
    (2.0, 2.0, 3.0)
    """
    check_choice("formula", formula, FORMULAS)
    check_weights(model)
    whole = opened(model)
    layout = layout_for(whole, masks, example)
    masks = Masks(checked_masks(layout, masks), layout)
    going = [layout.groups[name] for name, mask in masks.items() if not mask.all()]
    parts = {g.name: _parts(g.name, masks[g.name], importance) for g in going}
    fused = duplicate(model)
    modules = dict(fused.named_modules())
    for group in going:
        _check_fit(modules, group)
    pairs = list(_pairs(layout, own_norms(whole, layout, None)))
    for layer, norm in pairs:
        _fold(modules[layer], modules[norm])
    folded = {norm for _, norm in pairs}
    for group in reversed(going):
        mask = masks[group.name]
        plan = transport(_distances(_points(modules, group), mask), parts[group.name])
        _fuse(modules, group, mask, plan, folded, formula)
    for layer, norm in pairs:
        _unfold(modules[layer], modules[norm])
    return shrink(fused, masks)


def transport(cost: Tensor, parts: Tensor) -> Tensor:
    """The plan that moves a mass of 1 from each source at the least cost.

    Parameters
    ----------
    cost : Tensor, shape (sources, targets)
        Of moving a mass of 1.
    parts : Tensor, shape (targets,)
        What each target gets, as many in all as there are sources.

    Returns
    -------
    Tensor, shape (sources, targets), float64
        Nonnegative; rows add up to 1, columns to `parts`. One of the best plans, if there are
        several.

    Raises
    ------
    ValueError
        If the parts are not as many in all as there are sources.
    PruningError
        If there is no plan, because a part is negative.
    """
    from scipy import optimize, sparse  # take long to load

    sources, targets = cost.shape
    parts = parts.double().cpu()
    if not abs(parts.sum() - sources) <= 1e-4 * sources:
        raise ValueError(
            f"the parts should be {sources} in all, as many as there are sources, not {parts.sum()}"
        )
    parts = parts * (sources / parts.sum())  # to the last bit, or there is no plan
    given = sparse.kron(sparse.eye_array(sources), np.ones((1, targets)))
    taken = sparse.kron(np.ones((1, sources)), sparse.eye_array(targets))
    found = optimize.linprog(
        cost.double().cpu().numpy().ravel(),
        A_eq=sparse.vstack([given, taken]).tocsc(),
        b_eq=np.concatenate([np.ones(sources), parts.numpy()]),
        method="highs",
    )
    if found.status != 0:
        raise PruningError(f"there is no plan of transport: {found.message}")
    return torch.from_numpy(found.x).view(sources, targets).clamp_(min=0)


def _parts(name: str, mask: Tensor, importance: Mapping[str, Tensor] | None) -> Tensor:
    """How much of the mass of all units each kept one gets, (kept,)."""
    if importance is None:
        return torch.ones(int(mask.sum()), dtype=torch.float64) * len(mask) / int(mask.sum())
    found = importance.get(name)
    if found is None or found.shape != mask.shape:
        raise ValueError(
            f"the importance of the group {name!r} should be a vector of {len(mask)} numbers, as "
            f"`score` returns it, not {'missing' if found is None else tuple(found.shape)}"
        )
    kept = found.double().cpu()[mask.cpu()]
    if not (kept.isfinite().all() and (kept > 0).all()):
        raise ValueError(
            f"the importance of each kept unit of the group {name!r} should be above 0: it is the "
            "part of the mass that the unit gets. Without importance= all parts are equal"
        )
    return kept * len(mask) / kept.sum()


def _check_fit(modules: dict[str, nn.Module], group: Group) -> None:
    """Raise PruningError for a group that is not made and read by plain layers alone."""
    for member in group.members:
        module = modules.get(member.module)
        if member.role in ("in", "out"):
            fits = is_layer(module) and getattr(module, "groups", 1) == 1
        else:
            fits = isinstance(module, _BatchNorm) and module.running_mean is not None
        if group.heads or not fits:
            what = "heads of attention" if group.heads else f"tied to {member.module!r}"
            raise PruningError(
                f"the units of the group {group.name!r} are {what}, and intra_fusion is of linear "
                "layers, convolutions in one block, and batch norms with running statistics: "
                "leave the group out of the masks, or prune by gram, or by splinelib.prune"
            )


def _pairs(layout: Layout, norms: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each layer that makes units with the batch norm that is its alone."""
    for group in layout.groups.values():
        passed = {m.module: m.indices for m in group.members if m.role == "channel"}
        for member in group.producers:
            norm = norms.get(member.module)
            if norm in passed and torch.equal(passed[norm], member.indices):
                yield member.module, norm


def _fold(layer: nn.Module, norm: _BatchNorm) -> None:
    """Give a layer the rows that say what its batch norm says, in place.

    The norm keeps what is combined along with them: minus the new bias as its mean, the absolute
    scale, and the shift.
    """
    slope = (norm.running_var + norm.eps).rsqrt()
    bias = -norm.running_mean if layer.bias is None else layer.bias - norm.running_mean
    if norm.weight is not None:
        slope = slope * norm.weight
        norm.weight.abs_()
    rows = rows_first(layer)
    rows.mul_(slope.view(-1, *(1,) * (rows.ndim - 1)))
    norm.running_mean.copy_(-bias * slope - (0 if norm.bias is None else norm.bias))
    if layer.bias is not None:
        layer.bias.zero_()


def _unfold(layer: nn.Module, norm: _BatchNorm) -> None:
    """Take back `_fold`, in place: rows of about the size of the layer's own, and the norm's own.

    Of a scale of 0 nothing is taken back: its rows are zero, and the shift is all that is said.
    """
    scale = torch.ones_like(norm.running_mean) if norm.weight is None else norm.weight.detach()
    scale = torch.where(scale == 0, 1, scale)
    rows = rows_first(layer)
    rows.div_(scale.view(-1, *(1,) * (rows.ndim - 1)))
    shift = 0 if norm.bias is None else norm.bias.detach()
    norm.running_mean.add_(shift).div_(scale)
    norm.running_var.fill_(1 - norm.eps)


def _points(modules: dict[str, nn.Module], group: Group) -> Tensor:
    """The rows that make and the columns that read each unit, of length 1, shape (U, features)."""
    parts = []
    for member in group.members:
        for key, axis in tensors_of_role(modules[member.module], member.role):
            if key == "weight" and member.role in ("in", "out"):
                values = modules[member.module].weight.detach().movedim(axis, 0)
                parts.append(values[member.indices.to(values.device)].flatten(1).double().cpu())
    points = torch.cat(parts, 1)
    return points / points.norm(dim=1, keepdim=True).clamp(min=1e-30)


def _distances(points: Tensor, mask: Tensor) -> Tensor:
    """L1 distance of each unit and each kept one, (U, kept)."""
    return torch.cdist(points, points[mask.cpu()], p=1)


def _fuse(
    modules: dict[str, nn.Module],
    group: Group,
    mask: Tensor,
    plan: Tensor,
    folded: set[str],
    formula: str,
) -> None:
    """Give each kept unit what the plan moves to it, in place.

    What is left of the others is zero, so that it is not looked at by groups that come earlier.
    """
    added = plan.T
    averaged = added / added.sum(1, keepdim=True) if formula == "exact" else added
    for member in group.members:
        module = modules[member.module]
        if member.role == "channel" and member.module not in folded:
            continue
        for key, axis in tensors_of_role(module, member.role):
            if key == "running_var":
                continue
            values = getattr(module, key).detach().movedim(axis, 0)
            indices, stays = (part.to(values.device) for part in (member.indices, mask))
            given = (added if member.role == "in" else averaged).to(values.device)
            total = torch.tensordot(given, values[indices].double(), 1).to(values.dtype)
            values[indices] = 0
            values[indices[stays]] = total
