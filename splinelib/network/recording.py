"""The recorder: every function that a model calls on what depends on its input, as a graph.

What is computed from the input is followed through masks, indices and memory that is written in
place, so that whatever bends or jumps is either read or said to be a problem of the call.
"""

import weakref
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from . import operations
from .activations import ACTIVATIONS, SMOOTH, argument, canonical, parse_any
from .graph import ROWS, Graph, Node, Value
from .handwritten import Handwritten
from .memory import Marks, assigned, assigned_to_constant, key_of, version_of
from .renewals import renewal, renewed

# A constant operand of these with a row per input, zeros_like(h) say, has equal rows; one is kept.
_ROWWISE = {
    *("add", "radd", "sub", "rsub", "subtract", "mul", "rmul", "multiply", "where", "masked_fill"),
    *("div", "truediv", "divide", "true_divide", "cat", "concat", "concatenate", "stack", "hstack"),
    *("vstack", "bmm", "baddbmm", "gather", "take_along_dim", "setitem", "copy"),
}


def cutting(smooth: str) -> set[str]:
    """Names of the functions that count as activations."""
    return set(ACTIVATIONS) | (SMOOTH if smooth == "sign" else set())


class Recorder(TorchFunctionMode):
    """Fills a `Graph` while a model runs inside it and inside its `marks`."""

    watches_a_model = True

    def __init__(self, smooth: str, rows: int = ROWS):
        super().__init__()
        self.graph, self.stack, self.marks = Graph(rows=rows), [], Marks()
        self._cutting, self._handwritten = cutting(smooth), Handwritten(self.graph)
        self._values: dict[int, int] = {}  # id(tensor) -> value
        # The same tensors. One that the model lets go of is forgotten before its id is used again.
        self._alive: dict[int, weakref.ref[Tensor]] = {}
        self._count = 0
        self._sharing: dict[int, list[weakref.ref[Tensor]]] = {}  # tensors by their memory
        # By id(tensor): tensors of the same memory, and their values, that changed after it.
        self._stale: dict[int, list[tuple[Tensor, int]]] = {}
        self._versions: dict[int, int] = {}  # id(tensor) -> `version_of` when last seen

    # --- what is followed ---------------------------------------------------------------

    def follow(self, tensor: Tensor, discrete: bool = False) -> int:
        """Give a tensor that depends on the input a number."""
        index, self._count = self._count, self._count + 1
        if id(tensor) not in self._values:
            self._watch(tensor)
        self._values[id(tensor)] = index
        self._stale.pop(id(tensor), None)
        self._versions[id(tensor)] = version_of(tensor)
        self.marks.mark(tensor)
        self.graph.shapes[index], self.graph.dtypes[index] = tuple(tensor.shape), tensor.dtype
        if discrete:
            self.graph.discrete.add(index)
        return index

    def _watch(self, tensor: Tensor) -> None:
        """Forget a tensor when it is gone."""
        here = id(tensor)

        def gone(_) -> None:
            for numbers in (self._values, self._versions, self._stale, self._alive):
                numbers.pop(here, None)

        self._alive[here] = weakref.ref(tensor, gone)
        sharing = self._sharing.setdefault(key_of(tensor), [])
        sharing[:] = [other for other in sharing if other() is not None]
        sharing.append(self._alive[here])

    def known(self, item) -> bool:
        """Whether this is a tensor that depends on the input, and was seen being made."""
        return isinstance(item, Tensor) and id(item) in self._values

    def number(self, tensor: Tensor) -> int:
        """The value that a tensor holds now."""
        self.settle(tensor)
        return self._values[id(tensor)]

    def depends(self, item) -> bool:
        """Whether a tensor depends on the input."""
        return any(map(self.known, tree_leaves(item)))

    def depends_on_input(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on the input, seen or not."""
        return self.known(tensor) or self.marks.marked(tensor)

    def finish(self, smooth: str) -> Graph:
        """The graph, of which activations that were written by hand are kept if all was read.

        They are found by running the graph again, which cannot be done if some of it is left out.
        """
        if smooth != "raise" and any(node.problem for node in self.graph.nodes):
            for at, node in enumerate(self.graph.nodes):
                if node.composed:
                    problem = operations.discrete_use(node.name, node.module)
                    node = replace(node, activation=None, problem=problem, composed=False)
                    self.graph.nodes[at] = node
                    self.graph.maker.update(dict.fromkeys(node.outputs, node))
        return self.graph

    def _numbered(self, items):
        return tree_map(lambda t: Value(self._values[id(t)]) if self.known(t) else t, items)

    def _add(self, node: Node) -> Node:
        self.graph.nodes.append(node)
        for index in node.outputs:
            self.graph.maker[index] = node
        return node

    def settle(self, tensor: Tensor) -> None:
        """Give a tensor its value of now: one that was not seen, or was changed through a view."""
        if not self.known(tensor):
            if self.marks.marked(tensor):
                problem = operations.unseen(self._module)
                self._place(tensor, "unseen", problem)
            return
        if version_of(tensor) != self._versions[id(tensor)]:  # by a script, say
            self._place(tensor, "unseen", operations.unseen(self._module))
        for changed, value in self._stale.pop(id(tensor), ()):
            plan = renewal(tensor, changed)
            if plan is None:
                self._place(tensor, "overwritten", operations.overwritten(self._module))
                continue
            if not plan.changes:
                continue
            before = self._values[id(tensor)]
            discrete = {before, value} & self.graph.discrete
            index = self.follow(tensor, bool(discrete))
            args = (Value(before), Value(value), plan)
            problem = operations.discrete_use("in place", self._module) if discrete else ""
            self._add(self._node(renewed, args, {}, "renewed", (before, value), (index,), problem))

    def _place(self, tensor: Tensor, name: str, problem: str) -> None:
        index = self.follow(tensor)
        self._add(self._node(lambda *_: tensor, (), {}, name, (), (index,), problem))

    @property
    def _module(self) -> str:
        return self.stack[-1] if self.stack else ""

    def _node(self, func, args, kwargs, name, inputs, outputs, problem="") -> Node:
        rows = self.graph.rows
        return Node(
            func, args, kwargs, name, self._module, inputs, outputs, problem=problem, rows=rows
        )

    def _changed(self, tensor: Tensor) -> None:
        """Note that a tensor was changed in place, so that its views are read anew."""
        value, key = self._values[id(tensor)], key_of(tensor)
        self._versions[id(tensor)] = version_of(tensor)
        others = self._sharing.get(key, ()) if key is not None else ()
        for other in [each for ref in others if (each := ref()) is not None]:
            self._versions[id(other)] = version_of(other)
            if other is not tensor:
                self._stale.setdefault(id(other), []).append((tensor, value))

    # --- calls --------------------------------------------------------------------------

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if self.marks.busy:  # what a script does, which is no call of the model's
            return func(*args, **(kwargs or {}))
        kwargs, name = dict(kwargs or {}), canonical(func)
        if func is torch.Tensor.where:
            func, args = torch.where, (args[1], args[0], *args[2:])
        out = kwargs.get("out")
        read = [t for t in _leaves((args, kwargs)) if isinstance(t, Tensor) and t is not out]
        if not _looks(func, name):
            for tensor in read:
                self.settle(tensor)
        if name == "instance_norm":
            func, name, args, kwargs = _as_batch_norm(func, name, args, kwargs)
        inputs = tuple(self._values[id(t)] for t in read if self.known(t))
        kept = self._kept(func, name, args, kwargs, read) if inputs else ((), {})
        reading = parse_any(func, args, kwargs) if name in self._cutting else None
        called = len(self.graph.calls)
        if reading is not None:
            self.graph.calls.append(None)
            reading = (reading[0], self._operands(reading[1]))
        versions = [version_of(t) for t in read] if inputs else []
        result = func(*args, **kwargs)
        if not inputs:
            if name in operations.RANDOM and isinstance(result, Tensor):
                self._place(result, name, operations.random(name, self._module))
            return result
        made = {id(t) for t in tree_leaves(result)}
        changed = [
            t
            for t, version in zip(read, versions, strict=True)
            if version_of(t) != version  # which inference mode does not count
            or (t.is_inference() and (id(t) in made or name == "setitem"))
        ]
        self._note(func, name, args, kwargs, kept, inputs, reading, called, result, changed, out)
        return result

    def _operands(self, operands: tuple) -> tuple:
        return tuple(
            item[:1] if self._per_row(item) and not self.known(item) else self._numbered(item)
            for item in operands
        )

    def _per_row(self, item) -> bool:
        rows = isinstance(item, Tensor) and item.dim() > 1 and len(item) == self.graph.rows
        return rows and bool((item == item[:1]).all())

    def _kept(self, func, name: str, args, kwargs, read) -> tuple[tuple, dict]:
        """Arguments for another run: values by number, constants as they are before the call."""
        kwargs = {key: item for key, item in kwargs.items() if key != "out"}
        dims = max((t.dim() for t in read if self.known(t)), default=0)
        written = not self.known(args[0] if args else None) and _in_place(func)
        rows = self.graph.rows

        def keep(item):
            if self.known(item):
                return Value(self._values[id(item)])
            if isinstance(item, Tensor):
                if name in _ROWWISE and item.dim() == dims and self._per_row(item):
                    item = item[:1]
                if name == "setitem" and item is args[0] and self._per_row(item):
                    item = item[:1]
                if name == "copy" and item is args[0] and dims and item.shape[:1] == (rows,):
                    item = item[:1]  # whatever it holds, as `empty_like` does, is written over
                return item.clone() if written else item
            return item

        return tree_map(keep, tuple(args)), tree_map(keep, kwargs)

    def _note(
        self, func, name, args, kwargs, kept, inputs, reading, called, result, changed, out
    ) -> None:
        """Add the node of a call that has been made."""
        leaves = tree_leaves(result)
        tensors = [t for t in leaves if isinstance(t, Tensor)]
        if name == "setitem":
            func = assigned if isinstance(kept[0][0], Value) else assigned_to_constant
            tensors = [args[0]]
        if not tensors:
            assigned_data = operations.property_of(func) == "data"
            if assigned_data or not (operations.is_query(name) or result is NotImplemented):
                self._escape(".data =" if assigned_data else name, inputs)
            return
        if operations.is_constant(name, args, kwargs, self.depends):
            for tensor in tensors:
                if not self.known(tensor):
                    self.marks.unmark(tensor)
            return
        numeric = [t.is_floating_point() or t.is_complex() for t in tensors]
        inputs_of = inputs[:1] if name in operations.LIKE and self.known(args[0]) else inputs
        steps = self.graph.discrete.issuperset(inputs_of) and name in operations.CARRIED
        problem = self._problem(func, name, args, kwargs, inputs_of, any(numeric), reading)
        if reading is not None and not problem:
            self.graph.calls[called] = len(self.graph.nodes)
        else:
            reading = None
        steps = steps or name in operations.STEPS
        outputs = tuple(
            self.follow(t, steps or not n) for t, n in zip(tensors, numeric, strict=True)
        )
        node = Node(
            func=func,
            args=kept[0],
            kwargs=kept[1],
            name=name,
            module=self._module,
            inputs=inputs,
            outputs=outputs,
            activation=reading[0] if reading else None,
            activation_inputs=reading[1] if reading else (),
            problem=problem,
            several=isinstance(result, tuple | list),
            rows=self.graph.rows,
        )
        self._add(self._composed(node))
        for tensor in {id(t): t for t in (*changed, *([out] if out is not None else ()))}.values():
            if self.known(tensor):
                self._changed(tensor)

    def _escape(self, name: str, inputs: tuple[int, ...]) -> None:
        problem = operations.left_torch(name, self._module)
        self._add(self._node(_nothing, (), {}, name, inputs, (), problem))

    def _composed(self, node: Node) -> Node:
        """The node, as an activation if it is the last call of one that was written by hand."""
        self._handwritten.note(node)
        if not node.problem or not self.graph.discrete.intersection(node.inputs):
            return node
        found = self._handwritten.read(node)
        if found is None:
            return node
        activation, source = found
        return replace(
            node,
            inputs=(source.index,),
            activation=activation,
            activation_inputs=(source,),
            problem="",
            composed=True,
        )

    def _problem(self, func, name, args, kwargs, inputs, numeric: bool, reading) -> str:
        """Why a call is no affine map of its continuous inputs; an activation is asked first."""
        if not numeric or name in operations.STEPS:
            return ""
        discrete = self.graph.discrete.intersection(inputs)
        if discrete:
            whole = self.graph.discrete.issuperset(inputs) and name in operations.CARRIED
            return "" if whole else operations.discrete_use(name, self._module)
        what = operations.property_of(func)
        if what:
            known = what in operations.PROPERTIES
            return "" if known else operations.not_affine(repr(what), self._module)
        if name == "setitem":
            return operations.why_no_assignment(self._module, args, self.depends)
        if reading is not None:  # else a slope or a bound depends on the input
            read = {item.index for item in reading[1] if isinstance(item, Value)}
            return "" if read >= set(inputs) else operations.not_affine(repr(name), self._module)
        return operations.why_not_affine(name, self._module, args, kwargs, inputs, self.depends)


def _leaves(arguments) -> list:
    """All that arguments hold, ends of slices too."""
    leaves = []
    for item in tree_leaves(arguments):
        leaves += (item.start, item.stop, item.step) if isinstance(item, slice) else (item,)
    return leaves


def _looks(func: Callable, name: str) -> bool:
    """Whether a call does not read numbers, so that a tensor need not have its value of now."""
    what = operations.property_of(func)
    if what:
        return what not in operations.PROPERTIES
    return operations.is_query(name) and name not in {"type", "requires_grad", "set"}


def _in_place(func: Callable) -> bool:
    name = getattr(func, "__name__", "")
    return (name.endswith("_") and not name.startswith("__")) or name[:3] in {"__i", "__s"}


def _nothing(*_):
    return ()


def _as_batch_norm(func, name, args, kwargs):
    """Instance norm with running statistics is batch norm in evaluation mode."""
    names = ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats")
    x, mean, variance, weight, bias, of_input = (
        argument(args, kwargs, i, n) for i, n in enumerate(names)
    )
    if func is not F.instance_norm or of_input is not False or mean is None:
        return func, name, args, kwargs
    eps = argument(args, kwargs, 7, "eps", 1e-5)
    return F.batch_norm, "batch_norm", (x, mean, variance, weight, bias, False, 0.0, eps), {}
