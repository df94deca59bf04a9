"""Activations that a model writes by hand: ``h * (h > 0)``, ``torch.where(h > 0, h, 0.1 * h)``.

A comparison of a value with a number is a step function of it. What is made of the step, of the
value and of numbers, element by element, is a line on either side of the number. If both meet
there, the call that makes it is an activation of the value; if they do not, it jumps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .activations import Activation, argument
from .graph import Graph, Node, Value
from .operations import STEPS, property_of

_COMPARISONS = {"gt": True, "ge": True, "greater": True, "greater_equal": True}
_COMPARISONS |= {"lt": False, "le": False, "less": False, "less_equal": False}
_CASTS = {
    *("float", "double", "half", "bfloat16", "to", "type", "type_as", "bool", "int", "long"),
    *("detach", "clone", "contiguous"),
}
_COPIES = {"detach", "clone", "contiguous"}
_ARITHMETIC: dict[str, Callable] = {
    **dict.fromkeys(("mul", "rmul", "multiply"), lambda a, b: a * b),
    **dict.fromkeys(("add", "radd"), lambda a, b: a + b),
    **dict.fromkeys(("sub", "subtract"), lambda a, b: a - b),
    "rsub": lambda a, b: b - a,
    **dict.fromkeys(("div", "truediv", "divide", "true_divide"), lambda a, b: a / b),
}
_NOT = {"logical_not", "bitwise_not", "invert"}


@dataclass(frozen=True)
class Step:
    """A value that is one number below a breakpoint of another value, and another number above."""

    source: int
    at: float
    below: float
    above: float


@dataclass(frozen=True)
class Line:
    """``slope * z + intercept`` of a value z; numbers, or tensors that broadcast."""

    slope: object
    intercept: object


def _number(item, dims: int, rows: int):
    """A constant as a number if it is one, as a tensor of one row, or None if it is neither."""
    if isinstance(item, bool | int | float):
        return float(item)
    if not isinstance(item, Tensor) or item.dim() > dims or not item.numel():
        return None
    item = item.detach()
    first = item.reshape(-1)[0]
    if bool((item == first).all()):
        return float(first)
    if item.dim() == dims and len(item) == rows:
        return item[:1] if bool((item == item[:1]).all()) else None
    return item


class Handwritten:
    """Steps of a recorded run, and the activations that are made of them."""

    def __init__(self, graph: Graph):
        self._graph, self.steps = graph, {}

    def note(self, node: Node) -> None:
        """Note what a call makes, if that is a step."""
        step = self._step(node)
        if step is not None and len(node.outputs) == 1 and self._alike(node.outputs[0], step):
            kept = torch.tensor([step.below, step.above], dtype=torch.float64)
            kept = kept.to(self._graph.dtypes[node.outputs[0]]).double()  # 0.1 * mask is a float32
            self.steps[node.outputs[0]] = Step(step.source, step.at, *kept.tolist())

    def _root(self, index: int) -> int:
        """The value that another one is a copy of, or the same memory as."""
        node = self._graph.maker.get(index)
        while node is not None and (node.name in _COPIES or property_of(node.func) == "data"):
            index = node.inputs[0]
            node = self._graph.maker.get(index)
        return index

    def _alike(self, index: int, step: Step) -> bool:
        return self._graph.shapes[index] == self._graph.shapes[step.source]

    def _step(self, node: Node) -> Step | None:
        name, args = node.name, node.args
        first = argument(args, node.kwargs, 0, "input")
        if not isinstance(first, Value):
            return None
        dims = len(self._graph.shapes[first.index])
        if name in _COMPARISONS and first.index not in self._graph.discrete:
            at = _number(argument(args, node.kwargs, 1, "other"), dims, self._graph.rows)
            if not isinstance(at, float):
                return None
            low, high = (0.0, 1.0) if _COMPARISONS[name] else (1.0, 0.0)
            return Step(self._root(first.index), at, low, high)
        if name in STEPS and first.index not in self._graph.discrete:
            low = 0.0 if name == "heaviside" else -1.0
            return Step(self._root(first.index), 0.0, low, 1.0)
        step = self.steps.get(first.index)
        if step is None:
            return None
        if name in _CASTS:
            return step
        if name in _NOT and {step.below, step.above} <= {0.0, 1.0}:
            return Step(step.source, step.at, 1 - step.below, 1 - step.above)
        if name == "neg":
            return Step(step.source, step.at, -step.below, -step.above)
        if name in _ARITHMETIC and "alpha" not in node.kwargs:
            return self._computed(name, step, argument(args, node.kwargs, 1, "other"), dims)
        return None

    def _computed(self, name: str, step: Step, other, dims: int) -> Step | None:
        if isinstance(other, Value):
            second = self.steps.get(other.index)
            if second is None or (second.source, second.at) != (step.source, step.at):
                return None
            low, high = second.below, second.above
        else:
            low = high = _number(other, dims, self._graph.rows)
        if not isinstance(low, float):
            return None
        if name in {"div", "truediv", "divide", "true_divide"} and 0 in (low, high):
            return None
        combine = _ARITHMETIC[name]
        return Step(step.source, step.at, combine(step.below, low), combine(step.above, high))

    def read(self, node: Node) -> tuple[Activation, Value] | None:
        """A call that uses a step as an activation of what was compared; None if it is none."""
        step = next((self.steps[i] for i in node.inputs if i in self.steps), None)
        if step is None or len(node.outputs) != 1 or not self._alike(node.outputs[0], step):
            return None
        sides = self._sides(node, step)
        if sides is None:
            return None
        below, above = sides
        gap = (above.slope - below.slope) * step.at + (above.intercept - below.intercept)
        size = abs(above.slope * step.at) + abs(above.intercept)
        meets = torch.as_tensor(abs(gap) <= 1e-6 * size) & torch.isfinite(torch.as_tensor(size))
        if not bool(meets.all()):
            return None  # it jumps
        return _activation(step.at, below, above), Value(step.source)

    def _sides(self, node: Node, step: Step) -> tuple[Line, Line] | None:
        """What a call makes below the breakpoint and above it."""
        args, kwargs, name = node.args, node.kwargs, node.name
        if name == "where":
            items = [
                argument(args, kwargs, i, n) for i, n in enumerate(("condition", "input", "other"))
            ]
        elif name in {"masked_fill", "setitem"}:  # h[h < 0] = 0
            x, mask, value = (
                argument(args, kwargs, i, n) for i, n in enumerate(("input", "mask", "value"))
            )
            items = [mask, value, x]
        elif name in _ARITHMETIC and "alpha" not in kwargs and "rounding_mode" not in kwargs:
            items = [argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "other")]
        else:
            return None
        sides = []
        for above in (False, True):
            lines = [self._line(item, step, above) for item in items]
            if any(line is None for line in lines):
                return None
            if name in {"where", "masked_fill", "setitem"}:
                sides.append(lines[1] if _truth(lines[0]) else lines[2])
            else:
                sides.append(_combined(name, *lines))
        return None if None in sides else tuple(sides)

    def _line(self, item, step: Step, above: bool) -> Line | None:
        """An operand as a line of the value that was compared, on one side."""
        if not isinstance(item, Value):
            number = _number(item, len(self._graph.shapes[step.source]), self._graph.rows)
            return None if number is None else Line(0.0, number)
        if self._root(item.index) == step.source:
            return Line(1.0, 0.0)
        known = self.steps.get(item.index)
        if known is not None and (known.source, known.at) == (step.source, step.at):
            return Line(0.0, known.above if above else known.below)
        node = self._graph.maker.get(item.index)
        if node is None or node.problem or node.activation is not None or node.several:
            return None
        if self._graph.shapes[item.index] != self._graph.shapes[step.source]:
            return None
        first = argument(node.args, node.kwargs, 0, "input")
        if node.name == "neg":
            line = self._line(first, step, above)
            return None if line is None else Line(-line.slope, -line.intercept)
        if node.name not in _ARITHMETIC or set(node.kwargs) & {"alpha", "rounding_mode"}:
            return None
        items = [first, argument(node.args, node.kwargs, 1, "other")]
        lines = [self._line(item, step, above) for item in items]
        return None if None in lines else _combined(node.name, *lines)


def _truth(line: Line) -> bool:
    return bool(line.intercept)


def _constant(line: Line) -> bool:
    return isinstance(line.slope, float) and line.slope == 0


def _combined(name: str, one: Line, two: Line) -> Line | None:
    """Sum, difference, product or quotient of two lines, if it is a line."""
    if name == "rsub":
        name, one, two = "sub", two, one
    combine = _ARITHMETIC[name]
    if name in {"add", "radd", "sub", "subtract"}:
        return Line(combine(one.slope, two.slope), combine(one.intercept, two.intercept))
    if name in {"mul", "rmul", "multiply"}:
        if _constant(one):
            one, two = two, one
        if not _constant(two):
            return None
        return Line(one.slope * two.intercept, one.intercept * two.intercept)
    if not _constant(two) or bool(torch.as_tensor(two.intercept == 0).any()):
        return None
    return Line(one.slope / two.intercept, one.intercept / two.intercept)


def _activation(at: float, below: Line, above: Line) -> Activation:
    def call(z: Tensor) -> Tensor:
        low, high = (line.slope * z + line.intercept for line in (below, above))
        return torch.where(z > at, high, low).to(z.dtype)

    slopes = (below.slope, above.slope)
    kind = "piecewise"
    if any(isinstance(slope, Tensor) for slope in slopes):
        kind = "prelu"
    elif slopes == (0.0, 1.0):
        kind = "relu"
    elif slopes == (-1.0, 1.0):
        kind = "abs"
    elif slopes[1] == 1.0:
        kind = "leaky_relu"
    return Activation(kind, (at,), slopes, call)
