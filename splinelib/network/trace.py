"""Watch a model run: every function that shapes its partition, in order.

A ``TorchFunctionMode`` sees each torch function that a model calls, whether it
comes from a module, from ``torch.nn.functional`` or from a tensor method. So a
model is taken as it is: no base class, no symbolic tracing, no rewriting.

Two views are built on it. `record` runs a few rows once and keeps the graph of
what was called (`recording`), for hyperplanes and exact partitions. `Interceptor` lets a
caller replace or observe the activations of any later run, at next to no cost.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .activations import canonical, parse_any
from .graph import ROWS, Graph, Node, Value
from .hooks import hooked
from .memory import version_of
from .modes import evaluating
from .outputs import tensors_of
from .recording import Recorder, cutting

# What a caller can say of operations that are not piecewise affine.
SMOOTHS = ("raise", "freeze", "sign", "ignore")

__all__ = ["Graph", "Interceptor", "Node", "Value", "record"]


class Interceptor(TorchFunctionMode):
    """Hand every activation call of what runs inside to a function.

    Parameters
    ----------
    handle : callable
        ``handle(activation, inputs)``. Unless it returns None, its result takes the place of the
        call's own.
    smooth : {"raise", "freeze", "sign", "ignore"}
        ``"sign"``: smooth activations are handed on too, as a cut at zero.
    """

    watches_a_model = True

    def __init__(self, handle: Callable, smooth: str = "raise"):
        super().__init__()
        self._handle, self._names = handle, cutting(smooth)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if canonical(func) in self._names:
            reading = parse_any(func, args, kwargs)
            if reading is not None:
                result = self._handle(*reading)
                if result is not None:
                    return result
        return func(*args, **kwargs)


@contextlib.contextmanager
def _module_names(model: nn.Module, stack: list[str]) -> Iterator[None]:
    def enter(name: str) -> Callable:
        return lambda *_: stack.append(name)

    def leave(module, args, output):
        stack.pop()  # and return nothing: what a hook returns replaces the output

    modules = {module: name for name, module in model.named_modules()}
    before = {module: enter(name) for module, name in modules.items()}
    with hooked(before, dict.fromkeys(modules, leave), always=True):
        yield


def record(model: nn.Module, example: Tensor, smooth: str = "raise", rows: int = ROWS) -> Graph:
    """Run the model once, in evaluation mode, and keep the graph of what it called.

    Parameters
    ----------
    model : torch.nn.Module
        Taken as it is; it comes back in the mode it was in.
    example : Tensor, shape (N, ...)
        One input or more; only the first is used.
    smooth : {"raise", "freeze", "sign", "ignore"}
        What to do with operations that are not piecewise affine: ``"sign"`` reads smooth
        activations as a cut at zero; all others are said to be a problem, for a caller to check.
    rows : int
        How many copies of the input are run. More than one, unless the graph will be run again
        on as many only.

    Returns
    -------
    Graph

    Raises
    ------
    ValueError
        For an empty example, an unknown ``smooth``, or a model that does not take such inputs.
    TypeError
        If the model is a script or takes something else than one tensor, or if no tensor that
        it returns was computed from the input.
    """
    if smooth not in SMOOTHS:
        raise ValueError(f"smooth must be one of {', '.join(map(repr, SMOOTHS))}, not {smooth!r}")
    if not isinstance(example, Tensor) or example.dim() == 0 or example.shape[0] == 0:
        raise ValueError(
            "example must be a tensor of at least one input, shape (N, ...). For a model that "
            "takes a dict or several tensors, wrap it in a module that makes them of one tensor"
        )
    _check_visible(model)
    batch = example[:1].detach().expand(rows, *example.shape[1:]).clone()
    recorder, before = Recorder(smooth, rows), version_of(batch)
    with torch.no_grad(), evaluating(model):
        recorder.follow(batch)
        try:
            with _module_names(model, recorder.stack), recorder.marks, recorder:
                out = model(batch)
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise _explained(error, model, example) from error
    tensors = tensors_of(out)
    values = [recorder.number(t) for t in tensors if recorder.depends_on_input(t)]
    graph = recorder.finish(smooth)
    graph.changes_input = version_of(batch) != before
    graph.returned = type(out).__name__
    if not values and not any(node.problem for node in graph.nodes):
        graph.check_output()
    if isinstance(out, Tensor) and values:
        graph.output = values[0]
    return graph


def _check_visible(model: nn.Module) -> None:
    """Refuse what torch runs where no function mode sees it."""
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            what = f"module {name!r}" if name else "the model"
            raise TypeError(
                f"{what} is TorchScript, whose operations cannot be seen: give the torch.nn.Module "
                "that it was scripted or traced from"
            )


def _explained(error: Exception, model: nn.Module, example: Tensor) -> Exception:
    """The error of a model that does not take an input, with what can be done about it."""
    shape, dtype = tuple(example.shape[1:]), example.dtype
    floating = next((p for p in model.parameters() if p.is_floating_point()), None)
    if isinstance(error, TypeError) and "forward()" in str(error):
        return TypeError(
            f"the model cannot be called with one tensor: {error}. Wrap it in a module whose "
            "forward takes one tensor and makes the other arguments, or a dict, of it"
        )
    if floating is not None and example.is_floating_point() and dtype != floating.dtype:
        hint = (
            f". The inputs are {dtype} and the model is {floating.dtype}: convert the inputs with "
            f"inputs.to({floating.dtype})"
        )
    elif _takes_one(model, example):
        hint = (
            ". It takes one input alone but not several: its forward does not keep the rows of a "
            "batch apart (torch.flatten(x) for torch.flatten(x, 1), a view of a fixed batch size)"
        )
    elif isinstance(error, LookupError | TypeError | AttributeError):
        hint = (
            ". If it takes a dict or several tensors, wrap it in a module whose forward takes one "
            "tensor and makes them of it"
        )
    else:
        hint = ""
    return (TypeError if isinstance(error, TypeError) else ValueError)(
        f"the model does not take inputs of shape {shape}: {error}{hint}"
    )


def _takes_one(model: nn.Module, example: Tensor) -> bool:
    """Whether a model that fails on a batch runs on one input."""
    try:
        model(example[:1].clone())
    except Exception:  # whatever it is, it is not the batch
        return False
    return True
