"""Greedy layerwise pretraining, of many small perceptrons at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..randomness import generator_of
from .ensemble import Ensemble


def pretrain(
    start: Ensemble,
    inputs: Tensor,
    labels: Tensor,
    *,
    steps: Sequence[int],
    lr: float | Tensor,
    seeds: Sequence[int],
    head_seed: int = 0,
    **settings,
) -> Ensemble:
    """Train one layer after the other, each below a head of its own (Bengio et al., 2007).

    A layer learns to classify through a linear head that is then thrown away; the layers before
    it stay as they are. The last head is kept as the output layer.

    Parameters
    ----------
    start : Ensemble
        Its hidden layers are where each begins.
    inputs : Tensor, shape (K, N, d)
        What each network is trained on.
    labels : Tensor, shape (K, N), int64
    steps : sequence of int
        Of each hidden layer.
    lr, seeds, **settings
        As for `Ensemble.train`.
    head_seed : int
        Seed of the heads, drawn as `torch.nn.Linear` does.

    Returns
    -------
    Ensemble

    Raises
    ------
    ValueError
        There is not a number of steps for each hidden layer; or as for `Ensemble.train`.
    """
    *hidden, last = start.weights
    if len(steps) != len(hidden):
        raise ValueError(f"There are {len(steps)} numbers of steps for {len(hidden)} layers.")
    generator, weights, biases, reads = generator_of(head_seed), [], [], inputs
    head, head_bias = last, start.biases[-1]
    for layer, count in enumerate(steps):
        bound = hidden[layer].shape[1] ** -0.5
        head = last.new_empty(len(start), last.shape[1], hidden[layer].shape[1])
        head.uniform_(-bound, bound, generator=generator)
        head_bias = torch.empty_like(start.biases[-1]).uniform_(-bound, bound, generator=generator)
        part = Ensemble([hidden[layer], head], [start.biases[layer], head_bias])
        part = part.train(reads, labels, steps=count, lr=lr, seeds=seeds, **settings)
        reads = part.hidden(reads)[0].relu()
        weights.append(part.weights[0])
        biases.append(part.biases[0])
        head, head_bias = part.weights[1], part.biases[1]
    return Ensemble([*weights, head], [*biases, head_bias])
