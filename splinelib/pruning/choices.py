"""What can be asked of a pruning, and how a wrong request is refused."""

from numbers import Integral, Real
from typing import NamedTuple

from torch import Tensor

from ..scores.criteria import CRITERIA, facts
from ..text import check_choice
from .compensation import DATALESS, METHODS

SCOPES = ("global", "layerwise", "residual")
COMPENSATIONS = (False, *METHODS)
_NEEDS_DATA = (
    "{} fits least squares on calibration inputs: pass data=, for instance 2,048 training images"
)


def check_needs(criterion: str, data: Tensor | None, labels: Tensor | None) -> None:
    """Refuse a criterion without the calibration inputs, or their classes, that it needs."""
    known = facts(CRITERIA[criterion])
    if known.needs_data and data is None:
        raise ValueError(
            f"The criterion {criterion!r} looks at calibration inputs: pass data=, "
            "for instance 1,024 training images."
        )
    if known.needs_labels and labels is None:
        raise ValueError(
            f"The criterion {criterion!r} looks at the gradient of the loss: pass labels= beside "
            "data=, the class of each calibration input."
        )


class Way(NamedTuple):
    """How a network is pruned.

    Attributes
    ----------
    criterion : str
    scope : {"global", "layerwise", "residual"}
    compensate : False or str
    """

    criterion: str
    scope: str
    compensate: bool | str


# The best ways known: with the classes of calibration inputs, which say that the network is a
# classifier, with inputs alone, and with neither. `python -m benchmarks.compensation` measures
# them against the others.
WITH_LABELS = Way("lsq", "residual", "distil")
WITH_DATA = Way("lsq", "residual", "refit")
WITHOUT_DATA = Way("bend", "global", "merge")


def best_way(data: Tensor | None, labels: Tensor | None) -> Way:
    """The best way known for what is given."""
    if data is None:
        return WITHOUT_DATA
    return WITH_DATA if labels is None else WITH_LABELS


def way_of(
    criterion: str | None, scope: str | None, compensate: bool | str | None, best: Way
) -> Way:
    """What is left out, filled in.

    Without a criterion everything that is left out is the best known. A criterion that is named is
    judged as it is: one threshold for all groups, nothing compensated. ``compensate=True`` is the
    best known compensation in either case.
    """
    left_out = Way(criterion, "global", False) if criterion is not None else best
    return Way(
        criterion=left_out.criterion,
        scope=left_out.scope if scope is None else scope,
        compensate=left_out.compensate if compensate is None else compensate,
    )


def checked_compensation(compensate: bool | str, data: Tensor | None) -> bool | str:
    """The compensation asked for by name, or False; True is the best known."""
    if compensate is True:
        compensate = best_way(data, None).compensate
    check_choice("compensation", compensate, COMPENSATIONS)
    if compensate and compensate not in DATALESS and data is None:
        raise ValueError(_NEEDS_DATA.format(f"compensate={compensate!r}"))
    return compensate


def checked_request(
    ratio: float,
    criterion: str | None,
    scope: str | None,
    compensate: bool | str | None,
    round_to: int,
    data: Tensor | None,
    labels: Tensor | None,
) -> Way:
    """The way asked for; a clear error for what cannot be done, before any work."""
    way = way_of(criterion, scope, compensate, best_way(data, labels))
    check_choice("criterion", way.criterion, CRITERIA)
    check_ratio(ratio)
    check_round_to(round_to)
    check_choice("scope", way.scope, SCOPES)
    if data is None and way.scope == "residual":
        raise ValueError(_NEEDS_DATA.format("scope='residual'"))
    check_needs(way.criterion, data, labels)
    return Way(way.criterion, way.scope, checked_compensation(way.compensate, data))


def check_ratio(ratio: float) -> None:
    """Refuse what is no share of units that could go."""
    if not isinstance(ratio, Real) or isinstance(ratio, bool):
        raise TypeError(f"A ratio is a number in [0, 1), not {ratio!r}.")
    if not 0 <= ratio < 1:
        raise ValueError(
            f"A ratio is a share of units to remove in [0, 1), not {ratio}: a network without "
            "units is none."
        )


def check_round_to(round_to: int) -> None:
    """Refuse what is no number of units to keep a multiple of."""
    if not isinstance(round_to, Integral) or isinstance(round_to, bool) or round_to < 1:
        raise ValueError(f"round_to should be a whole number of at least 1, not {round_to!r}")
