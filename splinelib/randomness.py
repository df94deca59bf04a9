"""Random numbers that follow from a seed."""

from numbers import Integral

import torch


def generator_of(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own, so that nobody else's random numbers are touched.

    Raises
    ------
    TypeError
        If the seed is no whole number; NumPy's count as such.
    ValueError
        If it has more than 64 bits.

    Examples
    --------
    >>> torch.rand(2, generator=generator_of(0)).equal(torch.rand(2, generator=generator_of(0)))
    True
    """
    return torch.Generator(device).manual_seed(checked_seed(seed))


def checked_seed(seed: int) -> int:
    """The seed as Python's whole number; the errors of `generator_of`."""
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise TypeError(f"A seed is a whole number, not {seed!r}.")
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"A seed is a whole number of 64 bits, from -2**63 to 2**63 - 1: {seed}.")
    return int(seed)
