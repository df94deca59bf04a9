"""Which functions have the same sign all over the rectangle: from bounds, where these tell it."""

import numpy as np

from .limits import BLOCK
from .rounding import UNSURE

_TILES = 16  # along each side of the rectangle


def survey(
    columns: np.ndarray, xy: np.ndarray, rows: np.ndarray, tolerance: np.ndarray, at: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which combinations are above `at` all over the rectangle, which below, which neither.

    Parameters
    ----------
    columns : ndarray of float64, shape (V, n)
        Functions at the vertices of the mesh, affine on its cells.
    xy : ndarray of float64, shape (V, 2)
        The vertices, of which the first and the third are opposite corners of the rectangle.
    rows : ndarray of float64, shape (1 + n, U)
        The constant of each combination, and the coefficient of each function.
    tolerance : ndarray of float64, shape (U,)
        How far rounding may move each combination.
    at : float

    Returns
    -------
    sign : ndarray of int8, shape (U,)
        Where it is the same all over, else 0.
    units : ndarray of int, shape (K,)
        Those whose sign is not, increasing; a few others may be among them.
    values : ndarray of float64, shape (V, K)
        How far they are above `at`, at the vertices.
    """
    sign, units = np.zeros(rows.shape[1], np.int8), np.arange(rows.shape[1])

    def remaining(low: np.ndarray, high: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Write down the signs that bounds of some units tell; True where they do not."""
        low, high, slack = low - at, high - at, tolerance[units]
        above, below = low > UNSURE * slack, high < -UNSURE * slack
        sign[units[above]], sign[units[below]] = 1, -1
        return ~(above | below | ((low >= -slack) & (high <= slack)))

    whole = columns.min(0, initial=np.inf)[None], columns.max(0, initial=-np.inf)[None]
    units = units[remaining(*bounds(*whole, rows), units)]
    if len(units) > 4 * len(rows) and len(columns) > 4 * _TILES**2:
        tiles = _tile_ranges(columns, xy)
        units = units[remaining(*bounds(*tiles, rows[:, units]), units)]
    step = max(64, 2 * BLOCK // len(columns))
    columns_kept, kept = [np.empty((len(columns), 0))], [units[:0]]
    for start in range(0, len(units), step):
        some = units[start : start + step]
        values = columns @ (rows[1:, some] if len(some) < rows.shape[1] else rows[1:])
        values += rows[0, some]
        varies = remaining(values.min(0), values.max(0), some)
        if 2 * varies.sum() < len(some):  # else the few more cost less than a copy
            values, some = values[:, varies], some[varies]
        columns_kept.append(values - at if at else values)
        kept.append(some)
    if len(columns_kept) == 2:
        return sign, kept[1], columns_kept[1]
    return sign, np.concatenate(kept), np.concatenate(columns_kept, axis=1)


def bounds(low: np.ndarray, high: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of combinations of functions that are bounded on each of several tiles.

    Parameters
    ----------
    low, high : ndarray of float64, shape (tiles, n)
        Smallest and largest value of each function on each tile.
    rows : ndarray of float64, shape (1 + n, U)
        The constant of each combination, and the coefficient of each function.

    Returns
    -------
    least, most : ndarray of float64, shape (U,)
    """
    middle, radius = (low + high) / 2, (high - low) / 2
    least, most = np.empty(rows.shape[1]), np.empty(rows.shape[1])
    step = max(64, BLOCK // len(rows), BLOCK // len(low) // 4)
    for start in range(0, rows.shape[1], step):
        some = rows[1:, start : start + step]
        centre, spread = middle @ some, radius @ np.abs(some)
        least[start : start + step] = (centre - spread).min(0)
        most[start : start + step] = (centre + spread).max(0)
    return least + rows[0], most + rows[0]


def _tile_ranges(columns: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each function on the vertices of each tile, (tiles, n)."""
    low, high = xy[0], xy[2]
    place = np.minimum(((xy - low) / (high - low) * _TILES).astype(int), _TILES - 1)
    tile = place[:, 0] * _TILES + place[:, 1]
    order = np.argsort(tile, kind="stable")
    starts = np.flatnonzero(np.diff(tile[order], prepend=-1))
    columns = columns[order]
    smallest, largest = (f.reduceat(columns, starts, axis=0) for f in (np.minimum, np.maximum))
    return smallest, largest
