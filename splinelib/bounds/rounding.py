"""How far rounding may take the outputs of a network from what it computes in exact arithmetic."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .pair import FIRST
from .pooling import pooled
from .relaxation import steepest
from .state import State


def rounding(state: State, unit: float, given: Mapping[int, Tensor] | None = None) -> Tensor:
    """Bounds of the rounding errors of the outputs, anywhere in each box.

    A sum of n products errs by at most about n units of rounding times the sum of their absolute
    values, and what errs is multiplied by the absolute weights of the layers behind. That is the
    worst case; it holds for sums in any order, not for transforms such as Winograd's, nor for
    tensor cores that round inputs.

    Parameters
    ----------
    state : State
        Ranges of one network, as `units.bounded` gives them.
    unit : float
        Largest relative error of one rounding in the arithmetic that the network runs in.
    given : mapping of int to Tensor, optional
        Errors that values have for other reasons, by value.

    Returns
    -------
    Tensor of float64, shape (B, *output_shape)
    """
    given, errors = given or {}, {0: torch.zeros_like(state.box.range.low)}
    for at, node, _ in state.pair.steps():
        if node.activation is None:
            map_ = state.pair.maps[at][FIRST]
            read = {i: errors[i] for i in map_.inputs}
            terms = state.terms_with(map_.terms_of(read))
            for o, spread in map_.spread(read).items():
                errors[o] = (spread + terms * unit * state.sizes[FIRST][o]) * (1 + 1e-9)
        else:
            errors[node.outputs[0]] = _behind(state, node, unit, errors)
        for o in node.outputs:
            errors[o] = errors[o] + given[o] if o in given else errors[o]
    return errors[state.pair.graphs[FIRST].output]


def _behind(state: State, node, unit: float, errors: dict[int, Tensor]) -> Tensor:
    """Of the value of an activation."""
    phi = node.activation
    read = [errors[i] for i in node.inputs]
    if phi.pool:
        return pooled(phi, read[0])
    slope = steepest(phi).clamp(min=1)
    own = state.ranges[FIRST][node.outputs[0]].largest()
    return slope * sum(read) + 4 * unit * (own + slope * state.compared(node, FIRST).largest())
