"""Ways to a small network: trained as it is from one start or another, or cut out of a wide one.

Everything here is done to ten seeds, some data sets and some learning rates at once, by an
`Ensemble`: networks are in the order of their rates, for each rate of their sets.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..channels.saving import rewind
from ..codes.lines import count_lines
from ..cost.flops import FORWARDS_PER_STEP, FlopCounter
from ..models.perceptron import mlp
from ..models.spread import spread_lines
from ..pruning.pruner import Pruner
from ..training.ensemble import Ensemble
from ..training.layerwise import pretrain

BATCH = 64
# Starts of a network that is small from the first step.
STARTS = ("random", "spread", "layerwise")
# A spread start whose directions are as they come: what putting lines through the data earns.
THROUGH = "through"
# Order of the units and compensation of each cut; every hidden layer keeps its share.
CUTS: dict[str, tuple[str, str | bool]] = {
    "pruned: lsq": ("lsq", "refit"),
    "pruned: spline": ("spline", "refit"),
    "pruned: magnitude": ("magnitude", False),
    "pruned: random": ("random", False),
}
LOTTERY = "lottery"  # the units that magnitude keeps, with the weights that they started from
RESTARTS = "restarts"  # many random starts, of which the best on the validation part is taken


@dataclass(frozen=True)
class Problem:
    """Sets of inputs of one shape: for each data set by name, one for each seed.

    Attributes
    ----------
    names : tuple of str
        Data sets. Set i is of the name ``i // seeds`` and of the seed ``i % seeds``.
    seeds : int
    train, validation, test : (Tensor, Tensor)
        Inputs (D, N, d) and labels (D, N).
    steps : int
        Batches of `BATCH` inputs that a network sees at equal epochs.
    rates : tuple of float
        Learning rates to choose from.
    """

    names: tuple[str, ...]
    seeds: int
    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    steps: int
    rates: tuple[float, ...]

    def __post_init__(self):
        if self.train[0].shape[1] % BATCH:
            raise ValueError(f"Training inputs are a multiple of {BATCH}, so that steps are equal.")

    @property
    def sets(self) -> int:
        return len(self.names) * self.seeds

    @property
    def classes(self) -> int:
        return int(self.train[1].max()) + 1

    def widths(self, depth: int, width: int) -> list[int]:
        """Of a perceptron with so many hidden layers of so many units."""
        return [self.train[0].shape[2], *[width] * depth, self.classes]

    def seed(self, index: int) -> int:
        return index % self.seeds


@dataclass(frozen=True)
class Reached:
    """Trained networks and what it took.

    Attributes
    ----------
    start, end : Ensemble
        A network for each rate and set, before and after the training that is judged.
    rates : Tensor, shape (K,)
    steps : int
        Of the final network at its final size, those of its pretraining not counted.
    flops : float
        Of all training of one network, the wide one's and the cut included.
    """

    start: Ensemble
    end: Ensemble
    rates: Tensor
    steps: int
    flops: float


def step_flops(network: Ensemble) -> int:
    """FLOPs of one training step of one network."""
    return FORWARDS_PER_STEP * network.flops * BATCH


def drawn(problem: Problem, widths: Sequence[int], offset: int = 0) -> Ensemble:
    """Perceptrons with random weights, one for each set."""
    return Ensemble.of(
        [mlp(widths, seed=problem.seed(i) + 1000 * offset) for i in range(problem.sets)]
    )


def spread(problem: Problem, widths: Sequence[int], by_angle: bool = True) -> Ensemble:
    """The networks of `drawn`, with their lines put through their data, and spread by angle."""
    return Ensemble.of(
        [
            spread_lines(mlp(widths, seed=seed), inputs, labels, seed, by_angle)
            for seed, inputs, labels in zip(
                map(problem.seed, range(problem.sets)), *problem.train, strict=True
            )
        ]
    )


def repeated(problem: Problem, network: Ensemble) -> Ensemble:
    """The same networks for each rate."""
    return Ensemble.joined([network] * len(problem.rates))


def every_rate(problem: Problem) -> Tensor:
    """Of networks in the order of their rates, then sets; shape (K,)."""
    return torch.tensor(problem.rates).repeat_interleave(problem.sets)


def fit(problem: Problem, start: Ensemble, rates: Tensor, steps: int) -> Ensemble:
    """Train networks that are in the order of their sets, over and over."""
    return start.train(
        *problem.train,
        steps=steps,
        lr=rates,
        seeds=[problem.seed(i) for i in range(problem.sets)],
        rows=torch.arange(len(start)) % problem.sets,
        batch_size=BATCH,
    )


def from_start(
    problem: Problem, way: str, start: Ensemble, rates: Tensor, budget: float | None = None
) -> Reached:
    """Train small networks from a start, at equal epochs or for a budget of FLOPs each.

    Parameters
    ----------
    problem : Problem
    way : {"random", "spread", "through", "layerwise"}
    start : Ensemble
        Small networks: of every rate and set.
    rates : Tensor, shape (K,)
    budget : float, optional
        FLOPs; at equal epochs if it is not given.
    """
    if way == "layerwise":
        return _layerwise(problem, start, rates, budget)
    # Whoever puts lines through the inputs looks at each of them once.
    looks = problem.train[0].shape[1] if way in ("spread", THROUGH) else 0
    placing = start.flops * looks
    steps = problem.steps
    if budget is not None:
        steps = int((budget - placing) // step_flops(start))
    end = fit(problem, start, rates, steps)
    return Reached(start, end, rates, steps, placing + steps * step_flops(start))


def _layerwise(problem: Problem, start: Ensemble, rates: Tensor, budget: float | None) -> Reached:
    """Half of the epochs or of the budget for the layers one by one, the rest for all of them."""
    parts = _part_flops(start)
    if budget is None:
        counts = [problem.steps // 2 // len(parts)] * len(parts)
    else:
        counts = [max(1, int(budget / 2 / len(parts) // (part * BATCH))) for part in parts]
    # What a layer says is computed once for the layers behind it.
    passes = (start.flops - 2 * start.weights[-1][0].numel()) * problem.train[0].shape[1]
    spent = passes + sum(part * BATCH * count for part, count in zip(parts, counts, strict=True))
    joint = problem.steps - problem.steps // 2
    if budget is not None:
        joint = int((budget - spent) // step_flops(start))
    rows = torch.arange(len(start)) % problem.sets
    inputs, labels = problem.train
    seeds = [problem.seed(int(row)) for row in rows]
    begun = pretrain(
        start, inputs[rows], labels[rows], steps=counts, lr=rates, seeds=seeds, batch_size=BATCH
    )
    end = fit(problem, begun, rates, joint)
    return Reached(begun, end, rates, joint, spent + joint * step_flops(start))


def _part_flops(network: Ensemble) -> list[int]:
    """FLOPs of training each hidden layer below a head of its own, for one input."""
    widths = network.widths
    return [
        FORWARDS_PER_STEP * 2 * (before * after + after * widths[-1])
        for before, after in pairwise(widths[:-1])
    ]


def restarted(problem: Problem, width: Sequence[int], rates: Tensor, count: int) -> Ensemble:
    """`count` random starts of every set, each trained at equal epochs; count after count."""
    starts = [drawn(problem, width, offset=1 + number) for number in range(count)]
    return fit(problem, Ensemble.joined(starts), rates.repeat(count), problem.steps)


def cut_out(
    problem: Problem, wide: Ensemble, untrained: Ensemble, factor: int
) -> tuple[dict[str, Ensemble], float]:
    """Small networks by each of `CUTS` and by `LOTTERY`, one for each set; FLOPs of a cut."""
    like = mlp(wide.widths)
    made: dict[str, list[nn.Module]] = {name: [] for name in (*CUTS, LOTTERY)}
    counted = 0.0
    for index in range(problem.sets):
        inputs = problem.train[0][index]
        dense, began = wide.model(index, like), untrained.model(index, like)
        if not all(p.isfinite().all() for p in dense.parameters()):
            dense = began  # it diverged, and what is cut out of it knows nothing
        cuts, flops = cuts_of(dense, began, inputs, factor, problem.seed(index))
        counted = max(counted, flops)
        for name, small in cuts.items():
            made[name].append(small)
    return {name: Ensemble.of(networks) for name, networks in made.items()}, counted


def cuts_of(
    dense: nn.Module, untrained: nn.Module, inputs: Tensor, factor: int, seed: int
) -> tuple[dict[str, nn.Module], float]:
    """A network cut down by each of `CUTS` and by `LOTTERY`; FLOPs of a cut.

    The FLOPs are those of the dearest, ``lsq``, which looks at the inputs.
    """
    made: dict[str, nn.Module] = {}
    counted = 0.0
    with warnings.catch_warnings(), FlopCounter() as counter:
        warnings.simplefilter("ignore")  # of layers that keep one unit, which is recorded
        pruner = Pruner(dense, inputs, seed=seed)
        for name, (criterion, compensate) in CUTS.items():
            made[name] = pruner.prune(1 - 1 / factor, criterion, "layerwise", compensate)
            if name == "pruned: lsq":
                counted = counter.total
        made[LOTTERY] = rewind(made["pruned: magnitude"], untrained)
    return made, counted


def lines(network: Ensemble, inputs: Tensor) -> list[int]:
    """Distinct lines of each network that cross its inputs (K, N, d), over all hidden layers."""
    signs = [values > 0 for values in network.hidden(inputs)[:-1]]
    return [sum(count_lines(layer[k]) for layer in signs) for k in range(len(network))]


def chosen(
    problem: Problem, reached: Reached, name: str, choose: Callable[[Tensor], int] | None = None
) -> dict:
    """What came out for one data set, at the rate that is best on the validation part.

    Returns
    -------
    dict
        ``rate``, ``steps``, ``flops``, and a number for each seed of ``validation`` and ``test``
        accuracy and of ``lines`` at the start and the end.
    """
    first = problem.names.index(name) * problem.seeds
    sets = torch.arange(first, first + problem.seeds)
    rows = torch.arange(len(reached.end)).view(-1, problem.sets)[:, sets]

    def judged(part: tuple[Tensor, Tensor]) -> Tensor:
        """Accuracies (rates, seeds)."""
        inputs, labels = (values[sets] for values in part)
        return torch.stack([reached.end[own].accuracy(inputs, labels) for own in rows])

    validation = judged(problem.validation)
    best = int(validation.mean(1).argmax())
    own, inputs = rows[best], problem.train[0][sets]
    test = reached.end[own].accuracy(problem.test[0][sets], problem.test[1][sets])
    return {
        "rate": round(float(reached.rates[own[0]]), 6),
        "steps": reached.steps,
        "flops": reached.flops,
        "validation": validation[best].tolist(),
        "test": test.tolist(),
        "lines_before": lines(reached.start[own], inputs),
        "lines": lines(reached.end[own], inputs),
    }
