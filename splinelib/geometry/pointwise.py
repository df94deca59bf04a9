"""Pointwise activations, and maxima of two values: cut where they bend, then apply them."""

from dataclasses import dataclass

import numpy as np
import torch

from ..network.activations import Activation
from ..network.graph import Node
from .cell_codes import LayerCode
from .interpolation import extended
from .signs import find_bits
from .state import State


def apply_pointwise(state: State, node: Node, dead: list[int]) -> None:
    """Cut the mesh where a pointwise activation bends, and compute its output.

    Parameters
    ----------
    state : State
    node : Node
        With an activation that has breakpoints.
    dead : list of int
        Inputs that nothing reads later.
    """
    activation, at = node.activation, node.activation.breakpoints
    operands = state.operands(node)
    before = operands[0] if len(operands) == 1 else operands[0].minus(operands[1])
    shape, rows, size = before.rows.shape[1:], before.flat_rows(), before.flat_size()
    units = rows.shape[1]
    bends = _find_bends(state, before.functions, rows, size, at)
    bent = bends.bent
    pieces = Pieces.of(activation, shape, len(operands) == 2)

    # Where the sign is the same all over: one piece of the activation, an affine map.
    slope, intercept = pieces.piece((bends.sign > 0).sum(0))
    # At a breakpoint all over: what rounding made of it would be all that later layers see.
    at_break, still = bends.still()
    slope[still], intercept[still] = 0.0, pieces.knots[at_break, still]
    slope[bent], intercept[bent] = 0.0, 0.0
    rows = rows * slope
    rows[0] += intercept
    if len(operands) == 2:
        other = operands[1].over(before.functions)
        rows += other.expand(len(rows), *shape).reshape(rows.shape).numpy()
    for index in dead:
        del state.values[index]
    functions, rows = _used(before.functions, rows)
    functions, rows, dense, carried = _densified(state, functions, rows)
    state.forget(functions)

    made, code, parent = _bend(state, bends, pieces, size, units, carried)
    whole = np.zeros((len(rows) + len(made), units))
    whole[: len(rows)] = rows
    whole[len(rows) + np.arange(len(made)), np.concatenate([bent, dense])] = 1.0
    state.set_output(node, np.concatenate([functions, made]), whole, shape)
    state.finish_layer(code, parent)


@dataclass
class _Bends:
    """Where the units of a layer bend.

    Attributes
    ----------
    at : tuple of float
        Breakpoints.
    sign : ndarray of int8, shape (breakpoints, U)
        The sign of each unit relative to each breakpoint, where it is the same all over.
    bits : ndarray of int, shape (K,)
        Breakpoint times U plus unit, where the sign is not the same.
    bent : ndarray of int, shape (B,)
        Units that are among them, increasing.
    column : ndarray of int, shape (K,)
        Which of these each bit belongs to.
    values : ndarray of float64, shape (V, K)
        How far the unit is above the breakpoint.
    """

    at: tuple[float, ...]
    sign: np.ndarray
    bits: np.ndarray
    bent: np.ndarray
    column: np.ndarray
    values: np.ndarray

    def still(self) -> tuple[np.ndarray, np.ndarray]:
        """Breakpoints that units are at all over, up to rounding, and which units these are."""
        zero = self.sign == 0
        zero.ravel()[self.bits] = False
        return np.nonzero(zero)

    def offset(self, bits: np.ndarray) -> np.ndarray:
        """The breakpoint of each bit."""
        return np.take(self.at, bits // self.sign.shape[1])


def _find_bends(state: State, functions, rows, size, at: tuple[float, ...]) -> _Bends:
    """Compare combinations of functions, with rows (1 + n, U), with every breakpoint."""
    surveys = [state.survey(functions, rows, size, b) for b in at]
    signs = np.stack([s[0] for s in surveys])
    if len(at) == 1:
        bits = surveys[0][1]
        return _Bends(at, signs, bits, bits, np.arange(len(bits)), surveys[0][2])
    units = rows.shape[1]
    bits = np.concatenate([b * units + s[1] for b, s in enumerate(surveys)])
    bent, column = np.unique(bits % units, return_inverse=True)
    values = np.concatenate([s[2] for s in surveys], axis=1)
    return _Bends(at, signs, bits, bent, column, values)


def _bend(state: State, bends: _Bends, pieces: "Pieces", size, units: int, carried):
    """Cut the mesh where units bend, and make these units functions of the basis.

    `carried` are the values of more such functions, (V, D). Returns the numbers of all of them,
    the layer's code, and the cell that each cell was part of.
    """
    bits, values, column = bends.bits, bends.values, bends.column
    old, offset = len(values), bends.offset(bits)
    signs, added, parent = state.cut(values, size[bits % units] + np.abs(offset), bits % units)
    heights = values + offset if any(bends.at) else values
    if len(bends.at) > 1:
        heights, old = heights[:, np.unique(column, return_index=True)[1]], 0
    # On its own line a unit is exactly at its breakpoint: no rounding from there on.
    row, bit = find_bits(~(signs.pos[old:] | signs.neg[old:]))
    row, bit = row[bit < len(bits)], bit[bit < len(bits)]
    first = len(state.basis.numbers)
    whole = extended(added, state.basis.values, heights, carried)
    bent_values = whole[:, first : first + len(bends.bent)]
    bent_values[old + row, column[bit]] = bends.offset(bits[bit])
    pieces.apply(bent_values, bends.bent)
    made = state.basis.grow(whole)
    constant = (bends.sign > 0).ravel()
    return made, LayerCode(state.mesh.any_corner(signs.pos), bits, constant), parent


def _used(functions: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Functions with a coefficient that is not zero, and the rows over them."""
    kept = rows[1:].any(1)
    return functions[kept], rows[np.concatenate([[True], kept])]


def _densified(state: State, functions: np.ndarray, rows: np.ndarray):
    """Make units functions of their own where that frees at least as many older functions.

    Returns the functions still used, the rows over them, the units, and their values.
    """
    nothing = np.empty((len(state.basis.values), 0))
    others = [value.functions for value in state.values.values()]
    freed = ~np.isin(functions, np.concatenate(others)) if others else functions >= 0
    units = np.flatnonzero(rows[1:].any(0)) if freed.any() else np.arange(0)
    if not len(units) or len(units) > freed.sum():
        return functions, rows, np.arange(0), nothing
    values = state.basis.evaluate(functions, rows[:, units])
    rows = rows.copy()
    rows[:, units] = 0.0
    return *_used(functions, rows), units, values


@dataclass
class Pieces:
    """A pointwise activation of each unit of a layer.

    Attributes
    ----------
    at : tuple of float
        Breakpoints.
    slopes : ndarray of float64, shape (breakpoints + 1, U)
    knots : ndarray of float64, shape (breakpoints, U)
        Values at the breakpoints.
    """

    at: tuple[float, ...]
    slopes: np.ndarray
    knots: np.ndarray

    @classmethod
    def of(cls, activation: Activation, shape, of_difference: bool = False) -> "Pieces":
        """Of an activation of units of some shape.

        Of a maximum of two values (`of_difference`): what it adds to the second value, given
        their difference.
        """
        slopes = [
            torch.as_tensor(s, dtype=torch.float64).expand(1, *shape).reshape(-1).numpy()
            for s in activation.slopes
        ]
        at = activation.breakpoints
        knots = np.zeros((len(at), len(slopes[0])))
        if not of_difference:
            for knot, b in zip(knots, at, strict=True):
                inputs = torch.full((1, *shape), b, dtype=torch.float64)
                knot[:] = activation.call(inputs).reshape(-1).numpy()
        return cls(at, np.stack(slopes), knots)

    def piece(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slope and intercept, (U,), of one piece for each unit, counted from the left."""
        units = np.arange(len(number))
        slope, knot = self.slopes[number, units], self.knots[np.maximum(number - 1, 0), units]
        return slope, knot - slope * np.take(self.at, np.maximum(number - 1, 0))

    def apply(self, values: np.ndarray, units: np.ndarray) -> None:
        """Apply it to values (V, K) of some units (K,), in place."""
        slopes, knots = self.slopes[:, units], self.knots[:, units]
        if self.at == (0.0,) and not knots.any() and not slopes[0].any() and (slopes[1] == 1).all():
            np.maximum(values, 0.0, out=values)
            return
        out = knots[0] + slopes[0] * np.minimum(values - self.at[0], 0.0)
        for i, b in enumerate(self.at):
            width = self.at[i + 1] - b if i + 1 < len(self.at) else np.inf
            out += slopes[i + 1] * np.clip(values - b, 0.0, width)
        values[:] = out
