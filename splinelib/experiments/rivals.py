"""Ways of others to a smaller network without training, beside ours on the same dense networks.

Networks are trained on digits, or one of a recorded run is read. Each way takes the same share of
every layer from it, but for the defaults of `prune`, which choose how much each layer gives, and
what is left is judged as it is. Nothing is chosen by what it is judged on.
"""

import warnings
from collections.abc import Iterator

from torch import nn

from ..cost.footprint import measure
from ..pruning.masking import shrink
from ..pruning.pruner import Pruner
from ..pruning.selection import select
from ..rivals import folding, gram, intra_fusion, neuron_merging, renewed_statistics
from . import rival_records as records
from .subjects import Subject, pruned_in_all_ways

RATIOS, SEEDS = (0.3, 0.5, 0.7), 3


def networks(subject: Subject) -> Iterator[tuple[str, bool, float, nn.Module]]:
    """Every network: its way, whether statistics were renewed, the ratio, and itself."""
    model, data, example = subject.model, subject.data, subject.data[:1]
    seeing = Pruner(model, data, seed=subject.seed)
    blind = Pruner(model, example=example, seed=subject.seed)
    yield records.DENSE, False, 0.0, model
    for ratio in RATIOS:
        masks = select(blind.scores("magnitude"), ratio, "layerwise")
        made = {
            "magnitude": lambda masks=masks: shrink(model, masks),
            "folding": lambda ratio=ratio: folding(model, ratio, example, subject.seed),
            "neuron merging": lambda masks=masks: neuron_merging(model, masks),
            "neuron merging as coded": lambda masks=masks: neuron_merging(
                model, masks, formula="code"
            ),
            "Intra-Fusion": lambda masks=masks: intra_fusion(model, masks),
            "Intra-Fusion as coded": lambda masks=masks: intra_fusion(model, masks, formula="code"),
            "GRAIL": lambda masks=masks: gram(model, masks, data),
            "bend merged": lambda ratio=ratio: blind.prune(ratio, "bend", "layerwise", "merge"),
            "magnitude refitted": lambda ratio=ratio: seeing.prune(
                ratio, "magnitude", "layerwise", "refit"
            ),
            "lsq refitted": lambda ratio=ratio: seeing.prune(ratio, "lsq", "layerwise", "refit"),
            "default without data": lambda ratio=ratio: blind.prune(ratio),
            "default with data": lambda ratio=ratio: seeing.prune(ratio),
        }
        if not subject.normed:  # the formula is of batch norms
            del made["neuron merging as coded"]
        for way, make in made.items():
            small = make()
            yield way, False, ratio, small
            if subject.normed and way in records.RENEWED:
                yield way, True, ratio, renewed_statistics(small, data)


def entries(subject: Subject) -> list[dict]:
    """What is recorded of one dense network."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that would have gone, and keep one unit
        for way, renewed, ratio, network in networks(subject):
            size = measure(network, subject.data[:1], repeats=1)
            found.append(
                {
                    **{"seed": subject.seed, "way": way, "renewed": renewed, "ratio": ratio},
                    **{"accuracy": subject.judge(network), "channels": size.channels},
                    **{"parameters": size.parameters, "macs": size.macs},
                }
            )
    return found


def compare(network: str = "mlp", run: str | None = None, *, seeds: int = SEEDS, **told) -> dict:
    """Prune dense networks in every way, and record the accuracy and the size of what is left.

    Parameters, result and errors as for `subjects.pruned_in_all_ways`; the record is
    ``rivals/NAME.json``.
    """
    return pruned_in_all_ways(records.RECORDS, entries, network, run, seeds=seeds, **told)
