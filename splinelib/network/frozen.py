"""A recorded run in which attention and norms are held at the input, so that the rest is affine.

A softmax gives weights, a layer norm divides by a standard deviation, and a GELU multiplies its
input by a number between 0 and 1. With these factors held where an input puts them, what the
network does with the rest is piecewise affine. Held factors are detached: gradients go past them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ..errors import warn
from .activations import argument
from .graph import Graph, Node, Value
from .operations import PRODUCTS, QUOTIENTS, random, where


@dataclass(frozen=True)
class _Rule:
    """What is held of a function: the arguments that only its factors come from, and itself."""

    held: tuple[tuple[int, str], ...]  # as positions and names
    function: Callable[[Callable], Callable]  # the function to the one with held factors


def _detaching(*held: tuple[int, str]) -> _Rule:
    """A function that is affine in its other arguments once these are held."""
    positions, names = {position for position, _ in held}, {name for _, name in held}

    def function(func: Callable) -> Callable:
        def with_held(*args, **kwargs):
            args = [_held(a) if at in positions else a for at, a in enumerate(args)]
            kwargs = {key: _held(a) if key in names else a for key, a in kwargs.items()}
            return func(*args, **kwargs)

        return with_held

    return _Rule(held, function)


def _held(item):
    return item.detach() if isinstance(item, Tensor) else item


def _layer_norm(func: Callable) -> Callable:
    def with_held_scale(input, normalized_shape, weight=None, bias=None, eps=1e-5, *_):
        over = tuple(range(-len(normalized_shape), 0))
        centred = input - input.mean(over, keepdim=True)
        scale = centred.square().mean(over, keepdim=True).add(eps).rsqrt().detach()
        normal = centred * scale
        normal = normal if weight is None else normal * weight
        return normal if bias is None else normal + bias

    return with_held_scale


def _gated(func: Callable) -> Callable:
    """A smooth activation as its input times a gate: that of GELU is Phi, of SiLU the sigmoid."""

    def with_held_gate(input, *args, **kwargs):
        point = input.detach()
        gate = torch.where(point == 0, 0.5, func(point.clone(), *args, **kwargs) / point)
        return input * gate

    return with_held_gate


_RULES = {
    "softmax": _detaching((0, "input")),
    "scaled_dot_product_attention": _detaching((0, "query"), (1, "key"), (3, "attn_mask")),
    "multi_head_attention_forward": _detaching((0, "query"), (1, "key")),
    "layer_norm": _Rule((), _layer_norm),
    "gelu": _Rule((), _gated),
    "silu": _Rule((), _gated),
}
# Where these are told how much to drop.
_DROPS = {
    "scaled_dot_product_attention": (4, "dropout_p", 0.0),
    "multi_head_attention_forward": (10, "dropout_p", 0.0),
}


def frozen(graph: Graph) -> Graph:
    """The run with the factors of attention, layer norm, GELU and SiLU held at its input.

    Replayed on an input, its value is the network's there; its derivative is that of the map with
    these factors held. Problems are left where something else is not piecewise affine.
    """
    live = _live(graph)
    nodes = [_with_held(node, live) for node in graph.nodes]
    wanted = {graph.output}
    for at, node in reversed(list(enumerate(graph.nodes))):
        if node.activation is not None or not wanted.isdisjoint(node.outputs):
            wanted |= _affine_inputs(node) & live
        elif _repeats(node):  # only held factors follow from it
            nodes[at] = replace(nodes[at], problem="")
    maker = {value: node for node in nodes for value in node.outputs}
    return replace(graph, nodes=nodes, maker=maker)


def _live(graph: Graph) -> set[int]:
    """Values that move with the input when the factors are held."""
    live = {0}
    for node in graph.nodes:
        if not live.isdisjoint(_affine_inputs(node)):
            live.update(node.outputs)
    return live


def _affine_inputs(node: Node) -> set[int]:
    """The values of a call that do not only give factors that are held."""
    held = _RULES[node.name].held if node.name in _RULES else ()
    positions, names = {position for position, _ in held}, {name for _, name in held}
    if not held:
        return set(node.inputs)
    args = [item for at, item in enumerate(node.args) if at not in positions]
    kwargs = [item for name, item in node.kwargs.items() if name not in names]
    return {item.index for item in tree_leaves((args, kwargs)) if isinstance(item, Value)}


def _with_held(node: Node, live: set[int]) -> Node:
    """The call with its factors held, without a problem where that makes it affine."""
    if not _repeats(node):
        return node
    if node.name in _RULES:
        return replace(node, func=_RULES[node.name].function(node.func), problem="")
    moving = [index for index in node.inputs if index in live]
    affine = node.name in PRODUCTS and len(moving) == 1
    if node.name in QUOTIENTS:
        divisor = argument(node.args, node.kwargs, 1, "other")
        affine = len(moving) == 1 and not (isinstance(divisor, Value) and divisor.index in live)
        affine = affine and not node.kwargs.get("rounding_mode")
    return replace(node, problem="") if affine or not moving else node


def _repeats(node: Node) -> bool:
    """Whether a call is seen whole, and gives the same when it is run again."""
    drops = node.name in _DROPS and argument(node.args, node.kwargs, *_DROPS[node.name])
    if node.name == "multi_head_attention_forward":
        drops = drops and argument(node.args, node.kwargs, 13, "training", True)
    seen = bool(node.inputs and node.outputs)
    return seen and not drops and node.problem != random(node.name, node.module)


def check_smooth(graph: Graph, smooth: str) -> None:
    """Refuse what a caller did not say how to treat, and name what no cut stands for.

    Raises
    ------
    NotPiecewiseAffine
        For ``"raise"`` where an operation is not piecewise affine, for ``"freeze"`` where it is
        not with held factors either.
    """
    if smooth == "raise":
        graph.check_piecewise_affine()
    elif smooth == "freeze":
        frozen(graph).check_piecewise_affine()
    elif smooth == "sign":
        left = [f"{node.name!r} in {where(node.module)}" for node in graph.nodes if node.problem]
        if left:
            more = f" and {len(left) - 1} more operations" if len(left) > 1 else ""
            warn(
                f"smooth='sign' reads smooth activations as cuts. It leaves {left[0]}{more} out of "
                "the code, which are neither piecewise affine nor activations. Pass "
                "smooth='freeze' to hold attention and norms at the input, or smooth='ignore' to "
                "leave all such operations out without this warning"
            )
