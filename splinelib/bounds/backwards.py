"""Linear functions of a value carried back to the input, where their largest value is known.

Coefficients stand before values of the first network, of the second, and before their differences.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..network.graph import Node, Value
from .maps import AffineMap
from .pair import CHANGE, FIRST, SECOND
from .pooling import certain, to_winner, winners
from .ranges import Range
from .relaxation import Plane
from .state import State, difference_of
from .twins import hand_over

_BLOCK = 2**24  # numbers in the coefficients of one value at a time, about
Coefficients = tuple[dict[int, Tensor], dict[int, Tensor], dict[int, Tensor]]  # by kind and value


@dataclass
class Tally:
    """What has been left of linear functions on the way down, shape (B, R)."""

    constant: Tensor
    slack: Tensor


def range_of(state: State, value: int, rows: dict[int, Tensor], before: int | None = None) -> Range:
    """Lower and upper bounds of linear functions of a value; arguments as for `most`."""
    both = {kind: torch.cat([r, -r], 1) for kind, r in rows.items()}
    high, low = most(state, value, both, before).chunk(2, 1)
    return Range(-low, high)


def most(state: State, value: int, rows: dict[int, Tensor], before: int | None = None) -> Tensor:
    """Upper bounds of linear functions of a value on each box.

    Parameters
    ----------
    value : int
    rows : dict of kind to Tensor of float64, shape (B, R, *shape)
        Coefficients of the value of the first network, of the second, of the difference.
    before : int, optional
        Position of a node that the value was made before.

    Returns
    -------
    Tensor, shape (B, R)
    """
    first = next(iter(rows.values()))
    step = max(1, _BLOCK // (3 * state.pair.terms * len(first)))
    parts = []
    for start in range(0, first.shape[1], step):
        some = {kind: r[:, start : start + step] for kind, r in rows.items()}
        parts.append(_most(state, value, some, before))
    return torch.cat(parts, 1)


def _most(state: State, value: int, rows: dict[int, Tensor], before: int | None) -> Tensor:
    first = next(iter(rows.values()))
    zero = first.new_zeros(first.shape[:2])
    tally, coefficients = Tally(zero.clone(), zero.clone()), ({}, {}, {})
    for kind, r in rows.items():
        coefficients[kind][value] = r
    steps = [s for s in state.pair.steps() if before is None or s[0] < before]
    for at, one, two in reversed(steps):
        if not any(o in c for c in coefficients for o in one.outputs):
            continue
        if one.activation is None:
            _affine_back(state, at, coefficients, tally)
        elif one.activation.pool:
            _pool_back(state, at, one, two, coefficients, tally)
        else:
            _bend_back(state, at, one, two, coefficients, tally)
    return _at_input(state, coefficients, tally)


def _at_input(state: State, coefficients: Coefficients, tally: Tally) -> Tensor:
    total = torch.zeros(())
    for kind in (FIRST, SECOND):
        if 0 in coefficients[kind]:
            _charge(state, tally, coefficients[kind][0], state.box.range.largest())
            total = total + coefficients[kind][0]
    reached = state.box.most(total) if total.dim() else 0
    slack = tally.slack * (1 + 1e-6)
    slack = torch.where(slack > 0, slack + 1e-300, slack)  # what underflow may take
    return tally.constant + reached + slack


def _charge(state: State, tally: Tally, coefficients: Tensor, size: Tensor) -> None:
    tally.slack += state.unit * _dot(coefficients.abs(), size)


def _affine_back(state: State, at: int, coefficients: Coefficients, tally: Tally) -> None:
    maps = state.pair.maps[at]
    taken = [{o: c.pop(o) for o in maps[0].outputs if o in c} for c in coefficients]
    if taken[CHANGE] and state.passes(at):
        _through(state, maps[1], taken[CHANGE], coefficients[CHANGE], CHANGE)
        moved = state.pair.changed.get(at)
        if moved is not None:
            _through(state, moved, taken[CHANGE], coefficients[FIRST], FIRST)
            _leave(tally, taken[CHANGE], state.constants[at, CHANGE])
        for o, c in taken[CHANGE].items():
            _charge(state, tally, c, state.sizes[CHANGE][o])
    else:
        for o, c in taken[CHANGE].items():
            _add(taken[SECOND], o, c)
            _add(taken[FIRST], o, -c)
    for kind in (FIRST, SECOND):
        if taken[kind]:
            _through(state, maps[kind], taken[kind], coefficients[kind], kind)
            _leave(tally, taken[kind], state.constants[at, kind])
            for o, c in taken[kind].items():
                _charge(state, tally, c, state.sizes[kind][o])


def _through(state: State, map_: AffineMap, given: dict, into: dict, kind: int) -> None:
    boxes, rows = next(iter(given.values())).shape[:2]
    flat = {o: c.flatten(0, 1) for o, c in given.items()}
    for i, c in map_.transposed(flat, state.pair.shapes(kind)).items():
        _add(into, i, c.unflatten(0, (boxes, rows)))


def _leave(tally: Tally, given: dict, constants: dict[int, Tensor]) -> None:
    for o, c in given.items():
        if constants[o].any():
            tally.constant += _dot(c, constants[o])


def _bend_back(
    state: State, at: int, one: Node, two: Node, coefficients: Coefficients, tally: Tally
) -> None:
    o, changes = one.outputs[0], None
    taken = [c.pop(o, None) for c in coefficients]
    if taken[CHANGE] is not None and (at, CHANGE) not in state.planes:
        _apart(taken)
    elif taken[CHANGE] is not None:
        changes = state.operand_changes(one, two)
    for kind, node in ((FIRST, one), (SECOND, two)):
        if taken[kind] is not None:
            above, below = state.planes[at, kind]
            z = state.compared(node, kind)
            if kind == FIRST and at in state.twins:
                taken[kind] = _hand_over(state, at, taken[kind], coefficients[FIRST], tally)
            slopes, constant = _chosen(taken[kind], above, below, "alpha")
            _charge_planes(state, tally, taken[kind], (above, below), z, None)
            tally.constant += constant
            _to_operands(state, node, kind, slopes, taken[kind], coefficients[kind], tally)
    if changes is not None:
        above, below = state.planes[at, CHANGE]
        alpha, constant = _chosen(taken[CHANGE], above, below, "alpha")
        beta, _ = _chosen(taken[CHANGE], above, below, "beta")
        z, d = state.compared(one, FIRST), difference_of(changes)
        _charge_planes(state, tally, taken[CHANGE], (above, below), z, d)
        tally.constant += constant
        zero = torch.zeros_like(taken[CHANGE])
        _to_operands(state, one, FIRST, alpha, zero, coefficients[FIRST], tally)
        _changes_to_operands(state, (one, two), beta, taken[CHANGE], coefficients[CHANGE], tally)


def _hand_over(state: State, at: int, c: Tensor, into: dict[int, Tensor], tally: Tally) -> Tensor:
    """Coefficients of which units that are gone have given some to their heirs."""
    twins = state.twins[at]
    z = state.ranges[FIRST][twins.value]
    c, moved = hand_over(twins, c, state.planes[at, FIRST], z)
    above, below = twins.planes
    alpha, constant = _chosen(moved, above, below, "alpha")
    beta, _ = _chosen(moved, above, below, "beta")
    tally.constant += constant
    r = twins.shaped_ratios()
    heir = Range(r * z.low[:, twins.heirs], r * z.high[:, twins.heirs])
    _charge_planes(state, tally, moved, (above, below), heir, twins.error)
    # what the coefficients are multiplied with: r phi(z_k), and z_j and r z_k for e
    steepest = max(abs(s) for s in state.pair.nodes[at][0].activation.slopes)
    size = (1 + steepest + above.beta.abs() + below.beta.abs()) * heir.largest()
    _charge(state, tally, moved, size + z.largest()[:, twins.gone])
    found = torch.zeros_like(c)
    found.index_add_(2, twins.gone, beta)
    found.index_add_(2, twins.heirs, r * (alpha - beta))
    _add(into, twins.value, found)
    return c


def _apart(taken: list[Tensor | None]) -> None:
    """A difference as one value minus another."""
    change, taken[CHANGE] = taken[CHANGE], None
    taken[SECOND] = change if taken[SECOND] is None else taken[SECOND] + change
    taken[FIRST] = -change if taken[FIRST] is None else taken[FIRST] - change


def _chosen(c: Tensor, above: Plane, below: Plane, slope: str) -> tuple[Tensor, Tensor]:
    """Coefficients times slopes, and what is left: the plane that lies above, or that below."""
    positive, negative = c.clamp(min=0), c.clamp(max=0)
    slopes = positive * getattr(above, slope)[:, None] + negative * getattr(below, slope)[:, None]
    return slopes, _dot(positive, above.gamma) + _dot(negative, below.gamma)


def _charge_planes(
    state: State, tally: Tally, c: Tensor, planes: tuple[Plane, Plane], z: Range, d: Range | None
) -> None:
    size = torch.zeros_like(z.low)
    for plane in planes:
        reach = plane.alpha.abs() * z.largest() + plane.gamma.abs()
        if d is not None:
            reach = reach + plane.beta.abs() * d.largest()
        size = torch.maximum(size, reach)
    _charge(state, tally, c, size)


def _to_operands(
    state: State,
    node: Node,
    kind: int,
    slopes: Tensor,
    base: Tensor,
    into: dict[int, Tensor],
    tally: Tally,
) -> None:
    """Coefficients of what is compared as those of the operands; `base` stands before b itself."""
    items = node.activation_inputs
    parts = [slopes] if len(items) == 1 else [slopes, base - slopes]
    for item, c in zip(items, parts, strict=True):
        if len(items) == 2:
            _charge(state, tally, c.abs() + slopes.abs(), state.operand(item, kind).largest())
        if isinstance(item, Value):
            _add(into, item.index, c)
        else:
            tally.constant += _dot(c, item)


def _changes_to_operands(
    state: State,
    nodes: tuple[Node, Node],
    slopes: Tensor,
    base: Tensor,
    into: dict[int, Tensor],
    tally: Tally,
) -> None:
    """The same for differences of the operands."""
    parts = [slopes] if len(nodes[0].activation_inputs) == 1 else [slopes, base - slopes]
    changes = state.operand_changes(*nodes)
    for item, c, d in zip(nodes[0].activation_inputs, parts, changes, strict=True):
        if len(parts) == 2:
            _charge(state, tally, c.abs() + slopes.abs(), d.largest())
        if isinstance(item, Value):
            _add(into, item.index, c)
        else:
            tally.constant += _dot(c.clamp(min=0), d.high) + _dot(c.clamp(max=0), d.low)


def _pool_back(
    state: State, at: int, one: Node, two: Node, coefficients: Coefficients, tally: Tally
) -> None:
    o = one.outputs[0]
    taken = [c.pop(o, None) for c in coefficients]
    if taken[CHANGE] is not None:
        z, after = state.compared(one, FIRST), state.compared(two, SECOND)
        phi, psi = one.activation, two.activation
        sure = certain(phi, z) & certain(psi, after)
        sure = sure & (winners(phi, z.low) == winners(psi, after.low))
        c = taken[CHANGE] * sure[:, None]
        _to_input(phi, z, c, coefficients[CHANGE], one)
        _rest(state, tally, taken[CHANGE] - c, state.ranges[CHANGE][o])
    for kind, node in ((FIRST, one), (SECOND, two)):
        if taken[kind] is not None:
            pool, x = node.activation, state.compared(node, kind)
            # not below the one whose lower bound is largest; not above it where it wins for certain
            c = torch.where(certain(pool, x)[:, None], taken[kind], taken[kind].clamp(max=0))
            _to_input(pool, x, c, coefficients[kind], node)
            _rest(state, tally, taken[kind] - c, state.ranges[kind][o])


def _to_input(pool, z: Range, c: Tensor, into: dict[int, Tensor], node: Node) -> None:
    least = z.low[:, None].expand(*c.shape[:2], *z.low.shape[1:]).flatten(0, 1)
    found = to_winner(pool, least, c.flatten(0, 1)).unflatten(0, c.shape[:2])
    _add(into, node.activation_inputs[0].index, found)


def _rest(state: State, tally: Tally, c: Tensor, known: Range) -> None:
    """What has no linear bound is at one end of its range."""
    tally.constant += _dot(c.clamp(min=0), known.high) + _dot(c.clamp(max=0), known.low)
    _charge(state, tally, c, known.largest())


def _add(into: dict[int, Tensor], value: int, coefficients: Tensor) -> None:
    into[value] = into[value] + coefficients if value in into else coefficients


def _dot(c: Tensor, x: Tensor) -> Tensor:
    """Sums over units: coefficients (B, R, ...) and values (B, ...) to (B, R)."""
    x = x.expand(len(c), *c.shape[2:])
    return (c.reshape(*c.shape[:2], -1) @ x.reshape(len(x), -1, 1))[..., 0]
