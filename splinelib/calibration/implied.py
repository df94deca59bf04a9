"""What layers read, as a network's weights and batch norms imply it, without a single input.

The channels that a layer reads are described by their means and covariances over inputs and
positions. They are carried from layer to layer: through a linear map exactly; through a batch norm,
whose own shift and scale say what mean and deviation it gives; through an activation as if what
enters it were jointly Gaussian, for which there are closed forms. The network's inputs are taken to
be uncorrelated and of variance 1, positions of an image to be independent.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..network.activations import Activation, argument
from ..network.trace import Graph, Node, record

# Terms of the series by which correlations pass an activation. What is left is given to the
# diagonal and to units that are nearly the same, whose terms fall off slowest.
_TERMS = 40
_TINY = 1e-24

_SAME = {
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "contiguous", "clone"),
    # Of independent positions a mean has the same correlations between channels; one common
    # factor of all variances is of no account.
    *("avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
}
_LAYERS = {"linear", "conv1d", "conv2d", "conv3d"}


class Implied(NamedTuple):
    """Moments of the channels of a value.

    Attributes
    ----------
    mean : Tensor, shape (C,), float64
    covariance : Tensor, shape (C, C), float64
    repeat : int
        Columns that a linear layer reads of each channel, behind a flatten; else 1.
    """

    mean: Tensor
    covariance: Tensor
    repeat: int = 1


@torch.no_grad()
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
        channels in another way (attention, a product of two values) are left out.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    >>> net[0].weight.data, net[0].bias.data = torch.tensor([[3.0, 4.0]]), torch.zeros(1)
    >>> read = implied_reads(net, torch.zeros(1, 2))["2"]  # the ReLU of a Gaussian of deviation 5
    >>> round(read.mean.item() * math.sqrt(2 * math.pi), 6)
    5.0
    """
    graph = record(model, example, "ignore")
    channels = graph.shapes[0][1]
    device = next(model.parameters()).device
    values = {
        0: Implied(
            torch.zeros(channels, dtype=torch.float64, device=device),
            torch.eye(channels, dtype=torch.float64, device=device),
        )
    }
    reads: dict[str, Implied] = {}
    for node in graph.nodes:
        inputs = [values.get(index) for index in node.inputs]
        if not inputs or any(value is None for value in inputs):
            continue
        if node.name in _LAYERS:
            reads[node.module] = inputs[0]
        result = _passed(graph, node, inputs)
        if result is not None:
            values.update(dict.fromkeys(node.outputs, result))
    return reads


def _passed(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """Moments of what a call makes; None where they cannot be told."""
    if node.activation is not None:
        return _activated(node.activation, inputs[0]) if len(inputs) == 1 else None
    if node.name in _SAME:
        return inputs[0]
    follow = _RULES.get(node.name)
    return None if follow is None else follow(graph, node, inputs)


def taps(layer_weight: Tensor, read: Implied) -> Tensor:
    """A weight as (out, channels, k), k taps of a kernel or places behind a flatten, float64."""
    weight = layer_weight.detach().double()
    if weight.ndim == 2:
        return weight.reshape(len(weight), len(read.mean), read.repeat)
    return weight.reshape(*weight.shape[:2], -1)


def output_variance(weight: Tensor, covariance: Tensor) -> Tensor:
    """Variance of each output of a weight (out, channels, k) on independent taps, shape (out,)."""
    return torch.einsum("oct,cd,odt->o", weight, covariance, weight)


def _layer(graph: Graph, node: Node, inputs: list[Implied]) -> Implied:
    (read,) = inputs
    bias = argument(node.args, node.kwargs, 2, "bias")
    groups = 1 if node.name == "linear" else argument(node.args, node.kwargs, 6, "groups", 1)
    weight = _full(taps(argument(node.args, node.kwargs, 1, "weight"), read), groups)
    mean = weight.sum(2) @ read.mean
    covariance = sum(tap @ read.covariance @ tap.T for tap in weight.unbind(2))
    return Implied(mean if bias is None else mean + bias.detach(), covariance)


def _full(weight: Tensor, groups: int) -> Tensor:
    """The weight of a grouped convolution with zeros for the channels that it does not read."""
    if groups == 1:
        return weight
    blocks = [torch.block_diag(*tap.chunk(groups)) for tap in weight.unbind(2)]
    return torch.stack(blocks, 2)


def _batch_norm(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    (value,) = inputs
    _, variance, gamma, beta = (
        argument(node.args, node.kwargs, i, name)
        for i, name in enumerate(("running_mean", "running_var", "weight", "bias"), start=1)
    )
    if variance is None:
        return None
    variance = variance.double()
    scale = (variance / (variance + argument(node.args, node.kwargs, 7, "eps", 1e-5))).sqrt()
    scale = scale if gamma is None else scale * gamma.detach()
    mean = torch.zeros_like(variance) if beta is None else beta.detach().double()
    return Implied(mean, _correlation(value.covariance) * torch.outer(scale, scale), value.repeat)


def _sum(graph: Graph, node: Node, inputs: list[Implied]) -> Implied | None:
    """Two values that are added are taken to be uncorrelated."""
    if len(inputs) != 2 or len(inputs[0].mean) != len(inputs[1].mean):
        return None
    one, two = inputs
    sign = -1 if node.name == "sub" else 1
    return Implied(one.mean + sign * two.mean, one.covariance + two.covariance, one.repeat)


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
    return value if graph.shapes[node.outputs[0]][1:] == (len(value.mean),) else None


_RULES: dict[str, Callable[[Graph, Node, list[Implied]], Implied | None]] = {
    **dict.fromkeys(_LAYERS, _layer),
    "batch_norm": _batch_norm,
    **dict.fromkeys(("add", "radd", "sub"), _sum),
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined),
    **dict.fromkeys(("flatten", "view", "reshape", "squeeze"), _flattened),
    "mean": _averaged,
}


def _correlation(covariance: Tensor) -> Tensor:
    deviation = covariance.diagonal().clamp(min=_TINY).sqrt()
    return (covariance / torch.outer(deviation, deviation)).clamp(-1, 1)


def _activated(activation: Activation, value: Implied) -> Implied | None:
    if activation.pool is not None:  # the largest of independent positions: as one of them
        return value
    if not activation.slopes:  # a smooth one
        return None
    slopes = [
        slope.detach().double().flatten() if isinstance(slope, Tensor) else slope
        for slope in activation.slopes
    ]
    mean, covariance = after_activation(
        value.mean, value.covariance, activation.breakpoints, slopes
    )
    at_zero = activation.call(torch.zeros(1, len(mean), device=mean.device))[0]
    return Implied(mean + at_zero, covariance, value.repeat)


def after_activation(
    mean: Tensor, covariance: Tensor, breakpoints: Sequence[float], slopes: Sequence[float | Tensor]
) -> tuple[Tensor, Tensor]:
    """Moments of a piecewise affine function of jointly Gaussian values.

    Correlations pass by Mehler's series: if f has the Hermite coefficients c_k for one unit and
    d_k for another, their covariance behind f is the sum of ``c_k d_k rho^k`` over k >= 1. Of a
    function that bends by ``a`` at ``b`` the coefficients have closed forms, with phi and Phi the
    normal density and distribution at t = (b - mean) / deviation: ``c_1`` is the deviation times
    the mean slope, ``c_k`` is a times the deviation times phi(t) He_{k-2}(t) / sqrt(k!). (For a
    ReLU of centred values this is the arc-cosine kernel, Cho and Saul, NeurIPS 2009.)

    Parameters
    ----------
    mean : Tensor, shape (C,), float64
    covariance : Tensor, shape (C, C), float64
    breakpoints, slopes
        As in `Activation`. The mean is that of the function with these slopes that is 0 at 0.

    Returns
    -------
    mean : Tensor, shape (C,)
    covariance : Tensor, shape (C, C)
        Its diagonal is exact; beside it the series is cut after 40 terms, and the rest is taken to
        fall with the correlation as the last term does.

    Examples
    --------
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> mean, variance = after_activation(one[0] * 0, one, (0.0,), (0.0, 1.0))
    >>> round((variance + mean**2).item(), 12)  # half of the second moment
    0.5
    """
    deviation = covariance.diagonal().clamp(min=_TINY).sqrt()
    bends = [
        (at, after - before)
        for at, before, after in zip(breakpoints, slopes, slopes[1:], strict=False)
    ]
    coefficients = torch.zeros(_TERMS + 1, len(mean), dtype=mean.dtype, device=mean.device)
    coefficients[1] = deviation * _mean_slope(mean, deviation, breakpoints, slopes)
    for at, bend in bends:
        t = (at - mean) / deviation
        before, now = torch.ones_like(t), t  # Hermite polynomials of degree k - 2 and k - 1
        scale = bend * deviation * _density(t)
        for k in range(2, _TERMS + 1):
            coefficients[k] += scale * before * math.exp(-0.5 * math.lgamma(k + 1))
            before, now = now, t * now - (k - 1) * before
    correlation = _correlation(covariance)
    result, power = torch.zeros_like(correlation), torch.ones_like(correlation)
    for k in range(1, _TERMS + 1):
        power = power * correlation
        result += torch.outer(coefficients[k], coefficients[k]) * power
    first, second = _function_moments(mean, deviation, breakpoints, slopes)
    rest = (second - first.square() - result.diagonal()).clamp(min=0).sqrt()
    return first, result + torch.outer(rest, rest) * power * correlation


def _density(t: Tensor) -> Tensor:
    return torch.exp(-t.square() / 2) / math.sqrt(2 * math.pi)


def _pieces(mean: Tensor, deviation: Tensor, breakpoints: Sequence[float]):
    """Probability, first and second moment of a standard normal between two breakpoints, each."""
    ends = [(at - mean) / deviation for at in breakpoints]
    zero = torch.zeros_like(mean)
    below = [zero, *(torch.special.ndtr(t) for t in ends), torch.ones_like(mean)]
    density = [zero, *(_density(t) for t in ends), zero]
    weighted = [zero, *(t * _density(t) for t in ends), zero]
    for left, right in zip(range(len(below) - 1), range(1, len(below)), strict=True):
        mass = below[right] - below[left]
        yield mass, density[left] - density[right], mass + weighted[left] - weighted[right]


def _mean_slope(mean: Tensor, deviation: Tensor, breakpoints, slopes) -> Tensor:
    return sum(
        slope * mass
        for slope, (mass, _, _) in zip(slopes, _pieces(mean, deviation, breakpoints), strict=True)
    )


def _function_moments(mean: Tensor, deviation: Tensor, breakpoints, slopes):
    """Mean and mean square of the function with these slopes that is 0 at 0."""
    starts = _constants(breakpoints, slopes)
    first, second = torch.zeros_like(mean), torch.zeros_like(mean)
    for slope, constant, (mass, one, two) in zip(
        slopes, starts, _pieces(mean, deviation, breakpoints), strict=True
    ):
        base, step = constant + slope * mean, slope * deviation  # f = base + step * normal
        first = first + base * mass + step * one
        second = second + base.square() * mass + 2 * base * step * one + step**2 * two
    return first, second


def _constants(breakpoints: Sequence[float], slopes: Sequence) -> list:
    """What each piece adds to slope times value, so that the function is continuous and 0 at 0."""
    constants = [0.0 * slopes[0]]
    for at, before, after in zip(breakpoints, slopes, slopes[1:], strict=False):
        constants.append(constants[-1] + (before - after) * at)
    home = sum(at < 0 for at in breakpoints)  # the piece that holds 0, where f(0) is its constant
    return [constant - constants[home] for constant in constants]
