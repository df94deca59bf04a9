"""Does a layer of a smaller network say what it says in the masked one?"""

import torch
from torch import Tensor

# How far a layer of a smaller network may lie from the masked one's, relative to what masking half
# of the units changes there, and to the largest value: summation order alone gives about 1e-6.
_OF_CHANGE, _OF_SCALE = 1e-3, 1e-5


def agree(expected: Tensor, found: Tensor, rows: Tensor | None) -> bool:
    """Whether two tensors are the same but for rounding, whatever masking changes."""
    if rows is not None and expected.ndim == 2:
        expected = expected[:, rows.to(expected.device)]
    if expected.shape != found.shape or not expected.numel():
        return False
    error, scale = (expected - found).abs().max().item(), expected.abs().max().item()
    return error == 0 or error < _OF_SCALE * scale < float("inf")


def difference(expected: Tensor, found: Tensor, dense: Tensor, rows: Tensor | None) -> str | None:
    """None if what a smaller network says is what the masked one says, else what is wrong.

    Parameters
    ----------
    expected, found : Tensor, shape (R, C) or any other
        What the masked and the smaller network say.
    dense : Tensor
        What the network says with all units.
    rows : Tensor of int, or None
        The channels that the smaller one has, of a layer that lost some.
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
