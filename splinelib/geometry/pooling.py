"""Max-pooling: cut where the winner of a window changes, then take the largest value.

The candidates of each window enter one after another, each cutting where it overtakes the best so
far. That cuts too much, where a later candidate beats both; cells with the same winners
everywhere are merged again.

A candidate is one integer: its place in the window times 2^40, plus its index in the flat input.
"""

import numpy as np
import torch

from ..network.activations import Activation
from ..network.graph import Node
from .cell_codes import LayerCode
from .interpolation import extended
from .limits import BLOCK
from .merging import merge
from .mesh import Mesh
from .signs import find_bits, pack_bits
from .state import State

_PLACE = 40
_INPUT = (1 << _PLACE) - 1


def apply_pooling(state: State, node: Node) -> None:
    """Cut the mesh where the winner of a max-pooling window changes, and compute the output."""
    before, activation = state.operands(node)[0], node.activation
    rows, size = before.flat_rows(), before.flat_size()
    candidates, shape = windows(activation, before.rows.shape)
    best, contested = _settle(state, before.functions, rows, size, candidates)
    open_ = np.flatnonzero(contested)
    winner, origin, values = _play(state, before.functions, rows, size, candidates, open_)
    places = np.arange(activation.bits)[:, None]
    words = pack_bits(np.concatenate([(winner >> b) & 1 == 1 for b in places.ravel()], axis=1))
    if len(open_):
        labels = np.column_stack([origin, words.view(np.int64)])
        cells, vertices = merge(state.mesh, labels)
        state.basis.values, values = state.basis.values[vertices], values[vertices]
        words, origin = words[cells], origin[cells]
        _attribute(state.mesh, len(state.codes), winner, cells, open_)
    made = state.basis.grow(np.concatenate([state.basis.values, values], axis=1))
    whole = np.zeros((len(rows) + len(made), len(candidates)))
    whole[: len(rows)] = rows[:, best & _INPUT]
    whole[: len(rows), open_] = 0.0
    whole[len(rows) + np.arange(len(made)), open_] = 1.0
    state.set_output(node, np.concatenate([before.functions, made]), whole, shape)
    constant = (((best >> _PLACE)[None] >> places) & 1 == 1).ravel()
    bits = (places * len(candidates) + open_).ravel()
    state.finish_layer(LayerCode(words, bits, constant), origin)


def _settle(state: State, functions, rows, size, candidates) -> tuple[np.ndarray, np.ndarray]:
    """The candidate that wins each window all over the rectangle, and windows that have none.

    Returns int (U,), of which the entries of contested windows mean nothing, and bool (U,).
    """
    best = candidates[:, 0].copy()
    contested = np.zeros(len(best), bool)
    step = max(1, BLOCK // len(rows))
    for column in candidates.T[1:]:
        there = np.flatnonzero((column >= 0) & ~contested)
        for start in range(0, len(there), step):
            some = there[start : start + step]
            entering, leading = column[some] & _INPUT, best[some] & _INPUT
            sign, open_, _ = state.survey(
                functions, rows[:, entering] - rows[:, leading], size[entering] + size[leading]
            )
            best[some[sign > 0]] = column[some[sign > 0]]
            contested[some[open_]] = True
    return best, contested


def _play(
    state: State, functions, rows, size, candidates, open_
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut where a candidate overtakes, in the windows `open_`.

    Returns the place of each window's winner on each cell, the old cell that each cell was part
    of, and the largest values at the vertices.
    """
    candidates = candidates[open_]
    winner = np.tile(candidates[:, 0] >> _PLACE, (len(state.mesh), 1))
    origin = np.arange(len(state.mesh))
    best = state.basis.evaluate(functions, rows[:, candidates[:, 0] & _INPUT])
    best_size = size[candidates[:, 0] & _INPUT]
    for column in candidates.T[1:]:
        here = np.flatnonzero(column >= 0)
        if not len(here):
            continue
        pixel = column[here] & _INPUT
        entering = state.basis.evaluate(functions, rows[:, pixel])
        size_here = size[pixel] + best_size[here]
        signs, added, parent = state.cut(entering - best[:, here], size_here, open_[here])
        state.basis.extend(added)
        best, entering = extended(added, best), extended(added, entering)
        origin, winner = origin[parent], winner[parent]
        cell, unit = find_bits(state.mesh.any_corner(signs.pos))
        winner[cell, here[unit]] = column[here[unit]] >> _PLACE
        best[:, here] = np.maximum(best[:, here], entering)
        best_size[here] = np.maximum(best_size[here], size[pixel])
    return winner, origin, best


def _attribute(
    mesh: Mesh, layer: int, winner: np.ndarray, cells: np.ndarray, windows: np.ndarray
) -> None:
    """Write to `source` of each new edge the first window whose winner changes across it.

    What cut there may have been a candidate that another one beats. `winner`, (R, windows), is
    given on the cells before they were merged, and `cells` is one of those for each cell now.
    """
    new = np.flatnonzero(mesh.source[:, 0] == layer)
    sides = mesh.owner().reshape(-1, 2)[new]
    step = max(1, BLOCK // len(windows))
    for start in range(0, len(new), step):
        left, right = cells[sides[start : start + step].T]
        first = (winner[left] != winner[right]).argmax(1)
        mesh.source[new[start : start + step], 1] = windows[first]


def windows(activation: Activation, shape) -> tuple[np.ndarray, tuple]:
    """The candidates of each window of a max-pooling.

    Parameters
    ----------
    activation : Activation
    shape : tuple of int
        Of the input, with a leading dimension that does not count.

    Returns
    -------
    candidates : ndarray of int64, shape (U, largest window)
        In window order, -1 after the last one.
    output_shape : tuple of int
    """
    dims = activation.pool["dims"]
    outer = int(np.prod(shape[1 : len(shape) - dims]))
    sizes = shape[len(shape) - dims :]
    example = activation.call(torch.zeros(1, *shape[1:], dtype=torch.float64))
    example = example[0] if isinstance(example, tuple) else example
    # a maximum over dimensions leaves none of them behind
    outs = activation.pool["args"][0] if activation.pool["adaptive"] else example.shape[-dims:]
    index, place = np.zeros((1, 1), np.int64), np.zeros(1, np.int64)
    for axis, (length, out) in enumerate(zip(sizes, outs, strict=True)):
        position = _positions(activation.pool, axis, length, out)
        joined = index[:, None, :, None] * length + position[None, :, None, :]
        missing = (index[:, None, :, None] < 0) | (position[None, :, None, :] < 0)
        index = np.where(missing, -1, joined).reshape(len(index) * len(position), -1)
        within = np.arange(position.shape[1])
        place = (place[:, None] * len(within) + within).ravel()
    valid = index >= 0
    candidates = np.where(valid, index | (place << _PLACE), -1)
    order = np.argsort(~valid, axis=1, kind="stable")  # what there is first, in window order
    candidates = np.take_along_axis(candidates, order, 1)
    channel = np.arange(outer)[:, None, None] * int(np.prod(sizes))
    candidates = np.where(candidates < 0, -1, candidates + channel)
    return candidates.reshape(-1, candidates.shape[-1]), example.shape[1:]


def _positions(pool: dict, axis: int, length: int, out: int) -> np.ndarray:
    """Positions along one axis that each window looks at, int (out, window); -1 for none."""
    at = np.arange(out)
    if pool["adaptive"]:
        start, stop, step = at * length // out, -(-(at + 1) * length // out), 1
    else:
        step = pool["dilation"][axis]
        start = at * pool["stride"][axis] - pool["padding"][axis]
        stop = np.minimum(start + step * pool["window"][axis], length)
    position = start[:, None] + step * np.arange(pool["window"][axis])
    return np.where((position >= 0) & (position < stop[:, None]), position, -1)
