"""From scores to masks to a smaller network.

    scores = score(model, "spline", data=images)     # dict: group of units -> (U,)
    masks = select(scores, ratio=0.5)                # dict: group of units -> bool (U,)
    small = shrink(model, masks)

or ``prune(model, 0.5, data=images)`` for all of it, compensation included. `scoring`, `selection`
and `masking` are the three steps; `compensation` and `distillation` make up for what went;
`pruner` is the whole; what can be asked for is in `choices`. `bounding` says how much has changed
at most; `specialising` makes smaller what is used in a box of inputs alone, without any change
there. This package uses `network`, `channels`, `calibration`, `bounds` and `scores`.
"""

from ..scores.criteria import CRITERIA
from .bounding import pruning_bound
from .choices import COMPENSATIONS, SCOPES
from .masking import apply_masks, attach_masks, shrink
from .pruner import Pruner, prune
from .scoring import Scores, common_residual, score
from .selection import Masks, select
from .specialising import Specialised, specialise

COMPENSATION = COMPENSATIONS  # its former name

__all__ = [
    "COMPENSATION",
    "COMPENSATIONS",
    "CRITERIA",
    "SCOPES",
    "Masks",
    "Pruner",
    "Scores",
    "Specialised",
    "apply_masks",
    "attach_masks",
    "common_residual",
    "prune",
    "pruning_bound",
    "score",
    "select",
    "shrink",
    "specialise",
]
