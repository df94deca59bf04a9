"""What can be asked of a pruning, and how a wrong request is refused."""

from numbers import Real

from torch import Tensor

from ..scores.criteria import CRITERIA, facts
from ..text import check_choice
from .compensation import METHODS

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


def checked_compensation(compensate: bool | str, data: Tensor | None) -> bool | str:
    """The compensation asked for by name, or False; True is the best known."""
    compensate = "refit" if compensate is True else compensate
    check_choice("compensation", compensate, COMPENSATIONS)
    if compensate and data is None:
        raise ValueError(_NEEDS_DATA.format(f"compensate={compensate!r}"))
    return compensate


def checked_request(ratio, criterion, scope, compensate, round_to, data) -> bool | str:
    """The compensation asked for; a clear error for what cannot be done, before any work."""
    check_choice("criterion", criterion, CRITERIA)
    check_ratio(ratio)
    check_round_to(round_to)
    check_choice("scope", scope, SCOPES)
    if data is None and scope == "residual":
        raise ValueError(_NEEDS_DATA.format("scope='residual'"))
    return checked_compensation(compensate, data)


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
    if not isinstance(round_to, int) or isinstance(round_to, bool) or round_to < 1:
        raise ValueError(f"round_to should be a whole number of at least 1, not {round_to!r}")
