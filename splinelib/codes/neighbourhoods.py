"""How many units have their line near an input, by sampling: the estimate of the literature."""

import torch
from torch import Tensor, nn

from ..network.layers import spline_layers
from ..network.modes import check_inputs
from ..network.outputs import as_rows
from ..randomness import generator_of
from .extraction import region_codes


def cutting_units(
    model: nn.Module,
    inputs: Tensor,
    radius: float,
    directions: int = 16,
    seed: int = 0,
    batch_size: int = 256,
) -> dict[str, Tensor]:
    """Units whose line cuts the convex hull of some points around each input, layer by layer.

    The points are ``x + radius * v`` and ``x - radius * v`` for every direction v of a random
    orthonormal frame. A unit counts if its pre-activation has not the same sign at all of them, a
    max-pooling window if its winner changes. This is the local complexity of Humayun, Balestriero
    and Baraniuk ("Deep Networks Always Grok and Here is Why", 2024): it counts units and not
    regions. For the first layer it is exact for that hull; lines of deeper layers bend on it, so
    some that cut it are missed.

    Parameters
    ----------
    model : torch.nn.Module
    inputs : Tensor, shape (N, ...)
    radius : float
        Distance of the points to the input, in the norm of the inputs.
    directions : int
        Of the frame, at most as many as an input has values; all inputs share them.
    seed : int
        Of the frame.
    batch_size : int
        Points at a time.

    Returns
    -------
    dict of str to Tensor of int64, shape (N,)
        Layer by name, in order of execution.

    Raises
    ------
    ValueError
        If the radius is not a positive number, or there is no such number of directions.

    Examples
    --------
    >>> layer = nn.Linear(1, 2)
    >>> layer.weight.data[:], layer.bias.data[:] = 1.0, torch.tensor([-0.5, -2.0])
    >>> cutting_units(nn.Sequential(layer, nn.ReLU()), torch.zeros(1, 1), 1.0, directions=1)
    {'0': tensor([1])}
    """
    inputs = check_inputs(model, inputs, "inputs")
    size = inputs[0].numel()
    if not 0 < radius < float("inf"):
        raise ValueError(f"the radius should be a positive number, not {radius}")
    if not 1 <= directions <= size:
        raise ValueError(
            f"there should be between 1 and {size} directions, as many as an input has values, not "
            f"{directions}"
        )
    drawn = torch.randn(size, directions, generator=generator_of(seed), dtype=torch.float64)
    frame = torch.linalg.qr(drawn)[0].T.to(inputs).reshape(directions, *inputs.shape[1:])
    steps = radius * torch.cat([frame, -frame])
    points = (inputs[:, None] + steps).flatten(0, 1)
    codes = region_codes(model, points, batch_size=batch_size)
    found = {}
    for layer in spline_layers(model, inputs[:1]):
        bits = codes.unpack(layer.name).unflatten(0, (len(inputs), len(steps)))
        varies = bits.any(1) & ~bits.all(1)
        several = layer.node.activation.pool is not None or layer.node.activation.bits > 1
        varies = varies.any(1) if several else varies  # several bits of one unit
        found[layer.name] = as_rows(varies).sum(1)
    return found
