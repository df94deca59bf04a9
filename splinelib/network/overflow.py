"""Where a network's values stop being numbers."""

import torch
from torch import Tensor, nn

from .modes import evaluating
from .outputs import floating_tensors
from .replica import replica


def holds_nan(outputs) -> Tensor:
    """Whether any tensor that a model returned holds NaN: a bool, on the device of the first.

    What overflows to infinity becomes NaN on its way to the outputs; an infinity there may be meant
    (a mask).
    """
    found = [tensor.isnan().any() for tensor in floating_tensors(outputs)]
    if not found:
        return torch.zeros((), dtype=torch.bool)
    return torch.stack([flag.to(found[0].device) for flag in found]).any()


@torch.no_grad()
def overflow(model: nn.Module, *args, **kwargs) -> str:
    """A sentence that names the first module whose outputs are not numbers for given inputs.

    Parameters
    ----------
    model : torch.nn.Module
        Run once, in evaluation mode.
    *args, **kwargs
        What it is called with.
    """
    model, places = replica(model), []

    def look(name: str):
        def hook(module, _, output):
            if not places and not all(t.isfinite().all() for t in floating_tensors(output)):
                places.append(name)

        return hook

    for name, module in model.named_modules():
        module.register_forward_hook(look(name))
    with evaluating(model):
        model(*(a.clone() if isinstance(a, Tensor) else a for a in args), **kwargs)
    where = f"module {places[0]!r}" if places and places[0] else "the model's own forward"
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    return (
        f"{where} gives NaN or infinite values for these inputs, though inputs and weights are "
        f"finite: they are too large for {str(dtype).removeprefix('torch.')}. Scale the inputs as "
        "in training, load a checkpoint from before the training diverged, or use float32 or "
        "float64"
    )
