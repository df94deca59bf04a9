"""The errors that splinelib raises for reasons of its own, and how it warns."""

import contextlib
import inspect
import warnings
from collections.abc import Iterator
from contextvars import ContextVar

# Who may stand between a call of the library and the line that warns.
_PASSED = (__name__.split(".")[0], "contextlib", "torch")
# What is not told yet, while somebody holds it back.
_HELD: ContextVar[list[str] | None] = ContextVar("held", default=None)


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


class MissingPackage(SplineError, ModuleNotFoundError):
    """A package that most readers do not need is not installed; the message says how to."""


class DamagedFile(SplineError, ValueError):
    """A saved file is truncated, of another version, or not one of ours."""


def in_short(error: Exception) -> str:
    """The first line of what an error says, and its kind where that says little."""
    kind, line = type(error).__name__, next(iter(str(error).splitlines()), "")
    usual = RuntimeError, ValueError, TypeError, IndexError, AssertionError
    return line if line and isinstance(error, usual) else f"{kind}: {line}".removesuffix(": ")


def warn(message: str) -> None:
    """Warn, naming the line outside of this library that called it, however deep the call is."""
    if (held := _HELD.get()) is not None:
        held.append(message)
        return
    frame, level = inspect.currentframe(), 1
    while frame.f_back is not None and _is_passed(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


@contextlib.contextmanager
def held_back() -> Iterator[list[str]]:
    """Collect what this thread would `warn` of, for whoever knows later whether it is true."""
    told: list[str] = []
    before = _HELD.get()
    try:
        try:
            _HELD.set(told)
            yield told
        finally:
            _HELD.set(before)
    finally:  # an interruption may have come before that
        _HELD.set(before)


def _is_passed(frame) -> bool:
    return frame.f_globals.get("__name__", "").split(".")[0] in _PASSED
