"""What a model is called with: one tensor, or positional and keyword arguments."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from .modes import check_inputs, device_of, evaluating
from .outputs import tensors_of


@dataclass(frozen=True)
class Inputs:
    """Positional and keyword arguments of a model."""

    args: tuple
    kwargs: dict = field(default_factory=dict)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "Inputs":
        """The same with every tensor exchanged."""

        def exchanged(item):
            return function(item) if isinstance(item, Tensor) else item

        return Inputs(*tree_map(exchanged, (self.args, self.kwargs)))

    def given_to(self, model: nn.Module):
        """What the model returns; it may write to its inputs, which are copies."""
        copies = self.mapped(torch.clone)
        return model(*copies.args, **copies.kwargs)

    def __str__(self) -> str:
        tensors = tensors_of((self.args, self.kwargs))
        return " and ".join(f"shape {tuple(t.shape)}, dtype {t.dtype}" for t in tensors)


def example_inputs(model: nn.Module, example, rows: int = 2) -> Inputs:
    """An example as a model takes it, on the model's device, at most so many rows of a tensor.

    Parameters
    ----------
    model : torch.nn.Module
    example : Tensor, shape (N, ...), or (tuple, dict)
        One tensor, or the positional and keyword arguments of a model of several inputs.
    rows : int

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For NaN or infinite values, images of uint8, or a tensor without rows.
    """
    if isinstance(example, Tensor):
        return Inputs((check_inputs(model, example, "example")[:rows],))
    pair = isinstance(example, tuple) and len(example) == 2
    if not (pair and isinstance(example[0], tuple | list) and isinstance(example[1], dict)):
        kind = type(example).__name__
        raise TypeError(
            f"example should be a tensor, or what the model is called with as (args, kwargs), not "
            f"{kind}: example=((first, second), {{}}) for two inputs, example=((), {{'image': x}}) "
            "for a keyword"
        )
    device = device_of(model)
    inputs = Inputs(tuple(example[0]), dict(example[1])).mapped(lambda t: t.to(device))
    for tensor in tensors_of((inputs.args, inputs.kwargs)):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError("example holds NaN or infinite values")
    return inputs


def check_dtype(model: nn.Module, data: Tensor) -> None:
    """Raise `ValueError` if the inputs are of another precision than the model, and it minds."""
    floating = next((p for p in model.parameters() if p.is_floating_point()), None)
    if floating is None or not data.is_floating_point() or data.dtype == floating.dtype:
        return
    try:
        with evaluating(model), torch.no_grad():
            model(data[:2].clone())
    except RuntimeError as error:
        raise ValueError(
            f"the model does not take data of dtype {data.dtype}: its weights are of "
            f"{floating.dtype}. Convert the data with data.to({floating.dtype}) ({error})"
        ) from error


def lively(inputs: Inputs, dtype: torch.dtype) -> Inputs:
    """Tensors whose values are all the same as random ones: zeros show nothing of a network."""

    def shaken(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        tensor = tensor.to(dtype)
        if tensor.numel() > 1 and (tensor == tensor.flatten()[0]).all():
            generator = torch.Generator().manual_seed(2)
            return torch.randn(tensor.shape, generator=generator).to(tensor)
        return tensor

    return inputs.mapped(shaken)
