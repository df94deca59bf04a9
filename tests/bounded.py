"""Pairs of random networks, and what a search finds outside of the bounds of their change.

    .venv/bin/python tests/bounded.py 10000

looks at so many pairs, and counts those whose change was found above its bound.
"""

import copy
import sys
from collections import Counter

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from splinelib.bounds import METHODS, change_bound, found_change

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "steep": lambda: nn.LeakyReLU(1.5),
    "prelu": nn.PReLU,
    "relu6": nn.ReLU6,
    "hardtanh": lambda: nn.Hardtanh(-0.5, 0.7),
    "abs": lambda: Function(torch.abs),
    "shrink": lambda: nn.Softshrink(0.3),
    "sigmoid": nn.Hardsigmoid,
    "by hand": lambda: Function(lambda h: torch.where(h > 0.1, h, 0.3 * h + 0.07)),
    "maximum": lambda: Function(lambda h: torch.maximum(h, 0.5 * h.flip(1))),
    "minimum": lambda: Function(lambda h: torch.minimum(h, h.new_full((1, 1), 0.2))),
}
CHANGES = ("nothing", "removed", "merged", "cut", "noise", "bias")
RADII = (0.0, 1e-3, 0.1, 1.0, 30.0)


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Residual(nn.Module):
    """A block that adds what it is given."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block = block

    def forward(self, x):
        return x + self.block(x)


class Joined(nn.Module):
    """Two branches side by side."""

    def __init__(self, one: nn.Module, two: nn.Module):
        super().__init__()
        self.one, self.two = one, two

    def forward(self, x):
        return torch.cat([self.one(x), 1 - self.two(x)], 1)


def perceptron(kind: str, widths: list[int], residual: bool) -> nn.Sequential:
    """Linear layers with one kind of activation; 3 inputs, 2 outputs."""
    modules, fan_in = [], 3
    for width in widths:
        modules += [nn.Linear(fan_in, width), ACTIVATIONS[kind]()]
        fan_in = width
    if residual:
        block = nn.Sequential(nn.Linear(fan_in, fan_in), ACTIVATIONS[kind]())
        modules += [nn.BatchNorm1d(fan_in), Residual(block)]
    return nn.Sequential(*modules, nn.Linear(fan_in, 2))


def convolutional(kind: str, channels: int, pool: str) -> nn.Sequential:
    """Convolutions, batch norm, a branch, pooling; images of 1 x 4 x 4, 2 outputs."""
    act = ACTIVATIONS["relu" if kind in {"maximum", "minimum", "prelu"} else kind]
    pools = {
        "max": nn.MaxPool2d(2),
        "overlapping": nn.MaxPool2d(3, 2, 1),
        "average": nn.AvgPool2d(2),
        "all": nn.AdaptiveMaxPool2d(1),
        "largest": Function(lambda h: h.amax((2, 3))),
    }
    branches = Joined(nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 1, 3, padding=1, bias=False))
    size = 1 if pool in {"all", "largest"} else 2
    return nn.Sequential(
        *(nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), act()),
        *(branches, act(), pools[pool], nn.Flatten(), nn.Linear(2 * size * size, 2)),
    )


def lively(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Weights and statistics that are random, in float64, evaluation mode."""
    model = model.double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    for parameter in model.parameters():
        fan_in = max(1, parameter[0].numel()) if parameter.dim() > 1 else 1
        size = (2 / fan_in) ** 0.5 if parameter.dim() > 1 else 0.4
        parameter.data.normal_(0, size, generator=generator)
    return model


@torch.no_grad()
def changed(model: nn.Module, how: str, generator: torch.Generator) -> nn.Module:
    """A copy of which something was removed, merged, cut or moved."""
    second = copy.deepcopy(model)
    layers = [m for m in second.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers[:-1]:
        if how == "removed" and len(layer.weight) > 1:
            layer.weight[0] = 0
            if layer.bias is not None:
                layer.bias[0] = 0
        elif how == "cut":
            kept = torch.rand(layer.weight.shape, generator=generator) > 0.3
            layer.weight.mul_(kept)
        elif how == "noise":
            layer.weight.add_(0.05 * torch.randn(layer.weight.shape, generator=generator))
        elif how == "bias" and layer.bias is not None:
            layer.bias.add_(0.1)
    if how == "merged" and isinstance(second[2], nn.Linear) and len(layers[0].weight) > 1:
        for first in (model, second):  # twins, or nearly
            first[0].weight[1] = 2 * first[0].weight[0]
            first[0].bias[1] = 2 * first[0].bias[0] + 1e-3
        second[2].weight[:, 0] += 2 * second[2].weight[:, 1]
        for tensor in (second[0].weight[1], second[0].bias[1:2], second[2].weight[:, 1]):
            tensor.zero_()
    return second


@st.composite
def pairs(draw):
    """Two networks of one layout, and boxes of inputs of several sizes."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    kind, how = draw(st.sampled_from(sorted(ACTIVATIONS))), draw(st.sampled_from(CHANGES))
    if draw(st.integers(0, 2)):
        widths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
        model, shape = perceptron(kind, widths, draw(st.booleans())), (3,)
    else:
        pool = draw(st.sampled_from(("max", "overlapping", "average", "all", "largest")))
        model, shape = convolutional(kind, draw(st.integers(1, 3)), pool), (1, 4, 4)
    first = lively(model, generator)
    second = changed(first, how, generator)
    radii = torch.tensor([draw(st.sampled_from(RADII)), draw(st.sampled_from(RADII))])
    centre = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    radius = radii.double().reshape(2, *(1,) * len(shape))
    return first, second, (centre - radius, centre + radius)


def excess(
    first: nn.Module, second: nn.Module, box: tuple[Tensor, Tensor], methods=METHODS
) -> dict[str, float]:
    """By method, how far a change was found outside of its bounds, relative to the outputs.

    Or how far the bound is outside of that of the next method, which is to be looser.
    """
    found = found_change(first, second, box)
    with torch.no_grad():
        x = torch.stack([box[0], box[1]]).double().flatten(0, 1)
        size = max(first(x.clone()).abs().max(), second(x.clone()).abs().max())
    over_by, wider = {}, None
    for method in reversed(methods):
        bound = change_bound(first, second, box, method=method)
        over = torch.maximum(found.high - bound.high, bound.low - found.low).max()
        if wider is not None:
            slack = 1e-9 * (1 + wider.sizes)
            over = max(over, (bound.high - wider.high - slack).max())
            over = max(over, (wider.low - slack - bound.low).max())
        over_by[method] = float(over / (1 + size))
        wider = bound
    return over_by


def main(count: int) -> None:
    outcomes = Counter()

    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(pairs())
    def look(pair):
        over = excess(*pair, methods=METHODS[:1])
        outcomes["pairs"] += 1
        outcomes.update({f"{m} below the search": 1 for m, value in over.items() if value > 1e-12})
        if outcomes["pairs"] % 500 == 0:
            print(dict(outcomes), flush=True)

    look()
    print(dict(outcomes))


if __name__ == "__main__":
    main(int(sys.argv[1]))
