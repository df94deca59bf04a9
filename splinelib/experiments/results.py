"""What a record says of a trained network, dense or a ticket."""

import torch
from torch import nn

from ..cost.flops import FlopsLedger
from .origin import provenance
from .setting import device


def as_trained(model: nn.Module) -> nn.Module:
    """The network in the layout that training gives it, for what is timed to lie alike."""
    return model.to(memory_format=torch.channels_last)


def result(history: list[dict], size: dict, ledger: FlopsLedger) -> dict:
    """What dense networks and tickets have in common in a record."""
    on_gpu = device().type == "cuda"
    peak = {"peak_memory": torch.cuda.max_memory_allocated()} if on_gpu else {}
    return {
        **peak,
        "test_accuracy": history[-1]["test_accuracy"],
        "history": history,
        "size": size,
        "flops": ledger.entries,
        "pflop": ledger.pflop,
        "units": ledger.units,
        "seconds": sum(row["seconds"] for row in history),
        "provenance": provenance(),
    }


def widths(dense: nn.Module, small: nn.Module) -> dict[str, list[int]]:
    """Outputs of each weight layer before and after pruning."""
    after = dict(small.named_modules())
    return {
        name: [len(module.weight), len(after[name].weight)]
        for name, module in dense.named_modules()
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    }
