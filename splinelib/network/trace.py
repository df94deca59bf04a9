"""Watch a model run: every function that shapes its partition, in order.

A ``TorchFunctionMode`` sees each torch function that a model calls, whether it
comes from a module, from ``torch.nn.functional`` or from a tensor method. So a
model is taken as it is: no base class, no symbolic tracing, no rewriting.

Two views are built on it. `record` runs a few rows once and keeps the graph of
what was called, for hyperplanes and exact partitions. `Interceptor` lets a
caller replace or observe the activations of any later run, at next to no cost.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from ..errors import NotPiecewiseAffine
from .activations import ACTIVATIONS, SMOOTH, Activation, argument, canonical, parse_any
from .modes import evaluating

# Rows of the recorded run. More than one, so that a leading size that a model
# read from its input (``x.view(x.size(0), -1)``) can be told from a constant.
_ROWS = 3

_AFFINE = {
    *("conv1d", "conv2d", "conv3d", "linear", "batch_norm"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("add", "radd", "sub", "rsub", "subtract", "neg", "sum", "mean", "cumsum"),
    *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "chunk", "split", "unbind"),
    *("avg_pool1d", "avg_pool2d", "avg_pool3d", "tensor_split", "narrow", "select"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("flatten", "view", "reshape", "permute", "transpose", "swapaxes", "movedim", "unflatten"),
    *("squeeze", "unsqueeze", "contiguous", "clone", "expand", "expand_as", "view_as", "flip"),
    *("repeat", "roll", "pad", "pixel_shuffle", "pixel_unshuffle", "unfold", "t"),
    *("channel_shuffle", "getitem", "get", "to", "float", "double", "type_as", "detach"),
    *("requires_grad", "index_select", "upsample", "interpolate", "type", "cpu", "cuda"),
}
# Affine as long as only one operand depends on the input.
_PRODUCTS = {"mul", "rmul", "multiply", "matmul", "rmatmul", "mm", "bmm", "addmm", "einsum", "dot"}
_QUOTIENTS = {"div", "truediv", "divide", "true_divide"}
_DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"}
# Properties and queries that return no new value of the network.
_QUERIES = {"size", "dim", "numel", "is_floating_point", "stride", "is_contiguous", "ndimension"}


def _cutting(smooth: str) -> set[str]:
    """Names of the functions that count as activations."""
    return set(ACTIVATIONS) | (SMOOTH if smooth == "sign" else set())


class Interceptor(TorchFunctionMode):
    """Hand every activation call of what runs inside to a function.

    Parameters
    ----------
    handle : callable
        ``handle(activation, inputs)``. Unless it returns None, its result takes the place of the
        call's own.
    smooth : {"raise", "sign", "ignore"}
        ``"sign"``: smooth activations are handed on too, as a cut at zero.
    """

    def __init__(self, handle: Callable, smooth: str = "raise"):
        super().__init__()
        self._handle, self._names = handle, _cutting(smooth)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if canonical(func) in self._names:
            reading = parse_any(func, args, kwargs)
            if reading is not None:
                result = self._handle(*reading)
                if result is not None:
                    return result
        return func(*args, **kwargs)


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
        self.graph, self.stack, self.cutting = Graph(), [], _cutting(smooth)
        self.values: dict[int, int] = {}  # id(tensor) -> value
        self.alive: list[Tensor] = []  # so that no id is used twice

    def value(self, tensor: Tensor) -> int:
        index = len(self.alive)
        self.alive.append(tensor)
        self.values[id(tensor)] = index
        self.graph.shapes[index] = tuple(tensor.shape)
        return index

    def known(self, item) -> bool:
        """Whether this is a tensor that depends on the input."""
        return isinstance(item, Tensor) and id(item) in self.values

    def numbered(self, items):
        """The same, with the number of each tensor that depends on the input in its place."""
        return tree_map(lambda t: Value(self.values[id(t)]) if self.known(t) else t, items)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = canonical(func)
        inputs = tuple(self.values[id(t)] for t in tree_flatten((args, kwargs))[0] if self.known(t))
        kept_args, kept_kwargs = self.numbered((args, kwargs))
        reading = parse_any(func, args, kwargs) if name in self.cutting else None
        activation, operands = reading or (None, ())
        operands = self.numbered(operands)
        if activation is not None:
            self.graph.calls.append(len(self.graph.nodes) if inputs else None)
        result = func(*args, **kwargs)
        tensors = self.outputs(name, result) if inputs else None
        if tensors is None:
            return result
        module = self.stack[-1] if self.stack else ""
        node = Node(
            func=func,
            args=kept_args,
            kwargs=kept_kwargs,
            name=name,
            module=module,
            inputs=inputs,
            outputs=tuple(self.value(t) for t in tensors),
            activation=activation,
            activation_inputs=operands,
            problem="" if activation else self.problem(name, module, args, kwargs, inputs),
            several=isinstance(result, tuple | list),
        )
        self.graph.nodes.append(node)
        for index in node.outputs:
            self.graph.maker[index] = node
        return result

    @staticmethod
    def outputs(name: str, result) -> Sequence[Tensor] | None:
        """The tensors that a call made, or None for one that made no value of the network."""
        if name in _QUERIES:
            return None
        if name in {"setitem", "set"}:
            return ()
        tensors = result if isinstance(result, tuple | list) else (result,)
        if not all(isinstance(t, Tensor) for t in tensors):
            return None
        # A shape, an index, a mask: caught where it is used.
        return tensors if any(t.is_floating_point() for t in tensors) else None

    def problem(self, name: str, module: str, args, kwargs, inputs) -> str:
        where = f"module {module!r}" if module else "the model's own forward"
        if name == "batch_norm" and argument(args, kwargs, 1, "running_mean") is None:
            return f"{where}: batch norm without running statistics is not piecewise affine"
        if name in _AFFINE or name in _DROPOUTS:
            return ""
        if name in _PRODUCTS and len(inputs) == 1:
            return ""
        if name in _QUOTIENTS and len(inputs) == 1:
            divisor = argument(args, kwargs, 1, "other")
            if not (isinstance(divisor, Tensor) and id(divisor) in self.values):
                return ""
        why = "a product of two values of the network" if name in _PRODUCTS else f"{name!r}"
        sign = (
            "Pass smooth='sign' to read smooth activations as a cut where their input changes "
            "sign, or smooth='ignore' to leave such operations out of the code."
        )
        ignore = "Pass smooth='ignore' to leave such operations out of the code."
        return f"{where}: {why} is not a piecewise affine operation. " + (
            sign if name in SMOOTH else ignore
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
