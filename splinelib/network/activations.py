"""Functions that cut the space: where they bend, and their slope on each piece.

`parse` reads a call of a torch function as an `Activation`. Smooth functions, which do not cut, are
listed beside them for callers who want them read as a cut where their input changes sign.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def canonical(func: Callable) -> str:
    """The name of a torch function without the marks of operators and in-place variants."""
    name = getattr(func, "__name__", str(func)).strip("_")
    return name[1:] if name in {"iadd", "isub", "imul"} else name


@dataclass(frozen=True)
class Activation:
    """A call that cuts the space: what it does, without its input.

    Attributes
    ----------
    kind : str
        ``"relu"``, ``"leaky_relu"``, ..., ``"maximum"`` or ``"max_pool"``.
    breakpoints : tuple of float
        Pre-activation values where the slope changes (one or two; empty for pooling).
    slopes : tuple
        Slope of each piece, left to right: floats, or tensors that broadcast.
    call : callable
        ``call(*pre_activation_inputs)``: the value, never in place.
    pool : dict or None
        Window geometry of a max-pooling.
    """

    kind: str
    breakpoints: tuple[float, ...]
    slopes: tuple
    call: Callable
    pool: dict | None = None
    smooth: bool = False

    def code(self, *inputs: Tensor) -> Tensor:
        """Bits of the code, bool, shape (N, thresholds or index bits, ...) or (N, ...)."""
        if self.pool is not None:
            return _index_bits(self.winner(*inputs), self.bits)
        z = self.pre_activation(*inputs)
        if len(self.breakpoints) == 1:
            return z > self.breakpoints[0]
        return torch.stack([z > b for b in self.breakpoints], dim=1)

    def pre_activation(self, *inputs: Tensor) -> Tensor:
        """What is compared with the breakpoints: the input, or a difference of two."""
        return inputs[0] - inputs[1] if len(inputs) == 2 else inputs[0]

    def linearised(self, *inputs: Tensor) -> Tensor:
        """The value, with the gradient of the region that the inputs lie in.

        Unlike autograd's own choice at a kink, the slope at a breakpoint is that of
        the piece left of it, in agreement with the code (pre-activation > 0).
        """
        value = self.call(*inputs)
        if self.pool is not None:  # autograd follows the winner's index already
            return value
        z = self.pre_activation(*inputs)
        slope = torch.as_tensor(self.slopes[0], dtype=z.dtype, device=z.device)
        for breakpoint_, after in zip(self.breakpoints, self.slopes[1:], strict=True):
            slope = torch.where(z > breakpoint_, after, slope)
        base = inputs[1] if len(inputs) == 2 else 0
        through = slope.detach() * z + base
        return value.detach() + (through - through.detach())

    def winner(self, *inputs: Tensor) -> Tensor:
        """Position of the winner in each pooling window, int64, shape of the output."""
        x, p = inputs[0], self.pool
        dims = p["dims"]
        unbatched = x.dim() == dims + 1
        flat = _POOLS[dims, p["adaptive"]](x, *p["args"])[1]
        if unbatched:
            flat = flat[None]
        position = torch.zeros_like(flat)
        for axis in range(dims):
            rest = math.prod(x.shape[x.dim() - dims + axis + 1 :])
            coordinate = flat // rest
            flat = flat % rest
            size, out = x.shape[x.dim() - dims + axis], position.shape[2 + axis]
            at = torch.arange(out, device=x.device)
            if p["adaptive"]:
                start = at * size // out
            else:
                start = at * p["stride"][axis] - p["padding"][axis]
            shape = [1] * position.dim()
            shape[2 + axis] = out
            offset = coordinate - start.reshape(shape)
            if not p["adaptive"]:
                offset = offset // p["dilation"][axis]
            position = position * p["window"][axis] + offset
        return position[0] if unbatched else position

    @property
    def bits(self) -> int:
        """Bits of code for each unit."""
        if self.pool is None:
            return len(self.breakpoints)
        return max(1, math.ceil(math.log2(math.prod(self.pool["window"]))))


_POOLS = {
    (1, False): lambda x, *a: F.max_pool1d_with_indices(x, *a),
    (2, False): lambda x, *a: F.max_pool2d_with_indices(x, *a),
    (3, False): lambda x, *a: F.max_pool3d_with_indices(x, *a),
    (1, True): lambda x, *a: F.adaptive_max_pool1d_with_indices(x, *a),
    (2, True): lambda x, *a: F.adaptive_max_pool2d_with_indices(x, *a),
    (3, True): lambda x, *a: F.adaptive_max_pool3d_with_indices(x, *a),
}


def _index_bits(index: Tensor, bits: int) -> Tensor:
    return torch.stack([(index >> b) & 1 == 1 for b in range(bits)], dim=1)


def argument(args: tuple, kwargs: dict, position: int, name: str, default=None):
    if len(args) > position:
        return args[position]
    return kwargs.get(name, default)


def _tuple(value, dims: int) -> tuple[int, ...]:
    value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return value * dims if len(value) == 1 else value


def _max_pool(name: str, func: Callable, args: tuple, kwargs: dict) -> tuple[Activation, tuple]:
    dims, adaptive = int(name[name.index("pool") + 4]), name.startswith("adaptive")
    x = argument(args, kwargs, 0, "input")
    if adaptive:
        size = _tuple(argument(args, kwargs, 1, "output_size"), dims)
        spatial = x.shape[-dims:]
        size = tuple(o or s for o, s in zip(size, spatial, strict=True))
        window = tuple(
            max((i + 1) * s // o + ((i + 1) * s % o > 0) - i * s // o for i in range(o))
            for o, s in zip(size, spatial, strict=True)
        )
        pool = {"dims": dims, "adaptive": True, "window": window, "args": (size,)}
    else:
        window = _tuple(argument(args, kwargs, 1, "kernel_size"), dims)
        stride = argument(args, kwargs, 2, "stride")
        stride = window if stride is None or stride == [] else _tuple(stride, dims)
        padding = _tuple(argument(args, kwargs, 3, "padding", 0), dims)
        dilation = _tuple(argument(args, kwargs, 4, "dilation", 1), dims)
        ceil = argument(args, kwargs, 5, "ceil_mode", False)
        pool = {
            "dims": dims,
            "adaptive": False,
            "window": window,
            "stride": stride,
            "padding": padding,
        }
        pool |= {"dilation": dilation, "args": (window, stride, padding, dilation, ceil)}

    def call(z: Tensor):
        rest = {k: v for k, v in kwargs.items() if k != "input"}
        return func(z, *args[1:], **rest)

    return Activation("max_pool", (), (), call, pool), (x,)


def _pointwise(kind: str, breakpoints, slopes, call) -> Activation:
    return Activation(kind, tuple(breakpoints), tuple(slopes), call)


def parse(func: Callable, args: tuple, kwargs: dict) -> tuple[Activation, tuple] | None:
    """Read a call as an activation: (what it does, its tensor inputs), or None."""
    name = canonical(func)
    if name not in ACTIVATIONS:
        return None
    if "max_pool" in name:
        return _max_pool(name, func, args, kwargs)
    x = argument(args, kwargs, 0, "input")
    if name in {"maximum", "minimum", "max", "min", "fmax", "fmin"}:
        other = argument(args, kwargs, 1, "other")
        if not isinstance(other, Tensor):
            return None  # a maximum over a dimension: reported as not understood
        larger = name in {"maximum", "max", "fmax"}
        call = torch.maximum if larger else torch.minimum
        slopes = (0.0, 1.0) if larger else (1.0, 0.0)
        return _pointwise("maximum" if larger else "minimum", (0.0,), slopes, call), (x, other)
    if name in {"relu"}:
        return _pointwise("relu", (0.0,), (0.0, 1.0), F.relu), (x,)
    if name in {"abs", "absolute"}:
        return _pointwise("abs", (0.0,), (-1.0, 1.0), torch.abs), (x,)
    if name in {"leaky_relu", "rrelu"}:
        if name == "leaky_relu":
            a = argument(args, kwargs, 1, "negative_slope", 0.01)
        else:  # in evaluation the slope is the mean of the range it is drawn from
            low = argument(args, kwargs, 1, "lower", 1 / 8)
            a = (low + argument(args, kwargs, 2, "upper", 1 / 3)) / 2
        return _pointwise("leaky_relu", (0.0,), (a, 1.0), lambda z: F.leaky_relu(z, a)), (x,)
    if name == "prelu":
        weight = argument(args, kwargs, 1, "weight")
        shape = [1, -1] + [1] * (x.dim() - 2) if weight.numel() > 1 else [1] * x.dim()
        slope = weight.detach().reshape(shape)
        return _pointwise("prelu", (0.0,), (slope, 1.0), lambda z: F.prelu(z, weight)), (x,)
    if name == "hardsigmoid":
        return _pointwise("hardsigmoid", (-3.0, 3.0), (0.0, 1 / 6, 0.0), F.hardsigmoid), (x,)
    if name == "threshold":
        at, value = (argument(args, kwargs, i, n) for i, n in ((1, "threshold"), (2, "value")))
        if at != value:
            return None  # it jumps: not a continuous spline
        return _pointwise("relu", (float(at),), (0.0, 1.0), lambda z: z.clamp(min=at)), (x,)
    if name == "relu6":
        low, high = 0.0, 6.0
    elif name == "hardtanh":
        low = argument(args, kwargs, 1, "min_val", -1.0)
        high = argument(args, kwargs, 2, "max_val", 1.0)
    elif name in {"clamp", "clip"}:
        low, high = (argument(args, kwargs, i, n) for i, n in ((1, "min"), (2, "max")))
    else:
        low = argument(args, kwargs, 1, "min") if name == "clamp_min" else None
        high = argument(args, kwargs, 1, "max") if name == "clamp_max" else None
    if isinstance(low, Tensor) or isinstance(high, Tensor) or (low is None and high is None):
        return None
    if low is not None and high is not None and low >= high:
        return None
    breakpoints, slopes = [], [1.0]
    if low is not None:
        breakpoints, slopes = [float(low)], [0.0, 1.0]
    if high is not None:
        breakpoints, slopes = [*breakpoints, float(high)], [*slopes, 0.0]
    kind = {(True, False): "relu", (False, True): "clamp_max"}.get(
        (low is not None, high is not None), "hardtanh"
    )
    return _pointwise(kind, breakpoints, slopes, lambda z: z.clamp(low, high)), (x,)


ACTIVATIONS = {
    *("relu", "leaky_relu", "rrelu", "prelu", "relu6", "hardtanh", "hardsigmoid", "threshold"),
    *("clamp", "clip", "clamp_min", "clamp_max", "abs", "absolute"),
    *("maximum", "minimum", "max", "min", "fmax", "fmin"),
    *("max_pool1d", "max_pool2d", "max_pool3d"),
    *("max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices"),
    *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
    *("adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices"),
    "adaptive_max_pool3d_with_indices",
}
# Smooth activations that a caller may ask to be read as a cut where they change sign.
SMOOTH = {
    *("gelu", "silu", "elu", "selu", "celu", "softplus", "mish", "hardswish"),
    *("tanh", "sigmoid", "logsigmoid", "softsign", "tanhshrink"),
}


def parse_any(func: Callable, args: tuple, kwargs: dict) -> tuple[Activation, tuple] | None:
    """`parse`, and smooth activations as a cut at zero."""
    name = canonical(func)
    if name not in SMOOTH:
        return parse(func, args, kwargs)
    rest = {k: v for k, v in kwargs.items() if k not in {"input", "inplace"}}

    def call(z: Tensor) -> Tensor:
        return func(z, *args[1:], **rest)

    x = argument(args, kwargs, 0, "input")
    return Activation(name, (0.0,), (), call, smooth=True), (x,)
