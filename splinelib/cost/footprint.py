"""What one network takes: channels, parameters, multiply-accumulates, time and memory."""

import statistics
import time
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..network.modes import evaluating
from ..network.replica import replica
from ..network.surroundings import undisturbed
from .flops import forward_flops


@dataclass(frozen=True)
class Measurement:
    """Size and speed of a network; see `measure`.

    Attributes
    ----------
    channels : int
        Outputs of all convolutions and linear layers but the last one, which gives the classes.
    parameters : int
        Numbers in its parameters, frozen ones too.
    macs : int
        Multiply-accumulates per input.
    latency : float
        Median seconds of a forward pass of the whole example.
    batch_size : int
        Inputs in the example.
    """

    channels: int
    parameters: int
    macs: int
    latency: float
    batch_size: int


def measure(
    model: nn.Module, example: Tensor, repeats: int = 9, threads: int | None = 1
) -> Measurement:
    """Count a network's channels, parameters and multiply-accumulates, and time it.

    Parameters
    ----------
    model : torch.nn.Module
        Left in the mode it was in.
    example : Tensor
        Inputs of shape (N, ...) on the model's device.
    repeats : int
        Passes to take the median of, after two that are not counted.
    threads : int or None
        CPU threads for the timing; None for as many as PyTorch uses now.

    Returns
    -------
    Measurement
    """
    (latency,) = latencies([model], example, repeats, threads)
    widths = [
        module.out_features if isinstance(module, nn.Linear) else module.out_channels
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    ]
    return Measurement(
        channels=sum(widths[:-1]),
        parameters=sum(p.numel() for p in model.parameters()),
        macs=forward_flops(model, example) // 2,
        latency=latency,
        batch_size=len(example),
    )


@undisturbed(compiled=True)
@torch.no_grad()
def latencies(
    models: Sequence[nn.Module], example: Tensor, repeats: int = 9, threads: int | None = 1
) -> list[float]:
    """Median seconds of a forward pass of several networks, timed in turns.

    A machine that slows down, or is busy for a while, then slows all of them alike.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        Left in the modes they were in.
    example, repeats, threads
        As for `measure`.

    Returns
    -------
    list of float
        One for each network.
    """
    if repeats < 1:
        raise ValueError(f"repeats is at least 1, not {repeats}.")
    before = torch.get_num_threads()
    times: list[list[float]] = [[] for _ in models]
    try:
        torch.set_num_threads(threads or before)
        with ExitStack() as modes:
            models, example = [replica(model) for model in models], example.clone()
            for model in models:
                modes.enter_context(evaluating(model))
            for _ in range(repeats + 2):
                for model, seconds in zip(models, times, strict=True):
                    _wait(example.device)
                    began = time.perf_counter()
                    model(example)
                    _wait(example.device)
                    seconds.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    return [statistics.median(seconds[2:]) for seconds in times]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Footprint:
    """Size and cost of one network.

    Attributes
    ----------
    channels, parameters, macs : int
        As `training.measure` counts them; ``macs`` per input.
    latency : float
        Median seconds of a forward pass of the whole example.
    memory : int
        Bytes that are alive at once at the worst moment of that pass; see `peak_memory`.
    """

    channels: int
    parameters: int
    macs: int
    latency: float
    memory: int


@undisturbed("model")
@torch.no_grad()
def peak_memory(model: nn.Module, example: Tensor) -> int:
    """Bytes that are alive at once at the worst moment of a forward pass.

    Weights, buffers, inputs and activations count, each stretch of memory once, whichever device
    it is on; scratch space inside a kernel does not. So it does not change from run to run.

    Examples
    --------
    >>> peak_memory(torch.nn.Linear(8, 4, bias=False), torch.zeros(2, 8))
    224
    """
    example = example.clone()  # a forward may write to its input
    with evaluating(model), _Alive([*model.parameters(), *model.buffers(), example]) as alive:
        model(example)
    return alive.peak


class _Alive(TorchDispatchMode):
    """Follow which storages are alive, and how many bytes they hold together."""

    def __init__(self, there: list[Tensor]):
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.now = self.peak = 0
        for tensor in there:
            self._note(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in `training.FlopCounter`

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf)
        return result

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        if key in self.sizes or not storage.nbytes():
            return
        self.sizes[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.now -= self.sizes.pop(key, 0)
