"""What float64 can tell: which values are zero, which signs are certain, and what is neither.

A value counts as zero where rounding alone may have made it what it is. A little farther from
zero, up to `UNSURE` times as far, nothing is decided: `UndecidablePartition` names the place.
"""

import numpy as np

from ..errors import UndecidablePartition
from .mesh import Mesh
from .signs import Signs, find_bits, one_hot

# A pre-activation counts as zero within this many units in the last place of the terms that it
# is the sum of. In networks of whole numbers, with twins and many lines through one point, those
# that are zero were found within one, but for vertices that are off themselves (`Mesh.drift`).
_ULPS = 2.0**4
_EPS = np.finfo(np.float64).eps
# Between what rounding may do and this many times as much float64 cannot tell whether two lines
# meet. Beyond, they do not.
UNSURE = 4.0
# Closer than this many times what rounding may do, a vertex is looked at by itself: where lines
# meet at a small angle its own place is less certain than the values there.
_NEAR = 2.0**14
# Vertices that drift farther than this could take a function farther than `_NEAR`, steep ones
# too: there every function is looked at by itself.
_SHAKY = 2.0**-40


def tolerance_of(sizes: np.ndarray) -> np.ndarray:
    """How far rounding may move sums, given the sum of their terms' absolute values."""
    return _ULPS * _EPS * sizes


def undecidable(
    mesh: Mesh, what: str, vertex: int, end: int | None = None, t: float = 0.0
) -> UndecidablePartition:
    """The error to raise; it names a vertex, or the place at t from there to another."""
    x, y = mesh.xy[vertex] if end is None else (1 - t) * mesh.xy[vertex] + t * mesh.xy[end]
    return UndecidablePartition(
        f"near ({x:.6g}, {y:.6g}) of the plane float64 cannot decide how lines meet ({what}): "
        "move the domain or the plane a little, or rescale the weights"
    )


def vertex_signs(mesh: Mesh, values: np.ndarray, tolerance: np.ndarray) -> Signs:
    """Signs of functions at the vertices of a mesh.

    Parameters
    ----------
    mesh : Mesh
    values : ndarray of float64, shape (V, U)
        Those that are zero up to rounding are set to zero.
    tolerance : ndarray of float64, shape (U,)
        How far rounding may have moved each value.

    Raises
    ------
    UndecidablePartition
        If a value is farther from zero than rounding takes it, but less than `UNSURE` times
        as far.
    """
    signs = Signs.of(values, _NEAR * tolerance)
    shaky = (np.abs(mesh.drift) > _SHAKY).any(1)
    signs.pos[shaky], signs.neg[shaky] = 0, 0
    row, bit = find_bits(~(signs.pos | signs.neg))
    row, bit = row[bit < values.shape[1]], bit[bit < values.shape[1]]
    near, allowed = np.abs(values[row, bit]), np.broadcast_to(tolerance, values.shape[1:])[bit]
    far = np.flatnonzero(near > allowed)
    allowed[far] += _change_by_drift(mesh, values, row[far], bit[far])
    zero = near <= allowed
    unsure = ~zero & (near <= UNSURE * allowed)
    if unsure.any():
        raise undecidable(mesh, "a line nearly meets a vertex", row[np.argmax(unsure)])
    values[row[zero], bit[zero]] = 0.0
    row, bit = row[~zero], bit[~zero]
    mask, above = one_hot(bit, signs.pos.shape[1]), values[row, bit] > 0
    np.bitwise_or.at(signs.pos, row[above], mask[above])
    np.bitwise_or.at(signs.neg, row[~above], mask[~above])
    return signs


def _change_by_drift(
    mesh: Mesh, values: np.ndarray, row: np.ndarray, bit: np.ndarray
) -> np.ndarray:
    """How much function `bit` at vertex `row` changes as the vertex drifts, for several pairs.

    Read off along the edge at the vertex that has most nearly the drift's direction.
    """
    change, along = np.zeros(len(row)), np.full(len(row), -1.0)
    edges = mesh.edges[np.isin(mesh.edges, row).any(1)] if len(row) else mesh.edges[:0]
    edges = np.concatenate([edges, edges[:, ::-1]])
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    here, there = edges.T
    low = np.searchsorted(here, row)
    many = np.searchsorted(here, row, side="right") - low
    for place in range(many.max(initial=0)):
        some = np.flatnonzero(place < many)
        v, far, unit = row[some], there[low[some] + place], bit[some]
        step, drift = mesh.steps(v, far), mesh.drift[v]
        length, size = np.hypot(*step.T), np.hypot(*drift.T)
        with np.errstate(invalid="ignore", divide="ignore"):  # edges of no length tell nothing
            cosine = np.abs((step * drift).sum(1)) / np.where(size, length * size, 1.0)
            rise = np.abs(values[far, unit] - values[v, unit]) * size / length
        better = (cosine > along[some]) & (length > 0)
        some = some[better]
        along[some], change[some] = cosine[better], rise[better]
    return change
