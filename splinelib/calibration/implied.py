"""What layers read, as a network's weights and batch norms imply it, without a single input.

The channels that a layer reads are described by their means and covariances over inputs and
positions. They are carried from layer to layer: through a linear map exactly; through a batch norm,
whose own shift and scale say what mean and deviation it gives; through an activation as if what
enters it were jointly Gaussian, for which there are closed forms. The network's inputs are taken to
be uncorrelated and of variance 1, positions of an image to be independent. Taps of a kernel that
fall on zero padding read nothing; how often each does is counted. A value's channels are its
dimension 1. Where they get lost, behind a transposition or a product of two values, a batch norm
further on starts anew.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..network.activations import SMOOTH, Activation, argument
from ..network.graph import Graph, Node
from ..network.surroundings import undisturbed
from ..network.trace import record
from .gaussian import after_activation, after_smooth, correlation
from .padding import Masks, own, padded, taps_inside

_SAME = {
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "contiguous", "clone"),
    # Of independent positions a mean has the same correlations between channels; one common
    # factor of all variances is of no account.
    *("avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
}
_LAYERS = {"linear", "conv1d", "conv2d", "conv3d"}
# What gives the network's inputs another shape: they are uncorrelated as before.
_RESHAPING = {
    *("getitem", "unsqueeze", "squeeze", "view", "reshape", "permute", "transpose", "movedim"),
    *("flatten", "unflatten"),
}
# Of more channels than these no covariances are kept: 128 MB.
_MOST = 4096


class Implied(NamedTuple):
    """Moments of the channels of a value.

    Attributes
    ----------
    mean : Tensor, shape (C,), float64
    covariance : Tensor, shape (C, C), float64
    repeat : int
        Columns that a linear layer reads of each channel, behind a flatten; else 1.
    masks : tuple of Tensor, or None
        Along each axis which positions are the value's own and which are zeros that pad it; None:
        all are its own.
    inside : Tensor, shape (k, k), or None
        Of what a layer with k taps reads: how often two taps are both on its own positions, as
        `padding.taps_inside` gives it. None: always.
    """

    mean: Tensor
    covariance: Tensor
    repeat: int = 1
    masks: Masks | None = None
    inside: Tensor | None = None

    def seen_through(self, weight: Tensor) -> "Implied":
        """The same with the covariance by which a layer that reads it misses a rebuilt channel.

        A bias takes over what a channel is on average, but where taps fall on padding that is not
        the same at all positions. Let r_t be 1 where tap t is inside and else 0. For one channel
        and the weight w of one output, the error is ``sum_t E[r_t] w_t^2`` times the variance that
        is not rebuilt, and ``Var(sum_t r_t w_t)`` times the square of the mean that is not: so a
        covariance in which means count by the ratio of these two says both.

        Parameters
        ----------
        weight : Tensor, shape (out, channels, k), float64
            Of the layer, for the channels that are rebuilt.
        """
        if self.inside is None or not (size := self.counted(weight).square().sum()):
            return self
        share = self.inside.diagonal()
        spread = self.inside - torch.outer(share, share)
        ratio = torch.einsum("oct,ts,ocs->", weight, spread, weight) / size
        means = torch.outer(self.mean, self.mean)
        return self._replace(covariance=self.covariance + ratio * means)

    def counted(self, weight: Tensor) -> Tensor:
        """A weight (out, channels, k) whose taps are as large as what they read of the value.

        Its squares are those of the weight, times the share of positions at which a tap is inside.
        """
        return weight if self.inside is None else weight * self.inside.diagonal().sqrt()

    def total(self, weight: Tensor) -> Tensor:
        """Of a weight (out, channels, k), what its taps add to a constant, (out, channels)."""
        return weight.sum(2) if self.inside is None else weight @ self.inside.diagonal()


@undisturbed("model")
def implied_reads(model: nn.Module, example: Tensor) -> dict[str, Implied]:
    """Moments of what each convolution and linear layer reads, as the network implies them.

    Parameters
    ----------
    model : torch.nn.Module
        Run once, in evaluation mode, to see what calls what; given back as it was.
    example : Tensor, shape (N, ...)
        An input of the shape that the model takes. Its values are not looked at.

    Returns
    -------
    dict of str to Implied
        By name of the layer, on the device of the model. Layers behind an operation that mixes
        channels in another way (attention, a product of two values) are left out, up to the next
        batch norm: what is behind one has the mean and the deviation that it gives.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    >>> net[0].weight.data, net[0].bias.data = torch.tensor([[3.0, 4.0]]), torch.zeros(1)
    >>> read = implied_reads(net, torch.zeros(1, 2))["2"]  # the ReLU of a Gaussian of deviation 5
    >>> round(read.mean.item() * (2 * torch.pi) ** 0.5, 6)
    5.0
    """
    return reads_along(record(model, example, "ignore"), next(model.parameters()).device)


@torch.no_grad()
def reads_along(graph: Graph, device: torch.device) -> dict[str, Implied]:
    """`implied_reads` of a network whose run is recorded already."""
    if len(graph.shapes[0]) < 2:
        return {}
    first, unread = _input(graph.shapes[0], device), {0}
    values = {} if first is None else {0: first}
    reads: dict[str, Implied] = {}
    for node in graph.nodes:
        inputs = [values.get(index) for index in node.inputs]
        result = None
        if inputs and not any(value is None for value in inputs):
            if node.name in _LAYERS and _reads_channels(graph, node, inputs[0]):
                reads[node.module] = _read(graph, node, inputs[0])
                inputs = [reads[node.module]]
            result = _passed(graph, node, inputs)
        if node.name in _RESHAPING and {*node.inputs} <= unread and len(node.outputs) == 1:
            unread.update(node.outputs)
            result = result or _input(graph.shapes[node.outputs[0]], device)
        if result is None and node.name == "batch_norm":
            result = _restarted(node, device)
        if result is not None and _fits(graph.shapes[node.outputs[0]], result):
            values.update(dict.fromkeys(node.outputs, result))
    return reads


def _input(shape: Sequence[int], device: torch.device) -> Implied | None:
    """The network's inputs in a shape (N, C, ...): uncorrelated channels of variance 1."""
    if len(shape) < 2 or (shape[1] > _MOST and len(shape) > 2):
        return None
    # Many values of one row are as well taken for one channel, seen so many times.
    channels, repeat = (shape[1], 1) if shape[1] <= _MOST else (1, shape[1])
    one = torch.eye(channels, dtype=torch.float64, device=device)
    return Implied(torch.zeros_like(one[0]), one, repeat)


def _passed(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """Moments of what a call makes; None where they cannot be told."""
    if node.activation is not None:
        return _activated(node.activation, inputs[0]) if len(inputs) == 1 else None
    if node.name in _SAME:
        moved = graph.shapes[node.inputs[0]] != graph.shapes[node.outputs[0]]
        return inputs[0]._replace(masks=None) if moved else inputs[0]
    follow = _RULES.get(node.name)
    return None if follow is None else follow(graph, node, inputs)


def _fits(shape: tuple[int, ...], value: Implied) -> bool:
    """Whether dimension 1 of a value can be the channels that the moments are of."""
    return len(shape) > 1 and shape[1] == len(value.mean) * value.repeat


def _reads_channels(graph: Graph, node: Node, value: Implied) -> bool:
    """Whether a layer mixes the channels: a linear one reads the last dimension, whatever it is."""
    shape = graph.shapes[node.inputs[0]]
    if node.name == "linear":
        return len(shape) == 2 and _fits(shape, value)
    return len(shape) > 2 and value.repeat == 1 and _fits(shape, value)


def taps(layer_weight: Tensor, read: Implied) -> Tensor:
    """A weight as (out, channels, k), k taps of a kernel or places behind a flatten, float64."""
    weight = layer_weight.detach().double()
    if weight.ndim == 2:
        return weight.reshape(len(weight), len(read.mean), read.repeat)
    return weight.reshape(*weight.shape[:2], -1)


def output_variance(weight: Tensor, covariance: Tensor) -> Tensor:
    """Variance of each output of a weight (out, channels, k) on independent taps, shape (out,)."""
    return torch.einsum("oct,cd,odt->o", weight, covariance, weight)


def _layer(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    (read,) = inputs
    if not _reads_channels(graph, node, read):
        return None
    bias = argument(node.args, node.kwargs, 2, "bias")
    groups = 1 if node.name == "linear" else argument(node.args, node.kwargs, 6, "groups", 1)
    weight = _full(taps(argument(node.args, node.kwargs, 1, "weight"), read), groups)
    mean = read.total(weight) @ read.mean
    each = read.counted(weight)
    covariance = torch.einsum("oct,cd->odt", each, read.covariance).flatten(1) @ each.flatten(1).T
    if read.inside is not None:  # means differ from position to position
        means = torch.einsum("oct,c->ot", weight, read.mean)
        covariance += means @ read.inside @ means.T - torch.outer(mean, mean)
    return Implied(mean if bias is None else mean + bias.detach(), covariance)


def _read(graph: Graph, node: Node, value: Implied) -> Implied:
    """What a layer reads of a value, with how often its taps are inside of it."""
    if node.name == "linear":
        return value
    weight, stride, padding, dilation = (
        argument(node.args, node.kwargs, at, name, default)
        for at, name, default in (
            *((1, "weight", None), (3, "stride", 1)),
            *((4, "padding", 0), (5, "dilation", 1)),
        )
    )
    masks = value.masks or own(graph.shapes[node.inputs[0]][2:])
    inside = taps_inside(masks, weight.shape[2:], stride, padding, dilation)
    always = bool((inside == 1).all())
    return value._replace(masks=None, inside=None if always else inside.to(weight.device))


def _padded(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """Zeros, or copies of its own, around the positions of a value."""
    (value,) = inputs
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


def _full(weight: Tensor, groups: int) -> Tensor:
    """The weight of a grouped convolution with zeros for the channels that it does not read."""
    if groups == 1:
        return weight
    blocks = [torch.block_diag(*tap.chunk(groups)) for tap in weight.unbind(2)]
    return torch.stack(blocks, 2)


def _batch_norm(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    (value,) = inputs
    given = _given(node)
    if given is None or len(given[0]) != len(value.mean):
        return None
    mean, scale = given
    return Implied(mean, correlation(value.covariance) * torch.outer(scale, scale), value.repeat)


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


def _restarted(node: Node, device: torch.device) -> Implied | None:
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
        return Implied(one.mean + factor * number, one.covariance, one.repeat)
    if node.inputs[0] == node.inputs[1]:
        return _times(one, 1 + factor)
    two = inputs[1]
    if len(inputs) != 2 or (len(one.mean), one.repeat) != (len(two.mean), two.repeat):
        return None
    covariance = one.covariance + factor**2 * two.covariance
    return Implied(one.mean + factor * two.mean, covariance, one.repeat)


def _scaled(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """A value times or through a number."""
    number = argument(node.args, node.kwargs, 1, "other")
    if len(inputs) != 1 or not isinstance(number, (int, float)):
        return None
    if node.name in {"mul", "rmul", "multiply"}:
        return _times(inputs[0], number)
    return _times(inputs[0], 1 / number) if number else None


def _times(value: Implied, factor: float) -> Implied:
    return Implied(factor * value.mean, factor**2 * value.covariance, value.repeat)


def _joined(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    dim = argument(node.args, node.kwargs, 1, "dim", 0)
    if dim != 1 or len({value.repeat for value in inputs}) > 1:
        return None
    covariance = torch.block_diag(*(value.covariance for value in inputs))
    return Implied(torch.cat([value.mean for value in inputs]), covariance, inputs[0].repeat)


def _flattened(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """A reshape to one row of features per input, channels one after another."""
    (value,) = inputs
    before, after = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    if before == after:
        return value
    if len(after) != 2 or before[0] != after[0] or before[1] != len(value.mean) * value.repeat:
        return None
    return Implied(value.mean, value.covariance, after[1] // len(value.mean))


def _averaged(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """A mean over all positions of a channel."""
    (value,) = inputs
    before = graph.shapes[node.inputs[0]]
    dims = argument(node.args, node.kwargs, 1, "dim")
    dims = [dims] if isinstance(dims, int) else list(dims or ())
    positions = list(range(2, len(before)))
    return value if sorted(dim % len(before) for dim in dims) == positions else None


def _smooth(graph: Graph, node: Node, inputs: list[Implied]) -> Implied:
    """A smooth function of each value."""
    (value,) = inputs

    def function(places: Tensor) -> Tensor:
        values = {node.inputs[0]: places}
        node.run(values, len(places))
        return values[node.outputs[0]]

    mean, covariance = after_smooth(value.mean, value.covariance, function)
    return Implied(mean, covariance, value.repeat)


_RULES: dict[str, Callable[[Graph, Node, list[Implied]], Implied | None]] = {
    **dict.fromkeys(_LAYERS, _layer),
    "batch_norm": _batch_norm,
    **dict.fromkeys(("add", "radd", "sub"), _sum),
    **dict.fromkeys(("mul", "rmul", "multiply", "div", "truediv"), _scaled),
    **dict.fromkeys(SMOOTH, _smooth),
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined),
    **dict.fromkeys(("flatten", "view", "reshape", "squeeze"), _flattened),
    "mean": _averaged,
    "pad": _padded,
}


def _activated(activation: Activation, value: Implied) -> Implied | None:
    if activation.pool is not None:  # the largest of independent positions: as one of them
        return value
    if not activation.slopes:  # a smooth one
        return None
    slopes = [
        slope.detach().double().flatten() if isinstance(slope, Tensor) else slope
        for slope in activation.slopes
    ]
    lengths = {len(slope) for slope in slopes if isinstance(slope, Tensor)}
    if lengths - {1, len(value.mean)}:  # of places behind a flatten, say
        return None
    mean, covariance = after_activation(
        value.mean, value.covariance, activation.breakpoints, slopes
    )
    dtype = next((s.dtype for s in activation.slopes if isinstance(s, Tensor)), mean.dtype)
    at_zero = activation.call(torch.zeros(1, len(mean), dtype=dtype, device=mean.device))[0]
    return Implied(mean + at_zero.double(), covariance, value.repeat)
