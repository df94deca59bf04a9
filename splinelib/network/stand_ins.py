"""A piecewise affine function in the place of GELU, as near as two pieces come."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Beyond this GELU lies on its asymptotes to rounding; within it the difference is sampled.
_REACH, _STEP = 10.0, 1e-3


class LoweredReLU(nn.Module):
    """A ReLU lowered by a constant.

    Parameters
    ----------
    drop : float
    """

    def __init__(self, drop: float):
        super().__init__()
        self.drop = drop

    def forward(self, z: Tensor) -> Tensor:
        return F.relu(z) - self.drop


def nearest_to_gelu(approximate: str = "none") -> tuple[float, float]:
    """The lowered ReLU whose largest distance from GELU, anywhere, is least.

    Far to the left GELU is 0 and far to the right it is its input, so a function of two pieces
    that stays near it has the slopes 0 and 1. Between the ends GELU lies below the ReLU, by at
    most ``max z Phi(-z) = 0.17``: lowered by half of that, the ReLU errs by as much on both sides.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        As for `torch.nn.GELU`.

    Returns
    -------
    drop : float
    error : float
        The largest distance, to 1e-6; never below it.

    Examples
    --------
    >>> [round(value, 4) for value in nearest_to_gelu()]
    [0.085, 0.085]
    """
    z = torch.arange(-_REACH, _REACH, _STEP, dtype=torch.float64, device="cpu")
    below = F.relu(z) - F.gelu(z, approximate=approximate)
    low, high = float(below.min()), float(below.max())
    # Between two samples a function whose second derivative is at most 2 rises by less than this.
    return (low + high) / 2, (high - low) / 2 + _STEP**2


def with_stand_ins(model: nn.Module) -> tuple[nn.Module, float]:
    """A copy of a network that has a lowered ReLU in the place of every GELU module.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    copy : torch.nn.Module
        Its units have hyperplanes, and its codes bits, where GELU had none.
    error : float
        The largest distance of a stand-in from its GELU, for any input of it. What that does to
        the outputs of the network grows with its weights, and is to be measured.

    Raises
    ------
    ValueError
        If the model has no `torch.nn.GELU`: one that a forward calls as a function cannot be
        exchanged.

    Examples
    --------
    >>> network, error = with_stand_ins(nn.Sequential(nn.Linear(2, 3), nn.GELU()))
    >>> network[1], round(error, 3)
    (LoweredReLU(), 0.085)
    """
    network, largest = copy.deepcopy(model), 0.0
    places = [name for name, module in network.named_modules() if isinstance(module, nn.GELU)]
    if not places:
        raise ValueError(
            "the network has no torch.nn.GELU to put a stand-in for. One that its forward calls "
            "as F.gelu is to be made a module first"
        )
    for name in places:
        drop, error = nearest_to_gelu(network.get_submodule(name).approximate)
        largest = max(largest, error)
        if not name:
            return LoweredReLU(drop), largest
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, LoweredReLU(drop))
    return network, largest
