"""Neuron merging: each dropped unit is given to the kept unit that is most like it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from ..channels.attention import opened
from ..channels.axes import tensors_of_role
from ..channels.layout import Group, Layout
from ..channels.surgery import duplicate
from ..errors import warn
from ..network.surroundings import undisturbed
from ..pruning.masking import checked_masks, shrink
from ..pruning.scoring import layout_for
from ..pruning.selection import Masks
from ..text import check_choice

# Least cosine at which two units are merged, with a batch norm behind them and without, and the
# weight of the cosine beside that of the constant that is lost: as the public code runs the paper's
# experiments.
COSINE_WITH_NORM, COSINE, WEIGHT = 0.1, 0.45, 0.85
FORMULAS = ("exact", "code")


@undisturbed("model")
@torch.no_grad()
def neuron_merging(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    example: Tensor | None = None,
    formula: str = "exact",
) -> nn.Module:
    """Give each dropped unit to one kept unit, without any data.

    Without a batch norm, a unit's weights and bias are a vector, and it goes to the kept unit whose
    vector has the largest cosine with its own; the columns that read it, times the ratio of the two
    lengths, are added to that unit's. With a batch norm, what a unit d says of a filter that is s
    times that of the kept unit k is S y + B, of what k says, with

        S = s (gamma_d / gamma_k) (sigma_k / sigma_d),
        B = gamma_d / sigma_d (s (mu_k - sigma_k beta_k / gamma_k) - mu_d) + beta_d.

    It goes to the unit that has the least sum of 0.85 times the distance of the cosine from 1 and
    0.15 times abs(B) / S, brought to the range from 0 to 1 over the kept units, and its columns are
    added times S; B is left out. A unit whose best cosine is small (below 0.45, with a batch norm
    0.1) is only dropped. Exact for ReLUs where s is what it is said to be and B is 0.
    (Kim et al., Neuron merging: compensating for pruned neurons, NeurIPS 2020; public code:
    github.com/friendshipkim/neuron-merging.)

    The public code has d and k exchanged in all but s, and takes the running variance for sigma,
    so that the first equation does not hold: ``formula="code"`` does as the code does. Kept units
    for which S is not positive are no candidates here, since a ReLU does not pass that on. Units
    that several layers make together, such as those of a residual stream, are only dropped; the
    paper leaves them whole.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    masks : mapping of str to bool Tensor (U,)
        As `select` returns them: True for units that stay. The paper's order is the L1 norm, the
        criterion ``"magnitude"``.
    example : Tensor, shape (1, ...), optional
        Needed for a plain dict of masks.
    formula : {"exact", "code"}
        Of S and B behind a batch norm.

    Returns
    -------
    torch.nn.Module
        Like `shrink`'s.

    Raises
    ------
    ValueError
        As for `shrink`; for an unknown formula.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1, bias=False))
    >>> for tensor, values in ((net[0].weight, [1.0, 3.0]), (net[0].bias, [0.0, 0.0])):
    ...     _ = tensor.data.copy_(torch.tensor(values).view_as(tensor))
    >>> _ = net[2].weight.data.copy_(torch.tensor([[1.0, 2.0]]))
    >>> small = neuron_merging(net, {"0": torch.tensor([True, False])}, torch.zeros(1, 1))
    >>> small[2].weight.item()  # 1 + 3 * 2
    7.0
    """
    check_choice("formula", formula, FORMULAS)
    layout = layout_for(opened(model), masks, example)
    masks = Masks(checked_masks(layout, masks), layout)
    merged = duplicate(model)
    modules, left = dict(merged.named_modules()), []
    for name, mask in masks.items():
        if mask.all():
            continue
        shares = _shares(modules, layout, layout.groups[name], mask, formula)
        if shares is None:
            left.append(name)
            continue
        _add_columns(modules, layout.groups[name], mask, shares)
    if left:
        warn(f"the units of {left} are not rows of one plain layer: they are dropped, not merged")
    return shrink(merged, masks)


def _shares(
    modules: dict[str, nn.Module], layout: Layout, group: Group, mask: Tensor, formula: str
) -> Tensor | None:
    """What each kept unit takes of each dropped one, (kept, dropped); None if that is unknown."""
    makers = [m for m in group.members if m.role not in ("in", "channel")]
    norms = {m.module for m in group.members if m.role == "channel"}
    maker = makers[0]
    layer = modules[maker.module]
    blocks = getattr(layer, "groups", 1) > 1 or maker.indices.shape[1] > 1
    if len(makers) > 1 or blocks or isinstance(layer, _ConvTransposeNd):
        return None
    places = maker.indices.flatten()
    rows = layer.weight.detach().double().cpu()[places].flatten(1)
    bias = rows.new_zeros(len(rows))
    if layer.bias is not None:
        bias = layer.bias.detach().double().cpu()[places]
    if not norms:
        return _plain_shares(torch.cat([rows, bias[:, None]], 1), mask)
    name = layout.batch_norms.get(maker.module)
    norm = modules.get(name)
    if norms != {name} or not isinstance(norm, _BatchNorm):
        return None
    if norm.weight is None or norm.running_mean is None:
        return None
    scale, shift, mean, variance = (
        tensor.detach().double().cpu()[places]
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    sigma = (variance + norm.eps).sqrt() if formula == "exact" else variance
    said = scale / sigma, shift, mean - bias
    return _normed_shares(rows, mask, said, formula)


def _compared(rows: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of kept and dropped rows, and dropped by kept lengths, (kept, dropped) each."""
    length = rows.norm(dim=1)
    unit = rows / length.clamp(min=1e-30)[:, None]
    return unit[mask] @ unit[~mask].T, length[~mask] / length[mask].clamp(min=1e-30)[:, None]


def _chosen(distance: Tensor, cosine: Tensor, least: float, factor: Tensor) -> Tensor:
    """Each dropped unit's factor at the kept unit of least distance, zero elsewhere."""
    best = distance.argmin(0, keepdim=True)
    taken = (cosine.gather(0, best) >= least) & distance.gather(0, best).isfinite()
    return torch.zeros_like(factor).scatter_(0, best, factor.gather(0, best) * taken)


def _plain_shares(rows: Tensor, mask: Tensor) -> Tensor:
    cosine, ratio = _compared(rows, mask)
    return _chosen(1 - cosine, cosine, COSINE, ratio)


def _normed_shares(rows: Tensor, mask: Tensor, said: tuple[Tensor, ...], formula: str) -> Tensor:
    """By the slopes, shifts and means of batch norms, (U,) each."""
    cosine, ratio = _compared(rows, mask)
    kept, dropped = [part[mask][:, None] for part in said], [part[~mask] for part in said]
    source, target = (kept, dropped) if formula == "exact" else (dropped, kept)
    possible = (kept[0] * dropped[0] > 0) & (ratio > 0)
    slope = torch.where(source[0] == 0, torch.inf, source[0])
    factor = ratio * target[0] / slope
    constant = target[0] * (ratio * (source[2] - source[1] / slope) - target[2]) + target[1]
    lost = torch.where(possible, (constant / factor).abs(), torch.nan)
    low = lost.nan_to_num(torch.inf).amin(0)
    span = lost.nan_to_num(-torch.inf).amax(0) - low
    lost = torch.where(span > 0, (lost - low) / span, 0)
    distance = WEIGHT * (1 - cosine) + (1 - WEIGHT) * lost
    return _chosen(distance.masked_fill(~possible, torch.inf), cosine, COSINE_WITH_NORM, factor)


def _add_columns(modules: dict[str, nn.Module], group: Group, mask: Tensor, shares: Tensor) -> None:
    """Add the columns of dropped units to those of the kept ones, in place."""
    for member in group.members:
        if member.role != "in":
            continue
        module = modules[member.module]
        for key, axis in tensors_of_role(module, member.role):
            values = getattr(module, key).detach().movedim(axis, 0)
            units = values[member.indices.to(values.device)]
            kept, share = mask.to(values.device), shares.to(values)
            values[member.indices.to(values.device)[kept]] += torch.tensordot(
                share, units[~kept], 1
            )
