"""Affine nodes of a recorded run as maps that can be run forwards, backwards and on sizes.

Backwards is the transposed linear part: what a linear function of the outputs is as a function of
the inputs. Autograd has it for whatever torch function a node calls, a convolution included.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ..network.activations import argument
from ..network.graph import Node
from ..network.linear_parts import absolute, without_constants

# Linear in their constants, too: the difference of two such maps is one with other constants.
_BILINEAR = {
    *("linear", "conv1d", "conv2d", "conv3d", "scale"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("mul", "rmul", "multiply", "matmul", "rmatmul", "mm", "bmm", "einsum", "dot"),
}
# Their weights have signs that stand nowhere in their arguments.
_SIGNED = {"diff", "interpolate", "upsample"}
# Sums of two terms at most.
_FEW = {
    *("scale", "add", "radd", "sub", "rsub", "subtract", "mul", "rmul", "multiply", "div"),
    *("flatten", "view", "reshape", "cat", "concat", "permute", "transpose", "dropout", "getitem"),
}

Values = dict[int, Tensor]  # by the number of the value, a row for each input


def scale(x: Tensor, factor: Tensor, shift: Tensor | None = None) -> Tensor:
    """Batch norm in evaluation mode."""
    return x * factor if shift is None else x * factor + shift


class AffineMap:
    """One affine node.

    Parameters
    ----------
    node : Node
    sizes : Node, optional
        One whose constants bound the absolute values of the terms that the node's are sums of,
        where these are more than its constants.
    """

    def __init__(self, node: Node, sizes: Node | None = None):
        self.node, self.outputs = node, node.outputs
        self.inputs = tuple(dict.fromkeys(node.inputs))
        self.size_node = node if sizes is None else sizes
        self._linear = without_constants(node)
        self._sizes = absolute(self.size_node)
        self._absolute = without_constants(self._sizes)

    def terms_of(self, x: Values) -> int:
        """The most terms that an output is a sum of, or more."""
        args, kwargs = self.node.args, self.node.kwargs
        weight = argument(args, kwargs, 1, "weight")
        if self.node.name == "linear" and isinstance(weight, Tensor):
            return weight.shape[1] + 1
        if self.node.name in {"conv1d", "conv2d", "conv3d"} and isinstance(weight, Tensor):
            return weight[0].numel() + 1
        if self.node.name in _FEW:
            return 2
        return max(v[0].numel() for v in x.values())

    def forward(self, x: Values) -> Values:
        """The map itself."""
        return self._run(self.node, x)

    def linear(self, x: Values) -> Values:
        """Its linear part."""
        y, zero = self._run(self._linear, x), {i: v[:1] * 0 for i, v in x.items()}
        constant = self._run(self._linear, zero)  # one that is not known to be one
        return {o: v - constant[o] if constant[o].any() else v for o, v in y.items()}

    def constant(self, x: Values) -> Values:
        """What it gives at zero, one row."""
        return self._run(self.node, {i: torch.zeros_like(v[:1]) for i, v in x.items()})

    def sizes(self, x: Values) -> Values:
        """Bounds of the terms that the outputs are sums of: ``|A| |x| + |b|``."""
        return self._positive(self._sizes, x)

    def spread(self, radius: Values) -> Values:
        """``|A| r``: how far the outputs may be from their centre."""
        if self.node.name in _SIGNED:
            return self._spread_by_rows(radius)
        spread = self._positive(self._absolute, radius)
        zero = self._positive(self._absolute, {i: v[:1] * 0 for i, v in radius.items()})
        return {o: s - zero[o] if zero[o].any() else s for o, s in spread.items()}

    def transposed(self, coefficients: Values, shapes: dict[int, tuple[int, ...]]) -> Values:
        """Coefficients of the outputs as coefficients of the inputs, row by row."""
        given = {o: c for o, c in coefficients.items() if o in self.outputs}
        some = next(iter(given.values()))
        weight = argument(self.node.args, self.node.kwargs, 1, "weight")
        if self.node.name == "linear" and isinstance(weight, Tensor):
            return {self.inputs[0]: some @ weight.detach()}
        with torch.enable_grad():
            x = {i: some.new_zeros(len(some), *shapes[i][1:]).requires_grad_() for i in self.inputs}
            y = self._run(self._linear, x)
            found = torch.autograd.grad(
                [y[o] for o in given], list(x.values()), list(given.values()), allow_unused=True
            )
        return {i: f for i, f in zip(x, found, strict=True) if f is not None}

    def _run(self, node: Node, x: Values) -> Values:
        env = dict(x)
        node.run(env, max(len(env[i]) for i in self.inputs))
        return {o: env[o] for o in self.outputs}

    def _positive(self, node: Node, x: Values) -> Values:
        if self.node.name in _SIGNED:
            spread = self._spread_by_rows(x)
            return {o: s + self.constant(x)[o].abs() for o, s in spread.items()}
        return {o: v.abs() for o, v in self._run(node, x).items()}

    def _spread_by_rows(self, radius: Values) -> Values:
        """The same from the rows of the matrix, whatever the node is."""
        shapes = {i: v.shape for i, v in radius.items()}
        spread = {}
        for o, y in self.constant(radius).items():
            rows = torch.eye(y[0].numel(), dtype=y.dtype).reshape(-1, *y.shape[1:])
            found = self.transposed({o: rows}, shapes)
            total = sum(radius[i].flatten(1) @ a.abs().flatten(1).T for i, a in found.items())
            spread[o] = total.reshape(-1, *y.shape[1:])
        return spread


def affine_map(node: Node, dims: int) -> AffineMap:
    """The map of an affine node; batch norm is folded into a factor and a shift.

    Parameters
    ----------
    node : Node
    dims : int
        Of its input.
    """
    if node.name != "batch_norm":
        return AffineMap(node)
    x, mean, variance, gamma, beta = (
        argument(node.args, node.kwargs, i, n)
        for i, n in enumerate(("input", "running_mean", "running_var", "weight", "bias"))
    )
    factor = torch.rsqrt(variance + argument(node.args, node.kwargs, 7, "eps", 1e-5))
    factor = factor if gamma is None else factor * gamma.detach()
    beta = torch.zeros_like(mean) if beta is None else beta.detach()

    def shaped(t: Tensor) -> Tensor:
        return t.reshape(1, -1, *(1,) * (dims - 2))

    def made(shift: Tensor) -> Node:
        args = (x, shaped(factor), shaped(shift))
        return replace(node, func=scale, name="scale", args=args, kwargs={})

    return AffineMap(made(beta - mean * factor), made(beta.abs() + (mean * factor).abs()))


def difference(one: AffineMap, two: AffineMap) -> AffineMap | None:
    """Second map minus first, as a map of the same inputs.

    None where the difference of two such nodes is not one of their kind, or their constants have
    other shapes.
    """
    if one.node.name != two.node.name or one.node.name not in _BILINEAR:
        return None
    made = _combined(one.node, two.node, lambda a, b: b - a)
    if made is None or made.name != "scale":
        return None if made is None else AffineMap(made)
    # The factors of batch norm are rounded themselves, so their difference errs by as much as they.
    return AffineMap(made, _combined(one.size_node, two.size_node, lambda a, b: a.abs() + b.abs()))


def _combined(first: Node, second: Node, combine) -> Node | None:
    """The second node with its constants combined with those of the first."""
    keys = list(second.kwargs)
    if len(first.args) != len(second.args) or keys != list(first.kwargs):
        return None
    made = []
    both = ((*node.args, *node.kwargs.values()) for node in (first, second))
    for a, b in zip(*both, strict=True):
        if isinstance(a, Tensor) or isinstance(b, Tensor):
            a = torch.zeros_like(b) if a is None else a
            b = torch.zeros_like(a) if b is None else b
            if not isinstance(a, Tensor) or not isinstance(b, Tensor) or a.shape != b.shape:
                return None
            b = combine(a, b)
        elif isinstance(b, float) and a != b:
            return None
        made.append(b)
    count = len(second.args)
    kwargs = dict(zip(keys, made[count:], strict=True))
    return replace(second, args=tuple(made[:count]), kwargs=kwargs)


def alike(one: AffineMap, two: AffineMap) -> bool:
    """Whether two maps are the same, to the bit."""
    a, b = (tree_leaves((m.node.args, m.node.kwargs)) for m in (one, two))
    return len(a) == len(b) and all(map(_same, a, b))


def _same(a, b) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a, b)
    return a == b
