"""A bound on what pruning changes: `splinelib.bounds` asked about masks and pruned networks."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..bounds.change import ChangeBound, change_bound
from ..bounds.units import UNITS
from ..channels.attention import opened
from ..channels.filling import filled
from ..channels.saving import shapes_of
from ..channels.surgery import silenced
from ..network.surroundings import undisturbed
from .masking import checked_masks
from .scoring import layout_for


@undisturbed("model")
def pruning_bound(
    model: nn.Module,
    masks: Mapping[str, Tensor] | nn.Module,
    box: tuple[Tensor, Tensor],
    *,
    combinations: Tensor | None = None,
    example: Tensor | None = None,
    units: int = UNITS,
    method: str = "differences",
) -> ChangeBound:
    """An upper bound on the largest change of the outputs on a box of inputs, of any dimension.

    Nothing is sampled: everywhere in the box the change lies between `low` and `high`. Linear
    relaxations go through both networks and through their difference together, so that what
    pruning leaves alone cancels, and a unit that another one took over counts by how far the two
    are apart.

    Parameters
    ----------
    model : torch.nn.Module
        Piecewise affine; convolutions, batch norm, residual adds and max-pooling included. Left as
        it is.
    masks : mapping of str to bool Tensor (U,), or torch.nn.Module
        What `select` gives; or the pruned network itself, compensated or trained on, as `shrink`
        or `prune` made it of the model, or any network of the model's shape.
    box : (Tensor, Tensor), shape (N, ...)
        Lowest and highest inputs, a row for each box; one dimension is one box. A ball of radius r
        in the largest norm around x is ``(x - r, x + r)``.
    combinations : Tensor, shape (K, C) or (N, K, C), optional
        Bound these combinations of the C outputs, such as margins, in place of each output.
    example : Tensor, shape (1, ...), optional
        Needed for a plain dict of masks, which does not say which channels belong together.
    units : int
        What an activation reads is bounded backwards where it has at most so many values, else by
        intervals alone, which is faster and looser. ResNet-18 on images of 64 x 64 has 65,536 in
        its first layer: there intervals and the differences of them carry nearly all.
    method : {"differences", "crown", "interval"}
        The last two are the rivals that the first is never looser than.

    Returns
    -------
    ChangeBound

    Raises
    ------
    NotPiecewiseAffine
        If the network holds an operation that is not piecewise affine, GELU or softmax for
        instance; it names the module.
    TypeError
        For a box that is not two tensors of floating point numbers.
    ValueError
        For a box that is empty, infinite, NaN or upside down, or of a shape that the model does not
        take; masks of another model, with unknown names, wrong lengths or an emptied group; an
        unknown method; values that overflow.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> box = -torch.ones(1, 2), torch.ones(1, 2)
    >>> masks = sl.select(sl.score(net, "magnitude", example=torch.zeros(1, 2)), 0.5)
    >>> bound = sl.pruning_bound(net, masks, box)
    >>> bound.largest >= sl.difference(net, sl.apply_masks(net, masks)).largest
    True
    """
    if isinstance(masks, nn.Module):
        second = masks if shapes_of(masks) == shapes_of(model) else filled(masks, model)
    else:
        layout = layout_for(opened(model), masks, example)
        second = silenced(model, layout, checked_masks(layout, masks))
    with torch.no_grad():
        return change_bound(
            model, second, box, combinations=combinations, units=units, method=method
        )
