"""Many small perceptrons of one shape, trained at once by products of stacked matrices.

A network of a dozen units takes no time to compute and much to call: on a CPU a hundred of them
side by side train in hardly more time than one alone.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..network.surroundings import undisturbed
from ..randomness import generator_of
from .recipe import Recipe

_PASSES = (nn.Flatten, nn.ReLU)


class Ensemble:
    """Perceptrons of one shape, with ReLUs between their layers.

    Attributes
    ----------
    weights : list of Tensor
        One per layer, shape (K, out, in), for K networks.
    biases : list of Tensor
        One per layer, shape (K, out, 1).

    Examples
    --------
    >>> from splinelib.models import mlp
    >>> both = Ensemble.of([mlp([2, 8, 2], seed=0), mlp([2, 8, 2], seed=1)])
    >>> len(both), both.outputs(torch.zeros(1, 5, 2)).shape
    (2, torch.Size([2, 5, 2]))
    """

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor]):
        self.weights, self.biases = list(weights), list(biases)

    @classmethod
    def of(cls, models: Sequence[nn.Module]) -> "Ensemble":
        """Copies of perceptrons, as `models.mlp` makes them.

        Raises
        ------
        TypeError
            One is no perceptron with biases and ReLUs.
        ValueError
            There is none, or they differ in shape.
        """
        layers = [_linear_layers(model) for model in models]
        shapes = {tuple(tuple(layer.weight.shape) for layer in own) for own in layers}
        if len(shapes) != 1:
            raise ValueError(
                f"An ensemble has networks of one shape, at least one; these have {len(shapes)}."
            )
        stacked = list(zip(*layers, strict=True))
        return cls(
            [torch.stack([layer.weight.detach() for layer in own]) for own in stacked],
            [torch.stack([layer.bias.detach()[:, None] for layer in own]) for own in stacked],
        )

    def __len__(self) -> int:
        return len(self.weights[0])

    @property
    def widths(self) -> list[int]:
        """Inputs, hidden units of each layer, outputs."""
        return [self.weights[0].shape[2], *(weight.shape[1] for weight in self.weights)]

    @property
    def flops(self) -> int:
        """FLOPs of a forward pass of one network on one input, as `cost.forward_flops` counts."""
        return 2 * sum(weight[0].numel() for weight in self.weights)

    def __getitem__(self, index: Tensor | slice | Sequence[int]) -> "Ensemble":
        """Some of the networks; their weights are copies unless `index` is a slice."""
        return Ensemble([w[index] for w in self.weights], [b[index] for b in self.biases])

    @staticmethod
    def joined(parts: Sequence["Ensemble"]) -> "Ensemble":
        """The networks of several ensembles of one shape, one after the other."""
        return Ensemble(
            *(
                [torch.cat(layer) for layer in zip(*own, strict=True)]
                for own in ([p.weights for p in parts], [p.biases for p in parts])
            )
        )

    def model(self, index: int, like: nn.Module) -> nn.Module:
        """One network, as a module like another of this shape."""
        model = copy.deepcopy(like)
        with torch.no_grad():
            for layer, weight, bias in zip(
                _linear_layers(model), self.weights, self.biases, strict=True
            ):
                layer.weight.copy_(weight[index])
                layer.bias.copy_(bias[index, :, 0])
        return model

    def hidden(self, inputs: Tensor) -> list[Tensor]:
        """Pre-activations of each layer, the outputs last; (K, N, units) each.

        Parameters
        ----------
        inputs : Tensor, shape (K, N, d), or (1, N, d) if all read the same
        """
        return [value.mT for value in self._values(inputs.mT.expand(len(self), -1, -1))]

    def _values(self, inputs: Tensor) -> list[Tensor]:
        """As `hidden`, of (K, d, N), the inputs last: so products run along them."""
        before, values = inputs, []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            values.append(torch.baddbmm(bias, weight, before))
            before = values[-1].relu()
        return values

    def outputs(self, inputs: Tensor) -> Tensor:
        """Outputs (K, N, classes); inputs as for `hidden`."""
        return self.hidden(inputs)[-1]

    @torch.no_grad()
    def accuracy(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Share of inputs that each network gets right, (K,) float64; 0 if its outputs are NaN.

        Parameters
        ----------
        inputs : Tensor, shape (K, N, d) or (1, N, d)
        labels : Tensor, shape (K, N) or (1, N), int64
        """
        outputs = self.outputs(inputs)
        sound = outputs.isfinite().flatten(1).all(1)
        return (outputs.argmax(2) == labels).double().mean(1) * sound

    @undisturbed(compiled=True)
    def train(
        self,
        inputs: Tensor,
        labels: Tensor,
        *,
        steps: int,
        lr: float | Tensor,
        seeds: Sequence[int],
        rows: Tensor | None = None,
        batch_size: int = 64,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
    ) -> "Ensemble":
        """Train every network by itself, all at once; what `train` does to each, in fewer calls.

        SGD with momentum on the cross-entropy, the rate divided by ten at half and at three
        quarters of the steps. A network whose loss overflows does not disturb the others.

        Parameters
        ----------
        inputs : Tensor, shape (D, N, d)
            D sets of inputs.
        labels : Tensor, shape (D, N), int64
        steps : int
            Batches that each network is trained on.
        lr : float or Tensor, shape (K,)
        seeds : sequence of int
            Of the order of each set's inputs, D of them.
        rows : Tensor, shape (K,), int64, optional
            The set that each network reads; its own (D = K) if it is not given.
        batch_size, momentum, weight_decay
            As in a `Recipe`.

        Returns
        -------
        Ensemble
            Trained copies.

        Raises
        ------
        ValueError
            Inputs, labels, seeds or rows do not go together, or a setting is out of range.
        """
        recipe = Recipe(1, 0.0, batch_size, momentum, weight_decay)
        rows = self._checked(inputs, labels, steps, seeds, rows)
        rate = torch.as_tensor(lr, dtype=inputs.dtype).expand(len(self))[:, None, None]
        if not (rate.isfinite() & (rate >= 0)).all():
            raise ValueError(f"lr is a finite number, at least 0, not {lr}.")
        trained = Ensemble(*([p.clone() for p in own] for own in (self.weights, self.biases)))
        parameters = [*trained.weights, *trained.biases]
        momenta = [torch.zeros_like(p) for p in parameters]
        milestones = -(-steps // 2), -(-steps * 3 // 4)
        batches = _shuffled(inputs, labels, seeds, rows, recipe.batch_size)
        for step in range(steps):
            now = rate * 0.1 ** sum(step >= milestone for milestone in milestones)
            gradients = trained._gradients(*next(batches))
            for value, moment, gradient in zip(parameters, momenta, gradients, strict=True):
                moment.mul_(momentum).add_(gradient).add_(value, alpha=weight_decay)
                value.addcmul_(now, moment, value=-1)
        return trained

    @torch.no_grad()
    def _gradients(self, inputs: Tensor, labels: Tensor) -> list[Tensor]:
        """Gradients of the mean cross-entropy, of weights and then of biases.

        By hand, since recording and following a graph takes longer than the products do.
        """
        values = self._values(inputs)
        flow = values[-1].softmax(1)
        flow.scatter_add_(
            1, labels[:, None], flow.new_tensor(-1.0).expand(len(self), 1, labels.shape[1])
        )
        flow /= labels.shape[1]
        weights, biases = [], []
        for layer in reversed(range(len(values))):
            before = values[layer - 1].relu() if layer else inputs
            weights.append(torch.bmm(flow, before.mT))
            biases.append(flow.sum(2, keepdim=True))
            if layer:
                flow = torch.bmm(self.weights[layer].mT, flow).mul_(values[layer - 1] > 0)
        return [*reversed(weights), *reversed(biases)]

    def _checked(self, inputs, labels, steps, seeds, rows) -> Tensor:
        """The rows, once all is found to go together."""
        if inputs.ndim != 3 or inputs.shape[2] != self.widths[0] or not inputs.numel():
            raise ValueError(
                f"inputs are sets of points of {self.widths[0]} numbers, (D, N, "
                f"{self.widths[0]}); these have shape {tuple(inputs.shape)}."
            )
        if labels.shape != inputs.shape[:2] or labels.dtype != torch.int64:
            raise ValueError(
                f"labels are int64 of shape {tuple(inputs.shape[:2])}, one for each input; these "
                f"are {labels.dtype} of shape {tuple(labels.shape)}."
            )
        if labels.min() < 0 or labels.max() >= self.widths[-1]:
            raise ValueError(
                f"labels are classes from 0 to {self.widths[-1] - 1}; these go from "
                f"{int(labels.min())} to {int(labels.max())}."
            )
        if steps < 1:
            raise ValueError(f"steps is at least 1, not {steps}.")
        if len(seeds) != len(inputs):
            raise ValueError(f"There are {len(seeds)} seeds for {len(inputs)} sets of inputs.")
        rows = torch.arange(len(inputs)) if rows is None else rows
        if rows.shape != (len(self),) or rows.min() < 0 or rows.max() >= len(inputs):
            raise ValueError(
                f"rows names one of {len(inputs)} sets of inputs for each of {len(self)} networks."
            )
        return rows


def _shuffled(inputs: Tensor, labels: Tensor, seeds: Sequence[int], rows: Tensor, size: int):
    """Batches (K, d, B) and (K, B) without end, in the order in which `train` takes each set."""
    recipes = [Recipe(1, seed=seed) for seed in seeds]
    sets, epoch = torch.arange(len(inputs))[:, None], 0
    own = rows.equal(sets[:, 0])
    while True:
        order = torch.stack(
            [
                torch.randperm(inputs.shape[1], generator=generator_of(recipe.epoch_seed(epoch)))
                for recipe in recipes
            ]
        )
        shuffled = inputs[sets, order].mT.contiguous(), labels[sets, order]
        for batch in zip(*(values.split(size, -1) for values in shuffled), strict=True):
            yield batch if own else tuple(values[rows] for values in batch)
        epoch += 1


def _linear_layers(model: nn.Module) -> list[nn.Linear]:
    layers = [module for module in model.modules() if not list(module.children())]
    linear = [module for module in layers if type(module) is nn.Linear and module.bias is not None]
    acts = [module for module in layers if type(module) is nn.ReLU]
    others = [module for module in layers if not isinstance(module, (*_PASSES, nn.Linear))]
    if others or len(acts) != len(linear) - 1 or len(linear) + len(acts) > len(layers):
        raise TypeError(
            "An ensemble is made of perceptrons, linear layers with biases and a ReLU between each "
            f"two, as models.mlp makes them; {type(model).__name__} is none."
        )
    return linear
