"""Index arithmetic for rows of different lengths that are stored one after another.

Row i of such an array is ``array[ptr[i]:ptr[i + 1]]``, where `ptr` holds one number more than
there are rows.
"""

import numpy as np


def offsets(counts: np.ndarray) -> np.ndarray:
    """Where rows of these lengths start, and where the last one ends: int64, shape (N + 1,)."""
    ptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=ptr[1:])
    return ptr


def places(counts: np.ndarray) -> np.ndarray:
    """Place of every entry in its row: 0, ..., c - 1 for every c of counts, int64."""
    ptr = offsets(counts)
    return np.arange(ptr[-1]) - np.repeat(ptr[:-1], counts)


def starts_run(*keys: np.ndarray) -> np.ndarray:
    """True where any of the sorted keys differs from the entry before, and at the first entry."""
    first = np.ones(len(keys[0]), bool)
    if len(first) > 1:
        first[1:] = keys[0][1:] != keys[0][:-1]
        for key in keys[1:]:
            first[1:] |= key[1:] != key[:-1]
    return first


def connected(one: np.ndarray, two: np.ndarray, count: int) -> np.ndarray:
    """Label of each of several points, int (count,), equal where pairs of them connect them.

    Parameters
    ----------
    one, two : ndarray of int, shape (N,)
        The points of each pair.
    count : int
        How many points there are.
    """
    from scipy.sparse import coo_array  # takes longer to load than all of the library
    from scipy.sparse.csgraph import connected_components

    pairs = coo_array((np.ones(len(one)), (one, two)), shape=(count, count))
    return connected_components(pairs, directed=False)[1]


def trace_cycles(following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cycles of a permutation, each from its smallest element on.

    Parameters
    ----------
    following : ndarray of int, shape (N,)
        The element that each element is followed by.

    Returns
    -------
    elements : ndarray of int, shape (N,)
        One cycle after another.
    ptr : ndarray of int64, shape (cycles + 1,)
        Where each cycle starts.
    """
    n = len(following)
    # The smallest element of each cycle, by doubling the distance that is looked ahead. Cells
    # have few corners, so few rounds are needed: half the time of scipy's connected components.
    label, jump = np.arange(n), following
    while True:
        smaller = np.minimum(label, label[jump])
        if np.array_equal(smaller, label):
            break
        label, jump = smaller, jump[jump]
    heads = np.flatnonzero(label == np.arange(n))
    sizes = np.bincount(label, minlength=n)[heads]
    ptr = offsets(sizes)
    out = np.empty(n, np.int64)
    place, current = ptr[:-1].copy(), heads
    step, alive = 0, np.arange(len(heads))
    while len(alive):
        out[place[alive] + step] = current
        step += 1
        on = sizes[alive] > step
        current = following[current[on]]
        alive = alive[on]
    return out, ptr
