"""Is a layer the linear map that a fit presumes, and if not quite, which one is it?

Plain linear layers and convolutions are. A subclass with a forward of its own, or a layer whose
hook changes what it says, may still be one of another geometry (it pads inside) or of a multiple
of its weight (an equalised learning rate). That is found out by looking at the one call of
``linear`` or ``conv`` that its forward makes, and by running it again with other weights; what
it computes on the inputs at hand has to agree with it.
"""

import contextlib
import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from ..network.activations import argument
from .im2col import applied, channels_at_the_end
from .moments import wide

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_PLAIN_FORWARDS = {kind.forward for kind in (nn.Linear, *_CONVOLUTIONS.values())}
_PLAIN_CONVOLUTIONS = {kind._conv_forward for kind in _CONVOLUTIONS.values()}
_CALLS = {"linear", "conv1d", "conv2d", "conv3d"}
# What rounding may amount to, as a share of the largest output: many times the resolution of the
# type; a GPU may multiply float32 with the mantissa of a half.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 8e-3, torch.bfloat16: 4e-2}
_ROUNDING_ON_GPU = 5e-3
_REMEDY = "use a plain torch.nn.Linear or torch.nn.Conv2d, or fold the scale into the weight"


class LayerMap(NamedTuple):
    """What a layer computes, as a plain layer: its weight times patches of its inputs, and a shift.

    Attributes
    ----------
    layer : torch.nn.Module
        A plain layer with the geometry and the weight that run; the layer itself if it is plain.
        Its bias is of no account.
    inputs : Tensor
        What that is given.
    shift : Tensor, shape (out,), or None
        What is added to every row of outputs.
    gain : float or None
        The weight that runs is so many times the layer's own. None if it is no multiple of it, so
        that no change of the layer's own weight makes a wanted change of the one that runs.
    bias_gain : Tensor, shape (out,), float or None
        What a bias of 1 adds to the outputs; None if a bias is not looked at.
    """

    layer: nn.Module
    inputs: Tensor
    shift: Tensor | None
    gain: float | None = 1.0
    bias_gain: Tensor | float | None = 1.0


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer runs torch's own forward, and no hook looks at what comes out of it."""
    kind = type(layer)
    return (
        kind.forward in _PLAIN_FORWARDS
        and getattr(kind, "_conv_forward", None) in {None, *_PLAIN_CONVOLUTIONS}
        and not {"forward", "_conv_forward"} & set(vars(layer))
        and not layer._forward_hooks
    )


def given_to(args: tuple, kwargs: dict) -> Tensor | None:
    """The tensor that a layer is called with, by position or by whatever name."""
    return next((v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)), None)


def layer_map(
    layer: nn.Module, args: tuple, kwargs: dict, output: Tensor | None = None, plain: bool = False
) -> LayerMap | None:
    """The linear map that a layer is on given inputs; None if it is none that can be told.

    Parameters
    ----------
    layer : torch.nn.Module
        A linear layer or a convolution, or a subclass. It is given back as it was.
    args, kwargs
        What it is called with, behind its pre-hooks.
    output : Tensor, optional
        What it said; if it is left out the layer is run.
    plain : bool
        That it is known to be plain (`is_plain`), before a hook that only looks was put on it.

    Returns
    -------
    LayerMap or None

    Examples
    --------
    >>> class Halved(nn.Linear):
    ...     def forward(self, x):
    ...         return nn.functional.linear(x, self.weight / 2, self.bias)
    >>> layer_map(Halved(3, 2), (torch.randn(5, 3),), {}).gain
    0.5
    """
    inputs = given_to(args, kwargs)
    if inputs is None or not len(inputs):
        return None
    if plain or is_plain(layer):
        found = LayerMap(layer, inputs, None if layer.bias is None else layer.bias.detach())
        return found if has_rows(layer, inputs) else None
    try:
        return _established(layer, args, kwargs, output)
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError):
        return None  # its forward does not take other weights


def autocast_of(device: str) -> torch.dtype | None:
    """To which type layers round here on a type of device; None outside autocast."""
    available = torch.amp.is_autocast_available(device)
    if not available or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def rounding_to(dtype: torch.dtype | None, device: str) -> contextlib.AbstractContextManager:
    """Autocast to a type, or none."""
    if not torch.amp.is_autocast_available(device):
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=dtype, enabled=dtype is not None)


def warn_text(names: Sequence[str], what: str) -> str:
    """The one warning of layers that are not what a fit presumes."""
    return (
        f"layers {list(names)} do not compute their weight times their inputs, as far as their "
        f"outputs on the calibration inputs show: {what}. To mend that, {_REMEDY}"
    )


def alone_text(names: Sequence[str]) -> str:
    """The one warning of layers of which a single row was seen."""
    return (
        f"the calibration inputs give layers {list(names)} a single row to read, which says "
        "nothing about others: they are left as they were cut. Pass more inputs, for instance "
        "1,024 training images"
    )


def has_rows(layer: nn.Module, values) -> bool:
    """Whether what a layer reads or says is a tensor with a dimension for inputs."""
    if not isinstance(values, Tensor):
        return False
    return values.ndim == layer.weight.ndim if isinstance(layer, _ConvNd) else values.ndim > 1


class _Calls(TorchFunctionMode):
    """Notes the calls of linear maps."""

    def __init__(self):
        super().__init__()
        self.noted: list[tuple[str, tuple, dict]] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", None) in _CALLS:
            self.noted.append((function.__name__, args, kwargs or {}))
        return function(*args, **(kwargs or {}))


def run_again(layer: nn.Module, args: tuple, kwargs: dict, **parameters: Tensor) -> Tensor:
    """What a layer says of inputs that have passed its pre-hooks, with other parameters."""
    again = copy.copy(layer)  # hooks that look at one layer do not look at its copy
    again._parameters = {
        # Copies without gradients: what autocast makes of others it keeps, and takes it once more
        # when they have changed.
        name: None if value is None else nn.Parameter(value.detach(), requires_grad=False)
        for name, value in {**layer._parameters, **parameters}.items()
    }
    again._forward_pre_hooks = OrderedDict()
    # A forward may change its inputs in place.
    args, kwargs = tuple(_copied(v) for v in args), {k: _copied(v) for k, v in kwargs.items()}
    return again(*args, **kwargs)


def _copied(value):
    return value.clone() if isinstance(value, Tensor) else value


def _looked_at(layer: nn.Module, args: tuple, kwargs: dict, **parameters: Tensor):
    """`run_again`, and the plain layer inside with its inputs."""
    with _Calls() as calls:
        output = run_again(layer, args, kwargs, **parameters)
    own = parameters.get("weight", layer.weight)
    if len(calls.noted) != 1 or _weight(calls.noted[0]).shape != own.shape:
        return output, layer, given_to(args, kwargs), own.detach()
    inner, inputs = _stand_in(calls.noted[0])
    return output, inner, inputs, _weight(calls.noted[0]).detach()


def _weight(call: tuple[str, tuple, dict]) -> Tensor:
    return argument(call[1], call[2], 1, "weight")


def _stand_in(call: tuple[str, tuple, dict]) -> tuple[nn.Module, Tensor]:
    """A plain layer with the geometry of a call, without weights, and the inputs of the call."""
    name, args, kwargs = call
    inputs, weight = argument(args, kwargs, 0, "input"), _weight(call)
    if name == "linear":
        return nn.Linear(weight.shape[1], len(weight), bias=False, device="meta"), inputs
    groups = argument(args, kwargs, 6, "groups", 1)
    kind = _CONVOLUTIONS[weight.ndim - 2]
    geometry = [
        argument(args, kwargs, place, key, default)
        for place, key, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
    ]
    sizes = weight.shape[1] * groups, len(weight), tuple(weight.shape[2:])
    return kind(*sizes, *geometry, groups, bias=False, device="meta"), inputs


def _established(
    layer: nn.Module, args: tuple, kwargs: dict, output: Tensor | None
) -> LayerMap | None:
    said, inner, inputs, running = _looked_at(layer, args, kwargs)
    output = said if output is None else output
    if not has_rows(layer, output) or not has_rows(inner, inputs):
        return None
    found, share = _rows(layer, output), _rounding(output)
    made = _made(inner, inputs, running)
    if made.shape != found.shape or not len(made):
        return None
    spread = made - made.mean(0)
    scale = 1.0  # of inputs that are all alike nothing can be told; other weights will show it
    if spread.abs().max() > share * made.abs().max():
        scale = _factor(spread, found - found.mean(0))
        scale = 1.0 if abs(scale - 1) < share else scale
    shift = (found - scale * made).mean(0)
    if not _same(found, scale * made + shift, share):
        return None
    plain = _stand_in_of(inner, scale * wide(running))
    gain = _gain(layer, args, kwargs, running, scale, shift)
    bias_gain = _bias_gain(layer, args, kwargs, found) if gain is not None else None
    return LayerMap(plain, inputs.detach(), shift, gain, bias_gain)


def _gain(layer, args, kwargs, running: Tensor, scale: float, shift: Tensor) -> float | None:
    """What the weight that runs is of the layer's own, if it is that whatever the weight is."""
    weight, share = layer.weight.detach(), 4 * torch.finfo(layer.weight.dtype).eps
    order = torch.randperm(weight.numel(), generator=torch.Generator().manual_seed(0))
    other = (1.7 * weight.flatten()[order.to(weight.device)]).view_as(weight)
    output, inner, inputs, ran = _looked_at(layer, args, kwargs, weight=other)
    factor = _factor(weight, running)
    if factor is None or not _same(running, factor * weight, share):
        return None
    if not _same(ran, factor * other, share):
        return None
    expected = scale * _made(inner, inputs, ran) + shift
    found = _rows(layer, output)
    return scale * factor if _same(found, expected, _rounding(output)) else None


def _bias_gain(layer, args, kwargs, before: Tensor) -> Tensor | None:
    """What a bias of 1 adds to every row, shape (out,)."""
    weight = layer.weight.detach()
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    step = max(float(before.abs().max()), 1e-3)
    output = run_again(layer, args, kwargs, bias=bias + step)
    gains = (_rows(layer, output) - before) / step
    mean, share = gains.mean(0), _rounding(output)
    if float(mean.abs().min()) <= share or not _same(gains, mean.expand_as(gains), share):
        return None
    return torch.where((mean - 1).abs() < share, 1.0, mean)


def _stand_in_of(inner: nn.Module, weight: Tensor) -> nn.Module:
    plain = copy.copy(inner)
    plain._parameters = {"weight": nn.Parameter(weight, requires_grad=False), "bias": None}
    return plain


def _made(inner: nn.Module, inputs: Tensor, weight: Tensor) -> Tensor:
    """What a plain layer makes of inputs with a weight, as rows, without rounding of halves."""
    weight = wide(weight)
    with rounding_to(None, inputs.device.type):
        return _rows(inner, applied(inner, inputs.detach().to(weight.dtype), weight))


def _rows(layer: nn.Module, output: Tensor) -> Tensor:
    output = channels_at_the_end(layer, output.detach())
    return wide(output.reshape(-1, output.shape[-1]))


def _rounding(values: Tensor) -> float:
    share = _ROUNDING.get(values.dtype, 0.0)
    return max(share, _ROUNDING_ON_GPU) if values.device.type != "cpu" else share


def _factor(one: Tensor, other: Tensor) -> float | None:
    """The number by which one has to be multiplied to come closest to the other."""
    one, other = one.double().flatten(), other.double().flatten()
    square = float(one @ one)
    return float(one @ other) / square if square > 0 else None


def _same(found: Tensor, expected: Tensor, share: float) -> bool:
    found, expected = found.detach().double(), expected.detach().double()
    if found.shape != expected.shape:
        return False
    return bool((found - expected).abs().max() <= share * expected.abs().max())
