"""Multi-layer perceptrons."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn

from .initialising import seeded


def mlp(
    widths: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0
) -> nn.Sequential:
    """A multi-layer perceptron: flatten, then linear layers with an activation between each two.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden units of each layer, outputs: at least two numbers.
    activation : callable
        Makes one activation module, such as `torch.nn.ReLU`.
    seed : int
        Seed of the weights, drawn as `torch.nn.Linear` does.

    Returns
    -------
    torch.nn.Sequential
        With modules ``flatten``, ``linear1``, ``activation1``, ``linear2``, ...

    Examples
    --------
    >>> mlp([2, 16, 16, 1])(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """
    widths = [int(width) for width in widths]
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(
            f"widths lists inputs, hidden layers and outputs, each at least 1, not {widths}."
        )

    def make() -> nn.Sequential:
        layers = OrderedDict(flatten=nn.Flatten())
        for number, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
            layers[f"linear{number}"] = nn.Linear(fan_in, fan_out)
            if number < len(widths) - 1:
                layers[f"activation{number}"] = activation()
        return nn.Sequential(layers)

    def initialise(module: nn.Module, generator: torch.Generator) -> None:
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)

    return seeded(make, initialise, seed)
