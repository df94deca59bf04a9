"""Layers behind a jump, where rounding decides what a network says."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..network.inputs import Inputs
from .choices import Choices, says
from .saying import Said


def jumping(
    model: nn.Module,
    inputs: Inputs,
    said: Said,
    found: Said,
    again: Callable[[], Choices | None] = lambda: None,
) -> set[str]:
    """Layers that say something else if the inputs change by as much as rounding does.

    What comes behind a jump cannot be compared.

    Parameters
    ----------
    model : torch.nn.Module
    inputs : Inputs
    said : dict of str to list of Tensor
        What the model says of them.
    found : dict of str to list of Tensor
        What another says that should say the same. If its outputs have other shapes, a jump is the
        reason only if there are jumps to other shapes.
    again : callable
        Gives the `Choices` that a run makes again, or None.

    Returns
    -------
    set of str
        Names of layers, and ``""`` for the outputs.
    """
    jumps, shapes = set(), _shapes(said)
    reshaped = _shapes(found) != shapes
    for step in (1e-6, -1e-6, 1e-5, -1e-5, 1e-4, -1e-4):

        def jogged(value, step=step):
            if not value.is_floating_point():
                return value
            noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(4))
            return value + step * _largest(value) * noise.to(value)

        jogged_said = says(model, inputs.mapped(jogged), again())
        for name, tensors in said.items():
            others = jogged_said.get(name, [])
            same = len(others) == len(tensors) and all(
                one.shape == other.shape
                and (not one.numel() or torch.allclose(one, other, 1e-3, 1e-3 * _largest(one)))
                for one, other in zip(tensors, others, strict=True)
            )
            # a layer might well change by ten times as much, the outputs of a network that jumps
            # change by more
            if not same and (not name or abs(step) < 1e-5):
                jumps.add(name)
        reshaped = reshaped and _shapes(jogged_said) == shapes
    return jumps - {""} if reshaped else jumps


def _shapes(said: Said) -> list[torch.Size]:
    """Of the outputs."""
    return [tensor.shape for tensor in said[""]]


def _largest(tensor: Tensor) -> float:
    return tensor[torch.isfinite(tensor)].abs().max().item() if tensor.numel() else 0.0
