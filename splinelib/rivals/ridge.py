"""GRAIL: what a layer read is rebuilt from what it still reads, by ridge regression."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..calibration.im2col import channels_at_the_end
from ..calibration.layer_maps import given_to, warn_text
from ..calibration.moments import precise
from ..calibration.observing import Call, observe
from ..channels.attention import opened
from ..channels.cuts import cut_by
from ..channels.surgery import duplicate
from ..errors import warn
from ..network.modes import check_inputs
from ..network.surroundings import undisturbed
from ..pruning.masking import checked_masks, shrink
from ..pruning.scoring import layout_for
from ..pruning.selection import Masks

RIDGE = 1e-3


@undisturbed("model")
@torch.no_grad()
def gram(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    data: Tensor,
    ridge: float = RIDGE,
) -> nn.Module:
    """Prune, and rebuild what each layer read from the kept part of it, by Gram matrices.

    G is the sum of h h^T over all inputs and positions, h being what a layer reads in the dense
    network, channel by channel. Its weight W becomes W B with

        B = G_hp (G_pp + ridge m I)^-1,

    where p are the channels that stay, h all of them, and m is the mean of the diagonal of G_pp.
    Biases and batch norms stay as they are. (GRAIL, arXiv 2602.23795; public code:
    github.com/TWWinde/GRAIL_Compensation, which re-estimates the batch norms' statistics
    afterwards: `renewed_statistics` does.)

    Ours, `prune` with ``compensate="refit"``, differs in four points: it fits an intercept, all
    positions of a kernel for themselves, to what the layer said rather than read, and layer after
    layer, on what the smaller network's layers do read.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    masks : mapping of str to bool Tensor (U,)
        As `select` returns them, with their layout: True for units that stay.
    data : Tensor, shape (N, ...)
        Unlabelled training inputs.
    ridge : float
        At least 0.

    Returns
    -------
    torch.nn.Module
        Like `shrink`'s. Layers that are no plain linear layers or convolutions in one block are
        left as they were cut, with a warning.

    Raises
    ------
    ValueError
        As for `shrink`; for a negative ridge.

    Examples
    --------
    >>> import splinelib as sl
    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> masks = sl.select(sl.score(net, "magnitude", example=torch.zeros(1, 2)), 0.5)
    >>> gram(net, masks, torch.randn(100, 2))[2]
    Linear(in_features=4, out_features=1, bias=True)
    """
    if not ridge >= 0:
        raise ValueError(f"ridge should be at least 0, not {ridge}")
    data = check_inputs(model, data)
    layout = layout_for(opened(model), masks, data[:1])
    masks = Masks(checked_masks(layout, masks), layout)
    stay = cut_by(model, layout, masks).kept
    kept = {name: sides["in"] for name, sides in stay.items() if "in" in sides}
    modules = dict(model.named_modules())
    if blocks := [name for name in kept if getattr(modules[name], "groups", 1) > 1]:
        warn(
            f"layers {blocks} are convolutions in several blocks, for which the method has no "
            "formula: what they read is not rebuilt"
        )
    sums = {name: _Gram() for name in kept if name not in blocks}
    observe(model, data, [(name, found.look) for name, found in sums.items()])
    if left := [name for name, found in sums.items() if not found.known]:
        warn(warn_text(left, "what they read is not rebuilt"))
    rebuilt = duplicate(model)
    modules = dict(rebuilt.named_modules())
    for name, found in sums.items():
        if found.known and found.total is not None:
            _rebuild(modules[name].weight.detach(), found.total, kept[name], ridge)
    return shrink(rebuilt, masks)


class _Gram:
    """Sum of h h^T over all that a layer reads, (channels, channels), float64.

    Attributes
    ----------
    total : Tensor or None
        None if nothing arrived.
    known : bool
        Whether the layer is a plain one.
    """

    def __init__(self):
        self.total, self.known = None, True

    def look(self, call: Call) -> None:
        """For `observe`."""
        self.known = self.known and call.plain
        inputs = given_to(call.args, call.kwargs)
        if not self.known or inputs is None:
            return
        read = channels_at_the_end(call.layer, inputs).flatten(0, -2)
        read = precise(read, read.shape[1])
        total = (read.T @ read).double()
        self.total = total if self.total is None else self.total + total


def _rebuild(weight: Tensor, total: Tensor, kept: Tensor, ridge: float) -> None:
    """Put W B into the kept columns of a weight, in place."""
    kept = kept.to(weight.device)
    some = total[kept][:, kept]
    mean = some.diagonal().mean()
    # A little more than the ridge, so that none at all can be solved as well.
    pull = (ridge + 1e-12) * torch.where(mean > 0, mean, 1)
    some = some + torch.eye(len(kept)).to(some) * pull
    back = torch.linalg.solve(some, total[kept])  # B transposed, (kept, channels)
    weight[:, kept] = torch.einsum("oh...,kh->ok...", weight.double(), back).to(weight.dtype)
