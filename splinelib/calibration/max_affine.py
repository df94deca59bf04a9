"""Maxima of a few planes fitted to data, from one start or another, and with planes taken away.

A fit alternates two steps, each of which is least squares once the other is settled: every point
belongs to the plane that is highest there; every plane is fitted to its points (Magnani and Boyd,
2009). As in k-means, where it ends depends on where it starts.
"""

from dataclasses import dataclass

import numpy as np

from ..text import check_choice

STARTS = ("random", "k-means", "one by one")


@dataclass(frozen=True)
class MaxAffine:
    """A maximum of planes, and what it took to find it.

    Attributes
    ----------
    planes : array, shape (R, D + 1)
        Slopes, and the offset last.
    error : float
        Root mean square of the residuals.
    cost : int
        Products of a plane with a point that were computed: rounds times planes times points.
    """

    planes: np.ndarray
    error: float
    cost: int = 0

    def __len__(self) -> int:
        return len(self.planes)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values (N,) at points (N,) or (N, D)."""
        return (_with_ones(x) @ self.planes.T).max(1)


def fit_max_affine(
    x: np.ndarray,
    y: np.ndarray,
    lines: int,
    start: str = "random",
    seed: int = 0,
    rounds: int = 50,
) -> MaxAffine:
    """Fit a maximum of planes to points.

    Parameters
    ----------
    x : array, shape (N,) or (N, D)
    y : array, shape (N,)
    lines : int
        Planes, at most N.
    start : {"random", "k-means", "one by one"}
        Which points a plane is fitted to first: those nearest to one of so many random points, a
        cluster of k-means (begun by k-means++), or what is left when, plane after plane, the one
        with the largest squared error gives half of its points to a new one.
    seed : int
    rounds : int
        Rounds of the alternation, of which the best is kept; it ends sooner where it stands still.

    Returns
    -------
    MaxAffine

    Raises
    ------
    ValueError
        Points are not finite or do not go with their values, there are more planes than points,
        or the start is unknown.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 101)
    >>> float(fit_max_affine(x, np.abs(x), 2, "k-means")(np.array([0.5]))[0].round(6))
    0.5
    """
    x, y = _checked(x, y, lines)
    check_choice("start", start, STARTS)
    if rounds < 1:
        raise ValueError(f"rounds is at least 1, not {rounds}.")
    generator = np.random.default_rng(seed)
    if start == "one by one":
        return _one_by_one(x, y, lines, rounds)
    if start == "k-means":
        from scipy.cluster.vq import kmeans2  # takes long to load

        owner = kmeans2(x, lines, minit="++", seed=generator)[1]
    else:
        centres = x[generator.choice(len(x), lines, replace=False)]
        owner = np.square(x[:, None] - centres).sum(2).argmin(1)
    return _alternated(x, y, _fitted(x, y, owner, np.zeros((lines, x.shape[1] + 1))), rounds)


def drop_planes(
    given: MaxAffine, x: np.ndarray, y: np.ndarray, keep: int, rounds: int = 50
) -> MaxAffine:
    """Take planes away, always the one that is missed least, then fit those that stay.

    Parameters
    ----------
    given : MaxAffine
    x, y, rounds
        As for `fit_max_affine`.
    keep : int
        Planes that stay.

    Returns
    -------
    MaxAffine
        Its cost includes that of the one given.

    Raises
    ------
    ValueError
        There are not so many planes; or as for `fit_max_affine`.
    """
    x, y = _checked(x, y, keep)
    if keep > len(given):
        raise ValueError(f"There are {len(given)} planes, and {keep} cannot be kept of them.")
    heights, cost = _with_ones(x) @ given.planes.T, given.cost + len(given) * len(x)
    stay = list(range(len(given)))
    while len(stay) > keep:
        now = heights[:, stay]
        order = np.argsort(now, 1)
        top, rows = order[:, -1], np.arange(len(x))
        error = np.square(now[rows, top] - y)
        change = np.square(now[rows, order[:, -2]] - y) - error  # if the plane on top goes
        stay.pop(int(np.bincount(top, change, len(stay)).argmin()))
    found = _alternated(x, y, given.planes[stay], rounds)
    return MaxAffine(found.planes, found.error, cost + found.cost)


def _alternated(x: np.ndarray, y: np.ndarray, planes: np.ndarray, rounds: int) -> MaxAffine:
    inputs, before = _with_ones(x), None
    best, least, done = planes, np.inf, 0
    for _ in range(rounds):
        heights, done = inputs @ planes.T, done + 1
        error = float(np.sqrt(np.mean(np.square(heights.max(1) - y))))
        if error < least:
            best, least = planes.copy(), error
        owner = heights.argmax(1)
        if before is not None and (owner == before).all():
            break
        planes, before = _fitted(x, y, owner, planes), owner
    return MaxAffine(best, least, done * planes.shape[0] * len(x))


def _fitted(x: np.ndarray, y: np.ndarray, owner: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Planes fitted to the points that they own; one that has too few stays as it is."""
    inputs, planes = _with_ones(x), planes.copy()
    for plane in np.unique(owner):
        own = owner == plane
        if own.sum() >= inputs.shape[1]:
            planes[plane] = np.linalg.lstsq(inputs[own], y[own])[0]
    return planes


def _one_by_one(x: np.ndarray, y: np.ndarray, lines: int, rounds: int) -> MaxAffine:
    """Split the worst plane along the longest side of its points, until there are enough."""
    owner = np.zeros(len(x), dtype=int)
    found = _alternated(x, y, _fitted(x, y, owner, np.zeros((1, x.shape[1] + 1))), rounds)
    cost = found.cost
    while len(found) < lines:
        heights = _with_ones(x) @ found.planes.T
        owner = heights.argmax(1)
        loss = np.bincount(owner, np.square(heights.max(1) - y), len(found))
        own = np.flatnonzero(owner == loss.argmax())
        side = x[own][:, np.ptp(x[own], axis=0).argmax()]
        owner[own[side > np.median(side)]] = len(found)
        planes = np.vstack([found.planes, found.planes[loss.argmax()]])
        found = _alternated(x, y, _fitted(x, y, owner, planes), rounds)
        cost += found.cost
    return MaxAffine(found.planes, found.error, cost)


def _with_ones(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, float)
    x = x[:, None] if x.ndim == 1 else x
    return np.column_stack([x, np.ones(len(x))])


def _checked(x: np.ndarray, y: np.ndarray, lines: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, D) and values (N,), once they are found to go together."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(
            f"x has a point in each row and y its value; they have shapes {x.shape} and {y.shape}."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x or y holds NaN or infinite numbers: remove those points.")
    if not 1 <= lines <= len(x):
        raise ValueError(f"{len(x)} points can be fitted by 1 to {len(x)} planes, not by {lines}.")
    return x, y
