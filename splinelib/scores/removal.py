"""A greedy removal of units, and what it says of layers that are to be compared."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Removal(NamedTuple):
    """A greedy removal.

    Attributes
    ----------
    order : Tensor, shape (U,), int64
        Units in the order in which they go; the last entry is the one that stays longest.
    cost : Tensor, shape (U,)
        What the removal of each unit cost, indexed by unit, never falling along ``order``:
        higher is kept longer.
    """

    order: Tensor
    cost: Tensor


def prices(removal: Removal) -> Tensor:
    """What each unit adds to the residual, in a form that one threshold can cut all groups by.

    Let r(n) be the residual when the first n units of the order have gone. Of all ways to take
    so many units from several groups, each in its order, the sum of the residuals is least where
    the next unit of every group would add the same. So the increments of r are the scores,
    once they rise along the order: where a dear unit stands before cheap ones, nobody would
    stop between them, and all of that stretch have its mean. These are the slopes of the
    greatest convex function below r (pool adjacent violators; Barlow et al. 1972).

    Parameters
    ----------
    removal : Removal
        With a cumulative cost, as from `least_squares_order`.

    Returns
    -------
    Tensor, shape (U,), float64
        Indexed by unit, rising along the order: by a rounding step at least, so that the
        order can be read off.

    Examples
    --------
    >>> order, cumulative = torch.tensor([1, 0, 2]), torch.tensor([4.0, 1.0, 6.0])
    >>> prices(Removal(order, cumulative)).tolist()
    [2.5, 1.0, 2.5]
    """
    cost = removal.cost[removal.order].double().cpu().numpy()
    runs: list[list[float]] = []  # [sum, length] of stretches with one mean
    for step in np.diff(cost, prepend=0):
        runs.append([float(step), 1])
        while len(runs) > 1 and runs[-2][0] * runs[-1][1] >= runs[-1][0] * runs[-2][1]:
            total, length = runs.pop()
            runs[-1] = [runs[-1][0] + total, runs[-1][1] + length]
    rising = np.concatenate([np.full(length, total / length) for total, length in runs])
    for at in range(1, len(rising)):
        rising[at] = max(rising[at], np.nextafter(rising[at - 1], np.inf))
    result = torch.empty(len(rising), dtype=torch.float64)
    result[removal.order.cpu()] = torch.from_numpy(rising)
    return result
