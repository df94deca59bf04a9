"""The affine map of the region that an input lies in."""

import torch
from torch import Tensor, nn

from ..errors import NotPiecewiseAffine
from .frozen import frozen
from .modes import check_weights, evaluating
from .overflow import overflow
from .surroundings import undisturbed
from .trace import record


@undisturbed("model")
def affine_map(model: nn.Module, x: Tensor, smooth: str = "raise") -> tuple[Tensor, Tensor]:
    """The affine map that the network applies to every input of x's region.

    With every activation held to its piece at ``x``, the network is affine:
    ``model(x') == A @ x'.flatten() + b`` for all x' in the region (the paper's Section 2).

    Parameters
    ----------
    model : torch.nn.Module
        Any piecewise affine network; run in evaluation mode, given back unchanged.
    x : Tensor, shape (...) or (1, ...)
        One input, with or without a batch dimension of 1, on the model's device.
    smooth : {"raise", "freeze"}
        What to do with attention, layer norm, GELU and SiLU: refuse them, or hold at ``x`` the
        softmax weights, the standard deviations and the gates. Then ``A @ x + b == model(x)``
        holds at ``x``, and everywhere else for the network with these factors held.

    Returns
    -------
    A : Tensor, shape (C, x.numel())
        C is the number of outputs.
    b : Tensor, shape (C,)

    Raises
    ------
    NotPiecewiseAffine
        If the model holds an operation that is not piecewise affine, or gives other outputs when
        it is run again.
    TypeError
        If the model returns something else than one tensor.
    ValueError
        For several inputs, NaN or infinite values, also inside the network (the module is named),
        another device than the model's.

    Notes
    -----
    On a hyperplane the map is that of the side where the unit is off, as in the code.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> x = torch.randn(2)
    >>> A, b = sl.affine_map(net, x)
    >>> torch.allclose(A @ x + b, net(x[None])[0], atol=1e-5)
    True
    """
    if smooth not in {"raise", "freeze"}:
        raise ValueError(f"smooth must be 'raise' or 'freeze', not {smooth!r}")
    check_weights(model)
    parameter = next(model.parameters(), None)
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise TypeError("x must be a floating point tensor: one input of the model")
    if not torch.isfinite(x).all():
        raise ValueError("x holds NaN or infinite values")
    if parameter is not None and parameter.device != x.device:
        raise ValueError(
            f"x is on {x.device} and the model on {parameter.device}: move one of them"
        )
    with evaluating(model), torch.enable_grad():
        point, graph = _record_one(model, x.detach())
        graph = frozen(graph) if smooth == "freeze" else graph
        graph.check_output(ways=("freeze",) if smooth == "raise" else ())
        truth = _value(model, point)
        if not truth.isfinite().all():
            raise ValueError(overflow(model, point))
        point = point.clone().requires_grad_()
        # The recorded run changes nothing in place, which autograd would not have in all cases.
        output = graph.replay(point * 1, lambda activation, z: activation.linearised(*z)).flatten()
        _check_same(output.detach(), truth)
        rows = [
            torch.autograd.grad(entry, point, retain_graph=True, materialize_grads=True)[0]
            if entry.requires_grad  # else everything that it follows from is held
            else torch.zeros_like(point)
            for entry in output
        ]
    A = torch.stack(rows).flatten(1).detach()
    return A, output.detach() - A @ point.detach().flatten()


@torch.no_grad()
def _value(model: nn.Module, point: Tensor) -> Tensor:
    return model(point.clone()).flatten()


def _check_same(output: Tensor, truth: Tensor) -> None:
    """Refuse a map that is not the network's: something happened that was not recorded."""
    slack = max(1e-3, 100 * torch.finfo(truth.dtype).eps)
    size = truth.abs().max() if len(truth) else 0
    if output.shape != truth.shape or ((output - truth).abs() > slack * size + 1e-6).any():
        raise NotPiecewiseAffine(
            "the network, run again function by function, gives other outputs: it is random in "
            "evaluation mode, keeps a state, or changes its tensors in a way that cannot be "
            "followed. Make its forward a function of the input alone"
        )


def _record_one(model: nn.Module, x: Tensor):
    """Record with x as a batch of one: as it is if its first size is 1, else with a new axis.

    An image of one channel has that size too, and a convolution takes it without a batch. So a
    first dimension that cannot be 2 is taken for one of the input.
    """
    failure: ValueError | None = None
    attempts = [x, x[None]] if x.dim() > 1 and x.shape[0] == 1 else [x[None]]
    if len(attempts) == 2 and not _takes_two(model, x):
        attempts = attempts[::-1]
    for attempt in attempts:
        try:
            return attempt, record(model, attempt, rows=1)
        except ValueError as error:
            failure = failure or error
    raise ValueError(
        f"the model does not take one input of shape {tuple(x.shape)}: {failure}"
    ) from failure


@torch.no_grad()
def _takes_two(model: nn.Module, x: Tensor) -> bool:
    """Whether a model runs on an input twice, along its first dimension."""
    try:
        model(torch.cat([x, x]))
    except Exception:  # whatever it is, it does not
        return False
    return True
