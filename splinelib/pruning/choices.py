"""What can be asked of a pruning, and how a wrong request is refused."""

from torch import Tensor

from ..scores.criteria import CRITERIA
from ..text import check_choice

SCOPES = ("global", "layerwise", "residual")
COMPENSATIONS = (False, "fold", "refit", "distil")
_NEEDS_DATA = (
    "{} fits least squares on calibration inputs: pass data=, for instance 2,048 training images"
)


def checked_compensation(compensate: bool | str, data: Tensor | None) -> bool | str:
    compensate = "refit" if compensate is True else compensate
    check_choice("compensate", compensate, COMPENSATIONS)
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
    if not isinstance(ratio, (int, float)) or isinstance(ratio, bool):
        raise TypeError(f"ratio should be a number in [0, 1), not {ratio!r}")
    if not 0 <= ratio < 1:
        raise ValueError(
            f"ratio should be in [0, 1), it is {ratio}: it is the share of units that goes, and "
            "a network without units is none"
        )


def check_round_to(round_to: int) -> None:
    if not isinstance(round_to, int) or isinstance(round_to, bool) or round_to < 1:
        raise ValueError(f"round_to should be a whole number of at least 1, not {round_to!r}")
