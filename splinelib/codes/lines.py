"""Lines that a network draws through its data: units that tell inputs apart, each once."""

import numpy as np
import torch
from torch import Tensor, nn

from ..network.outputs import as_rows
from .extraction import region_codes


def distinct_lines(model: nn.Module, inputs: Tensor, batch_size: int = 256) -> dict[str, int]:
    """Distinct lines that cross the data, layer by layer.

    A unit's line (its hyperplane, bent by the layers before it) crosses the data if some inputs
    lie on either side. Two lines that part the data alike, whichever side is the positive one,
    count as one: on these inputs nothing tells them apart.

    Parameters
    ----------
    model : torch.nn.Module
    inputs : Tensor, shape (N, ...)
    batch_size : int
        Inputs at a time.

    Returns
    -------
    dict of str to int
        Layer by name, in order of execution.

    Examples
    --------
    >>> layer = nn.Linear(1, 4)
    >>> layer.weight.data[:] = torch.tensor([[1.0], [-1.0], [1.0], [1.0]])
    >>> layer.bias.data[:] = torch.tensor([-0.5, 0.5, -1.5, 9.0])  # 0.5 twice, 1.5, outside
    >>> distinct_lines(nn.Sequential(layer, nn.ReLU()), torch.arange(3.0)[:, None])
    {'0': 2}
    """
    codes = region_codes(model, inputs, batch_size=batch_size)
    return {name: count_lines(as_rows(codes.unpack(name))) for name in codes.layers}


def count_lines(signs: Tensor) -> int:
    """How many columns part the rows in two, those that part them alike counted once.

    Parameters
    ----------
    signs : Tensor, shape (N, U), bool
        True where input n lies on the positive side of unit u.

    Raises
    ------
    ValueError
        It is no matrix of booleans, or has no rows.
    """
    if signs.ndim != 2 or signs.dtype != torch.bool or not len(signs):
        raise ValueError(
            f"signs are a matrix of booleans, a row for each input, at least one; these are "
            f"{signs.dtype} of shape {tuple(signs.shape)}."
        )
    sides = (signs ^ signs[:1]).T.cpu().numpy()  # from the first input's side, so flips agree
    packed = np.packbits(sides[sides.any(1)], axis=1)
    return len(np.unique(packed, axis=0)) if len(packed) else 0
