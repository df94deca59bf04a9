"""Functions that cut the space: where they bend, and their slope on each piece.

`parse` reads a call of a torch function as an `Activation`. Smooth functions, which do not cut, are
listed beside them for callers who want them read as a cut where their input changes sign.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor


def canonical(func: Callable) -> str:
    """The name of a torch function without the marks of operators and in-place variants."""
    name = getattr(func, "__name__", str(func)).strip("_")
    return name[1:] if name in {"iadd", "isub", "imul", "idiv", "itruediv"} else name


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
        Window geometry of a max-pooling; ``shared`` if equal values share its gradient.
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
        if self.pool is not None:  # autograd follows the winner's index already, but for amax
            return self._of_winner(value, *inputs) if self.pool.get("shared") else value
        z = self.pre_activation(*inputs)
        slope = torch.as_tensor(self.slopes[0], dtype=z.dtype, device=z.device)
        for breakpoint_, after in zip(self.breakpoints, self.slopes[1:], strict=True):
            slope = torch.where(z > breakpoint_, after, slope)
        base = inputs[1] if len(inputs) == 2 else 0
        through = slope.detach() * z + base
        return value.detach() + (through - through.detach())

    def _of_winner(self, value: Tensor, x: Tensor) -> Tensor:
        """A largest value, with the gradient of the winner alone where several share it."""
        windows = x.flatten(x.dim() - self.pool["dims"])
        place = self.winner(x).reshape(*windows.shape[:-1], 1)
        through = windows.gather(-1, place).reshape(value.shape)
        return value.detach() + (through - through.detach())

    def winner(self, *inputs: Tensor) -> Tensor:
        """Position of the winner in each pooling window, int64, shape of the output."""
        x, p = inputs[0], self.pool
        dims = p["dims"]
        if x.dim() > dims + 2:  # a maximum over the last dimensions of many
            position = self.winner(x.flatten(1, x.dim() - dims - 1))
            return position.reshape(*x.shape[: x.dim() - dims], *position.shape[-dims:])
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
    """An argument of a call that may have come by position or by name."""
    if len(args) > position:
        return args[position]
    return kwargs.get(name, default)


def _tuple(value, dims: int) -> tuple[int, ...]:
    value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return value * dims if len(value) == 1 else value


Reading = tuple[Activation, tuple] | None  # what a call does, and its tensor inputs


@dataclass(frozen=True)
class Call:
    """A call of a torch function, whose arguments may have come by position or by name."""

    func: Callable
    args: tuple
    kwargs: dict

    def get(self, position: int, name: str, default=None):
        """One argument."""
        return argument(self.args, self.kwargs, position, name, default)

    @property
    def input(self) -> Tensor:
        return self.get(0, "input")


def _pointwise(call: Call, kind: str, breakpoints, slopes, function: Callable) -> Reading:
    return Activation(kind, tuple(breakpoints), tuple(slopes), function), (call.input,)


def _leaky_relu(call: Call, slope: float) -> Reading:
    return _pointwise(call, "leaky_relu", (0.0,), (slope, 1.0), lambda z: F.leaky_relu(z, slope))


def _rrelu(call: Call) -> Reading:
    """In evaluation the slope is the mean of the range that it is drawn from."""
    if call.get(3, "training", False):
        return None
    return _leaky_relu(call, (call.get(1, "lower", 1 / 8) + call.get(2, "upper", 1 / 3)) / 2)


def _prelu(call: Call) -> Reading:
    weight, dims = call.get(1, "weight"), call.input.dim()
    shape = [1, -1] + [1] * (dims - 2) if weight.numel() > 1 else [1] * dims
    slope = weight.detach().reshape(shape)
    return _pointwise(call, "prelu", (0.0,), (slope, 1.0), lambda z: F.prelu(z, weight))


def _threshold(call: Call) -> Reading:
    at = call.get(1, "threshold")
    if at != call.get(2, "value") or not math.isfinite(at):
        return None  # it jumps: not a continuous spline
    return _pointwise(call, "relu", (float(at),), (0.0, 1.0), lambda z: z.clamp(min=at))


def _clamp(call: Call, low, high) -> Reading:
    """A value held between two bounds, either of which may be None, or infinitely far."""
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return None
    low, high = None if low == -math.inf else low, None if high == math.inf else high
    bounds = [bound for bound in (low, high) if bound is not None]
    if not bounds or not all(map(math.isfinite, bounds)):
        return None
    if low is not None and high is not None and low >= high:
        return None
    kind = "relu" if high is None else "clamp_max" if low is None else "hardtanh"
    breakpoints = [float(bound) for bound in bounds]
    slopes = [*([] if low is None else [0.0]), 1.0, *([] if high is None else [0.0])]
    return _pointwise(call, kind, breakpoints, slopes, lambda z: z.clamp(low, high))


def _softshrink(call: Call) -> Reading:
    width = float(call.get(1, "lambd", 0.5))
    if not 0 < width < math.inf:
        return None
    return _pointwise(
        call, "softshrink", (-width, width), (1.0, 0.0, 1.0), lambda z: F.softshrink(z, width)
    )


def _amax(call: Call) -> Reading:
    """A maximum over the last dimensions is a max-pooling with one window."""
    x, over = call.input, call.get(1, "dim", ())
    over = sorted(d % x.dim() for d in (over if isinstance(over, tuple | list) else (over,)))
    dims = len(over)
    if over != list(range(x.dim() - dims, x.dim())) or not 0 < dims < min(4, x.dim()):
        return None
    window = tuple(x.shape[-dims:])
    pool = {"dims": dims, "adaptive": True, "window": window, "args": ((1,) * dims,)}
    # it divides its gradient between values that are equally large
    return _pooled(call, pool | {"shared": canonical(call.func) == "amax"})


def _extremum(call: Call, larger: bool) -> Reading:
    other = call.get(1, "other")
    if larger and (isinstance(other, int) or "dim" in call.kwargs):
        return _amax(call)
    if not isinstance(other, Tensor):
        return None  # a minimum over a dimension: reported as not understood
    kind, function = ("maximum", torch.maximum) if larger else ("minimum", torch.minimum)
    slopes = (0.0, 1.0) if larger else (1.0, 0.0)
    return Activation(kind, (0.0,), slopes, function), (call.input, other)


def _max_pool(call: Call, dims: int) -> Reading:
    window = _tuple(call.get(1, "kernel_size"), dims)
    stride = call.get(2, "stride")
    stride = window if stride is None or stride == [] else _tuple(stride, dims)
    padding = _tuple(call.get(3, "padding", 0), dims)
    dilation = _tuple(call.get(4, "dilation", 1), dims)
    pool = {
        "dims": dims,
        "adaptive": False,
        "window": window,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "args": (window, stride, padding, dilation, call.get(5, "ceil_mode", False)),
    }
    return _pooled(call, pool)


def _adaptive_max_pool(call: Call, dims: int) -> Reading:
    size = _tuple(call.get(1, "output_size"), dims)
    spatial = call.input.shape[-dims:]
    size = tuple(o or s for o, s in zip(size, spatial, strict=True))
    window = tuple(
        max((i + 1) * s // o + ((i + 1) * s % o > 0) - i * s // o for i in range(o))
        for o, s in zip(size, spatial, strict=True)
    )
    return _pooled(call, {"dims": dims, "adaptive": True, "window": window, "args": (size,)})


def _pooled(call: Call, pool: dict) -> Reading:
    rest = {key: value for key, value in call.kwargs.items() if key not in {"input", "out"}}

    def function(z: Tensor):
        return call.func(z, *call.args[1:], **rest)

    return Activation("max_pool", (), (), function, pool), (call.input,)


# Function, by its `canonical` name -> how its call is read: where it bends, and its slopes.
ACTIVATIONS: dict[str, Callable[[Call], Reading]] = {
    "relu": lambda call: _pointwise(call, "relu", (0.0,), (0.0, 1.0), F.relu),
    "abs": lambda call: _pointwise(call, "abs", (0.0,), (-1.0, 1.0), torch.abs),
    "absolute": lambda call: _pointwise(call, "abs", (0.0,), (-1.0, 1.0), torch.abs),
    "leaky_relu": lambda call: _leaky_relu(call, call.get(1, "negative_slope", 0.01)),
    "rrelu": _rrelu,
    "prelu": _prelu,
    "hardsigmoid": lambda call: _pointwise(
        call, "hardsigmoid", (-3.0, 3.0), (0.0, 1 / 6, 0.0), F.hardsigmoid
    ),
    "threshold": _threshold,
    "softshrink": _softshrink,
    "amax": _amax,
    "relu6": lambda call: _clamp(call, 0.0, 6.0),
    "hardtanh": lambda call: _clamp(
        call, call.get(1, "min_val", -1.0), call.get(2, "max_val", 1.0)
    ),
    "clamp": lambda call: _clamp(call, call.get(1, "min"), call.get(2, "max")),
    "clip": lambda call: _clamp(call, call.get(1, "min"), call.get(2, "max")),
    "clamp_min": lambda call: _clamp(call, call.get(1, "min"), None),
    "clamp_max": lambda call: _clamp(call, None, call.get(1, "max")),
    **dict.fromkeys(("maximum", "max", "fmax"), partial(_extremum, larger=True)),
    **dict.fromkeys(("minimum", "min", "fmin"), partial(_extremum, larger=False)),
    **{
        f"{kind}max_pool{dims}d{suffix}": partial(read, dims=dims)
        for kind, read in (("", _max_pool), ("adaptive_", _adaptive_max_pool))
        for dims in (1, 2, 3)
        for suffix in ("", "_with_indices")
    },
}


def parse(func: Callable, args: tuple, kwargs: dict) -> Reading:
    """Read a call as an activation: (what it does, its tensor inputs), or None."""
    read = ACTIVATIONS.get(canonical(func))
    return None if read is None else read(Call(func, args, kwargs))


# Smooth activations that a caller may ask to be read as a cut where they change sign.
SMOOTH = {
    *("gelu", "silu", "elu", "selu", "celu", "softplus", "mish", "hardswish"),
    *("tanh", "sigmoid", "logsigmoid", "softsign", "tanhshrink"),
}


def parse_any(func: Callable, args: tuple, kwargs: dict) -> Reading:
    """`parse`, and smooth activations as a cut at zero."""
    name = canonical(func)
    if name not in SMOOTH:
        return parse(func, args, kwargs)
    rest = {key: value for key, value in kwargs.items() if key not in {"input", "inplace", "out"}}

    def function(z: Tensor) -> Tensor:
        return func(z, *args[1:], **rest)

    return Activation(name, (0.0,), (), function, smooth=True), (
        argument(args, kwargs, 0, "input"),
    )
