"""What each layer of a network says in one run, and whether two networks say the same.

Of a large map some positions are looked at. What a smaller network's layer says is held against
the rows of the larger one's that are left.
"""

from collections.abc import Callable, Container, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ..network.hooks import hooked
from ..network.inputs import Inputs
from ..network.outputs import is_wrapped, tensors_of
from .axes import is_layer

# How far a layer of a smaller network may lie from the masked one's, relative to what masking half
# of the units changes there, and to the largest value: summation order alone gives about 1e-6.
_OF_CHANGE, _OF_SCALE = 1e-3, 1e-5
_POSITIONS = 64  # of each map, so that deep networks fit into memory

Said = dict[str, list[Tensor]]
Lengths = dict[str, list[int]]


def said_by(model: nn.Module, inputs: Inputs, lengths: Lengths | None = None) -> Said:
    """What each layer says in one run, at a sample of positions, and under ``""`` the outputs.

    Parameters
    ----------
    model : torch.nn.Module
        In the mode in which it should run.
    inputs : Inputs
    lengths : dict, optional
        Filled with how long axis 0 is of what each layer says, and each of the outputs.

    Returns
    -------
    dict of str to list of Tensor, shape (positions, rows), float32
        For each layer, an entry for each time that it was called. The outputs are whole. Where the
        run fails, the error has the name of the layer that said something last, as ``_reached``.
    """
    said: Said = {}
    lengths = {} if lengths is None else lengths

    def hear(name: str, module: nn.Module, output: Tensor) -> None:
        said.setdefault(name, []).append(_sampled(module, output))
        lengths.setdefault(name, []).append(_length(output))

    outputs = _heard(model, inputs, hear)
    said[""] = [_real(tensor) for tensor in outputs]
    lengths[""] = [_length(tensor) for tensor in outputs]
    return said


def said_twice(model: nn.Module, inputs: Inputs, lengths: Lengths) -> tuple[Said, Said]:
    """What `said_by` gives of two networks that run in one.

    Where axis 0 is twice as long as ``lengths`` says, its first half is what the first network
    says, and the other what the second does; elsewhere both say the same.
    """
    first: Said = {}
    second: Said = {}

    def hear(name: str, module: nn.Module, output: Tensor) -> None:
        one, other = _halves(output, lengths[name][len(first.get(name, ()))])
        first.setdefault(name, []).append(_sampled(module, one))
        last = first[name][-1]
        second.setdefault(name, []).append(last if other is one else _sampled(module, other))

    outputs = _heard(model, inputs, hear)
    pairs = [_halves(tensor, long) for tensor, long in zip(outputs, lengths[""], strict=True)]
    first[""], second[""] = ([_real(pair[at]) for pair in pairs] for at in (0, 1))
    return first, second


def _length(tensor: Tensor) -> int:
    return tensor.shape[0] if tensor.ndim else 0


def _halves(tensor: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The parts of two networks, if there are two parts."""
    doubled = length > 0 and _length(tensor) == 2 * length
    return (tensor[:length], tensor[length:]) if doubled else (tensor, tensor)


def _heard(model: nn.Module, inputs: Inputs, hear: Callable) -> list[Tensor]:
    """The outputs of one run, in which ``hear`` is given what each layer says."""
    reached = [""]

    def note(name: str) -> Callable:
        def hook(module, _, output):
            reached[0] = name
            if isinstance(output, Tensor) and not is_wrapped(output):
                hear(name, module, output.detach())  # a forward may ask for gradients

        return hook

    layers = {m: note(name) for name, m in model.named_modules() if name and is_layer(m)}
    try:
        with torch.no_grad(), hooked(behind=layers):
            return [tensor.detach() for tensor in tensors_of(inputs.given_to(model))]
    except Exception as error:
        error._reached = reached[0]
        raise


def _real(tensor: Tensor) -> Tensor:
    """In float32; the two parts of complex numbers one behind the other."""
    if tensor.is_complex():
        tensor = torch.cat(torch.atleast_1d(tensor.real, tensor.imag))
    return tensor.float()


def _sampled(layer: nn.Module, output: Tensor) -> Tensor:
    """What a layer says, rows last, at some of its positions, and how many there are."""
    some = _some(layer, output)
    some.positions = output.numel() // max(1, some.shape[-1])
    return some


def _some(layer: nn.Module, output: Tensor) -> Tensor:
    if not isinstance(layer, nn.Linear) and output.ndim > layer.weight.ndim - 2 + 1:
        if output.is_contiguous() and not output.is_complex():
            places = output.flatten(2)
            count = places.shape[2]
            step = max(1, len(places) * count // _POSITIONS)
            if count % step == 0:  # the very same positions, and the others are not copied
                if output.device.type == "cpu" and output.dtype == torch.float32:
                    # numpy takes a fraction of the time that torch takes to begin an operation
                    some = places.numpy()[:, :, ::step].transpose(0, 2, 1)
                    return torch.from_numpy(some.copy().reshape(-1, some.shape[2]))
                some = places[:, :, ::step].transpose(1, 2)
                return some.clone(memory_format=torch.contiguous_format).flatten(0, 1).float()
        output = output.movedim(1, -1)
    rows = output.reshape(-1, output.shape[-1])
    step = max(1, len(rows) // _POSITIONS)
    return _real(rows[::step]).clone()


def positions_of(said: Tensor) -> int:
    """From how many positions those were taken that a layer's outputs are held at."""
    return getattr(said, "positions", len(said))


def alike(
    expected: Said, found: Said, rows: Mapping[str, Tensor | None], left_out: Container[str] = ()
) -> bool:
    """Whether a smaller network says the same but for rounding, whatever masking changes.

    Parameters
    ----------
    expected, found : dict
        From `said_by`, of the larger network and of the smaller one.
    rows : mapping of str to Tensor or None
        The rows of each layer that are left, where not all are.
    left_out : container of str
        Layers that are not compared.

    Returns
    -------
    bool
        False as well where there is nothing to compare, or where values are infinite or undefined.
    """
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for name, tensors in expected.items():
        if name in left_out:
            continue
        here, kept = found.get(name, []), rows.get(name)
        if len(here) != len(tensors):
            return False
        for one, other in zip(tensors, here, strict=True):
            one, other = one.cpu().numpy(), other.cpu().numpy()
            if kept is not None and one.ndim == 2:
                one = one.take(kept.numpy(), axis=1)
            if one.shape != other.shape or not one.size:
                return False
            pairs.append((one.ravel(), other.ravel()))
    if not pairs:
        return True
    # all layers at once: to begin an operation takes longer than to do it
    large, small = (np.concatenate(side) for side in zip(*pairs, strict=True))
    starts = np.cumsum([0, *(len(one) for one, _ in pairs[:-1])])
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.maximum.reduceat(np.abs(large - small), starts)
        limit = _OF_SCALE * np.maximum.reduceat(np.abs(large), starts).astype(np.float64)
        return bool(((error == 0) | ((error < limit) & (limit < np.inf))).all())


def differs(expected: Tensor, found: Tensor, dense: Tensor, rows: Tensor | None) -> str | None:
    """What is wrong with what a smaller network's layer says, in words; None if nothing is.

    Parameters
    ----------
    expected, found, dense : Tensor
        What the masked network's layer says, the smaller one's and the whole one's.
    rows : Tensor or None
        The rows that are left.
    """
    if rows is not None and expected.ndim == 2:
        rows = rows.to(expected.device)
        expected, dense = expected[:, rows], dense[:, rows]
    if expected.shape != found.shape:
        return f"outputs of shape {tuple(found.shape)} instead of {tuple(expected.shape)}"
    if not expected.numel():
        return None
    finite = torch.isfinite(expected) & torch.isfinite(found)
    if not torch.equal(torch.isfinite(expected), torch.isfinite(found)):
        return "outputs are infinite in one and not in the other"
    scale = expected[finite].abs().max().item() if finite.any() else 0.0
    change = scale  # where masking sends other rows to a layer, they cannot be compared
    if dense.shape == expected.shape:
        change = (expected - dense)[finite].abs().max().item() if finite.any() else 0.0
    error = (expected - found)[finite].abs().max().item() if finite.any() else 0.0
    if error > _OF_CHANGE * change + _OF_SCALE * scale:
        return f"outputs differ by {error:.3g} where masking changes them by {change:.3g}"
    return None
