"""What a smaller network saves, as a table and a figure: size, work, time and memory.

report = compare(dense, small, example)
report.table()      # and report.figure(), as a notebook shows them
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..cost.footprint import Footprint, latencies, measure, peak_memory
from ..plotting.svg import Figure, figure
from ..plotting.tables import Table, table

_QUANTITIES = {
    "channels": "channels",
    "parameters": "parameters",
    "macs": "MACs",
    "latency": "latency",
    "memory": "peak memory",
}


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

    def table(self) -> Table:
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
        return table(
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

    def figure(self) -> Figure:
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
        return figure(
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
