"""The linear part of an affine node of a recorded run, and what it makes of sizes of terms."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map

from .graph import Node

_BIASED = {"linear", *(f"conv{d}d" for d in (1, 2, 3)), *(f"conv_transpose{d}d" for d in (1, 2, 3))}
_SUMS = {"add", "radd", "sub", "rsub", "subtract"}
_JOINS = {"cat", "concat", "concatenate", "stack", "hstack", "vstack"}
# Numbers among their arguments are operands or factors.
_ARITHMETIC = _SUMS | {
    *("mul", "rmul", "multiply", "div", "truediv", "divide", "true_divide", "addmm", "baddbmm"),
}


def _sums_of_neighbours(
    x: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """Sizes of the terms of `torch.diff`."""
    x = torch.cat([part for part in (prepend, x, append) if part is not None], dim)
    for _ in range(n):
        x = x.narrow(dim, 1, x.shape[dim] - 1) + x.narrow(dim, 0, x.shape[dim] - 1)
    return x


def _interpolated(x: Tensor, *args, **kwargs) -> Tensor:
    """Sizes of the terms of `interpolate`; the weights of a bicubic one add up to 1.9 at most."""
    if "bicubic" in (*args, *kwargs.values()):
        x = 2 * x.amax((-2, -1), keepdim=True).expand_as(x)
    return F.interpolate(x, *args, **kwargs)


_ABSOLUTE = {
    "sub": torch.add,
    "subtract": torch.add,
    "rsub": lambda x, other, alpha=1: alpha * x + other,
    "neg": torch.clone,
    "diff": _sums_of_neighbours,
    "interpolate": _interpolated,
}


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
        if isinstance(item, Tensor):
            return item.abs() if item.is_floating_point() else item
        number = isinstance(item, int | float) and not isinstance(item, bool)
        return abs(item) if number and name in _ARITHMETIC else item

    if name == "batch_norm" and isinstance(arguments, tuple):
        x, mean, *rest = arguments
        # (x - mean) * gamma / sigma + beta: the mean is subtracted, so its size is added
        return (x, None if mean is None else -mean.abs(), *map(positive, rest))
    return tree_map(positive, arguments)
