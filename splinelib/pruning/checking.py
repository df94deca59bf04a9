"""No compensation may leave the network farther from the dense one than no compensation does."""

import copy
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ..calibration.observing import Answers, batches, channels_last, observe
from ..channels.layout import Layout
from ..errors import warn
from ..network.modes import evaluating
from ..network.outputs import floating_tensors

# By how much an error may be larger before that is more than rounding.
_ROUNDING = 1e-6
# Inputs of the first look and the share of the error without compensation up to which no second
# one is needed.
_FIRST, _CLEAR = 128, 0.5

Pruned = tuple[nn.Module, list[str]]  # a network, and its layers with a bias that was not there


def never_worse(
    dense: nn.Module,
    answers: Answers | None,
    made: Pruned,
    plain: Callable[[], nn.Module],
    others: Callable[[], Iterator[Pruned]],
    data: Tensor,
    compensate: str,
    fitted: bool = True,
) -> Pruned:
    """The compensated network, or less of it if that is closer to the dense one.

    One that was fitted on these inputs and is closer by far on some of them, from the first to the
    last, as inputs may be in order, is not looked at on the others.

    Parameters
    ----------
    dense : torch.nn.Module
    answers : Answers, optional
        What the dense network gives on the data; without it, it is run here.
    made : (torch.nn.Module, list of str)
        The compensated network, and its layers that got a bias which they did not have.
    plain : callable
        Gives the network that was not compensated.
    others : callable
        Gives what else to try, more of the compensation first.
    data : Tensor, shape (N, ...)
    compensate : str
        ``"distil"`` is judged by class probabilities, which it fits, the others by outputs.
    fitted : bool
        Whether the compensation is a fit on these inputs.

    Returns
    -------
    (torch.nn.Module, list of str)
    """
    probabilities, without = compensate == "distil", plain()
    networks = [made[0], without]
    if fitted and len(data) > _FIRST:
        rows = torch.arange(_FIRST, device=data.device) * len(data) // _FIRST
        some = data[rows]
        known = answers_at(answers, data, rows) or answers_of(dense, some)
        error, limit = errors(known, networks, some, probabilities)
        if error <= limit * _CLEAR:
            return made
    known = answers_of(dense, data) if answers is None else answers
    error, limit = errors(known, networks, data, probabilities)
    if _no_larger(error, limit):
        return made
    for network, biased in others():
        (left,) = errors(known, [network], data, probabilities)
        if _no_larger(left, limit):
            _tell(compensate, error, limit, "less of it is done")
            return network, biased
    _tell(compensate, error, limit, "nothing is compensated")
    return without, []


def answers_at(answers: Answers | None, data: Tensor, rows: Tensor) -> Answers | None:
    """What the dense network gives on some of the inputs, if that is known input by input.

    It is picked out of what is known, since the dense network sees the data once (`Pruner`).
    """
    if answers is None:
        return None
    found, start = [], 0
    for (batch,), outputs in zip(batches(data), answers.batches, strict=False):
        here = rows[(rows >= start) & (rows < start + len(batch))] - start
        if any(tensor.shape[:1] != batch.shape[:1] for tensor in outputs):
            return None
        found.append([tensor[here.to(tensor.device)] for tensor in outputs])
        start += len(batch)
    if start < len(data) or len({len(outputs) for outputs in found}) > 1:
        return None
    sizes = [len(batch) for (batch,) in batches(data[: len(rows)])]
    whole = [torch.cat(parts).split(sizes) for parts in zip(*found, strict=True)]
    known = Answers()
    known.batches = [list(each) for each in zip(*whole, strict=True)]
    return known


def first_layers(
    made: Pruned, plain: nn.Module, layout: Layout, layers: list[str]
) -> Iterator[Pruned]:
    """The compensated network with only its first half of layers compensated, a quarter, ..."""
    count = len(layers) // 2
    while count:
        network, left = copy.deepcopy(made[0]), layers[count:]
        wanted, modules = dict(plain.named_modules()), dict(network.named_modules())
        for name in left:
            _restore(modules[name], wanted[name])
            if name in layout.batch_norms:
                _restore(modules[layout.batch_norms[name]], wanted[layout.batch_norms[name]])
        yield network, [name for name in made[1] if name not in left]
        count //= 2


@torch.no_grad()
def _restore(module: nn.Module, wanted: nn.Module) -> None:
    """Give a module the parameters and buffers of another."""
    for name, value in wanted.named_parameters(recurse=False):
        getattr(module, name).copy_(value)
    for name, value in wanted.named_buffers(recurse=False):
        getattr(module, name).copy_(value)
    if getattr(wanted, "bias", None) is None and getattr(module, "bias", None) is not None:
        module.bias = None


@torch.no_grad()
def answers_of(dense: nn.Module, data: Tensor) -> Answers:
    """What the dense network gives, for `errors`."""
    answers = Answers()
    observe(dense, data, [("", answers.look)])
    return answers


@torch.no_grad()
def errors(
    answers: Answers, others: list[nn.Module], data: Tensor, probabilities: bool = False
) -> list[float]:
    """How far the outputs of networks are from those of the dense one, on some inputs.

    Parameters
    ----------
    answers : Answers
        What the dense network gives on the inputs, or on some more; inputs of which it is not
        known are left out.
    others : list of torch.nn.Module
    data : Tensor, shape (N, ...)
        Whole batches, but for the last of all.
    probabilities : bool
        Whether outputs are logits of classes, and their probabilities are compared.

    Returns
    -------
    list of float
        Sum of the squared differences of all outputs that are floating-point tensors, each output
        as a share of its own sum of squares; of probabilities, the mean divergence. NaN where
        outputs cannot be compared.
    """
    found = []
    for network in others:
        total, same = _Sums(), channels_last(network, data)
        with evaluating(network):
            for (batch,), wanted in zip(batches(same), answers.batches, strict=False):
                total.add(floating_tensors(network(batch.clone())), wanted, probabilities)
        found.append(total.error())
    return found


class _Sums:
    """Squared differences and squares, output by output."""

    def __init__(self):
        self.differences: dict[int, float] = {}
        self.squares: dict[int, float] = {}

    def add(self, found: list[Tensor], wanted: list[Tensor], probabilities: bool) -> None:
        found, wanted = ([tensor.double() for tensor in side] for side in (found, wanted))
        if [tensor.shape for tensor in found] != [tensor.shape for tensor in wanted]:
            self.differences[0], self.squares[0] = math.nan, 1.0
            return
        for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
            if probabilities:
                share = other.softmax(1)
                difference = share * (other.log_softmax(1) - one.log_softmax(1))
                square = float(len(other))
            else:
                difference = (one - other).square()
                square = float(other.square().sum(dtype=torch.float64))
            amount = float(difference.sum(dtype=torch.float64))
            self.differences[place] = self.differences.get(place, 0.0) + amount
            self.squares[place] = self.squares.get(place, 0.0) + square

    def error(self) -> float:
        return sum(
            value / self.squares[place] if self.squares[place] else value
            for place, value in self.differences.items()
        )


def _no_larger(error: float, limit: float) -> bool:
    """Whether an error is at most so large; nothing is known against one that both cannot have."""
    if math.isnan(limit):
        return True
    return error <= limit * (1 + _ROUNDING) + _ROUNDING**2


def _tell(compensate: str, error: float, limit: float, what: str) -> None:
    warn(
        f"compensate={compensate!r} would leave a larger error on the calibration inputs, "
        f"{error:.3g} of the outputs' square, than no compensation, {limit:.3g}: {what}"
    )
