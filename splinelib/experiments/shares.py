"""Which groups of units give up how many, and what each is worth when it is cut by itself.

With one threshold for a whole network, scores of different groups (layers, or the streams of a
residual network) are compared with each other. Whether that is fair is asked of what no criterion
has said: each group in turn loses half of its units, all others stay, and what is left is judged,
where there are batch norms with their statistics renewed on unlabelled images. Beside it stands how
many units each criterion leaves the group when half of all units go. Nothing is compensated.
"""

import warnings

import torch
from torch import Tensor, nn

from ..pruning.masking import shrink
from ..pruning.pruner import Pruner
from ..pruning.selection import Masks, select
from ..rivals import renewed_statistics
from . import share_records as records
from .subjects import Subject, pruned_in_all_ways

RATIO, SEEDS, DRAWS = 0.5, 3, 3
JUDGED = 2500  # test images, of a recorded run


def without(subject: Subject, pruner: Pruner, group: str, scores: Tensor) -> nn.Module:
    """The network when half of one group's units are gone, those of the least scores.

    Parameters
    ----------
    subject : Subject
    pruner : Pruner
        Of the subject's network.
    group : str
        Its name in the layout.
    scores : Tensor, shape (U,)

    Returns
    -------
    torch.nn.Module
        All other groups are whole. Statistics of batch norms are renewed, where there are any.
    """
    mask = select({group: scores}, RATIO)[group]
    small = shrink(subject.model, Masks({group: mask}, pruner.layout))
    return renewed_statistics(small, subject.data) if subject.normed else small


def kept(pruner: Pruner, criterion: str) -> dict[str, int]:
    """Units that each group keeps when half of all go, with one threshold; group name -> number.

    A group that the criterion does not judge keeps all that it has.
    """
    masks = select(pruner.scores(criterion), RATIO)
    whole = {name: group.units for name, group in pruner.layout.groups.items()}
    return whole | {name: int(mask.sum()) for name, mask in masks.items()}


def entries(subject: Subject) -> list[dict]:
    """What is recorded of one dense network: an entry for each of its groups."""
    pruner = Pruner(subject.model, subject.data, seed=subject.seed)
    # Draws of one network differ from one another and from those of the next.
    lot = torch.Generator().manual_seed(subject.seed)
    dense = subject.judge(subject.model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that would have gone, and keep one unit
        shares = {criterion: kept(pruner, criterion) for criterion in records.CRITERIA}
        order = pruner.scores(records.ALONE)
        found = []
        for name, group in pruner.layout.groups.items():
            drawn = [torch.rand(group.units, generator=lot) for _ in range(DRAWS)]
            alone, *by_lot = (
                subject.judge(without(subject, pruner, name, scores))
                for scores in (order[name], *drawn)
            )
            found.append(
                {
                    **{"seed": subject.seed, "group": name, "units": group.units},
                    **{"stream": group.is_stream, "dense": dense},
                    **{"alone": alone, "by_lot": by_lot},
                    "kept": {criterion: left[name] for criterion, left in shares.items()},
                }
            )
    return found


def compare(network: str = "mlp", run: str | None = None, *, seeds: int = SEEDS, **told) -> dict:
    """Cut each group of dense networks alone and all of them at one threshold, and record both.

    Parameters, result and errors as for `subjects.pruned_in_all_ways`; the record is
    ``shares/NAME.json``.
    """
    return pruned_in_all_ways(
        records.RECORDS, entries, network, run, seeds=seeds, judged=JUDGED, **told
    )
