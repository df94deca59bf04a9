"""Sending values through the affine layers of a network.

The constant goes through the layer as it is, the coefficients through its linear part, and the
sizes of terms through the layer with all numbers replaced by their absolute values.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ..network.graph import Node
from .basis import Combination
from .limits import BLOCK
from .state import State

_BIASED = {"linear", *(f"conv{d}d" for d in (1, 2, 3)), *(f"conv_transpose{d}d" for d in (1, 2, 3))}
_SUMS = {"add", "radd", "sub", "rsub", "subtract"}
_JOINS = {"cat", "concat", "concatenate", "stack", "hstack", "vstack"}
_ABSOLUTE = {
    "sub": torch.add,
    "subtract": torch.add,
    "rsub": torch.add,
    "neg": torch.clone,
}


def apply_affine(state: State, node: Node) -> None:
    """Compute the outputs of an affine node, a few coefficients at a time."""
    inputs = {i: state.values[i] for i in dict.fromkeys(node.inputs)}
    functions = next(iter(inputs.values())).functions
    for value in inputs.values():
        functions = np.union1d(functions, value.functions)
    rows = {i: value.over(functions) for i, value in inputs.items()}
    constant = {i: r[:1] for i, r in rows.items()}
    node.run(constant, 1)
    linear = without_constants(node)
    zero = {i: torch.zeros_like(r[:1]) for i, r in rows.items()}
    linear.run(zero, 1)
    out = {
        i: constant[i].new_empty(1 + len(functions), *constant[i].shape[1:]) for i in node.outputs
    }
    largest = max(constant[i][0].numel() for i in (*inputs, *node.outputs))
    step = max(1, BLOCK // largest)
    for start in range(1, 1 + len(functions), step):
        stop = min(start + step, 1 + len(functions))
        some = {i: r[start:stop] for i, r in rows.items()}
        linear.run(some, stop - start)
        for i in node.outputs:
            out[i][start:stop] = some[i]
            if zero[i].any():  # a constant that is not known to be one
                out[i][start:stop] -= zero[i]
    sizes = {i: value.size for i, value in inputs.items()}
    absolute(node).run(sizes, 1)
    for i in node.outputs:
        out[i][0] = constant[i][0]
        state.values[i] = Combination(functions, out[i], sizes[i].abs())


def without_constants(node: Node) -> Node:
    """The linear part of an affine node, as far as it is known where its constants are."""
    args, kwargs, name = node.args, dict(node.kwargs), node.name

    def zero(item):
        if isinstance(item, Tensor):
            return torch.zeros_like(item)
        return 0.0 if isinstance(item, float | int) and name in _SUMS else item

    if name in _BIASED:
        args = tuple(None if i == 2 else a for i, a in enumerate(args))
        kwargs |= {"bias": None} if "bias" in kwargs else {}
    elif name == "batch_norm":  # x, mean, variance, scale, shift
        args = tuple(zero(a) if i in (1, 4) else a for i, a in enumerate(args))
        kwargs |= {key: zero(kwargs[key]) for key in ("running_mean", "bias") if key in kwargs}
    elif name in _SUMS | _JOINS:
        args = tree_map(zero, args)
        kwargs |= {key: zero(kwargs[key]) for key in ("other", "input") if key in kwargs}
    else:
        return node
    return replace(node, args=args, kwargs=kwargs)


def absolute(node: Node) -> Node:
    """The node on sizes of terms: ``|W| |x| + |b|`` for a linear layer."""
    return replace(
        node,
        func=_ABSOLUTE.get(node.name, node.func),
        args=_absolute_constants(node.args, node.name),
        kwargs=_absolute_constants(node.kwargs, node.name),
    )


def _absolute_constants(arguments, name: str):
    def positive(item):
        return item.abs() if isinstance(item, Tensor) and item.is_floating_point() else item

    if name == "batch_norm" and isinstance(arguments, tuple):
        x, mean, *rest = arguments
        # (x - mean) * gamma / sigma + beta: the mean is subtracted, so its size is added
        return (x, None if mean is None else -mean.abs(), *map(positive, rest))
    return tree_map(positive, arguments)
