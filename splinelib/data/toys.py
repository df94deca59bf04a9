"""Two-class problems in the plane."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..randomness import generator_of


def toy(name: str, n: int = 400, noise: float = 0.05, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two-class problems in the plane, small enough to draw.

    Parameters
    ----------
    name : str
        - ``"cross"``: the square cut by its two diagonals; opposite quarters share a class, so
          the boundary between the classes is an X (our version of the X-shaped problem in the
          paper's figures).
        - ``"spiral"``: two arms wound around each other, one and a half turns.
        - ``"moons"``: two half circles, one inside the bend of the other.
    n : int
        Number of points, at least 2.
    noise : float
        Standard deviation of the Gaussian noise on both coordinates, in units of the square
        [-1, 1]^2 that the noise-free points lie in.
    seed : int
        Seed of the points.

    Returns
    -------
    points : Tensor
        float32, shape (n, 2).
    labels : Tensor
        int64, shape (n,), 0 or 1, balanced to within one point for spiral and moons.

    Examples
    --------
    >>> points, labels = toy("cross", n=100)
    >>> points.shape, labels.unique().tolist()
    (torch.Size([100, 2]), [0, 1])
    """
    if name not in _TOYS:
        raise ValueError(f"There is no toy problem {name!r}. Known: {', '.join(_TOYS)}.")
    if n < 2:
        raise ValueError(f"A two-class problem needs n >= 2 points, not {n}.")
    if noise < 0:
        raise ValueError(f"noise is a standard deviation, at least 0, not {noise}.")
    generator = generator_of(seed)
    points, labels = _TOYS[name](n, generator)
    points = points + noise * torch.randn(n, 2, generator=generator, dtype=torch.float32)
    return points, labels


def _cross(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    points = 2 * torch.rand(n, 2, generator=generator, dtype=torch.float32) - 1
    return points, (points[:, 0].abs() > points[:, 1].abs()).long()


def _spiral(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.arange(n) % 2
    # The square root spreads the points evenly along the arm.
    turn = torch.rand(n, generator=generator, dtype=torch.float32).sqrt()
    angle = 3 * torch.pi * turn + torch.pi * labels.float()
    return 0.95 * turn[:, None] * torch.stack((angle.cos(), angle.sin()), dim=1), labels


def _moons(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.arange(n) % 2
    angle = torch.pi * torch.rand(n, generator=generator, dtype=torch.float32)
    which = labels.float()
    side = 1.0 - 2.0 * which
    x = side * angle.cos() + which - 0.5
    y = side * (angle.sin() - 0.25)
    return torch.stack((x, y), dim=1) / 1.5, labels


_TOYS: dict[str, Callable[[int, torch.Generator], tuple[Tensor, Tensor]]] = {
    "cross": _cross,
    "spiral": _spiral,
    "moons": _moons,
}
