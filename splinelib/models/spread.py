"""A spline-aware start: every line through the data, and their directions spread by angle."""

import copy

import torch
from torch import Tensor, nn

from ..randomness import generator_of
from .interchange import linear_layers

# Directions to choose from, for each unit.
_CANDIDATES = 32


def spread_lines(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor | None = None,
    seed: int = 0,
    by_angle: bool = True,
) -> nn.Module:
    """Place the lines of a perceptron before its training: through the data, spread by angle.

    Layer by layer, on what the layers before it say of the inputs: a unit's line is the
    perpendicular bisector of two inputs (of different classes, if labels are given), so that it
    runs between data. Of many such pairs those are taken, one after the other, whose direction is
    farthest in angle from every direction taken before. Weights are scaled so that a unit's
    pre-activations have a standard deviation of 1 over the inputs. The last layer stays as it is.

    Parameters
    ----------
    model : torch.nn.Module
        A perceptron as `mlp` makes it. Left as it is.
    inputs : Tensor, shape (N, ...)
        Training inputs.
    labels : Tensor, shape (N,), int64, optional
        Their classes.
    seed : int
        Seed of the pairs.
    by_angle : bool
        Whether directions are spread; if not, the pairs are taken as they come.

    Returns
    -------
    torch.nn.Module
        A copy with other weights.

    Raises
    ------
    TypeError
        The model is no perceptron.
    ValueError
        Inputs hold NaN or infinite numbers, do not fit the network or their labels, or no two of
        them (of different classes) differ in what a layer reads.

    Examples
    --------
    >>> from splinelib.models import mlp
    >>> points = torch.rand(100, 2, generator=generator_of(0)) + 5  # far from the origin
    >>> started = spread_lines(mlp([2, 6, 2]), points)
    >>> sides = started.linear1(points) > 0
    >>> bool((sides.any(0) & ~sides.all(0)).all())  # every line has data on both sides
    True
    """
    started = copy.deepcopy(model)
    *hidden, _ = linear_layers(started)
    reads = inputs.detach().flatten(1).double()
    if hidden and reads.shape[1] != hidden[0].in_features:
        raise ValueError(
            f"The network reads {hidden[0].in_features} numbers for each input, and these have "
            f"{reads.shape[1]}."
        )
    if not reads.isfinite().all():
        raise ValueError("inputs hold NaN or infinite numbers: remove those inputs.")
    if labels is not None and labels.shape != reads.shape[:1]:
        raise ValueError(
            f"labels are one class for each of {len(reads)} inputs; these have shape "
            f"{tuple(labels.shape)}."
        )
    generator = generator_of(seed)
    with torch.no_grad():
        for layer in hidden:
            first, second = _pairs(reads, labels, _CANDIDATES * layer.out_features, generator)
            normals = nn.functional.normalize(second - first)
            taken = torch.arange(layer.out_features)
            if by_angle:
                taken = _far_apart(normals, layer.out_features)
            normals = normals[taken]
            offsets = -(normals * (first[taken] + second[taken]) / 2).sum(1)
            values = reads @ normals.T + offsets
            scale = 1 / values.std(0, correction=0)
            layer.weight.copy_(normals * scale[:, None])
            layer.bias.copy_(offsets * scale)
            reads = (values * scale).relu()
    return started


def _pairs(reads: Tensor, labels: Tensor | None, count: int, generator) -> tuple[Tensor, Tensor]:
    """Two inputs that differ, of different classes if there are any, `count` times; (count, d)."""
    pairs = torch.randint(len(reads), (64 * count, 2), generator=generator)
    differ = (reads[pairs[:, 0]] != reads[pairs[:, 1]]).any(1)
    if labels is not None:
        differ &= labels[pairs[:, 0]] != labels[pairs[:, 1]]
    pairs = pairs[differ]
    if not len(pairs):
        of = "" if labels is None else " of different classes"
        raise ValueError(
            f"No two inputs{of} were found that a layer reads as different, so there is nothing "
            "to put a line between. Give more inputs, or another seed."
        )
    pairs = pairs[torch.arange(count) % len(pairs)]
    return reads[pairs[:, 0]], reads[pairs[:, 1]]


def _far_apart(normals: Tensor, count: int) -> Tensor:
    """Indices of `count` unit vectors, each farthest in angle from all lines before it."""
    taken = [0]
    nearest = (normals @ normals[0]).abs()
    while len(taken) < count:
        nearest[taken] = torch.inf  # once each, however few directions there are
        taken.append(int(nearest.argmin()))
        nearest = torch.maximum(nearest, (normals @ normals[taken[-1]]).abs())
    return torch.tensor(taken)
