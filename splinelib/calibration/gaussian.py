"""Means and covariances of functions of jointly Gaussian values.

A function of one Gaussian value is a series of Hermite polynomials, and of two values that are
correlated by rho the terms of degree k are correlated by rho to the power of k (Mehler). For
piecewise affine functions the coefficients have closed forms; for smooth ones there is quadrature.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from .moments import mirrored

# Terms of the series by which correlations pass an activation. What is left is given to the
# diagonal and to units that are nearly the same, whose terms fall off slowest.
_TERMS = 40
# A variance that is divided by where there is none.
_TINY = 1e-200
# Deviations beyond which the normal density is 0 and powers of the place would overflow.
_FAR = 30.0
# Places at which the functions that are smooth are looked at.
_PLACES = 96
# Numbers that are worked on at a time, which fit into the cache of a processor: 512 kB.
_CACHED = 65_536


def correlation(covariance: Tensor) -> Tensor:
    """A covariance divided by both deviations, shape (C, C); 0 where there is no variance."""
    deviation = covariance.diagonal().clamp(min=_TINY).sqrt()
    return (covariance / torch.outer(deviation, deviation)).clamp(-1, 1)


def after_activation(
    mean: Tensor, covariance: Tensor, breakpoints: Sequence[float], slopes: Sequence[float | Tensor]
) -> tuple[Tensor, Tensor]:
    """Moments of a piecewise affine function of jointly Gaussian values.

    Correlations pass by Mehler's series: if f has the Hermite coefficients c_k for one unit and
    d_k for another, their covariance behind f is the sum of ``c_k d_k rho^k`` over k >= 1. Of a
    function that bends by ``a`` at ``b`` the coefficients have closed forms, with phi and Phi the
    normal density and distribution at t = (b - mean) / deviation: ``c_1`` is the deviation times
    the mean slope, ``c_k`` is a times the deviation times phi(t) He_{k-2}(t) / sqrt(k!). (For a
    ReLU of centred values this is the arc-cosine kernel, Cho and Saul, NeurIPS 2009.)

    Parameters
    ----------
    mean : Tensor, shape (C,), float64
    covariance : Tensor, shape (C, C), float64
    breakpoints, slopes
        As in `Activation`. The mean is that of the function with these slopes that is 0 at 0.

    Returns
    -------
    mean : Tensor, shape (C,)
    covariance : Tensor, shape (C, C)
        Its diagonal is exact; beside it the series is cut after 40 terms, and the rest is taken to
        fall with the correlation as the last term does.

    Examples
    --------
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> mean, variance = after_activation(one[0] * 0, one, (0.0,), (0.0, 1.0))
    >>> round((variance + mean**2).item(), 12)  # half of the second moment
    0.5
    """
    deviation = covariance.diagonal().clamp(min=_TINY).sqrt()
    bends = [
        (at, after - before)
        for at, before, after in zip(breakpoints, slopes, slopes[1:], strict=False)
    ]
    coefficients = torch.zeros(_TERMS + 1, len(mean), dtype=mean.dtype, device=mean.device)
    coefficients[1] = deviation * _mean_slope(mean, deviation, breakpoints, slopes)
    for at, bend in bends:
        t = ((at - mean) / deviation).clamp(-_FAR, _FAR)
        scale = bend * deviation * _density(t)
        for k, hermite in zip(range(2, _TERMS + 1), _hermite(t), strict=False):
            # He_{k-2} / sqrt(k!), of what `_hermite` gives over sqrt((k - 2)!)
            coefficients[k] += scale * hermite / math.sqrt(k * (k - 1))
    first, second = function_moments(mean, deviation, breakpoints, slopes)
    return first, _through(coefficients, covariance, first, second)


def _hermite(t: Tensor) -> Iterator[Tensor]:
    """He_k(t) / sqrt(k!) for k = 0, 1, 2, ...: orthonormal under the normal distribution."""
    before, now = torch.zeros_like(t), torch.ones_like(t)
    for k in itertools.count(1):
        yield now
        before, now = now, (t * now - math.sqrt(k - 1) * before) / math.sqrt(k)


def _through(coefficients: Tensor, covariance: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Covariance behind a function of Hermite coefficients (k, C), whose diagonal is known."""
    share = correlation(covariance)
    powers = share.diagonal() ** torch.arange(1, _TERMS + 1).to(share)[:, None]
    known = (coefficients[1:].square() * powers).sum(0)
    rest = (second - first.square() - known).clamp(min=0).sqrt()
    terms = torch.cat([coefficients[1:], rest[None]])  # the rest as the term after the last
    # Horner's scheme, on some rows at a time, which stay in the cache, up to the diagonal
    step = max(1, _CACHED // max(1, len(share)))
    for start in range(0, len(share), step):
        stop = start + step
        rows = share[start:stop, :stop]
        made = torch.zeros_like(rows)
        for term in terms.flip(0):
            made.addr_(term[start:stop], term[:stop]).mul_(rows)
        share[start:stop, :stop] = made
    return mirrored(share)


def _density(t: Tensor) -> Tensor:
    return torch.exp(-t.square() / 2) / math.sqrt(2 * math.pi)


def _pieces(mean: Tensor, deviation: Tensor, breakpoints: Sequence[float]):
    """Probability, first and second moment of a standard normal between two breakpoints, each."""
    ends = [(at - mean) / deviation for at in breakpoints]
    zero = torch.zeros_like(mean)
    below = [zero, *(torch.special.ndtr(t) for t in ends), torch.ones_like(mean)]
    density = [zero, *(_density(t) for t in ends), zero]
    weighted = [zero, *(t * _density(t) for t in ends), zero]
    for left, right in zip(range(len(below) - 1), range(1, len(below)), strict=True):
        mass = below[right] - below[left]
        yield mass, density[left] - density[right], mass + weighted[left] - weighted[right]


def _mean_slope(mean: Tensor, deviation: Tensor, breakpoints, slopes) -> Tensor:
    return sum(
        slope * mass
        for slope, (mass, _, _) in zip(slopes, _pieces(mean, deviation, breakpoints), strict=True)
    )


def function_moments(
    mean: Tensor,
    deviation: Tensor,
    breakpoints: Sequence[float],
    slopes: Sequence[float | Tensor],
) -> tuple[Tensor, Tensor]:
    """Mean and mean square of a piecewise affine function of Gaussian values.

    Parameters
    ----------
    mean, deviation : Tensor, shape (C,), float64
    breakpoints, slopes
        As in `Activation`. The function is the one with these slopes that is 0 at 0.

    Returns
    -------
    mean, mean square : Tensor, shape (C,)
    """
    starts = _constants(breakpoints, slopes)
    first, second = torch.zeros_like(mean), torch.zeros_like(mean)
    for slope, constant, (mass, one, two) in zip(
        slopes, starts, _pieces(mean, deviation, breakpoints), strict=True
    ):
        base, step = constant + slope * mean, slope * deviation  # f = base + step * normal
        first = first + base * mass + step * one
        second = second + base.square() * mass + 2 * base * step * one + step**2 * two
    return first, second


def _constants(breakpoints: Sequence[float], slopes: Sequence) -> list:
    """What each piece adds to slope times value, so that the function is continuous and 0 at 0."""
    constants = [0.0 * slopes[0]]
    for at, before, after in zip(breakpoints, slopes, slopes[1:], strict=False):
        constants.append(constants[-1] + (before - after) * at)
    home = sum(at < 0 for at in breakpoints)  # the piece that holds 0, where f(0) is its constant
    return [constant - constants[home] for constant in constants]


def after_smooth(
    mean: Tensor, covariance: Tensor, function: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Moments of a smooth function of jointly Gaussian values, by Gauss-Hermite quadrature.

    Parameters
    ----------
    mean : Tensor, shape (C,), float64
    covariance : Tensor, shape (C, C), float64
    function : callable
        Of each value alone, on tensors of shape (n, C).

    Returns
    -------
    mean : Tensor, shape (C,)
    covariance : Tensor, shape (C, C)

    Examples
    --------
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> mean, variance = after_smooth(0 * one[0], one, torch.square)
    >>> round(mean.item(), 9), round(variance.item(), 9)  # of chi-squared with one degree
    (1.0, 2.0)
    """
    places, weights = (
        torch.as_tensor(array, device=mean.device)
        for array in np.polynomial.hermite_e.hermegauss(_PLACES)
    )
    weights = weights / math.sqrt(2 * math.pi)
    deviation = covariance.diagonal().clamp(min=_TINY).sqrt()
    values = function(mean + places[:, None] * deviation)
    terms = itertools.islice(_hermite(places), _TERMS + 1)
    coefficients = torch.stack([(weights * term) @ values for term in terms])
    first, second = weights @ values, weights @ values.square()
    return first, _through(coefficients, covariance, first, second)
