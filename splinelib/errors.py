"""The errors that splinelib raises for reasons of its own."""


class SplineError(Exception):
    """Base class of the errors below."""


class NotPiecewiseAffine(SplineError, ValueError):
    """The model holds an operation that is not piecewise affine in the input."""


class UndecidablePartition(SplineError, ArithmeticError):
    """Float64 cannot tell on which side of a hyperplane a vertex lies."""


class RegionLimitExceeded(SplineError, MemoryError):
    """The partition has more regions than the caller allowed."""


class PruningError(SplineError, ValueError):
    """The network, or a part of it, cannot be pruned as asked."""


class DamagedFile(SplineError, ValueError):
    """A saved file is truncated, of another version, or not one of ours."""
