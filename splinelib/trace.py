"""Watch a model run: every function that shapes its partition, in order.

A ``TorchFunctionMode`` sees each torch function that a model calls, whether it
comes from a module, from ``torch.nn.functional`` or from a tensor method. So a
model is taken as it is: no base class, no symbolic tracing, no rewriting.

Two views are built on it. `record` runs a few rows once and keeps the graph of
what was called, for hyperplanes and exact partitions. `Interceptor` lets a
caller replace or observe the activations of any later run, at next to no cost.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from .errors import NotPiecewiseAffine

# Rows of the recorded run. More than one, so that a leading size that a model
# read from its input (``x.view(x.size(0), -1)``) can be told from a constant.
_ROWS = 3

_AFFINE = {
    *("conv1d", "conv2d", "conv3d", "linear", "bilinear_affine", "batch_norm"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("add", "radd", "sub", "rsub", "subtract", "neg", "sum", "mean", "cumsum"),
    *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "chunk", "split", "unbind"),
    *("avg_pool1d", "avg_pool2d", "avg_pool3d", "tensor_split", "narrow", "select"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("flatten", "view", "reshape", "permute", "transpose", "swapaxes", "movedim", "unflatten"),
    *("squeeze", "unsqueeze", "contiguous", "clone", "expand", "expand_as", "view_as", "flip"),
    *(
        "repeat",
        "roll",
        "pad",
        "pixel_shuffle",
        "pixel_unshuffle",
        "unfold",
        "t",
        "channel_shuffle",
    ),
    *(
        "getitem",
        "get",
        "to",
        "float",
        "double",
        "type_as",
        "detach",
        "requires_grad",
        "index_select",
    ),
    *("upsample", "interpolate", "identity", "alias", "type", "cpu", "cuda", "contiguous_format"),
}
# Affine as long as only one operand depends on the input.
_PRODUCTS = {"mul", "rmul", "multiply", "matmul", "rmatmul", "mm", "bmm", "addmm", "einsum", "dot"}
_QUOTIENTS = {"div", "truediv", "divide", "true_divide"}
_DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"}
# Properties and queries that return no new value of the network.
_QUERIES = {"size", "dim", "numel", "is_floating_point", "stride", "is_contiguous", "ndimension"}


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


def _argument(args: tuple, kwargs: dict, position: int, name: str, default=None):
    if len(args) > position:
        return args[position]
    return kwargs.get(name, default)


def _tuple(value, dims: int) -> tuple[int, ...]:
    value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return value * dims if len(value) == 1 else value


def _max_pool(name: str, func: Callable, args: tuple, kwargs: dict) -> tuple[Activation, tuple]:
    dims, adaptive = int(name[name.index("pool") + 4]), name.startswith("adaptive")
    x = _argument(args, kwargs, 0, "input")
    if adaptive:
        size = _tuple(_argument(args, kwargs, 1, "output_size"), dims)
        spatial = x.shape[-dims:]
        size = tuple(o or s for o, s in zip(size, spatial, strict=True))
        window = tuple(
            max((i + 1) * s // o + ((i + 1) * s % o > 0) - i * s // o for i in range(o))
            for o, s in zip(size, spatial, strict=True)
        )
        pool = {"dims": dims, "adaptive": True, "window": window, "args": (size,)}
    else:
        window = _tuple(_argument(args, kwargs, 1, "kernel_size"), dims)
        stride = _argument(args, kwargs, 2, "stride")
        stride = window if stride is None or stride == [] else _tuple(stride, dims)
        padding = _tuple(_argument(args, kwargs, 3, "padding", 0), dims)
        dilation = _tuple(_argument(args, kwargs, 4, "dilation", 1), dims)
        ceil = _argument(args, kwargs, 5, "ceil_mode", False)
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
    if name not in _ACTIVATIONS:
        return None
    if "max_pool" in name:
        return _max_pool(name, func, args, kwargs)
    x = _argument(args, kwargs, 0, "input")
    if name in {"maximum", "minimum", "max", "min", "fmax", "fmin"}:
        other = _argument(args, kwargs, 1, "other")
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
            a = _argument(args, kwargs, 1, "negative_slope", 0.01)
        else:  # in evaluation the slope is the mean of the range it is drawn from
            low = _argument(args, kwargs, 1, "lower", 1 / 8)
            a = (low + _argument(args, kwargs, 2, "upper", 1 / 3)) / 2
        return _pointwise("leaky_relu", (0.0,), (a, 1.0), lambda z: F.leaky_relu(z, a)), (x,)
    if name == "prelu":
        weight = _argument(args, kwargs, 1, "weight")
        shape = [1, -1] + [1] * (x.dim() - 2) if weight.numel() > 1 else [1] * x.dim()
        slope = weight.detach().reshape(shape)
        return _pointwise("prelu", (0.0,), (slope, 1.0), lambda z: F.prelu(z, weight)), (x,)
    if name == "hardsigmoid":
        return _pointwise("hardsigmoid", (-3.0, 3.0), (0.0, 1 / 6, 0.0), F.hardsigmoid), (x,)
    if name == "threshold":
        at, value = (_argument(args, kwargs, i, n) for i, n in ((1, "threshold"), (2, "value")))
        if at != value:
            return None  # it jumps: not a continuous spline
        return _pointwise("relu", (float(at),), (0.0, 1.0), lambda z: z.clamp(min=at)), (x,)
    if name == "relu6":
        low, high = 0.0, 6.0
    elif name == "hardtanh":
        low = _argument(args, kwargs, 1, "min_val", -1.0)
        high = _argument(args, kwargs, 2, "max_val", 1.0)
    elif name in {"clamp", "clip"}:
        low, high = (_argument(args, kwargs, i, n) for i, n in ((1, "min"), (2, "max")))
    else:
        low = _argument(args, kwargs, 1, "min") if name == "clamp_min" else None
        high = _argument(args, kwargs, 1, "max") if name == "clamp_max" else None
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


_ACTIVATIONS = {
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
_SMOOTH = {
    *("gelu", "silu", "elu", "selu", "celu", "softplus", "mish", "hardswish"),
    *("tanh", "sigmoid", "logsigmoid", "softsign", "tanhshrink"),
}


class Interceptor(TorchFunctionMode):
    """Hand every activation call to ``handle(activation, inputs)``; its result, unless None,
    takes the place of the call's own."""

    def __init__(self, handle: Callable, smooth: str = "raise"):
        super().__init__()
        self._handle, self._names = handle, _ACTIVATIONS | (_SMOOTH if smooth == "sign" else set())

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if canonical(func) in self._names:
            found = parse_any(func, args, kwargs)
            if found is not None:
                result = self._handle(*found)
                if result is not None:
                    return result
        return func(*args, **kwargs)


def parse_any(func: Callable, args: tuple, kwargs: dict) -> tuple[Activation, tuple] | None:
    """`parse`, and smooth activations as a cut at zero."""
    name = canonical(func)
    if name not in _SMOOTH:
        return parse(func, args, kwargs)
    rest = {k: v for k, v in kwargs.items() if k not in {"input", "inplace"}}

    def call(z: Tensor) -> Tensor:
        return func(z, *args[1:], **rest)

    x = _argument(args, kwargs, 0, "input")
    return Activation(name, (0.0,), (), call, smooth=True), (x,)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode; every submodule gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield model
    finally:
        for module, mode in modes:
            module.training = mode


@dataclass(frozen=True)
class Value:
    """A tensor of the recorded run that depends on the input, by its number."""

    index: int


@dataclass(frozen=True)
class Node:
    """One recorded call.

    Attributes
    ----------
    name : str
        Canonical name of the function, ``"conv2d"``, ``"batch_norm"``, ...
    module : str
        Qualified name of the innermost module that made the call, ``""`` at the top.
    inputs : tuple of int
        Values read.
    outputs : tuple of int
        Values made.
    activation : Activation or None
        Set where the call cuts the space.
    problem : str
        Why the call is not affine; empty where it is affine or an activation.
    """

    func: Callable
    args: tuple
    kwargs: dict
    name: str
    module: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: Activation | None = None
    activation_inputs: tuple = ()
    problem: str = ""
    several: bool = False

    def run(self, env: dict[int, Tensor], rows: int) -> None:
        """Compute the outputs from ``env`` and put them there, never in place."""

        def fill(item):
            return env[item.index] if isinstance(item, Value) else item

        if self.activation is not None:
            result = self.activation.call(*tree_map(fill, self.activation_inputs))
        else:
            args = tree_map(fill, self.args)
            if self.name in {"view", "reshape", "expand", "unflatten"}:
                args = _with_rows(args, rows)
            result = _functional(self.func)(*args, **tree_map(fill, self.kwargs))
        results = result if self.several else (result,)
        for index, value in zip(self.outputs, results, strict=True):
            env[index] = value


def _functional(func: Callable) -> Callable:
    name = getattr(func, "__name__", "")
    if name.endswith("_") and not name.startswith("__"):
        return getattr(torch.Tensor, name[:-1], func)
    return {"__iadd__": torch.add, "__isub__": torch.sub, "__imul__": torch.mul}.get(name, func)


def _with_rows(args: tuple, rows: int) -> tuple:
    x, *sizes = args
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        return (x, (rows, *sizes[0][1:])) if sizes[0][:1] == type(sizes[0])([_ROWS]) else args
    return (x, rows, *sizes[1:]) if sizes and sizes[0] == _ROWS else args


@dataclass
class Graph:
    """A recorded run: nodes in order of execution."""

    nodes: list[Node] = field(default_factory=list)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    output: int = -1
    calls: list[int | None] = field(default_factory=list)  # node of each activation call
    maker: dict[int, Node] = field(default_factory=dict)

    def activations(self) -> list[Node]:
        """The nodes that cut the space."""
        return [node for node in self.nodes if node.activation is not None]

    def last_use(self) -> dict[int, int]:
        """For each value, the position of the last node that reads it."""
        last = {i: at for at, node in enumerate(self.nodes) for i in node.inputs}
        return last | {self.output: len(self.nodes)}

    def check_piecewise_affine(self) -> None:
        """Raise `NotPiecewiseAffine`, naming the module, if an operation is not affine."""
        for node in self.nodes:
            if node.problem:
                raise NotPiecewiseAffine(node.problem)


class _Recorder(TorchFunctionMode):
    def __init__(self, smooth: str):
        super().__init__()
        self.graph, self.stack, self.smooth = Graph(), [], smooth
        self.values: dict[int, int] = {}  # id(tensor) -> value
        self.alive: list[Tensor] = []  # so that no id is used twice

    def value(self, tensor: Tensor) -> int:
        index = len(self.alive)
        self.alive.append(tensor)
        self.values[id(tensor)] = index
        self.graph.shapes[index] = tuple(tensor.shape)
        return index

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = canonical(func)
        leaves = tree_flatten((args, kwargs))[0]
        inputs = tuple(
            self.values[id(t)] for t in leaves if isinstance(t, Tensor) and id(t) in self.values
        )
        kept = tree_map(
            lambda t: (
                Value(self.values[id(t)]) if isinstance(t, Tensor) and id(t) in self.values else t
            ),
            (args, kwargs),
        )
        found = None
        if name in _ACTIVATIONS or (self.smooth == "sign" and name in _SMOOTH):
            found = parse_any(func, args, kwargs)
        if found is not None:
            found = (
                found[0],
                tree_map(
                    lambda t: (
                        Value(self.values[id(t)])
                        if isinstance(t, Tensor) and id(t) in self.values
                        else t
                    ),
                    found[1],
                ),
            )
            self.graph.calls.append(len(self.graph.nodes) if inputs else None)
        result = func(*args, **kwargs)
        if not inputs or name in _QUERIES:
            return result
        several = isinstance(result, (tuple, list))
        tensors = result if several else (result,)
        if name in {"setitem", "set"}:
            tensors = ()
        elif not all(isinstance(t, Tensor) for t in tensors):
            return result
        elif not any(t.is_floating_point() for t in tensors):
            return result  # a shape, an index, a mask: caught where it is used
        module = self.stack[-1] if self.stack else ""
        node = Node(
            func=func,
            args=kept[0],
            kwargs=kept[1],
            name=name,
            module=module,
            inputs=inputs,
            outputs=tuple(self.value(t) for t in tensors),
            activation=found[0] if found else None,
            activation_inputs=found[1] if found else (),
            problem="" if found else self.problem(name, module, args, kwargs, inputs),
            several=several,
        )
        self.graph.nodes.append(node)
        for index in node.outputs:
            self.graph.maker[index] = node
        return result

    def problem(self, name: str, module: str, args, kwargs, inputs) -> str:
        where = f"module {module!r}" if module else "the model's own forward"
        if name == "batch_norm" and _argument(args, kwargs, 1, "running_mean") is None:
            return f"{where}: batch norm without running statistics is not piecewise affine"
        if name in _AFFINE or name in _DROPOUTS:
            return ""
        if name in _PRODUCTS and len(inputs) == 1:
            return ""
        if name in _QUOTIENTS and len(inputs) == 1:
            divisor = _argument(args, kwargs, 1, "other")
            if not (isinstance(divisor, Tensor) and id(divisor) in self.values):
                return ""
        why = "a product of two values of the network" if name in _PRODUCTS else f"{name!r}"
        return (
            f"{where}: {why} is not a piecewise affine operation. "
            "Pass smooth='sign' to read smooth activations as a cut where their input changes "
            "sign, or smooth='ignore' to leave such operations out of the code."
        )


@contextlib.contextmanager
def _module_names(model: nn.Module, stack: list[str]) -> Iterator[None]:
    def leave(module, args, output):
        stack.pop()  # and return nothing: what a hook returns replaces the output

    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda m, a, n=name: stack.append(n)))
        handles.append(module.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_weights(model: nn.Module) -> None:
    """Raise `ValueError` naming the first parameter or buffer with NaN or infinity."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {type(model).__name__}")
    everything = [*model.named_parameters(), *model.named_buffers()]
    floating = [(name, tensor) for name, tensor in everything if tensor.is_floating_point()]
    if not floating:
        return
    # NaN and infinity survive sums, which are many times as fast; a sum that overflows asks twice.
    device = floating[0][1].device
    sums = torch.stack([tensor.detach().sum().to(device, torch.float32) for _, tensor in floating])
    if torch.isfinite(sums.sum()):
        return
    for name, tensor in floating:
        if not torch.isfinite(tensor).all():
            raise ValueError(
                f"{name!r} holds NaN or infinite values: the model has diverged or was damaged; "
                "load a sound checkpoint"
            )


def record(model: nn.Module, example: Tensor, smooth: str = "raise") -> Graph:
    """Run the model once, in evaluation mode, and keep the graph of what it called.

    Parameters
    ----------
    model : torch.nn.Module
        Taken as it is; it comes back in the mode it was in.
    example : Tensor, shape (N, ...)
        One input or more; only the first is used.
    smooth : {"raise", "sign", "ignore"}
        What to do with operations that are not piecewise affine: refuse (when a caller
        checks), read smooth activations as a cut at zero, or leave them out.

    Returns
    -------
    Graph

    Raises
    ------
    ValueError
        For an empty example or an unknown ``smooth``.
    """
    if smooth not in {"raise", "sign", "ignore"}:
        raise ValueError(f"smooth must be 'raise', 'sign' or 'ignore', not {smooth!r}")
    if not isinstance(example, Tensor) or example.dim() == 0 or example.shape[0] == 0:
        raise ValueError("example must be a tensor of at least one input, shape (N, ...)")
    recorder = _Recorder(smooth)
    rows = example[:1].detach().expand(_ROWS, *example.shape[1:]).clone()
    with torch.no_grad(), evaluating(model), _module_names(model, recorder.stack):
        recorder.value(rows)
        with recorder:
            out = model(rows)
    if not isinstance(out, Tensor) or id(out) not in recorder.values:
        raise TypeError(
            f"the model returned {type(out).__name__}: expected one tensor computed from the input"
        )
    recorder.graph.output = recorder.values[id(out)]
    return recorder.graph
