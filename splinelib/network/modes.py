"""A model around a run: its mode, its device, and whether weights and inputs are sound."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..errors import PruningError


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode; every submodule gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        try:
            if any(mode for _, mode in modes):
                model.eval()
        except NotImplementedError as error:  # what torch.export makes
            raise TypeError(
                f"the model cannot be put into evaluation mode ({error}): it was made by "
                "torch.export. Give the torch.nn.Module that was exported"
            ) from error
        yield model
    finally:
        for module, mode in modes:
            if module.training != mode:  # a module looks long at what is set on it
                module.training = mode


def check_module(name: str, value: object) -> None:
    """Raise `TypeError`, with the name of the parameter, for what is no model."""
    if not isinstance(value, nn.Module):
        raise TypeError(f"{name} should be a torch.nn.Module, not {type(value).__name__}")


def check_weights(model: nn.Module) -> None:
    """Raise `ValueError` naming the first parameter or buffer with NaN or infinity.

    Also for one on the meta device, or of a dtype that torch only stores, as float8.
    """
    check_module("model", model)
    tensors = [
        tensor
        for module in model.modules()
        for held in (module._parameters, module._buffers)
        for tensor in held.values()
        if tensor is not None
    ]
    if any(tensor.is_meta for tensor in tensors):
        named = (*model.named_parameters(), *model.named_buffers())
        meta = next(name for name, tensor in named if tensor.is_meta)
        raise ValueError(
            f"{meta!r} is on the meta device and holds no numbers: give it some "
            "(model.to_empty(device='cpu'), then load_state_dict)"
        )
    floating = [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
    if not floating:
        return
    if any(tensor.dtype.itemsize < 2 for tensor in floating):
        named = (*model.named_parameters(), *model.named_buffers())
        name, tensor = next(
            (n, t) for n, t in named if t.is_floating_point() and t.dtype.itemsize < 2
        )
        raise ValueError(
            f"{name!r} is of {tensor.dtype}, in which numbers are stored and not computed with: "
            "convert the model first (model.float())"
        )
    # NaN and infinity survive sums, which are many times as fast; a sum that overflows asks twice.
    sums = [each.sum() for each in _joined(floating)]
    if len({(each.device, each.dtype) for each in sums}) > 1:
        sums = [each.to(sums[0].device, torch.float32) for each in sums]
    if torch.isfinite(torch.stack(sums).sum(dtype=torch.float32)):
        return
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(
                f"{name!r} holds NaN or infinite values: the model has diverged or was damaged; "
                "load a sound checkpoint"
            )


def _joined(tensors: list[Tensor]) -> list[Tensor]:
    """The same values in fewer tensors: to begin a sum takes longer than to sum a short vector."""
    vectors: dict[tuple, list[Tensor]] = {}
    result = []
    for tensor in tensors:
        if tensor.ndim == 1 and tensor.layout == torch.strided:
            vectors.setdefault((tensor.device, tensor.dtype), []).append(tensor)
        else:
            result.append(tensor)
    return [*result, *(torch.cat(parts) for parts in vectors.values())]


def device_of(model: nn.Module) -> torch.device:
    """Device of the model's first parameter or buffer; the CPU if it has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def check_inputs(model: nn.Module, inputs: Tensor, what: str = "data") -> Tensor:
    """The inputs on the model's device; a clear error if no model could take them.

    Raises
    ------
    TypeError
        If they are not a tensor.
    ValueError
        If they are empty, sparse, not floating point, or hold NaN or infinite values.
    """
    if not isinstance(inputs, Tensor):
        raise TypeError(
            f"{what} should be a tensor of inputs, not {type(inputs).__name__}: wrap a model of "
            "several inputs in a module whose forward takes one tensor, or prune it without data, "
            "by example=(args, kwargs)"
        )
    if inputs.ndim < 2 or inputs.numel() == 0:
        raise ValueError(
            f"{what} should have a row per input, shape (N, ...) with N >= 1; "
            f"its shape is {tuple(inputs.shape)}"
        )
    if inputs.layout != torch.strided:
        raise ValueError(f"{what} is of layout {inputs.layout}: make it dense ({what}.to_dense())")
    if inputs.is_meta:
        raise ValueError(f"{what} is on the meta device, where tensors hold no numbers")
    if inputs.is_floating_point() and not torch.isfinite(inputs).all():
        raise ValueError(f"{what} holds NaN or infinite values")
    parameter = next(model.parameters(), None)
    if parameter is None:
        raise PruningError(
            "the model has no parameters; of a quantised network prune the floating-point one, and "
            "quantise what is left"
        )
    if inputs.dtype == torch.uint8:
        raise ValueError(
            f"{what} holds uint8 images; normalise them to float first (Dataset.to_float)"
        )
    return inputs.to(parameter.device)
