"""What each operation makes of the moments of the channels that enter it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..network.activations import SMOOTH, Activation, argument
from ..network.graph import ROWS, Graph, Node
from .gaussian import after_activation, after_smooth, correlation
from .implied_moments import Implied, output_covariance, taps
from .neighbours import MOST_TAPS, UNTOLD, activation_slopes, taps_alike, told_by_statistics
from .padding import each_axis, own, padded, taps_inside

_SAME = {
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "contiguous", "clone"),
    # Of independent positions a mean has the same correlations between channels; one common
    # factor of all variances is of no account.
    *("avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
}
LAYERS = {"linear", "conv1d", "conv2d", "conv3d"}


def passed(graph: Graph, node: Node, inputs: Sequence[Implied]) -> Implied | None:
    """Moments of what a call makes.

    Parameters
    ----------
    graph : Graph
        The recorded run.
    node : Node
        The call.
    inputs : sequence of Implied
        Of the values that it takes. Of a layer among `LAYERS`, what `read_by` gives.

    Returns
    -------
    Implied or None
        None where they cannot be told.
    """
    if node.activation is not None:
        return _activated(node.activation, inputs[0]) if len(inputs) == 1 else None
    if node.name in _SAME:
        moved = graph.shapes[node.inputs[0]] != graph.shapes[node.outputs[0]]
        if moved and inputs[0].dim != 1:
            return None
        return inputs[0]._replace(masks=None) if moved else inputs[0]
    follow = _RULES.get(node.name)
    return None if follow is None else follow(graph, node, inputs)


def fits(shape: Sequence[int], value: Implied) -> bool:
    """Whether a dimension of a value of this shape can be the channels that the moments are of."""
    return len(shape) > value.dim and shape[value.dim] == len(value.mean) * value.repeat


def reads_channels(graph: Graph, node: Node, value: Implied) -> bool:
    """Whether a layer mixes the channels: a linear one reads the last dimension, whatever it is."""
    shape = graph.shapes[node.inputs[0]]
    if not fits(shape, value):
        return False
    if node.name == "linear":
        return value.dim == len(shape) - 1
    return value.dim == 1 and len(shape) > 2 and value.repeat == 1


def _layer(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    (read,) = inputs
    if not reads_channels(graph, node, read):
        return None
    bias = argument(node.args, node.kwargs, 2, "bias")
    weight = taps(argument(node.args, node.kwargs, 1, "weight"), read)
    mean = read.constant(weight)
    covariance = output_covariance(read.counted(weight), read.covariance)
    moved = read.from_means(weight)
    covariance = covariance if moved is None else covariance + moved
    return Implied(mean if bias is None else mean + bias.detach(), covariance, dim=read.dim)


def read_by(graph: Graph, node: Node, value: Implied) -> Implied:
    """What a layer reads of a value.

    With how often its taps are inside of it, and how much alike what they read is.

    Parameters
    ----------
    graph : Graph
    node : Node
        A call of one of `LAYERS` that `reads_channels`.
    value : Implied
    """
    if node.name == "linear":
        return value
    weight, bias, stride, padding, dilation = (
        argument(node.args, node.kwargs, at, name, default)
        for at, name, default in (
            *((1, "weight", None), (2, "bias", None), (3, "stride", 1)),
            *((4, "padding", 0), (5, "dilation", 1)),
        )
    )
    kernel = weight.shape[2:]
    apart = each_axis(dilation, len(kernel))
    masks = value.masks or own(graph.shapes[node.inputs[0]][2:])
    inside = taps_inside(masks, kernel, stride, padding, dilation)
    always = bool((inside == 1).all())
    read = value._replace(masks=None, inside=None if always else inside.to(weight.device))
    if not 1 < kernel.numel() <= MOST_TAPS:
        return read
    recorded, between = _recorded_behind(graph, node)
    neighbours = UNTOLD
    if recorded is not None:
        given = read, taps(weight, read), bias, kernel, apart
        neighbours = told_by_statistics(*given, recorded, between)
    return read._replace(alike=taps_alike(kernel, apart, neighbours).to(weight.device))


def _recorded_behind(graph: Graph, node: Node) -> tuple[Tensor | None, Activation | None]:
    """Variances that a batch norm behind a layer has recorded, if any, and what lies between."""
    readers = graph.readers(node.outputs[0])
    between = None
    if len(readers) == 1 and (found := readers[0].activation) is not None:
        if found.pool is not None or not found.slopes:
            return None, None
        between, readers = found, graph.readers(readers[0].outputs[0])
    norm = next((reader for reader in readers if reader.name == "batch_norm"), None)
    variance = None if norm is None else argument(norm.args, norm.kwargs, 2, "running_var")
    return variance, between


def _padded(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """Zeros, or copies of its own, around the positions of a value."""
    (value,) = inputs
    if value.dim != 1:
        return None
    widths = [*argument(node.args, node.kwargs, 1, "pad")]
    mode = argument(node.args, node.kwargs, 2, "mode", "constant")
    positions = graph.shapes[node.inputs[0]][2:]
    if any(widths[2 * len(positions) :]):  # of the channels
        return None
    if mode != "constant":
        return value._replace(masks=None)
    if argument(node.args, node.kwargs, 3, "value"):
        return None
    masks = padded(value.masks or own(positions), widths[: 2 * len(positions)])
    return value._replace(masks=masks)


def _batch_norm(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    (value,) = inputs
    given = _given(node)
    if given is None or value.dim != 1 or len(given[0]) != len(value.mean):
        return None
    mean, scale = given
    return value.become(mean, correlation(value.covariance) * torch.outer(scale, scale))


def _given(node: Node) -> tuple[Tensor, Tensor] | None:
    """The mean and the signed deviation that a batch norm gives; None without statistics."""
    _, variance, gamma, beta = (
        argument(node.args, node.kwargs, i, name)
        for i, name in enumerate(("running_mean", "running_var", "weight", "bias"), start=1)
    )
    if variance is None:
        return None
    variance = variance.double()
    scale = (variance / (variance + argument(node.args, node.kwargs, 7, "eps", 1e-5))).sqrt()
    scale = scale if gamma is None else scale * gamma.detach()
    return torch.zeros_like(variance) if beta is None else beta.detach().double(), scale


def restarted(node: Node, device: torch.device) -> Implied | None:
    """Behind a batch norm that reads what nobody knows: its channels, taken as uncorrelated."""
    given = _given(node)
    if given is None:
        return None
    mean, scale = given
    return Implied(mean.to(device), scale.square().diag().to(device))


def _sum(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """Two values that are added are taken to be uncorrelated, unless they are the same one."""
    factor = argument((), node.kwargs, 0, "alpha", 1) * (-1 if node.name == "sub" else 1)
    one = inputs[0]
    if len(inputs) == 1:
        number = argument(node.args, node.kwargs, 1, "other")
        if not isinstance(number, (int, float)):
            return None
        return one.become(one.mean + factor * number, one.covariance)
    if node.inputs[0] == node.inputs[1]:
        return _times(one, 1 + factor)
    two = inputs[1]
    if len(inputs) != 2 or _columns(one) != _columns(two):
        return None
    covariance = one.covariance + factor**2 * two.covariance
    return one.become(one.mean + factor * two.mean, covariance)


def _scaled(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """A value times or through a number."""
    number = argument(node.args, node.kwargs, 1, "other")
    if len(inputs) != 1 or not isinstance(number, (int, float)):
        return None
    if node.name in {"mul", "rmul", "multiply"}:
        return _times(inputs[0], number)
    return _times(inputs[0], 1 / number) if number else None


def _columns(value: Implied) -> tuple:
    """Where in a value its channels lie."""
    return len(value.mean), value.repeat, value.dim, value.by_place


def _times(value: Implied, factor: float) -> Implied:
    return value.become(factor * value.mean, factor**2 * value.covariance)


def _joined(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    dim = argument(node.args, node.kwargs, 1, "dim", 0) % len(graph.shapes[node.inputs[0]])
    one = inputs[0]
    if any((value.repeat, value.dim) != (one.repeat, dim) or value.by_place for value in inputs):
        return None
    covariance = torch.block_diag(*(value.covariance for value in inputs))
    return one.become(torch.cat([value.mean for value in inputs]), covariance)


def _flattened(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """A reshape to one row of features per input."""
    (value,) = inputs
    before, after = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    if before == after:
        return value
    if len(after) != 2 or before[0] != after[0] or not fits(before, value):
        return None
    # One channel after another, or, where channels are the last dimension, one place after another.
    by_place = value.dim == len(before) - 1 > 1
    if value.dim != 1 and not by_place:
        return None
    repeat = after[1] // len(value.mean)
    return Implied(value.mean, value.covariance, repeat, by_place=by_place or value.by_place)


def _moved(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """Dimensions in another order: the channels lie along another one."""
    (value,) = inputs
    count = len(graph.shapes[node.inputs[0]])
    # A size of each dimension's own shows where it goes.
    values = {node.inputs[0]: torch.empty([ROWS, *range(ROWS + 1, ROWS + count)], device="meta")}
    node.run(values, ROWS)
    after = values[node.outputs[0]].shape
    if after[0] != ROWS:
        return None
    dim = after.index(ROWS + value.dim)
    return value if dim == value.dim == 1 else value.become(*value[:2])._replace(dim=dim)


def _averaged(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """A mean over all positions of a channel."""
    (value,) = inputs
    before, after = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    dims = argument(node.args, node.kwargs, 1, "dim")
    dims = [dims] if isinstance(dims, int) else list(dims or ())
    positions = [dim for dim in range(1, len(before)) if dim != value.dim]
    if sorted(dim % len(before) for dim in dims) != positions:
        return None
    return value if len(after) == len(before) else value._replace(masks=None, dim=1)


def _smooth(graph: Graph, node: Node, inputs: list[Implied]) -> Implied:
    """A smooth function of each value."""
    (value,) = inputs

    def function(places: Tensor) -> Tensor:
        values = {node.inputs[0]: places}
        node.run(values, len(places))
        return values[node.outputs[0]]

    mean, covariance = after_smooth(value.mean, value.covariance, function)
    return value.become(mean, covariance)


_RULES: dict[str, Callable[[Graph, Node, list[Implied]], Implied | None]] = {
    **dict.fromkeys(LAYERS, _layer),
    "batch_norm": _batch_norm,
    **dict.fromkeys(("add", "radd", "sub"), _sum),
    **dict.fromkeys(("mul", "rmul", "multiply", "div", "truediv"), _scaled),
    **dict.fromkeys(SMOOTH, _smooth),
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined),
    **dict.fromkeys(("flatten", "view", "reshape", "squeeze"), _flattened),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims", "permute", "movedim"), _moved),
    "mean": _averaged,
    "pad": _padded,
}


def _activated(activation: Activation, value: Implied) -> Implied | None:
    if activation.pool is not None:  # the largest of some positions: as one of them
        return value._replace(masks=None) if value.dim == 1 else None
    if not activation.slopes:  # a smooth one
        return None
    slopes = activation_slopes(activation)
    lengths = {len(slope) for slope in slopes if isinstance(slope, Tensor)}
    if lengths - {1, len(value.mean)} or (value.dim != 1 and lengths - {1}):
        return None  # of places behind a flatten, say
    mean, covariance = after_activation(
        value.mean, value.covariance, activation.breakpoints, slopes
    )
    dtype = next((s.dtype for s in activation.slopes if isinstance(s, Tensor)), mean.dtype)
    at_zero = activation.call(torch.zeros(1, len(mean), dtype=dtype, device=mean.device))[0]
    return value.become(mean + at_zero.double(), covariance)
