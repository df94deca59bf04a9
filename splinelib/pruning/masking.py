"""Masks to networks: silenced, held at zero, or smaller."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ..calibration.observing import Answers
from ..channels.attention import closed, opened
from ..channels.cuts import Cut, cut_by, cut_copy, used_up
from ..channels.layout import Layout
from ..channels.saving import remembered
from ..channels.surgery import copies_plainly, held, silenced
from ..network.modes import check_inputs
from ..network.surroundings import undisturbed
from .checking import Pruned, first_layers, never_worse
from .choices import checked_compensation
from .compensation import DATALESS, METHODS
from .distillation import check_classifier
from .scoring import layout_for


@undisturbed("model")
def apply_masks(
    model: nn.Module, masks: Mapping[str, Tensor], example: Tensor | None = None
) -> nn.Module:
    """A copy of the model in which the masked units are silent.

    Parameters
    ----------
    model : torch.nn.Module
    masks : mapping of str to bool Tensor (U,)
        As `select` returns them; groups that are not named stay whole.
    example : Tensor, shape (1, ...), optional
        Needed for a plain dict of masks, which does not say which channels belong together.

    Returns
    -------
    torch.nn.Module
        Same shapes and mode as the model. The rows that make a masked unit, its batch-norm
        scale and shift, and the columns that read it are zero.

    Raises
    ------
    ValueError
        For masks with unknown names, wrong lengths or an emptied group, or of another model.
    """
    layout = layout_for(opened(model), masks, example)
    return closed(silenced(model, layout, checked_masks(layout, masks)))


@undisturbed("model")
def attach_masks(
    model: nn.Module, masks: Mapping[str, Tensor], example: Tensor | None = None
) -> nn.Module:
    """A copy whose masked units are held at zero by masks of `torch.nn.utils.prune`.

    It computes what `apply_masks` gives, and goes on doing so in training: the masks are
    applied in every pass, and the weights under them get no gradient. What was there is kept
    as ``weight_orig``; ``torch.nn.utils.prune.remove(module, "weight")`` makes a mask final,
    after which `shrink` takes the network.

    Parameters
    ----------
    model : torch.nn.Module
    masks : mapping of str to bool Tensor (U,)
    example : Tensor, shape (1, ...), optional
        As for `apply_masks`.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        As for `apply_masks`.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> masks = sl.select(sl.score(net, "magnitude", example=torch.zeros(1, 2)), 0.5)
    >>> sl.attach_masks(net, masks)[0].weight_mask.sum(1)
    tensor([...])
    """
    layout = layout_for(opened(model), masks, example)
    return closed(held(model, layout, checked_masks(layout, masks)))


@undisturbed("model")
def shrink(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    example: Tensor | None = None,
    *,
    data: Tensor | None = None,
    compensate: bool | str = False,
    seed: int = 0,
) -> nn.Module:
    """A physically smaller copy of the model, with the outputs of the masked copy.

    Parameters
    ----------
    model : torch.nn.Module
    masks : mapping of str to bool Tensor (U,)
        As `select` returns them; groups that are not named stay whole.
    example : Tensor, shape (1, ...), optional
        Needed for a plain dict of masks, which does not say which channels belong together.
    data : Tensor, shape (N, ...), optional
        Calibration inputs for the compensation.
    compensate : {False, True, "merge", "fold", "refit", "distil"}
        As in `prune`; the outputs are then closer to the dense network's than the masked
        copy's are.
    seed : int
        For the sample of positions that the compensation fits.

    Returns
    -------
    torch.nn.Module
        It remembers what was kept, so that `save_pruned` can write it down; it can be
        pruned again.

    Raises
    ------
    ValueError
        For masks with unknown names, wrong lengths or an emptied group, or of another model;
        for a compensation without the data that it needs.
    """
    compensate = checked_compensation(compensate, data)
    layout = layout_for(opened(model), masks, example)
    masks = checked_masks(layout, masks)
    data = None if data is None else check_inputs(model, data)
    return compensated(model, layout, cut_by(model, layout, masks), data, compensate, seed)


def compensated(
    model: nn.Module,
    layout: Layout,
    cut: Cut,
    data: Tensor | None,
    compensate: bool | str,
    seed: int,
    answers: Answers | None = None,
    **known,
) -> nn.Module:
    """`shrink`, after all checks.

    ``answers`` is what the dense network gives on the data, ``known`` what the compensation need
    not find out again.
    """
    if compensate == "distil":
        check_classifier(model, layout, data)
    kept = cut.kept
    small, biased = cut_copy(model, kept), []
    if compensate:
        biased = METHODS[compensate](model, small, layout, kept, data, seed, **known)
        if data is not None and kept:
            made = small, biased
            small, biased = _checked(
                model, layout, kept, made, answers, data, compensate, seed, known
            )
    small.pruning_record = remembered(model, kept, biased)
    return closed(small)


def without_compensation(model: nn.Module, cut: Cut) -> nn.Module:
    """`shrink`, of a replica that nobody else has, which may be used up for it."""
    record = remembered(model, cut.kept)
    # parameters are made of a model of which all that it holds is known
    own = cut.made and copies_plainly(model)
    small = used_up(model, cut) if own else cut_copy(model, cut.kept)
    small.pruning_record = record
    return closed(small)


def _checked(
    model: nn.Module,
    layout: Layout,
    kept: dict[str, dict[str, Tensor]],
    made: Pruned,
    answers: Answers | None,
    data: Tensor,
    compensate: str,
    seed: int,
    known: Mapping,
) -> Pruned:
    """What a compensation made, or less of it where it left the network farther from the dense."""

    def plain() -> nn.Module:
        return cut_copy(model, kept)

    def others() -> Iterator[Pruned]:
        if compensate in DATALESS:  # without the statistics that the data gave
            small = plain()
            yield small, METHODS[compensate](model, small, layout, kept, None, seed, **known)
            return
        if compensate == "distil":
            small = plain()
            yield small, METHODS["refit"](model, small, layout, kept, data, seed, **known)
        reading = [name for name in layout.order if "in" in kept.get(name, {})]
        start = layout.order.index(reading[0]) if reading else len(layout.order)
        yield from first_layers(made, plain(), layout, list(layout.order[start:]))

    fitted = compensate not in DATALESS
    return never_worse(model, answers, made, plain, others, data, compensate, fitted)


def checked_masks(layout: Layout, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    checked = {}
    for name, mask in masks.items():
        if name not in layout.groups:
            known = ", ".join(layout.groups)
            raise ValueError(f"there is no prunable group {name!r}; the groups are {known}")
        try:
            mask = torch.as_tensor(mask)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"the mask of {name!r} is no tensor of bool ({error})") from error
        units = layout.groups[name].units
        if mask.dtype != torch.bool or tuple(mask.shape) != (units,):
            raise ValueError(
                f"the mask of {name!r} should be bool of shape ({units},), it is {mask.dtype} of "
                f"shape {tuple(mask.shape)}"
            )
        if not mask.any():
            raise ValueError(f"the mask of {name!r} leaves no unit; keep at least one")
        checked[name] = mask.cpu()
    return checked
