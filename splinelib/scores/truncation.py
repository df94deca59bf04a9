"""What may be hidden when units are compared along their leading directions only.

PCA keeps the leading directions of the unit normals and compares what is left of them, brought to
length 1 again. The cosine of two units can then be wrong, and by how much follows from the share of
each that was left out. Here are the bound, the number of directions that a wanted accuracy needs,
and the numbers that random directions would need, and any others, at the least.
"""

import functools
import math
from numbers import Real

import torch
from torch import Tensor

from ..text import check_choice
from .hyperplanes import RHO, canonical, check_rho

BY = ("pairs", "units", "spectrum", "truth")


class Truncation:
    """Unit normals along their leading directions, and what that can hide.

    Attributes
    ----------
    coordinates : Tensor, shape (U, components), float64
        Of the unit normals along the directions kept.
    left_out : Tensor, shape (U,), float64
        Share of each unit's squared length outside of these directions, in [0, 1]; 0 for a unit
        without a hyperplane.
    spectrum : Tensor, shape (min(U, fan_in),), float64
        Squared singular values of the unit normals, falling; they add up to the number of units
        that have a hyperplane.
    components : int
        Directions kept.
    """

    def __init__(self, whole: Tensor, spectrum: Tensor, components: int):
        self.components, self.spectrum = components, spectrum
        self.coordinates = whole[:, :components]
        self.left_out = whole[:, components:].square().sum(1).clamp(max=1)

    @functools.cached_property
    def cosines(self) -> Tensor:
        """Cosines of the units as these directions show them, (U, U); 0 where nothing is shown."""
        unit, _ = canonical(self.coordinates, self.left_out)
        return (unit @ unit.T).clamp(-1, 1)

    @functools.cached_property
    def cosine_range(self) -> tuple[Tensor, Tensor]:
        """Between which values the cosine of each pair lies, (U, U) twice.

        Each end is reached by units with these coordinates and these shares left out.
        """
        shown, hidden = self._shown * self.cosines, self._hidden
        return (shown - hidden).clamp(min=-1), (shown + hidden).clamp(max=1)

    @functools.cached_property
    def bound(self) -> Tensor:
        """How far the cosine of each pair can be from the one shown, (U, U), 0 on the diagonal."""
        low, high = self.cosine_range
        return torch.maximum(high - self.cosines, self.cosines - low).fill_diagonal_(0)

    @property
    def largest(self) -> float:
        """The bound of all pairs; 0 for one unit, of which there is no pair."""
        return float(self.bound.max()) if len(self.bound) else 0.0

    def distance_range(self, offsets: Tensor, rho: float = RHO) -> tuple[Tensor, Tensor]:
        """Between which values `hyperplane_distance` of the whole normals lies.

        Offsets are not truncated. Where the sign of the cosine is not certain, neither is the sign
        with which they are compared.

        Parameters
        ----------
        offsets : Tensor, shape (U,)
            Of the unit normals, as `canonical` gives them.
        rho : float

        Returns
        -------
        low, high : Tensor, shape (U, U), float64
        """
        check_rho(rho)
        if offsets.shape != self.left_out.shape or not torch.isfinite(offsets).all():
            raise ValueError(
                f"expected a finite offset for each of {len(self.left_out)} units, got "
                f"{tuple(offsets.shape)}"
            )
        offsets = offsets.to(self.left_out)
        same = rho * (offsets[:, None] - offsets).abs()
        opposite = rho * (offsets[:, None] + offsets).abs()
        low, high = self.cosine_range
        # The distance falls with the cosine where that is positive and rises where it is negative,
        # so its extremes lie at the ends of the range, or on both sides of zero.
        up, down = high >= 0, low <= 0
        none = torch.full_like(low, torch.inf)
        least = torch.minimum(
            torch.where(up, 1 - high + same, none), torch.where(down, 1 + low + opposite, none)
        )
        most = torch.maximum(
            torch.where(up, 1 - low.clamp(min=0) + same, -none),
            torch.where(down, 1 + high.clamp(max=0) + opposite, -none),
        )
        missing = self._missing[:, None] | self._missing
        ranges = (value.masked_fill(missing, 0).fill_diagonal_(0) for value in (least, most))
        return tuple(ranges)

    @property
    def _missing(self) -> Tensor:
        return ~self.coordinates.any(1) & (self.left_out == 0)

    @property
    def _shown(self) -> Tensor:
        length = (1 - self.left_out).sqrt()
        return length.outer(length)

    @property
    def _hidden(self) -> Tensor:
        length = self.left_out.sqrt()
        return length.outer(length)


def truncate(
    normals: Tensor, components: int | None = None, accuracy: float | None = None
) -> Truncation:
    """Keep the leading directions of unit normals, and what is known of the rest.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)
        Of any length; `in_metric` gives those of another metric than the weights' own.
    components : int, optional
        Directions to keep. More than ``min(U, fan_in)`` are as many.
    accuracy : float in (0, 1), optional
        Keep as many as it takes for no cosine to be wrong by more (`components_for`).

    Returns
    -------
    Truncation

    Raises
    ------
    ValueError
        For both or neither of `components` and `accuracy`, one that is none, or normals that are
        no finite matrix.

    Examples
    --------
    Two units that are alike but for a direction of their own, among others that are not:

    >>> import torch
    >>> normals = torch.tensor([[0.8, 0.6], [0.8, -0.6], [1.0, 0.0], [1.0, 0.0]])
    >>> view = truncate(normals, 1)
    >>> round(float(view.cosines[0, 1]), 6), round(float(view.bound[0, 1]), 6)
    (1.0, 0.72)
    >>> round(0.8 * 0.8 - 0.6 * 0.6, 6)  # the cosine itself
    0.28
    """
    if (components is None) == (accuracy is None):
        raise ValueError(
            "truncate takes a number of directions (components=) or an accuracy of all pairs "
            "(accuracy=), one of the two"
        )
    whole, spectrum = _along_directions(normals)
    if components is None:
        components = _fewest(whole, spectrum, accuracy, "pairs")
    elif components < 1 or components != int(components):
        raise ValueError(f"components is a whole number of at least 1, not {components}")
    return Truncation(whole, spectrum, min(int(components), len(spectrum)))


def _along_directions(normals: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates of the unit normals along all directions, leading first, and the spectrum."""
    if normals.ndim != 2 or not normals.numel():
        raise ValueError(
            "expected normals of shape (U, fan_in), one row for each unit and at least one, got "
            f"{tuple(normals.shape)}"
        )
    unit, _ = canonical(normals.double(), normals.new_zeros(len(normals)))
    left, values, _ = torch.linalg.svd(unit, full_matrices=False)
    whole = (left * values).masked_fill(~unit.any(1)[:, None], 0)  # rounding is no hyperplane
    return whole, values.square()


def in_metric(normals: Tensor, metric: Tensor) -> Tensor:
    """Normals as rows whose ordinary products are those of a metric.

    With ``metric`` the second moments of what a layer reads, the length of a row is the root mean
    square of what the unit computes, and the cosine of two is how alike they are on the data.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)
        With the offsets as a last column, if the metric has the constant input as its last.
    metric : Tensor, shape (fan_in, fan_in)
        Symmetric, no eigenvalue below 0.

    Returns
    -------
    Tensor, shape (U, fan_in), float64
        A unit that the metric does not see, such as one that reads only inputs that are always
        0, is a row of zeros: it has no hyperplane there.

    Examples
    --------
    >>> import torch
    >>> rows = in_metric(torch.eye(2), torch.tensor([[4.0, 2.0], [2.0, 4.0]]))
    >>> (rows @ rows.T).round(decimals=6).tolist()
    [[4.0, 2.0], [2.0, 4.0]]
    """
    if normals.ndim != 2 or metric.shape != (normals.shape[1],) * 2:
        raise ValueError(
            f"a metric for normals {tuple(normals.shape)} is a square matrix with a row for each "
            f"of their columns, not {tuple(metric.shape)}"
        )
    normals, metric = normals.double(), metric.double()
    if not (torch.isfinite(metric).all() and torch.isfinite(normals).all()):
        raise ValueError("normals or metric hold NaN or infinite values")
    values, directions = torch.linalg.eigh(metric)
    rounding = len(values) * torch.finfo(values.dtype).eps * values.abs().max()
    if values.min() < -1e3 * rounding or not torch.allclose(metric, metric.T):
        raise ValueError(
            "a metric is symmetric and gives no vector a negative square; this matrix is none"
        )
    rows = normals @ (directions * values.clamp(min=0).sqrt())
    unseen = rows.square().sum(1) <= rounding * normals.square().sum(1)
    return rows.masked_fill(unseen[:, None], 0)


def components_for(normals: Tensor, accuracy: float, by: str = "pairs") -> int:
    """Fewest leading directions along which no cosine of two units is wrong by more.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)
    accuracy : float in (0, 1)
        What a cosine may be wrong by.
    by : {"pairs", "units", "spectrum", "truth"}
        From what it is known: from what the directions show of each pair and leave out of each
        unit; from what they leave out of the two units of which it is most; from the first two
        eigenvalues that are left out. Each asks for as many directions as the one before it or
        more. ``"truth"`` looks at the cosines themselves, which no bound knows.

    Returns
    -------
    int
        From 1 to min(U, fan_in). 1 for a single unit.
    """
    check_choice("way to know", by, BY)
    return _fewest(*_along_directions(normals), accuracy, by)


def chosen_components(
    normals: Tensor, components: int | float | None, accuracy: float | None
) -> int | float | None:
    """The components that a criterion was asked for, or those that an accuracy needs."""
    if accuracy is None:
        return components
    if components is not None:
        raise ValueError(
            f"components={components} and accuracy={accuracy} both say how many directions to "
            "keep: give one of them"
        )
    return components_for(normals, accuracy, "units")


def _check_accuracy(accuracy: float) -> None:
    """Refuse what a cosine cannot be wrong by."""
    real = isinstance(accuracy, Real) and not isinstance(accuracy, bool)
    if not real or not 0 < accuracy < 1:
        raise ValueError(
            "an accuracy is what the cosine of two units may be wrong by, a number between 0 and "
            f"1, not {accuracy!r}"
        )


def _fewest(whole: Tensor, spectrum: Tensor, accuracy: float, by: str) -> int:
    _check_accuracy(accuracy)
    most = len(spectrum)
    if len(whole) < 2:
        return 1
    if by == "spectrum":
        after = torch.nn.functional.pad(spectrum, (0, 2))
        errors = after[1 : most + 1] + after[2:]
        return _first_within(errors, accuracy)
    if by == "units":
        # What each number of directions leaves out, summed from the end: nothing is subtracted.
        rest = torch.nn.functional.pad(whole.square()[:, 1:].flip(1).cumsum(1).flip(1), (0, 1))
        angles = rest.clamp(0, 1).sqrt().asin().topk(2, dim=0).values.sum(0)
        return _first_within(1 - angles.cos(), accuracy)
    exact = whole @ whole.T
    for count in range(1, most):
        view = Truncation(whole, spectrum, count)
        error = view.largest
        if by == "truth":
            error = float((view.cosines - exact).abs().fill_diagonal_(0).max())
        if error <= accuracy:
            return count
    return most


def _first_within(errors: Tensor, accuracy: float) -> int:
    """Number, from 1, of the first error that is small enough; the last is 0 by definition."""
    return int((errors[:-1] > accuracy).sum()) + 1


def random_components(units: int, accuracy: float, failure: float = 0.05) -> int:
    """Random directions that are enough for all cosines of so many units, by Johnson-Lindenstrauss.

    With a matrix A of k independent Gaussians of variance 1/k for each column, all products of unit
    normals are within the accuracy of those of A times them, but for a chance of `failure`, if
    ``k (accuracy^2 / 4 - accuracy^3 / 6) >= ln(2 U (U - 1) / failure)`` (Dasgupta and Gupta, 2003,
    for sums and differences of each pair). The normals are not looked at.

    Parameters
    ----------
    units : int
        U, at least 1.
    accuracy, failure : float in (0, 1)

    Returns
    -------
    int

    Examples
    --------
    >>> random_components(128, 0.1)
    5737
    """
    _check_accuracy(accuracy)
    if units < 1 or units != int(units):
        raise ValueError(f"units is a whole number of at least 1, not {units}")
    if not 0 < failure < 1:
        raise ValueError(f"failure is a chance, a number between 0 and 1, not {failure}")
    if units == 1:
        return 1
    rate = accuracy**2 / 4 - accuracy**3 / 6
    return math.ceil(math.log(2 * units * (units - 1) / failure) / rate)


def fewest_possible(normals: Tensor, accuracy: float) -> int:
    """A number of directions that no reduction can do with less than, whatever it is.

    If units of length 1 in k dimensions have all cosines within the accuracy of the true ones, the
    matrix G of their cosines has rank k at most, so ``U^2 = (tr G)^2 <= k ||G||^2``, and no entry
    of G is larger than the true one by more than the accuracy.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)
    accuracy : float in (0, 1)

    Returns
    -------
    int
        At least 1.
    """
    _check_accuracy(accuracy)
    whole, _ = _along_directions(normals)
    whole = whole[whole.any(1)]
    largest = ((whole @ whole.T).abs() + accuracy).clamp(max=1).fill_diagonal_(1)
    count = len(whole)
    return max(1, math.ceil(count**2 / float(largest.square().sum()) - 1e-9)) if count else 1
