"""Crossings along lines: which of them are one point, and the signs at these points.

A line is an edge or a chord of the mesh with a function's sign at both ends. The signs in between
follow from the order of the crossings and not from arithmetic.
"""

from itertools import pairwise

import numpy as np

from .indexing import starts_run
from .mesh import Mesh
from .rounding import UNSURE, undecidable
from .signs import Signs, one_hot

_NUMBERS = 1 << 21  # in an intermediate result


def group_crossings(
    mesh: Mesh,
    start: np.ndarray,
    end: np.ndarray,
    line: np.ndarray,
    t: np.ndarray,
    slack: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sort crossings along their lines and find those that are one point.

    Parameters
    ----------
    mesh : Mesh
    start, end : ndarray of int, shape (lines,)
        Vertices at the ends of each line.
    line : ndarray of int, shape (N,)
        Line on which each crossing lies.
    t, slack : ndarray of float64, shape (N,)
        Position from start (0) to end (1), and how far rounding may have moved it.

    Returns
    -------
    order : ndarray of int, shape (N,)
        Crossings line by line, from start to end.
    first : ndarray of bool, shape (N,)
        Whether a new point begins, in that order.
    t, slack : ndarray of float64, shape (points,)
        Of each point the crossing whose position is known best.

    Raises
    ------
    UndecidablePartition
        If two crossings are closer than float64 can tell apart and too far to be one point.
    """
    order = np.lexsort((t, line))
    line, t, slack = line[order], t[order], slack[order]
    first = starts_run(line)
    if len(t) > 1:
        gap, reach = t[1:] - t[:-1], slack[1:] + slack[:-1]
        unsure = (gap > reach) & (gap <= UNSURE * reach) & ~first[1:]
        if unsure.any():
            at = np.argmax(unsure)
            ends = start[line[at]], end[line[at]]
            raise undecidable(mesh, "lines nearly meet in one point", *ends, t[at])
        first[1:] |= gap > reach
    known = np.flatnonzero(first)
    if len(known) < len(t):  # the best known of several positions of one point
        group = np.cumsum(first) - 1
        best = np.lexsort((slack, group))
        known = best[starts_run(group[best])]
    return order, first, t[known], slack[known]


def signs_along(
    signs: Signs,
    start: np.ndarray,
    end: np.ndarray,
    crossed: np.ndarray,
    line: np.ndarray,
    unit: np.ndarray,
    opening: np.ndarray,
    wanted: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Signs at the points of each line, from the signs at its ends and the order of crossings.

    Parameters
    ----------
    signs : Signs
        At the ends.
    start, end : ndarray of int, shape (lines,)
    crossed : ndarray of uint64, shape (lines, words)
        Functions that cross each line.
    line, unit : ndarray of int, shape (N,)
        Line and function of every crossing, line by line, from start to end.
    opening : ndarray of int, shape (points,)
        First crossing of each point.
    wanted : ndarray of int, shape (P,), or None
        Points to give the signs at; None for all.

    Returns
    -------
    pos, neg : ndarray of uint64, shape (P, words)
    """
    words = crossed.shape[1]
    wanted = np.arange(len(opening)) if wanted is None else wanted
    pos, neg = (np.empty((len(wanted), words), np.uint64) for _ in range(2))
    closing = np.append(opening[1:], len(line))
    begins = np.flatnonzero(starts_run(line)) if len(line) else line
    order = np.argsort(wanted, kind="stable")
    at = opening[wanted[order]]
    # Whole lines at a time: where many meet in a point they cross more often than they make points.
    step = max(1, _NUMBERS // words)
    stops = [*begins[np.flatnonzero(np.diff(begins // step, prepend=-1))], len(line)]
    for low, high in pairwise(stops):
        one, two = np.searchsorted(at, (low, high))
        if one == two:
            continue
        place = order[one:two]
        first, after = opening[wanted[place]], closing[wanted[place]]
        # Functions crossed so far: a running exclusive or, taken from where the line begins.
        running = np.zeros((high - low + 1, words), np.uint64)
        np.bitwise_xor.accumulate(one_hot(unit[low:high], words), axis=0, out=running[1:])
        origin = running[begins[np.searchsorted(begins, first, side="right") - 1] - low]
        passed, reached = running[first - low] ^ origin, running[after - low] ^ origin
        mask, at_start, at_end = crossed[line[first]], start[line[first]], end[line[first]]
        for out, sign in ((pos, signs.pos), (neg, signs.neg)):
            ahead, behind = sign[at_start], sign[at_end]
            out[place] = ((ahead | behind) & ~mask) | (ahead & mask & ~reached) | (behind & passed)
    return pos, neg
