"""Find out which channels must go together.

A residual add ties the channels of two layers, a batch norm those of the convolution before it, a
grouped convolution those of a block, or those at the same position of all blocks. The channels are
followed through a run of the network (`following`), what is tied becomes groups of units (`units`),
and the groups are tried out (`trial`). They are plain index tensors, so that scoring, masking,
compensation and shrinking need no further tracing and work on any copy of the model.

    layout = find_groups(model, example)
    layout.groups["features.0"].members     # which rows and columns belong to which unit
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..errors import PruningError, in_short, warn
from ..network.inputs import Inputs, example_inputs, lively
from ..network.lending import Lender
from ..network.modes import check_weights, device_of, evaluating
from ..network.surroundings import undisturbed
from .attention import opened
from .axes import is_layer
from .following import Followed, follow
from .layout import Layout
from .surgery import shell
from .trial import Asked, is_random, tried_out
from .units import groups_of

_MANY = 64  # rows for networks that send rows to different parts


@undisturbed()
def find_groups(model: nn.Module, example: Tensor | tuple) -> Layout:
    """Find the groups of channels of a model that have to be removed together.

    Every position of every tensor of a run carries the channel that made it; what moves positions
    moves them, what combines tensors ties them, and what mixes channels fixes the units that it
    mixes. A unit of a grouped convolution is the finer of two things, so that any set of units can
    go and a ratio can be honoured to the unit. Where its blocks have fewer channels than there are
    blocks, and fewer than 16, a unit is one block with what that reads and makes. Else it is one
    position, of what the blocks read or of what they make, which all blocks lose together: both
    sides are groups of their own, and there are as many blocks as before.

    The queries, keys and values of a head of attention are one unit as well, which go with the
    columns that read the head: the network has to work out how many
    heads there are from its weights, or to keep their number by a usual name (``num_heads``),
    which is brought up to date. `torch.nn.MultiheadAttention`, whose input layer is then
    called ``in_proj``, and the attention of torchvision's Swin are taken as if they did. Where
    what is left of one fits its class it comes back as that, else as a module of ours that computes
    the same (`attention`).

    The result is tried out: half of the units of
    every group are removed from a copy, and then the others; what does not give what masking
    gives, layer by layer, is left alone. Whatever stays is listed in ``Layout.fixed``, with the
    operation or the reason.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is, mode and all.
    example : Tensor, shape (N, ...), or (tuple, dict)
        Inputs of the kind that the model takes; two rows are used, and up to 64 where rows are
        sent to different parts. For a model of several inputs,
        the positional and keyword arguments that it is called with.

    Returns
    -------
    Layout

    Raises
    ------
    PruningError
        If a layer is run twice or two layers share a weight, if a weight is computed
        (parametrised), if a module is quantised or compiled by TorchScript, if the example is so
        large that its channels do not fit into memory, or if nothing can be pruned.
    TypeError
        For what torch.export makes.
    ValueError
        For NaN or infinite weights, an example that the model does not take, or for which it gives
        NaN; the module where that begins is named.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> layout = find_groups(net, torch.zeros(1, 2))
    >>> [(group.name, group.units) for group in layout.groups.values()]
    [('0', 8)]
    """
    return _found(model, example, None)


def groups_of_own(model: nn.Module, example: Tensor | tuple, asked: Asked | None = None) -> Layout:
    """`find_groups`, of an `opened` replica that nobody else uses.

    It is run itself, and not a copy, if that leaves no trace. ``asked`` is as for `tried_out`.
    """
    with evaluating(model):  # by a method of the model, which may set more than modes
        lend = Lender(model)
        if lend.plain and not any(hasattr(type(m), "plain_class") for m in lend.modules.values()):
            with lend({}):
                return _found(model, example, lend, asked)
    return _found(model, example, None, asked)


def _found(
    model: nn.Module, example: Tensor | tuple, lend: Lender | None, asked: Asked | None = None
) -> Layout:
    """`find_groups`; ``lend`` is of the model, if this one may be run."""
    check_weights(model)
    _check_prunable(model)
    inputs = _inputs(model, example)
    scratch = model if lend else opened(shell(model))
    lend = lend or Lender(scratch)
    with evaluating(scratch):
        modules = lend.modules
        followed = _followed(scratch, modules, inputs)
        if followed.emptied:  # more rows may reach what two do not
            inputs = _inputs(model, example, _MANY)
            followed = _followed(scratch, modules, inputs)
        groups, fixed = groups_of(followed, modules)
        layout = Layout(
            groups=groups,
            order=tuple(followed.order),
            batch_norms=followed.batch_norms,
            fixed=fixed,
            sizes={name: tuple(modules[name].weight.shape) for name in followed.order},
            example=_blank(example),
        )
        asked = None if followed.heads else asked  # they run elsewhere than where that is tried
        layout = tried_out(scratch, layout, inputs, lend, followed.ranks, asked)
        if followed.heads:
            layout = _tried_in_training(scratch, layout, inputs, lend)
    if not layout.groups:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(layout.fixed.items())[:5])
        if not any(is_layer(module) for module in modules.values()):
            reasons = (
                "it holds no torch.nn.Linear or convolution; if this is a program made by "
                "torch.export or torch.fx, prune the module that it was made from"
            )
        raise PruningError(f"no layer of this network can be pruned ({reasons or 'no layers'})")
    return layout


def _inputs(model: nn.Module, example, rows: int = 2) -> Inputs:
    dtype = next(model.parameters()).dtype
    return lively(example_inputs(model, example, rows), dtype)


def _blank(example: Tensor | tuple) -> Tensor | Inputs:
    """One input of zeros."""
    if isinstance(example, Tensor):
        return torch.zeros_like(example[:1], device="cpu")
    return Inputs(*example).mapped(lambda tensor: torch.zeros_like(tensor, device="cpu"))


def _followed(scratch: nn.Module, modules: dict[str, nn.Module], inputs: Inputs) -> Followed:
    """The channels of the network in evaluation mode, and of heads that run in training only."""
    try:
        followed = follow(scratch, inputs)
    except RuntimeError as error:
        raise ValueError(f"the model does not take inputs of {inputs}: {error}") from error
    if _unseen(modules, followed):
        _follow_in_training(scratch, inputs, followed)
    if unseen := _unseen(modules, followed):
        warn(f"layers that do not run are left as they are: {unseen}")
    return followed


def _unseen(modules: dict[str, nn.Module], followed: Followed) -> list[str]:
    seen = {name for name, _ in followed.blocks}
    return [n for n, m in modules.items() if is_layer(m) and n not in seen]


@contextlib.contextmanager
def _holders_in_training(scratch: nn.Module) -> Iterator[None]:
    """Modules that hold others in training mode: they decide what runs.

    Dropout and batch norms stay as they are, so that a run is no less repeatable. What drops all
    the same, as attention does, takes no random numbers from others.
    """
    device = device_of(scratch)
    holders = [module for module in scratch.modules() if any(True for _ in module.children())]
    for module in holders:
        module.training = True
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for module in holders:
            module.training = False


def _follow_in_training(scratch: nn.Module, inputs: Inputs, followed: Followed) -> None:
    """Follow the run that training makes, for what is called there alone."""
    order, norms = dict(followed.calls), dict(followed.batch_norms)
    before = set(followed.blocks)
    try:
        with _holders_in_training(scratch):
            follow(scratch, inputs, followed)
        followed.heads = set(followed.blocks) > before
    except Exception as error:  # as for want of the targets that a loss asks for
        warn(
            f"the network does not run in training mode ({in_short(error)}): layers "
            "that run only there are left as they are, and may not fit what they read any more"
        )
    finally:
        followed.calls, followed.batch_norms = order, norms


def _tried_in_training(scratch: nn.Module, layout: Layout, inputs: Inputs, lend: Lender) -> Layout:
    """The layout tried out on what runs in training only too, unless that is random."""
    with _holders_in_training(scratch):
        try:
            if is_random(scratch, inputs):
                return layout
            return tried_out(scratch, layout, inputs, lend)
        except PruningError:
            raise
        except Exception:  # of which `_follow_in_training` warns
            return layout


def _check_prunable(model: nn.Module) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        raise PruningError(
            "this is a TorchScript module, whose layers cannot be changed; prune the "
            "torch.nn.Module that it was compiled from, then compile that"
        )
    modules = dict(model.named_modules())
    for name, module in modules.items():
        kind = type(module)
        # these two add and multiply floating-point numbers in networks that may be quantised later
        stub = kind.__name__ in {"FloatFunctional", "FXFloatFunctional"}
        if "quantized" in kind.__module__.split(".") and not stub:
            raise PruningError(
                f"{name or 'the model'!r} is quantised ({type(module).__name__}); prune the "
                "floating-point network first and quantise what is left"
            )
    owners: dict[int, str] = {}
    for name, module in modules.items():
        for key, parameter in module._parameters.items():
            if parameter is None:
                continue
            first = owners.setdefault(id(parameter), f"{name}.{key}")
            if first != f"{name}.{key}":
                raise PruningError(
                    f"{first} and {name}.{key} are one and the same tensor; networks that share "
                    "weights cannot be pruned: removing channels for one use would break the other"
                )
        if is_layer(module) and (
            parametrize.is_parametrized(module) or "weight" not in module._parameters
        ):
            raise PruningError(
                f"the weight of {name!r} is computed by a parametrisation or a mask; make it a "
                "plain parameter first (torch.nn.utils.parametrize.remove_parametrizations or "
                "torch.nn.utils.prune.remove)"
            )
