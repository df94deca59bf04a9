"""The largest change that a search finds: a bound from below, to hold bounds from above against."""

import torch
from torch import Tensor, nn

from ..network.modes import check_weights, evaluating
from ..network.outputs import as_rows
from ..network.replica import replica
from ..network.surroundings import undisturbed
from .box import Box
from .change import checked_rows
from .ranges import Range
from .recorded import in_float64

_STEPS = (0.3, 0.1, 0.1, 0.03, 0.03, 0.01)  # of a box's side


@undisturbed("first", "second")
def found_change(
    first: nn.Module,
    second: nn.Module,
    box: tuple[Tensor, Tensor],
    *,
    combinations: Tensor | None = None,
    points: int = 64,
    seed: int = 0,
) -> Range:
    """Smallest and largest changes of the outputs that a search finds on boxes of inputs.

    Random points, corners and the middle are tried; from the one that changes an output most, the
    search goes on by signed gradient steps in the box. What it finds is there; there may be more.

    Parameters
    ----------
    first, second : torch.nn.Module
        With the same inputs and outputs; float64 copies in evaluation mode are run, on the CPU.
    box : (Tensor, Tensor), shape (N, ...)
    combinations : Tensor, shape (K, C) or (N, K, C), optional
        As for `change_bound`.
    points : int
        How many are tried in each box, at least 4.
    seed : int

    Returns
    -------
    Range
        `low` and `high` of float64, shape (N, K).

    Raises
    ------
    TypeError, ValueError
        For a box that is none, weights that are NaN or infinite, networks of different outputs,
        wrong combinations, or too few points.
    """
    if points < 4:
        raise ValueError(f"points is how many are tried in each box, at least 4, not {points!r}")
    for model in (first, second):
        check_weights(model)
    first, second = (replica(model, in_float64) for model in (first, second))
    ends = Box.checked(box).range
    low, high = ends.low, ends.high
    with evaluating(first), evaluating(second), torch.enable_grad():
        one, two = (as_rows(model(low[:1].clone())).shape[1] for model in (first, second))
        if one != two:
            raise ValueError(f"the networks have {one} and {two} outputs: they cannot be compared")
        rows = checked_rows(combinations, (two,), len(low))

        def change(x: Tensor) -> Tensor:
            flat = x.flatten(0, 1)
            found = as_rows(second(flat.clone()) - first(flat.clone()))
            return torch.einsum("pnc,nkc->pnk", found.unflatten(0, x.shape[:2]), rows)

        x = _tried(low, high, points, seed)
        with torch.no_grad():
            seen = change(x)
        return Range(-_climbed(change, x, -seen, -1, ends), _climbed(change, x, seen, 1, ends))


def _tried(low: Tensor, high: Tensor, points: int, seed: int) -> Tensor:
    """Random points of each box, a quarter of them corners, and its middle, (points, N, ...)."""
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(points, *low.shape, generator=generator, dtype=low.dtype)
    share[: points // 4] = share[: points // 4].round()
    share[-1] = 0.5
    return torch.minimum(low + (high - low) * share, high)  # rounding takes no point out of the box


def _climbed(change, x: Tensor, seen: Tensor, sign: int, ends: Range) -> Tensor:
    """The largest value of ``sign * change`` from the best of the points tried, (N, K)."""
    boxes = torch.arange(x.shape[1])
    best = seen.argmax(0)
    start = torch.stack([x[best[:, k], boxes] for k in range(best.shape[1])])
    reached = seen.amax(0)
    for step in _STEPS:
        start = start.detach().requires_grad_()
        # of each start, the combination that it was chosen for
        own = (sign * change(start)).diagonal(dim1=0, dim2=2)
        reached = torch.maximum(reached, own.detach())
        slope = torch.autograd.grad(own.sum(), start, allow_unused=True)[0]
        if slope is None:
            break
        start = start + step * (ends.high - ends.low) * slope.sign()
        start = torch.minimum(torch.maximum(start, ends.low), ends.high)
    return reached
