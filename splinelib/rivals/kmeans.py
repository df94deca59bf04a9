"""Model folding: clusters of units by k-means, each folded into its mean."""

import warnings

import torch
from torch import Tensor, nn

from ..channels.attention import opened
from ..channels.axes import tensors_of_role
from ..channels.groups import find_groups
from ..channels.layout import Group
from ..channels.surgery import duplicate
from ..errors import PruningError
from ..network.surroundings import undisturbed
from ..pruning.masking import shrink
from ..pruning.selection import Masks, select

# Starts of k-means, of which the best is taken.
_STARTS = 10


@undisturbed("model")
@torch.no_grad()
def folding(model: nn.Module, ratio: float, example: Tensor, seed: int = 0) -> nn.Module:
    """Fold the units of each group into the means of their clusters, without any data.

    Group after group, what makes and what reads a unit is one point: its rows and biases, scale and
    shift of its batch norms, and the columns that read it, side by side. The points are clustered
    by k-means into as many clusters as `select` would keep units. Of each cluster one unit stays,
    with the mean of the rows, biases, scales, shifts and running statistics, and with the sum of
    the columns. Units that are the same in all but the columns fold without a trace if a cluster
    holds no others. (Wang et al., Forget the data and fine-tuning! Just fold the network to
    compress, ICLR 2025; public code: github.com/osaukh/folding_as_projection.)

    The public code (commit 6946915) begins k-means once, where here the best of ten starts is
    taken. It adds the rows up and averages the columns, which is the same where there are ReLUs
    alone, and not behind a batch norm. Corrections of the scales without data are left out;
    `renewed_statistics` corrects with data.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    ratio : float in [0, 1)
        Share of the units that goes, the same of each group, as in `select` with ``"layerwise"``.
    example : Tensor, shape (N, ...)
        Inputs to trace the model with, whose values are not looked at.
    seed : int
        Of the starts of k-means.

    Returns
    -------
    torch.nn.Module
        Like `shrink`'s.

    Raises
    ------
    ValueError, PruningError
        As for `select` and `find_groups`; for a network whose heads of attention could go.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> folding(net, 0.25, torch.zeros(1, 2))[0]
    Linear(in_features=2, out_features=6, bias=True)
    """
    layout = find_groups(opened(model), example)
    if heads := [name for name, group in layout.groups.items() if group.heads]:
        raise PruningError(
            f"groups {heads} are heads of attention, and the mean of heads is not what folding "
            "was made for; prune this network by gram, or by splinelib.prune"
        )
    counts = select(
        {g.name: torch.zeros(g.units) for g in layout.groups.values()}, ratio, "layerwise"
    )
    folded, masks = duplicate(model), Masks(layout=layout)
    modules = dict(folded.named_modules())
    for name, group in layout.groups.items():
        clusters = _clusters(_points(modules, group), int(counts[name].sum()), seed)
        masks[name] = _fold(modules, group, clusters)
    return shrink(folded, masks)


def _points(modules: dict[str, nn.Module], group: Group) -> Tensor:
    """What makes and reads each unit, shape (U, features); statistics of batch norms left out."""
    parts = []
    for member in group.members:
        module = modules[member.module]
        for key, axis in tensors_of_role(module, member.role):
            if not key.startswith("running_"):
                values = getattr(module, key).detach().movedim(axis, 0)
                parts.append(values[member.indices.to(values.device)].flatten(1).double())
    return torch.cat(parts, 1).cpu()


def _clusters(points: Tensor, count: int, seed: int) -> Tensor:
    """Number of the cluster of each point, shape (U,), in order of first members."""
    from sklearn.cluster import KMeans  # takes a second, which others do not need

    if count == len(points):
        return torch.arange(count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer points that differ than clusters: see below
        found = KMeans(count, n_init=_STARTS, random_state=seed).fit(points.numpy()).labels_
    names = found.tolist()
    for place in range(len(names)):  # of points that are equal some stay apart
        if len(set(names)) < count and names[place] in names[:place]:
            names[place] = len(names) + place
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])


def _fold(modules: dict[str, nn.Module], group: Group, clusters: Tensor) -> Tensor:
    """Give the first unit of each cluster what the cluster has together, in place; its mask.

    What is left of the others is zero, so that it is not looked at by groups that come later.
    """
    stays = torch.tensor([c not in clusters[:unit] for unit, c in enumerate(clusters)])
    for member in group.members:
        module = modules[member.module]
        for key, axis in tensors_of_role(module, member.role):
            values = getattr(module, key).detach().movedim(axis, 0)
            indices, numbers = (part.to(values.device) for part in (member.indices, clusters))
            units = values[indices]
            total = units.new_zeros(int(stays.sum()), *units.shape[1:])
            total.index_add_(0, numbers, units)
            if member.role != "in":
                sizes = numbers.bincount().to(total.dtype)
                total /= sizes.view(-1, *(1,) * (total.ndim - 1))
            values[indices] = 0
            values[indices[stays.to(values.device)]] = total
    return stays
