"""What a smaller network saves: size, work, time and memory beside the dense network's.

report = compare(dense, small, example)
report.table()      # and report.figure(), as a notebook shows them
"""

import weakref
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from . import plotting
from .trace import evaluating
from .training import latencies, measure

_QUANTITIES = {
    "channels": "channels",
    "parameters": "parameters",
    "macs": "MACs",
    "latency": "latency",
    "memory": "peak memory",
}


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


@dataclass(frozen=True)
class Report:
    """Two networks side by side; made by `compare`.

    Attributes
    ----------
    dense, small : Footprint
    inputs : int
        Inputs in the example.
    """

    dense: Footprint
    small: Footprint
    inputs: int

    def table(self) -> plotting.Table:
        """A row per network, a column per quantity, and what is left as a share."""
        rows = [
            [
                name,
                f.channels,
                f.parameters,
                f.macs / 1e6,
                1000 * f.latency,
                f.memory / 1e6,
            ]
            for name, f in (("dense", self.dense), ("small", self.small))
        ]
        rows.append(["left", *(f"{share:.0%}" for share in self.shares().values())])
        return plotting.table(
            rows,
            [
                "network",
                "channels",
                "parameters",
                "MACs (million)",
                f"latency of {self.inputs} inputs (ms)",
                "peak memory (MB)",
            ],
            "What shrinking saves, both networks measured in turns on this machine",
            ["{}", "{:,}", "{:,}", "{:.2f}", "{:.1f}", "{:.1f}"],
        )

    def figure(self) -> plotting.Figure:
        """A bar per quantity: what the small network has left of it."""
        shares = {_QUANTITIES[name]: share for name, share in self.shares().items()}

        def draw(ax, palette) -> None:
            places = range(len(shares))
            ax.barh(places, [100 * s for s in shares.values()], color=palette.kept, height=0.65)
            ax.axvline(100, color=palette.ink, linestyle=":", linewidth=1.5)
            for place, share in zip(places, shares.values(), strict=True):
                text = ax.text(100 * share + 1.5, place, f"{share:.0%}", va="center")
                text.set(color=palette.ink, zorder=4)  # on its own ground, above the dotted line
                text.set_bbox({"facecolor": palette.surface, "edgecolor": "none", "pad": 1.5})
            ax.set_yticks(places, list(shares))
            ax.invert_yaxis()
            ax.grid(axis="y", visible=False)
            ax.set(
                xlabel="left, in % of the dense network's (dotted)",
                xlim=(0, max(112, *(115 * share for share in shares.values()))),
            )

        words = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        return plotting.figure(
            draw,
            f"Bars of what the small network has left of the dense one's: {words}.",
            "What is left of each quantity. Time and memory do not fall as the work does.",
            (5.8, 2.7),
        )

    def shares(self) -> dict[str, float]:
        """Each quantity of the small network, divided by the dense network's."""
        return {name: getattr(self.small, name) / getattr(self.dense, name) for name in _QUANTITIES}


@torch.no_grad()
def compare(
    dense: nn.Module, small: nn.Module, example: Tensor, repeats: int = 9, threads: int | None = 1
) -> Report:
    """Measure two networks on the same inputs, in turns (`training.latencies`).

    Parameters
    ----------
    dense, small : torch.nn.Module
        Left in the modes that they are in.
    example : Tensor
        Inputs of shape (N, ...) on the networks' device.
    repeats : int
        Passes of each to take the median of, after two that are not counted.
    threads : int or None
        CPU threads for the timing; None for as many as PyTorch uses now.

    Returns
    -------
    Report

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
    >>> small = sl.prune(net, 0.75, "magnitude", example=torch.zeros(1, 8))
    >>> report = compare(net, small, torch.zeros(4, 8))
    >>> report.dense.channels, report.small.channels
    (64, 16)
    """
    models = dense, small
    counted = [measure(model, example, repeats=1, threads=threads) for model in models]
    memory = [peak_memory(model, example) for model in models]
    seconds = latencies(models, example, repeats, threads)
    prints = [
        Footprint(m.channels, m.parameters, m.macs, latency, peak)
        for m, latency, peak in zip(counted, seconds, memory, strict=True)
    ]
    return Report(*prints, len(example))


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
