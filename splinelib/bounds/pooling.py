"""Max-pooling: which windows have one certain winner, and bounds where they have not."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.activations import Activation
from .ranges import Range


def pooled(pool: Activation, x: Tensor) -> Tensor:
    """The largest value of each window."""
    value = pool.call(x)
    return value[0] if isinstance(value, tuple) else value


def pooled_range(pool: Activation, z: Range) -> Range:
    return Range(pooled(pool, z.low), pooled(pool, z.high))


def pooled_change(pool: Activation, d: Range) -> Range:
    """A maximum changes by no more than the values that it is one of."""
    return Range(-pooled(pool, -d.low), pooled(pool, d.high))


def winners(pool: Activation, x: Tensor) -> Tensor:
    """Position of the winner in each window, int64, of the shape of what the pooling gives."""
    return pool.winner(x).reshape(pooled(pool, x).shape)


def certain(pool: Activation, z: Range) -> Tensor:
    """Windows in which one value is at least as large as all others can be, bool."""
    windows, least = _windows(pool.pool, z.high), pooled(pool, z.low)
    if windows is None:
        return torch.zeros_like(least, dtype=torch.bool)
    reach = windows.reshape(*least.shape, -1) >= least[..., None]
    return reach.sum(-1) == 1


def to_winner(pool: Activation, least: Tensor, coefficients: Tensor) -> Tensor:
    """Coefficients of windows as coefficients of the values whose lower bound is largest.

    Parameters
    ----------
    pool : Activation
    least : Tensor, shape (R, ...)
        Lower bounds, a row for each row of the coefficients.
    coefficients : Tensor, shape (R, ...)
    """
    with torch.enable_grad():
        x = least.detach().clone().requires_grad_()
        return torch.autograd.grad(pooled(pool, x), x, coefficients)[0]


def _windows(pool: dict, x: Tensor) -> Tensor | None:
    """The values of each window in trailing dimensions; None where windows are not all alike."""
    dims = pool["dims"]
    if pool["adaptive"]:
        return x if all(size == 1 for size in pool["args"][0]) else None
    if pool["args"][4]:  # ceil_mode
        return None
    padding = [side for p in reversed(pool["padding"]) for side in (p, p)]
    x = F.pad(x, padding, value=-torch.inf)
    first = x.dim() - dims
    for axis in range(dims):
        dilation = pool["dilation"][axis]
        reach = (pool["window"][axis] - 1) * dilation + 1
        x = x.unfold(first + axis, reach, pool["stride"][axis])[..., ::dilation]
    return x
