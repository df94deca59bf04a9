"""What an order of removal is worth by itself: units go, and nothing makes up for them.

The same dense networks lose the same share of their units in the order of each criterion, with the
same share of every layer or with one threshold for all, and what is left is judged: as it is, and
where there are batch norms with their statistics renewed on unlabelled images, since those of the
dense network are of channels that are gone. Nothing is chosen by what it is judged on.
"""

import warnings
from collections.abc import Iterator

from torch import nn

from ..pruning.pruner import Pruner
from ..rivals import renewed_statistics
from . import order_records as records
from .subjects import Subject, pruned_in_all_ways

RATIOS, SEEDS, DRAWS = (0.3, 0.5, 0.7), 3, 3
JUDGED = 2500  # test images, of a recorded run


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
        found = []
        for criterion, scope, ratio, draw, small in networks(subject):
            about = {"seed": subject.seed, "criterion": criterion, "scope": scope, "ratio": ratio}
            about |= {"draw": draw}
            found.append(about | {"renewed": False, "accuracy": subject.judge(small)})
            if subject.normed and criterion != records.DENSE:
                right = subject.judge(renewed_statistics(small, subject.data))
                found.append(about | {"renewed": True, "accuracy": right})
        return found


def compare(network: str = "mlp", run: str | None = None, *, seeds: int = SEEDS, **told) -> dict:
    """Prune dense networks in every order, compensate nothing, and record the accuracy.

    Parameters, result and errors as for `subjects.pruned_in_all_ways`; the record is
    ``orders/NAME.json``.
    """
    return pruned_in_all_ways(
        records.RECORDS, entries, network, run, seeds=seeds, judged=JUDGED, **told
    )
