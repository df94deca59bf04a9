"""What an order of removal is worth by itself: units go, and nothing makes up for them.

The same dense networks lose the same share of their units in the order of each criterion, with the
same share of every layer or with one threshold for all, and what is left is judged as it is.
Nothing is chosen by what it is judged on.
"""

import warnings
from collections.abc import Iterator

from torch import nn

from ..pruning.pruner import Pruner
from . import order_records as records
from .subjects import Subject, pruned_in_all_ways

RATIOS, SEEDS, DRAWS = (0.3, 0.5, 0.7), 3, 3


def networks(subject: Subject) -> Iterator[tuple[str, str, float, int, nn.Module]]:
    """Every network: its criterion, the scope, the ratio, the draw, and itself."""
    yield records.DENSE, "", 0.0, 0, subject.model
    for draw in range(DRAWS):
        # Draws of one network differ from one another and from those of the next.
        pruner = Pruner(subject.model, subject.data, seed=subject.seed * DRAWS + draw)
        for criterion in records.CRITERIA if not draw else ("random",):
            for scope in records.SCOPES:
                for ratio in RATIOS:
                    small = pruner.prune(ratio, criterion, scope, False)
                    yield criterion, scope, ratio, draw, small


def entries(subject: Subject) -> list[dict]:
    """What is recorded of one dense network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that would have gone, and keep one unit
        return [
            {
                **{"seed": subject.seed, "criterion": criterion, "scope": scope, "ratio": ratio},
                **{"draw": draw, "accuracy": subject.judge(small)},
            }
            for criterion, scope, ratio, draw, small in networks(subject)
        ]


def compare(network: str = "mlp", run: str | None = None, *, seeds: int = SEEDS, **told) -> dict:
    """Prune dense networks in every order, compensate nothing, and record the accuracy.

    Parameters, result and errors as for `subjects.pruned_in_all_ways`; the record is
    ``orders/NAME.json``.
    """
    return pruned_in_all_ways(records.RECORDS, entries, network, run, seeds=seeds, **told)
