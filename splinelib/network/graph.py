"""The graph of a recorded run: which functions a model called, on what, in order.

A node can be run again on other rows, one after another, and never in place: so a recorded run is
the network as a list of functions, whatever the model did to the memory of its tensors.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from ..errors import NotPiecewiseAffine
from .activations import Activation
from .operations import advice_for, property_of

# Rows of the recorded run. More than one, so that a leading size that a model
# read from its input (``x.view(x.size(0), -1)``) can be told from a constant.
ROWS = 3

_SIZED = {"view", "reshape", "expand", "broadcast_to"}
# Functions that do not broadcast: a constant that has a row per input needs as many.
_ROW_FOR_ROW = {
    *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "bmm", "baddbmm"),
    *("gather", "take_along_dim"),
}


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
    composed : bool
        Whether the activation was written by hand, of several calls (``h * (h > 0)``), of which
        this is the last one.
    rows : int
        Of the recorded run.
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
    composed: bool = False
    rows: int = ROWS

    def run(self, env: dict[int, Tensor], rows: int) -> None:
        """Compute the outputs from ``env`` and put them there, never in place."""

        def fill(item):
            if isinstance(item, Tensor) and item.is_inference():
                return item.clone()  # which autograd takes, made outside of inference mode
            return env[item.index] if isinstance(item, Value) else item

        def fit(item):
            one = isinstance(item, Tensor) and item.dim() > 0 and item.shape[0] == 1
            return item.expand(rows, *item.shape[1:]) if one else fill(item)

        if self.activation is not None:
            result = self.activation.call(*tree_map(fill, self.activation_inputs))
        else:
            args = tree_map(fit if self.name in _ROW_FOR_ROW else fill, self.args)
            if self.name in _SIZED:
                args = _with_rows(args, self.rows, rows)
            result = functional(self.func)(*args, **tree_map(fill, self.kwargs))
        results = result if self.several else (result,)
        results = [value for value in tree_leaves(results) if isinstance(value, Tensor)]
        for index, value in zip(self.outputs, results, strict=True):
            env[index] = value


def _copied(x: Tensor, source: Tensor, *_) -> Tensor:
    # where all rows of x are alike, one of them is kept
    shape = torch.broadcast_shapes(x.shape, source.shape)
    return source.to(x.dtype).expand(shape).clone()


_FUNCTIONAL = {
    # Where a model stops gradients the map that it computes goes on.
    "detach": torch.clone,
    "detach_": torch.clone,
    "requires_grad_": lambda x, *_: x,
    "__iadd__": torch.add,
    "__isub__": torch.sub,
    "__imul__": torch.mul,
    "__idiv__": torch.div,
    "__itruediv__": torch.div,
    "copy_": _copied,
}


def functional(func: Callable) -> Callable:
    """The function that gives what an in-place function leaves behind, and changes nothing."""
    name = getattr(func, "__name__", "")
    if name in _FUNCTIONAL:
        return _FUNCTIONAL[name]
    if property_of(func) == "data":
        return torch.clone
    if name.endswith("_") and not name.startswith("__"):
        return getattr(torch.Tensor, name[:-1], func)
    return func


def _with_rows(args: tuple, recorded: int, rows: int) -> tuple:
    """The arguments of a view, with a leading size that goes with the number of rows."""
    x, *sizes = args
    several = len(sizes) == 1 and isinstance(sizes[0], tuple | list)
    first, *rest = sizes[0] if several else sizes or (None,)
    if not isinstance(first, int) or first <= 0 or first % recorded:
        return args
    sizes = (first // recorded * rows, *rest)
    return (x, sizes) if several else (x, *sizes)


@dataclass
class Graph:
    """A recorded run: nodes in order of execution.

    Attributes
    ----------
    nodes : list of Node
    shapes : dict of int to tuple of int
        Of every value, in the recorded run.
    dtypes : dict of int to torch.dtype
    output : int
        The value that the model returned; -1 where that is something else than one tensor.
    returned : str
        What it was then, for messages.
    calls : list of int or None
        For each call of a function that can be an activation, its node; None where it is none.
    maker : dict of int to Node
    discrete : set of int
        Values that are constant but where they jump: masks, indices, signs.
    rows : int
        How many the run had.
    changes_input : bool
        Whether the model writes to the tensor that it is given.
    """

    nodes: list[Node] = field(default_factory=list)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    dtypes: dict[int, torch.dtype] = field(default_factory=dict)
    output: int = -1
    returned: str = "nothing"
    calls: list[int | None] = field(default_factory=list)
    maker: dict[int, Node] = field(default_factory=dict)
    discrete: set[int] = field(default_factory=set)
    rows: int = ROWS
    changes_input: bool = False

    def activations(self) -> list[Node]:
        """The nodes that cut the space."""
        return [node for node in self.nodes if node.activation is not None]

    def readers(self, value: int) -> list[Node]:
        """The nodes that read a value."""
        return [node for node in self.nodes if value in node.inputs]

    def last_use(self) -> dict[int, int]:
        """For each value, the position of the last node that reads it."""
        last = {i: at for at, node in enumerate(self.nodes) for i in node.inputs}
        return last | {self.output: len(self.nodes)}

    def needed(self) -> list[bool]:
        """For each node whether the output or an activation follows from it."""
        wanted, needed = {self.output}, []
        for node in reversed(self.nodes):
            needed.append(node.activation is not None or not wanted.isdisjoint(node.outputs))
            if needed[-1]:
                wanted.update(node.inputs)
        return needed[::-1]

    def replay(self, x: Tensor, handle: Callable | None = None) -> Tensor | None:
        """Run the graph on other rows.

        Parameters
        ----------
        x : Tensor, shape (N, ...)
        handle : callable, optional
            ``handle(activation, operands)`` at every activation; unless it returns None, its
            result takes the place of the activation's own.

        Returns
        -------
        Tensor or None
            The output, where there is one.
        """
        env, last, needed = {0: x}, self.last_use(), self.needed()
        for at, node in enumerate(self.nodes):
            if needed[at]:
                value = None
                if handle is not None and node.activation is not None:
                    operands = [
                        env[o.index] if isinstance(o, Value) else o for o in node.activation_inputs
                    ]
                    value = handle(node.activation, operands)
                if value is None:
                    node.run(env, len(x))
                else:
                    values = value if node.several else (value,)
                    env.update(zip(node.outputs, values, strict=True))
            for index in [i for i in env if last.get(i, -1) <= at]:
                del env[index]
        return env.get(self.output)

    def check_piecewise_affine(self) -> None:
        """Raise `NotPiecewiseAffine`, naming the module, if an operation is not affine."""
        for node in self.nodes:
            if node.problem:
                raise NotPiecewiseAffine(node.problem)

    def check_output(self, ways: Collection[str] = ()) -> None:
        """`check_piecewise_affine`, and that the output is one tensor that does not jump.

        Parameters
        ----------
        ways : collection of str
            Values of ``smooth=`` that the caller takes, which a refusal may advise.

        Raises
        ------
        NotPiecewiseAffine
        TypeError
            If the model returned something else than one tensor.
        """
        try:
            self.check_piecewise_affine()
        except NotPiecewiseAffine as error:
            raise NotPiecewiseAffine(advice_for(str(error), ways)) from None
        if self.output < 0:
            raise TypeError(
                f"the model returned {self.returned}: expected one tensor computed from the input. "
                "Wrap the model in a module whose forward picks the tensor to look at, such as "
                "model(x)['out'] or model(x)[0]"
            )
        if self.output in self.discrete:
            raise NotPiecewiseAffine(
                "the model returns a mask, an index or a sign, which jumps: it is piecewise "
                "constant, not piecewise affine. Wrap the model in a module that returns what is "
                "compared"
            )
