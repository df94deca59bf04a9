"""Ranges of all values of a pair of networks, forwards by intervals, backwards by relaxations.

Forwards, each node's outputs follow from the ranges of its inputs. Backwards, a linear function of
some value is replaced, node by node, by one of what lies below it: exactly where a node is affine,
by a line or a plane where it bends, until it is one of the input, whose largest value on a box is
known. Linear functions of the first network's values, of the second's and of their differences go
down together. Through a layer that is the same in both a difference passes as a difference, so that
what the networks share never enters; what a layer changes acts on the first network's values.

Rounding. A sum of n products errs by at most about n times the unit roundoff times the sum of the
absolute products (Higham, 2002, ch. 3), in whatever order it is formed. So each step that is
computed rather than exact is charged ``(n + 2 nodes + 64) * 2**-53`` times a bound of that sum:
the sizes of the terms forwards; the coefficients' absolute values times those sizes backwards.
"""

import math

import torch
from torch import Tensor

from ..network.graph import Node
from .backwards import range_of
from .box import Box
from .maps import AffineMap
from .pair import CHANGE, FIRST, SECOND, Pair
from .pooling import pooled_change, pooled_range
from .ranges import Range, hull
from .recorded import OVERFLOW
from .relaxation import change_planes, change_range, lines, value_range
from .state import State, difference_of
from .twins import made, pairs

ALL = (FIRST, SECOND, CHANGE)


def walk(pair: Pair, box: Box, units: int, kinds: tuple[int, ...] = ALL) -> State:
    """Ranges of all values of a pair of networks on several boxes.

    Parameters
    ----------
    pair : Pair
    box : Box
    units : int
        What is read by an activation is bounded backwards, too, if it has at most so many units.
    kinds : tuple of int
        What ranges are kept of: the networks, and their difference if both are among them.

    Returns
    -------
    State
    """
    state = State(pair, box, kinds)
    for at, one, two in pair.steps():
        if one.activation is None:
            _affine(state, at)
        else:
            _tighten(state, at, one, units)
            _bend(state, at, one, two)
            if CHANGE in kinds and state.ranges[FIRST][one.inputs[0]].low[0].numel() <= units:
                _find_twins(state, at, one, two)
    return state


def _affine(state: State, at: int) -> None:
    maps = state.pair.maps[at]
    for kind in state.networks:
        ranges = state.ranges[kind]
        given = {i: ranges[i] for i in maps[kind].inputs}
        state.constants[at, kind] = maps[kind].constant({i: r.low for i, r in given.items()})
        for o, (low, high, size) in _image(state, maps[kind], given).items():
            ranges[o], state.sizes[kind][o] = _finite(low, high), size
    if CHANGE in state.kinds:
        _affine_change(state, at)


def _image(state: State, map_: AffineMap, given: dict[int, Range], constants: bool = True) -> dict:
    """Low and high of each output, and the size of the terms that it is a sum of."""
    centre = {i: r.centre() for i, r in given.items()}
    radius = {i: r.radius(centre[i]) for i, r in given.items()}
    largest = {i: centre[i].abs() + radius[i] for i in given}
    spread = map_.spread(radius)
    if constants:
        middle, size = map_.forward(centre), map_.sizes(largest)
    else:
        middle, size = map_.linear(centre), map_.spread(largest)
    unit = state.unit_of(map_.terms_of(centre))
    found = {}
    for o in map_.outputs:
        reach = spread[o] + unit * size[o]
        found[o] = middle[o] - reach, middle[o] + reach, size[o]
    return found


def _affine_change(state: State, at: int) -> None:
    one, two = state.pair.maps[at]
    change, change_map = state.ranges[CHANGE], state.pair.changed.get(at)
    found = {}
    if state.passes(at):
        found = _image(state, two, {i: change[i] for i in two.inputs}, constants=False)
    if found and change_map is not None:
        state.constants[at, CHANGE] = change_map.constant(
            {i: state.ranges[FIRST][i].low for i in one.inputs}
        )
        moved = _image(state, change_map, {i: state.ranges[FIRST][i] for i in one.inputs})
        found = {o: tuple(a + b for a, b in zip(found[o], moved[o], strict=True)) for o in found}
    for o in two.outputs:
        if o in state.pair.comparable:
            change[o] = state.ranges[SECOND][o].minus(state.ranges[FIRST][o])
        if o in found:
            low, high, state.sizes[CHANGE][o] = found[o]
            reach = state.unit_of(1) * state.sizes[CHANGE][o]
            change[o] = Range(low - reach, high + reach).within(change[o])


def _bend(state: State, at: int, one: Node, two: Node) -> None:
    phi, psi, o = one.activation, two.activation, one.outputs[0]
    bends = {FIRST: one, SECOND: two}
    ranges = {kind: state.compared(bends[kind], kind) for kind in state.networks}
    for kind, z in ranges.items():
        node = bends[kind]
        if phi.pool:
            state.ranges[kind][o] = pooled_range(node.activation, z)
        else:
            state.planes[at, kind] = lines(node.activation, z)
            state.ranges[kind][o] = _values(state, node, kind, z)
    if CHANGE not in state.kinds or o not in state.pair.comparable:
        return
    apart = state.ranges[SECOND][o].minus(state.ranges[FIRST][o])
    changes = state.operand_changes(one, two)
    if changes is None:
        state.ranges[CHANGE][o] = apart
        return
    d = difference_of(changes)
    if phi.pool:
        state.ranges[CHANGE][o] = pooled_change(psi, d).within(apart)
    else:
        known = phi, psi, ranges[FIRST], ranges[SECOND], d
        state.planes[at, CHANGE] = change_planes(*known)
        change = change_range(*known) if len(changes) == 1 else hull(*changes)
        state.ranges[CHANGE][o] = change.within(apart)


def _values(state: State, node: Node, kind: int, z: Range) -> Range:
    """What an activation makes."""
    if len(node.activation_inputs) == 1:
        return value_range(node.activation, z)
    a, b = (state.operand(item, kind) for item in node.activation_inputs)
    call = node.activation.call
    return Range(call(a.low, b.low), call(a.high, b.high))


def _finite(low: Tensor, high: Tensor) -> Range:
    if not (low.isfinite().all() and high.isfinite().all()):
        raise ValueError(OVERFLOW)
    return Range(low, high)


def _tighten(state: State, at: int, node: Node, units: int) -> None:
    """Bound what an activation reads backwards, if it has few units."""
    for i in node.inputs:
        for kind in state.kinds:
            known = state.ranges[kind].get(i)
            if known is None or not 0 < known.low[0].numel() <= units:
                continue
            if i == 0 or (known.low == known.high).all():
                continue
            shape = known.low.shape
            rows = torch.eye(math.prod(shape[1:]), dtype=torch.float64)
            rows = rows.reshape(-1, *shape[1:]).expand(shape[0], -1, *shape[1:])
            found = range_of(state, i, {kind: rows}, at)
            own = Range(found.low.reshape(shape), found.high.reshape(shape))
            state.ranges[kind][i] = own.within(known)


def _find_twins(state: State, at: int, one: Node, two: Node) -> None:
    """Bound how far units that are gone are from what another one would do for them."""
    found = pairs(state, one, two)
    if found is None:
        return
    gone, heirs, ratios = found
    z = one.activation_inputs[0].index
    boxes, _, *places = state.ranges[FIRST][z].low.shape
    rows = torch.eye(len(gone) * math.prod(places), dtype=torch.float64)
    rows = rows.reshape(-1, len(gone), *places)
    own = torch.zeros(len(rows), *state.ranges[FIRST][z].low.shape[1:], dtype=torch.float64)
    own.index_add_(1, gone, rows)
    own.index_add_(1, heirs, -rows * ratios.reshape(-1, *(1,) * len(places)))
    own = own.expand(boxes, *own.shape)
    found_range = range_of(state, z, {FIRST: own}, at)
    shape = boxes, len(gone), *places
    error = Range(found_range.low.reshape(shape), found_range.high.reshape(shape))
    state.twins[at] = made(state, one, found, error)
