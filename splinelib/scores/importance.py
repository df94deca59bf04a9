"""The spline criterion for those who prune with torch-pruning.

    pruner = tp.pruner.BasePruner(model, example, importance=SplineImportance(), ...)

torch-pruning then scores by redundant hyperplanes where it scored by norms; all else stays as
its users have it. `splinelib.pruning` does without its pruner.
"""

import numpy as np
import torch
import torch_pruning as tp
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from .hyperplanes import RHO, folded
from .merging import merging_distance
from .truncation import chosen_components

_PRODUCES = {
    tp.prune_conv_out_channels,
    tp.prune_linear_out_channels,
    tp.prune_depthwise_conv_out_channels,
}


class SplineImportance(tp.importance.Importance):
    """Distance at which a channel's hyperplane merges into another's; see `criteria.spline`.

    Parameters
    ----------
    rho : float
        Weight of the offsets against the angles.
    components : int, float in (0, 1], or None
        PCA directions to keep, or the share of the spectrum that they hold, as in
        `criteria.spline`.
    accuracy : float in (0, 1), optional
        In place of `components`: what no cosine of two units may be wrong by.

    Notes
    -----
    Called with a group of torch-pruning's dependency graph, it gives a float tensor with one
    score for each channel of the group's root, higher being kept longer, and None for a group
    that no convolution or linear layer makes. Batch norm is folded in where the layer's output
    goes to it alone. Scores of different layers can be compared (``global_pruning=True``).

    Examples
    --------
    >>> import torch, torch_pruning as tp
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> pruner = tp.pruner.BasePruner(
    ...     net, torch.zeros(1, 2), SplineImportance(), pruning_ratio=0.5, ignored_layers=[net[2]]
    ... )
    >>> pruner.step()
    >>> net[0]
    Linear(in_features=2, out_features=4, bias=True)
    """

    def __init__(
        self,
        rho: float = RHO,
        components: int | float | None = None,
        accuracy: float | None = None,
    ):
        self.rho, self.components, self.accuracy = rho, components, accuracy

    @torch.no_grad()
    def __call__(self, group) -> Tensor | None:
        units = len(group[0].idxs)
        norms = {
            item.dep.source.module: item.dep.target.module
            for item in group
            if isinstance(item.dep.target.module, _BatchNorm) and len(item.dep.source.outputs) == 1
        }
        normals, offsets = [], 0
        for item in group:
            layer = item.dep.target.module
            if item.dep.handler not in _PRODUCES or isinstance(layer, _ConvTransposeNd):
                continue
            rows, offset = folded(layer, norms.get(layer))
            parts, shift = _by_root(rows, offset, item.idxs, item.root_idxs, units)
            normals.append(parts)
            offsets = offsets + shift
        if not normals:
            return None
        whole = torch.cat(normals, 1)
        components = chosen_components(whole, self.components, self.accuracy)
        return merging_distance(whole, offsets, self.rho, components)


def _by_root(rows, offset, indices, roots, units: int) -> tuple[Tensor, Tensor]:
    """Rows of each root channel side by side, zeros for one that has none here."""
    indices, roots = np.asarray(indices), np.asarray(roots)
    order = np.argsort(roots, kind="stable")
    indices, roots = indices[order], roots[order]
    first = np.searchsorted(roots, roots)  # where each root's run begins
    place = np.arange(len(roots)) - first
    device = rows.device
    at, which, take = (torch.as_tensor(a, device=device) for a in (roots, place, indices))
    table = rows.new_zeros(units, int(place.max()) + 1, rows.shape[1])
    table[at, which] = rows[take]
    return table.flatten(1), offset.new_zeros(units).index_add_(0, at, offset[take])
